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

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// network is the way to a replica, or to several in turns, by an address of its own: it is slow
// or loses connections as a test asks for it.
type network struct {
	addr     string
	backends []string
	carried  atomic.Int64 // connections
	// late is by how much each direction is late, in nanoseconds.
	late atomic.Int64
	// lossy makes it lose connections, and lost is how many it has.
	lossy atomic.Bool
	lost  atomic.Int64
	// down makes it refuse every new connection.
	down atomic.Bool

	mu   sync.Mutex
	open map[*wire]struct{}
}

// wire is one connection through the network.
type wire struct {
	near, far net.Conn
}

const (
	// lossTick is how often a lossy network draws for each connection whether to cut it.
	lossTick = 200 * time.Millisecond
	// lossPercent is how likely it then does, and how likely it refuses a new one.
	lossPercent = 5
)

func newNetwork(t *testing.T, backends ...string) *network {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{addr: lis.Addr().String(), backends: backends, open: map[*wire]struct{}{}}
	ended := make(chan struct{})
	t.Cleanup(func() {
		close(ended)
		_ = lis.Close()
		n.cut(func(*wire) bool { return true })
	})
	go func() {
		for {
			near, err := lis.Accept()
			if err != nil {
				return
			}
			go n.carry(near)
		}
	}()
	go n.lose(ended)
	return n
}

// carry joins a connection with the replica, until either side ends it.
func (n *network) carry(near net.Conn) {
	far, err := net.DialTimeout("tcp", n.backends[int(n.carried.Add(1))%len(n.backends)], time.Second)
	if err != nil {
		_ = near.Close()
		return
	}
	w := &wire{near: near, far: far}
	if n.down.Load() || n.lossy.Load() && rand.IntN(100) < lossPercent {
		w.end()
		return
	}
	n.mu.Lock()
	n.open[w] = struct{}{}
	n.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { n.pass(w, w.far, near) })
	both.Go(func() { n.pass(w, near, w.far) })
	both.Wait()
	w.end()
	n.mu.Lock()
	delete(n.open, w)
	n.mu.Unlock()
}

// pass copies one direction, and its end. What comes while the network is slow is held back, and does not
// hold up what comes after it more than that.
func (n *network) pass(w *wire, to, from net.Conn) {
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
			got, err := from.Read(data)
			if got > 0 {
				queue <- chunk{due: testenv.Now().Add(time.Duration(n.late.Load())), data: data[:got]}
			}
			if err != nil {
				ended = err
				return
			}
		}
	}()
	for c := range queue {
		time.Sleep(testenv.Until(c.due))
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
func (n *network) lose(ended <-chan struct{}) {
	tick := time.NewTicker(lossTick)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			if n.lossy.Load() {
				n.lost.Add(n.cut(func(*wire) bool { return rand.IntN(100) < lossPercent }))
			}
		}
	}
}

// cut ends the connections that are chosen, and counts them.
func (n *network) cut(chosen func(*wire) bool) (cuts int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.open {
		if chosen(w) {
			w.end()
			cuts++
		}
	}
	return cuts
}
