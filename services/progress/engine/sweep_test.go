package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
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
	same := unit("u")
	same.Changed = false
	next := version(2, day(1), same)
	next.Material = true
	a.Versions, a.Revision = append(a.Versions, next), 2
	r.Catalog.Publish([]progress.Module{a}, nil)
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
