package rpc_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
)

const (
	decomposed = "Zoe\u0308"
	composed   = "Zo\u00eb"
)

// parityNormalize: services get texts in NFC, wherever in a request they are; what programs write stays, and
// so does the sender's message.
func parityNormalize(v *visit) {
	h := v.harness
	fill := func(text string) *rpctest.Echo {
		part := func() *rpctest.Echo {
			m := h.With("", text)
			m.SetLabel("key "+decomposed, text)
			return m
		}
		m := part()
		m.SetText("learner_id", adaID)
		deep := part()
		deep.SetPatch(part())
		m.Append("items", deep)
		m.Append("events", part())
		m.SetPatch(part())
		return m
	}
	var got *rpctest.Echo
	h.Unary = func(_ context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		got = &rpctest.Echo{Message: req.Message}
		return h.New(), nil
	}
	sent, want := fill(decomposed), fill(composed)
	if _, err := h.Call(h.as(v), v.conn, rpctest.Everyone, sent); err != nil {
		v.Fatal(err)
	}
	if !proto.Equal(got.Message, want.Message) {
		v.Errorf("got  %v\nwant %v", got.Message, want.Message)
	}
	if !proto.Equal(sent.Message, fill(decomposed).Message) {
		v.Errorf("the sender's message became %v", sent.Message)
	}

	// Lengths are those of the composed text: 100,000 characters and no more.
	long := h.With("me", strings.Repeat("e\u0301", 100_000))
	if _, err := h.Call(h.as(v), v.conn, rpctest.Everyone, long); err != nil {
		v.Error(err)
	}
	long.SetText("text", long.Text("text")+"x")
	if _, err := h.Call(h.as(v), v.conn, rpctest.Everyone, long); reasonOf(err) != errs.ReasonInvalidArgument {
		v.Errorf("got %v", err)
	}
}

// parityNormalizeStream is parityNormalize for a stream of requests.
func parityNormalizeStream(v *visit) {
	h := v.harness
	var got []string
	h.Stream = func(ss grpc.ServerStream) error {
		req := h.New()
		for ss.RecvMsg(req.Message) == nil {
			got = append(got, req.Text("text"))
		}
		return ss.SendMsg(h.New().Message)
	}
	stream, err := h.Open(h.as(v), v.conn, rpctest.Upload)
	if err != nil {
		v.Fatal(err)
	}
	for range 2 {
		if err := stream.SendMsg(h.With("me", decomposed).Message); err != nil {
			v.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		v.Fatal(err)
	}
	if err := stream.RecvMsg(h.New().Message); err != nil {
		v.Fatal(err)
	}
	if !slices.Equal(got, []string{composed, composed}) {
		v.Errorf("got %+q", got)
	}
}

func TestNormalizedFields(t *testing.T) {
	got := rpc.NormalizedFields(must(rpctest.New()).New().Descriptor())
	if want := []string{"text", "labels"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
