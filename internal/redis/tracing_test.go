package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/preceptor-dev/preceptor/internal/tracing"
)

func TestSpansOfCommands(t *testing.T) {
	seen := tracetest.NewInMemoryExporter()
	tracer := tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen)))
	hook := spans{tracer}
	ctx, outer := tracer.Start(t.Context(), "outer", tracing.Server)
	gone := errors.New("gone")
	for _, fault := range []error{nil, goredis.Nil, gone} {
		err := hook.ProcessHook(func(context.Context, goredis.Cmder) error { return fault })(ctx, goredis.NewCmd(ctx, "get", "{learner-1}:path"))
		if !errors.Is(err, fault) {
			t.Error(err)
		}
	}
	pipeline := hook.ProcessPipelineHook(func(context.Context, []goredis.Cmder) error { return nil })
	if err := pipeline(ctx, []goredis.Cmder{goredis.NewCmd(ctx, "set", "k", "v")}); err != nil {
		t.Error(err)
	}
	outer.End()
	var names []string
	for _, span := range seen.GetSpans() {
		names = append(names, span.Name+" "+span.Status.Code.String())
		if strings.Contains(fmt.Sprint(span), "learner-1") {
			t.Error("a span holds a key")
		}
	}
	if got := strings.Join(names, ", "); got != "redis get Unset, redis get Unset, redis get Error, redis pipeline Unset, outer Unset" {
		t.Error(got)
	}
}
