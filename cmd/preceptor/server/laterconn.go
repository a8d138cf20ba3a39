package server

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// laterConn is a connection in process to a service that opens after the one that calls it.
// Until then calls on it are UNAVAILABLE, as they are over a network.
type laterConn struct {
	to atomic.Pointer[grpc.ClientConnInterface]
}

var _ grpc.ClientConnInterface = (*laterConn)(nil)

// open passes calls on to the connection from now on.
func (l *laterConn) open(to grpc.ClientConnInterface) { l.to.Store(&to) }

// Invoke is grpc.ClientConnInterface's.
func (l *laterConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	to := l.to.Load()
	if to == nil {
		return notOpen()
	}
	return (*to).Invoke(ctx, method, req, reply, opts...)
}

// NewStream is grpc.ClientConnInterface's.
func (l *laterConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	to := l.to.Load()
	if to == nil {
		return nil, notOpen()
	}
	return (*to).NewStream(ctx, desc, method, opts...)
}

func notOpen() error { return status.Error(codes.Unavailable, "the service is not open yet") }
