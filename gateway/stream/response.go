package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// The media types of server-sent events, and of lines of JSON.
const (
	ContentType  = "text/event-stream"
	ContentLines = "application/x-ndjson"
)

// reconnect is when a reader whose connection broke tries again.
const reconnect = 3 * time.Second

// response is the response that one stream is.
type response struct {
	server *Server
	form   Form
	ctx    context.Context //nolint:containedctx // it lives as long as the stream
	cancel context.CancelCauseFunc
	once   sync.Once
	opened chan error    // whether the stream is open
	begun  chan struct{} // closed when the response has begun, or never will
	done   chan struct{} // closed when nothing is written any more

	mu      sync.Mutex // what follows, and everything that is written
	open    bool
	ended   bool
	to      io.Writer
	push    func() error // sends what was written
	control interface{ SetWriteDeadline(at time.Time) error }
	conn    net.Conn // the stream's own; nil where the HTTP server has it
	buf     []byte
	written int64
	slow    bool
	beats   *time.Timer
	leave   func() bool

	received int // bytes; of whoever watches the connection alone
}

// begin sends the header and opens the stream.
func (r *response) begin(w http.ResponseWriter, req *http.Request) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back until it has enough of them
	h.Add("Vary", "Accept")
	h.Set("Content-Type", ContentType)
	if r.form.Lines {
		h.Set("Content-Type", ContentLines)
	}
	endless := r.form.Endless && !r.form.HeaderOnly && req.ProtoMajor == 1
	if endless {
		h.Set("Connection", "close")
	}
	control := http.NewResponseController(w)
	r.to, r.push, r.control = w, control.Flush, control
	r.open = true
	r.server.open.Add(1) // before anybody can see it
	r.beats = time.AfterFunc(r.server.config.Heartbeat, func() { _ = r.send(r.beat) })
	r.leave = context.AfterFunc(r.server.closing, r.closing)
	w.WriteHeader(http.StatusOK)
	// The server's limit for a whole response does not fit one without an end.
	if err := control.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if endless {
		if err := r.takeOver(control, req); err != nil {
			return err
		}
	}
	if !r.form.Lines {
		r.buf = fmt.Appendf(nil, "retry: %d\n: open\n\n", reconnect.Milliseconds())
	}
	return r.flush()
}

// takeOver takes the connection over from the HTTP server, if that can give it.
func (r *response) takeOver(control *http.ResponseController, req *http.Request) error {
	conn, _, err := control.Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	if err != nil {
		return err
	}
	r.conn, r.to, r.control = conn, conn, conn
	r.push = func() error { return nil }
	if req.ProtoAtLeast(1, 1) {
		r.to = httputil.NewChunkedWriter(conn)
	}
	return nil
}

// send writes what put puts into the buffer, unless the stream has ended.
func (r *response) send(put func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.open || r.ended {
		return context.Canceled
	}
	err := put()
	if flushed := r.flush(); err == nil {
		err = flushed
	}
	if err != nil {
		r.ended = true
		r.cancel(err)
		return err
	}
	r.beats.Reset(r.server.config.Heartbeat)
	return nil
}

func (r *response) beat() error {
	if r.form.Lines {
		r.buf = append(r.buf, '\n')
	} else {
		r.buf = append(r.buf, ": ping\n\n"...)
	}
	return nil
}

// message appends a message.
func (r *response) message(m proto.Message) error {
	body, err := r.server.config.Marshal(m)
	if err != nil {
		r.problem(err)
		return err
	}
	if r.form.Lines {
		r.buf = fmt.Appendf(r.buf, "{\"result\":%s}\n", body)
		return nil
	}
	name, id := r.form.Event(m)
	r.buf = fmt.Appendf(r.buf, "id: %s\n", id)
	if name != "" {
		r.buf = fmt.Appendf(r.buf, "event: %s\n", name)
	}
	r.buf = fmt.Appendf(r.buf, "data: %s\n\n", body)
	return nil
}

func (r *response) problem(err error) {
	body := r.form.Problem(err)
	if r.form.Lines {
		r.buf = fmt.Appendf(r.buf, "{\"error\":%s}\n", body)
		return
	}
	r.buf = fmt.Appendf(r.buf, "event: error\ndata: %s\n\n", body)
}

// closing ends the stream because the server closes.
func (r *response) closing() {
	if r.form.Endless {
		r.last(nil)
	} else {
		r.last(errClosing)
	}
	r.cancel(errClosing)
}

// last writes why the stream ends, unless it has ended; nil asks the reader to connect again.
func (r *response) last(why error) {
	_ = r.send(func() error {
		if why == nil || status.Code(why) == codes.Unavailable {
			r.retry()
		}
		if why != nil {
			r.problem(why)
		}
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

// retry asks the reader to connect again, at a random moment: a restart sends all of them.
func (r *response) retry() {
	if r.form.Endless && !r.form.Lines {
		r.buf = fmt.Appendf(r.buf, "retry: %d\n\n", (time.Second + rand.N(4*time.Second)).Milliseconds()) //nolint:gosec // jitter is no secret
	}
}

// finish ends the response, if it has begun. Whoever cancelled the stream has written all that it takes.
func (r *response) finish(why error) {
	r.mu.Lock()
	began := r.open
	r.mu.Unlock()
	if !began {
		return
	}
	if cause := context.Cause(r.ctx); cause == nil || errors.Is(cause, context.DeadlineExceeded) {
		r.last(why)
	}
	r.beats.Stop()
	r.leave()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.server.open.Add(-1)
	if r.conn == nil {
		return
	}
	if chunked, ok := r.to.(io.Closer); ok && r.to != io.Writer(r.conn) {
		_ = chunked.Close() // writes the last chunk; the reader may have gone
		_, _ = io.WriteString(r.conn, "\r\n")
	}
	_ = r.conn.Close()
	r.server.forget(r)
	r.form.Ended(r.written, r.slow)
}

// flush sends the buffer. A reader that takes too long over it is dropped: a
// deadline in the past makes the write fail at once.
func (r *response) flush() error {
	if len(r.buf) > 0 {
		late := time.AfterFunc(r.server.config.SlowReader, func() { _ = r.control.SetWriteDeadline(time.Unix(1, 0)) })
		defer late.Stop()
		_, err := r.to.Write(r.buf)
		r.written += int64(len(r.buf))
		r.buf = nil // a stream is silent for most of its time
		if err != nil {
			r.slow = errors.Is(err, os.ErrDeadlineExceeded)
			return err
		}
	}
	return r.push()
}
