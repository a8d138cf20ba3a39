package progress

import "slices"

// Touched is how far a learner is in what a batch of events touched.
type Touched struct {
	Paths   []PathProgress
	Modules []TouchedModule
}

// TouchedModule is how far a learner is in a module. Cycle is the number of the current one, or 0.
type TouchedModule struct {
	ModuleProgress

	Cycle int
}

// Touched returns how far the learner is in the modules, in those of their paths that such a module unlocks
// or stands for, and in their paths that have one of all these. voided reports whether events of the modules
// were taken back, which may lock what was unlocked.
func (w *View) Touched(moduleIDs []string, voided bool) (*Touched, error) {
	ids := slices.DeleteFunc(slices.Clone(moduleIDs), func(id string) bool { return w.catalog.Modules[id] == nil })
	versions := make([]*PathVersion, len(w.learner.Enrollments))
	for i, e := range w.learner.Enrollments {
		v, err := w.enrolledIn(e.PathID)
		if err != nil {
			continue // a catalog restored from an older backup lacks it
		}
		versions[i] = v
		for _, id := range w.Affected(v.ModuleIDs(), moduleIDs) {
			if !slices.Contains(ids, id) && (voided || w.follows(id, moduleIDs)) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	out := &Touched{Modules: make([]TouchedModule, 0, len(ids))}
	for _, id := range slices.Compact(ids) {
		t := TouchedModule{ModuleProgress: w.module(w.catalog.Modules[id])}
		if f := w.learner.Facts[id]; f != nil && len(f.Cycles) > 0 {
			t.Cycle = f.Cycles[len(f.Cycles)-1].Number
		}
		out.Modules = append(out.Modules, t)
	}
	for i, v := range versions {
		if v != nil && slices.ContainsFunc(v.ModuleIDs(), func(id string) bool { return slices.Contains(ids, id) }) {
			out.Paths = append(out.Paths, *w.path(w.learner.Enrollments[i]))
		}
	}
	return out, w.fault
}

// follows reports whether a module that is not one of the touched ones is as it is by one of them that
// counts now: as a credit, or as a prerequisite that is done.
func (w *View) follows(id string, touched []string) bool {
	m := w.catalog.Modules[id]
	is := make(map[string]bool, len(touched))
	for _, t := range touched {
		is[t] = true
	}
	if w.counts(m, is) {
		return w.creditOf(m) != nil
	}
	return slices.ContainsFunc(m.Newest().Prerequisites, func(p string) bool {
		before := w.catalog.Modules[p]
		return before != nil && w.counts(before, is) && w.creditOf(before) != nil
	})
}
