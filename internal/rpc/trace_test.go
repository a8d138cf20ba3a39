package rpc_test

import (
	"context"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

func TestOneTraceThroughAllServices(t *testing.T) {
	seen := tracetest.NewInMemoryExporter()
	tracer := tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen)))
	dir := t.TempDir()
	issuer := must(auth.OpenLocalIssuer(dir, testenv.Now))
	traced := func(_ *harness, o *rpc.Options) { o.Tracer = tracer }
	outer, inner := newHarnessAt(t, dir, issuer, "127.0.0.1:0", traced), newHarnessAt(t, dir, issuer, "127.0.0.1:0", traced)
	network := must(rpc.Dial(inner.address, rpc.DialOptions{TLS: must(rpc.LocalPKI(dir, "progress", testenv.Now)).ClientTLS("catalog"), Tracer: tracer}))
	defer func() { _ = network.Close() }()
	for name, conn := range map[string]grpc.ClientConnInterface{"in process": inner.server.InProcess("progress"), "network": network} {
		seen.Reset()
		inner.Unary = func(context.Context, *rpctest.Echo) (*rpctest.Echo, error) {
			return nil, errs.New(errs.Internal, "", "secret of ours")
		}
		outer.Unary = func(ctx context.Context, _ *rpctest.Echo) (*rpctest.Echo, error) {
			return inner.Call(ctx, conn, rpctest.Everyone, inner.New())
		}
		if _, err := outer.Call(outer.as(t), outer.server.InProcess(""), rpctest.Everyone, outer.New()); err == nil {
			t.Error("no error")
		}
		spans := map[string]bool{}
		root := ""
		for _, span := range seen.GetSpans() {
			spans[span.SpanContext.SpanID().String()] = true
			if !span.Parent.IsValid() {
				root = span.SpanContext.TraceID().String()
			}
			if span.Status.Code.String() != "Error" || span.Status.Description != "INTERNAL" {
				t.Errorf("%s: %s is %+v", name, span.Name, span.Status)
			}
		}
		for _, span := range seen.GetSpans() {
			if span.SpanContext.TraceID().String() != root || span.Parent.IsValid() && !spans[span.Parent.SpanID().String()] {
				t.Errorf("%s: %s stands elsewhere", name, span.Name)
			}
		}
		if want := map[string]int{"in process": 2, "network": 3}[name]; len(spans) != want {
			t.Errorf("%s: %d spans, want %d", name, len(spans), want)
		}
		seen.Reset()
		inner.Unary = func(_ context.Context, req *rpctest.Echo) (*rpctest.Echo, error) { return req, nil }
		if _, err := inner.Call(t.Context(), conn, rpctest.Internal, inner.New()); err != nil {
			t.Error(err)
		}
		if _, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
			t.Error(err)
		}
		if n := len(seen.GetSpans()); n != 0 {
			t.Errorf("%s: %d spans of what services call by themselves", name, n)
		}
	}
}

// TestAStrangersTraceIsNone has a call from outside begin a trace, whatever its metadata says, while one of a
// service of ours goes on in the one that it names.
func TestAStrangersTraceIsNone(t *testing.T) {
	const named = "0af7651916cd43dd8448eb211c80319c"
	seen := tracetest.NewInMemoryExporter()
	h := newHarnessAt(t, t.TempDir(), must(auth.NewLocalIssuer(testenv.Now)), "127.0.0.1:0", func(_ *harness, o *rpc.Options) {
		o.Tracer = tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen)))
	})
	h.Unary = func(_ context.Context, req *rpctest.Echo) (*rpctest.Echo, error) { return req, nil }
	for caller, want := range map[string]bool{"": false, "gateway": true} {
		seen.Reset()
		ctx := metadata.AppendToOutgoingContext(h.as(t), "traceparent", "00-"+named+"-b7ad6b7169203331-01")
		if _, err := h.Call(ctx, h.server.InProcess(caller), rpctest.Everyone, h.New()); err != nil {
			t.Fatal(err)
		}
		spans := seen.GetSpans()
		if len(spans) != 1 || (spans[0].SpanContext.TraceID().String() == named) != want {
			t.Errorf("the caller %q: %+v", caller, spans)
		}
	}
}

func TestCallsAreObserved(t *testing.T) {
	type seen struct {
		method, code string
		timed        bool
	}
	dir, got := t.TempDir(), make(chan seen, 10)
	h := newHarnessAt(t, dir, must(auth.OpenLocalIssuer(dir, testenv.Now)), "127.0.0.1:0", func(_ *harness, o *rpc.Options) {
		o.Observe = func(method, code string, took time.Duration) { got <- seen{method, code, took > 0} }
	})
	conn := h.server.InProcess("gateway")
	_, _ = h.Call(h.as(t), conn, rpctest.Everyone, h.New())
	_, _ = h.Call(h.as(t), conn, rpctest.Author, h.New())
	stream := openWatch(h.as(t), t, h, conn)
	for stream.RecvMsg(h.New().Message) == nil { //nolint:revive // to its end
	}
	for _, want := range []seen{{rpctest.Everyone, "OK", true}, {rpctest.Author, "PERMISSION_DENIED", true}, {rpctest.Watch, "OK", false}} {
		if g := <-got; g != want {
			t.Errorf("%+v, want %+v", g, want)
		}
	}
}
