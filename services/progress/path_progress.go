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
			return p, w.fault
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

// Enrollments returns the learner's enrollments that are not withdrawn, as they are stored, oldest first.
func (w *View) Enrollments() []Enrollment { return w.learner.Enrollments }

// EnrollmentsOf returns rows of the list of the learner's enrollments, which were read after the rest, as
// they were then: one that was made since is left out.
func (w *View) EnrollmentsOf(rows []Enrollment) []Enrollment {
	out := make([]Enrollment, 0, len(rows))
	for _, row := range rows {
		i := slices.IndexFunc(w.learner.Enrollments, func(e Enrollment) bool { return e.ID == row.ID })
		switch {
		case i >= 0:
			out = append(out, w.learner.Enrollments[i])
		case row.State == EnrollmentWithdrawn:
			out = append(out, row)
		}
	}
	return out
}

// Shown returns an enrollment as a reader sees it: with its derived state, on the version that is
// mandatory by now.
func (w *View) Shown(e Enrollment) Enrollment {
	w.mandate(&e)
	e.State = w.StateOf(e)
	return e
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
func (w *View) Overview() (*Overview, error) {
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
	for id, p := range w.known(out.Paths) {
		if m := w.catalog.Modules[id]; wantsRenewal(p.Currency) && m.State == ModuleActive {
			out.Due = append(out.Due, DueModule{ModuleID: id, Title: m.Newest().Title, Currency: *p.Currency})
		}
	}
	slices.SortFunc(out.Due, func(a, b DueModule) int {
		return cmp.Or(a.Currency.ExpireTime.Compare(b.Currency.ExpireTime), cmp.Compare(a.ModuleID, b.ModuleID))
	})
	return out, w.fault
}

// known is the modules that the learner has done something in, those that others may stand for, and
// those of the paths.
func (w *View) known(paths []PathProgress) modulesOf {
	out := make(modulesOf)
	for i := range paths {
		for k := range paths[i].Milestones {
			for _, m := range paths[i].Milestones[k].Modules {
				out[m.ModuleID] = m
			}
		}
	}
	for id, m := range w.catalog.Modules {
		_, ok := out[id]
		granted := slices.ContainsFunc(m.Versions, func(v ModuleVersion) bool { return len(v.Credits) > 0 })
		if !ok && (granted || w.learner.Facts[id] != nil) {
			out[id] = w.module(m)
		}
	}
	return out
}

func (o *Overview) addNext(steps []NextStep) {
	for _, step := range steps {
		if len(o.Next) < maxNext && !slices.ContainsFunc(o.Next, func(had NextStep) bool { return had.ModuleID == step.ModuleID }) {
			o.Next = append(o.Next, step)
		}
	}
}
