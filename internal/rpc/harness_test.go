package rpc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/logs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

const (
	adaID   = "01900000-0000-7000-8000-00000000ada1"
	maxRecv = 1 << 20
)

// must takes the value of a call that cannot fail here.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// logBuffer is a log that tests read while servers write it.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// everyone resolves every subject to one learner.
type everyone struct{}

func (everyone) ResolveSubject(context.Context, string, string, auth.Hints) (string, error) {
	return adaID, nil
}

// harness is a server with the test service, and the two conns to it.
type harness struct {
	*rpctest.Service
	server  *rpc.Server
	issuer  *auth.LocalIssuer
	log     *logBuffer
	dir     string
	address string
}

func newHarness(tb testing.TB) *harness {
	tb.Helper()
	dir := tb.TempDir()
	return newHarnessIn(tb, dir, must(auth.OpenLocalIssuer(dir, testenv.Now)))
}

// newHarnessIn makes a server that shares keys with the others in dir.
func newHarnessIn(tb testing.TB, dir string, issuer *auth.LocalIssuer) *harness {
	tb.Helper()
	return newHarnessAt(tb, dir, issuer, "127.0.0.1:0", func(*harness, *rpc.Options) {})
}

// newHarnessAt makes one that listens there; change may change it before it serves.
func newHarnessAt(tb testing.TB, dir string, issuer *auth.LocalIssuer, address string, change func(*harness, *rpc.Options)) *harness {
	tb.Helper()
	h := &harness{Service: must(rpctest.New()), issuer: issuer, log: &logBuffer{}, dir: dir}
	var sink io.Writer = h.log
	if _, measuring := tb.(*testing.B); measuring {
		sink = io.Discard // a log that grows would be what is measured
	}
	logger := slog.New(slog.NewJSONHandler(sink, &slog.HandlerOptions{Level: slog.LevelDebug}))
	verifier := must(auth.NewVerifier(auth.VerifierOptions{Local: issuer, Logger: logger, Now: testenv.Now}))
	guard := must(auth.NewGuard(auth.GuardOptions{Verifier: verifier, Resolver: everyone{}, Logger: logger, Now: testenv.Now, Files: h.Files()}))
	o := rpc.Options{
		Callers: must(logs.NewCallers(logs.ByID, logs.NewKey())),
		Logger:  logger, Guard: guard, MaxRecv: maxRecv, Now: testenv.Now,
		TLS: must(rpc.LocalPKI(dir, "catalog", testenv.Now)).ServerTLS(),
	}
	change(h, &o)
	h.server = must(rpc.NewServer(o))
	h.Register(h.server)
	lis := must(net.Listen("tcp", address))
	h.address = lis.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(lis) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.server.Shutdown(ctx); err != nil {
			tb.Error(err)
		}
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	return h
}

// network is a connection over loopback and mutual TLS, for the named service.
func (h *harness) network(tb testing.TB, caller string) grpc.ClientConnInterface {
	tb.Helper()
	conn := must(rpc.Dial(h.address, rpc.DialOptions{TLS: must(rpc.LocalPKI(h.dir, caller, testenv.Now)).ClientTLS("catalog")}))
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// person is a connection over loopback and TLS of somebody without a certificate.
func (h *harness) person(tb testing.TB) *grpc.ClientConn {
	tb.Helper()
	conn := must(grpc.NewClient(h.address,
		grpc.WithTransportCredentials(credentials.NewTLS(anybody())), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(rpc.MaxAnswer))))
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// anybody is how somebody connects who neither shows a certificate nor looks at the server's.
func anybody() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, Time: testenv.Now, MinVersion: tls.VersionTLS13} //nolint:gosec // what is tested begins behind TLS
}

// as is the context of a call with ada's token; a test that hangs fails by its deadline.
func (h *harness) as(tb testing.TB, roles ...auth.Role) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	tb.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+must(h.issuer.Mint("ada", roles, "", time.Hour)))
}

// detail is the status detail of type T in err, nil when it has none.
func detail[T any](err error) *T {
	for _, d := range status.Convert(err).Details() {
		if found, ok := d.(*T); ok {
			return found
		}
	}
	return nil
}

func reasonOf(err error) string { return detail[errdetails.ErrorInfo](err).GetReason() }
