package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/logs"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// requestIDKey is the metadata that names one request wherever it goes.
const requestIDKey = "x-request-id"

// maxRequestID bounds what a caller may write into our log as a request's name.
const maxRequestID = 128

// call is what the outermost interceptor knows about one call.
type call struct {
	server  *Server
	method  string
	id      string // request id
	service string // the calling service of ours, "" for anyone else
	start   time.Time
	span    tracing.Span
	stream  bool
}

type callKey struct{}

// RequestID is the id of the request being served, "" outside of one.
func RequestID(ctx context.Context) string {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.id
	}
	return ""
}

// peerOf is the calling service of the request being served.
func peerOf(ctx context.Context) string {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.service
	}
	return ""
}

// outerUnary gives a call its request id, its log line and its status. It is
// one interceptor and not four, so that a panic, too, is logged and reported
// with the request's id.
func (s *Server) outerUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	ctx, c := s.begin(ctx, info.FullMethod)
	defer func() {
		if r := recover(); r != nil {
			resp, err = nil, panicError{r, debug.Stack()}
		}
		err = c.end(ctx, err)
	}()
	return handler(ctx, req)
}

// stream is what outerUnary, the guard and validation are to unary calls, in one: a stream waits within all
// of them, and each keeps a part of its stack for as long as it lasts.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx, c := s.begin(ss.Context(), info.FullMethod)
	c.stream = true
	read := &readStream{ServerStream: contextStream{ss, ctx}, server: s, method: info.FullMethod, answer: answerOf(ctx)}
	if read.answer != nil {
		// What is unread of a stream is known by its bytes.
		_ = grpc.SetSendCompressor(ss.Context(), encoding.Identity) // fails once something was sent
	}
	defer func() {
		if r := recover(); r != nil {
			err = panicError{r, debug.Stack()}
		}
		read.done()
		err = c.end(ctx, err)
		read.answer.status()
	}()
	if err := s.enterOpen(ctx, read, s.open); err != nil {
		return err
	}
	v, err := s.enter(ctx, info.FullMethod)
	if err != nil {
		return err
	}
	admitted := false
	err = s.guarded(srv, read, info, func(srv any, ss grpc.ServerStream) error {
		admitted = true
		if err := s.count(ctx, v, nil); err != nil {
			return err
		}
		return handler(srv, validatedStream{ss, s.validator})
	})
	if !admitted {
		err = s.count(ctx, v, err)
	}
	return err
}

// contextStream is a stream with another context.
type contextStream struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // a stream returns its context
}

func (s contextStream) Context() context.Context { return s.ctx }

func (s *Server) begin(ctx context.Context, method string) (context.Context, *call) {
	c := &call{server: s, method: method, id: incomingRequestID(ctx), service: peerService(ctx), start: s.now()}
	if ts := grpc.ServerTransportStreamFromContext(ctx); ts != nil {
		ctx = grpc.NewContextWithServerTransportStream(ctx, checkedHeaders{ts})
	}
	if s.tracer != nil {
		ctx = c.trace(ctx)
	}
	return auth.Prepare(context.WithValue(ctx, callKey{}, c)), c
}

// incomingRequestID is the caller's id for the request where it is fit to be
// logged, else a new one.
func incomingRequestID(ctx context.Context) string {
	values := metadata.ValueFromIncomingContext(ctx, requestIDKey)
	if len(values) == 1 && isRequestID(values[0]) {
		return values[0]
	}
	id, err := uuid.NewV7()
	if err != nil { // no randomness: a name is not worth failing for
		return "unknown"
	}
	return id.String()
}

func isRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	return strings.IndexFunc(id, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._:-", r))
	}) < 0
}

// end turns a handler's error into the status that the caller gets, and logs the call.
func (c *call) end(ctx context.Context, err error) error {
	st := statusOf(ctx, err, origin{c.method, c.id})
	c.log(ctx, st, err)
	c.endTrace(st)
	if c.server.observe != nil {
		c.server.observe(c.method, CodeName(st.Code()), c.unlessStream(c.server.now().Sub(c.start)))
	}
	if st.Code() == codes.Unavailable && foreignStatus(err) != nil {
		// It was repeated from here; every call above doing so again would multiply them.
		_ = grpc.SetTrailer(ctx, metadata.Pairs(pushbackKey, "-1")) // fails where nothing can be said any more
	}
	return st.Err()
}

// unlessStream returns how long the call took, or -1 for a stream, of which that says nothing.
func (c *call) unlessStream(took time.Duration) time.Duration {
	if c.stream {
		return -1
	}
	return took
}

func (c *call) log(ctx context.Context, st *status.Status, err error) {
	level := slog.LevelInfo
	switch {
	case st.Code() == codes.Internal || st.Code() == codes.Unknown || st.Code() == codes.DataLoss:
		level = slog.LevelError
	case strings.HasPrefix(c.method, "/grpc.health."), fromService(ctx, c) && (st.Code() == codes.OK || st.Code() == codes.Unavailable):
		level = slog.LevelDebug // every other second; the services log an outage once themselves
	}
	if !c.server.logger.Enabled(ctx, level) {
		return
	}
	took := c.server.now().Sub(c.start)
	attrs := make([]slog.Attr, 0, 12)
	if level == slog.LevelInfo && st.Code() == codes.OK {
		drawn, keep := c.server.sample.Keep(c.unlessStream(took))
		if !keep {
			return
		}
		attrs = append(attrs, drawn...)
	}
	if level == slog.LevelInfo && byStranger(ctx, c, st) {
		skipped, ok := c.server.refusals.Next()
		if !ok {
			return
		}
		if skipped > 0 {
			attrs = append(attrs, slog.Int64("refusals_not_logged", skipped))
		}
	}
	attrs = append(attrs,
		slog.String("method", c.method), slog.String("code", CodeName(st.Code())),
		logs.Duration(took), slog.String("request_id", c.id))
	if p, ok := auth.FromContext(ctx); ok {
		if caller := c.server.callers.Name(p); caller != "" {
			attrs = append(attrs, slog.String("caller", caller))
		}
	}
	if c.service != "" {
		attrs = append(attrs, slog.String("peer", c.service))
	}
	if err != nil {
		attrs = append(attrs, errorAttrs(err)...)
	}
	c.server.logger.LogAttrs(ctx, level, "call", attrs...)
}

// logSlowReader logs that a connection was closed.
func (s *Server) logSlowReader() {
	skipped, ok := s.refusals.Next()
	if !ok {
		return
	}
	attrs := []slog.Attr{slog.Bool("slow_reader", true)}
	if skipped > 0 {
		attrs = append(attrs, slog.Int64("refusals_not_logged", skipped))
	}
	s.logger.LogAttrs(context.Background(), slog.LevelInfo, "a connection was closed, since its client did not read", attrs...)
}

// SlowReaders returns how many connections were closed, since their clients did not read.
func (s *Server) SlowReaders() int64 { return s.readers.cut.Load() }

// byStranger reports whether a call was refused to somebody who has shown nothing.
func byStranger(ctx context.Context, c *call, st *status.Status) bool {
	p, _ := auth.FromContext(ctx)
	return st.Code() != codes.OK && c.service == "" && p.Subject == ""
}

// fromService reports whether one of our services calls, with no user behind it.
func fromService(ctx context.Context, c *call) bool {
	p, ok := auth.FromContext(ctx)
	return c.service != "" && (!ok || p.Subject == "")
}

// errorAttrs logs the whole of a fault of ours, and only the reason of a fault
// of the caller's: its text may quote the request.
func errorAttrs(err error) []slog.Attr {
	if panicked, ok := errors.AsType[panicError](err); ok {
		return []slog.Attr{slog.String("error", panicked.Error()), slog.String("stack", string(panicked.stack))}
	}
	switch errs.KindOf(err) {
	case errs.Internal, errs.Unavailable, errs.DeadlineExceeded, errs.ResourceExhausted,
		errs.Unauthenticated: // the last names what is wrong with a token, never the token
		return []slog.Attr{slog.String("reason", errs.ReasonOf(err)), slog.String("error", err.Error())}
	default:
		return []slog.Attr{slog.String("reason", errs.ReasonOf(err))}
	}
}

// panicError is a panic on its way to the log.
type panicError struct {
	value any
	stack []byte
}

func (p panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }
