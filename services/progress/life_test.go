package progress_test

import (
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"pgregory.net/rapid"
)

// life is a learner's life in a catalog that changes under them.
type life struct {
	*rig

	learner string
	world   world
	at      time.Time
	sent    []progress.Event
}

func (l *life) check(t *rapid.T) {
	l.clock.set(l.at)
	l.refresh()
	drift, err := l.service.verify(l.ctx, l.learner)
	if err != nil || len(drift) > 0 {
		t.Fatalf("%+v %v", drift, err)
	}
}

func (l *life) record(t *rapid.T) {
	e, actor := drawEvent(t, l.world.modules, l.learner, len(l.sent))
	l.sent = append(l.sent, e)
	l.rig.record(l.learner, actor, e)
}

func (l *life) void(t *rapid.T) {
	if len(l.sent) == 0 {
		t.Skip("nothing to void")
	}
	target := rapid.SampledFrom(l.sent).Draw(t, "target")
	l.rig.record(l.learner, admin(), progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: target.ID, Reason: "r", OccurredAt: day(1)})
}

func (l *life) revoke(t *rapid.T) {
	awards, _ := read(l.rig, l.learner, "awards", func(w *progress.View) ([]progress.Award, error) { return w.Awards(), nil })
	if len(awards) == 0 {
		t.Skip("nothing to revoke")
	}
	if _, err := l.service.Revoke(l.ctx, l.learner, awards[0].ID, admin(), "r"); err != nil {
		t.Fatal(err)
	}
}

func (l *life) enroll(t *rapid.T) {
	if e := l.enrollment(); e != nil {
		t.Skip("enrolled")
	}
	l.rig.enroll(l.learner, "p")
}

// enrollment is the one that is not withdrawn, or nil.
func (l *life) enrollment() *progress.Enrollment {
	all, _ := read(l.rig, l.learner, "enrollments", func(w *progress.View) ([]progress.Enrollment, error) { return w.Enrollments(), nil })
	for i := range all {
		if all[i].State != progress.EnrollmentWithdrawn {
			return &all[i]
		}
	}
	return nil
}

func (l *life) change(t *rapid.T) {
	e := l.enrollment()
	if e == nil {
		t.Skip("not enrolled")
	}
	change := engine.EnrollmentChange{PathVersion: new(len(l.world.paths[0].Versions))}
	if rapid.Bool().Draw(t, "state") {
		change = engine.EnrollmentChange{State: new(rapid.SampledFrom([]progress.EnrollmentState{
			progress.EnrollmentActive, progress.EnrollmentPaused, progress.EnrollmentWithdrawn,
		}).Draw(t, "to"))}
	}
	if _, err := l.service.UpdateEnrollment(l.ctx, l.learner, e.ID, self(l.learner), change); err != nil {
		t.Fatal(err)
	}
}

func (l *life) publishModule(t *rapid.T) {
	i := rapid.IntRange(0, len(l.world.modules)-1).Draw(t, "module")
	m := l.world.modules[i]
	if len(m.Versions) >= 5 || m.State == progress.ModuleArchived {
		t.Skip("enough versions")
	}
	v := drawVersion(t, len(m.Versions)+1, 0, moduleIDs[:i])
	shift := l.at.Sub(v.PublishTime)
	v.PublishTime, v.EffectiveTime = v.PublishTime.Add(shift), v.EffectiveTime.Add(shift)
	m.Versions = append(slices.Clone(m.Versions), v)
	l.world.modules[i] = m
	l.catalog.publish([]progress.Module{m}, nil)
}

func (l *life) publishPath(t *rapid.T) {
	p := l.world.paths[0]
	if len(p.Versions) >= 5 {
		t.Skip("enough versions")
	}
	ids := rapid.SliceOfNDistinct(rapid.SampledFrom(moduleIDs), 1, 3, rapid.ID[string]).Draw(t, "modules")
	v := progress.PathVersion{Number: len(p.Versions) + 1, Title: "Path", Milestones: []progress.Milestone{milestone("m1", all(ids...))}}
	if rapid.Bool().Draw(t, "mandatory") {
		v.MandateTime = l.at.Add(time.Duration(rapid.IntRange(0, 48).Draw(t, "hours")) * time.Hour)
	}
	p.Versions = append(slices.Clone(p.Versions), v)
	l.world.paths[0] = p
	l.catalog.publish(nil, []progress.Path{p})
}

func (l *life) archive(t *rapid.T) {
	i := rapid.IntRange(0, len(l.world.modules)-1).Draw(t, "module")
	m := l.world.modules[i]
	m.Archives = slices.Clone(m.Archives)
	if n := len(m.Archives); m.State == progress.ModuleArchived {
		m.State, m.Archives[n-1].RestoreTime = progress.ModuleActive, l.at
	} else {
		m.State = progress.ModuleArchived
		m.Archives = append(m.Archives, progress.ArchivePeriod{ArchiveTime: l.at, SunsetTime: l.at.AddDate(0, 0, 3)})
	}
	l.world.modules[i] = m
	l.catalog.publish([]progress.Module{m}, nil)
}

func (l *life) zone(t *rapid.T) {
	l.setZone(l.learner, rapid.SampledFrom(zoneNames).Draw(t, "zone"))
}

func (l *life) passTime(t *rapid.T) {
	l.at = l.at.Add(time.Duration(rapid.IntRange(1, 24*20).Draw(t, "hours")) * time.Hour)
	l.clock.set(l.at)
}
