package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
)

// received is what rpc.Receive calls.
type received struct {
	opened int
	texts  []string
}

// receive opens a watch, whose messages' first field is read by another message that has it too.
func (r *received) receive(ctx context.Context, h *harness, conn grpc.ClientConnInterface, each func() error) error {
	return rpc.Receive(ctx, conn, rpctest.Watch, h.With("me", "hello").Message, func() { r.opened++ }, func(m *wrapperspb.StringValue) error {
		r.texts = append(r.texts, m.GetValue())
		return each()
	})
}

func goOn() error { return nil }

// send sends messages that name their sequence, after the request was read.
func send(h *harness, ss grpc.ServerStream, n int) error {
	if err := ss.RecvMsg(h.New().Message); err != nil {
		return err
	}
	for i := range n {
		if err := ss.SendMsg(h.With(fmt.Sprint(i), "").Message); err != nil {
			return err
		}
	}
	return nil
}

func parityReceive(t *visit) {
	h, conn := t.harness, t.conn
	var caller auth.Principal
	h.Stream = func(ss grpc.ServerStream) error {
		caller, _ = auth.FromContext(ss.Context())
		return errors.Join(ss.SendHeader(nil), send(h, ss, 3))
	}
	var got received
	if err := got.receive(h.as(t), h, conn, goOn); err != nil || got.opened != 1 || !slices.Equal(got.texts, []string{"0", "1", "2"}) {
		t.Errorf("%v %+v", err, got)
	}
	if caller.Subject != "ada" {
		t.Errorf("called by %+v", caller)
	}

	h.Stream = func(ss grpc.ServerStream) error { return send(h, ss, 0) }
	got = received{}
	if err := got.receive(h.as(t), h, conn, goOn); err != nil || len(got.texts) > 0 {
		t.Errorf("a stream of nothing: %v %+v", err, got)
	}
}

func parityReceiveFailures(t *visit) {
	h, conn := t.harness, t.conn
	h.Stream = func(ss grpc.ServerStream) error {
		return errors.Join(send(h, ss, 1), errs.New(errs.Unavailable, "MOVED", "elsewhere"))
	}
	var got received
	wantCode(t, got.receive(t.Context(), h, conn, goOn), codes.Unauthenticated, errs.ReasonTokenMissing)
	if got.opened > 0 {
		t.Error("a refused stream is open")
	}
	wantCode(t, got.receive(h.as(t), h, conn, goOn), codes.Unavailable, "MOVED")
	if got.opened != 1 || len(got.texts) != 1 {
		t.Errorf("before it failed: %+v", got)
	}
	h.Stream = func(grpc.ServerStream) error { panic("secret insides") }
	wantCode(t, got.receive(h.as(t), h, conn, goOn), codes.Internal, errs.ReasonInternal)
	if log := h.log.String(); !strings.Contains(log, "secret insides") {
		t.Errorf("log: %s", log)
	}
}

// parityReceiveEnds ends streams from the caller's side.
func parityReceiveEnds(t *visit) {
	h, conn := t.harness, t.conn
	ended := make(chan error, 1)
	h.Stream = func(ss grpc.ServerStream) error {
		err := send(h, ss, 1)
		for err == nil {
			err = ss.SendMsg(h.New().Message)
		}
		ended <- err
		return err
	}
	enough := errors.New("enough")
	var got received
	if err := got.receive(h.as(t), h, conn, func() error { return enough }); !errors.Is(err, enough) || len(got.texts) != 1 {
		t.Errorf("what the receiver returned: %v %+v", err, got)
	}
	if err := <-ended; err == nil {
		t.Error("the service went on")
	}

	h.Stream = func(ss grpc.ServerStream) error {
		if err := send(h, ss, 1); err != nil {
			return err
		}
		<-ss.Context().Done()
		ended <- context.Cause(ss.Context())
		return nil // as one that ends in order when nobody listens
	}
	ctx, cancel := context.WithCancel(h.as(t))
	wantCode(t, got.receive(ctx, h, conn, func() error { cancel(); return nil }), codes.Canceled, "")
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the service saw %v", err)
	}
	wantCode(t, got.receive(ctx, h, conn, goOn), codes.Canceled, "")
	if h.log.String() == "" || strings.Contains(h.log.String(), `"level":"ERROR"`) {
		t.Errorf("log: %s", h.log)
	}
}

// TestReceiveKnowsNothingOfItsCaller: the service's context has none of the values of the caller's.
func TestReceiveKnowsNothingOfItsCaller(t *testing.T) {
	t.Parallel()
	type secret struct{}
	h := newHarness(t)
	h.Stream = func(ss grpc.ServerStream) error {
		if ss.Context().Value(secret{}) != nil {
			t.Error("a value of the caller's is the service's")
		}
		return send(h, ss, 1)
	}
	var got received
	err := got.receive(context.WithValue(h.as(t), secret{}, "x"), h, h.server.InProcess("gateway"), goOn)
	if err != nil || got.opened != 1 || len(got.texts) != 1 {
		t.Errorf("%v %+v", err, got)
	}
}

// TestUnaryCallsAreServedByTheirCaller: in process, a unary call needs no goroutine, and its handler knows
// nothing of its caller's context but when it ends.
func TestUnaryCallsAreServedByTheirCaller(t *testing.T) {
	t.Parallel()
	type secret struct{}
	h := newHarness(t)
	h.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		if ctx.Value(secret{}) != nil {
			t.Error("a value of the caller's is the service's")
		}
		if stack := string(debug.Stack()); !strings.Contains(stack, "TestUnaryCallsAreServedByTheirCaller(") {
			t.Errorf("served on a goroutine of its own: %s", stack)
		}
		return req, nil
	}
	if _, err := h.Call(context.WithValue(h.as(t), secret{}, "x"), h.server.InProcess("gateway"), rpctest.Everyone, h.New()); err != nil {
		t.Error(err)
	}
}
