package report_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/report"
)

// archiveWorld is a module with learners on a path that names it, and an older one that may give it.
type archiveWorld struct {
	*impactWorld

	older    progress.Module
	path     progress.Path
	enrolled map[string]bool // without those who left
}

func drawArchiveWorld(rt *rapid.T, r *rig) *archiveWorld {
	r.Clock.Set(day(80))
	older := opened(drawModule(rt, newLearner(), nil))
	for i := range older.Versions {
		older.Versions[i].Material = false // what only time completes is not stored, and so not counted: see ModuleArchive
	}
	module := opened(drawModule(rt, newLearner(), []string{older.ID}))
	for i := range module.Versions {
		digest(&module.Versions[i])
	}
	if rapid.Bool().Draw(rt, "credits") {
		module.Versions[0].Credits = [][]string{{older.ID}}
	}
	w := &archiveWorld{
		impactWorld: &impactWorld{rig: r, module: module, at: day(80)}, older: older,
		path: path1(newLearner(), milestone("m1", all(older.ID)), milestone("m2", all(module.ID))), enrolled: map[string]bool{},
	}
	r.Catalog.Publish([]progress.Module{older, module}, []progress.Path{w.path})
	r.Refresh()
	w.enrollSome(rt)
	next := progress.PathVersion{Number: 2, Title: "Another", Milestones: []progress.Milestone{milestone("m1", all(older.ID))}}
	if rapid.Bool().Draw(rt, "named") {
		next.Milestones = append(next.Milestones, milestone("m3", all(module.ID)))
	}
	if rapid.Bool().Draw(rt, "mandated") {
		next.MandateTime = day(79)
	}
	w.path.Versions = append(slices.Clone(w.path.Versions), next)
	r.Catalog.Publish(nil, []progress.Path{w.path})
	r.Refresh()
	w.enrollSome(rt)
	return w
}

// opened is the module out of the archive.
func opened(m progress.Module) progress.Module {
	if m.State == progress.ModuleArchived {
		m.State = progress.ModuleActive
		m.Archives[0].RestoreTime = day(60)
	}
	return m
}

// enrollSome are new learners, of whom some learn, some enroll, and some of those leave.
func (w *archiveWorld) enrollSome(rt *rapid.T) {
	for range rapid.IntRange(0, 4).Draw(rt, "learners") {
		if rapid.Bool().Draw(rt, "learns") {
			w.live(rt)
		} else {
			w.learners = append(w.learners, newLearner())
		}
		learner := w.learners[len(w.learners)-1]
		for i := range rapid.IntRange(0, 4).Draw(rt, "older events") {
			e, actor := drawEvent(rt, []progress.Module{w.older}, learner, 100+i)
			w.Record(learner, actor, e)
		}
		if rapid.IntRange(0, 3).Draw(rt, "enrolls") == 0 {
			continue
		}
		e := w.Enroll(learner, w.path.ID)
		w.enrolled[learner] = true
		if rapid.IntRange(0, 4).Draw(rt, "leaves") == 0 {
			left := engine.EnrollmentChange{State: new(progress.EnrollmentWithdrawn)}
			if _, err := w.Service.UpdateEnrollment(w.Ctx, learner, e.ID, self(learner), left); err != nil {
				rt.Fatal(err)
			}
			delete(w.enrolled, learner)
		}
	}
}

// archive archives the module now.
func (w *archiveWorld) archive(sunset time.Time) {
	w.module.State = progress.ModuleArchived
	w.module.Archives = append(slices.Clone(w.module.Archives), progress.ArchivePeriod{ArchiveTime: w.at, SunsetTime: sunset})
	w.Catalog.Publish([]progress.Module{w.module}, nil)
	w.Refresh()
}

// naive returns what archiving does from what each learner sees after it, and checks what the sunset does to
// those in progress.
func (w *archiveWorld) naive(rt *rapid.T) report.ModuleArchive {
	sunset := w.at.AddDate(0, 0, 10)
	w.archive(sunset)
	w.Clock.Set(w.at.Add(time.Minute))
	var out report.ModuleArchive
	var unfinished []string
	for _, id := range w.learners {
		cycles := w.rig.Module(id, w.module.ID).Cycles
		if len(cycles) > 0 {
			completed, inProgress := !cycles[0].CompleteTime.IsZero(), cycles[len(cycles)-1].CompleteTime.IsZero()
			if completed {
				out.Completed++
			}
			if inProgress {
				out.InProgress++
			}
			if inProgress && !completed && w.excused(id) == nil {
				unfinished = append(unfinished, id)
			}
		}
		if e := w.excused(id); e != nil && w.enrolled[id] && w.names(id) {
			if e.Reason != progress.ExcusedArchived {
				rt.Fatalf("excused %+v before the sunset", e)
			}
			out.Excused++
		}
	}
	w.Clock.Set(sunset.Add(time.Minute))
	for _, id := range unfinished {
		m := w.rig.Module(id, w.module.ID)
		if m.State == progress.StateInProgress && (m.Excused == nil || m.Excused.Reason != progress.ExcusedSunset) {
			rt.Fatalf("in progress and not excused after the sunset: %+v", m)
		}
	}
	return out
}

func (w *archiveWorld) excused(learner string) *progress.Excused {
	return w.rig.Module(learner, w.module.ID).Excused
}

// names reports whether the learner's path asks for the module.
func (w *archiveWorld) names(learner string) bool {
	return slices.ContainsFunc(w.rig.Path(learner, w.path.ID).Milestones, func(m progress.MilestoneProgress) bool {
		return slices.ContainsFunc(m.Modules, func(m progress.ModuleProgress) bool { return m.ModuleID == w.module.ID })
	})
}

// What is counted beforehand is what archiving then does to each learner.
func TestModuleArchiveIsWhatArchivingDoes(t *testing.T) {
	r := newRig(t, nil, nil)
	rapid.Check(t, func(rt *rapid.T) {
		w := drawArchiveWorld(rt, r)
		if len(w.learners) > 0 {
			w.disturb(rt)
		}
		got, err := r.Service.Previews.CountModuleArchive(r.Ctx, w.module.ID, w.module.Newest().Number, 0)
		if err != nil {
			rt.Fatal(err)
		}
		want := w.naive(rt)
		want.Paths = got.Paths
		if !reflect.DeepEqual(*got, want) {
			rt.Fatalf("counted %+v, archiving does %+v", *got, want)
		}
	})
}

func TestModuleArchive(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	a.Versions[0].Credits = [][]string{{"b", "c"}}
	r := newRig(t, []progress.Module{a, module1("b", unit("u")), module1("c", unit("u"))}, []progress.Path{
		path1("p", milestone("m1", all("a"))), path1("q", milestone("m1", kOf(1, "a", "b"))), path1("other", milestone("m1", all("b"))),
	})
	r.Clock.Set(day(2))
	learn := func(paths []string, events ...progress.Event) {
		learner := newLearner()
		for _, path := range paths {
			r.Enroll(learner, path)
		}
		if len(events) > 0 {
			r.Accept(learner, self(learner), events...)
		}
	}
	done := func(module, unit string) progress.Event { return event(module, unit, progress.Completed, day(1)) }
	learn([]string{"p"}, done("a", "u"), done("a", "v"))
	learn([]string{"p"}, done("a", "u"))
	learn(nil, done("a", "u"))                           // in progress on no path
	learn([]string{"p", "q"})                            // one learner, whom both paths ask
	learn([]string{"q"}, done("b", "u"))                 // has done without it
	learn([]string{"q"}, done("b", "u"), done("c", "u")) // has it by the others
	learn([]string{"other"})
	learn(nil)
	got, err := r.Service.Previews.CountModuleArchive(r.Ctx, "a", 1, 0)
	want := report.ModuleArchive{Completed: 1, InProgress: 2, Excused: 2, Paths: []report.ImpactedPath{
		{PathID: "p", Title: "Path p", MilestoneIDs: []string{"m1"}, Enrollments: 3},
		{PathID: "q", Title: "Path q", MilestoneIDs: []string{"m1"}, Enrollments: 3},
	}}
	if err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v, %v", got, want, err)
	}
	for _, id := range []string{"a", "none"} {
		if _, err := r.Service.Previews.CountModuleArchive(r.Ctx, id, 2, 0); reasonOf(err) != errs.ReasonCatalogBehind {
			t.Errorf("a version of %s that is not known: %v", id, err)
		}
	}
}

// Who is enrolled when a path is archived continues, and nobody else begins.
func TestPathArchive(t *testing.T) {
	t.Parallel()
	p := path1("p", milestone("m1", all("a")), milestone("m2", all("b")))
	r := newRig(t, []progress.Module{module1("a", unit("u")), module1("b", unit("u"))}, []progress.Path{p})
	var learners []string
	for range 3 {
		learners = append(learners, newLearner())
	}
	r.Enroll(learners[0], "p")
	gone := r.Enroll(learners[1], "p")
	left := engine.EnrollmentChange{State: new(progress.EnrollmentWithdrawn)}
	if _, err := r.Service.UpdateEnrollment(r.Ctx, learners[1], gone.ID, self(learners[1]), left); err != nil {
		t.Fatal(err)
	}
	next := progress.PathVersion{Number: 2, Title: "Path p, new", Milestones: []progress.Milestone{milestone("m1", all("a"))}}
	p.Versions = append(slices.Clone(p.Versions), next)
	r.Catalog.Publish(nil, []progress.Path{p})
	r.Refresh()
	r.Enroll(learners[2], "p")
	r.Accept(learners[2], self(learners[2]), event("a", "u", progress.Completed, day0))
	got, err := r.Service.Previews.CountPathArchive(r.Ctx, "p", 2, 0)
	want := report.PathArchive{AwardsHeld: 1, Enrollments: []progress.PinnedEnrollments{
		{PathID: "p", PathVersion: 1, Count: 1}, {PathID: "p", PathVersion: 2, Count: 1},
	}}
	if err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v, %v", got, want, err)
	}
	p.State = progress.ModuleArchived
	r.Catalog.Publish(nil, []progress.Path{p})
	r.Refresh()
	if again, err := r.Service.Previews.CountPathArchive(r.Ctx, "p", 2, 0); err != nil || !reflect.DeepEqual(*again, want) {
		t.Errorf("in the archive: %+v, want %+v, %v", again, want, err)
	}
	if state := r.Path(learners[0], "p").State; state != progress.EnrollmentActive {
		t.Errorf("who was enrolled is %s", state)
	}
	if _, err := r.Service.Previews.CountPathArchive(r.Ctx, "p", 3, 0); reasonOf(err) != errs.ReasonCatalogBehind {
		t.Errorf("a version that is not known: %v", err)
	}
}

// Facts that the catalog has overtaken are folded again: somebody may have begun by what is stored and not by
// what is so, and the other way about.
func TestModuleArchiveFoldsWhatIsNotFresh(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	r := newRig(t, []progress.Module{a}, []progress.Path{path1("p", milestone("m1", all("a")))})
	r.Clock.Set(day(12))
	count := func(stays []progress.ArchivePeriod, want report.ModuleArchive) {
		t.Helper()
		a.Archives = stays
		r.Catalog.Publish([]progress.Module{a}, nil)
		r.Refresh()
		got, err := r.Service.Previews.CountModuleArchive(r.Ctx, "a", 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got.Paths = nil; !reflect.DeepEqual(*got, want) {
			t.Errorf("with %d stays: %+v, want %+v", len(stays), *got, want)
		}
	}
	begun := r.Learner()
	r.Enroll(begun, "p")
	r.Accept(begun, self(begun), event("a", "u", progress.Completed, day(10)))
	count(nil, report.ModuleArchive{InProgress: 1})
	stay := []progress.ArchivePeriod{{ArchiveTime: day(9), RestoreTime: day(11)}}
	count(stay, report.ModuleArchive{Excused: 1})
	late := r.Learner()
	r.Enroll(late, "p")
	r.Accept(late, self(late), event("a", "u", progress.Completed, day(10)))
	count(stay, report.ModuleArchive{Excused: 2})
	count(nil, report.ModuleArchive{InProgress: 2})
}
