package progress

import (
	"slices"
	"time"
)

// sameEra reports whether learning the unit on a version counts for the version that the learner is on.
func (x *moduleCase) sameEra(unitID string, version int) bool {
	return x.on.Unit(unitID) != nil && x.m.era(unitID, version) == x.m.era(unitID, x.on.Number)
}

// unit returns why a unit of the version that the learner is on counts as it does.
func (x *moduleCase) unit(u *Unit) UnitExplanation {
	out := UnitExplanation{Progress: unitProgress(x.m, x.on, u, x.cycle), MoveOn: u.MoveOn}
	var events []*Record
	if done := !out.Progress.DoneTime.IsZero(); done {
		events, out.MoveOn, out.Summary = x.doneBy(u, out.Progress.DoneTime)
	} else {
		events = x.eventsOf(u)
		out.Summary = x.waits(&out.Progress, events)
	}
	out.Summary = sentences(out.Summary, when(!u.Required, sayOptional))
	for _, r := range events[max(0, len(events)-maxUnitEvents):] {
		out.Events = append(out.Events, EventExplanation{Record: *r, Summary: x.words.event(r)})
	}
	return out
}

// eventsOf returns the events that count for the unit, in the order of folding.
func (x *moduleCase) eventsOf(u *Unit) []*Record {
	var out []*Record
	for _, t := range x.traced {
		if t.cycle != 0 && t.cycle >= x.firstCycle && t.cycle <= x.cycle.Number && t.Event.UnitID == u.ID && x.sameEra(u.ID, t.Event.ModuleVersion) {
			out = append(out, t.Record)
		}
	}
	return out
}

// doneBy returns the events that the unit was done by at t, the moveOn rule that they satisfied,
// and that in words. It names the cause of what doneAt found.
func (x *moduleCase) doneBy(u *Unit, t time.Time) ([]*Record, MoveOn, string) {
	at := t.UnixMicro()
	if x.cycle.WaivedAt == at {
		if r := x.waiver(x.cycle.Number); r != nil {
			return []*Record{r}, u.MoveOn, x.words.waivedWith(r)
		}
	}
	i, found := x.cycle.find(u.ID, x.m.era(u.ID, x.on.Number))
	if !found {
		return nil, u.MoveOn, ""
	}
	f, events := &x.cycle.Units[i], x.eventsOf(u)
	if f.WaivedAt == at {
		if by := firstOf(events, Waived); len(by) > 0 {
			return by, u.MoveOn, sentences(x.words.waived(by[0]), x.carried(by))
		}
	}
	rule, version := x.satisfiedBy(f, u, at)
	by := decisive(events, rule, f)
	return by, rule, sentences(x.words.done(by), when(version != x.on.Number, x.words.ruleOf(version)), x.carried(by))
}

// satisfiedBy returns the moveOn rule that was satisfied at a time, and the version whose rule it
// is: that of the version that the learner is on, or of one that an event of the unit named.
func (x *moduleCase) satisfiedBy(f *UnitFacts, u *Unit, at int64) (MoveOn, int) {
	if f.satisfied(u.MoveOn) != at {
		for _, n := range f.Versions {
			if v := x.m.Version(n); v != nil && v.Unit(u.ID) != nil && f.satisfied(v.Unit(u.ID).MoveOn) == at {
				return v.Unit(u.ID).MoveOn, n
			}
		}
	}
	return u.MoveOn, x.on.Number
}

// decisive returns the events that satisfied the rule.
func decisive(events []*Record, rule MoveOn, f *UnitFacts) []*Record {
	completed, passed := eventAt(events, Completed, f.CompletedAt), eventAt(events, Passed, f.PassedAt)
	switch rule {
	case MoveOnPassed:
		return passed
	case MoveOnCompletedAndPassed:
		by := slices.Concat(completed, passed)
		slices.SortFunc(by, foldOrder)
		return by
	case MoveOnCompletedOrPassed:
		if f.CompletedAt != 0 && earliest(f.CompletedAt, f.PassedAt) == f.CompletedAt {
			return completed
		}
		return passed
	case MoveOnCompleted, MoveOnNotApplicable:
	}
	return completed
}

// eventAt is the first event of the verb at a time, if there is one.
func eventAt(events []*Record, verb Verb, at int64) []*Record {
	i := slices.IndexFunc(events, func(r *Record) bool { return r.Event.Verb == verb && r.EffectiveAt.UnixMicro() == at })
	if i < 0 {
		return nil
	}
	return events[i : i+1 : i+1]
}

// firstOf is the first event of the verb, if there is one.
func firstOf(events []*Record, verb Verb) []*Record {
	i := slices.IndexFunc(events, func(r *Record) bool { return r.Event.Verb == verb })
	if i < 0 {
		return nil
	}
	return events[i : i+1 : i+1]
}

// carried returns the sentence that what was done on other versions counts on the one that the learner is on.
func (x *moduleCase) carried(by []*Record) string {
	for _, r := range by {
		if r.Event.ModuleVersion != x.on.Number {
			return x.words.carried(r.Event.ModuleVersion, x.on.Number)
		}
	}
	return ""
}

// waits returns what the unit waits for, how far it is, and what of another version does not count.
func (x *moduleCase) waits(u *UnitProgress, events []*Record) string {
	if x.credit != nil && x.credit.cycle == 0 {
		return sayNotNeeded
	}
	var f UnitFacts
	if x.cycle != nil {
		if i, found := x.cycle.find(u.Unit.ID, x.m.era(u.Unit.ID, x.on.Number)); found {
			f = x.cycle.Units[i]
		}
	}
	needs := x.words.needs(&u.Unit, f.CompletedAt != 0, f.PassedAt != 0)
	return sentences(needs, x.words.soFar(u, events), x.lapsed(&f, events), x.lost(u.Unit.ID))
}

// lapsed returns that what was done for a renewal was done too long ago, if it was.
func (x *moduleCase) lapsed(f *UnitFacts, events []*Record) string {
	if x.cycle == nil || x.cycle.Opening != OpenedRenewal {
		return ""
	}
	for _, r := range slices.Backward(events) {
		gone := r.Event.Verb == Completed && f.CompletedAt == 0 || r.Event.Verb == Passed && f.PassedAt == 0 || r.Event.Verb == Waived && f.WaivedAt == 0
		if gone {
			return x.words.lapsed(r.EffectiveAt, x.facts.lapseTime(x.m, x.cycle, r.EffectiveAt.UnixMicro()))
		}
	}
	return ""
}

// lost returns why what was done of the unit on another version does not count.
func (x *moduleCase) lost(unitID string) string {
	if x.cycle == nil {
		return ""
	}
	for i := range slices.Backward(x.cycle.Units) {
		f := &x.cycle.Units[i]
		if f.UnitID != unitID || f.Era == x.m.era(unitID, x.on.Number) {
			continue
		}
		for _, n := range f.Versions {
			if v := x.m.Version(n); f.WaivedAt != 0 || v != nil && v.Unit(unitID) != nil && f.satisfied(v.Unit(unitID).MoveOn) != 0 {
				return x.crossing(unitID, n)
			}
		}
	}
	return ""
}

// crossing returns which version stands between a version that the unit was learned on and the one
// that the learner is on.
func (x *moduleCase) crossing(unitID string, version int) string {
	if version <= x.on.Number {
		return x.words.relearn(version, x.on.Number, x.invalidator(unitID, version, x.on.Number))
	}
	between := x.invalidator(unitID, x.on.Number, version)
	if between != nil && between.EffectiveTime.After(x.now) {
		return x.words.aheadUntil(version, between.EffectiveTime)
	}
	return x.words.ahead(version, x.on.Number)
}

// invalidator is the first MATERIAL version after one, up to another, that asks for the unit to be learned anew.
func (x *moduleCase) invalidator(unitID string, after, upTo int) *ModuleVersion {
	for n := after + 1; n <= upTo && n <= len(x.m.Versions); n++ {
		if v := x.m.Version(n); v.invalidates(unitID) {
			return v
		}
	}
	return nil
}
