package stream

import (
	"sync"
	"time"
)

// heart sends heartbeats to all streams from one ticker.
type heart struct {
	every   time.Duration
	mu      sync.Mutex
	streams map[chan struct{}]struct{}
}

func newHeart(every time.Duration) *heart {
	return &heart{every: every, streams: map[chan struct{}]struct{}{}}
}

// join returns a channel of heartbeats. One is dropped while the last has not been taken.
func (h *heart) join() (beats <-chan struct{}, leave func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams[c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.streams, c)
	}
}

func (h *heart) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// run sends heartbeats until closing is closed.
func (h *heart) run(closing <-chan struct{}) {
	t := time.NewTicker(h.every)
	defer t.Stop()
	for {
		select {
		case <-closing:
			return
		case <-t.C:
			h.beat()
		}
	}
}

func (h *heart) beat() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.streams {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
