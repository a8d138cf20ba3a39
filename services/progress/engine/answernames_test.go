package engine_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// asker asks for a module's state by the names that it is given.
type asker struct {
	*rig

	learner  string
	computed int
}

func (a *asker) ask(names ...string) engine.Answer {
	a.T.Helper()
	answer, err := a.Service.Read(a.Ctx, a.learner, "module/m", engine.AtLeast{Answers: names}, func(w *progress.View) ([]byte, error) {
		a.computed++
		m, err := w.Module("m")
		if err != nil {
			return nil, err
		}
		return json.Marshal(m)
	})
	if err != nil {
		a.T.Fatal(err)
	}
	return answer
}

// names are those by which an answer is known.
func names(a engine.Answer) []string { return []string{strings.Trim(a.ETag, `"`), a.Validator} }

// renewer gives the database a new incarnation, as a restore does.
type renewer interface {
	Renew(ctx context.Context) error
}

// An answer that the caller has is neither computed nor read from a cache; and it is not taken for one of now after
// anything that it depends on has changed.
func TestNamesHoldUntilSomethingChanges(t *testing.T) {
	t.Parallel()
	module := module1("m", unit("u0"))
	module.Versions[0].Currency = &progress.CurrencyPolicy{Period: rigtest.MustPeriod("P30D"), Basis: progress.BasisCompletion}
	r := newRig(t, []progress.Module{module}, nil)
	r.Refresh()
	store, _ := r.Store.(renewer)
	a := &asker{rig: r, learner: r.Learner()}
	var last engine.Answer
	step := func(what string, do func()) {
		t.Helper()
		do()
		for _, name := range names(last) {
			if got := a.ask(name); got.Unchanged != "" || got.Body == nil {
				t.Errorf("%s: %s still holds", what, name)
			}
		}
		last = a.ask("other", "a.b.c")
		computed := a.computed
		for _, name := range names(last) {
			got := a.ask("other", name[1:], name)
			if got.Unchanged != name || got.Body != nil || got.Sequence != last.Sequence || got.LogID != last.LogID {
				t.Errorf("%s: %s gives %+v", what, name, got)
			}
		}
		if a.computed != computed {
			t.Errorf("%s: computed for one who has it", what)
		}
	}
	r.Know(a.learner)
	step("at first", func() {})
	step("written", func() {
		if err := completeUnit(r.Ctx, r.Service, a.learner, 0); err != nil {
			t.Fatal(err)
		}
	})
	step("the catalog", func() {
		r.Catalog.Publish([]progress.Module{module1("other", unit("u"))}, nil)
		r.Refresh()
	})
	step("a restore", func() {
		if err := store.Renew(r.Ctx); err != nil {
			t.Fatal(err)
		}
		r.Service = r.Replica()
		r.Refresh()
	})
	step("time", func() { r.Clock.Set(day(60)) })
	step("another learner", func() {
		a.learner = r.Learner()
		r.Know(a.learner)
	})
	// The beginning is the validator's alone.
	r.Clock.Set(day(60).Add(-time.Second))
	if got := a.ask(last.Validator); got.Unchanged != "" {
		t.Error("the validator holds before its time")
	}
}

// An answer that the caller has costs the store one look at the head.
func TestAnUnchangedAnswerIsOneHead(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("m", unit("u0"))}, nil)
	tally := &tallied{Store: r.Store}
	store := &counted{Store: tally}
	r.Service = r.ReplicaOver(store, engine.Options{CommitLanes: 1})
	r.Refresh()
	a := &asker{rig: r, learner: r.Learner()}
	recordAt(r, r.Service, a.learner, event("m", "u0", progress.Progressed, day0))
	answer := a.ask()
	tally.loads.Store(0)
	tally.want(t, "the event, and an answer", 0, 1, 0, 1)
	store.heads.Store(0)
	r.Service.Forget() // nor does it need what is remembered
	for _, name := range names(answer) {
		if got := a.ask(name); got.Unchanged != name {
			t.Errorf("%s gives %+v", name, got)
		}
	}
	if n := store.heads.Load(); n != 2 {
		t.Errorf("two that hold: %d heads", n)
	}
	tally.want(t, "two that hold", 0, 0, 0, 0)
}
