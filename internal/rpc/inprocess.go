package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// InProcess is a connection to this server without a network, for the named
// service of ours. Calls on it pass the same interceptors and behave the same
// as calls over the network; one test suite runs on both.
func (s *Server) InProcess(callerService string) grpc.ClientConnInterface {
	return &inprocConn{server: s, caller: callerService}
}

// inprocConn is the client side. It closes the differences that can be seen
// from here between the channel and a network.
type inprocConn struct {
	server *Server
	caller string
}

// callerKey marks, in a client's context, which service is calling; and in the server's, where that is
// served on the caller's goroutine. The server reads it there; no metadata could say it.
type callerKey struct{}

// inprocCaller is the service that calls in process, "" over a network.
func inprocCaller(ctx context.Context) string {
	from := inprocgrpc.ClientContext(ctx)
	if from == nil {
		from = ctx
	}
	name, _ := from.Value(callerKey{}).(string)
	return name
}

func (c *inprocConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	ctx, cancel := withDeadline(injected(forwardUser(ctx), c.server.tracer), method)
	defer cancel()
	ctx, err := c.outgoing(ctx)
	if err != nil {
		return err
	}
	if err := checkSize(req, c.server.maxRecv); err != nil {
		return err
	}
	if err := c.server.inproc.Invoke(ctx, method, req, reply, opts...); err != nil {
		return clientError(ctx, err)
	}
	return checkSize(reply, MaxAnswer)
}

func (c *inprocConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, err := c.outgoing(injected(forwardUser(ctx), c.server.tracer))
	if err != nil {
		return nil, err
	}
	cs, err := c.server.inproc.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, clientError(ctx, err)
	}
	return inprocClientStream{cs, desc.ClientStreams}, nil
}

// outgoing checks the metadata and marks the caller.
func (c *inprocConn) outgoing(ctx context.Context) (context.Context, error) {
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	if md, ok := metadata.FromOutgoingContext(ctx); ok {
		checked, err := sendable(md)
		if err != nil {
			return nil, err
		}
		if len(checked) < len(md) {
			ctx = metadata.NewOutgoingContext(ctx, checked)
		}
	}
	return context.WithValue(ctx, callerKey{}, c.caller), nil
}

// clientError is a failed call's error as a network client sees it: always a
// status. When the context ends, the channel may lose the response's frames.
func clientError(ctx context.Context, err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.Error(codes.Unknown, err.Error())
}

// checkSize is the limit that a network connection puts on a message it receives.
func checkSize(m any, limit int) error {
	message, ok := m.(proto.Message)
	if !ok {
		return nil
	}
	if size := proto.Size(message); size > limit {
		return status.Errorf(codes.ResourceExhausted, "grpc: received message larger than max (%d vs. %d)", size, limit)
	}
	return nil
}

type inprocClientStream struct {
	grpc.ClientStream

	streams bool // the client sends more than one message
}

func (s inprocClientStream) Header() (metadata.MD, error) {
	md, err := s.ClientStream.Header()
	if err != nil {
		return md, clientError(s.Context(), err)
	}
	return md, nil
}

func (s inprocClientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	switch {
	case errors.Is(err, io.EOF):
		return err
	case err != nil:
		return clientError(s.Context(), err)
	}
	return checkSize(m, MaxAnswer)
}

func (s inprocClientStream) SendMsg(m any) error {
	err := s.ClientStream.SendMsg(m)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) && !s.streams:
		return nil // the server has ended the stream already: receiving returns why, as over a network
	case errors.Is(err, io.EOF):
		return err
	}
	return clientError(s.Context(), err)
}

// inprocUnary comes before everything else on calls in process: it counts the
// call, and ends it when the server must stop.
func (s *Server) inprocUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if !s.gate.enter() {
		return nil, s.stopping()
	}
	defer s.gate.leave()
	ctx, done := s.until(ctx)
	defer done()
	return handler(ctx, req)
}

func (s *Server) inprocStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !s.gate.enter() {
		return s.stopping()
	}
	defer s.gate.leave()
	ctx, done := s.until(ss.Context())
	defer done()
	stream := &inprocServerStream{ServerStream: ss, maxRecv: s.maxRecv}
	stream.ctx = grpc.NewContextWithServerTransportStream(ctx, transportOf{stream, info.FullMethod})
	return s.stream(srv, stream, info, handler)
}

// until is ctx, ended too by the server's stop.
func (s *Server) until(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	detach := context.AfterFunc(s.stop, func() { cancel(errStopping) })
	return ctx, func() { detach(); cancel(nil) }
}

// stopping is the error of calls that come too late.
func (s *Server) stopping() error {
	return newStatus(errs.New(errs.Unavailable, errs.ReasonShuttingDown, "the server is stopping; try again"), origin{}).Err()
}

// inprocServerStream is the server's side of a stream in process, as a network
// client would meet it: responses begin with a header, even an empty one, and
// requests have a size limit.
type inprocServerStream struct {
	grpc.ServerStream

	ctx     context.Context //nolint:containedctx // a stream returns its context
	maxRecv int
	began   bool // the header went out
}

func (s *inprocServerStream) Context() context.Context { return s.ctx }

func (s *inprocServerStream) SetHeader(md metadata.MD) error {
	md, err := sendable(md)
	if err != nil || md.Len() == 0 {
		return err
	}
	return s.ServerStream.SetHeader(md)
}

// SendHeader sends a header that is never empty: the channel would swallow it,
// and a client that waits for the stream to open would wait for the first message.
func (s *inprocServerStream) SendHeader(md metadata.MD) error {
	md, err := sendable(md)
	if err != nil {
		return err
	}
	s.began = true
	return s.ServerStream.SendHeader(metadata.Join(md, metadata.Pairs("content-type", "application/grpc")))
}

func (s *inprocServerStream) SetTrailer(md metadata.MD) {
	if md, err := sendable(md); err == nil {
		s.ServerStream.SetTrailer(md)
	}
}

func (s *inprocServerStream) SendMsg(m any) error {
	if !s.began {
		if err := s.SendHeader(nil); err != nil {
			return err
		}
	}
	return s.ServerStream.SendMsg(m)
}

func (s *inprocServerStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return checkSize(m, s.maxRecv)
}

// transportOf lets grpc.SetHeader and its kin, which go by the context, reach
// the same stream.
type transportOf struct {
	*inprocServerStream
	method string
}

func (t transportOf) Method() string { return t.method }

func (t transportOf) SetTrailer(md metadata.MD) error {
	md, err := sendable(md)
	if err == nil {
		t.inprocServerStream.SetTrailer(md)
	}
	return err
}

// cloner passes messages from one side to the other.
type cloner struct{}

func (cloner) Copy(out, in any) error {
	to, ok1 := out.(proto.Message)
	from, ok2 := in.(proto.Message)
	if !ok1 || !ok2 {
		return fmt.Errorf("rpc: cannot copy %T to %T", in, out)
	}
	proto.Reset(to)
	if to.ProtoReflect().Type() == from.ProtoReflect().Type() {
		handOver(to.ProtoReflect(), from.ProtoReflect())
		return nil
	}
	wire, err := proto.Marshal(from) // a message made from a descriptor of its own
	if err != nil {
		return err
	}
	return proto.Unmarshal(wire, to)
}

// handOver fills a message with the fields of another, whose parts they then share: a unary
// message belongs to its receiver once it is sent, as bytes on a wire would. Its sender must
// not change it afterwards; the receiver may set fields of the message itself, not of its parts.
func handOver(to, from protoreflect.Message) {
	from.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		to.Set(field, value)
		return true
	})
	to.SetUnknown(from.GetUnknown())
}

func (cloner) Clone(in any) (any, error) {
	message, ok := in.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("rpc: cannot copy %T", in)
	}
	return proto.Clone(message), nil
}
