package progress

import (
	"cmp"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Path returns how far the learner is on a path. NotFound when they are not enrolled in it.
func (w *View) Path(pathID string) (*PathProgress, error) {
	if e := w.enrollment(pathID); e != nil {
		if p := w.path(*e); p != nil {
			return p, nil
		}
		return nil, errs.New(errs.Unavailable, errs.ReasonCatalogBehind, "path %s is not known here yet; ask again", pathID)
	}
	return nil, errs.New(errs.NotFound, errs.ReasonNotEnrolled, "not enrolled in path %s", pathID)
}

// enrollment returns the enrollment in a path that is not withdrawn, or nil.
func (w *View) enrollment(pathID string) *Enrollment {
	i := slices.IndexFunc(w.learner.Enrollments, func(e Enrollment) bool {
		return e.PathID == pathID && e.State != EnrollmentWithdrawn
	})
	if i < 0 {
		return nil
	}
	return &w.learner.Enrollments[i]
}

// Enrollments returns the learner's enrollments as they are stored, oldest first, withdrawn ones too.
func (w *View) Enrollments() []Enrollment { return w.learner.Enrollments }

// Enrollment returns one of the learner's enrollments. NotFound when there is no such one.
func (w *View) Enrollment(id string) (Enrollment, error) {
	i := slices.IndexFunc(w.learner.Enrollments, func(e Enrollment) bool { return e.ID == id })
	if i < 0 {
		return Enrollment{}, errs.New(errs.NotFound, errs.ReasonEnrollmentNotFound, "there is no enrollment %s", id)
	}
	return w.learner.Enrollments[i], nil
}

// StateOf is the state of an enrollment with what progress makes of it: COMPLETED is derived.
func (w *View) StateOf(e Enrollment) EnrollmentState {
	if p := w.path(e); p != nil {
		return p.State
	}
	return e.State
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
	Streak       Streak
	AsOfSequence int64
}

// Overview returns every enrollment that is not withdrawn, what wants renewing, the most urgent
// first, and what is next.
func (w *View) Overview() *Overview {
	out := &Overview{AsOfSequence: w.learner.Head.Sequence, Streak: w.streak()}
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
		c, next := f.currency(m, w.now, w.zone.Loc)
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

// Awards returns the awards earned and not revoked, oldest first, each as it stands now.
func (w *View) Awards() []Award {
	out := slices.DeleteFunc(slices.Clone(w.learner.Awards), func(a Award) bool { return a.Revoked() })
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
			now.FromSequence, now.ToSequence = out[i].FromSequence, out[i].ToSequence
			out[i] = *now
		}
	}
	slices.SortStableFunc(out, func(a, b Award) int { return cmp.Or(a.AwardTime.Compare(b.AwardTime), cmp.Compare(a.ID, b.ID)) })
	return out
}
