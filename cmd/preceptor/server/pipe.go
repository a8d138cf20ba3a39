package server

import (
	"context"
	"net"
	"sync"
)

// pipe is a listener without an address: only its own dial reaches it.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func newPipe() *pipe { return &pipe{conns: make(chan net.Conn), closed: make(chan struct{})} }

// dial returns a connection to whatever accepts on the pipe.
func (l *pipe) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept is net.Listener's.
func (l *pipe) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close is net.Listener's.
func (l *pipe) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

// Addr is net.Listener's.
func (l *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "in process", Net: "pipe"} }
