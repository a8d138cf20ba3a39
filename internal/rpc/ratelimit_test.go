package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// limited is a server that lets so many calls through at once, and hardly any more.
func limited(t *testing.T, burst int) (*harness, *bounds.Limiter) {
	t.Helper()
	dir := t.TempDir()
	limiter := bounds.NewLimiter(bounds.RateLimit{PerSecond: 0.001, Burst: burst})
	h := newHarnessAt(t, dir, must(auth.OpenLocalIssuer(dir, testenv.Now)), "127.0.0.1:0", func(_ *harness, o *rpc.Options) { o.Limiter = limiter })
	return h, limiter
}

// bearer is a context with a token.
func bearer(t *testing.T, token string) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

// calls are the kinds of calls: unary, and streams.
func (h *harness) calls(ctx context.Context, conn grpc.ClientConnInterface) map[string]func() error {
	return map[string]func() error{
		"unary": func() error {
			_, err := h.Call(ctx, conn, rpctest.Own, h.With("me", ""))
			return err
		},
		"stream": func() error {
			cs, err := h.Open(ctx, conn, rpctest.Watch)
			if err != nil {
				return err
			}
			return errors.Join(cs.SendMsg(h.With("me", "").Message), cs.CloseSend(), cs.RecvMsg(h.New().Message))
		},
	}
}

// wantLimited holds a refusal to what clients go by.
func wantLimited(t *testing.T, err error) {
	t.Helper()
	wantCode(t, err, codes.ResourceExhausted, errs.ReasonRateLimited)
	if wait := detail[errdetails.RetryInfo](err).GetRetryDelay().AsDuration(); wait <= 0 {
		t.Errorf("the caller may come again after %s", wait)
	}
}

// TestFailuresOfAnAddressAreLimited judges few of its tokens, but those that were valid before.
func TestFailuresOfAnAddressAreLimited(t *testing.T) {
	t.Parallel()
	for kind := range (&harness{}).calls(nil, nil) { //nolint:staticcheck // no call is made
		h, limiter := limited(t, 30)
		conn := h.person(t)
		known, unseen := bearer(t, h.token("ada")), bearer(t, h.token("ben"))
		if err := h.calls(known, conn)[kind](); err != nil {
			t.Fatal(err)
		}
		judged := 0
		for i := range 50 {
			err := h.calls(bearer(t, fmt.Sprint("junk ", i)), conn)[kind]()
			if reasonOf(err) == errs.ReasonTokenInvalid {
				judged++
				continue
			}
			wantLimited(t, err)
		}
		if judged != 3 {
			t.Errorf("%s: of 50 junk tokens %d were judged, of which each counts for ten of thirty", kind, judged)
		}
		wantLimited(t, h.calls(unseen, conn)[kind]())
		wantLimited(t, h.calls(t.Context(), conn)[kind]()) // without any token
		if err := h.calls(known, conn)[kind](); err != nil {
			t.Errorf("%s with a token that was valid before: %v", kind, err)
		}
		for name, own := range map[string]grpc.ClientConnInterface{"in process": h.server.InProcess("gateway"), "a service": h.network(t, "gateway")} {
			if err := h.calls(unseen, own)[kind](); err != nil {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
		}
		if _, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
			t.Errorf("a health check: %v", err)
		}
		if _, err := limiter.Enter("127.0.0.1", "", testenv.Now()); err == nil {
			t.Error("what REST asks is not counted with gRPC")
		}
		h.noErrors(t)
	}
}

// TestValidTokensCostTheirAddressNothing lets a whole hospital behind one address in.
func TestValidTokensCostTheirAddressNothing(t *testing.T) {
	t.Parallel()
	h, limiter := limited(t, 3)
	conn := h.person(t)
	for i := range 20 {
		ctx := bearer(t, h.token(fmt.Sprint("nurse ", i)))
		if _, err := h.Call(ctx, conn, rpctest.Own, h.With("me", "")); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := limiter.Enter("127.0.0.1", "", testenv.Now()); err != nil || v.Left < 2 {
		t.Errorf("their address has %g left, %v", v.Left, err)
	}
}

// TestCallsOfASubjectAreLimited counts them over all tokens and connections, and whatever they may call.
func TestCallsOfASubjectAreLimited(t *testing.T) {
	t.Parallel()
	h, _ := limited(t, 6)
	for range 3 {
		if err := h.calls(bearer(t, h.token("ada")), h.person(t))["stream"](); err != nil {
			t.Fatal(err)
		}
		_, err := h.Call(bearer(t, h.token("ada")), h.person(t), rpctest.Author, h.New())
		wantCode(t, err, codes.PermissionDenied, errs.ReasonRoleRequired)
	}
	for kind, call := range h.calls(bearer(t, h.token("ada")), h.person(t)) {
		err := call()
		wantLimited(t, err)
		if t.Failed() {
			t.Log(kind)
		}
	}
	if err := unsent(bearer(t, h.token("ada")), t, h, h.person(t), rpctest.Own); reasonOf(err) != errs.ReasonRateLimited {
		t.Errorf("a message is waited for: %v", err)
	}
	for _, call := range h.calls(bearer(t, h.token("ben")), h.person(t)) {
		if err := call(); err != nil {
			t.Errorf("another caller: %v", err)
		}
	}
	for range 20 {
		if err := h.calls(bearer(t, h.token("ada")), h.network(t, "gateway"))["unary"](); err != nil {
			t.Fatalf("by way of a service of ours: %v", err)
		}
	}
}
