// Package tracing records the path of a request and where its time was spent, by
// OpenTelemetry: spans at the gateway, at each call of a service, and at each statement and
// Redis command, exported by OTLP. A nil *Tracer is tracing turned off: everything works on
// it, does nothing and costs nothing.
//
// Spans hold routes, methods, codes and the text of statements, whose values are all
// placeholders: no name, id, address or token.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Options are where traces go.
type Options struct {
	// Endpoint is the collector: host:port or http://host:port in the clear, or
	// https://host:port. The variables OTEL_EXPORTER_OTLP_* set the rest.
	Endpoint string
	// Sample is which share of the traces that begin here is recorded, up to 1. A trace that goes on here is
	// recorded where it is by its caller.
	Sample float64
	// ForeignSampler has OTEL_TRACES_SAMPLER, which is set, replace both rules.
	ForeignSampler bool
	// Service and Version name this process.
	Service, Version string
	// Logger gets a line when the collector is lost and one when it is found.
	Logger *slog.Logger
}

// Kind is a span's part in a call.
type Kind int

// The kinds.
const (
	// Inner is work within this process.
	Inner Kind = iota
	// Server is a span that serves a request.
	Server
	// Client is a span that waits for the response to a request.
	Client
)

func (k Kind) option() trace.SpanStartOption {
	switch k {
	case Server:
		return trace.WithSpanKind(trace.SpanKindServer)
	case Client:
		return trace.WithSpanKind(trace.SpanKindClient)
	default:
		return trace.WithSpanKind(trace.SpanKindInternal)
	}
}

// Tracer makes spans.
type Tracer struct {
	tracer   trace.Tracer
	provider *sdktrace.TracerProvider
	format   propagation.TraceContext
}

// Open makes a tracer that exports in the background. A collector that is not there is no
// error: what cannot be sent is dropped, which is logged once.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	endpoint, err := endpointURL(o.Endpoint)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("tracing: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithBatcher(&loggingExporter{SpanExporter: exporter, log: o.Logger}), sdktrace.WithResource(about),
	}
	if !o.ForeignSampler {
		options = append(options, sampled(o.Sample))
	}
	return New(sdktrace.NewTracerProvider(options...)), nil
}

// sampled records a share of the traces that begin here, and of others what their callers record.
func sampled(share float64) sdktrace.TracerProviderOption {
	return sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(share)))
}

// New makes a tracer of a provider, which Close shuts down.
func New(provider *sdktrace.TracerProvider) *Tracer {
	return &Tracer{tracer: provider.Tracer("github.com/preceptor-dev/preceptor"), provider: provider}
}

// endpointURL makes a URL of host:port.
func endpointURL(endpoint string) (string, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("tracing: a collector is given as host:port, or as http:// or https:// with them")
	}
	return endpoint, nil
}

// Close sends what is waiting, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Start begins a span under the one in ctx, or a trace where there is none. Its End must follow.
func (t *Tracer) Start(ctx context.Context, name string, kind Kind) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, name, kind.option()) //nolint:spancheck // our caller ends it
	return ctx, Span{span}                                //nolint:spancheck // see above
}

// Continue begins a span under the one in ctx, and nothing where there is none: what the
// program does by itself, every other second, is no trace.
func (t *Tracer) Continue(ctx context.Context, name string, kind Kind) (context.Context, Span) {
	if t == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, Span{}
	}
	return t.Start(ctx, name, kind)
}

// Carrier is what a request's headers are.
type Carrier = propagation.TextMapCarrier

// Extract puts the caller's span, as the headers name it, into ctx.
func (t *Tracer) Extract(ctx context.Context, from Carrier) context.Context {
	if t == nil {
		return ctx
	}
	return t.format.Extract(ctx, from)
}

// Inject writes the span in ctx into the headers.
func (t *Tracer) Inject(ctx context.Context, to Carrier) {
	if t != nil {
		t.format.Inject(ctx, to)
	}
}

// Within reports whether ctx belongs to a trace.
func Within(ctx context.Context) bool { return trace.SpanContextFromContext(ctx).IsValid() }

// Span is a stretch of work; its zero value is none.
type Span struct{ span trace.Span }

// Recording reports whether somebody will see it, and attributes are worth making.
func (s Span) Recording() bool { return s.span != nil && s.span.IsRecording() }

// Name changes the span's name.
func (s Span) Name(name string) {
	if s.span != nil {
		s.span.SetName(name)
	}
}

// Text sets an attribute.
func (s Span) Text(key, value string) {
	if s.Recording() {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// Number sets an attribute.
func (s Span) Number(key string, value int) {
	if s.Recording() {
		s.span.SetAttributes(attribute.Int(key, value))
	}
}

// Fail marks the span as failed. why must not quote anybody's data.
func (s Span) Fail(why string) {
	if s.span != nil {
		s.span.SetStatus(codes.Error, why)
	}
}

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// loggingExporter logs when traces are lost, and when they no longer are. It swallows
// the error, which would go to a logger of OpenTelemetry's own otherwise.
type loggingExporter struct {
	sdktrace.SpanExporter
	log  *slog.Logger
	lost atomic.Bool
}

// ExportSpans sends spans.
func (e *loggingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && !e.lost.Swap(true):
		e.log.WarnContext(ctx, "traces cannot be exported; they are dropped", "error", err)
	case err == nil && e.lost.Swap(false):
		e.log.InfoContext(ctx, "traces are exported again")
	}
	return nil
}
