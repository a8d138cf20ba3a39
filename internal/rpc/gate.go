package rpc

import "sync"

// gate counts the calls in process that are in flight, so that a shutdown can
// wait for the last; the network server counts its own.
type gate struct {
	mu       sync.Mutex
	inside   int
	draining bool
	closed   bool
	idle     chan struct{} // closed together with the gate
}

// enter reports whether a call may begin; then leave must follow. A draining gate
// lets calls in as long as one is inside, which may be waiting for them.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.draining && g.inside == 0 {
		g.closeLocked()
	}
}

// drain closes the gate behind the last call.
func (g *gate) drain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining = true
	if g.inside == 0 {
		g.closeLocked()
	}
}

// close closes the gate now, whatever calls are inside.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closeLocked()
}

func (g *gate) closeLocked() {
	if !g.closed {
		g.closed = true
		close(g.idle)
	}
}
