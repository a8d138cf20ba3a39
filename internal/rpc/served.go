package rpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Received is a message by its struct.
type Received[T any] interface {
	*T
	proto.Message
}

// Receive calls an RPC that streams its responses, and returns why the stream ended, nil for its end. It calls
// open once the service has begun the stream, and each with every message, which is each's until it returns;
// an error of each's ends the stream, and is returned.
//
// In process the service runs on the caller's goroutine, so that a stream which lasts costs one and no more.
func Receive[T any, M Received[T]](
	ctx context.Context, conn grpc.ClientConnInterface, method string, req proto.Message, open func(), each func(M) error,
) error {
	receive := func(sent any) error {
		m, ok := sent.(M)
		if !ok { // made from a descriptor of its own
			m = new(T)
			if err := (cloner{}).Copy(m, sent); err != nil {
				return err
			}
		}
		return each(m)
	}
	if local, ok := conn.(*inprocConn); ok {
		return local.serve(ctx, method, &servedStream{req: req, open: open, each: receive})
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := begin(ctx, conn, method, req)
	if err != nil {
		return err
	}
	// A stream that fails before its header has none: receiving returns the error.
	if header, err := stream.Header(); err == nil && header != nil {
		open()
	}
	for {
		m := M(new(T))
		switch err := stream.RecvMsg(m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := each(m); err != nil {
			return err
		}
	}
}

// begin sends the one request of a stream of responses.
func begin(ctx context.Context, conn grpc.ClientConnInterface, method string, req proto.Message) (grpc.ClientStream, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(req); err != nil && !errors.Is(err, io.EOF) { // at io.EOF, receiving returns why
		return nil, err
	}
	return stream, stream.CloseSend()
}

// streamHandler serves the streams of one RPC.
type streamHandler struct {
	impl  any
	serve grpc.StreamHandler
	info  grpc.StreamServerInfo
}

// registerInproc keeps the handlers of a service, for calls on their callers' goroutines.
func (s *Server) registerInproc(desc *grpc.ServiceDesc, impl any) {
	for _, d := range desc.Methods {
		s.methods["/"+desc.ServiceName+"/"+d.MethodName] = unaryHandler{impl, d.Handler}
	}
	for _, d := range desc.Streams {
		method := "/" + desc.ServiceName + "/" + d.StreamName
		info := grpc.StreamServerInfo{FullMethod: method, IsClientStream: d.ClientStreams, IsServerStream: d.ServerStreams}
		s.streams[method] = streamHandler{impl, d.Handler, info}
	}
}

// serve serves a call on the caller's goroutine.
func (c *inprocConn) serve(ctx context.Context, method string, ss *servedStream) error {
	h, ok := c.server.streams[method]
	if !ok {
		return unknownMethod(method)
	}
	ctx = injected(forwardUser(ctx), c.server.tracer)
	served, err := c.outgoing(ctx)
	if err != nil {
		return err
	}
	ss.ctx = served
	err = c.server.inprocStream(h.impl, ss, &h.info, h.serve) //nolint:contextcheck // the stream has it
	switch {
	case ss.failed != nil:
		return ss.failed
	case ctx.Err() != nil: // as over a network, whatever the service made of it
		return status.FromContextError(ctx.Err()).Err()
	case err != nil:
		return clientError(ctx, err)
	}
	return nil
}

// servedContext ends when the client's context does, and has values of its own: what a client knows, a service
// does not.
type servedContext struct {
	context.Context //nolint:containedctx // the client's

	values context.Context //nolint:containedctx // never ends
}

// Value is context.Context's.
func (c servedContext) Value(key any) any { return c.values.Value(key) }

// AfterFunc lets a context made of this one end with it; it would need a goroutine without it.
func (c servedContext) AfterFunc(f func()) func() bool { return context.AfterFunc(c.Context, f) }

// servedStream is the server's side of a stream whose messages are received as they are sent.
type servedStream struct {
	ctx    context.Context //nolint:containedctx // a stream returns its context
	req    proto.Message   // nil once it was received
	open   func()
	each   func(sent any) error
	failed error // why a message was not received
}

func (s *servedStream) Context() context.Context     { return s.ctx }
func (s *servedStream) SetHeader(metadata.MD) error  { return nil }
func (s *servedStream) SetTrailer(metadata.MD)       {}
func (s *servedStream) SendHeader(metadata.MD) error { s.open(); return nil }

func (s *servedStream) SendMsg(m any) error {
	if err := checkSize(m, MaxAnswer); err != nil {
		return err
	}
	if s.failed = s.each(m); s.failed != nil {
		return status.FromContextError(context.Canceled).Err() // the caller has gone
	}
	return nil
}

func (s *servedStream) RecvMsg(m any) error {
	if s.req == nil {
		return io.EOF
	}
	req := s.req
	s.req = nil
	return cloner{}.Copy(m, req)
}
