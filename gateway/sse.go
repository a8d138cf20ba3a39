package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

const (
	contentEvents = "text/event-stream"
	// opensWithin is how long the service may take to open a stream before the
	// reader is told that it is open: an error after that comes as an event.
	opensWithin = 2 * time.Second
	// comeBack is when a reader whose connection broke tries again.
	comeBack = 3 * time.Second
)

// errClosing is the answer to a stream asked for while the gateway stops.
var errClosing = errs.New(errs.Unavailable, "SHUTTING_DOWN", "the server is stopping; try again")

// watch serves progress:watch as server-sent events, or as a line of JSON for each
// message to who takes nothing else. One goroutine writes, so nothing is locked.
func (g *Gateway) watch(w http.ResponseWriter, r *http.Request) {
	req, err := readWatch(r)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if ctx, err = g.outgoing(ctx, r); err != nil {
		g.fail(w, r, err)
		return
	}
	stream, err := g.progress.WatchProgress(ctx, req)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	received := receive(ctx, stream)
	first, err := g.opened(ctx, received)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	out := &streamWriter{gateway: g, request: r, w: w, control: http.NewResponseController(w), lines: wantsLines(r)}
	if out.open() != nil || exchangeOf(r).head {
		return
	}
	beats, leave := g.heart.join()
	defer leave()
	for out.handle(first) {
		select {
		case first = <-received:
		case <-beats:
			first = arrival{beat: true}
		case <-g.closing:
			first = arrival{err: io.EOF}
		case <-ctx.Done():
			return
		}
	}
}

// readWatch reads where to begin. Last-Event-ID comes before the query. One that is no
// sequence is left to the service, which gets the header too: it resets the reader, and
// tells from where the stream goes on.
func readWatch(r *http.Request) (*progressv1.WatchProgressRequest, error) {
	x := exchangeOf(r)
	req := &progressv1.WatchProgressRequest{}
	if last := r.Header.Get("Last-Event-ID"); last == "" {
		if runtime.PopulateQueryParameters(req, r.URL.Query(), utilities.NewDoubleArray([][]string{{"learner_id"}})) != nil {
			return nil, errs.InvalidFields(badParameters(x, r))
		}
	} else if sequence, err := strconv.ParseInt(last, 10, 64); err == nil && sequence >= 0 {
		req.AfterSequence = new(sequence)
	}
	req.LearnerId = x.params["learner_id"]
	return req, nil
}

// wantsLines tells whether a reader takes JSON and no server-sent events.
func wantsLines(r *http.Request) bool {
	accept := r.Header.Values("Accept")
	isEvents := func(media string) bool { return media == contentEvents || media == "text/*" || media == "*/*" }
	isLines := func(media string) bool { return media == wire.ContentType || media == "application/x-ndjson" }
	return quality(accept, isLines) > 0 && quality(accept, isEvents) == 0
}

// arrival is what a stream brings: that it is open, a message, its end as an
// error, or that it is time for a heartbeat.
type arrival struct {
	open    bool
	message *progressv1.WatchProgressResponse
	err     error
	beat    bool
}

// receive reads the stream until it ends or ctx does.
func receive(ctx context.Context, stream grpc.ServerStreamingClient[progressv1.WatchProgressResponse]) <-chan arrival {
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
		// A stream that fails before its header has none: Recv says why.
		header, err := stream.Header()
		if err != nil || header != nil {
			if !pass(arrival{open: true, err: err}) {
				return
			}
		}
		for {
			message, err := stream.Recv()
			if !pass(arrival{message: message, err: err}) {
				return
			}
		}
	}()
	return arrivals
}

// opened waits until the stream is open, and gives what came with it. An error
// until then is an ordinary answer.
func (g *Gateway) opened(ctx context.Context, received <-chan arrival) (arrival, error) {
	patience := time.NewTimer(opensWithin)
	defer patience.Stop()
	select {
	case <-g.closing: // a stream that opens now would close at once
		return arrival{}, errClosing
	default:
	}
	select {
	case a := <-received:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return arrival{}, a.err
		}
		return a, nil
	case <-patience.C:
		return arrival{open: true}, nil
	case <-g.closing:
		return arrival{}, errClosing
	case <-ctx.Done():
		return arrival{}, ctx.Err()
	}
}

// streamWriter writes one stream.
type streamWriter struct {
	gateway *Gateway
	request *http.Request
	w       http.ResponseWriter
	control *http.ResponseController
	lines   bool
	buf     []byte
}

// open sends the header.
func (s *streamWriter) open() error {
	h := s.w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events until it has enough of them
	h.Add("Vary", "Accept")
	h.Set("Content-Type", contentEvents)
	if s.lines {
		h.Set("Content-Type", wire.ContentType)
	}
	s.w.WriteHeader(http.StatusOK)
	// The server's limit for a whole answer does not fit one without an end.
	if err := s.control.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	s.buf = s.buf[:0]
	if !s.lines {
		s.buf = fmt.Appendf(s.buf, "retry: %d\n: open\n\n", comeBack.Milliseconds())
	}
	return s.flush()
}

// handle writes what arrived, and tells whether to go on.
func (s *streamWriter) handle(a arrival) bool {
	s.buf = s.buf[:0]
	more := true
	switch {
	case errors.Is(a.err, io.EOF):
		more = false
		s.scatter()
	case a.err != nil:
		more = false
		if status.Code(a.err) == codes.Unavailable {
			s.scatter()
		}
		s.problem(a.err)
	case a.beat && s.lines:
		s.buf = append(s.buf, '\n')
	case a.beat:
		s.buf = append(s.buf, ": ping\n\n"...)
	case a.message != nil:
		event := ""
		if a.message.GetKind() == progressv1.WatchProgressResponse_RESET {
			event = "reset"
		}
		more = s.frame(event, strconv.FormatInt(a.message.GetSequence(), 10), a.message)
	}
	return s.flush() == nil && more
}

// scatter tells readers to come back, not all at once: a restart sends everybody.
func (s *streamWriter) scatter() {
	if !s.lines {
		s.buf = fmt.Appendf(s.buf, "retry: %d\n\n", (time.Second + rand.N(4*time.Second)).Milliseconds()) //nolint:gosec // jitter is no secret
	}
}

// frame appends a message; an entry has no event name, so that onmessage gets it.
func (s *streamWriter) frame(event, id string, message proto.Message) bool {
	body, err := s.gateway.json.Marshal(message)
	if err != nil {
		s.problem(err)
		return false
	}
	if s.lines {
		s.buf = fmt.Appendf(s.buf, "{\"result\":%s}\n", body)
		return true
	}
	s.buf = fmt.Appendf(s.buf, "id: %s\n", id)
	if event != "" {
		s.buf = fmt.Appendf(s.buf, "event: %s\n", event)
	}
	s.buf = fmt.Appendf(s.buf, "data: %s\n\n", body) // JSON as we write it has no line ends
	return true
}

func (s *streamWriter) problem(err error) {
	p := s.gateway.fault(s.request, err).problem(s.request.URL.Path, exchangeOf(s.request).id)
	if s.lines {
		s.buf = fmt.Appendf(s.buf, "{\"error\":%s}\n", p.encode())
		return
	}
	s.buf = fmt.Appendf(s.buf, "event: error\ndata: %s\n\n", p.encode())
}

// flush writes the buffer out. A reader that takes too long over it is given up:
// the write fails, at once, for a deadline in the past.
func (s *streamWriter) flush() error {
	if len(s.buf) > 0 {
		late := time.AfterFunc(s.gateway.config.SlowReader, func() { _ = s.control.SetWriteDeadline(time.Unix(1, 0)) })
		defer late.Stop()
		if _, err := s.w.Write(s.buf); err != nil {
			return err
		}
	}
	return s.control.Flush()
}

// heart beats for all streams: one ticker, however many there are.
type heart struct {
	every   time.Duration
	mu      sync.Mutex
	streams map[chan struct{}]struct{}
}

func newHeart(every time.Duration) *heart {
	return &heart{every: every, streams: map[chan struct{}]struct{}{}}
}

// join gives a channel of beats. A beat that finds the last one still waiting is
// left out.
func (h *heart) join() (beats <-chan struct{}, leave func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams[c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.streams, c)
	}
}

func (h *heart) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// run beats until closing is closed.
func (h *heart) run(closing <-chan struct{}) {
	t := time.NewTicker(h.every)
	defer t.Stop()
	for {
		select {
		case <-closing:
			return
		case <-t.C:
			h.beat()
		}
	}
}

func (h *heart) beat() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.streams {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
