package redistrace_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/preceptor-dev/preceptor/internal/tracing"
	"github.com/preceptor-dev/preceptor/internal/tracing/redistrace"
)

func TestSpansOfCommands(t *testing.T) {
	seen := tracetest.NewInMemoryExporter()
	tracer := tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen)))
	hook := redistrace.Hook{Tracer: tracer}
	ctx, outer := tracer.Start(t.Context(), "outer", tracing.Server)
	gone := errors.New("gone")
	for _, fault := range []error{nil, redis.Nil, gone} {
		err := hook.ProcessHook(func(context.Context, redis.Cmder) error { return fault })(ctx, redis.NewCmd(ctx, "get", "{learner-1}:path"))
		if !errors.Is(err, fault) {
			t.Error(err)
		}
	}
	pipeline := hook.ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return nil })
	if err := pipeline(ctx, []redis.Cmder{redis.NewCmd(ctx, "set", "k", "v")}); err != nil {
		t.Error(err)
	}
	outer.End()
	var names []string
	for _, span := range seen.GetSpans() {
		names = append(names, span.Name+" "+span.Status.Code.String())
		if strings.Contains(fmt.Sprint(span), "learner-1") {
			t.Error("a span tells a key")
		}
	}
	if got := strings.Join(names, ", "); got != "redis get Unset, redis get Unset, redis get Error, redis pipeline Unset, outer Unset" {
		t.Error(got)
	}
}
