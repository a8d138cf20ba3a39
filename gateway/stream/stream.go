// Package stream serves a gRPC stream over HTTP, as server-sent events or as a line of JSON for each
// message. A silent stream gets heartbeats, a reader that does not read is dropped, and all streams
// end when the server closes.
package stream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// opensWithin is how long the service may take to open a stream before the
// response begins: an error after that is part of the stream.
const opensWithin = 2 * time.Second

// errClosing is the error of a stream that the closing server cannot serve.
var errClosing = errs.New(errs.Unavailable, errs.ReasonShuttingDown, "the server is stopping; try again")

// Config is what a server needs.
type Config struct {
	// Heartbeat is the interval of heartbeats on a silent stream.
	Heartbeat time.Duration
	// SlowReader is how long a reader may take over one message before it is dropped.
	SlowReader time.Duration
	// Marshal returns a message as JSON without line ends.
	Marshal func(message any) ([]byte, error)
	// Fail writes the error of a stream that has not opened.
	Fail func(http.ResponseWriter, *http.Request, error)
	// Problem returns the error of an open stream as JSON without line ends.
	Problem func(*http.Request, error) []byte
}

// Server serves streams.
type Server struct {
	config  Config
	heart   *heart
	closing chan struct{}
	close   sync.Once
}

// NewServer returns a server, which is to be closed.
func NewServer(config Config) *Server {
	s := &Server{config: config, heart: newHeart(config.Heartbeat), closing: make(chan struct{})}
	go s.heart.run(s.closing)
	return s
}

// Close ends the open streams and refuses new ones. It may be called more than once.
func (s *Server) Close() { s.close.Do(func() { close(s.closing) }) }

// Closed reports whether Close has been called.
func (s *Server) Closed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// Open returns how many streams are open.
func (s *Server) Open() int { return s.heart.count() }

// Form is how one stream is served.
type Form struct {
	// Endless is a stream that goes on until somebody ends it. It is open once the service's header
	// has come, and its end asks the reader to connect again. Any other stream is open once its
	// first message has come, and reports an error when the server closes before its end.
	Endless bool
	// Lines asks for lines of JSON instead of server-sent events.
	Lines bool
	// HeaderOnly ends the response after its header, for a HEAD request.
	HeaderOnly bool
	// Event returns the name of a message's event, "" for the default, and its id. Lines need none.
	Event func(message proto.Message) (name, id string)
}

// message is a proto message by its struct.
type message[T any] interface {
	*T
	proto.Message
}

// Serve calls a service and writes what it sends until either side ends it. What fails before the
// stream is open is an ordinary error response.
func Serve[T any, M message[T]](
	s *Server, w http.ResponseWriter, r *http.Request, form Form, call func(context.Context) (grpc.ServerStreamingClient[T], error),
) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	source, err := call(ctx)
	if err != nil {
		s.config.Fail(w, r, err)
		return
	}
	received := receive[T, M](ctx, source, form.Endless)
	first, err := s.first(ctx, received)
	if err != nil {
		s.config.Fail(w, r, err)
		return
	}
	s.write(newWriter(s.config, w, r, form), first, received)
}

// write writes what arrives. Only this goroutine writes, so nothing is locked.
func (s *Server) write(out *writer, next arrival, received <-chan arrival) {
	if out.open() != nil || out.form.HeaderOnly {
		return
	}
	closed := arrival{err: errClosing}
	if out.form.Endless {
		closed.err = io.EOF
	}
	beats, leave := s.heart.join()
	defer leave()
	for out.write(next) {
		select {
		case next = <-received:
		case <-beats:
			next = arrival{beat: true}
		case <-s.closing:
			next = closed
		case <-out.request.Context().Done():
			return
		}
	}
}

// arrival is what a stream brings: a message, its end as an error, a heartbeat, or, with none of
// them, that it is open.
type arrival struct {
	message proto.Message
	err     error
	beat    bool
}

// receive reads the stream until it ends or ctx does.
func receive[T any, M message[T]](ctx context.Context, source grpc.ServerStreamingClient[T], endless bool) <-chan arrival {
	arrivals := make(chan arrival)
	pass := func(a arrival) bool {
		select {
		case arrivals <- a:
			return a.err == nil
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		if endless {
			// A stream that fails before its header has none: Recv returns the error.
			header, err := source.Header()
			if (err != nil || header != nil) && !pass(arrival{err: err}) {
				return
			}
		}
		for {
			m, err := source.Recv()
			a := arrival{err: err}
			if err == nil {
				a.message = M(m)
			}
			if !pass(a) {
				return
			}
		}
	}()
	return arrivals
}

// first waits until the stream is open and returns what came with it. One that takes long is
// taken for open: a service refuses a call at once.
func (s *Server) first(ctx context.Context, received <-chan arrival) (arrival, error) {
	if s.Closed() { // a stream that opened now would close at once
		return arrival{}, errClosing
	}
	patience := time.NewTimer(opensWithin)
	defer patience.Stop()
	select {
	case a := <-received:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return arrival{}, a.err
		}
		return a, nil
	case <-patience.C:
		return arrival{}, nil
	case <-s.closing:
		return arrival{}, errClosing
	case <-ctx.Done():
		return arrival{}, ctx.Err()
	}
}
