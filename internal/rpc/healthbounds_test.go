package rpc_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// check is a health check of somebody else.
func (h *harness) check(t *testing.T) error {
	t.Helper()
	_, err := healthv1.NewHealthClient(h.person(t)).Check(t.Context(), &healthv1.HealthCheckRequest{})
	return err
}

// openChecks opens checks and sends no message.
func openChecks(t *testing.T, conn grpc.ClientConnInterface, n int) (opened []grpc.ClientStream) {
	t.Helper()
	for range n {
		opened = append(opened, must(conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, healthv1.Health_Check_FullMethodName)))
	}
	return opened
}

// TestChecksCannotBeUsedUp lets a health check through, whatever others hold open.
func TestChecksCannotBeUsedUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range 64 { // all streams that there are without a token
		conn := h.person(t)
		for range 16 {
			if _, err := watchHealth(t.Context(), conn, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := h.check(t); err != nil {
		t.Errorf("beside all watches: %v", err)
	}
	// One too many of a connection is refused at once, and those too many of all, the oldest, when others come.
	refused := make(chan error, 17+64*16)
	open := func(n int) {
		for _, c := range openChecks(t, h.person(t), n) {
			go func() { refused <- c.RecvMsg(&healthv1.HealthCheckResponse{}) }()
		}
	}
	open(17)
	wantCode(t, <-refused, codes.ResourceExhausted, errs.ReasonTooManyStreams)
	for range 64 {
		open(16)
	}
	for range 16 {
		wantCode(t, <-refused, codes.ResourceExhausted, errs.ReasonTooManyStreams)
	}
	for range 20 {
		if err := h.check(t); err != nil {
			t.Errorf("beside checks that are held open: %v", err)
		}
	}
	h.noErrors(t)
}

// TestDrainsEndWatches waits for nobody who watches the health.
func TestDrainsEndWatches(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var watches []healthv1.Health_WatchClient
	for _, conn := range []grpc.ClientConnInterface{h.server.InProcess("gateway"), h.network(t, "gateway"), h.person(t)} {
		watch := must(healthv1.NewHealthClient(conn).Watch(t.Context(), &healthv1.HealthCheckRequest{}))
		if first := must(watch.Recv()); first.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("%v", first)
		}
		watches = append(watches, watch)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := h.server.Shutdown(ctx); err != nil { // an error if calls had to be ended
		t.Error(err)
	}
	for i, watch := range watches {
		var err error
		for err == nil { // the last status may come before the end
			_, err = watch.Recv()
		}
		wantCode(t, err, codes.Unavailable, errs.ReasonShuttingDown)
		if t.Failed() {
			t.Log(i)
		}
	}
}
