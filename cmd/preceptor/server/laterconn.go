package server

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// laterConn is a connection in process to a service that opens after its caller, if at all. Until
// then calls on it are UNAVAILABLE, as they are over a network.
type laterConn struct {
	from, to string
	conn     atomic.Pointer[grpc.ClientConnInterface]
}

var _ grpc.ClientConnInterface = (*laterConn)(nil)

// open passes calls on to the connection from now on.
func (l *laterConn) open(conn grpc.ClientConnInterface) { l.conn.Store(&conn) }

// Invoke is grpc.ClientConnInterface's.
func (l *laterConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	conn := l.conn.Load()
	if conn == nil {
		return l.notOpen()
	}
	return (*conn).Invoke(ctx, method, req, reply, opts...)
}

// NewStream is grpc.ClientConnInterface's.
func (l *laterConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	conn := l.conn.Load()
	if conn == nil {
		return nil, l.notOpen()
	}
	return (*conn).NewStream(ctx, desc, method, opts...)
}

func (l *laterConn) notOpen() error {
	return status.Errorf(codes.Unavailable, "%s is not open in this process", l.to)
}
