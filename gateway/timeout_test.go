package gateway_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/gateway"
)

// TestGrpcTimeout: a client's own limit counts for those who are known, is never so short that nothing could
// be served, and is no fault of the server when it passes, neither in the log nor in the metrics.
func TestGrpcTimeout(t *testing.T) {
	observed := make(chan int, 100)
	h := open(t, func(c *gateway.Config) {
		c.Observe = func(_, _ string, status int, _ time.Duration) { observed <- status }
	})
	counted := func(want int) {
		t.Helper()
		if got := <-observed; got != want {
			t.Errorf("counted as %d, want %d", got, want)
		}
	}
	h.on(getModule, func(ctx context.Context, _ proto.Message) (proto.Message, error) {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	})
	const path = "/v1/modules/a"
	h.get(t, path, "Authorization", "", "Grpc-Timeout", "1n").wantProblem(t, 401, "TOKEN_MISSING")
	counted(401)
	for _, malformed := range []string{"soon", "1", "n", "", "-1S", "1s", "123456789S", "1.5S", "1SS", " "} {
		h.get(t, path, "Grpc-Timeout", malformed).wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, "Grpc-Timeout MALFORMED")
		counted(400)
	}
	if h.count() != 0 {
		t.Fatalf("%d calls", h.count())
	}
	for _, short := range []string{"1n", "0S", "5000u"} {
		h.get(t, path, "Grpc-Timeout", short).wantProblem(t, 504, "DEADLINE_EXCEEDED")
		counted(408)
	}
	h.get(t, path, "Grpc-Timeout", "30m").wantProblem(t, 504, "DEADLINE_EXCEEDED")
	counted(408)
	for _, bad := range []string{`"level":"ERROR"`, `"level":"WARN"`} {
		if strings.Contains(h.log.String(), bad) {
			t.Errorf("a client's own limit is a fault of the server: %s", h.log.String())
		}
	}
	// A limit that overflows is a long one.
	h.fails(getModule, status.Error(codes.NotFound, "none"))
	if a := h.get(t, path, "Grpc-Timeout", "99999999H"); a.status != 404 {
		t.Errorf("%+v", a)
	}
	counted(404)
	// One that the server runs into by itself is its fault.
	h.fails(getModule, status.Error(codes.DeadlineExceeded, "slow"))
	h.get(t, path, "Grpc-Timeout", "1H").wantProblem(t, 504, "DEADLINE_EXCEEDED")
	counted(504)
	if !strings.Contains(h.log.String(), `"level":"ERROR"`) {
		t.Error("nothing is logged")
	}
}
