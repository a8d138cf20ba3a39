package naivetest

import (
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// World is a catalog over time, and what happens to one learner in it.
type World struct {
	LearnerID string
	// Start is when the service begins; the catalog is older.
	Start   time.Time
	Catalog Stage
	// Zone is the learner's time zone at first.
	Zone  string
	Steps []Step
}

// Step is one thing that happens: At first becomes the service's time, which never goes back.
type Step struct {
	At time.Time
	// Do is one of the types below.
	Do any
}

// What happens in a world.
type (
	// PublishModule publishes a module's next version, at the step's time.
	PublishModule struct {
		ModuleID string
		Version  progress.ModuleVersion
	}
	// PublishPath publishes a path's next version.
	PublishPath struct {
		PathID  string
		Version progress.PathVersion
	}
	// Archive archives a module; a zero Sunset is none.
	Archive struct {
		ModuleID string
		Sunset   time.Time
	}
	// Restore takes a module out of the archive.
	Restore struct{ ModuleID string }
	// Mandate makes the upgrade to a path version mandatory from a time on.
	Mandate struct {
		PathID  string
		Version int
		Time    time.Time
	}
	// WithdrawMandate makes it optional again, before its time or within the hour.
	WithdrawMandate struct {
		PathID  string
		Version int
	}
	// Enroll enrolls the learner.
	Enroll struct{ PathID string }
	// ChangeState pauses, resumes or withdraws the enrollment in a path, if there is one.
	ChangeState struct {
		PathID string
		State  progress.EnrollmentState
	}
	// Upgrade moves the enrollment to the newest path version, if it is on an older one.
	Upgrade struct{ PathID string }
	// Move gives the learner another time zone.
	Move struct{ Zone string }
	// Send sends a batch. SentAt is zero where the device does not say it.
	Send struct {
		SentAt time.Time
		Events []Sent
	}
	// Void has an admin void an event, if it was accepted and is not voided.
	Void struct{ ID, EventID string }
	// Revoke has an admin revoke the award of a milestone, if it is stored and not revoked.
	Revoke struct{ PathID, MilestoneID string }
	// Reinstate has an admin take back the last revocation of a milestone's award, if there is one.
	Reinstate struct{ PathID, MilestoneID string }
	// Wait lets time pass.
	Wait struct{}
)

// Sent is one event of a batch.
type Sent struct {
	Event progress.Event
	// Admin: an admin sends it, not the learner.
	Admin bool
	// TimeZone is the zone that the device says it was in; "": it says none.
	TimeZone string
}

// Stage is the catalog at some time, with its whole history until then.
type Stage struct {
	Modules []progress.Module
	Paths   []progress.Path
}

// Module finds a module, or returns nil.
func (s *Stage) Module(id string) *progress.Module {
	for i := range s.Modules {
		if s.Modules[i].ID == id {
			return &s.Modules[i]
		}
	}
	return nil
}

// Path finds a path, or returns nil.
func (s *Stage) Path(id string) *progress.Path {
	for i := range s.Paths {
		if s.Paths[i].ID == id {
			return &s.Paths[i]
		}
	}
	return nil
}

// Snapshot is the stage as progress has it.
func (s *Stage) Snapshot() *progress.Catalog {
	c := &progress.Catalog{Modules: map[string]*progress.Module{}, Paths: map[string]*progress.Path{}}
	for i := range s.Modules {
		c.Modules[s.Modules[i].ID] = &s.Modules[i]
	}
	for i := range s.Paths {
		c.Paths[s.Paths[i].ID] = &s.Paths[i]
	}
	return c
}

// After returns the stage after a step, sharing nothing that changes with the one before, and the
// modules and paths that the step changed.
func (s *Stage) After(step Step) (next Stage, modules []progress.Module, paths []progress.Path) {
	next = Stage{Modules: slices.Clone(s.Modules), Paths: slices.Clone(s.Paths)}
	var m *progress.Module
	var p *progress.Path
	switch do := step.Do.(type) {
	case PublishModule:
		m = next.Module(do.ModuleID)
		m.Versions = append(slices.Clone(m.Versions), do.Version)
	case Archive:
		m = next.Module(do.ModuleID)
		m.State = progress.ModuleArchived
		m.Archives = append(slices.Clone(m.Archives), progress.ArchivePeriod{ArchiveTime: step.At, SunsetTime: do.Sunset})
	case Restore:
		m = next.Module(do.ModuleID)
		m.State, m.Archives = progress.ModuleActive, slices.Clone(m.Archives)
		m.Archives[len(m.Archives)-1].RestoreTime = step.At
	case PublishPath:
		p = next.Path(do.PathID)
		p.Versions = append(slices.Clone(p.Versions), do.Version)
	case Mandate:
		p = next.Path(do.PathID)
		p.Versions = slices.Clone(p.Versions)
		p.Versions[do.Version-1].MandateTime = do.Time
	case WithdrawMandate:
		p = next.Path(do.PathID)
		p.Versions = slices.Clone(p.Versions)
		p.Versions[do.Version-1].MandateTime = time.Time{}
	}
	if m != nil {
		modules = append(modules, *m)
	}
	if p != nil {
		paths = append(paths, *p)
	}
	return next, modules, paths
}

// Play is what becomes of a world by the naive rules alone, as far as no award is revoked in it.
func Play(w World) (Result, Input) {
	in := Input{LearnerID: w.LearnerID, Zone: w.Zone, Now: w.Start}
	zones := []Moved{{Zone: w.Zone}}
	stage := w.Catalog
	for _, step := range w.Steps {
		stage, _, _ = stage.After(step)
		in.Now = step.At
		switch do := step.Do.(type) {
		case Move:
			in.Zone, zones = do.Zone, append(zones, Moved{step.At, do.Zone})
		case Send:
			for i := range do.Events {
				if e := accepted(&in, &stage, zones, do, do.Events[i]); e != nil {
					in.Log = append(in.Log, *e)
				}
			}
		case Enroll:
			enroll(&in, &stage, do.PathID)
		case Void:
			in.Log = append(in.Log, progress.Record{
				Sequence: int64(len(in.Log) + 1), Type: progress.RecordEvent, EffectiveAt: step.At, ReceivedAt: step.At, ActorID: "admin",
				Event: progress.Event{ID: do.ID, Verb: progress.Voided, VoidsEventID: do.EventID},
			})
		}
	}
	in.Catalog = stage.Snapshot()
	return Judge(in), in
}

// accepted is the entry of an event that arrives now, or nil for one that the log has.
func accepted(in *Input, stage *Stage, zones []Moved, batch Send, s Sent) *progress.Record {
	for i := range in.Log {
		if in.Log[i].Event.ID == s.Event.ID {
			return nil
		}
	}
	got := Accept(Sending{
		OccurredAt: s.Event.OccurredAt, SentAt: batch.SentAt, ArrivedAt: in.Now, ReceivedAt: in.Now, Admin: s.Admin,
		Module: stage.Module(s.Event.ModuleID), Version: s.Event.ModuleVersion, UnitID: s.Event.UnitID,
	})
	e := &progress.Record{
		Zone: s.TimeZone, LearnerID: in.LearnerID, Sequence: int64(len(in.Log) + 1), Type: progress.RecordEvent, Event: s.Event,
		ReceivedAt: in.Now, EffectiveAt: got.EffectiveAt, Adjusted: got.Adjusted, ActorID: in.LearnerID,
	}
	if e.Zone == "" {
		e.Zone = ZoneIn(zones, got.EffectiveAt)
	}
	if s.Admin {
		e.ActorID = "admin"
	}
	e.Event.ModuleVersion = got.Version
	return e
}

// enroll enrolls the learner in the newest version of a path, if they are not enrolled.
func enroll(in *Input, stage *Stage, path string) {
	for i := range in.Enrollments {
		if in.Enrollments[i].PathID == path {
			return
		}
	}
	in.Enrollments = append(in.Enrollments, progress.Enrollment{
		ID: path, LearnerID: in.LearnerID, PathID: path, PathVersion: len(stage.Path(path).Versions),
		State: progress.EnrollmentActive, EnrollTime: in.Now, UpdateTime: in.Now,
	})
}
