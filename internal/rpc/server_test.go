package rpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func TestCallsCarryTheUserOn(t *testing.T) {
	dir := t.TempDir()
	issuer := must(auth.OpenLocalIssuer(dir, testenv.Now))
	outer, inner := newHarnessIn(t, dir, issuer), newHarnessIn(t, dir, issuer)
	for name, conn := range map[string]grpc.ClientConnInterface{
		"in process": inner.server.InProcess("progress"), "network": inner.network(t, "progress"),
	} {
		var seen auth.Principal
		var md metadata.MD
		var id string
		inner.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
			seen, _ = auth.FromContext(ctx)
			md, _ = metadata.FromIncomingContext(ctx)
			id = rpc.RequestID(ctx)
			return req, nil
		}
		inner.Stream = func(ss grpc.ServerStream) error {
			_, err := inner.Unary(ss.Context(), nil)
			return err
		}
		outer.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
			id := rpc.RequestID(ctx)
			if _, err := inner.Call(ctx, conn, rpctest.Own, inner.With("me", "")); err != nil {
				return nil, err
			}
			cs, err := inner.Open(ctx, conn, rpctest.Chat)
			if err != nil {
				return nil, err
			}
			if err := cs.RecvMsg(inner.New().Message); !errors.Is(err, io.EOF) {
				return nil, err
			}
			req.SetText("text", id)
			return req, nil
		}
		ctx := metadata.AppendToOutgoingContext(outer.as(t, auth.RoleLearner), "idempotency-key", "only for the first")
		got, err := outer.Call(ctx, outer.server.InProcess("gateway"), rpctest.Everyone, outer.New())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if seen.Subject != "ada" || seen.Service != "progress" || id != got.Text("text") || md.Get("idempotency-key") != nil {
			t.Errorf("%s: %+v, request %s of %s, %v", name, seen, id, got.Text("text"), md)
		}
		if _, err := inner.Call(t.Context(), conn, rpctest.Internal, inner.New()); err != nil {
			t.Errorf("%s: a service without a user: %v", name, err)
		}
	}
}

func TestHealth(t *testing.T) {
	h := newHarness(t)
	for name, conn := range map[string]grpc.ClientConnInterface{"in process": h.server.InProcess(""), "network": h.network(t, "gateway")} {
		client := healthv1.NewHealthClient(conn)
		for _, service := range []string{"", "preceptor.test.v1.EchoService"} {
			got, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
			if err != nil || got.GetStatus() != healthv1.HealthCheckResponse_SERVING {
				t.Errorf("%s: %q: %v %v", name, service, got, err)
			}
		}
		for _, c := range []struct {
			ok, whole    bool
			server, rest healthv1.HealthCheckResponse_ServingStatus
		}{
			{false, true, healthv1.HealthCheckResponse_NOT_SERVING, healthv1.HealthCheckResponse_NOT_SERVING},
			{true, false, healthv1.HealthCheckResponse_SERVING, healthv1.HealthCheckResponse_NOT_SERVING},
			{true, true, healthv1.HealthCheckResponse_SERVING, healthv1.HealthCheckResponse_SERVING},
		} {
			h.server.SetServing(c.ok, c.whole)
			for service, want := range map[string]healthv1.HealthCheckResponse_ServingStatus{"": c.server, rpc.HealthWhole: c.rest} {
				got, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
				if err != nil || got.GetStatus() != want {
					t.Errorf("%s: %q is %v, want %v, %v", name, service, got, want, err)
				}
			}
		}
		h.server.SetServing(true, true)
	}
	if log := h.log.String(); strings.Contains(log, `"level":"INFO"`) || !strings.Contains(log, `"level":"DEBUG"`) {
		t.Errorf("health checks fill the log: %s", log)
	}
}

func TestServerNeedsItsParts(t *testing.T) {
	if _, err := rpc.NewServer(rpc.Options{}); err == nil {
		t.Error("a server without guard was made")
	}
}

func TestShutdownWaitsForCallsAndWhatTheyCall(t *testing.T) {
	h := newHarness(t)
	begun, drained := make(chan struct{}, 2), make(chan struct{})
	h.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		if req.Text("text") == "inner" {
			return req, nil
		}
		begun <- struct{}{}
		<-h.server.Draining()
		<-drained
		return h.Call(ctx, h.server.InProcess("catalog"), rpctest.Everyone, h.With("", "inner"))
	}
	results := make(chan error, 2)
	for _, conn := range []grpc.ClientConnInterface{h.server.InProcess("gateway"), h.network(t, "gateway")} {
		ctx := h.as(t)
		go func() {
			_, err := h.Call(ctx, conn, rpctest.Everyone, h.New())
			results <- err
		}()
	}
	<-begun
	<-begun
	done := make(chan error, 1)
	go func() { done <- h.server.Shutdown(t.Context()) }()
	<-h.server.Draining()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(drained)
	for range 2 {
		if err := <-results; err != nil {
			t.Errorf("a call in flight: %v", err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	_, err := h.Call(h.as(t), h.server.InProcess("gateway"), rpctest.Everyone, h.New())
	wantCode(t, err, codes.Unavailable, errs.ReasonShuttingDown)
	cs, err := h.Open(h.as(t), h.server.InProcess("gateway"), rpctest.Chat)
	if err == nil {
		err = cs.RecvMsg(h.New().Message)
	}
	wantCode(t, err, codes.Unavailable, errs.ReasonShuttingDown)
}

func TestShutdownEndsCallsWhenTimeIsUp(t *testing.T) {
	for _, name := range []string{"in process", "network"} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			conn := h.server.InProcess("gateway")
			if name == "network" {
				conn = h.network(t, "gateway")
			}
			begun := make(chan struct{})
			h.Stream = func(ss grpc.ServerStream) error {
				close(begun)
				<-ss.Context().Done()
				return ss.Context().Err()
			}
			cs := openWatch(h.as(t), t, h, conn)
			<-begun
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			start := testenv.Now()
			if err := h.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if took := testenv.Since(start); took > 900*time.Millisecond {
				t.Errorf("took %s", took)
			}
			if err := cs.RecvMsg(h.New().Message); status.Code(err) != codes.Unavailable {
				t.Errorf("the client: %v", err)
			}
			if err := h.server.Shutdown(t.Context()); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

func TestShutdownLeavesWhoDoesNotEnd(t *testing.T) {
	h := newHarness(t)
	begun, release := make(chan struct{}), make(chan struct{})
	h.Unary = func(context.Context, *rpctest.Echo) (*rpctest.Echo, error) {
		close(begun)
		<-release // deaf to its context
		return h.New(), nil
	}
	go func() { _, _ = h.Call(h.as(t), h.server.InProcess("gateway"), rpctest.Everyone, h.New()) }()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
}

func TestAServiceThatIsNotThere(t *testing.T) {
	lis := must(net.Listen("tcp", "127.0.0.1:0"))
	address := lis.Addr().String()
	_ = lis.Close()
	conn := must(rpc.Dial(address, rpc.DialOptions{}))
	defer func() { _ = conn.Close() }()
	service := must(rpctest.New())
	if _, err := service.Call(t.Context(), conn, rpctest.Everyone, service.New()); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

// goroutines returns the stacks of all.
func goroutines() string {
	text := make([]byte, 1<<20)
	return string(text[:runtime.Stack(text, true)])
}

func TestGoroutinesEnd(t *testing.T) {
	h := newHarness(t)
	conn := h.server.InProcess("gateway")
	if _, err := h.Call(h.as(t), conn, rpctest.Everyone, h.New()); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(goroutines(), "handedConns).Accept") { // the last to start, of those that serve
		time.Sleep(time.Millisecond)
	}
	before := runtime.NumGoroutine()
	for range 100 {
		if _, err := h.Call(h.as(t), conn, rpctest.Everyone, h.New()); err != nil {
			t.Fatal(err)
		}
		cs := openWatch(h.as(t), t, h, conn)
		for err := error(nil); err == nil; {
			err = cs.RecvMsg(h.New().Message)
		}
	}
	for end := testenv.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if testenv.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestPlaintextIsRefusedByATLSServer(t *testing.T) {
	h := newHarness(t)
	conn := must(grpc.NewClient(h.address, grpc.WithTransportCredentials(insecure.NewCredentials())))
	defer func() { _ = conn.Close() }()
	if _, err := h.Call(h.as(t), conn, rpctest.Everyone, h.New()); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

func healthOf(tb testing.TB, h *harness, service string) string {
	tb.Helper()
	answer, err := healthv1.NewHealthClient(h.network(tb, "gateway")).Check(tb.Context(), &healthv1.HealthCheckRequest{Service: service})
	if err != nil {
		tb.Fatal(err)
	}
	return answer.GetStatus().String()
}
