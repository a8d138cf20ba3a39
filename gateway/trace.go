package gateway

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/propagation"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// trace starts a request's span: in a new trace, or in that of a proxy which may begin them. Health checks
// have none. Anybody else's traceparent counts for nothing, also with a valid token: it would have all of their
// requests recorded, however few are, under an id that others may have seen.
func (g *Gateway) trace(ctx context.Context, r *http.Request) (context.Context, tracing.Span) {
	if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return ctx, tracing.Span{}
	}
	if addr, ok := bounds.ReadAddr(r.RemoteAddr); ok && g.config.ContinueTraces && g.proxies.has(addr) {
		ctx = g.config.Tracer.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	return g.config.Tracer.Start(ctx, "HTTP", tracing.Server)
}

// endTrace ends the span. It holds the route instead of the path, which has ids in it.
func (x *exchange) endTrace() {
	if x.span.Recording() {
		method := knownMethod(x.method)
		x.span.Text("http.request.method", method)
		x.span.Number("http.response.status_code", x.outcome.status)
		x.span.Text("preceptor.request_id", x.id)
		if x.route != nil {
			x.span.Name(method + " " + x.route.template)
			x.span.Text("http.route", x.route.template)
		}
		if x.outcome.status >= http.StatusInternalServerError {
			x.span.Fail(http.StatusText(x.outcome.status))
		}
	}
	x.span.End()
}

// observe reports a request to Config.Observe. Routes and methods are from a fixed set, whatever
// the client sends, so that the number of metrics is bounded. A request that took as long as its client
// allowed is the client's doing, and is no error of ours in an alert.
func (g *Gateway) observe(x *exchange) {
	route, took := "", g.config.Now().Sub(x.begun)
	if x.route != nil {
		route = x.route.template
		if x.route.rpc == progressv1.ProgressService_WatchProgress_FullMethodName {
			took = -1
		}
	}
	status := x.outcome.counted()
	if g.timedOutAsAsked(x) {
		status = http.StatusRequestTimeout
	}
	g.config.Observe(route, knownMethod(x.method), status, took)
}

// knownMethod returns the method if it is a common one, or else "OTHER".
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "OTHER"
}

// Streams returns how many streams are open.
func (g *Gateway) Streams() int { return g.streams.Open() }
