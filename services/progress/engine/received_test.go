package engine_test

import (
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// However long an event waits to be written, received_at is the time of the transaction that does it, and
// a clock that runs ahead by less than that needs no correction.
func TestReceivedAtIsOfTheTransaction(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	learner := r.Learner()
	r.Clock.Set(day(2))
	committed, happened := day(2).Add(10*time.Minute), day(2).Add(7*time.Minute)
	s := overFaulty(r, &faulty{before: func([]string) error {
		r.Clock.Set(committed)
		return nil
	}})
	e := event("a", "u", progress.Completed, happened)
	if _, err := s.Record(r.Ctx, engine.Recording{LearnerID: learner, Actor: self(learner), Events: []progress.Event{e}}); err != nil {
		t.Fatal(err)
	}
	records, _, err := r.Service.History(r.Ctx, learner, 0, 10)
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	if rec := records[0]; !rec.ReceivedAt.Equal(committed) || !rec.EffectiveAt.Equal(happened) || rec.Adjusted {
		t.Errorf("received at %s, effective at %s, adjusted %t", rec.ReceivedAt, rec.EffectiveAt, rec.Adjusted)
	}
}
