package rpc_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// repeating is a connection that knows which of the test service's methods may be repeated.
func (h *harness) repeating(tb testing.TB, address string) *grpc.ClientConn {
	tb.Helper()
	conn := must(rpc.Dial(address, rpc.DialOptions{
		TLS: must(rpc.LocalPKI(h.dir, "gateway", testenv.Now)).ClientTLS("catalog"), Files: h.Files(),
	}))
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestOnlyWhatMayBeRepeatedIs(t *testing.T) {
	h := newHarness(t)
	conn := h.repeating(t, h.address)
	for name, test := range map[string]struct {
		method string
		key    bool
		fault  errs.Kind
		calls  int
		code   codes.Code
	}{
		"idempotent":                 {method: rpctest.Everyone, fault: errs.Unavailable, calls: 3},
		"idempotent, another fault":  {method: rpctest.Everyone, fault: errs.Aborted, calls: 1, code: codes.Aborted},
		"a create with its key":      {method: rpctest.Author, key: true, fault: errs.Unavailable, calls: 3},
		"a create without":           {method: rpctest.Author, fault: errs.Unavailable, calls: 1, code: codes.Unavailable},
		"nothing known, with a key":  {method: rpctest.Own, key: true, fault: errs.Unavailable, calls: 1, code: codes.Unavailable},
		"a create, another fault":    {method: rpctest.Author, key: true, fault: errs.Aborted, calls: 1, code: codes.Aborted},
		"a create that stays absent": {method: rpctest.Author, key: true, fault: errs.Unavailable, calls: 4, code: codes.Unavailable},
	} {
		calls := 0
		h.Unary = func(_ context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
			if calls++; calls < 3 || test.calls == 4 {
				return nil, errs.New(test.fault, "BUSY", "try again")
			}
			return req, nil
		}
		ctx := h.as(t, auth.RoleAdmin)
		if test.key {
			ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", "k")
		}
		if _, err := h.Call(ctx, conn, test.method, h.New()); status.Code(err) != test.code || calls != test.calls {
			t.Errorf("%s: %d calls, %v", name, calls, err)
		}
	}
}

// TestWhatFailedBelowIsNotRepeatedAbove holds a chain of services to a few calls at its
// end, where each that repeats what another repeated already would multiply them.
func TestWhatFailedBelowIsNotRepeatedAbove(t *testing.T) {
	dir := t.TempDir()
	issuer := must(auth.OpenLocalIssuer(dir, testenv.Now))
	outer, inner := newHarnessIn(t, dir, issuer), newHarnessIn(t, dir, issuer)
	var above, below atomic.Int32
	inner.Unary = func(context.Context, *rpctest.Echo) (*rpctest.Echo, error) {
		below.Add(1)
		return nil, errs.New(errs.Unavailable, "BUSY", "try again")
	}
	down := inner.repeating(t, inner.address)
	outer.Unary = func(ctx context.Context, _ *rpctest.Echo) (*rpctest.Echo, error) {
		above.Add(1)
		_, err := inner.Call(ctx, down, rpctest.Everyone, inner.New())
		return nil, err
	}
	_, err := outer.Call(outer.as(t), outer.repeating(t, outer.address), rpctest.Everyone, outer.New())
	wantCode(t, err, codes.Unavailable, "BUSY")
	if above.Load() != 1 || below.Load() != 4 {
		t.Errorf("%d calls above, %d below", above.Load(), below.Load())
	}
}

func TestWhatIsLeftOfADeadlineTravels(t *testing.T) {
	dir := t.TempDir()
	issuer := must(auth.OpenLocalIssuer(dir, testenv.Now))
	outer, inner := newHarnessIn(t, dir, issuer), newHarnessIn(t, dir, issuer)
	for name, conn := range map[string]grpc.ClientConnInterface{
		"in process": inner.server.InProcess("progress"), "network": inner.network(t, "progress"),
	} {
		var left time.Duration
		inner.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
			left, _ = testenv.TimeLeft(ctx)
			return req, nil
		}
		outer.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
			return inner.Call(ctx, conn, rpctest.Everyone, inner.With("", req.Text("text")))
		}
		for asked, limit := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, 0: rpc.DefaultDeadline} {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+must(issuer.Mint("ada", nil, "", time.Hour)))
			if asked > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, asked)
				defer cancel()
			}
			if _, err := outer.Call(ctx, outer.network(t, "gateway"), rpctest.Everyone, outer.New()); err != nil {
				t.Fatal(err)
			}
			// A busy machine may take a while to begin.
			if left < limit/2 || left > limit {
				t.Errorf("%s: %s asked for, %s at the end of the chain", name, asked, left)
			}
		}
	}
}

func TestReflectionIsOfferedWhenAskedFor(t *testing.T) {
	for _, offered := range []bool{true, false} {
		dir := t.TempDir()
		h := newHarnessAt(t, dir, must(auth.OpenLocalIssuer(dir, testenv.Now)), "127.0.0.1:0", func(_ *harness, o *rpc.Options) { o.Reflection = offered })
		stream := must(reflectionv1.NewServerReflectionClient(h.network(t, "gateway")).ServerReflectionInfo(t.Context()))
		_ = stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
		answer, err := stream.Recv()
		if offered && (err != nil || len(answer.GetListServicesResponse().GetService()) < 3) {
			t.Errorf("%v %v", answer, err)
		}
		if !offered && status.Code(err) != codes.Unimplemented {
			t.Errorf("without being asked: %v", err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"", "catalog", "a:1,", ":7001", "a:1,b"} {
		if _, err := rpc.Dial(bad, rpc.DialOptions{}); err == nil {
			t.Errorf("%q was taken for addresses", bad)
		}
	}
}

// replicas are servers behind one list of addresses.
type replicas struct {
	*testing.T

	issuer  *auth.LocalIssuer
	dir     string
	served  [2]atomic.Int64
	current [2]*harness
}

// open starts a replica, where it was before.
func (r *replicas) open(i int, address string) {
	r.Helper()
	r.served[i].Store(0)
	r.current[i] = newHarnessAt(r.T, r.dir, r.issuer, address, func(h *harness, _ *rpc.Options) {
		h.Unary = func(_ context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
			r.served[i].Add(1)
			time.Sleep(time.Millisecond) // so that calls are in flight when it stops
			return req, nil
		}
	})
}

// awaitCalls returns when the replica has its share.
func (r *replicas) awaitCalls(i int) {
	r.Helper()
	for end := testenv.Now().Add(10 * time.Second); r.served[i].Load() < 20; time.Sleep(time.Millisecond) {
		if testenv.Now().After(end) {
			r.Fatalf("replica %d gets no calls", i)
		}
	}
}

// TestRollingRestart restarts two replicas, one after the other, in good order and by
// killing them, under clients who see nothing of it.
func TestRollingRestart(t *testing.T) {
	dir := t.TempDir()
	r := &replicas{T: t, dir: dir, issuer: must(auth.OpenLocalIssuer(dir, testenv.Now))}
	for i, port := range testenv.Ports(t, len(r.current)) {
		r.open(i, fmt.Sprintf("127.0.0.1:%d", port))
	}
	first := r.current[0]
	conn := first.repeating(t, r.current[0].address+", "+r.current[1].address)
	ctx, stop := context.WithCancel(first.as(t))
	var clients sync.WaitGroup
	var calls, failed atomic.Int64
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				_, err := first.Call(context.WithoutCancel(ctx), conn, rpctest.Everyone, first.New())
				calls.Add(1)
				if err != nil {
					failed.Add(1)
					t.Errorf("a call failed: %v", err)
					return
				}
			}
		})
	}
	for _, patience := range []time.Duration{5 * time.Second, 0} {
		for i, old := range r.current {
			r.awaitCalls(0)
			r.awaitCalls(1)
			limit, cancel := context.WithTimeout(t.Context(), patience)
			old.server.Retire()
			if err := old.server.Shutdown(limit); err != nil && patience > 0 {
				t.Error(err)
			}
			cancel()
			r.open(i, old.address)
		}
	}
	r.awaitCalls(1)
	stop()
	clients.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d calls failed", failed.Load(), calls.Load())
	}
}

func TestRetiredServersSaySo(t *testing.T) {
	h := newHarness(t)
	h.server.SetServing(true, true)
	h.server.Retire()
	h.server.SetServing(true, true) // a ticker that comes too late
	for _, service := range []string{"", "preceptor.test.v1.EchoService"} {
		if got := healthOf(t, h, service); got != "NOT_SERVING" {
			t.Errorf("%q is %s", service, got)
		}
	}
	if _, err := h.Call(h.as(t), h.network(t, "gateway"), rpctest.Everyone, h.New()); err != nil {
		t.Errorf("a call before the end: %v", err)
	}
}
