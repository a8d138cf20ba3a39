package engine_test

import (
	"errors"
	"sync"
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
	entered, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := overFaulty(r, &faulty{before: func([]string) error {
		once.Do(func() {
			close(entered)
			<-gate
		})
		return nil
	}}, 0)
	send := func(learner string, e progress.Event) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := s.Record(r.Ctx, engine.Recording{LearnerID: learner, Actor: self(learner), Events: []progress.Event{e}})
			done <- err
		}()
		return done
	}
	first := send(r.Learner(), event("a", "u", progress.Completed, day(1)))
	<-entered
	second := send(learner, event("a", "u", progress.Completed, happened)) // waits for the transaction that is written
	eventually(t, "it waits", func() bool { return s.Stats().Queued == 1 })
	r.Clock.Set(committed)
	close(gate)
	if err := errors.Join(<-first, <-second); err != nil {
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
