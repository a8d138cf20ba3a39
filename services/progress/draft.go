package progress

import (
	"slices"
	"strconv"
	"time"
)

// Draft is a module with a version that is not published yet, and when its effects are asked for.
type Draft struct {
	// before is the module as it is, after as it would be with the draft.
	before, after *Module
	version       *ModuleVersion
	now           time.Time
}

// NewDraft returns the draft of the module's next version. It is judged as coming into effect at its
// EffectiveTime, and after all events that are stored.
func NewDraft(m *Module, version ModuleVersion, now time.Time) *Draft {
	var newest *ModuleVersion
	if len(m.Versions) > 0 {
		newest = m.Newest()
	}
	version.Units = slices.Clone(version.Units)
	version.MarkChanged(newest)
	if version.PublishTime.IsZero() {
		version.PublishTime = now
	}
	// All that is stored was done before.
	if soonest := now.Add(time.Microsecond); version.EffectiveTime.Before(soonest) {
		version.EffectiveTime = soonest
	}
	after := *m
	after.Versions = append(slices.Clone(m.Versions), version)
	return &Draft{before: m, after: &after, version: after.Newest(), now: now}
}

// Material reports whether the draft is of change class MATERIAL: no other touches what learners have.
func (d *Draft) Material() bool { return d.version.Material }

// DraftEffect is what a draft does to one learner of the module; see report.ModuleImpact for the numbers of such learners.
type DraftEffect struct{ Completed, InProgress, ToRetrain, LosingCredit bool }

// Effect returns what the draft does to a learner with these facts, as folded up to now; nil for none.
// What has lapsed in a renewal must still be in them: the cycle that a MATERIAL version opens keeps it.
func (d *Draft) Effect(f *Facts) DraftEffect {
	if f == nil || len(f.Cycles) == 0 {
		return DraftEffect{}
	}
	shown := f.Lapsed(d.before, d.now)
	last := &shown.Cycles[len(shown.Cycles)-1]
	v := DraftEffect{Completed: f.firstComplete() != nil, InProgress: last.CompleteAt == 0}
	if d.version.Material {
		v.LosingCredit = v.InProgress && d.loses(last)
		v.ToRetrain = v.Completed && d.retrains(f)
	}
	return v
}

// retrains reports whether the last completion is on no version as new as the draft once that is in
// effect. Which day it is in the learner's zone moves an expiry, but completes nothing.
func (d *Draft) retrains(f *Facts) bool {
	last := f.AsOf(d.after, d.version.EffectiveTime).lastComplete()
	return last == nil || last.CompleteVersion < d.version.Number
}

// loses reports whether the open cycle has credit for a unit that the draft invalidates.
func (d *Draft) loses(open *CycleFacts) bool {
	_, on, _ := open.percentIn(d.before, d.now)
	if on == nil || open.WaivedAt != 0 {
		return false
	}
	for i := range on.Units {
		if u := &on.Units[i]; d.version.invalidates(u.ID) && open.doneAt(d.before, on, u) != 0 {
			return true
		}
	}
	return false
}

// CreditGroups returns the groups of other modules that give the module in full to whom has completed all of
// one, by now.
func (m *Module) CreditGroups(now time.Time) [][]string {
	var groups [][]string
	m.grants(func(v *ModuleVersion, group []string) {
		if !v.PublishTime.After(now) && len(group) > 0 {
			groups = append(groups, slices.Compact(slices.Sorted(slices.Values(group))))
		}
	})
	return groups
}

// MilestonesWith returns the ids of the milestones that name a module, in order.
func (v *PathVersion) MilestonesWith(moduleID string) []string {
	var ids []string
	for i := range v.Milestones {
		if slices.Contains(v.Milestones[i].moduleIDs(), moduleID) {
			ids = append(ids, v.Milestones[i].ID)
		}
	}
	return ids
}

// ChangedMilestones returns the ids of the milestones that came or ask for something else, and then of those that went.
func ChangedMilestones(before, after []Milestone) []string {
	in := func(milestones []Milestone, id string) int {
		return slices.IndexFunc(milestones, func(m Milestone) bool { return m.ID == id })
	}
	var ids []string
	for i := range after {
		if k := in(before, after[i].ID); k < 0 || !asksSame(before[k].Groups, after[i].Groups) {
			ids = append(ids, after[i].ID)
		}
	}
	for i := range before {
		if in(after, before[i].ID) < 0 {
			ids = append(ids, before[i].ID)
		}
	}
	return ids
}

// asksSame reports whether the groups of two milestones ask for the same modules, whatever their order.
func asksSame(a, b []Group) bool {
	return slices.EqualFunc(askedFor(a), askedFor(b), slices.Equal[[]string])
}

// askedFor is what groups ask for in one form: the modules of all "all" groups together, then each
// choice as its count and its modules; sorted.
func askedFor(groups []Group) [][]string {
	var all []string
	var choices [][]string
	for _, g := range groups {
		ids := slices.Sorted(slices.Values(g.ModuleIDs))
		if g.RequiredCount == nil || *g.RequiredCount >= len(ids) {
			all = append(all, ids...)
			continue
		}
		choices = append(choices, append([]string{strconv.Itoa(*g.RequiredCount)}, ids...))
	}
	slices.Sort(all)
	slices.SortFunc(choices, slices.Compare[[]string])
	return append([][]string{slices.Compact(all)}, choices...)
}
