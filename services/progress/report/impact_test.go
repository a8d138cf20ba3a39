package report_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/report"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// impactWorld is a module with learners, and a draft of its next version.
type impactWorld struct {
	*rig

	module   progress.Module
	learners []string
	at       time.Time
}

func drawImpactWorld(rt *rapid.T, r *rig) *impactWorld {
	w := &impactWorld{rig: r, module: drawModule(rt, newLearner(), nil), at: day(80)}
	for i := range w.module.Versions {
		digest(&w.module.Versions[i])
	}
	r.Clock.Set(w.at)
	r.Catalog.Publish([]progress.Module{w.module}, nil)
	r.Refresh()
	for range rapid.IntRange(1, 5).Draw(rt, "learners") {
		w.live(rt)
	}
	return w
}

// live is a new learner who does something in the module, and whom an admin excuses of some of it.
func (w *impactWorld) live(rt *rapid.T) {
	learner := newLearner()
	w.learners = append(w.learners, learner)
	w.SetZone(learner, rapid.SampledFrom(zoneNames).Draw(rt, "zone"))
	var own, excused []progress.Event
	for i := range rapid.IntRange(0, 12).Draw(rt, "events") {
		e, actor := drawEvent(rt, []progress.Module{w.module}, learner, i)
		if actor.Admin {
			excused = append(excused, e)
		} else {
			own = append(own, e)
		}
	}
	if len(own) > 0 {
		w.Record(learner, self(learner), own...)
	}
	if len(excused) > 0 {
		w.Record(learner, admin(), excused...)
	}
}

// disturb does something that makes stored facts old.
func (w *impactWorld) disturb(rt *rapid.T) {
	w.at = w.at.Add(time.Duration(rapid.IntRange(1, 24*20).Draw(rt, "hours")) * time.Hour)
	w.Clock.Set(w.at)
	switch rapid.SampledFrom([]string{"nothing", "version", "archive", "zone"}).Draw(rt, "disturbance") {
	case "version":
		w.publish(w.draft(rt))
	case "archive":
		w.module.Archives = append(slices.Clone(w.module.Archives), progress.ArchivePeriod{ArchiveTime: w.at.AddDate(0, 0, -30), RestoreTime: w.at})
		w.Catalog.Publish([]progress.Module{w.module}, nil)
		w.Refresh()
	case "zone":
		w.SetZone(w.learners[0], "Pacific/Kiritimati")
	default:
	}
	w.at = w.at.Add(time.Hour)
	w.Clock.Set(w.at)
}

// draft draws the next version, to be published now.
func (w *impactWorld) draft(rt *rapid.T) progress.ModuleVersion {
	v := drawVersion(rt, len(w.module.Versions)+1, 0, nil)
	digest(&v)
	for i := range v.Units { // what is drawn as unchanged is so by its digest, where there was such a unit
		u := &v.Units[i]
		if was := w.module.Newest().Unit(u.ID); was == nil {
			u.Changed = true
		} else if !u.Changed {
			u.Digest = was.Digest
		}
	}
	delay := v.EffectiveTime.Sub(v.PublishTime)
	v.PublishTime, v.EffectiveTime = w.at, w.at.Add(delay)
	return v
}

// digest gives each unit of a version a digest of its own.
func digest(v *progress.ModuleVersion) {
	for i := range v.Units {
		v.Units[i].Digest = fmt.Sprintf("%s of version %d", v.Units[i].ID, v.Number)
	}
}

func (w *impactWorld) publish(v progress.ModuleVersion) {
	w.module.Versions = append(slices.Clone(w.module.Versions), v)
	w.Catalog.Publish([]progress.Module{w.module}, nil)
	w.Refresh()
}

// naive returns what a publication does from what each learner sees before and after it.
func (w *impactWorld) naive(draft progress.ModuleVersion) report.ModuleImpact {
	var out report.ModuleImpact
	before := map[string]*progress.ModuleDetail{}
	for _, id := range w.learners {
		before[id] = w.rig.Module(id, w.module.ID)
	}
	w.publish(draft)
	inEffect := draft.EffectiveTime.Add(6 * time.Minute)
	for _, id := range w.learners {
		cycles := before[id].Cycles
		if len(cycles) == 0 {
			continue
		}
		last := &cycles[len(cycles)-1]
		if last.CompleteTime.IsZero() {
			out.InProgress++
			w.Clock.Set(inEffect)
			if draft.Material && !last.Waived && lost(&draft, before[id], w.rig.Module(id, w.module.ID)) {
				out.LosingCredit++
			}
		}
		if cycles[0].CompleteTime.IsZero() {
			continue
		}
		out.Completed++
		if !draft.Material {
			continue
		}
		over := inEffect
		if draft.Currency != nil {
			over = draft.Currency.Grace.AddTo(over, time.UTC).AddDate(0, 0, 2)
		}
		w.Clock.Set(over)
		// Not by the currency shown, which is that of the longest lasting credit: a completion of the draft that
		// has expired by then may be outlasted by an older one, whose grace the draft set.
		if last := lastComplete(w.rig.Module(id, w.module.ID)); last.Version < draft.Number {
			out.ToRetrain++
		}
	}
	return out
}

// lastComplete returns the newest completed cycle; there is one.
func lastComplete(d *progress.ModuleDetail) progress.CycleProgress {
	complete := slices.DeleteFunc(slices.Clone(d.Cycles), func(c progress.CycleProgress) bool { return c.CompleteTime.IsZero() })
	return complete[len(complete)-1]
}

// lost reports whether a unit that the draft invalidates was done before and is not after, if the
// learner is on the draft then: another version that is still to come may complete their cycle first.
func lost(draft *progress.ModuleVersion, before, after *progress.ModuleDetail) bool {
	return slices.ContainsFunc(before.Units, func(u progress.UnitProgress) bool {
		now := draft.Unit(u.Unit.ID)
		if u.DoneTime.IsZero() || !draft.RetakeAll && (now == nil || !now.Changed) {
			return false
		}
		return after.Version != draft.Number ||
			!slices.ContainsFunc(after.Units, func(a progress.UnitProgress) bool { return a.Unit.ID == u.Unit.ID && !a.DoneTime.IsZero() })
	})
}

// What is counted beforehand is what the publication then does to each learner.
func TestModuleImpactIsWhatPublishingDoes(t *testing.T) {
	r := newRig(t, nil, nil)
	rapid.Check(t, func(rt *rapid.T) {
		w := drawImpactWorld(rt, r)
		w.disturb(rt)
		draft := w.draft(rt)
		versions := map[string]int64{}
		for _, id := range w.learners {
			head, err := r.Store.Head(r.Ctx, id)
			if err != nil {
				rt.Fatal(err)
			}
			versions[id] = head.Version
		}
		got, err := r.Service.Previews.CountModuleImpact(r.Ctx, w.module.ID, draft, 0)
		if err != nil {
			rt.Fatal(err)
		}
		for _, id := range w.learners {
			if head, err := r.Store.Head(r.Ctx, id); err != nil || head.Version != versions[id] {
				rt.Fatalf("counting wrote: %+v %v", head, err)
			}
		}
		if want := w.naive(draft); !reflect.DeepEqual(*got, want) {
			rt.Fatalf("counted %+v, publishing does %+v", *got, want)
		}
	})
}

// A draft that asks for nothing anew lets its completers be; one that does sends them back. A waiver of the
// whole module is of its own cycle alone: whoever has one is sent back by any MATERIAL draft.
func TestModuleImpactOfEachClass(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	r := newRig(t, []progress.Module{a}, nil)
	done, begun, waived := newLearner(), newLearner(), newLearner()
	r.Accept(done, self(done), event("a", "u", progress.Completed, day0), event("a", "v", progress.Completed, day0))
	r.Accept(begun, self(begun), event("a", "u", progress.Completed, day0))
	waiver := event("a", "", progress.Waived, day0)
	waiver.Reason = "holds the certificate"
	r.Accept(waived, admin(), waiver)
	same, changed, anew := unit("u"), unit("u"), unit("v")
	changed.Title, anew.Title = "U, rewritten", "V, rewritten"
	for name, c := range map[string]struct {
		units               []progress.Unit
		material, retakeAll bool
		toRetrain, losing   int64
	}{
		"minor":                      {units: []progress.Unit{same, anew}},
		"material, another unit":     {units: []progress.Unit{same, anew}, material: true, toRetrain: 2},
		"material, the unit of both": {units: []progress.Unit{changed}, material: true, toRetrain: 2, losing: 1},
		"material, one unit fewer":   {units: []progress.Unit{same}, material: true, toRetrain: 1},
		"material, all units":        {units: []progress.Unit{same}, material: true, retakeAll: true, toRetrain: 2, losing: 1},
	} {
		draft := version(2, day(1), c.units...)
		draft.Material, draft.RetakeAll = c.material, c.retakeAll
		got, err := r.Service.Previews.CountModuleImpact(r.Ctx, "a", draft, 0)
		want := report.ModuleImpact{Completed: 2, InProgress: 1, ToRetrain: c.toRetrain, LosingCredit: c.losing}
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, want %+v, %v", name, got, want, err)
		}
	}
	if _, err := r.Service.Previews.CountModuleImpact(r.Ctx, "a", version(3, day(1)), 0); reasonOf(err) != errs.ReasonCatalogBehind {
		t.Errorf("a version too far: %v", err)
	}
	first, err := r.Service.Previews.CountModuleImpact(r.Ctx, "new", version(1, day(1), unit("u")), 0)
	if err != nil || !reflect.DeepEqual(*first, report.ModuleImpact{}) {
		t.Errorf("a first version: %+v %v", first, err)
	}
}

// Half of a renewal that was done too long ago counts no more toward the renewal, and still does toward the
// cycle that the draft opens.
func TestModuleImpactKeepsWhatLapsedInARenewal(t *testing.T) {
	t.Parallel()
	u, v := unit("u"), unit("v")
	u.Digest, v.Digest, v.Required = "u", "v", false
	a := module1("a", u, v)
	a.Versions[0].Currency = &progress.CurrencyPolicy{
		Period: rigtest.MustPeriod("P1M"), Window: rigtest.MustPeriod("P5D"), Basis: progress.BasisCompletion,
	}
	r := newRig(t, []progress.Module{a}, nil)
	learner := newLearner()
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0), event("a", "v", progress.Completed, day(1)))
	r.Clock.Set(day(60))
	u.Changed, v.Changed, v.Required = false, false, true // the same content
	draft := version(2, day(60), u, v)
	draft.Material = true
	got, err := r.Service.Previews.CountModuleImpact(r.Ctx, "a", draft, 0)
	if want := (report.ModuleImpact{Completed: 1}); err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("%+v, want %+v, %v", got, want, err)
	}
	a.Versions = append(slices.Clone(a.Versions), draft)
	r.Catalog.Publish([]progress.Module{a}, nil)
	r.Refresh()
	r.Clock.Set(day(61))
	if last := lastComplete(r.Module(learner, "a")); last.Version != 2 {
		t.Errorf("completed on version %d, want 2", last.Version)
	}
}

func TestModuleImpactNamesThePaths(t *testing.T) {
	t.Parallel()
	in := path1
	paths := []progress.Path{
		in("open", milestone("m1", all("a")), milestone("m2", all("b")), milestone("m3", kOf(1, "b", "a"))),
		in("other", milestone("m1", all("b"))),
		in("left", milestone("m1", all("a"))),
		in("moved", milestone("m1", all("a"))),
		in("empty", milestone("m1", all("a"))),
		in("closed", milestone("m1", all("a"))),
	}
	r := newRig(t, []progress.Module{module1("a", unit("u")), module1("b", unit("u"))}, paths)
	for range 2 {
		learner := newLearner()
		for _, id := range []string{"open", "other", "left", "moved"} {
			r.Enroll(learner, id)
		}
	}
	gone := newLearner()
	e := r.Enroll(gone, "open")
	if _, err := r.Service.UpdateEnrollment(r.Ctx, gone, e.ID, self(gone), engine.EnrollmentChange{State: new(progress.EnrollmentWithdrawn)}); err != nil {
		t.Fatal(err)
	}
	// The next versions of "left" and "moved" name it no more; who is on "moved" must follow. "closed" takes nobody new.
	for i, id := range []string{"left", "moved"} {
		p := paths[2+i]
		next := progress.PathVersion{Number: 2, Title: "Path " + id + ", new", Milestones: []progress.Milestone{milestone("m1", all("b"))}}
		if id == "moved" {
			next.MandateTime = day(1)
		}
		p.Versions = append(slices.Clone(p.Versions), next)
		r.Catalog.Publish(nil, []progress.Path{p})
	}
	paths[5].State = progress.ModuleArchived
	r.Catalog.Publish(nil, paths[5:])
	r.Refresh()
	got, err := r.Service.Previews.CountModuleImpact(r.Ctx, "a", version(2, day(1), unit("u")), 0)
	want := []report.ImpactedPath{
		{PathID: "empty", Title: "Path empty", MilestoneIDs: []string{"m1"}},
		{PathID: "left", Title: "Path left, new", MilestoneIDs: []string{"m1"}, Enrollments: 2},
		{PathID: "open", Title: "Path open", MilestoneIDs: []string{"m1", "m3"}, Enrollments: 2},
	}
	if err != nil || !reflect.DeepEqual(got.Paths, want) {
		t.Errorf("got  %+v\nwant %+v, %v", got, want, err)
	}
}

func TestPathImpact(t *testing.T) {
	t.Parallel()
	p := path1("p", milestone("m1", all("a")), milestone("m2", all("a"), all("b")), milestone("m3", kOf(1, "a", "b")), milestone("m4", all("b")))
	r := newRig(t, []progress.Module{module1("a", unit("u")), module1("b", unit("u"))}, []progress.Path{p})
	var learners []string
	for range 3 {
		learner := newLearner()
		learners = append(learners, learner)
		r.Enroll(learner, "p")
		r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0))
	}
	awards, _ := rigtest.Read(r, learners[0], "awards", func(w *progress.View) ([]progress.Award, error) { return w.Awards() })
	for _, a := range awards {
		if a.MilestoneID == "m3" {
			if _, err := r.Service.Revoke(r.Ctx, learners[0], a.ID, admin(), "r"); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.Versions = append(slices.Clone(p.Versions), p.Versions[0])
	p.Versions[1].Number = 2
	r.Catalog.Publish(nil, []progress.Path{p})
	r.Enroll(newLearner(), "p")
	renamed := milestone("m1", all("a"))
	renamed.Title = "Another title"
	draft := progress.PathVersion{Number: 3, Milestones: []progress.Milestone{
		milestone("m0", all("a")), renamed, milestone("m2", kOf(2, "b", "a")), milestone("m3", kOf(2, "a", "b")),
	}}
	got, err := r.Service.Previews.CountPathImpact(r.Ctx, "p", draft, 0)
	want := &report.PathImpact{
		UpgradeOffers:       4,
		Enrollments:         []progress.PinnedEnrollments{{PathID: "p", PathVersion: 1, Count: 3}, {PathID: "p", PathVersion: 2, Count: 1}},
		ChangedMilestoneIDs: []string{"m0", "m3", "m4"}, AwardsHeld: 2,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v, %v", got, want, err)
	}
	draft.Number = 5
	if _, err := r.Service.Previews.CountPathImpact(r.Ctx, "p", draft, 0); reasonOf(err) != errs.ReasonCatalogBehind {
		t.Errorf("a version too far: %v", err)
	}
	draft.Number = 1
	if got, err := r.Service.Previews.CountPathImpact(r.Ctx, "new", draft, 0); err != nil || len(got.ChangedMilestoneIDs) != 4 || got.UpgradeOffers != 0 {
		t.Errorf("a first version: %+v %v", got, err)
	}
}
