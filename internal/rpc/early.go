package rpc

import (
	"context"
	"errors"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

const (
	// openStreamsEach and openStreams bound the streams that need no token, of health and reflection, on one
	// connection and on all; and likewise, apart from them, the unary calls of that kind: how many are in
	// flight on one connection, and how many wait for their message on all. Calls of our own services do not
	// count.
	openStreamsEach, openStreams = 16, 1024
)

// admittingFirst returns a service whose unary calls pass the guard before their message is read, so that
// one which is refused costs its headers and no more. An interceptor would come after that.
func (s *Server) admittingFirst(desc *grpc.ServiceDesc) *grpc.ServiceDesc {
	out := *desc
	out.Methods = slices.Clone(desc.Methods)
	for i := range out.Methods {
		m := &out.Methods[i]
		m.Handler = s.admitFirst("/"+desc.ServiceName+"/"+m.MethodName, m.Handler)
	}
	return &out
}

func (s *Server) admitFirst(method string, inner grpc.MethodHandler) grpc.MethodHandler {
	info := &grpc.UnaryServerInfo{FullMethod: method}
	return func(srv any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		answer := answerOf(ctx)
		defer answer.status()
		return s.outerUnary(ctx, nil, info, func(ctx context.Context, _ any) (any, error) {
			ctx, check, err := s.admit(ctx, method)
			if err != nil {
				return nil, err
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			call := &readStream{server: s, method: method}
			defer call.done()
			if err := s.enterOpen(ctx, call, s.checks); err != nil {
				return nil, err
			}
			if call.in = s.receiverOf(ctx, method); call.in != nil {
				read = call.receive
			}
			resp, err := inner(srv, ctx, reading(read), func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				if err := check(ctx, req); err != nil {
					return nil, err
				}
				return s.validator.unary(ctx, req, info, handler)
			})
			if err == nil {
				err = answer.message(ctx, resp)
			}
			return resp, err
		})
	}
}

// reading is read, with the caller's faults classified as such.
func reading(read func(any) error) func(any) error {
	return func(m any) error { return unread(read(m)) }
}

// unread classifies why a message could not be read: what is neither the end of the stream nor of its time
// is the caller's fault, though gRPC calls it internal.
func unread(err error) error {
	if _, classified := errors.AsType[*errs.Error](err); err == nil || classified || errors.Is(err, io.EOF) {
		return err
	}
	switch foreignStatus(err).Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Unavailable:
		return err
	case codes.ResourceExhausted:
		return errs.Wrap(err, errs.ResourceExhausted, errs.ReasonMessageTooLarge, "a message is larger than allowed")
	default:
		return errs.Wrap(err, errs.Invalid, errs.ReasonMalformed, "the request could not be read as what the method takes")
	}
}

// enterOpen counts a call that needs no token, until it is left.
func (s *Server) enterOpen(ctx context.Context, call *readStream, in *bounds.Quota[string]) error {
	from := addressOf(ctx)
	if from == "" || !auth.IsOpen(call.method) || peerOf(ctx) != "" {
		return nil
	}
	if !in.Take(from, 1) {
		return tooManyOpen()
	}
	call.counted, call.counts = from, in
	return nil
}

func tooManyOpen() error {
	return errs.New(errs.ResourceExhausted, errs.ReasonTooManyStreams,
		"too many health checks and other calls without a token are in flight; at most %d can be on one connection", openStreamsEach)
}

// receive reads the message of a unary call. Of those without a token that wait for theirs, the oldest give
// way: whoever opens calls and sends no message keeps nobody from asking.
func (s *readStream) receive(m any) error {
	if s.counted == "" {
		return s.in.receive(m)
	}
	defer s.server.waiting.Add(func() { s.in.end(tooManyOpen()) })()
	return s.in.receive(m)
}

// addressOf is the address and port at the other end of the network connection that a call came by, "" in process.
func addressOf(ctx context.Context) string {
	if inprocCaller(ctx) != "" {
		return ""
	}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return ""
}

// readStream reads requests within bounds, and marks what cannot be read as the caller's fault.
type readStream struct {
	grpc.ServerStream
	server *Server
	method string
	in     *receiver // nil before the first message, and where gRPC reads
	// counted is the connection that a call without a token counts for; "" for none.
	counted string
	counts  *bounds.Quota[string]
	answer  *answer
}

// SendMsg sends a message, unless too much is unread.
func (s *readStream) SendMsg(m any) error {
	if err := s.answer.message(s.Context(), m); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

func (s *readStream) RecvMsg(m any) error {
	if s.in == nil { // by now the guard knows who calls
		s.in = s.server.receiverOf(s.Context(), s.method)
	}
	if s.in == nil {
		return unread(s.ServerStream.RecvMsg(m))
	}
	defer s.in.give() // a stream lasts, and its request has arrived
	return unread(s.in.receive(m))
}

// done gives back what the call has taken.
func (s *readStream) done() {
	if s.counted != "" {
		s.counts.Give(s.counted, 1)
	}
	if s.in != nil {
		s.in.done()
	}
}
