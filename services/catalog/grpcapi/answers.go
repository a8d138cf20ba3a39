package grpcapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

const (
	// answersBytes is how much of answers is held in memory.
	answersBytes = 8 << 20
	// answersFor is how long an answer is held; what changes is another answer anyway.
	answersFor = time.Hour
)

// answer is a response in its encoded form, with its etag without quotes.
type answer struct {
	body []byte
	etag string
}

// answers are the responses of states of the catalog.
type answers struct{ by *cache.LRU[answer] }

func newAnswers(now func() time.Time) answers {
	return answers{cache.NewLRU[answer](answersBytes, now)}
}

// answer puts into resp the response to a request that only reads, as it is encoded; or nothing if the caller has it.
// It depends on the request, on the state of the catalog, and on whether the caller is an editor: so it is made once
// for each of them. The state is read first, and each time: what is made after that may be newer, and never older.
// build makes the response; etag is "" for that of its content.
func (s *Server) answer(ctx context.Context, req, resp proto.Message, build func() (made proto.Message, etag string, err error)) error {
	state, err := s.service.State(ctx)
	if err != nil {
		return err
	}
	key, err := answerKey(ctx, state, req)
	if err != nil {
		return err
	}
	a, ok := s.answers.by.Get(key)
	if !ok {
		made, etag, err := build()
		if err != nil {
			return err
		}
		if a, err = encode(made, etag); err != nil {
			return err
		}
		s.answers.by.Set(key, a, int64(len(a.body)+len(a.etag)), answersFor)
	}
	if slices.Contains(rpc.Known(ctx), a.etag) {
		return rpc.Unchanged(ctx, a.etag)
	}
	rpc.Encoded(resp, a.body)
	return grpc.SetHeader(ctx, metadata.Pairs("etag", strconv.Quote(a.etag)))
}

// answerKey names the answer to a request in a state of the catalog.
func answerKey(ctx context.Context, state string, req proto.Message) (string, error) {
	key := append(make([]byte, 0, 256), req.ProtoReflect().Descriptor().FullName()...)
	key = append(strconv.AppendBool(append(key, 0), isEditor(ctx)), 0)
	key = append(append(key, state...), 0)
	key, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(key, req)
	return string(key), err
}

func encode(made proto.Message, etag string) (answer, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(made)
	if err != nil {
		return answer{}, err
	}
	if etag == "" {
		sum := sha256.Sum256(body)
		etag = hex.EncodeToString(sum[:8])
	}
	return answer{body, etag}, nil
}
