package progress

import (
	"maps"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// ModuleIDs returns the modules of a path, or with "" all that the learner has events of, by id. NotFound
// when the learner is not enrolled in the path.
func (w *View) ModuleIDs(pathID string) ([]string, error) {
	var ids []string
	if pathID == "" {
		ids = slices.Collect(maps.Keys(w.learner.Facts))
	} else {
		v, err := w.enrolledIn(pathID)
		if err != nil {
			return nil, err
		}
		ids = v.ModuleIDs()
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return w.catalog.Modules[id] == nil })
	slices.Sort(ids)
	return ids, nil
}

// enrolledIn returns the version of a path that the learner is on. It returns NotFound when they are not
// enrolled in it.
func (w *View) enrolledIn(pathID string) (*PathVersion, error) {
	e := w.enrollment(pathID)
	if e == nil {
		return nil, errs.New(errs.NotFound, errs.ReasonNotEnrolled, "not enrolled in path %s", pathID)
	}
	if p := w.catalog.Paths[pathID]; p != nil && p.Version(e.PathVersion) != nil {
		return p.Version(e.PathVersion), nil
	}
	return nil, errs.New(errs.Unavailable, errs.ReasonCatalogBehind, "path %s is not known here yet; ask again", pathID)
}

// ModuleStatus is how far a learner is in one module, in the current cycle.
type ModuleStatus struct {
	ModuleProgress

	// Cycle is the number of the current cycle; 0: nothing has counted.
	Cycle int
	// Units are those of which the cycle has something.
	Units []UnitProgress
	// Resume is nil while nothing has counted.
	Resume *Resume
}

// Status returns how far the learner is in a module. It takes no look at the log. NotFound when there is no
// such module.
func (w *View) Status(moduleID string) (*ModuleStatus, error) {
	m := w.catalog.Modules[moduleID]
	if m == nil {
		return nil, errs.New(errs.NotFound, errs.ReasonModuleNotFound, "there is no module %s", moduleID)
	}
	out := &ModuleStatus{ModuleProgress: w.module(m)}
	f := w.learner.Facts[moduleID]
	if f == nil || len(f.Cycles) == 0 {
		return out, nil
	}
	last := &f.Cycles[len(f.Cycles)-1]
	out.Cycle, out.Resume = last.Number, f.Resume
	for _, u := range unitsProgress(m, m.Version(out.Version), last, nil) {
		if !u.DoneTime.IsZero() || u.Waived || u.Progress != nil || u.Score != nil || u.Attempts > 0 {
			out.Units = append(out.Units, u)
		}
	}
	return out, nil
}

// ReadAhead gives the view the logs of modules that it would else read one by one. What was written
// since the moment of the view is left out.
func (w *View) ReadAhead(logs map[string][]Record) {
	one, last := w.moduleLog, w.learner.Head.Sequence
	w.moduleLog = func(moduleID string) ([]Record, error) {
		if log, ok := logs[moduleID]; ok {
			return upTo(log, last), nil
		}
		return one(moduleID)
	}
}

// upTo returns the beginning of a log, up to a sequence.
func upTo(log []Record, sequence int64) []Record {
	for len(log) > 0 && log[len(log)-1].Sequence > sequence {
		log = log[:len(log)-1]
	}
	return log
}

// Affected returns those of the modules whose progress events of the touched modules may change: the
// touched ones themselves, those that they stand for, and those that such a module is a prerequisite of.
func (w *View) Affected(ids []string, touched []string) []string {
	is := make(map[string]bool, len(touched))
	for _, id := range touched {
		is[id] = true
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		m := w.catalog.Modules[id]
		return m == nil || !w.counts(m, is) && !slices.ContainsFunc(m.Newest().Prerequisites, func(p string) bool {
			before := w.catalog.Modules[p]
			return before != nil && w.counts(before, is)
		})
	})
}

// counts reports whether a module is touched, or has a touched one standing for it.
func (w *View) counts(m *Module, touched map[string]bool) bool {
	return touched[m.ID] || slices.ContainsFunc(m.Versions, func(v ModuleVersion) bool {
		return slices.ContainsFunc(v.Credits, func(group []string) bool {
			return slices.ContainsFunc(group, func(id string) bool { return touched[id] })
		})
	})
}

// Before returns the view as it would be now without the events of the touched modules that came after a
// sequence. What it shows is comparable with what w does: the clock and the catalog are the same.
func (w *View) Before(sequence int64, touched []string) (*View, error) {
	out, learner := *w, *w.learner
	learner.Facts = maps.Clone(w.learner.Facts)
	out.learner = &learner
	out.moduleLog = func(moduleID string) ([]Record, error) {
		log, err := w.moduleLog(moduleID)
		return upTo(log, sequence), err
	}
	for _, id := range touched {
		m := w.catalog.Modules[id]
		if m == nil {
			continue
		}
		log, err := out.moduleLog(id)
		if err != nil {
			return nil, err
		}
		if len(log) == 0 {
			delete(learner.Facts, id)
			continue
		}
		learner.Facts[id] = FoldLog(m, log).AsOf(m, w.now).Lapsed(m, w.now)
	}
	return &out, nil
}

// Until notes that what was compared with another view changes when what that one shows does.
func (w *View) Until(other *View) { w.until(other.validUntil) }
