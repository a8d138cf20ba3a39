package naivetest

import (
	"cmp"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// tally is a count of modules. required is what is asked for, completed what of it is done, and
// contributions are the modules that make it up.
type tally struct {
	completed, required int
	contributions       []string
}

// percent is rounded down; nil where nothing is required: empty is never complete.
func (t tally) percent() *int {
	if t.required == 0 {
		return nil
	}
	return new(100 * t.completed / t.required)
}

func (t tally) holds() bool { return t.required > 0 && t.completed == t.required }

// count tallies groups. Excused modules leave all of them, and k falls only as far as there are too
// few left. The modules of the "all" groups are each required once. Of a k-of-n group as many more are
// required as are not among these already; the first ones that were done make them up, in the
// order of their ids where that was at the same time.
func (j *judge) count(groups []progress.Group, done func(string) (time.Time, bool), excused func(string) bool) tally {
	var t tally
	var fixed []string
	for _, g := range groups {
		for _, id := range g.ModuleIDs {
			if g.RequiredCount == nil && !excused(id) && !slices.Contains(fixed, id) {
				fixed = append(fixed, id)
			}
		}
	}
	t.required = len(fixed)
	for _, id := range fixed {
		if _, ok := done(id); ok {
			t.contributions = append(t.contributions, id)
		}
	}
	for _, g := range groups {
		if g.RequiredCount != nil {
			t.choose(g, fixed, done, excused)
		}
	}
	t.completed = len(t.contributions)
	return t
}

// choose adds a k-of-n group.
func (t *tally) choose(g progress.Group, fixed []string, done func(string) (time.Time, bool), excused func(string) bool) {
	left, more := 0, 0
	var had []string
	for _, id := range g.ModuleIDs {
		if excused(id) {
			continue
		}
		left++
		if slices.Contains(fixed, id) {
			more--
		} else if _, ok := done(id); ok {
			had = append(had, id)
		}
	}
	more = max(0, min(*g.RequiredCount, left)+more)
	slices.SortStableFunc(had, func(a, b string) int {
		at, _ := done(a)
		bt, _ := done(b)
		return cmp.Or(at.Compare(bt), cmp.Compare(a, b))
	})
	t.required += more
	t.contributions = append(t.contributions, had[:min(more, len(had))]...)
}

// now are what is done and what is excused at present.
func (j *judge) now() (done func(string) (time.Time, bool), excused func(string) bool) {
	return func(id string) (time.Time, bool) {
			if !hasModule(j.Catalog, id) {
				return time.Time{}, false
			}
			c := j.creditOf(id)
			return c.at, c.label != ""
		}, func(id string) bool {
			return j.excuse(id) != nil
		}
}

// groupsOf are all groups of a path version.
func groupsOf(v *progress.PathVersion) []progress.Group {
	var groups []progress.Group
	for i := range v.Milestones {
		groups = append(groups, v.Milestones[i].Groups...)
	}
	return groups
}

// pathVersion is the version that an enrollment is on: the newest that is mandatory, or the pinned one.
// Withdrawn ones stay where they are.
func (j *judge) pathVersion(e *progress.Enrollment) *progress.PathVersion {
	p := j.Catalog.Paths[e.PathID]
	by := j.Now
	if j.Latching {
		by = by.Add(-regretted)
	}
	var on *progress.PathVersion
	for i := range p.Versions {
		v := &p.Versions[i]
		mandatory := e.State != progress.EnrollmentWithdrawn && v.Number > e.PathVersion && !v.MandateTime.IsZero() && !v.MandateTime.After(by)
		if v.Number == e.PathVersion || mandatory {
			on = v
		}
	}
	return on
}

// enrollment puts a path's answer together. COMPLETED and NOT_APPLICABLE are derived, but not of what
// is withdrawn.
func (j *judge) enrollment(e *progress.Enrollment) Enrollment {
	out := Enrollment{ID: e.ID, PathID: e.PathID, PathVersion: e.PathVersion, State: string(e.State)}
	if j.Catalog.Paths[e.PathID] == nil {
		return out
	}
	v := j.pathVersion(e)
	out.PathVersion = v.Number
	done, excused := j.now()
	t := j.count(groupsOf(v), done, excused)
	out.Percent, out.Completed, out.Required = t.percent(), t.completed, t.required
	switch {
	case e.State == progress.EnrollmentWithdrawn:
	case t.holds():
		out.State = Completed
	case t.required == 0:
		out.State = NotApplicable
	}
	for i := range v.Milestones {
		out.Milestones = append(out.Milestones, j.milestone(e, &v.Milestones[i]))
	}
	j.previous(e, v, &out)
	return out
}

// passedThrough are the versions that an enrollment was on before the one that is mandatory now: the
// one that it is pinned to, and those that were mandatory in between.
func (j *judge) passedThrough(e *progress.Enrollment, v *progress.PathVersion) []*progress.PathVersion {
	versions := j.Catalog.Paths[e.PathID].Versions
	var out []*progress.PathVersion
	for i := range versions {
		on := &versions[i]
		if on.Number == v.Number || on.Number < e.PathVersion {
			continue
		}
		passed := on.Number == e.PathVersion
		if on.Number > e.PathVersion && !on.MandateTime.IsZero() && on.MandateTime.Before(v.MandateTime) {
			passed = true
			for k := range versions { // a newer one that was mandatory no later leaves it out
				newer := &versions[k]
				if newer.Number > on.Number && !newer.MandateTime.IsZero() && !newer.MandateTime.After(on.MandateTime) {
					passed = false
				}
			}
		}
		if passed {
			out = append(out, on)
		}
	}
	return out
}

// previous sets the percent from before a fall: the highest that is not regained, of what was stored
// when something fell, of what a mandate that nobody has stored yet took, and of what each restored
// module took.
func (j *judge) previous(e *progress.Enrollment, v *progress.PathVersion, out *Enrollment) {
	offer := func(p *int, reason string) {
		if p == nil || out.Percent == nil || *p <= *out.Percent || out.PreviousPercent != nil && *out.PreviousPercent >= *p {
			return
		}
		out.PreviousPercent, out.PercentReason = p, reason
	}
	if e.PercentChange != nil {
		offer(e.PreviousPercent, string(e.PercentChange.Code))
	}
	for _, passed := range j.passedThrough(e, v) {
		done, excused := j.now()
		offer(j.count(groupsOf(passed), done, excused).percent(), Mandated)
	}
	for _, g := range groupsOf(v) {
		for _, id := range g.ModuleIDs {
			m := j.Catalog.Modules[id]
			if m == nil {
				continue
			}
			for _, stay := range m.Archives {
				at := stay.RestoreTime
				if at.IsZero() || at.After(j.Now) || at.Sub(stay.ArchiveTime) < regretted || !e.EnrollTime.Before(at) {
					continue
				}
				offer(j.beforeRestore(v, at), Restored)
			}
		}
	}
}

// beforeRestore is the percent just before a module came back.
func (j *judge) beforeRestore(v *progress.PathVersion, restored time.Time) *int {
	done := func(id string) (time.Time, bool) {
		if !hasModule(j.Catalog, id) {
			return time.Time{}, false
		}
		c := j.creditOf(id)
		return c.at, c.label != "" && c.at.Before(restored)
	}
	just := restored.Add(-time.Microsecond)
	excused := func(id string) bool {
		_, ok := done(id)
		return j.excuseAt(id, just, just, ok) != nil
	}
	return j.count(groupsOf(v), done, excused).percent()
}
