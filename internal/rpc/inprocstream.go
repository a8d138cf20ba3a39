package rpc

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// NewStream opens a stream whose service runs on a goroutine of its own. Receive, where it will do, needs none.
func (c *inprocConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	h, ok := c.server.streams[method]
	if !ok {
		return nil, unknownMethod(method)
	}
	ctx = injected(forwardUser(ctx), c.server.tracer)
	served, err := c.outgoing(ctx)
	if err != nil {
		return nil, err
	}
	served, end := context.WithCancel(served)
	p := &pipe{
		server: served, requests: make(chan proto.Message, 1), responses: make(chan proto.Message, 1),
		begun: make(chan struct{}), done: make(chan struct{}),
	}
	go func() { //nolint:contextcheck // the pipe has it
		defer end()
		p.err = c.server.inprocStream(h.impl, pipeServer{p}, &h.info, h.serve)
		close(p.done)
	}()
	return &pipeClient{pipe: p, ctx: ctx, desc: desc, end: end}, nil
}

// pipe is a stream in process. One message each way may be on its way, so that neither side runs far ahead.
type pipe struct {
	server              context.Context //nolint:containedctx // a stream returns its context
	requests, responses chan proto.Message
	begun               chan struct{} // closed when the header is sent
	done                chan struct{} // closed when the service has returned err
	err                 error

	mu              sync.Mutex
	header, trailer metadata.MD
	sent            bool // the header
}

// pipeServer is the service's side.
type pipeServer struct{ *pipe }

func (p pipeServer) Context() context.Context { return p.server }

func (p pipeServer) SetHeader(md metadata.MD) error { return p.putHeader(md, false) }

func (p pipeServer) SendHeader(md metadata.MD) error { return p.putHeader(md, true) }

func (p pipeServer) putHeader(md metadata.MD, last bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent {
		return errHeaderSent
	}
	p.header = join(p.header, md)
	if last {
		p.sent = true
		close(p.begun)
	}
	return nil
}

func (p pipeServer) SetTrailer(md metadata.MD) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trailer = join(p.trailer, md)
}

func (p pipeServer) SendMsg(m any) error {
	message, err := messageOf(m)
	if err != nil {
		return err
	}
	select {
	case p.responses <- proto.Clone(message): // the service's again afterwards
		return nil
	case <-p.server.Done():
		return status.FromContextError(p.server.Err()).Err()
	}
}

func (p pipeServer) RecvMsg(m any) error {
	select {
	case message, ok := <-p.requests:
		if !ok {
			return io.EOF
		}
		return cloner{}.Copy(m, message)
	case <-p.server.Done():
		return status.FromContextError(p.server.Err()).Err()
	}
}

// pipeClient is the client's side.
type pipeClient struct {
	*pipe

	ctx    context.Context //nolint:containedctx // a stream returns its context
	desc   *grpc.StreamDesc
	end    context.CancelFunc
	closed bool // no more requests
}

func (p *pipeClient) Context() context.Context { return p.ctx }

// Header waits for the header. A stream that fails before it has none.
func (p *pipeClient) Header() (metadata.MD, error) {
	select {
	case <-p.begun:
	case <-p.done:
	case <-p.ctx.Done():
		return nil, status.FromContextError(p.ctx.Err()).Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.sent {
		return nil, nil //nolint:nilnil // as gRPC has it
	}
	return metadata.Join(p.header), nil // never nil
}

func (p *pipeClient) Trailer() metadata.MD {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trailer
}

func (p *pipeClient) CloseSend() error {
	if !p.closed {
		p.closed = true
		close(p.requests)
	}
	return nil
}

// SendMsg returns io.EOF when the service has ended a stream of requests: receiving returns why. A stream of
// one request takes it all the same, as over a network.
func (p *pipeClient) SendMsg(m any) error {
	message, err := messageOf(m)
	if err != nil {
		return err
	}
	select {
	case p.requests <- proto.Clone(message): // the client's again afterwards
		return nil
	case <-p.done:
		if p.desc.ClientStreams {
			return io.EOF
		}
		return nil
	case <-p.ctx.Done():
		return status.FromContextError(p.ctx.Err()).Err()
	}
}

// RecvMsg returns what was sent before it returns why the stream ended.
func (p *pipeClient) RecvMsg(m any) error {
	select {
	case message := <-p.responses:
		return p.received(m, message)
	default:
	}
	select {
	case message := <-p.responses:
		return p.received(m, message)
	case <-p.done:
	case <-p.ctx.Done():
		return status.FromContextError(p.ctx.Err()).Err()
	}
	select {
	case message := <-p.responses:
		return p.received(m, message)
	default:
		return p.ended()
	}
}

func (p *pipeClient) received(m any, message proto.Message) error {
	if err := checkSize(message, MaxAnswer); err != nil {
		p.end()
		return err
	}
	if !p.desc.ServerStreams { // the one response counts if the service does not fail after it
		<-p.done
		if err := p.ended(); !errors.Is(err, io.EOF) {
			return err
		}
	}
	return cloner{}.Copy(m, message)
}

// ended is why the stream has ended, io.EOF for its end.
func (p *pipeClient) ended() error {
	if p.err == nil {
		return io.EOF
	}
	return clientError(p.ctx, p.err)
}
