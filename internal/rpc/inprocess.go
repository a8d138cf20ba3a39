package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"

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
// as calls over the network; one test suite runs on both. A unary call is served
// on the caller's goroutine, and returns when its handler does: handlers heed
// their context.
func (s *Server) InProcess(callerService string) grpc.ClientConnInterface {
	return &inprocConn{server: s, caller: callerService}
}

// inprocConn is the client side.
type inprocConn struct {
	server *Server
	caller string
}

// callerKey marks, in the server's context of a call in process, which service is calling; no metadata could say it.
type callerKey struct{}

// inprocCaller is the service that calls in process, "" over a network.
func inprocCaller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

func (c *inprocConn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	h, ok := c.server.methods[method]
	if !ok {
		return unknownMethod(method)
	}
	ctx, cancel := withDeadline(injected(forwardUser(ctx), c.server.tracer), method)
	defer cancel()
	served, err := c.outgoing(ctx)
	if err != nil {
		return err
	}
	if err := checkSize(req, c.server.maxRecv); err != nil {
		return err
	}
	call := &inprocCall{method: method}
	resp, err := c.server.serveInproc(served, h, call, req)
	call.tell(opts)
	switch {
	case ctx.Err() != nil: // as over a network, whatever the service made of it
		return status.FromContextError(ctx.Err()).Err()
	case err != nil:
		return clientError(ctx, err)
	}
	if err := checkSize(resp, MaxAnswer); err != nil {
		return err
	}
	return clientError(ctx, cloner{}.Copy(reply, resp))
}

func unknownMethod(method string) error {
	return status.Errorf(codes.Unimplemented, "unknown method %s", method)
}

// outgoing checks the metadata, and returns the context by which the service is called: it ends with the
// client's, and says who calls.
func (c *inprocConn) outgoing(ctx context.Context) (context.Context, error) {
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	sent, _ := metadata.FromOutgoingContext(ctx)
	sent, err := sendable(sent)
	if err != nil {
		return nil, err
	}
	from := context.WithValue(context.Background(), callerKey{}, c.caller)
	return servedContext{ctx, metadata.NewIncomingContext(from, sent)}, nil
}

// unaryHandler serves one unary RPC.
type unaryHandler struct {
	impl  any
	serve grpc.MethodHandler
}

// serveInproc serves a unary call.
func (s *Server) serveInproc(ctx context.Context, h unaryHandler, call *inprocCall, req any) (any, error) {
	if !s.gate.enter() {
		return nil, s.stopping()
	}
	defer s.gate.leave()
	ctx, done := s.until(ctx)
	defer done()
	return h.serve(h.impl, grpc.NewContextWithServerTransportStream(ctx, call), func(m any) error { return cloner{}.Copy(m, req) }, nil)
}

// inprocCall is the transport of one unary call: what grpc.SetHeader and its kin, which go by the context, set.
type inprocCall struct {
	method          string
	mu              sync.Mutex
	header, trailer metadata.MD
	sent            bool // the header
}

// Method is grpc.ServerTransportStream's.
func (c *inprocCall) Method() string { return c.method }

// SetHeader is grpc.ServerTransportStream's.
func (c *inprocCall) SetHeader(md metadata.MD) error { return c.putHeader(md, false) }

// SendHeader is grpc.ServerTransportStream's.
func (c *inprocCall) SendHeader(md metadata.MD) error { return c.putHeader(md, true) }

func (c *inprocCall) putHeader(md metadata.MD, last bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent {
		return errHeaderSent
	}
	c.header, c.sent = join(c.header, md), last
	return nil
}

// SetTrailer is grpc.ServerTransportStream's.
func (c *inprocCall) SetTrailer(md metadata.MD) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trailer = join(c.trailer, md)
	return nil
}

// errHeaderSent is the error of a header that comes too late.
var errHeaderSent = errors.New("rpc: the header was sent before")

// join returns metadata with more of it; either may be empty.
func join(md, more metadata.MD) metadata.MD {
	if len(more) == 0 {
		return md
	}
	return metadata.Join(md, more) // a copy
}

// tell gives the caller what it asked for. It takes it from the handler, which may still hold on to its context.
func (c *inprocCall) tell(opts []grpc.CallOption) {
	c.mu.Lock()
	header, trailer := c.header, c.trailer
	c.sent = true
	c.mu.Unlock()
	for _, opt := range opts {
		switch o := opt.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = header
		case grpc.TrailerCallOption:
			*o.TrailerAddr = trailer
		}
	}
}

// clientError is a failed call's error as a network client sees it: always a status.
func clientError(ctx context.Context, err error) error {
	if _, ok := status.FromError(err); ok { // or nil
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
// client would meet it: responses begin with a header, what it cannot carry is
// refused, and requests have a size limit.
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

func (s *inprocServerStream) SendHeader(md metadata.MD) error {
	md, err := sendable(md)
	if err != nil {
		return err
	}
	s.began = true
	return s.ServerStream.SendHeader(md)
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
	if to.ProtoReflect().Type() == from.ProtoReflect().Type() && len(from.ProtoReflect().GetUnknown()) == 0 {
		handOver(to.ProtoReflect(), from.ProtoReflect())
		return nil
	}
	wire, err := proto.Marshal(from) // a message made from a descriptor of its own, or by Encoded
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
}
