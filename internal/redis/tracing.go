package redis

import (
	"context"
	"errors"
	"net"

	goredis "github.com/redis/go-redis/v9"

	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// spans is a hook that makes spans of commands. A span has the command's name and never its keys,
// which hold learner ids, or values.
type spans struct{ tracer *tracing.Tracer }

var _ goredis.Hook = spans{}

// DialHook leaves connecting as it is.
func (s spans) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook makes a span of a command.
func (s spans) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		ctx, span := s.start(ctx, cmd.FullName())
		defer span.End()
		return failed(span, next(ctx, cmd))
	}
}

// ProcessPipelineHook makes a span of a pipeline.
func (s spans) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		ctx, span := s.start(ctx, "pipeline")
		defer span.End()
		span.Number("db.operation.batch.size", len(cmds))
		return failed(span, next(ctx, cmds))
	}
}

func (s spans) start(ctx context.Context, command string) (context.Context, tracing.Span) {
	ctx, span := s.tracer.Continue(ctx, "redis "+command, tracing.Client)
	span.Text("db.system.name", "redis")
	span.Text("db.operation.name", command)
	return ctx, span
}

// failed marks a span by the command's error. A key that is not there is none.
func failed(span tracing.Span, err error) error {
	if err != nil && !errors.Is(err, goredis.Nil) {
		span.Fail("the command failed")
	}
	return err
}
