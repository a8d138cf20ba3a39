package rigtest

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// Life is a learner's life in a catalog that changes under them.
type Life struct {
	*Rig

	Learner string
	World   World
	At      time.Time
	sent    []progress.Event
}

// Check fails the test where what is stored is not what the log gives.
func (l *Life) Check(t *rapid.T) {
	l.Clock.Set(l.At)
	l.Refresh()
	drift, err := l.Service.Verify(l.Ctx, l.Learner)
	if err != nil || len(drift) > 0 {
		t.Fatalf("%+v %v", drift, err)
	}
}

// Record has the learner, or an admin, record an event.
func (l *Life) Record(t *rapid.T) {
	e, actor := DrawEvent(t, l.World.Modules, l.Learner, len(l.sent))
	l.sent = append(l.sent, e)
	l.Rig.Record(l.Learner, actor, e)
}

// Void has an admin void an event.
func (l *Life) Void(t *rapid.T) {
	if len(l.sent) == 0 {
		t.Skip("nothing to void")
	}
	target := rapid.SampledFrom(l.sent).Draw(t, "target")
	l.Rig.Record(l.Learner, Admin(), progress.Event{ID: NewLearner(), Verb: progress.Voided, VoidsEventID: target.ID, Reason: "r", OccurredAt: Day(1)})
}

// Revoke has an admin revoke an award.
func (l *Life) Revoke(t *rapid.T) {
	awards, _ := Read(l.Rig, l.Learner, "awards", func(w *progress.View) ([]progress.Award, error) { return w.Awards() })
	awards = slices.DeleteFunc(awards, func(a progress.Award) bool { return a.Revoked() })
	if len(awards) == 0 {
		t.Skip("nothing to revoke")
	}
	if _, err := l.Service.Revoke(l.Ctx, l.Learner, awards[0].ID, Admin(), "r"); err != nil {
		t.Fatal(err)
	}
}

// Reinstate has an admin take a revocation back, which is refused where the milestone was earned anew.
func (l *Life) Reinstate(t *rapid.T) {
	awards, _ := Read(l.Rig, l.Learner, "awards", func(w *progress.View) ([]progress.Award, error) { return w.Awards() })
	awards = slices.DeleteFunc(awards, func(a progress.Award) bool { return !a.Revoked() })
	if len(awards) == 0 {
		t.Skip("nothing to reinstate")
	}
	if _, err := l.Service.Reinstate(l.Ctx, l.Learner, awards[0].ID, Admin(), "r"); err != nil && ReasonOf(err) != "LATER_AWARD" {
		t.Fatal(err)
	}
}

// Enroll has the learner enroll.
func (l *Life) Enroll(t *rapid.T) {
	if e := l.Enrollment(); e != nil {
		t.Skip("enrolled")
	}
	l.Rig.Enroll(l.Learner, "p")
}

// Enrollment is the one that is not withdrawn, or nil.
func (l *Life) Enrollment() *progress.Enrollment {
	all, _ := Read(l.Rig, l.Learner, "enrollments", func(w *progress.View) ([]progress.Enrollment, error) { return w.Enrollments(), nil })
	for i := range all {
		if all[i].State != progress.EnrollmentWithdrawn {
			return &all[i]
		}
	}
	return nil
}

// Change has the learner change the enrollment.
func (l *Life) Change(t *rapid.T) {
	e := l.Enrollment()
	if e == nil {
		t.Skip("not enrolled")
	}
	change := engine.EnrollmentChange{PathVersion: new(len(l.World.Paths[0].Versions))}
	if rapid.Bool().Draw(t, "state") {
		change = engine.EnrollmentChange{State: new(rapid.SampledFrom([]progress.EnrollmentState{
			progress.EnrollmentActive, progress.EnrollmentPaused, progress.EnrollmentWithdrawn,
		}).Draw(t, "to"))}
	}
	if _, err := l.Service.UpdateEnrollment(l.Ctx, l.Learner, e.ID, Self(l.Learner), change); err != nil {
		t.Fatal(err)
	}
}

// PublishModule publishes a next version of a module.
func (l *Life) PublishModule(t *rapid.T) {
	i := rapid.IntRange(0, len(l.World.Modules)-1).Draw(t, "module")
	m := l.World.Modules[i]
	if len(m.Versions) >= 5 || m.State == progress.ModuleArchived {
		t.Skip("enough versions")
	}
	v := DrawVersion(t, len(m.Versions)+1, 0, ModuleIDs[:i])
	shift := l.At.Sub(v.PublishTime)
	v.PublishTime, v.EffectiveTime = v.PublishTime.Add(shift), v.EffectiveTime.Add(shift)
	m.Versions = append(slices.Clone(m.Versions), v)
	l.World.Modules[i] = m
	l.Catalog.Publish([]progress.Module{m}, nil)
}

// PublishPath publishes a next version of the path.
func (l *Life) PublishPath(t *rapid.T) {
	p := l.World.Paths[0]
	if len(p.Versions) >= 5 {
		t.Skip("enough versions")
	}
	ids := rapid.SliceOfNDistinct(rapid.SampledFrom(ModuleIDs), 1, 3, rapid.ID[string]).Draw(t, "modules")
	v := progress.PathVersion{Number: len(p.Versions) + 1, Title: "Path", Milestones: []progress.Milestone{Milestone("m1", All(ids...))}}
	if rapid.Bool().Draw(t, "mandatory") {
		v.MandateTime = l.At.Add(time.Duration(rapid.IntRange(0, 48).Draw(t, "hours")) * time.Hour)
	}
	p.Versions = append(slices.Clone(p.Versions), v)
	l.World.Paths[0] = p
	l.Catalog.Publish(nil, []progress.Path{p})
}

// Archive archives a module, or restores it.
func (l *Life) Archive(t *rapid.T) {
	i := rapid.IntRange(0, len(l.World.Modules)-1).Draw(t, "module")
	m := l.World.Modules[i]
	m.Archives = slices.Clone(m.Archives)
	if n := len(m.Archives); m.State == progress.ModuleArchived {
		m.State, m.Archives[n-1].RestoreTime = progress.ModuleActive, l.At
	} else {
		m.State = progress.ModuleArchived
		m.Archives = append(m.Archives, progress.ArchivePeriod{ArchiveTime: l.At, SunsetTime: l.At.AddDate(0, 0, 3)})
	}
	l.World.Modules[i] = m
	l.Catalog.Publish([]progress.Module{m}, nil)
}

// Zone gives the learner another time zone.
func (l *Life) Zone(t *rapid.T) {
	l.SetZone(l.Learner, rapid.SampledFrom(ZoneNames).Draw(t, "zone"))
}

// PassTime lets days pass.
func (l *Life) PassTime(t *rapid.T) {
	l.At = l.At.Add(time.Duration(rapid.IntRange(1, 24*20).Draw(t, "hours")) * time.Hour)
	l.Clock.Set(l.At)
}
