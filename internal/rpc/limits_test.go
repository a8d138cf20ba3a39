package rpc_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // some callers compress
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// unsent opens a unary call and sends no message; what comes back came before one was read.
func unsent(ctx context.Context, t *testing.T, h *harness, conn grpc.ClientConnInterface, method string) error {
	t.Helper()
	cs, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	return cs.RecvMsg(h.New().Message)
}

// TestRefusedBeforeTheMessage refuses whom it can by the headers, and so reads nothing of theirs.
func TestRefusedBeforeTheMessage(t *testing.T) {
	h := newHarness(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	with := func(value string) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	for name, conn := range map[string]grpc.ClientConnInterface{"a person": h.person(t), "a service": h.network(t, "gateway")} {
		for _, c := range []struct {
			what   string
			ctx    context.Context //nolint:containedctx // a case is a call
			method string
			code   codes.Code
			reason string
		}{
			{"no token", ctx, rpctest.Everyone, codes.Unauthenticated, errs.ReasonTokenMissing},
			{"a bad token", with("Bearer x"), rpctest.Own, codes.Unauthenticated, errs.ReasonTokenInvalid},
			{"a ticket", with("Ticket x"), rpctest.Own, codes.Unauthenticated, errs.ReasonTicketInvalid},
			{"another role", h.as(t), rpctest.Author, codes.PermissionDenied, errs.ReasonRoleRequired},
			{"no rule", h.as(t), rpctest.NoRule, codes.PermissionDenied, errs.ReasonNoAccessRule},
		} {
			err := unsent(c.ctx, t, h, conn, c.method)
			if status.Code(err) != c.code || reasonOf(err) != c.reason {
				t.Errorf("%s with %s: %v", name, c.what, err)
			}
		}
	}
}

// watchHealth opens a health watch and returns its first response's error.
func watchHealth(ctx context.Context, conn grpc.ClientConnInterface, name string) (healthv1.HealthCheckResponse_ServingStatus, error) {
	stream, err := healthv1.NewHealthClient(conn).Watch(ctx, &healthv1.HealthCheckRequest{Service: name})
	if err != nil {
		return 0, err
	}
	first, err := stream.Recv()
	return first.GetStatus(), err
}

// TestStreamsWithoutATokenAreBounded holds a connection to 16 of them, all together to 1024, and our own
// services to no number.
func TestStreamsWithoutATokenAreBounded(t *testing.T) {
	h := newHarness(t)
	for _, conns := range []int{1, 2} {
		conn := h.person(t)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 16 {
			if _, err := watchHealth(ctx, conn, ""); err != nil {
				t.Fatalf("connection %d, watch %d: %v", conns, i, err)
			}
		}
		_, err := watchHealth(ctx, conn, "")
		wantCode(t, err, codes.ResourceExhausted, errs.ReasonTooManyStreams)
		cancel()
		again, stop := context.WithCancel(t.Context())
		for err != nil { // until the server has seen the end
			_, err = watchHealth(again, conn, "")
		}
		stop()
	}
	service := h.network(t, "gateway")
	for i := range 40 {
		if _, err := watchHealth(t.Context(), service, ""); err != nil {
			t.Fatalf("a service's watch %d: %v", i, err)
		}
	}
	for range 64 {
		conn := h.person(t)
		for range 16 {
			if _, err := watchHealth(t.Context(), conn, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := watchHealth(t.Context(), h.person(t), "")
	wantCode(t, err, codes.ResourceExhausted, errs.ReasonTooManyStreams)
}

// TestUnknownHealth names are the caller's fault.
func TestUnknownHealth(t *testing.T) {
	h := newHarness(t)
	for name, conn := range map[string]grpc.ClientConnInterface{
		"in process": h.server.InProcess("gateway"), "a service": h.network(t, "gateway"), "a person": h.person(t),
	} {
		_, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: "nobody"})
		if status.Code(err) != codes.NotFound {
			t.Errorf("%s: %v", name, err)
		}
		got, err := watchHealth(t.Context(), conn, "nobody")
		if got != healthv1.HealthCheckResponse_SERVICE_UNKNOWN || err != nil {
			t.Errorf("%s: a watch of it: %v %v", name, got, err)
		}
		got, err = watchHealth(t.Context(), conn, rpc.HealthWhole)
		if got != healthv1.HealthCheckResponse_SERVING || err != nil {
			t.Errorf("%s: a watch of the whole: %v %v", name, got, err)
		}
	}
	h.noErrors(t)
}

func (h *harness) noErrors(t *testing.T) {
	t.Helper()
	if log := h.log.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("a caller's fault is an error of the server's: %s", log)
	}
}

// TestMessagesWithoutATokenAreSmall holds health checks to what they need.
func TestMessagesWithoutATokenAreSmall(t *testing.T) {
	h := newHarness(t)
	conn := h.person(t)
	large := &healthv1.HealthCheckRequest{Service: strings.Repeat("x", 5000)}
	_, err := healthv1.NewHealthClient(conn).Check(t.Context(), large)
	wantCode(t, err, codes.ResourceExhausted, errs.ReasonMessageTooLarge)
	_, err = watchHealth(t.Context(), conn, large.GetService())
	wantCode(t, err, codes.ResourceExhausted, errs.ReasonMessageTooLarge)
	_, err = healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}, grpc.UseCompressor("gzip"))
	if err != nil { // an empty message is not compressed
		t.Error(err)
	}
	_, err = healthv1.NewHealthClient(conn).Check(t.Context(), large, grpc.UseCompressor("gzip"))
	wantCode(t, err, codes.Unimplemented, errs.ReasonUnimplemented)
	h.noErrors(t)
}

// TestCompressedMessages come from people, too, within the limit of what they unpack to.
func TestCompressedMessages(t *testing.T) {
	h := newHarness(t)
	conn := h.person(t)
	got, err := h.Call(h.as(t), conn, rpctest.Own, h.With("me", strings.Repeat("x", 9000)), grpc.UseCompressor("gzip"))
	if err != nil || len(got.Text("text")) != 9000 {
		t.Errorf("%v", err)
	}
	large := h.With("me", "")
	large.SetBlob(make([]byte, maxRecv))
	_, err = h.Call(h.as(t), conn, rpctest.Own, large, grpc.UseCompressor("gzip"))
	wantCode(t, err, codes.ResourceExhausted, errs.ReasonMessageTooLarge)
}

// garbage sends bytes that are no message.
type garbage struct{}

func (garbage) Marshal(any) ([]byte, error)     { return protowire.AppendVarint(nil, 7), nil }
func (garbage) Unmarshal(_ []byte, _ any) error { return nil }
func (garbage) Name() string                    { return "proto" }

// TestClientFaultsAreNoErrors logs what callers do wrong as nothing that anybody must mend.
func TestClientFaultsAreNoErrors(t *testing.T) {
	h := newHarness(t)
	large := h.With("me", "")
	large.SetBlob(make([]byte, maxRecv))
	gaveUp, give := context.WithCancel(h.as(t))
	served := make(chan struct{})
	h.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		if req.Text("text") == "slow" {
			defer close(served)
			give()
			<-ctx.Done()
			return nil, errs.Wrap(io.ErrUnexpectedEOF, errs.Internal, errs.ReasonInternal, "the query was interrupted")
		}
		return req, nil
	}
	for name, conn := range map[string]grpc.ClientConnInterface{"a person": h.person(t), "a service": h.network(t, "gateway")} {
		if _, err := h.Call(h.as(t), conn, rpctest.Own, h.New(), grpc.ForceCodec(garbage{})); err == nil {
			t.Errorf("%s: garbage was taken", name)
		}
		cs, err := h.Open(h.as(t), conn, rpctest.Watch, grpc.ForceCodec(garbage{}))
		if err == nil {
			_ = cs.SendMsg(h.New().Message)
			_ = cs.CloseSend()
			err = cs.RecvMsg(&emptypb.Empty{})
		}
		if err == nil {
			t.Errorf("%s: a stream of garbage was taken", name)
		}
		if _, err := h.Call(h.as(t), conn, rpctest.Own, large); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := h.Call(gaveUp, h.person(t), rpctest.Own, h.With("me", "slow"))
	if status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	<-served
	_, err = h.Call(h.as(t), h.person(t), rpctest.Own, h.With("me", "the last line of the log is after the others"))
	if err != nil {
		t.Error(err)
	}
	h.noErrors(t)
	if log := h.log.String(); !strings.Contains(log, errs.ReasonMalformed) || !strings.Contains(log, errs.ReasonMessageTooLarge) {
		t.Errorf("what could not be read is not logged: %s", log)
	}
}

// TestRefusalsDoNotFillTheLog writes a burst of them, and counts the others.
func TestRefusalsDoNotFillTheLog(t *testing.T) {
	dir, at := t.TempDir(), testenv.Now()
	h := newHarnessAt(t, dir, must(auth.OpenLocalIssuer(dir, testenv.Now)), "127.0.0.1:0", func(_ *harness, o *rpc.Options) {
		o.Now = func() time.Time { return at }
	})
	conn := h.person(t)
	for range 300 {
		_, err := h.Call(t.Context(), conn, rpctest.Everyone, h.New())
		wantCode(t, err, codes.Unauthenticated, errs.ReasonTokenMissing)
	}
	if n := strings.Count(h.log.String(), errs.ReasonTokenMissing); n != 100 {
		t.Errorf("300 refusals wrote %d lines", n)
	}
	if _, err := h.Call(h.as(t), conn, rpctest.Everyone, h.New()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(h.log.String(), `"code":"OK"`); n != 1 {
		t.Errorf("a good call wrote %d lines", n)
	}
}

// TestStreamsOfAConnection announces how many calls a connection may carry, but to our own services.
func TestStreamsOfAConnection(t *testing.T) {
	h := newHarness(t)
	for name, c := range map[string]struct {
		config *tls.Config
		want   uint32
	}{"a person": {anybody(), 128}, "a service": {must(rpc.LocalPKI(h.dir, "gateway", testenv.Now)).ClientTLS("catalog"), 0}} {
		c.config.NextProtos = []string{"h2"}
		conn := must(tls.Dial("tcp", h.address, c.config))
		if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
			t.Fatal(err)
		}
		header := make([]byte, 9)
		if _, err := io.ReadFull(conn, header); err != nil || header[3] != 4 {
			t.Fatalf("%s: the first frame is no SETTINGS: %v %v", name, header, err)
		}
		settings := make([]byte, int(header[1])<<8|int(header[2]))
		if _, err := io.ReadFull(conn, settings); err != nil {
			t.Fatal(err)
		}
		streams, headers := uint32(0), uint32(0)
		for ; len(settings) >= 6; settings = settings[6:] {
			switch value := binary.BigEndian.Uint32(settings[2:]); binary.BigEndian.Uint16(settings) {
			case 3:
				streams = value
			case 6:
				headers = value
			}
		}
		if streams != c.want || headers != 128<<10 {
			t.Errorf("%s: %d streams, want %d; %d bytes of headers", name, streams, c.want, headers)
		}
		_ = conn.Close()
	}
}
