package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestOffDoesNothing(t *testing.T) {
	var off *Tracer
	ctx, span := off.Start(t.Context(), "x", Server)
	span.Name("y")
	span.Text("k", "v")
	span.Number("n", 1)
	span.Fail("so")
	span.End()
	off.Inject(off.Extract(ctx, propagation.MapCarrier{}), propagation.MapCarrier{})
	if ctx != t.Context() || span.Recording() || Within(ctx) || off.Close(ctx) != nil {
		t.Error("a tracer that is off does something")
	}
	if n := testing.AllocsPerRun(100, func() {
		_, span := off.Continue(ctx, "x", Client)
		span.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestContinueBeginsNoTrace(t *testing.T) {
	seen := tracetest.NewInMemoryExporter()
	tracer := New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen)))
	_, alone := tracer.Continue(t.Context(), "alone", Client)
	alone.End()
	ctx, outer := tracer.Start(t.Context(), "outer", Server)
	_, inner := tracer.Continue(ctx, "inner", Client)
	inner.End()
	outer.End()
	spans := seen.GetSpans()
	if len(spans) != 2 || spans[0].Name != "inner" || spans[0].Parent.SpanID() != spans[1].SpanContext.SpanID() {
		t.Errorf("%+v", spans)
	}
}

func TestEndpoints(t *testing.T) {
	for endpoint, want := range map[string]string{
		"collector:4317": "http://collector:4317", "https://collector:4317": "https://collector:4317", "http://10.0.0.1:4317": "http://10.0.0.1:4317",
		"": "", "ftp://x": "", "http://": "", ":::": "",
	} {
		got, err := endpointURL(endpoint)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", endpoint, got, err)
		}
	}
}

func TestLogLinesNameTheirTrace(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(LogHandler(slog.NewTextHandler(&text, nil))).With("a", 1)
	tracer := New(sdktrace.NewTracerProvider())
	ctx, span := tracer.Start(t.Context(), "x", Server)
	defer span.End()
	log.InfoContext(ctx, "within")
	log.InfoContext(t.Context(), "without")
	unseen, none := New(sdktrace.NewTracerProvider(sampled(0))).Start(t.Context(), "x", Server)
	defer none.End()
	log.InfoContext(unseen, "of a trace that nobody can look up")
	within, without, _ := strings.Cut(text.String(), "\n")
	if !strings.Contains(within, "trace_id=") || !strings.Contains(within, "span_id=") || strings.Contains(without, "trace_id") {
		t.Error(text.String())
	}
}

// faulty is a collector that is there or not.
type faulty struct {
	sdktrace.SpanExporter
	err error
}

func (f *faulty) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return f.err }

func TestALostCollectorIsToldOnce(t *testing.T) {
	var text bytes.Buffer
	collector := &faulty{}
	e := &loggingExporter{SpanExporter: collector, log: slog.New(slog.NewTextHandler(&text, nil))}
	for _, err := range []error{nil, errors.New("gone"), errors.New("gone"), nil, nil} {
		collector.err = err
		if got := e.ExportSpans(t.Context(), nil); got != nil {
			t.Error(got)
		}
	}
	if strings.Count(text.String(), "dropped") != 1 || strings.Count(text.String(), "again") != 1 {
		t.Error(text.String())
	}
}

// TestSampled begins a share of the traces, and continues those that their callers record.
func TestSampled(t *testing.T) {
	const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"
	for share, flags := range map[float64]map[string]bool{0: {"": false, "0": false, "1": true}, 1: {"": true, "0": false, "1": true}} {
		for flag, want := range flags {
			seen := tracetest.NewInMemoryExporter()
			tracer := New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen), sampled(share)))
			ctx := t.Context()
			if flag != "" {
				ctx = tracer.Extract(ctx, propagation.MapCarrier{"traceparent": caller + flag})
			}
			_, span := tracer.Start(ctx, "x", Server)
			span.End()
			if got := len(seen.GetSpans()) == 1; got != want {
				t.Errorf("of %v, with the caller's flag %q: recorded %v", share, flag, got)
			}
		}
	}
}
