package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// fromOneAddress is how many connections to one server may begin at the same loopback address: fewer than Linux has
// ports for.
const fromOneAddress = 20_000

// listeners hold streams open and count what comes.
type listeners struct {
	address string
	// heard gets each line that comes, unless it is nil.
	heard          func(line []byte)
	sent, received atomic.Int64

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
	faults []error
}

func (l *listeners) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.faults = append(l.faults, err)
	}
}

func (l *listeners) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.faults[:min(3, len(l.faults))]...)
}

// connect makes a connection, from another loopback address when the ports of one are few.
func (l *listeners) connect(ctx context.Context) (net.Conn, error) {
	l.mu.Lock()
	n := len(l.conns)
	l.mu.Unlock()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n/fromOneAddress))}}).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.conns = append(l.conns, conn)
	l.mu.Unlock()
	return conn, nil
}

// open opens a stream and returns when it stands; what comes then is read aside.
func (l *listeners) open(ctx context.Context, r request) {
	conn, err := l.connect(ctx)
	if err != nil {
		l.fault(err)
		return
	}
	if _, err := conn.Write(r); err != nil {
		l.fault(err)
		return
	}
	l.sent.Add(int64(len(r)))
	in := bufio.NewReaderSize(conn, 2048)
	line, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 200 ") {
		l.fault(errors.Join(fmt.Errorf("a stream was answered %q", line), err))
		return
	}
	l.received.Add(int64(len(line)))
	go func() { l.fault(fmt.Errorf("a stream ended: %w", errors.Join(l.follow(in), io.EOF))) }()
}

// follow reads a stream to its end.
func (l *listeners) follow(in *bufio.Reader) error {
	for {
		line, err := in.ReadSlice('\n') // of a line that is longer than the buffer, each piece
		l.received.Add(int64(len(line)))
		if l.heard != nil {
			l.heard(line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func (l *listeners) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.conns {
		_ = c.Close()
	}
}
