package gateway

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/propagation"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// trace begins a request's span, under the caller's where it has one. Health checks are none.
func (g *Gateway) trace(ctx context.Context, r *http.Request) (context.Context, tracing.Span) {
	if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return ctx, tracing.Span{}
	}
	return g.config.Tracer.Start(g.config.Tracer.Extract(ctx, propagation.HeaderCarrier(r.Header)), "HTTP", tracing.Server)
}

// endTrace says how the request went. The path, which holds ids, is not told: its route is.
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

// observe tells of a request. Who asks chooses neither the routes nor the methods told of,
// so there is a bounded number of them.
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

// knownMethod is the method where routes have it, else "OTHER".
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "OTHER"
}

// Streams returns how many streams are open.
func (g *Gateway) Streams() int { return g.streams.Open() }
