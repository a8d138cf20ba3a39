package progress

import (
	"slices"
	"time"
)

// moduleCase is all that explaining one module looks at.
type moduleCase struct {
	*View

	m  *Module
	p  *ModuleProgress
	on *ModuleVersion
	// credit is how the module counts as done; nil: it does not.
	credit *credit
	facts  *Facts
	// cycle is the current one; nil: nothing has counted. Its units rest on the events since cycle
	// firstCycle: one that a MATERIAL version opened keeps the units of the one before.
	cycle      *CycleFacts
	firstCycle int
	// traced are the live events in the order of folding, voids the void of each other one by its id.
	traced []traced
	log    []Record
	voids  map[string]*Record
	words  words
}

// traced is an event with the number of the cycle that it counts in; 0: it does not count.
type traced struct {
	*Record

	cycle int
}

// explainModule returns why a module counts as p says.
func (w *View) explainModule(p *ModuleProgress) (ModuleExplanation, error) {
	x, err := w.caseOf(p)
	if err != nil {
		return ModuleExplanation{}, err
	}
	out := ModuleExplanation{Progress: *p, Rule: x.rule(), ModuleIDs: p.BlockedBy}
	if x.cycle != nil {
		out.Cycle = x.cycle.Number
	}
	if x.credit != nil {
		out.ModuleIDs = x.restsOn()
	}
	for i := range x.on.Units {
		out.Units = append(out.Units, x.unit(&x.on.Units[i]))
	}
	out.Uncounted = x.uncounted()
	out.Summary = sentences(
		x.state(),
		x.openedWhy(),
		x.versionWhy(),
		x.arithmetic(out.Units),
		x.words.fall(p.PreviousPercent, p.PercentChange),
		x.currencyWhy(),
		x.asideWhy(),
	)
	return out, nil
}

// caseOf gathers what is known of the module. Its log is read only where there are facts: every event leaves some.
func (w *View) caseOf(p *ModuleProgress) (*moduleCase, error) {
	m := w.catalog.Modules[p.ModuleID]
	x := &moduleCase{View: w, m: m, p: p, on: m.Version(p.Version), credit: w.creditOf(m), words: w.words(), voids: map[string]*Record{}}
	x.facts = w.learner.Facts[m.ID]
	if x.facts == nil {
		return x, nil
	}
	if n := len(x.facts.Cycles); n > 0 {
		x.cycle = &x.facts.Cycles[n-1]
		x.firstCycle = x.cycle.Number
		for i := n - 1; i > 0 && x.facts.Cycles[i].Opening == OpenedMaterial; i-- {
			x.firstCycle = x.facts.Cycles[i-1].Number
		}
	}
	var err error
	if x.log, err = w.moduleLog(m.ID); err != nil {
		return nil, err
	}
	for i := range x.log {
		if r := &x.log[i]; r.Event.Verb == Voided {
			x.voids[r.Event.VoidsEventID] = r
		}
	}
	traceLog(m, x.log, func(r *Record, cycle int) { x.traced = append(x.traced, traced{r, cycle}) })
	return x, nil
}

// restsOn are the modules that an equivalence rests on.
func (x *moduleCase) restsOn() []string {
	ids := make([]string, 0, len(x.credit.restsOn))
	for _, r := range x.credit.restsOn {
		ids = append(ids, r.ModuleID)
	}
	return ids
}

// rule is which rule decides.
func (x *moduleCase) rule() Rule {
	if x.p.Excused != nil {
		return RuleExcused
	}
	switch x.p.State {
	case StateLocked:
		return RuleLocked
	case StateAvailable:
		return RuleOpen
	case StateCompleted:
		switch x.p.Credit {
		case CreditWaiver:
			if x.waiver(x.credit.cycle) != nil {
				return RuleWaived
			}
		case CreditEquivalence:
			return RuleEquivalence
		case CreditLearned:
		}
		return RuleComplete
	case StateInProgress:
	}
	return RuleUnits
}

// state is the state in words.
func (x *moduleCase) state() string {
	switch x.rule() {
	case RuleLocked:
		return x.words.locked(x.titles(x.p.BlockedBy))
	case RuleOpen:
		return sayOpen
	case RuleComplete:
		return sentences(x.words.complete(x.credit.at, x.credit.version), when(x.credit.kind == CreditWaiver, sayPartlyWaived))
	case RuleWaived:
		return x.words.waivedModule(x.credit.at, x.waiver(x.credit.cycle))
	case RuleEquivalence:
		return x.words.equivalent(x.credit.at, x.titles(x.restsOn()))
	case RuleExcused:
		return x.words.excused(x.p.Excused)
	case RuleUnits:
		if p := x.m.archivedAt(x.now); p != nil {
			return x.words.archivedBegun(p.SunsetTime)
		}
	}
	return ""
}

// titles are the newest titles of modules.
func (x *moduleCase) titles(ids []string) []string {
	var out []string
	for _, id := range ids {
		if m := x.catalog.Modules[id]; m != nil {
			out = append(out, m.Newest().Title)
		}
	}
	return out
}

// waiver is the event that waived the whole cycle, or nil.
func (x *moduleCase) waiver(cycle int) *Record {
	i := slices.IndexFunc(x.traced, func(t traced) bool { return t.cycle == cycle && t.Event.Verb == Waived && t.Event.UnitID == "" })
	if i < 0 {
		return nil
	}
	return x.traced[i].Record
}

// openedWhy is which cycle it is, and why it was opened.
func (x *moduleCase) openedWhy() string {
	c := x.cycle
	switch {
	case c == nil:
		return ""
	case c.Number == 1:
		return x.words.firstCycle(timeOf(c.BeginAt))
	}
	prior := &x.facts.Cycles[len(x.facts.Cycles)-2]
	why := x.words.renewal(c.Number, timeOf(c.BeginAt), timeOf(prior.WindowAt))
	switch {
	case c.Opening == OpenedRenewal && c.CompleteAt != 0 && c.CompleteAt < prior.WindowAt:
		why = x.words.repeated(c.Number, timeOf(c.BeginAt), timeOf(prior.WindowAt))
	case c.Opening == OpenedMaterial:
		why = x.words.materialCycle(c.Number, timeOf(c.BeginAt), x.openingVersion(prior))
	}
	if c.CompleteAt != 0 {
		return sentences(why, x.words.cycleComplete(c.Number, timeOf(c.CompleteAt), c.CompleteVersion))
	}
	return sentences(why, sayKeepsPercent)
}

// openingVersion is the MATERIAL version that opened the current cycle: the newest that its first
// event called for; where no event did, the one that came into effect then.
func (x *moduleCase) openingVersion(prior *CycleFacts) int {
	first := slices.IndexFunc(x.traced, func(t traced) bool { return t.cycle == x.cycle.Number })
	if first >= 0 && opensMaterialCycle(x.m, prior, x.traced[first].Record) {
		for n := min(x.traced[first].Event.ModuleVersion, len(x.m.Versions)); n > prior.CompleteVersion; n-- {
			if v := x.m.Version(n); v.Material && !v.EffectiveTime.After(x.traced[first].EffectiveAt) {
				return n
			}
		}
	}
	for n := len(x.m.Versions); n > prior.CompleteVersion; n-- {
		if v := x.m.Version(n); v.Material && v.EffectiveTime.UnixMicro() == x.cycle.BeginAt {
			return n
		}
	}
	return x.on.Number
}

// versionWhy is which version the learner is on, and why it is that one.
func (x *moduleCase) versionWhy() string {
	c, n, newest := x.cycle, x.on.Number, x.m.Newest().Number
	if c == nil || x.credit != nil && x.credit.cycle == 0 {
		return ""
	}
	began := n
	if len(c.Versions) > 0 {
		began = c.Versions[0]
	}
	switch floor := x.m.floorAt(x.now); {
	case c.CompleteAt != 0 && n < newest:
		return x.words.staysOnVersion(n, newest)
	case c.CompleteAt != 0:
		return ""
	case n == floor && floor > 1 && began < floor:
		return x.words.tookOver(n, x.on.EffectiveTime, newest)
	case n < newest:
		return x.words.begunOn(n, newest)
	default:
		return x.words.onNewest(n)
	}
}

// arithmetic is how the percent of the current cycle comes about; nothing has counted: none.
func (x *moduleCase) arithmetic(units []UnitExplanation) string {
	var s unitSum
	for i := range units {
		u := &units[i].Progress
		if !u.Unit.Required {
			continue
		}
		s.uneven = s.uneven || s.required > 0 && u.Unit.micros()*int64(s.required) != s.weight
		s.required++
		s.weight += u.Unit.micros()
		if !u.DoneTime.IsZero() {
			s.done++
			s.doneWeight += u.Unit.micros()
		}
	}
	if s.required == 0 {
		return sayNothingRequired
	}
	if x.cycle == nil {
		return ""
	}
	s.percent, _ = x.cycle.percentOn(x.m, x.on)
	return x.words.units(s)
}

// currencyWhy is how current the last completion is, in words.
func (x *moduleCase) currencyWhy() string {
	c := x.p.Currency
	if c == nil {
		return ""
	}
	if c.State == CurrencySuperseded {
		return x.words.superseded(x.credit.lasts.by.Number, x.credit.lasts.superseded)
	}
	return x.words.currency(c)
}

// asideWhy is what was done again before the renewal's window, in words.
func (x *moduleCase) asideWhy() string {
	if x.facts == nil || x.facts.Aside == nil {
		return ""
	}
	return x.words.aside(timeOf(x.facts.Aside.BeginAt), timeOf(x.cycle.WindowAt), x.now)
}

// uncounted returns the events that do not count towards the units, and why.
func (x *moduleCase) uncounted() []EventExplanation {
	var out []EventExplanation
	for i := range x.log {
		if r := &x.log[i]; r.Event.Verb != Voided && x.voids[r.Event.ID] != nil {
			out = append(out, EventExplanation{Record: *r, Reason: UncountedVoided, Summary: x.words.voided(x.voids[r.Event.ID])})
		}
	}
	for _, t := range x.traced {
		if reason, why := x.uncountedWhy(t); reason != "" {
			out = append(out, EventExplanation{Record: *t.Record, Reason: reason, Summary: why})
		}
	}
	slices.SortFunc(out, func(a, b EventExplanation) int { return foldOrder(&a.Record, &b.Record) })
	return out[max(0, len(out)-maxUncounted):]
}

// uncountedWhy is why a live event does not count towards the units; "" where it does.
func (x *moduleCase) uncountedWhy(t traced) (Uncounted, string) {
	e := &t.Event
	switch {
	case t.cycle == 0:
		return x.archivedWhy(t.EffectiveAt)
	case t.cycle > x.cycle.Number:
		return UncountedRenewalEarly, x.words.renewalEarly(timeOf(x.cycle.WindowAt))
	case t.cycle < x.firstCycle, t.cycle < x.cycle.Number && (e.UnitID == "" || !x.sameEra(e.UnitID, e.ModuleVersion)):
		return UncountedEarlier, x.words.earlierCycle(t.cycle, x.cycle.Number)
	case e.UnitID == "" || x.sameEra(e.UnitID, e.ModuleVersion):
		return "", ""
	case x.on.Unit(e.UnitID) == nil:
		return UncountedOtherVersion, x.words.noSuchUnit(e.ModuleVersion, x.on.Number)
	}
	return UncountedOtherVersion, x.crossing(e.UnitID, e.ModuleVersion)
}

// archivedWhy is why an event at t was not counted in the archive.
func (x *moduleCase) archivedWhy(t time.Time) (Uncounted, string) {
	p := x.m.archivedAt(t)
	switch {
	case p == nil:
		return UncountedNotBegun, ""
	case x.facts.begunBefore(p):
		return UncountedSunset, x.words.afterSunset(p.SunsetTime)
	default:
		return UncountedNotBegun, x.words.archivedNotBegun(p.ArchiveTime)
	}
}
