package rpc

import (
	"context"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
)

// idempotencyKey is the metadata by which a create is made at most once.
const idempotencyKey = "idempotency-key"

// IdempotencyKey returns the caller's key for a call of the method, with the hash of the
// request. It returns the zero Key when the caller sent none, and Invalid for one that is
// not allowed.
func IdempotencyKey(ctx context.Context, method string, req proto.Message) (idem.Key, error) {
	texts := metadata.ValueFromIncomingContext(ctx, idempotencyKey)
	if len(texts) == 0 {
		return idem.Key{}, nil
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return idem.Key{}, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a request cannot be encoded")
	}
	caller, _ := auth.FromContext(ctx)
	return idem.New(caller.ActorID(), method, texts[0], encoded)
}
