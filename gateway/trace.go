package gateway

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/propagation"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// trace starts a request's span, as a child of the caller's if there is one. Health checks have none.
func (g *Gateway) trace(ctx context.Context, r *http.Request) (context.Context, tracing.Span) {
	if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return ctx, tracing.Span{}
	}
	return g.config.Tracer.Start(g.config.Tracer.Extract(ctx, propagation.HeaderCarrier(r.Header)), "HTTP", tracing.Server)
}

// endTrace ends the span. It holds the route instead of the path, which has ids in it.
func endTrace(span tracing.Span, rec *recorder, x *exchange, method string) {
	if span.Recording() {
		method = knownMethod(method)
		span.Text("http.request.method", method)
		span.Number("http.response.status_code", rec.status)
		span.Text("preceptor.request_id", x.id)
		if x.route != nil {
			span.Name(method + " " + x.route.template)
			span.Text("http.route", x.route.template)
		}
		if rec.status >= http.StatusInternalServerError {
			span.Fail(http.StatusText(rec.status))
		}
	}
	span.End()
}

// observe reports a request to Config.Observe. Routes and methods are from a fixed set, whatever
// the client sends, so that the number of metrics is bounded.
func (g *Gateway) observe(rec *recorder, x *exchange, method string, start time.Time) {
	route, took := "", g.config.Now().Sub(start)
	if x.route != nil {
		route = x.route.template
		if x.route.rpc == progressv1.ProgressService_WatchProgress_FullMethodName {
			took = -1
		}
	}
	g.config.Observe(route, knownMethod(method), rec.status, took)
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
