package engine_test

import (
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// BenchmarkLateEvent is one event of a learner whose log has 20,000, all of one module that they have completed: an
// event on time, and one that comes late, after a MATERIAL version.
func BenchmarkLateEvent(b *testing.B) {
	for _, name := range []string{"on time", "late"} {
		b.Run(name, func(b *testing.B) {
			m := module1("m", unit("a"), unit("b"), unit("c"))
			m.Versions[0].Currency = &progress.CurrencyPolicy{Period: rigtest.MustPeriod("P1Y"), Window: rigtest.MustPeriod("P30D"), Basis: progress.BasisCompletion}
			r := newRig(b, []progress.Module{m}, nil)
			learner := r.Learner()
			r.Clock.Set(day(20))
			next := func(i int) progress.Event {
				verb := progress.Progressed
				if i < 3 {
					verb = progress.Completed
				}
				return event("m", string("abc"[i%3]), verb, day(1).Add(time.Duration(i)*time.Minute))
			}
			for i := 0; i < 20_000; i += 100 {
				var events []progress.Event
				for k := range 100 {
					events = append(events, next(i+k))
				}
				r.Accept(learner, self(learner), events...)
			}
			changed := version(2, day(21), unit("a"), unit("b"), unit("c"))
			changed.Material, changed.RetakeAll, changed.Currency = true, true, m.Versions[0].Currency
			m.Versions = append(m.Versions, changed)
			r.Catalog.Publish([]progress.Module{m}, nil)
			r.Clock.Set(day(40))
			r.Refresh()
			r.Accept(learner, self(learner), event("m", "a", progress.Progressed, day(22))) // the facts are of the new version
			at := map[string]time.Time{"on time": day(23), "late": day(5)}[name]
			for i := 0; b.Loop(); i++ {
				r.Accept(learner, self(learner), event("m", "a", progress.Progressed, at.Add(time.Duration(i)*time.Millisecond)))
			}
		})
	}
}
