package rpc

import (
	"context"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// headers are a call's metadata as tracing reads and writes them.
type headers metadata.MD

var _ tracing.Carrier = headers(nil)

// Get is the value under a key.
func (h headers) Get(key string) string {
	if values := metadata.MD(h).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set sets it.
func (h headers) Set(key, value string) { metadata.MD(h).Set(key, value) }

// Keys are all of them.
func (h headers) Keys() []string { return slices.Collect(maps.Keys(h)) }

// injected is ctx with its span in the outgoing metadata.
func injected(ctx context.Context, tracer *tracing.Tracer) context.Context {
	if tracer == nil || !tracing.Within(ctx) {
		return ctx
	}
	out, _ := metadata.FromOutgoingContext(ctx) // a copy
	if out == nil {
		out = metadata.MD{}
	}
	tracer.Inject(ctx, headers(out))
	return metadata.NewOutgoingContext(ctx, out)
}

// trace begins the call's span: in the trace of the service of ours that calls, and in a new one for
// anybody else, who could have all that they do recorded otherwise. What one of our services calls outside
// of any trace, such as whether there is something new, is none either; nor are health checks.
func (c *call) trace(ctx context.Context) context.Context {
	if strings.HasPrefix(c.method, "/grpc.") {
		return ctx
	}
	if c.service != "" {
		in, _ := metadata.FromIncomingContext(ctx)
		ctx = c.server.tracer.Extract(ctx, headers(in))
		ctx, c.span = c.server.tracer.Continue(ctx, c.method[1:], tracing.Server)
	} else {
		ctx, c.span = c.server.tracer.Start(ctx, c.method[1:], tracing.Server)
	}
	c.span.Text("preceptor.request_id", c.id)
	return ctx
}

func (c *call) endTrace(st *status.Status) {
	markSpan(c.span, st)
	c.span.End()
}

// markSpan records how a call went.
func markSpan(span tracing.Span, st *status.Status) {
	if !span.Recording() {
		return
	}
	span.Text("rpc.system", "grpc")
	span.Text("rpc.response.status_code", CodeName(st.Code()))
	switch st.Code() {
	case codes.Internal, codes.Unknown, codes.DataLoss, codes.Unavailable, codes.DeadlineExceeded, codes.Unimplemented:
		span.Fail(CodeName(st.Code()))
	default: // a response
	}
}
