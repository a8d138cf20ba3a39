package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

const (
	// maxStreams is how many calls a connection may have in flight; clients keep further ones back. The
	// connections of our own services have no such limit: one of the gateway's carries a stream for each of its
	// readers, and calls that waited behind these would wait for long.
	maxStreams = 128
	// maxHeaders bounds the headers of a call, in bytes. A token has at most 16 KiB; gRPC takes 16 MiB
	// unless told.
	maxHeaders = 128 << 10
	// ownWindow and ownConnWindow are what may be on its way to one of our own services, or from it, in bytes: of a
	// stream and of a connection. Being fixed, they spare the pings by which gRPC looks for better ones all the time.
	ownWindow, ownConnWindow = 256 << 10, 1 << 20
	// workers are the goroutines that serve calls of our own services one after the other, with a stack that has grown
	// already. More calls at once have goroutines of their own.
	workers = 64
	// handshakeTime is how long a connection may take to be one.
	handshakeTime = 10 * time.Second
)

// network serves over the network, by two gRPC servers on one listener: one for our own services, known by
// their certificates, and one for all others, who get less of everything.
type network struct {
	others, services *grpc.Server
	handed           *handedConns
}

// newNetwork makes one; without TLS nobody is a service.
func newNetwork(config *tls.Config, maxRecv int, stream grpc.StreamServerInterceptor, readers *readers) *network {
	n := &network{handed: newHandedConns()}
	options := func(creds credentials.TransportCredentials, more ...grpc.ServerOption) []grpc.ServerOption {
		return append(more,
			grpc.Creds(creds), grpc.StreamInterceptor(stream), grpc.MaxRecvMsgSize(maxRecv),
			grpc.MaxHeaderListSize(maxHeaders), grpc.ConnectionTimeout(handshakeTime),
			grpc.KeepaliveParams(keepalive.ServerParameters{
				MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: connectionGrace, Time: serverPing, Timeout: pingTimeout,
			}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		)
	}
	others := func(creds credentials.TransportCredentials) *grpc.Server {
		return grpc.NewServer(options(readCreds{creds, readers}, grpc.MaxConcurrentStreams(maxStreams),
			grpc.InTapHandle(readers.tap), grpc.ReadBufferSize(0))...)
	}
	if config == nil {
		n.others = others(insecure.NewCredentials())
		return n
	}
	creds := credentials.NewTLS(config)
	n.others = others(sortingCreds{creds, n.handed})
	n.services = grpc.NewServer(options(shakenCreds{creds}, grpc.NumStreamWorkers(workers),
		grpc.InitialWindowSize(ownWindow), grpc.InitialConnWindowSize(ownConnWindow))...)
	return n
}

// each calls f with each server.
func (n *network) each(f func(*grpc.Server)) {
	f(n.others)
	if n.services != nil {
		f(n.services)
	}
}

func (n *network) register(desc *grpc.ServiceDesc, impl any) {
	n.each(func(s *grpc.Server) { s.RegisterService(desc, impl) })
}

func (n *network) reflect() { n.each(func(s *grpc.Server) { reflection.Register(s) }) }

// serve serves until the stop, and then returns nil.
func (n *network) serve(lis net.Listener) error {
	n.handed.addr = lis.Addr()
	served := make(chan error, 2)
	serving := 0
	n.each(func(s *grpc.Server) {
		serving++
		from := lis
		if s == n.services {
			from = n.handed
		}
		go func() { served <- s.Serve(from) }()
	})
	var all error
	for range serving {
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			all = errors.Join(all, fmt.Errorf("rpc: serving %s: %w", lis.Addr(), err))
			n.stop() // neither serves without the other
		}
	}
	return all
}

// drain refuses new calls and returns when the last has ended.
func (n *network) drain() {
	var all sync.WaitGroup
	n.each(func(s *grpc.Server) { all.Go(s.GracefulStop) })
	all.Wait()
}

// stop ends all calls.
func (n *network) stop() {
	var all sync.WaitGroup
	n.each(func(s *grpc.Server) { all.Go(s.Stop) })
	all.Wait()
}

// sortingCreds hand the connections of our own services over, once their certificate is known.
type sortingCreds struct {
	credentials.TransportCredentials
	services *handedConns
}

// ServerHandshake returns ErrConnDispatched for a connection that the other server has.
func (c sortingCreds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil || connectedService(info) == "" {
		return conn, info, err
	}
	if !c.services.hand(shakenConn{conn, info}) {
		_ = conn.Close()
		return nil, nil, errStopping
	}
	return nil, nil, credentials.ErrConnDispatched
}

// Clone is credentials.TransportCredentials's.
func (c sortingCreds) Clone() credentials.TransportCredentials {
	return sortingCreds{c.TransportCredentials.Clone(), c.services}
}

// shakenConn is a connection after its handshake.
type shakenConn struct {
	net.Conn
	info credentials.AuthInfo
}

// shakenCreds take connections whose handshake is done.
type shakenCreds struct {
	credentials.TransportCredentials
}

// ServerHandshake returns what the handshake has found.
func (shakenCreds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, ok := raw.(shakenConn)
	if !ok {
		return nil, nil, fmt.Errorf("rpc: %T was not handed over", raw)
	}
	return conn.Conn, conn.info, nil
}

// Clone is credentials.TransportCredentials's.
func (c shakenCreds) Clone() credentials.TransportCredentials {
	return shakenCreds{c.TransportCredentials.Clone()}
}

// handedConns is the listener of connections that are handed over.
type handedConns struct {
	conns  chan net.Conn
	closed context.Context //nolint:containedctx // it lives as long as the listener
	close  context.CancelFunc
	addr   net.Addr
}

func newHandedConns() *handedConns {
	l := &handedConns{conns: make(chan net.Conn)}
	l.closed, l.close = context.WithCancel(context.Background())
	return l
}

// hand hands a connection over, and reports whether somebody took it.
func (l *handedConns) hand(conn net.Conn) bool {
	select {
	case l.conns <- conn:
		return true
	case <-l.closed.Done():
		return false
	}
}

// Accept is net.Listener's.
func (l *handedConns) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed.Done():
		return nil, net.ErrClosed
	}
}

// Close is net.Listener's.
func (l *handedConns) Close() error {
	l.close()
	return nil
}

// Addr is net.Listener's.
func (l *handedConns) Addr() net.Addr { return l.addr }
