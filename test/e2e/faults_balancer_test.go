//go:build realservers

package e2e

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer is one address before several replicas, and the network between: it spreads
// connections, passes by who does not answer, and is slow or loses connections when told to.
type balancer struct {
	addr string
	// late is by how much each direction is late, in nanoseconds.
	late atomic.Int64
	// lossy makes it lose connections, and lost is how many it has.
	lossy atomic.Bool
	lost  atomic.Int64

	mu       sync.Mutex
	backends []string
	next     int
	// only is the backend that new connections go to, if it answers; "" for any.
	only string
	open map[*wire]struct{}
}

// wire is one connection through the balancer.
type wire struct {
	near, far net.Conn
	backend   string
}

const (
	// lossTick is how often a lossy balancer draws for each connection whether to cut it.
	lossTick = 200 * time.Millisecond
	// lossPercent is how likely it then does, and how likely it refuses a new one.
	lossPercent = 5
)

func newBalancer(t *testing.T, backends ...string) *balancer {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{addr: lis.Addr().String(), backends: backends, open: map[*wire]struct{}{}}
	ended := make(chan struct{})
	t.Cleanup(func() {
		close(ended)
		_ = lis.Close()
		b.cut(func(*wire) bool { return true })
	})
	go func() {
		for {
			near, err := lis.Accept()
			if err != nil {
				return
			}
			go b.carry(near)
		}
	}()
	go b.lose(ended)
	return b
}

// carry joins a connection with a backend that answers, until either side ends it.
func (b *balancer) carry(near net.Conn) {
	w := b.connect()
	if w == nil || b.lossy.Load() && rand.IntN(100) < lossPercent {
		_ = near.Close()
		if w != nil {
			_ = w.far.Close()
		}
		return
	}
	w.near = near
	b.mu.Lock()
	b.open[w] = struct{}{}
	b.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { b.pass(w, w.far, near) })
	both.Go(func() { b.pass(w, near, w.far) })
	both.Wait()
	w.end()
	b.mu.Lock()
	delete(b.open, w)
	b.mu.Unlock()
}

// connect tries the backends in turns.
func (b *balancer) connect() *wire {
	b.mu.Lock()
	var order []string
	if b.only != "" {
		order = append(order, b.only)
	}
	for i := range b.backends {
		order = append(order, b.backends[(b.next+i)%len(b.backends)])
	}
	b.next++
	b.mu.Unlock()
	for _, backend := range order {
		if far, err := net.DialTimeout("tcp", backend, time.Second); err == nil {
			return &wire{far: far, backend: backend}
		}
	}
	return nil
}

// pass copies one direction, and its end. What comes while the network is slow is held back, and does not
// hold up what comes after it more than that.
func (b *balancer) pass(w *wire, to, from net.Conn) {
	type chunk struct {
		due  time.Time
		data []byte
	}
	queue := make(chan chunk, 1024)
	var ended error // how the reading did; read after queue is closed
	go func() {
		defer close(queue)
		for {
			data := make([]byte, 16<<10)
			n, err := from.Read(data)
			if n > 0 {
				queue <- chunk{due: time.Now().Add(time.Duration(b.late.Load())), data: data[:n]}
			}
			if err != nil {
				ended = err
				return
			}
		}
	}()
	for c := range queue {
		time.Sleep(time.Until(c.due))
		if _, err := to.Write(c.data); err != nil {
			w.end() // what else was held back goes nowhere
		}
	}
	if half, ok := to.(*net.TCPConn); !ok || !errors.Is(ended, io.EOF) || half.CloseWrite() != nil {
		w.end()
	}
}

func (w *wire) end() {
	_ = w.near.Close()
	_ = w.far.Close()
}

// lose cuts connections while the network is lossy.
func (b *balancer) lose(ended <-chan struct{}) {
	tick := time.NewTicker(lossTick)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			if b.lossy.Load() {
				b.lost.Add(b.cut(func(*wire) bool { return rand.IntN(100) < lossPercent }))
			}
		}
	}
}

// cut ends the connections that are chosen, and counts them.
func (b *balancer) cut(chosen func(*wire) bool) (n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.open {
		if chosen(w) {
			w.end()
			n++
		}
	}
	return n
}

// prefer has all connections go to one backend, those that are open included; "" to any again.
func (b *balancer) prefer(backend string) {
	b.mu.Lock()
	b.only = backend
	b.mu.Unlock()
	if backend != "" {
		b.cut(func(w *wire) bool { return w.backend != backend })
	}
}
