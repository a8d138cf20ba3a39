// Package redistrace makes spans of Redis commands: a hook for go-redis. It stands apart
// from internal/tracing so that only who speaks to Redis links its client.
package redistrace

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// Hook is for a client's AddHook. A span tells the command's name and never its keys, which
// hold learner ids, or values.
type Hook struct{ Tracer *tracing.Tracer }

var _ redis.Hook = Hook{}

// DialHook leaves connecting as it is.
func (h Hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook makes a span of a command.
func (h Hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, span := h.start(ctx, cmd.FullName())
		defer span.End()
		return told(span, next(ctx, cmd))
	}
}

// ProcessPipelineHook makes a span of a pipeline.
func (h Hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ctx, span := h.start(ctx, "pipeline")
		defer span.End()
		span.Number("db.operation.batch.size", len(cmds))
		return told(span, next(ctx, cmds))
	}
}

func (h Hook) start(ctx context.Context, command string) (context.Context, tracing.Span) {
	ctx, span := h.Tracer.Continue(ctx, "redis "+command, tracing.Client)
	span.Text("db.system.name", "redis")
	span.Text("db.operation.name", command)
	return ctx, span
}

// told marks a span by the command's error. A key that is not there is none.
func told(span tracing.Span, err error) error {
	if err != nil && !errors.Is(err, redis.Nil) {
		span.Fail("the command failed")
	}
	return err
}
