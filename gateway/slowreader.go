package gateway

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/preceptor-dev/preceptor/internal/bounds"
)

// deadlines bound how long a client may take to read a response. Each write has one of its own, so that
// a response that takes long to make may be read to its end.
type deadlines struct {
	control *http.ResponseController
	base    time.Duration
	late    *bool // becomes true when a write was not read in time
	none    bool  // the connection takes no deadlines
}

// until gives the client until then for what is written next, also by the server after the handler.
func (d *deadlines) until(at time.Time) {
	if d.none {
		return
	}
	if err := d.control.SetWriteDeadline(at); err != nil {
		d.none = errors.Is(err, http.ErrNotSupported)
	}
}

// machineTime is the time after so long by the machine's clock, which connections go by.
func machineTime(after time.Duration) time.Time {
	ctx, cancel := context.WithTimeout(context.Background(), after)
	defer cancel()
	at, _ := ctx.Deadline()
	return at
}

// write writes b piece by piece.
func (d *deadlines) write(to http.ResponseWriter, b []byte) (int, error) {
	if len(b) <= bounds.ReaderPiece {
		d.until(machineTime(d.base))
		n, err := to.Write(b)
		return n, d.ended(err)
	}
	done, began := 0, machineTime(0)
	for done < len(b) {
		piece := b[done:min(done+bounds.ReaderPiece, len(b))]
		at, slowest := machineTime(d.base), began.Add(d.base+time.Duration(done+len(piece))*time.Second/bounds.ReaderRate)
		if slowest.Before(at) {
			at = slowest
		}
		d.until(at)
		n, err := to.Write(piece)
		if done += n; err != nil {
			return done, d.ended(err)
		}
	}
	return done, nil
}

// ended notes why a write failed.
func (d *deadlines) ended(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		*d.late = true
	}
	return err
}

// SlowReaders returns how many responses were cut off, since their clients did not read.
func (g *Gateway) SlowReaders() int64 { return g.slowReaders.Load() }
