// Package feed is how a service passes its numbered changes to another one, over a gRPC stream: the
// changes after the cursor that the reader has reached, page by page, and last a marker with the
// cursor reached. A reader that misses the marker knows that it has not seen all.
package feed

import (
	"context"
	"errors"
	"io"
	"strconv"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Metadata with the number of a change. A response carries the one that its write made, or found; a
// request, with min, the one that its client has seen, which the server's copy must have reached.
const (
	CatalogRevision    = "preceptor-catalog-revision"
	MinCatalogRevision = "preceptor-min-catalog-revision"
	ProfileRevision    = "preceptor-profile-revision"
	MinProfileRevision = "preceptor-min-profile-revision"
)

// Revision returns the highest number among the values of one of these names; 0 without any.
func Revision(values []string) int64 {
	var highest int64
	for _, value := range values {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			highest = max(highest, n)
		}
	}
	return highest
}

// Source has the changes that a feed is made of, as messages M of the stream.
type Source[M any] interface {
	// Page returns the changes after a cursor, oldest first, the cursor that they reach, and whether
	// others may follow. With more, the cursor returned is higher than the one given. After a cursor
	// that is ahead of the source it returns nothing, and the source's newest cursor.
	Page(ctx context.Context, after int64) (changes []*M, cursor int64, more bool, err error)
	// Marker returns the message that ends a stream.
	Marker(cursor int64) *M
}

// Send sends every change that source has after a cursor, and the marker. It returns the errors of
// the source and of the stream as they are.
func Send[M any](stream grpc.ServerStreamingServer[M], after int64, source Source[M]) error {
	for more := true; more; {
		var changes []*M
		var err error
		if changes, after, more, err = source.Page(stream.Context(), after); err != nil {
			return err
		}
		for _, change := range changes {
			if err := stream.Send(change); err != nil {
				return err
			}
		}
	}
	return stream.Send(source.Marker(after))
}

// Origin is the service that a feed comes from, as the sentences of errors begin: "the catalog".
type Origin string

// Open is the method of a generated client that opens a feed's stream for a request R.
type Open[R, M any] func(ctx context.Context, req *R, opts ...grpc.CallOption) (grpc.ServerStreamingClient[M], error)

// Receive reads a stream to its end, and passes each message to take, which reports whether it was
// the marker. It returns Unavailable when the stream fails, or ends without a marker, and take's
// error as it is: what came until then must not count.
func Receive[R, M any](ctx context.Context, from Origin, open Open[R, M], req *R, take func(*M) (marker bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx) // ends the stream when take fails
	defer cancel()
	stream, err := open(ctx, req)
	if err != nil {
		return from.unreachable(err)
	}
	for complete := false; ; {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && complete:
			return nil
		case errors.Is(err, io.EOF):
			return errs.New(errs.Unavailable, errs.ReasonUpstreamUnavailable, "%s's answer ended early", from)
		case err != nil:
			return from.unreachable(err)
		}
		marker, err := take(m)
		if err != nil {
			return err
		}
		complete = complete || marker
	}
}

func (o Origin) unreachable(err error) error {
	return errs.Wrap(err, errs.Unavailable, errs.ReasonUpstreamUnavailable, "%s cannot be reached", o)
}
