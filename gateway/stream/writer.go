package stream

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
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

// writer writes one stream.
type writer struct {
	config  Config
	form    Form
	request *http.Request
	w       http.ResponseWriter
	control *http.ResponseController
	buf     []byte
}

func newWriter(config Config, w http.ResponseWriter, r *http.Request, form Form) *writer {
	return &writer{config: config, form: form, request: r, w: w, control: http.NewResponseController(w)}
}

// open sends the header.
func (w *writer) open() error {
	h := w.w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back until it has enough of them
	h.Add("Vary", "Accept")
	h.Set("Content-Type", ContentType)
	if w.form.Lines {
		h.Set("Content-Type", ContentLines)
	}
	w.w.WriteHeader(http.StatusOK)
	// The server's limit for a whole response does not fit one without an end.
	if err := w.control.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	w.buf = w.buf[:0]
	if !w.form.Lines {
		w.buf = fmt.Appendf(w.buf, "retry: %d\n: open\n\n", reconnect.Milliseconds())
	}
	return w.flush()
}

// write writes what arrived, and reports whether the stream goes on.
func (w *writer) write(a arrival) bool {
	w.buf = w.buf[:0]
	more := a.err == nil
	switch {
	case errors.Is(a.err, io.EOF):
		w.retry()
	case a.err != nil:
		if status.Code(a.err) == codes.Unavailable {
			w.retry()
		}
		w.problem(a.err)
	case a.beat && w.form.Lines:
		w.buf = append(w.buf, '\n')
	case a.beat:
		w.buf = append(w.buf, ": ping\n\n"...)
	case a.message != nil:
		more = w.message(a.message)
	}
	return w.flush() == nil && more
}

// retry asks the reader to connect again, at a random moment: a restart sends all of them.
func (w *writer) retry() {
	if w.form.Endless && !w.form.Lines {
		w.buf = fmt.Appendf(w.buf, "retry: %d\n\n", (time.Second + rand.N(4*time.Second)).Milliseconds()) //nolint:gosec // jitter is no secret
	}
}

// message appends a message, and reports whether it could.
func (w *writer) message(m proto.Message) bool {
	body, err := w.config.Marshal(m)
	if err != nil {
		w.problem(err)
		return false
	}
	if w.form.Lines {
		w.buf = fmt.Appendf(w.buf, "{\"result\":%s}\n", body)
		return true
	}
	name, id := w.form.Event(m)
	w.buf = fmt.Appendf(w.buf, "id: %s\n", id)
	if name != "" {
		w.buf = fmt.Appendf(w.buf, "event: %s\n", name)
	}
	w.buf = fmt.Appendf(w.buf, "data: %s\n\n", body)
	return true
}

func (w *writer) problem(err error) {
	body := w.config.Problem(w.request, err)
	if w.form.Lines {
		w.buf = fmt.Appendf(w.buf, "{\"error\":%s}\n", body)
		return
	}
	w.buf = fmt.Appendf(w.buf, "event: error\ndata: %s\n\n", body)
}

// flush sends the buffer. A reader that takes too long over it is dropped: a
// deadline in the past makes the write fail at once.
func (w *writer) flush() error {
	if len(w.buf) > 0 {
		late := time.AfterFunc(w.config.SlowReader, func() { _ = w.control.SetWriteDeadline(time.Unix(1, 0)) })
		defer late.Stop()
		if _, err := w.w.Write(w.buf); err != nil {
			return err
		}
	}
	return w.control.Flush()
}
