package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// How slowly a body may arrive: bodyGrace, and a second more for each bodyRate bytes that are there. A batch
// of 30 KiB has 35 seconds, so that it comes through at 1 KiB/s; a line with 2 KiB/s may send bodies of any size.
const (
	bodyGrace = 20 * time.Second
	bodyRate  = 2 << 10 // bytes a second
)

// firstBuffer is what is allocated for a body before a byte of it is there.
const firstBuffer = 4 << 10

// bodies is what the bodies of all requests may hold together. A body holds what is allocated for it, from
// the arrival of its bytes until its request has been served.
type bodies struct {
	grace time.Duration
	rate  int64
	share int64 // of one caller
	held  *bounds.Quota[bounds.Caller]
}

// newBodies returns a budget of 64 MiB, or of an eighth of the process's memory limit if that is less, but
// of no less than 36 MiB: an import has to fit, compressed and not. One caller may hold three quarters of
// it, or all of that.
func newBodies() *bodies {
	b := &bodies{grace: bodyGrace, rate: bodyRate}
	const anImport = 36 << 20
	total := min(64<<20, max(anImport, debug.SetMemoryLimit(-1)/8))
	b.limit(total, max(anImport, total/4*3))
	return b
}

func (b *bodies) limit(total, share int64) {
	b.share, b.held = share, bounds.NewQuota[bounds.Caller](total, share)
}

// due returns how long after its beginning more of a body has to be there than what has arrived.
func (b *bodies) due(arrived int64) time.Duration {
	return b.grace + time.Duration(arrived)*time.Second/time.Duration(b.rate)
}

// holding is what the body of one request holds.
type holding struct {
	bodies *bodies
	caller bounds.Caller
	bytes  int64
}

// grow takes n bytes more. It returns Unavailable while all requests, and ResourceExhausted while those of
// the caller, hold too many.
func (h *holding) grow(n int64) error {
	b := h.bodies
	if b.held.Take(h.caller, n) {
		h.bytes += n
		return nil
	}
	if b.held.Of(h.caller)+n > b.share {
		return errs.New(errs.ResourceExhausted, errs.ReasonQueueFull,
			"your requests that are being served hold %d MiB of bodies, and may not hold more; wait for their responses", b.share>>20)
	}
	return errs.New(errs.Unavailable, errs.ReasonOverloaded, "the bodies of other requests hold all of the memory that there is for them; try again")
}

// shrink gives n bytes back.
func (h *holding) shrink(n int64) {
	if h == nil || n == 0 {
		return
	}
	h.bytes -= n
	h.bodies.held.Give(h.caller, n)
}

// release gives all back; h may be nil.
func (h *holding) release() {
	if h != nil {
		h.shrink(h.bytes)
	}
}

// readAll reads all of from, which says that it has size bytes, or -1. What it allocates grows with what is
// there: the size is only believed where it is less. It returns tooLarge after more than limit bytes.
func (h *holding) readAll(from io.Reader, size, limit int64, tooLarge error) ([]byte, error) {
	most := limit + 1
	if size >= 0 && size < limit {
		most = size + 1 // one more than there should be, to find the end
	}
	var buf []byte
	for {
		if len(buf) == cap(buf) {
			if int64(len(buf)) > limit {
				return nil, tooLarge
			}
			if int64(len(buf)) == most {
				most = limit + 1 // longer than it said
			}
			next := min(max(2*int64(cap(buf)), firstBuffer), most)
			if err := h.grow(next - int64(cap(buf))); err != nil {
				return nil, err
			}
			buf = append(make([]byte, 0, next), buf...)
		}
		n, err := from.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return nil, tooLarge
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return nil, err
		}
	}
}

// pacedBody is a request's body that fails when it arrives too slowly.
type pacedBody struct {
	body    io.Reader
	bodies  *bodies
	now     func() time.Time
	control *http.ResponseController
	begun   time.Time
	arrived int64
	late    *time.Timer

	mu      sync.Mutex
	stopped bool
}

// paced returns a request's body, which is to be read until it is stopped.
func (g *Gateway) paced(r *http.Request) *pacedBody {
	control := exchangeOf(r).control
	// The server's limit for a whole request does not fit a large body on a slow line. A deadline is of the
	// machine's clock, and so a timer sets one in the past when it is time.
	_ = control.SetReadDeadline(time.Time{})
	p := &pacedBody{body: r.Body, bodies: g.bodies, now: g.config.Now, control: control, begun: g.config.Now()}
	p.late = time.AfterFunc(g.bodies.grace, p.cut)
	return p
}

// cut ends the read that waits, unless the body is not read any more: then the server reads, to see
// whether the client has gone.
func (p *pacedBody) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		_ = p.control.SetReadDeadline(time.Unix(1, 0))
	}
}

func (p *pacedBody) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.late.Stop()
}

// end stops, and gives what is left of the body a second: the server reads a part of it after the response.
func (p *pacedBody) end() {
	p.stop()
	_ = p.control.SetReadDeadline(machineTime(time.Second))
}

// Read returns DeadlineExceeded with BODY_TOO_SLOW when the body is late, Invalid when it breaks off.
func (p *pacedBody) Read(to []byte) (int, error) {
	n, err := p.body.Read(to)
	p.arrived += int64(n)
	switch {
	case err == nil:
		p.late.Reset(p.bodies.due(p.arrived) - p.now().Sub(p.begun))
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errs.Wrap(err, errs.DeadlineExceeded, errs.ReasonBodyTooSlow,
			"the body arrived at less than %d bytes a second; send less at once", p.bodies.rate)
	case !errors.Is(err, io.EOF):
		err = errs.Wrap(err, errs.Invalid, errs.ReasonBodyIncomplete, "the body ended before it was complete")
	}
	return n, err
}
