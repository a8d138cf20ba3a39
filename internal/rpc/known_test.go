package rpc_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
)

// parityEncoded: what a service sends as it was encoded is decoded when it arrives, beside what it sets itself, and
// can be sent again; and what a caller knows of answers reaches the service, as its word on them the caller.
func parityEncoded(t *visit) {
	h, conn := t.harness, t.conn
	whole := h.With("", "encoded")
	whole.Append("items", h.With("", "item"))
	body := must(proto.Marshal(whole))
	h.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		out := h.New()
		if known := rpc.Known(ctx); len(known) > 0 {
			return out, rpc.Unchanged(ctx, known[len(known)-1], "more", "yes")
		}
		rpc.Encoded(out, body)
		out.SetText("learner_id", req.Text("text"))
		return out, nil
	}
	for range 2 {
		got, err := h.Call(h.as(t), conn, rpctest.Everyone, h.With("", "set"))
		if err != nil {
			t.Fatal(err)
		}
		want := h.With("set", "encoded")
		want.Append("items", h.With("", "item"))
		if !proto.Equal(got.Message, want.Message) || len(got.GetUnknown()) > 0 {
			t.Errorf("got %v with %d bytes unread, want %v", got, len(got.GetUnknown()), want)
		}
	}
	var header metadata.MD
	ctx := metadata.AppendToOutgoingContext(h.as(t), rpc.KnownKey, "a", rpc.KnownKey, "b")
	got, err := h.Call(ctx, conn, rpctest.Everyone, h.New(), grpc.Header(&header))
	if err != nil || proto.Size(got.Message) > 0 || !slices.Equal(header.Get(rpc.UnchangedKey), []string{"b"}) || !slices.Equal(header.Get("more"), []string{"yes"}) {
		t.Errorf("%v %v %v", got, header, err)
	}
}

func TestKnownIsBounded(t *testing.T) {
	t.Parallel()
	md := metadata.MD{}
	for range 100 {
		md.Append(rpc.KnownKey, "x")
	}
	if n := len(rpc.Known(metadata.NewIncomingContext(t.Context(), md))); n != rpc.MaxKnown {
		t.Errorf("%d names", n)
	}
}
