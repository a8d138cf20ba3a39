package server

import (
	"context"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// refusalWords are what a person calls a reason for which a database refuses writes.
func refusalWords(reason string) string {
	switch reason {
	case errs.ReasonDatabaseFull:
		return "its disk is full"
	case errs.ReasonDatabaseReadOnly:
		return "it is read-only"
	default:
		return "its disk has a fault"
	}
}

// watchRefusal adds to a service's state that its database refuses writes. The service stays ready:
// what is stored it still returns, and no other process could write there either.
func (s *service) watchRefusal() {
	inner := s.State
	s.State = func(ctx context.Context) health.State {
		state := inner(ctx)
		if reason := s.db.Refusal(); reason != "" {
			state.Degraded = append(state.Degraded, health.Missing{
				Dependency: health.DatabaseWrites, Text: "the database of " + s.name + " refuses writes: " + refusalWords(reason),
			})
		}
		return state
	}
}

// logRefusal returns what logs once that a service's database refuses writes, and once that this is over.
func (p *process) logRefusal(ctx context.Context, name string) func(err error) {
	ctx = context.WithoutCancel(ctx)
	return func(err error) {
		if err == nil {
			p.log.InfoContext(ctx, "the database takes writes again", "database", name)
			return
		}
		p.log.WarnContext(ctx, "the database refuses writes; what needs one is answered 503 until it takes them again, and the rest is answered as ever",
			"database", name, "reason", errs.ReasonOf(err), "error", errs.OneLine(err))
	}
}

// measureRefusal shows whether a database takes writes.
func (p *process) measureRefusal(name string, db *sqldb.DB) {
	for _, reason := range []string{errs.ReasonDatabaseFull, errs.ReasonDatabaseReadOnly, errs.ReasonDatabaseUnreachable} {
		p.metrics.Gauge("preceptor_db_refuses_writes", "Whether a database refuses all writes, by reason: 1 or 0.",
			map[string]string{"database": name, "reason": reason}, func() float64 {
				if db.Refusal() == reason {
					return 1
				}
				return 0
			})
	}
}
