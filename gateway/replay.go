package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// verifyProgress serves progress:verify.
func (g *Gateway) verifyProgress(w http.ResponseWriter, r *http.Request) {
	req := &progressv1.VerifyProgressRequest{}
	serveLines(g, w, r, req, func(ctx context.Context) (grpc.ServerStreamingClient[progressv1.VerifyProgressResponse], error) {
		return g.progress.VerifyProgress(ctx, req)
	})
}

// rebuildProgress serves progress:rebuild.
func (g *Gateway) rebuildProgress(w http.ResponseWriter, r *http.Request) {
	req := &progressv1.RebuildProgressRequest{}
	serveLines(g, w, r, req, func(ctx context.Context) (grpc.ServerStreamingClient[progressv1.RebuildProgressResponse], error) {
		return g.progress.RebuildProgress(ctx, req)
	})
}

// message is a proto message by its struct.
type message[T any] interface {
	*T
	proto.Message
}

// serveLines answers with a line of JSON for each message of a stream, as it comes, for as long as
// that takes: {"result":…}, or {"error":…} in the end. What fails before the first message is an
// ordinary answer. The reader's going away ends the call.
func serveLines[T any, M message[T]](
	g *Gateway, w http.ResponseWriter, r *http.Request, req proto.Message, call func(context.Context) (grpc.ServerStreamingClient[T], error),
) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	ctx, err := g.outgoing(ctx, r)
	if err == nil {
		err = readLineRequest(r, req)
	}
	if err != nil {
		g.fail(w, r, err)
		return
	}
	stream, err := call(ctx)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	lines := receiveLines[T, M](ctx, stream)
	first, err := g.firstLine(ctx, lines)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	out := &streamWriter{gateway: g, request: r, w: w, control: http.NewResponseController(w), lines: true}
	if out.open() != nil {
		return
	}
	beats, leave := g.heart.join()
	defer leave()
	for out.line(first) {
		select {
		case first = <-lines:
		case <-beats:
			first = line{}
		case <-g.closing:
			first = line{err: errClosing}
		case <-ctx.Done():
			return
		}
	}
}

// readLineRequest reads the body as the request; no body is an empty one.
func readLineRequest(r *http.Request, req proto.Message) error {
	x := exchangeOf(r)
	if len(x.body) == 0 {
		return nil
	}
	if err := wire.Unmarshal(x.body, req); err != nil {
		return errs.InvalidFields(wire.Diagnose(x.body, x.route.input))
	}
	return nil
}

// line is one line to write: a message, an error that ends the stream, or, with neither, a sign of life.
type line struct {
	message proto.Message
	err     error
}

// receiveLines reads the stream until it ends or ctx does.
func receiveLines[T any, M message[T]](ctx context.Context, stream grpc.ServerStreamingClient[T]) <-chan line {
	lines := make(chan line)
	go func() {
		for {
			m, err := stream.Recv()
			l := line{message: M(m), err: err}
			select {
			case lines <- l:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}

// firstLine waits until it is known that the call was let in. One that takes its time is: the
// service refuses at once.
func (g *Gateway) firstLine(ctx context.Context, lines <-chan line) (line, error) {
	select {
	case <-g.closing:
		return line{}, errClosing
	default:
	}
	patience := time.NewTimer(opensWithin)
	defer patience.Stop()
	select {
	case l := <-lines:
		if l.err != nil && !errors.Is(l.err, io.EOF) {
			return line{}, l.err
		}
		return l, nil
	case <-patience.C:
		return line{}, nil
	case <-g.closing:
		return line{}, errClosing
	case <-ctx.Done():
		return line{}, ctx.Err()
	}
}

// line writes one line, and tells whether to go on.
func (s *streamWriter) line(l line) bool {
	s.buf = s.buf[:0]
	more := true
	switch {
	case errors.Is(l.err, io.EOF):
		more = false
	case l.err != nil:
		more = false
		s.problem(l.err)
	case l.message == nil:
		s.buf = append(s.buf, '\n')
	default:
		more = s.frame("", "", l.message)
	}
	return s.flush() == nil && more
}
