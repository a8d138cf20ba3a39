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

// ReplayedKey is the metadata of a response that is the stored one of an earlier create with the same key.
const ReplayedKey = "idempotency-replayed"

// MarkReplayed adds to a response's metadata whether it is the stored one of an earlier create.
func MarkReplayed(md metadata.MD, replayed bool) metadata.MD {
	if replayed {
		md.Set(ReplayedKey, "true")
	}
	return md
}

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
