package naivetest

import (
	"cmp"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// milestone puts a milestone's answer together with its award. While the rule holds, the award's time
// and completions are those that it rests on now; else they are as they were stored. One that is not
// stored is provisional.
func (j *judge) milestone(e *progress.Enrollment, m *progress.Milestone) Milestone {
	done, excused := j.now()
	t := j.count(m.Groups, done, excused)
	out := Milestone{ID: m.ID, Percent: t.percent(), Completed: t.completed, Required: t.required, RuleHolds: t.holds()}
	stored, revoked := j.stored(e.PathID, m.ID)
	switch {
	case stored != nil:
		out.AwardNumber, out.AwardID = revoked+1, stored.ID
		out.AwardTime = stored.AwardTime.UTC()
		for _, c := range stored.Completions {
			out.Completions = append(out.Completions, Completion{c.ModuleID, c.Version, c.Cycle, c.CompleteTime.UTC()})
		}
		SortCompletions(out.Completions)
	case e.State == progress.EnrollmentWithdrawn || !t.holds() || revoked > 0 && j.heldWhenRevoked(e.PathID, m):
		return out
	default:
		out.AwardNumber, out.Provisional = revoked+1, true
	}
	if t.holds() && e.State != progress.EnrollmentWithdrawn {
		out.Completions = nil
		out.AwardTime = j.since(e.PathID, m.ID)
		for _, id := range t.contributions {
			c := j.creditOf(id)
			out.AwardTime = later(out.AwardTime, c.at)
			out.Completions = append(out.Completions, Completion{id, c.version, c.cycle, c.at})
		}
		SortCompletions(out.Completions)
	}
	return out
}

// SortCompletions puts completions in the order of their module ids.
func SortCompletions(all []Completion) {
	slices.SortFunc(all, func(a, b Completion) int { return cmp.Compare(a.ModuleID, b.ModuleID) })
}

// stored finds the milestone's stored award that is not revoked, and counts the revoked ones.
func (j *judge) stored(path, milestone string) (active *progress.Award, revoked int) {
	for i := range j.Awards {
		a := &j.Awards[i]
		if a.PathID != path || a.MilestoneID != milestone {
			continue
		}
		if a.RevokeTime.IsZero() {
			active = a
		} else {
			revoked++
		}
	}
	return active, revoked
}

// since is when the path first had the milestone: nobody earned it earlier.
func (j *judge) since(path, milestone string) time.Time {
	for _, v := range j.Catalog.Paths[path].Versions {
		for _, m := range v.Milestones {
			if m.ID == milestone {
				return v.PublishTime.UTC()
			}
		}
	}
	return time.Time{}
}

// heldWhenRevoked reports whether the milestone's rule holds without what entered the log after the
// last revocation. If so nothing new was done since, and the revocation stands. What was voided since
// is left out, for it was never right.
func (j *judge) heldWhenRevoked(path string, m *progress.Milestone) bool {
	last := j.lastRevocation(path, m.ID)
	then := &judge{Input: j.Input, modules: map[string]*folded{}}
	then.Log = nil
	for _, e := range j.Log {
		if e.Sequence <= last || e.Event.Verb == progress.Voided {
			then.Log = append(then.Log, e)
		}
	}
	for id, m := range j.Catalog.Modules {
		then.modules[id] = fold(m, then.Log, j.Now)
	}
	done, excused := then.now()
	return then.count(m.Groups, done, excused).holds()
}

// lastRevocation is the sequence of the record that last revoked an award of the milestone which is
// revoked still.
func (j *judge) lastRevocation(path, milestone string) int64 {
	last := int64(0)
	for _, e := range j.Log {
		if e.Type != progress.RecordRevoked || e.Effects == nil {
			continue
		}
		for _, a := range e.Effects.Awards {
			for _, s := range j.Awards {
				if s.ID == a.ID && s.PathID == path && s.MilestoneID == milestone && !s.RevokeTime.IsZero() && !a.RevokeTime.IsZero() {
					last = max(last, e.Sequence)
				}
			}
		}
	}
	return last
}
