package engine_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
)

// A sweep stores the facts that the catalog made old, so that they are counted without being read;
// what a reader sees stays as it was, and so does the head's version.
func TestSweepStoresFactsAsTheyAre(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	r := newRig(t, []progress.Module{a, module1("b", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a", "b")))})
	enrolled, alone := r.Learner(), r.Learner()
	r.Enroll(enrolled, "p")
	heads := map[string]progress.Head{}
	for _, learner := range []string{enrolled, alone} {
		r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0), event("b", "u", progress.Initialized, day0))
		head, err := r.Store.Head(r.Ctx, learner)
		if err != nil {
			t.Fatal(err)
		}
		heads[learner] = head
	}
	publishWithout(r, a)
	r.Refresh()
	for _, learner := range []string{enrolled, alone} {
		var l *progress.Learner
		for deadline := testenv.Now().Add(20 * time.Second); testenv.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			var err error
			if l, err = r.Store.Load(r.Ctx, learner); err != nil {
				t.Fatal(err)
			}
			if l.Facts["a"].Cycles[0].CompleteAt != 0 {
				break
			}
		}
		sum := l.Facts["a"].Summary()
		if sum.CompleteVersion != 2 || sum.Materials != 1 || sum.CycleState != progress.CycleDone {
			t.Fatalf("stored are %+v", l.Facts["a"])
		}
		if l.Head.Catalog = heads[learner].Catalog; l.Head != heads[learner] {
			t.Errorf("head %+v, was %+v", l.Head, heads[learner])
		}
		late, err := r.Store.Outdated(r.Ctx, []progress.Freshness{{ModuleID: "a", Key: sum.Key, Materials: 1}}, "", 10)
		if err != nil || slices.Contains(late, learner) {
			t.Errorf("outdated after the sweep: %v %v", late, err)
		}
		if drift, err := r.Service.Verify(r.Ctx, learner); err != nil || len(drift) > 0 {
			t.Errorf("folding again differs: %+v %v", drift, err)
		}
	}
}

// publishWithout publishes a MATERIAL version of a module that has its unit u alone, and unchanged: who was not
// through with the others is done.
func publishWithout(r *rig, a progress.Module) {
	same := unit("u")
	same.Changed = false
	next := version(2, day(1), same)
	next.Material = true
	a.Versions, a.Revision = append(a.Versions, next), 2
	r.Catalog.Publish([]progress.Module{a}, nil)
}

// A sweep writes behind the same fence as everybody. A learner who goes on elsewhere between its look and its write
// keeps what they did, and what it does not know to be written it writes again.
func TestSweepBesideAnotherReplica(t *testing.T) {
	t.Parallel()
	bothWays(t, sweepBesideAnotherReplica)
}

func sweepBesideAnotherReplica(t *testing.T, lockedTry int) {
	t.Helper()
	a := module1("a", unit("u"), unit("v"))
	r := newRig(t, []progress.Module{a, module1("b", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a", "b")))})
	var learners []string
	for range 5 {
		learner := r.Learner()
		r.Enroll(learner, "p")
		r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0))
		learners = append(learners, learner)
	}
	r.Service.Close()
	r.Clock.Set(day(1).Add(time.Minute)) // its lease of the sweep, if it had one, is over
	elsewhere := *r
	var begun atomic.Bool
	var lost atomic.Int64
	went := map[string]bool{} // the lane's
	store := &faulty{
		before: func(of []string) error {
			for _, learner := range of {
				if begun.Load() && !went[learner] {
					went[learner] = true
					elsewhere.Accept(learner, self(learner), event("b", "u", progress.Completed, day0))
				}
			}
			return nil
		},
		after: func([]string) error {
			if begun.Load() && lost.Add(1) == 1 {
				return errs.New(errs.Unavailable, errs.ReasonCommitOutcomeUnknown, "the connection broke")
			}
			return nil
		},
	}
	sweeping := overFaulty(r, store, lockedTry)
	holds := func() bool { return sweeping.Stats().Sweep != nil }
	wait := func(what string, f func() bool) {
		t.Helper()
		for deadline := testenv.Now().Add(time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
			if testenv.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	wait("it holds the sweep", holds)
	elsewhere.Service = r.Replica()
	begun.Store(true)
	publishWithout(r, a)
	r.Refreshed(elsewhere.Service)
	r.Refreshed(sweeping)
	for _, learner := range learners {
		wait("the facts of each are swept", func() bool {
			l, err := r.Store.Load(r.Ctx, learner)
			return err == nil && l.Facts["a"].Cycles[0].CompleteAt != 0
		})
		log, head, err := elsewhere.Service.History(r.Ctx, learner, 0, 10)
		if err != nil || len(log) != 3 || head.Sequence != 3 {
			t.Errorf("%d entries, head %+v, %v; want 3", len(log), head, err)
		}
		if drift, err := elsewhere.Service.Verify(r.Ctx, learner); err != nil || len(drift) > 0 {
			t.Errorf("folding again differs: %+v %v", drift, err)
		}
	}
	if lost.Load() < 2 {
		t.Errorf("of %d commits that were done one was lost", lost.Load())
	}
}

// brokenSweep is a store that finds no learners for a sweep while it is broken.
type brokenSweep struct {
	progresstest.Store

	broken atomic.Bool
	asked  atomic.Int64
}

// Enrolled fails while the store is broken.
func (s *brokenSweep) Enrolled(ctx context.Context, paths []string, after string, limit int) ([]string, error) {
	if s.broken.Load() {
		s.asked.Add(1)
		return nil, errs.New(errs.Internal, errs.ReasonInternal, "broken")
	}
	return s.Store.Enrolled(ctx, paths, after, limit)
}

// A replica whose sweeps keep failing gives the sweep up to one that can, and says nothing of it meanwhile.
// The clock stands still, so that no lease ends by itself.
func TestSweepIsGivenUp(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"))
	r := newRig(t, []progress.Module{a, module1("b", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a", "b")))})
	learner := r.Learner()
	r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("b", "u", progress.Completed, day0))
	r.Service.Close()
	r.Clock.Set(day(2))

	store := &brokenSweep{Store: r.Store}
	first := r.ReplicaOver(store, engine.Options{})
	holds := func(s *replica) bool { return s.Stats().Sweep != nil }
	wait := func(what string, f func() bool) {
		t.Helper()
		for deadline := testenv.Now().Add(time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
			if testenv.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	wait("the first holds it", func() bool { return holds(first) })
	store.broken.Store(true)
	second := r.Replica()
	a.Revision, a.State, a.Archives = 2, progress.ModuleArchived, []progress.ArchivePeriod{{ArchiveTime: day(1), SunsetTime: day(1)}}
	r.Catalog.Publish([]progress.Module{a}, nil)
	for _, s := range []*replica{first, second} {
		r.Refreshed(s)
	}
	wait("the first fails", func() bool { return store.asked.Load() > 0 })
	if sweep := second.Stats().Sweep; sweep != nil && store.asked.Load() < 3 {
		t.Errorf("the second holds it too: %+v", sweep)
	}
	wait("the second has swept", func() bool { s := second.Stats().Sweep; return s != nil && s.Unswept == 0 && s.Age == 0 })
	if holds(first) {
		t.Error("the first says that it holds the sweep")
	}
	if p := r.Path(learner, "p"); p.Milestones[0].Award == nil || p.Milestones[0].Award.Provisional {
		t.Errorf("nothing was swept: %+v", p.Milestones[0].Award)
	}
}
