package progress

import (
	"cmp"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Path answers how far the learner is on a path. NotFound when they are not enrolled in it.
func (w *View) Path(pathID string) (*PathProgress, error) {
	if e := w.enrollment(pathID); e != nil {
		if p := w.path(*e); p != nil {
			return p, nil
		}
		return nil, errs.New(errs.Unavailable, "CATALOG_BEHIND", "path %s is not known here yet; ask again", pathID)
	}
	return nil, errs.New(errs.NotFound, "NOT_ENROLLED", "not enrolled in path %s", pathID)
}

// enrollment answers the enrollment in a path that is not withdrawn, or nil.
func (w *view) enrollment(pathID string) *Enrollment {
	i := slices.IndexFunc(w.learner.Enrollments, func(e Enrollment) bool {
		return e.PathID == pathID && e.State != EnrollmentWithdrawn
	})
	if i < 0 {
		return nil
	}
	return &w.learner.Enrollments[i]
}

// Enrollments answers the learner's enrollments as they are stored, oldest first, withdrawn ones too.
func (w *View) Enrollments() []Enrollment { return w.learner.Enrollments }

// Enrollment answers one of the learner's enrollments. NotFound when there is no such one.
func (w *View) Enrollment(id string) (Enrollment, error) {
	i := slices.IndexFunc(w.learner.Enrollments, func(e Enrollment) bool { return e.ID == id })
	if i < 0 {
		return Enrollment{}, noEnrollment(id)
	}
	return w.learner.Enrollments[i], nil
}

// Standing is the state of an enrollment with what progress makes of it: COMPLETED is derived.
func (w *View) Standing(e Enrollment) EnrollmentState { return w.standing(e) }

func (w *view) standing(e Enrollment) EnrollmentState {
	if p := w.path(e); p != nil {
		return p.State
	}
	return e.State
}

func noEnrollment(id string) error {
	return errs.New(errs.NotFound, "ENROLLMENT_NOT_FOUND", "there is no enrollment %s", id)
}

// DueModule is a completion that wants renewing.
type DueModule struct {
	ModuleID, Title string
	Currency        Currency
}

// Overview is a learner's progress in summary.
type Overview struct {
	Paths        []PathProgress
	Due          []DueModule
	Next         []NextStep
	AsOfSequence int64
}

// Overview answers every enrollment that is not withdrawn, what wants renewing, the most urgent
// first, and what is next.
func (w *View) Overview() *Overview {
	out := &Overview{AsOfSequence: w.learner.Head.Sequence}
	for _, e := range w.learner.Enrollments {
		if e.State == EnrollmentWithdrawn {
			continue
		}
		p := w.path(e)
		if p == nil {
			continue
		}
		out.Paths = append(out.Paths, *p)
		if e.State == EnrollmentActive {
			out.addNext(p.Next)
		}
	}
	for id, f := range w.learner.Facts {
		m := w.catalog.Modules[id]
		if m == nil {
			continue
		}
		c, next := f.currency(m, w.now, w.loc)
		w.until(next)
		if wantsRenewal(c) && m.State == ModuleActive {
			out.Due = append(out.Due, DueModule{ModuleID: id, Title: m.Newest().Title, Currency: *c})
		}
	}
	slices.SortFunc(out.Due, func(a, b DueModule) int {
		return cmp.Or(a.Currency.ExpireTime.Compare(b.Currency.ExpireTime), cmp.Compare(a.ModuleID, b.ModuleID))
	})
	return out
}

func (o *Overview) addNext(steps []NextStep) {
	for _, step := range steps {
		if len(o.Next) < maxNext && !slices.ContainsFunc(o.Next, func(had NextStep) bool { return had.ModuleID == step.ModuleID }) {
			o.Next = append(o.Next, step)
		}
	}
}

// Awards answers the awards earned, oldest first, each as it stands now.
func (w *View) Awards() []Award {
	out := slices.Clone(w.learner.Awards)
	for i := range out {
		e := w.enrollment(out[i].PathID)
		if e == nil {
			continue
		}
		p := w.catalog.Paths[e.PathID]
		if p == nil || p.Version(e.PathVersion) == nil {
			continue
		}
		v := p.Version(e.PathVersion)
		k := slices.IndexFunc(v.Milestones, func(m Milestone) bool { return m.ID == out[i].MilestoneID })
		if k < 0 {
			continue
		}
		if now := w.earned(*e, &v.Milestones[k], w.pathModules(v, e.EnrollTime)); now != nil {
			out[i] = *now
		}
	}
	slices.SortStableFunc(out, func(a, b Award) int { return cmp.Or(a.AwardTime.Compare(b.AwardTime), cmp.Compare(a.ID, b.ID)) })
	return out
}

// UnitProgress is how far a learner is in one unit, in the current cycle.
type UnitProgress struct {
	Unit Unit
	// DoneTime is zero until the unit is done.
	DoneTime time.Time
	Waived   bool
	Progress *float64
	Score    *float64
	Attempts int
}

// CycleProgress is one round of completing a module. Zero times: not yet, or never.
type CycleProgress struct {
	Number                              int
	BeginTime, CompleteTime, ExpireTime time.Time
	Version                             int
	Percent                             *int
}

// ModuleDetail is how far a learner is in one module, unit by unit.
type ModuleDetail struct {
	ModuleProgress
	Units  []UnitProgress
	Cycles []CycleProgress
	// Resume is nil while nothing has counted.
	Resume       *Resume
	AsOfSequence int64
}

// Module answers how far the learner is in a module. NotFound when there is no such module.
func (w *View) Module(moduleID string) (*ModuleDetail, error) {
	m := w.catalog.Modules[moduleID]
	if m == nil {
		return nil, errs.New(errs.NotFound, "MODULE_NOT_FOUND", "there is no module %s", moduleID)
	}
	out := &ModuleDetail{ModuleProgress: w.module(m, w.neededSince(moduleID)), AsOfSequence: w.learner.Head.Sequence}
	v := m.Version(out.Version)
	f := w.learner.Facts[moduleID]
	var current *CycleFacts
	if f != nil {
		out.Resume = f.Resume
		for i := range f.Cycles {
			current = &f.Cycles[i]
			out.Cycles = append(out.Cycles, w.cycle(m, current))
		}
	}
	for i := range v.Units {
		out.Units = append(out.Units, unitProgress(m, v, &v.Units[i], current))
	}
	return out, nil
}

// neededSince is the time of the oldest enrollment, not withdrawn, whose path has the module; zero where there is none.
func (w *view) neededSince(moduleID string) time.Time {
	var since time.Time
	for _, e := range w.learner.Enrollments {
		p := w.catalog.Paths[e.PathID]
		if e.State == EnrollmentWithdrawn || p == nil || p.Version(e.PathVersion) == nil {
			continue
		}
		if slices.Contains(p.Version(e.PathVersion).moduleIDs(), moduleID) {
			since = sooner(since, e.EnrollTime)
		}
	}
	return since
}

func (w *view) cycle(m *Module, c *CycleFacts) CycleProgress {
	out := CycleProgress{
		Number:       c.Number,
		BeginTime:    time.UnixMicro(c.BeginAt).UTC(),
		CompleteTime: timeOf(c.CompleteAt),
		ExpireTime:   timeOf(c.ExpireAt),
		Version:      c.CompleteVersion,
	}
	percent, _, required := c.percentIn(m, w.now)
	if c.CompleteAt != 0 {
		percent, required = 100, true
	}
	if required {
		out.Percent = &percent
	}
	return out
}

func unitProgress(m *Module, v *ModuleVersion, u *Unit, c *CycleFacts) UnitProgress {
	out := UnitProgress{Unit: *u}
	if c == nil {
		return out
	}
	out.DoneTime = timeOf(c.doneAt(m, v, u))
	out.Waived = c.WaivedAt != 0
	if i, found := c.find(u.ID, m.era(u.ID, v.Number)); found {
		f := &c.Units[i]
		out.Progress, out.Score, out.Attempts = f.Progress, f.Score, f.Attempts
		out.Waived = out.Waived || f.WaivedAt != 0
	}
	return out
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
