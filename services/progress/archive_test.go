package progress_test

import (
	"slices"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// archived is the module in the archive since a time, with a sunset or the zero time.
func archived(m progress.Module, at, sunset time.Time) progress.Module {
	m.State = progress.ModuleArchived
	m.Archives = append(slices.Clip(m.Archives), progress.ArchivePeriod{ArchiveTime: at, SunsetTime: sunset})
	return m
}

// restored is the archived module restored at a time.
func restored(m progress.Module, at time.Time) progress.Module {
	m.State = progress.ModuleActive
	m.Archives = append([]progress.ArchivePeriod(nil), m.Archives...)
	m.Archives[len(m.Archives)-1].RestoreTime = at
	return m
}

// publish makes modules known to the service, under a revision of their own.
func publish(r *rig, modules ...progress.Module) {
	r.T.Helper()
	for i := range modules {
		modules[i].Revision = r.Catalog.Delta.Revision + 1
	}
	r.Catalog.Publish(modules, nil)
	r.Refresh()
}

// pathPercent is the percent of the path p, -1 for none, with the state.
func pathPercent(r *rig, learner string) (int, progress.EnrollmentState) {
	r.T.Helper()
	p := r.Path(learner, "p")
	if p.Percent() == nil {
		return -1, p.State
	}
	return *p.Percent(), p.State
}

// What can no longer be completed is excused: it is neither done nor holding back. Who has begun may
// finish until the sunset, who is done keeps credit; restoring brings it back.
func TestArchivedModulesAreExcused(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	r := newRig(t, []progress.Module{a, module1("b", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a", "b")))})
	begun, late, done := newLearner(), newLearner(), newLearner()
	for _, l := range []string{begun, late, done} {
		r.Enroll(l, "p")
	}
	r.Accept(begun, self(begun), event("a", "u", progress.Completed, day0))
	r.Accept(done, self(done), event("a", "u", progress.Completed, day0), event("a", "v", progress.Completed, day0))
	a = archived(a, day(10), day(20))
	r.Clock.Set(day(12))
	publish(r, a)
	of := func(learner string) progress.ModuleProgress { return r.Path(learner, "p").Milestones[0].Modules[0] }
	if m := of(begun); m.State != progress.StateInProgress || m.Excused != nil {
		t.Errorf("in progress: %+v", m)
	}
	if m := of(late); m.State != progress.StateAvailable || m.Excused == nil || m.Excused.Reason != progress.ExcusedArchived ||
		!m.Excused.Since.Equal(day(10)) || m.Credit != "" {
		t.Errorf("not begun: %+v", m)
	}
	if m := of(done); m.State != progress.StateCompleted || m.Credit != progress.CreditLearned || m.Excused != nil {
		t.Errorf("done: %+v", m)
	}
	// What is begun after the archiving is stored, does not count, and the answer says so.
	res := r.Accept(late, self(late), event("a", "u", progress.Completed, day(11))).Results[0]
	if m := r.Module(late, "a"); len(m.Cycles) != 0 || res.Note == nil || *res.Note != (progress.Note{Code: progress.NoteArchived, Time: day(10)}) {
		t.Errorf("a start after the archiving counted: %+v, %+v", m.Cycles, res.Note)
	}
	r.Clock.Set(day(21))
	if m := of(begun); m.State != progress.StateInProgress || m.Excused == nil || m.Excused.Reason != progress.ExcusedSunset || !m.Excused.Since.Equal(day(20)) {
		t.Errorf("after the sunset: %+v", m)
	}
	res = r.Accept(begun, self(begun), event("a", "v", progress.Completed, day(21))).Results[0]
	if res.Note == nil || *res.Note != (progress.Note{Code: progress.NoteAfterSunset, Time: day(20)}) {
		t.Errorf("after the sunset: note %+v", res.Note)
	}
	r.Clock.Set(day(31))
	publish(r, restored(a, day(30)))
	if m := of(late); m.Excused != nil || m.State != progress.StateAvailable {
		t.Errorf("restored: %+v", m)
	}
}

// Nothing that was archived counts as learned.
func TestAnArchiveIsNoCredit(t *testing.T) {
	t.Parallel()
	modules := []progress.Module{module1("a", unit("u")), module1("b", unit("u")), module1("c", unit("u"))}
	for _, s := range []struct {
		name    string
		group   progress.Group
		percent int
		state   progress.EnrollmentState
	}{
		{"1 of 2", kOf(1, "a", "b"), 0, progress.EnrollmentActive},
		{"the only module", all("a"), -1, progress.EnrollmentNotApplicable},
		{"2 of 3", kOf(2, "a", "b", "c"), 0, progress.EnrollmentActive},
		{"all of 2", all("a", "b"), 0, progress.EnrollmentActive},
	} {
		r := newRig(t, modules, []progress.Path{path1("p", milestone("m", s.group))})
		r.Clock.Set(day(20)) // long after the archiving: nothing is provisional
		publish(r, archived(modules[0], day(10), time.Time{}))
		learner := newLearner()
		if e := r.Enroll(learner, "p"); e.State != progress.EnrollmentActive {
			t.Errorf("%s: enrolled %s", s.name, e.State)
		}
		if percent, state := pathPercent(r, learner); percent != s.percent || state != s.state {
			t.Errorf("%s: %d %% %s, want %d %% %s", s.name, percent, state, s.percent, s.state)
		}
		if award := r.Path(learner, "p").Milestones[0].Award; award != nil {
			t.Errorf("%s: award %+v", s.name, award)
		}
	}
}

// k falls only when fewer than k are left.
func TestExcusedModulesLeaveTheirGroups(t *testing.T) {
	t.Parallel()
	ids := []string{"a", "b", "c"}
	var modules []progress.Module
	for _, id := range ids {
		modules = append(modules, module1(id, unit("u")))
	}
	for _, s := range []struct {
		name                string
		groups              []progress.Group
		archive             []int
		learn               []string
		completed, required int
	}{
		{"2 of 3, one excused", []progress.Group{kOf(2, "a", "b", "c")}, []int{0}, []string{"b"}, 1, 2},
		{"2 of 3, two excused", []progress.Group{kOf(2, "a", "b", "c")}, []int{0, 1}, []string{"c"}, 1, 1},
		{"all, one excused", []progress.Group{all("a", "b", "c")}, []int{2}, []string{"a"}, 1, 2},
		{"in both kinds of group", []progress.Group{all("a"), kOf(1, "a", "b")}, []int{0}, nil, 0, 1},
		{"in both, all of them", []progress.Group{all("a"), kOf(1, "a", "b")}, []int{0, 1}, nil, 0, 0},
	} {
		r := newRig(t, modules, []progress.Path{path1("p", milestone("m", s.groups...))})
		learner := newLearner()
		r.Enroll(learner, "p")
		for _, i := range s.archive {
			publish(r, archived(modules[i], day(1), time.Time{}))
		}
		r.Clock.Set(day(2))
		for _, id := range s.learn {
			r.Accept(learner, self(learner), event(id, "u", progress.Completed, day(2)))
		}
		if p := r.Path(learner, "p"); p.Completed != s.completed || p.Required != s.required {
			t.Errorf("%s: %d of %d, want %d of %d", s.name, p.Completed, p.Required, s.completed, s.required)
		}
	}
}

// An excused prerequisite locks nobody out, and stands for nothing in an equivalence.
func TestExcusedModulesNeitherBlockNorStandForOthers(t *testing.T) {
	t.Parallel()
	first, next, union := module1("first", unit("u")), module1("next", unit("u")), module1("union", unit("u"))
	next.Versions[0].Prerequisites = []string{"first"}
	union.Versions[0].Credits = [][]string{{"first"}}
	r := newRig(t, []progress.Module{first, next, union}, []progress.Path{path1("p", milestone("m", all("first", "next", "union")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	if m := r.Path(learner, "p").Milestones[0].Modules[1]; m.State != progress.StateLocked {
		t.Fatalf("before: %s", m.State)
	}
	r.Clock.Set(day(12))
	publish(r, archived(first, day(10), time.Time{}))
	p := r.Path(learner, "p")
	if ms := p.Milestones[0].Modules; ms[1].State != progress.StateAvailable || ms[2].State != progress.StateAvailable {
		t.Errorf("after: %+v", ms)
	}
	for _, n := range p.Next {
		if n.ModuleID == "first" {
			t.Error("what is excused is suggested")
		}
	}
}

// Percent falls when an excused module comes back, and says why until it is regained.
func TestPercentRule6RestoredAndBegunBeforeTheArchive(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	r := newRig(t, []progress.Module{a, module1("b", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a", "b")))})
	learner, phone := newLearner(), newLearner()
	for _, l := range []string{learner, phone} {
		r.Enroll(l, "p")
		r.Accept(l, self(l), event("b", "u", progress.Completed, day(1)))
	}
	a = archived(a, day(10), time.Time{})
	r.Clock.Set(day(12))
	publish(r, a)
	if percent, _ := pathPercent(r, learner); percent != 100 {
		t.Fatalf("excused: %d", percent)
	}
	waitFor(r, learner, progress.RecordAwarded, func(*progress.Record) bool { return true })
	r.Accept(phone, self(phone), event("a", "u", progress.Completed, day(9)))
	p := r.Path(phone, "p")
	if *p.Percent() != 50 || p.PreviousPercent == nil || *p.PreviousPercent != 100 ||
		*p.PercentChange != (progress.PercentChange{Code: progress.ChangeBegun, ModuleID: "a"}) {
		t.Errorf("begun before the archive: %d, %+v %+v", *p.Percent(), p.PreviousPercent, p.PercentChange)
	}
	r.Clock.Set(day(21))
	publish(r, restored(a, day(20)))
	p = r.Path(learner, "p")
	if *p.Percent() != 50 || p.PreviousPercent == nil || *p.PreviousPercent != 100 ||
		*p.PercentChange != (progress.PercentChange{Code: progress.ChangeRestored, ModuleID: "a"}) {
		t.Errorf("restored: %d, %+v %+v", *p.Percent(), p.PreviousPercent, p.PercentChange)
	}
	if p.Milestones[0].Award == nil {
		t.Error("the award of the time when it was excused is gone")
	}
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(21)), event("a", "v", progress.Completed, day(21)))
	if p = r.Path(learner, "p"); p.PreviousPercent != nil || p.PercentChange != nil {
		t.Errorf("regained: %+v", p.PercentChange)
	}
}
