package server

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/preceptor-dev/preceptor/internal/logs"
)

// quieter is a logger whose ordinary records are for debugging only. In one process
// the gateway logs a request already; the calls that it led to need no line.
func quieter(log *slog.Logger) *slog.Logger { return slog.New(demoted{log.Handler()}) }

type demoted struct{ slog.Handler }

func (d demoted) Enabled(ctx context.Context, level slog.Level) bool {
	return d.Handler.Enabled(ctx, lower(level))
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lower(r.Level)
	return d.Handler.Handle(ctx, r)
}

func (d demoted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return demoted{d.Handler.WithAttrs(attrs)}
}

func (d demoted) WithGroup(name string) slog.Handler { return demoted{d.Handler.WithGroup(name)} }

func lower(level slog.Level) slog.Level {
	if level == slog.LevelInfo {
		return slog.LevelDebug
	}
	return level
}

// openCallers configures by which names the log has callers. The processes of one installation give one
// caller the same name when they have one key: that of a setting, or of the folder that they share.
func (p *process) openCallers(ctx context.Context) error {
	key := p.cfg.LogKey
	var err error
	switch {
	case key != "":
	case p.cfg.needsFolder():
		if key, err = logs.OpenKey(p.cfg.Data); err != nil {
			return FolderError(p.cfg.Data, err)
		}
	default:
		key = logs.NewKey()
		if p.cfg.LogCallers != logs.BySubject {
			p.log.InfoContext(ctx, "the hashes of callers in this log are this process's own, until all processes have one --log-key")
		}
	}
	p.callers, err = logs.NewCallers(cmp.Or(p.cfg.LogCallers, logs.ByID), key)
	return err
}
