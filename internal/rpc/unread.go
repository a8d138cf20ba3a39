package rpc

import (
	"bufio"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

const (
	// DefaultSlowReader is how long a client may take to read an answer, where Options say nothing.
	DefaultSlowReader = 10 * time.Second
	// readerPiece is what a client may take that long for, again and again; and for what is more than that,
	// as long as it takes at readerRate, in bytes a second.
	readerPiece = 64 << 10
	readerRate  = 8 << 10
	// answerBytes bounds what is unread of answers, beyond smallMessage on each connection, of all callers
	// and of each.
	answerBytes, callerAnswers = 64 << 20, 24 << 20
	// readerSweeps is how often it is looked after readers in the time of a slow one.
	readerSweeps = 10
	// leastProgress is what an answer counts for at least, when it was read: calls without end, whose answers
	// are small, are no slow reader.
	leastProgress = 1 << 10
	// readBuffer holds the frames of a small call. It is there as long as the connection.
	readBuffer = 1 << 10
	// messageHead is what gRPC writes before each message.
	messageHead = 5
)

// readers are the connections whose clients have to read what they ask for. gRPC hands an answer over to its
// transport and forgets it; there it waits for a client that gives no window for it, as long as the
// connection is alive. So what is asked, written and given up is read from the frames of HTTP/2 as they pass.
//
// Time is counted in sweeps, so that no answer needs a look at a clock or a timer, and an answer that is
// written at once costs its accounts alone.
type readers struct {
	sweep   time.Duration
	sending *bounds.Quota[string] // bytes of answers, by caller
	late    func()                // called for each connection that is closed
	cut     atomic.Int64
	now     atomic.Int64 // sweeps

	mu   sync.Mutex
	open map[*readConn]struct{}
	stop chan struct{} // of the sweeper, which lives while a connection is open
}

func newReaders(patience time.Duration, late func()) *readers {
	return &readers{
		sweep: max(patience/readerSweeps, 1), late: late,
		sending: bounds.NewQuota[string](answerBytes, callerAnswers), open: map[*readConn]struct{}{},
	}
}

// patience is how many sweeps a client has for so many bytes.
func (r *readers) patience(bytes int64) int64 {
	beyond := max(min(bytes, callerAnswers)-readerPiece, 0)
	return readerSweeps + beyond*int64(time.Second)/(readerRate*int64(r.sweep))
}

func (r *readers) add(conn net.Conn) *readConn {
	c := &readConn{Conn: conn, all: r, from: bufio.NewReaderSize(conn, readBuffer), in: frames{skip: prefaceBytes}, answers: map[uint32]*answer{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[c] = struct{}{}; len(r.open) == 1 {
		r.stop = make(chan struct{})
		go r.run(r.stop)
	}
	return c
}

func (r *readers) remove(c *readConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.open[c]; !ok {
		return
	}
	if delete(r.open, c); len(r.open) == 0 {
		close(r.stop)
	}
}

// run looks after the readers until the stop.
func (r *readers) run(stop <-chan struct{}) {
	tick := time.NewTicker(r.sweep)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		for _, c := range r.lateOnes(r.now.Add(1)) {
			r.cut.Add(1)
			r.late()
			go func() { _ = c.Close() }() // behind TLS that may wait for the client
		}
	}
}

func (r *readers) lateOnes(now int64) []*readConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	var late []*readConn
	for c := range r.open {
		if c.late(now) {
			late = append(late, c)
		}
	}
	return late
}

// tap gives each call its answer. gRPC calls it on the connection's one reader, which has read the headers
// of the call, and nothing after them.
func (r *readers) tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ctx, nil
	}
	info, ok := p.AuthInfo.(readInfo)
	if !ok {
		return ctx, nil
	}
	return context.WithValue(ctx, answerKey{}, info.conn.begin()), nil
}

// readCreds have a connection's client looked after once its handshake is done.
type readCreds struct {
	credentials.TransportCredentials
	all *readers
}

// readInfo carries the connection to its calls. It hides what else is known of it: callers here are no service.
type readInfo struct {
	credentials.AuthInfo
	conn *readConn
}

// ServerHandshake is credentials.TransportCredentials's.
func (c readCreds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return conn, info, err
	}
	watched := c.all.add(conn)
	return watched, readInfo{info, watched}, nil
}

// Clone is credentials.TransportCredentials's.
func (c readCreds) Clone() credentials.TransportCredentials {
	return readCreds{c.TransportCredentials.Clone(), c.all}
}

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
	if c.read += n; c.read >= readerPiece {
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
	if a.held > 0 {
		a.conn.all.sending.Give(a.from, a.held)
		a.held = 0
	}
}

// callerOf names the caller of a call in quotas: by the token, else by the connection.
func callerOf(ctx context.Context) string {
	if p, ok := auth.FromContext(ctx); ok && p.ActorID() != "" {
		return p.ActorID()
	}
	return addressOf(ctx)
}
