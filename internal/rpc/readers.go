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

	"github.com/preceptor-dev/preceptor/internal/bounds"
)

const (
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
	beyond := max(min(bytes, callerAnswers)-bounds.ReaderPiece, 0)
	return readerSweeps + beyond*int64(time.Second)/(bounds.ReaderRate*int64(r.sweep))
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
