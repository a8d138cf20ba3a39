package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// The metadata by which a caller that has answers asks whether one of them still holds, instead of for the
// answer. A service looks at it last: after the caller was authenticated and admitted, and the request validated.
const (
	// KnownKey has the names of the answers that the caller has: their ETags without quotes, and their validators.
	KnownKey = "preceptor-known"
	// UnchangedKey has, in a response, the one of them that holds for this request and this caller. The
	// message is empty then.
	UnchangedKey = "preceptor-unchanged"
	// ValidatorKey has, in a response, a name of the answer that can be judged for less than its ETag. It is
	// for the gateway, and no client sees it. Without one, the ETag is the name.
	ValidatorKey = "preceptor-validator"
)

// MaxKnown is how many names of answers are looked at; others are not known.
const MaxKnown = 8

// Known returns the names of the answers that the caller has.
func Known(ctx context.Context) []string {
	names := metadata.ValueFromIncomingContext(ctx, KnownKey)
	return names[:min(len(names), MaxKnown)]
}

// Unchanged sets the header that says that the answer of a name still holds, and more in pairs. The call is to
// return an empty message.
func Unchanged(ctx context.Context, name string, more ...string) error {
	return grpc.SetHeader(ctx, metadata.Pairs(append(more, UnchangedKey, name)...))
}

// Encoded puts a message into another of its type as the bytes that it is encoded in, without decoding them:
// over a network they are sent as they are, and whoever receives the message decodes them. A service does so
// with what it has encoded already, and reads none of the fields itself. The bytes must not change afterwards.
func Encoded(into proto.Message, body []byte) {
	into.ProtoReflect().SetUnknown(body)
}
