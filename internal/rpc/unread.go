package rpc

import (
	"bufio"
	"context"
	"net"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// readConn is a connection whose client has to read. Its reads end with a frame at the latest, since gRPC has
// no buffer of its own here.
type readConn struct {
	net.Conn
	all  *readers
	from *bufio.Reader
	in   frames
	// opening is the stream whose headers were read last; it belongs to the connection's reader.
	opening uint32

	mu      sync.Mutex
	closed  bool
	cut     bool // its client did not read
	out     frames
	answers map[uint32]*answer // of the streams that are open
	due     int                // how many of them are to be read
	queued  int64              // bytes of messages ever
	unread  int64              // bytes of messages that are not written
	since   int64              // the sweep in which the client began to read the present piece
	read    int64              // bytes of that piece
}

// answer is what the client of one stream is to read: messages, and at last the status.
type answer struct {
	conn   *readConn
	gone   bool // all is written, or nobody waits for it
	due    bool
	ending bool
	queued int64 // bytes of messages ever
	sent   int64
	// What is to be written in time: all until mark. It was queued in a sweep, behind all that the
	// connection had written or given up when before bytes had been queued.
	mark, at, before int64
	held             int64 // of the quota
	from             string
}

type answerKey struct{}

// answerOf is the answer of the call being served; nil where nobody has to read it.
func answerOf(ctx context.Context) *answer {
	a, _ := ctx.Value(answerKey{}).(*answer)
	return a
}

// Read is net.Conn's.
func (c *readConn) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	for rest, found := c.in.next(b[:n]); found; rest, found = c.in.next(rest) {
		switch c.in.kind() {
		case frameHeaders:
			c.opening = c.in.stream()
		case frameReset:
			c.mu.Lock()
			c.end(c.in.stream())
			c.mu.Unlock()
		}
	}
	return n, err
}

// Write is net.Conn's.
func (c *readConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest, found := c.out.next(b[:n]); found; rest, found = c.out.next(rest) {
		stream := c.out.stream()
		switch c.out.kind() {
		case frameData:
			c.wrote(stream, int64(c.out.length()))
			if c.out.ends() {
				c.end(stream)
			}
		case frameHeaders:
			if c.out.ends() {
				c.end(stream)
			}
		case frameReset:
			c.end(stream)
		}
	}
	return n, err
}

// Close is net.Conn's.
func (c *readConn) Close() error {
	c.mu.Lock()
	c.closed = true
	for stream := range c.answers {
		c.end(stream)
	}
	c.mu.Unlock()
	c.all.remove(c)
	return c.Conn.Close()
}

// begin begins the answer of the stream that was opened last.
func (c *readConn) begin() *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &answer{conn: c, gone: c.closed}
	if !a.gone {
		c.answers[c.opening] = a
	}
	return a
}

// wrote counts bytes of a stream's messages that were written.
func (c *readConn) wrote(stream uint32, n int64) {
	a := c.answers[stream]
	if a == nil {
		return
	}
	before := a.unread()
	a.sent += n
	c.unread -= before - a.unread()
	c.progress(n)
	a.hold(min(a.held, a.unread()))
	switch {
	case !a.due || a.sent < a.mark:
	case a.ending || a.unread() > 0:
		a.expect()
	default:
		a.done()
	}
}

// end ends a stream's answer: it is written, or will not be.
func (c *readConn) end(stream uint32) {
	a := c.answers[stream]
	if a == nil {
		return
	}
	delete(c.answers, stream)
	a.gone = true
	c.unread -= a.unread()
	if a.due {
		c.progress(leastProgress)
	}
	a.done()
}

// progress notes that the client reads.
func (c *readConn) progress(n int64) {
	if c.read += n; c.read >= bounds.ReaderPiece {
		c.since, c.read = c.all.now.Load(), 0
	}
}

// late reports, once, whether the client has not read in time: it takes less than 64 KiB in the time of a slow
// reader, or leaves one answer for longer than all takes at the least rate that the connection had to write
// before it. The latter is why clients with many answers on a slow line are not late, in whatever order they
// are written.
func (c *readConn) late(now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due == 0 || c.cut {
		return false
	}
	c.cut = now > c.since+readerSweeps
	for _, a := range c.answers {
		c.cut = c.cut || a.due && now > a.at+c.all.patience(c.queued-a.before)
	}
	return c.cut
}

// unread is how much of the messages is not written. It is an estimate above that for what gRPC compresses,
// until the stream ends.
func (a *answer) unread() int64 { return max(a.queued-a.sent, 0) }

// message counts a message that is sent next. Returns ResourceExhausted if too much is unread.
func (a *answer) message(ctx context.Context, m any) error {
	message, ok := m.(proto.Message)
	if a == nil || !ok {
		return nil
	}
	n := int64(proto.Size(message)) + messageHead
	c := a.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.gone {
		return nil
	}
	if c.unread+n > smallMessage {
		if a.from == "" {
			a.from = callerOf(ctx)
		}
		if !c.all.sending.Take(a.from, n) {
			return errs.New(errs.ResourceExhausted, errs.ReasonRateLimited, "too much of the answers is not read yet; read them, or ask for one after the other")
		}
		a.held += n
	}
	a.queued += n
	c.queued += n
	c.unread += n
	if !a.due {
		a.expect()
	}
	return nil
}

// status notes that the status is sent next, after the last message.
func (a *answer) status() {
	if a == nil {
		return
	}
	a.conn.mu.Lock()
	defer a.conn.mu.Unlock()
	a.ending = true
	if !a.gone && !a.due {
		a.expect()
	}
}

// expect has all be written that is queued.
func (a *answer) expect() {
	c := a.conn
	a.at, a.mark, a.before = c.all.now.Load(), a.queued, c.queued-c.unread
	if !a.due {
		if a.due, c.due = true, c.due+1; c.due == 1 {
			c.since, c.read = a.at, 0
		}
	}
}

// done ends what is expected.
func (a *answer) done() {
	if a.due {
		a.due = false
		a.conn.due--
	}
	a.hold(0)
}

// hold gives back what is held of the quota beyond n bytes.
func (a *answer) hold(n int64) {
	if a.held > n {
		a.conn.all.sending.Give(a.from, a.held-n)
		a.held = n
	}
}

// callerOf names the caller of a call in quotas: by the token, else by the connection.
func callerOf(ctx context.Context) string {
	if p, ok := auth.FromContext(ctx); ok && p.ActorID() != "" {
		return p.ActorID()
	}
	return addressOf(ctx)
}
