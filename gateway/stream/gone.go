package stream

import (
	"net"
	"syscall"
	"time"
)

const (
	// looksEvery is how often the server looks for readers who have gone. A goroutine that waits for each of
	// them would notice at once, and would be a fifth of what a stream costs.
	looksEvery = time.Second
	// maxUnasked is how many bytes a client may send on a connection that has a stream, where nothing can be
	// meant, before it is closed.
	maxUnasked = 4 << 10
)

// readerless ends the stream: nobody reads it any more.
func (r *response) readerless() {
	r.cancel(errGone)
	_ = r.conn.Close() // also ends a write that waits
}

// unasked counts bytes that a client has sent, and reports whether there are too many.
func (r *response) unasked(n int) bool {
	r.received += n
	return r.received > maxUnasked
}

// watch ends the stream when its reader has closed the connection: by the server's looks, or else by a
// goroutine.
func (r *response) watch() {
	if can, ok := r.conn.(syscall.Conn); ok && looks {
		if raw, err := can.SyscallConn(); err == nil {
			r.server.mu.Lock()
			defer r.server.mu.Unlock()
			r.server.looked[r] = raw
			return
		}
	}
	go r.wait(r.conn)
}

// wait reads until the connection is closed.
func (r *response) wait(conn net.Conn) {
	got := make([]byte, 64)
	for {
		n, err := conn.Read(got)
		if r.unasked(n) || err != nil {
			r.readerless()
			return
		}
	}
}

// look looks for readers who have gone, until the server closes.
func (s *Server) look() {
	tick := time.NewTicker(looksEvery)
	defer tick.Stop()
	buf := make([]byte, maxUnasked)
	for {
		select {
		case <-s.closing.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		for r, raw := range s.looked {
			if n, open := arrived(raw, buf); !open || r.unasked(n) {
				delete(s.looked, r)
				r.readerless()
			}
		}
		s.mu.Unlock()
	}
}

// forget ends the looks at a stream.
func (s *Server) forget(r *response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.looked, r)
}
