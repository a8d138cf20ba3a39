// Package stream serves a stream of messages over HTTP, as server-sent events or as a line of JSON for each
// message. A silent stream gets heartbeats, a reader that does not read is dropped, and all streams
// end when the server closes.
//
// A stream without an end takes its connection over from the HTTP server, whose buffers and goroutines for
// it would be most of what it costs.
package stream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// opensWithin is how long the service may take to open a stream before the
// response begins: an error after that is part of the stream.
const opensWithin = 2 * time.Second

// tryAgain is how long a reader waits whom a full server refused: streams last for minutes.
const tryAgain = 5 * time.Second

// errClosing is the error of a stream that the closing server cannot serve.
var errClosing = errs.New(errs.Unavailable, errs.ReasonShuttingDown, "the server is stopping; try again")

// errGone ends a stream that nobody reads.
var errGone = errors.New("stream: the reader has gone")

// Config is what a server needs.
type Config struct {
	// Heartbeat is the interval of heartbeats on a silent stream.
	Heartbeat time.Duration
	// SlowReader is how long a reader may take over one message before it is dropped.
	SlowReader time.Duration
	// MaxStreams is how many streams are served at once, after which one without an end is refused; 0 means
	// any number.
	MaxStreams int
	// Marshal returns a message as JSON without line ends.
	Marshal func(message any) ([]byte, error)
}

// Server serves streams.
type Server struct {
	config  Config
	open    atomic.Int64
	serving sync.WaitGroup

	mu      sync.Mutex                    // of the beginning of streams, which Close waits for, of taken and of looked
	taken   int                           // streams that have begun and not ended
	looked  map[*response]syscall.RawConn // whose readers may go
	closing context.Context               //nolint:containedctx // it lives as long as the server
	close   context.CancelFunc
}

// NewServer returns a server, which is to be closed.
func NewServer(config Config) *Server {
	s := &Server{config: config, looked: map[*response]syscall.RawConn{}}
	s.closing, s.close = context.WithCancel(context.Background())
	go s.look()
	return s
}

// Close ends the open streams, refuses new ones, and returns when all have ended; that takes no longer than
// Config.SlowReader and what their services take. It may be called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	s.close()
	s.mu.Unlock()
	s.serving.Wait()
}

// Closed reports whether Close has been called.
func (s *Server) Closed() bool { return s.closing.Err() != nil }

// Open returns how many streams are open.
func (s *Server) Open() int { return int(s.open.Load()) }

// begin counts a stream that is to be served, or returns why the server does not take it.
func (s *Server) begin(form Form) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Closed() {
		return errClosing
	}
	if most := s.config.MaxStreams; form.Endless && most > 0 && s.taken >= most {
		full := errs.New(errs.Unavailable, errs.ReasonOverloaded, "so many streams are open here as there is memory for; try again")
		full.RetryAfter = tryAgain
		return full
	}
	s.taken++
	s.serving.Add(1)
	return nil
}

// done counts a stream that has ended.
func (s *Server) done() {
	s.mu.Lock()
	s.taken--
	s.mu.Unlock()
	s.serving.Done()
}

// Form is how one stream is served.
type Form struct {
	// Endless is a stream that goes on until somebody ends it. It is open once the service has begun
	// it, and its end asks the reader to connect again. Any other stream is open once its
	// first message has come, and reports an error when the server closes before its end.
	Endless bool
	// Lines asks for lines of JSON instead of server-sent events.
	Lines bool
	// Timeout is how long the stream may last; 0 for as long as it takes.
	Timeout time.Duration
	// HeaderOnly ends the response after its header, for a HEAD request.
	HeaderOnly bool
	// Event returns the name of a message's event, "" for the default, and its id. Lines need none.
	Event func(message proto.Message) (name, id string)
	// Problem returns the error of an open stream as JSON without line ends.
	Problem func(error) []byte
	// Ended is called at the end of a stream that goes on after Serve, with how many bytes of it were
	// written since, and whether its reader was dropped.
	Ended func(written int64, slow bool)
}

// Source is a stream of a service. It calls open once the service has begun the stream, and each with every
// message, which is each's until it returns; and returns why the stream ended, nil for its end, or what each
// returned.
type Source func(ctx context.Context, open func(), each func(proto.Message) error) error

// Serve writes what a service sends until either side ends it. It returns the error of a stream that could
// not be opened, for an ordinary response; and whether the stream goes on after Serve has returned. ctx is the
// request's, with all that the service's call needs.
func (s *Server) Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, form Form, source Source) (goesOn bool, err error) {
	if err := s.begin(form); err != nil {
		return false, err
	}
	ctx, cancel := form.outliving(ctx)
	out := &response{server: s, form: form, ctx: ctx, cancel: cancel, opened: make(chan error, 1), begun: make(chan struct{}), done: make(chan struct{})}
	leave := context.AfterFunc(r.Context(), func() { cancel(context.Canceled) }) //nolint:contextcheck // it is the request's end
	defer leave()
	go out.run(source)
	err = out.awaitOpen()
	switch {
	case err != nil:
		cancel(err)
	case out.begin(w, r) != nil || form.HeaderOnly:
		cancel(context.Canceled)
	}
	close(out.begun)
	if out.conn != nil {
		out.watch()
	} else if err == nil {
		<-out.done
	}
	return out.conn != nil, err
}

// outliving is a request's context for a stream that may outlive the request.
func (f Form) outliving(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	outer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	if f.Timeout == 0 {
		return outer, cancel
	}
	inner, release := context.WithTimeout(outer, f.Timeout)
	return inner, func(why error) { cancel(why); release() }
}

// awaitOpen waits until the stream is open, or returns why it is not. One that takes long is taken for open: a
// service refuses a call at once.
func (r *response) awaitOpen() error {
	patience := time.NewTimer(opensWithin)
	defer patience.Stop()
	select {
	case err := <-r.opened:
		return err
	case <-patience.C:
		return nil
	case <-r.server.closing.Done(): // a stream that opened now would close at once
		return errClosing
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// run passes on what the source brings.
func (r *response) run(source Source) {
	defer r.server.done()
	defer close(r.done)
	began := func() {}
	if r.form.Endless {
		began = func() { r.opening(nil) }
	}
	err := source(r.ctx, began, func(m proto.Message) error {
		r.opening(nil)
		return r.send(func() error { return r.message(m) })
	})
	r.opening(err)
	r.finish(err)
}

// opening has the response begin, or the request fail, and returns when it has.
func (r *response) opening(err error) {
	r.once.Do(func() { r.opened <- err })
	<-r.begun
}
