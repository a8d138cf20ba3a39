package progress_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// unchanged is a unit as the preceding version has it.
func unchanged(id string) progress.Unit {
	u := unit(id)
	u.Changed = false
	return u
}

// EDITORIAL: nothing changes for anyone; who is done, and who is in the middle, stay as they are.
func TestEditorialChangesNothing(t *testing.T) {
	t.Parallel()
	m := module1("a", unit("u"), unit("v"))
	r := newRig(t, []progress.Module{m}, []progress.Path{path1("p", milestone("ms", all("a")))})
	done, begun, fresh := newLearner(), newLearner(), newLearner()
	for _, l := range []string{done, begun, fresh} {
		r.Enroll(l, "p")
	}
	r.Accept(done, self(done), event("a", "u", progress.Completed, day(0)), event("a", "v", progress.Completed, day(0)))
	r.Accept(begun, self(begun), event("a", "u", progress.Completed, day(0)))
	before := map[string]*progress.PathProgress{done: r.Path(done, "p"), begun: r.Path(begun, "p")}
	reworded := unit("u") // differs in its words: an EDITORIAL version is declared so, and invalidates nothing
	m.Versions = append(m.Versions, version(2, day(5), reworded, unchanged("v")))
	r.Catalog.Publish([]progress.Module{m}, nil)
	r.Refresh()
	r.Clock.Set(day(6))
	for l, was := range before {
		if is := r.Path(l, "p"); !reflect.DeepEqual(was, is) {
			t.Errorf("was\n%+v\nis\n%+v", was, is)
		}
	}
	if got := r.Path(fresh, "p").Milestones[0].Modules[0]; got.Version != 2 {
		t.Errorf("who has not begun is on version %d", got.Version)
	}
}

// MINOR: completers keep credit; learners in progress keep unit credit by unit id and may finish on any version begun.
func TestMinorKeepsCreditAndMayBeFinishedOnAnyVersionBegun(t *testing.T) {
	t.Parallel()
	m := module1("a", unit("u"), unit("v"))
	m.Versions = append(m.Versions, version(2, day(5), unchanged("u"), unchanged("v"), unit("w")))
	r := newRig(t, []progress.Module{m}, nil)
	r.Clock.Set(day(9))
	done, old, newer := newLearner(), newLearner(), newLearner()
	on := func(unit string, v int) progress.Event {
		return onVersion(event("a", unit, progress.Completed, day(6)), v)
	}
	r.Accept(done, self(done), on("u", 1), on("v", 1))
	if got := r.Module(done, "a"); got.State != progress.StateCompleted || got.Currency.State != progress.CurrencyCurrent || got.Version != 1 {
		t.Errorf("who is done: %+v", got.ModuleProgress)
	}
	// Begun on 1 and on 2: u counts on both, and v completes version 1 though w is missing.
	r.Accept(old, self(old), on("u", 1), on("u", 2))
	if got := r.Module(old, "a"); *got.Percent != 50 || got.Version != 1 {
		t.Errorf("in the middle: %d %% on version %d", *got.Percent, got.Version)
	}
	r.Accept(old, self(old), on("v", 2))
	if got := r.Module(old, "a"); got.State != progress.StateCompleted || got.Cycles[0].Version != 1 {
		t.Errorf("finished on the older version: %+v", got.Cycles)
	}
	// Begun on 2 only: version 1 is no way out.
	r.Accept(newer, self(newer), on("u", 2), on("v", 2))
	if got := r.Module(newer, "a"); *got.Percent != 66 || got.Version != 2 {
		t.Errorf("on version 2: %d %% on version %d", *got.Percent, got.Version)
	}
}

// MATERIAL with ALL_UNITS invalidates every unit, with CHANGED_UNITS those that changed.
func TestMaterialInvalidatesChangedUnitsOrAll(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		name    string
		All     bool
		percent int
	}{{"CHANGED_UNITS", false, 50}, {"ALL_UNITS", true, 0}} {
		m := module1("a", unit("u"), unit("v"))
		second := version(2, day(5), unchanged("u"), unit("v"))
		second.Material, second.RetakeAll = true, s.All
		m.Versions = append(m.Versions, second)
		r := newRig(t, []progress.Module{m}, nil)
		learner := newLearner()
		r.Accept(learner, self(learner), onVersion(event("a", "u", progress.Completed, day(0)), 1), onVersion(event("a", "v", progress.Completed, day(0)), 1))
		r.Clock.Set(day(6))
		r.Accept(learner, self(learner), onVersion(event("a", "v", progress.Initialized, day(6)), 2))
		got := r.Module(learner, "a")
		if len(got.Cycles) != 2 || *got.Cycles[1].Percent != s.percent || got.Cycles[1].Opening != progress.OpenedMaterial || *got.Percent != 100 {
			t.Errorf("%s: %+v", s.name, got.Cycles)
		}
	}
}

// A prerequisite that is added gates only modules not begun.
func TestAnAddedPrerequisiteGatesOnlyWhatIsNotBegun(t *testing.T) {
	t.Parallel()
	m := module1("a", unit("u"), unit("v"))
	r := newRig(t, []progress.Module{m, module1("first", unit("u"))}, []progress.Path{path1("p", milestone("ms", all("a")))})
	begun, fresh := newLearner(), newLearner()
	r.Enroll(begun, "p")
	r.Enroll(fresh, "p")
	r.Accept(begun, self(begun), event("a", "u", progress.Completed, day(0)))
	second := version(2, day(1), unchanged("u"), unchanged("v"))
	second.Prerequisites = []string{"first"}
	m.Versions = append(m.Versions, second)
	r.Catalog.Publish([]progress.Module{m}, nil)
	r.Refresh()
	if got := r.Path(begun, "p").Milestones[0].Modules[0]; got.State != progress.StateInProgress || *got.Percent != 50 || len(got.BlockedBy) != 0 {
		t.Errorf("begun: %+v", got)
	}
	if got := r.Path(fresh, "p").Milestones[0].Modules[0]; got.State != progress.StateLocked || !reflect.DeepEqual(got.BlockedBy, []string{"first"}) {
		t.Errorf("not begun: %+v", got)
	}
	// Any completed cycle satisfies it, an expired one too; and it unlocks.
	r.Accept(fresh, self(fresh), event("first", "u", progress.Completed, day(1)))
	if got := r.Path(fresh, "p").Milestones[0].Modules[0]; got.State != progress.StateAvailable {
		t.Errorf("unlocked: %+v", got)
	}
}

// An equivalence needs all of a group, and is not transitive.
func TestEquivalenceNeedsAWholeGroupAndIsNotTransitive(t *testing.T) {
	t.Parallel()
	merged, next := module1("merged", unit("u")), module1("next", unit("u"))
	merged.Versions[0].Credits = [][]string{{"one", "two"}, {"other"}}
	next.Versions[0].Credits = [][]string{{"merged"}}
	r := newRig(t, []progress.Module{merged, next, module1("one", unit("u")), module1("two", unit("u")), module1("other", unit("u"))}, nil)
	learner := newLearner()
	state := func(id string) progress.ModuleProgressState { return r.Module(learner, id).State }
	r.Accept(learner, self(learner), event("one", "u", progress.Completed, day(0)))
	if state("merged") != progress.StateAvailable {
		t.Errorf("by half a group: %s", state("merged"))
	}
	r.Accept(learner, self(learner), event("two", "u", progress.Completed, day(0)))
	if got := r.Module(learner, "merged"); got.State != progress.StateCompleted || got.Credit != progress.CreditEquivalence {
		t.Errorf("by a whole group: %+v", got)
	}
	if state("next") != progress.StateAvailable {
		t.Errorf("by an equivalence of an equivalence: %s", state("next"))
	}
}

// An upgrade that an admin made mandatory happens at its time, when read, with what the percent
// was before and why; the log gets an entry of its own.
func TestMandatoryUpgrade(t *testing.T) {
	t.Parallel()
	p := path1("p", milestone("ms", all("a")))
	r := newRig(t, []progress.Module{module1("a", unit("u")), module1("b", unit("u"))}, []progress.Path{p})
	learner, gone := newLearner(), newLearner()
	e := r.Enroll(learner, "p")
	left := r.Enroll(gone, "p")
	state := progress.EnrollmentWithdrawn
	if _, err := r.Service.UpdateEnrollment(r.Ctx, gone, left.ID, self(gone), engine.EnrollmentChange{State: &state}); err != nil {
		t.Fatal(err)
	}
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(0)))
	p.Revision = 2
	p.Versions = append(p.Versions, progress.PathVersion{
		Number: 2, Title: "Two", Milestones: []progress.Milestone{milestone("ms", all("a", "b"))}, MandateTime: day(10),
	})
	r.Catalog.Publish(nil, []progress.Path{p})
	r.Refresh()
	got := r.Path(learner, "p")
	if got.Enrollment.PathVersion != 1 || *got.Percent() != 100 || got.Upgrade == nil || !got.Upgrade.MandateTime.Equal(day(10)) {
		t.Fatalf("before its time: %+v, upgrade %+v", got.Enrollment, got.Upgrade)
	}
	r.Clock.Set(day(10))
	got = r.Path(learner, "p")
	if got.Enrollment.PathVersion != 2 || *got.Percent() != 50 || got.PreviousPercent == nil || *got.PreviousPercent != 100 ||
		got.PercentChange == nil || got.PercentChange.Code != progress.ChangeMandated || got.Upgrade != nil || got.Milestones[0].Award == nil || got.Enrollment.ETag() == e.ETag() {
		t.Fatalf("at its time: %+v, %d %%, previous %v", got.Enrollment, *got.Percent(), got.PreviousPercent)
	}
	r.Clock.Set(day(10).Add(progress.SettleAfter))
	waitFor(r, learner, progress.RecordUpgraded, func(rec *progress.Record) bool {
		return rec.ActorID == "system" && rec.Reason != "" && rec.Enrollment().PathVersion == 2
	})
	after := r.Path(learner, "p")
	if after.AsOfSequence <= got.AsOfSequence || after.Enrollment.ETag() != got.Enrollment.ETag() || *after.PreviousPercent != 100 {
		t.Errorf("stored: %+v", after.Enrollment)
	}
	r.Accept(learner, self(learner), event("b", "u", progress.Completed, day(10)))
	if got := r.Path(learner, "p"); got.PreviousPercent != nil || got.State != progress.EnrollmentCompleted {
		t.Errorf("regained, yet previous %v", got.PreviousPercent)
	}
	if records, _, err := r.Service.History(r.Ctx, gone, 0, 10); err != nil || records[len(records)-1].Type == progress.RecordUpgraded {
		t.Errorf("a withdrawn enrollment was upgraded: %+v, %v", records, err)
	}
}

// waitFor waits for a log entry that the service writes by itself.
func waitFor(r *rig, learner string, kind progress.RecordType, is func(*progress.Record) bool) {
	r.T.Helper()
	for deadline := testenv.Now().Add(20 * time.Second); testenv.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		records, _, err := r.Service.History(r.Ctx, learner, 0, 1000)
		if err != nil {
			r.T.Fatal(err)
		}
		for i := range records {
			if records[i].Type == kind && is(&records[i]) {
				return
			}
		}
	}
	r.T.Fatalf("no %s entry", kind)
}

// An award carries the rule that it was judged by and the completions that it rests on; once the
// rule stops holding, both stay as they were.
func TestAwardsCarryTheirRuleAndCompletions(t *testing.T) {
	t.Parallel()
	p := path1("p", milestone("ms", all("a"), kOf(1, "b", "c")))
	r := newRig(t, []progress.Module{module1("a", unit("u")), module1("b", unit("u")), module1("c", unit("u"))}, []progress.Path{p})
	learner := newLearner()
	e := r.Enroll(learner, "p")
	r.Clock.Set(day(3))
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(0)), event("c", "u", progress.Completed, day(2)))
	held := func() progress.Award {
		awards, _ := rigtest.Read(r, learner, "awards", func(w *progress.View) ([]progress.Award, error) { return w.Awards() })
		if len(awards) != 1 {
			t.Fatalf("%+v", awards)
		}
		return awards[0]
	}
	was := held()
	want := []progress.Completion{{ModuleID: "a", Version: 1, Cycle: 1, CompleteTime: day(0)}, {ModuleID: "c", Version: 1, Cycle: 1, CompleteTime: day(2)}}
	if !reflect.DeepEqual(was.Completions, want) || !was.AwardTime.Equal(day(2)) || !reflect.DeepEqual(was.Rule.Groups, p.Versions[0].Milestones[0].Groups) {
		t.Errorf("%+v", was)
	}
	p.Versions = append(p.Versions, progress.PathVersion{Number: 2, Title: "Two", Milestones: []progress.Milestone{milestone("ms", all("a", "b"))}})
	r.Catalog.Publish(nil, []progress.Path{p})
	r.Refresh()
	two := 2
	if _, err := r.Service.UpdateEnrollment(r.Ctx, learner, e.ID, self(learner), engine.EnrollmentChange{PathVersion: &two}); err != nil {
		t.Fatal(err)
	}
	if is := held(); !reflect.DeepEqual(was, is) {
		t.Errorf("frozen: was\n%+v\nis\n%+v", was, is)
	}
}

// A mandate that is withdrawn within the hour counts as never made: readers are shown it, nothing is stored.
func TestAMandateWithdrawnWithinTheHourWasNeverMade(t *testing.T) {
	t.Parallel()
	p := path1("p", milestone("ms", all("a")))
	r := newRig(t, []progress.Module{module1("a", unit("u")), module1("b", unit("u"))}, []progress.Path{p})
	learner := newLearner()
	r.Enroll(learner, "p")
	publishPath := func(mandate time.Time) {
		p.Revision, p.Versions = r.Catalog.Delta.Revision+1, append(p.Versions[:1:1], progress.PathVersion{
			Number: 2, Title: "Two", Milestones: []progress.Milestone{milestone("ms", all("a", "b"))}, MandateTime: mandate,
		})
		r.Catalog.Publish(nil, []progress.Path{p})
		r.Refresh()
	}
	publishPath(day(10))
	r.Clock.Set(day(10).Add(10 * time.Minute))
	shown := r.Path(learner, "p").Enrollment
	if shown.PathVersion != 2 {
		t.Fatalf("shown is %+v", shown)
	}
	// What was shown may be changed by its etag; the answer is as the next reader sees it.
	paused := progress.EnrollmentPaused
	change := engine.EnrollmentChange{State: &paused, PathVersion: new(2), Match: func(etag string) bool { return etag == shown.ETag() }}
	after, err := r.Service.UpdateEnrollment(r.Ctx, learner, shown.ID, self(learner), change)
	if got := r.Path(learner, "p").Enrollment; err != nil || after.PathVersion != 2 || after.ETag() != got.ETag() || got.State != paused {
		t.Errorf("answered %+v, %v; shown %+v", after, err, got)
	}
	older := engine.EnrollmentChange{PathVersion: new(1)}
	if _, err := r.Service.UpdateEnrollment(r.Ctx, learner, shown.ID, self(learner), older); reasonOf(err) != errs.ReasonUpgradeToOlder {
		t.Errorf("to an older version than shown: %v", err)
	}
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(10)))
	r.Clock.Set(day(10).Add(50 * time.Minute))
	publishPath(time.Time{})
	r.Clock.Set(day(12))
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(12)))
	if got := r.Path(learner, "p"); got.Enrollment.PathVersion != 1 || *got.Percent() != 100 || got.PreviousPercent != nil {
		t.Errorf("withdrawn: %+v", got.Enrollment)
	}
	records, _, err := r.Service.History(r.Ctx, learner, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		if rec.Type == progress.RecordUpgraded {
			t.Errorf("entry %+v", rec)
		}
	}
}

// Two mandates within an hour are gone through one after the other: what fell is what was shown between them.
func TestMandatesAreGoneThroughInTurn(t *testing.T) {
	t.Parallel()
	p := path1("p", milestone("ms", all("a", "b")))
	r := newRig(t, []progress.Module{module1("a", unit("u")), module1("b", unit("u")), module1("c", unit("u")), module1("d", unit("u"))}, []progress.Path{p})
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(1)), event("c", "u", progress.Completed, day(1)))
	for i, ids := range [][]string{{"a", "b", "c"}, {"a", "b", "c", "d"}} {
		p.Versions = append(p.Versions, progress.PathVersion{
			Number: i + 2, Title: "Path", Milestones: []progress.Milestone{milestone("ms", all(ids...))}, MandateTime: day(10).Add(time.Duration(i) * time.Minute),
		})
	}
	p.Revision = 2
	r.Catalog.Publish(nil, []progress.Path{p})
	r.Refresh()
	for _, at := range []time.Time{day(10).Add(2 * time.Minute), day(11)} {
		r.Clock.Set(at)
		got := r.Path(learner, "p")
		if got.Enrollment.PathVersion != 3 || *got.Percent() != 50 || got.PreviousPercent == nil || *got.PreviousPercent != 66 ||
			*got.PercentChange != (progress.PercentChange{Code: progress.ChangeMandated, PathVersion: 3}) {
			t.Errorf("at %s: %+v, %d %%, previous %v", at, got.Enrollment, *got.Percent(), got.PreviousPercent)
		}
	}
}
