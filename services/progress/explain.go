package progress

import "slices"

// PathExplanation is why an enrollment's percent is what it is: the same progress as Path returns,
// with the reason of each part of it.
type PathExplanation struct {
	Progress PathProgress
	// Summary is the percent in words; so is each Summary below.
	Summary         string
	Milestones      []MilestoneExplanation
	CatalogRevision int64
}

// MilestoneExplanation is why a milestone's percent is what it is.
type MilestoneExplanation struct {
	Progress MilestoneProgress
	Summary  string
	// Award is the one of Progress, or the revoked one; nil until earned.
	Award  *Award
	Groups []GroupExplanation
}

// GroupExplanation is how a group counts.
type GroupExplanation struct {
	Group Group
	// Share is what the group adds to the milestone's tally: the shares add up to it.
	Share   Tally
	Summary string
	Modules []ModuleExplanation
}

// Rule is which rule decides how a module counts.
type Rule string

// The rules.
const (
	RuleLocked      Rule = "MODULE_LOCKED"
	RuleOpen        Rule = "MODULE_OPEN"
	RuleUnits       Rule = "UNITS_BY_WEIGHT"
	RuleComplete    Rule = "CYCLE_COMPLETE"
	RuleWaived      Rule = "CYCLE_WAIVED"
	RuleEquivalence Rule = "EQUIVALENCE"
	RuleExcused     Rule = "EXCUSED"
)

// ModuleExplanation is why a module counts as it does.
type ModuleExplanation struct {
	Progress ModuleProgress
	// Cycle is the one that Units are of; 0: nothing has counted yet.
	Cycle   int
	Rule    Rule
	Summary string
	// ModuleIDs are what the rule rests on: what is missing of a locked module, or the group of an equivalence.
	ModuleIDs []string
	Units     []UnitExplanation
	// Uncounted are the module's events that do not count towards Units, by effective time, the newest maxUncounted.
	Uncounted []EventExplanation
}

// UnitExplanation is why a unit counts as it does.
type UnitExplanation struct {
	Progress UnitProgress
	// MoveOn is the rule that it was satisfied by, or waits for.
	MoveOn  MoveOn
	Summary string
	// Events are those that it was done by, or else that have begun it, by effective time, the newest maxUnitEvents.
	Events []EventExplanation
}

// Uncounted is why an event does not count.
type Uncounted string

// The reasons; "" is an event that counts.
const (
	UncountedVoided       Uncounted = "VOIDED"
	UncountedNotBegun     Uncounted = "ARCHIVED_NOT_BEGUN"
	UncountedSunset       Uncounted = "AFTER_SUNSET"
	UncountedEarlier      Uncounted = "EARLIER_CYCLE"
	UncountedOtherVersion Uncounted = "OTHER_VERSION"
	UncountedRenewalEarly Uncounted = "RENEWAL_EARLY"
)

// EventExplanation is an event's part in an explanation.
type EventExplanation struct {
	Record  Record
	Reason  Uncounted
	Summary string
}

// maxUnitEvents and maxUncounted are how many events an answer names at most.
const (
	maxUnitEvents = 10
	maxUncounted  = 50
)

// Explain returns why the percent of an enrollment is what it is. NotFound when the learner is
// not enrolled in the path.
func (w *View) Explain(pathID string) (*PathExplanation, error) {
	p, err := w.Path(pathID)
	if err != nil {
		return nil, err
	}
	modules := map[string]ModuleExplanation{}
	for i := range p.Milestones {
		for k := range p.Milestones[i].Modules {
			m := &p.Milestones[i].Modules[k]
			if _, known := modules[m.ModuleID]; known {
				continue
			}
			if modules[m.ModuleID], err = w.explainModule(m); err != nil {
				return nil, err
			}
		}
	}
	words := w.words()
	out := &PathExplanation{Progress: *p, CatalogRevision: w.catalog.Revision}
	v := w.pinned(&p.Enrollment)
	var sum Tally
	for i := range v.Milestones {
		ms := w.explainMilestone(&p.Enrollment, &v.Milestones[i], &p.Milestones[i], modules)
		out.Milestones = append(out.Milestones, ms)
		sum.Required += ms.Progress.Required
	}
	out.Summary = sentences(
		words.modules(p.Tally),
		when(sum.Required != p.Required, sayCountedOnce),
		words.fall(p.PreviousPercent, p.PercentChange),
	)
	return out, nil
}

func (w *View) explainMilestone(e *Enrollment, ms *Milestone, p *MilestoneProgress, modules map[string]ModuleExplanation) MilestoneExplanation {
	out := MilestoneExplanation{Progress: *p, Award: p.Award}
	if had := w.milestoneAwards(e.PathID, ms.ID); out.Award == nil && len(had) > 0 {
		out.Award = &had[len(had)-1]
	}
	words := w.words()
	out.Summary = sentences(words.modules(p.Tally), words.award(out.Award, p.Tally))
	done := func(id string) bool { m, ok := modules[id]; return ok && m.Progress.done() }
	excused := func(id string) bool { return modules[id].Progress.Excused != nil }
	for i, share := range shares(ms.Groups, done, excused) {
		g := GroupExplanation{Group: ms.Groups[i], Share: share}
		have, left := 0, 0
		for _, id := range g.Group.ModuleIDs {
			m, ok := modules[id]
			if !ok {
				continue
			}
			g.Modules = append(g.Modules, m)
			if done(id) {
				have++
			}
			if !excused(id) {
				left++
			}
		}
		g.Summary = words.group(&g.Group, share, have, left)
		out.Groups = append(out.Groups, g)
	}
	return out
}

// shares returns what each group adds to the tally of all: the "all" groups first, each what the
// ones before it have not, then each k-of-n group beside those.
func shares(groups []Group, done, excused func(moduleID string) bool) []Tally {
	out := make([]Tally, len(groups))
	var all []Group
	add := func(i int) {
		with, without := tally(slices.Concat(all, groups[i:i+1]), done, excused), tally(all, done, excused)
		out[i] = Tally{Completed: with.Completed - without.Completed, Required: with.Required - without.Required}
	}
	for i := range groups {
		if groups[i].RequiredCount == nil {
			add(i)
			all = append(all, groups[i])
		}
	}
	for i := range groups {
		if groups[i].RequiredCount != nil {
			add(i)
		}
	}
	return out
}
