package progress

import (
	"slices"
)

// merge folds an event that is not the latest without a look at the log, where that gives what folding the log
// again does. Where it returns false, f is spoilt and the log must be folded again.
func (f *Facts) merge(m *Module, r *Record) bool {
	at := r.EffectiveAt.UnixMicro()
	if len(f.Cycles) == 0 || m.Version(r.Event.ModuleVersion) == nil {
		return false
	}
	if !f.counts(m, r.EffectiveAt) {
		return true // nor did it before what is known now
	}
	return f.mergeInert(m, r) || (!m.changedIn(at, f.LastAt) && f.mergeCurrent(m, r))
}

// mergeInert merges an event that brings progress, a score, an attempt, a day, or what was done before already. It
// does so across whatever happened since, if nothing that is stored of the cycles would be another if the event
// had come in time: which there are, what is done in them and when, and what percents were.
func (f *Facts) mergeInert(m *Module, r *Record) bool {
	at := r.EffectiveAt.UnixMicro()
	last := !f.resumesAfter(&r.Event, at) // it may be the last that counts
	c := f.home(m, r)
	if c == nil || !c.isInert(m, r) || !f.keepsZones(m, r, last) || (last && c.lapses()) {
		return false
	}
	if c.Number > len(f.Cycles) {
		if f.Aside == nil {
			f.Aside, c.Zone = c, r.Zone
		}
		c.BeginAt = earliest(c.BeginAt, at)
	}
	c.own()
	c.apply(m, &r.Event, at, false)
	// What is done in a cycle goes along into the one that a MATERIAL version opens after it.
	for n := c.Number; r.Event.UnitID != "" && n < len(f.Cycles) && f.Cycles[n].Opening == OpenedMaterial; n++ {
		f.Cycles[n].own()
		f.Cycles[n].applyUnit(m, &r.Event, at, false)
	}
	f.resumeAt(&r.Event, at)
	f.noteActive(r)
	return true
}

// home returns the cycle that an event belongs to, or what is aside, where that is as if the event were not
// there; else nil, also where the order of events at the same time decides. What is aside may be new.
func (f *Facts) home(m *Module, r *Record) *CycleFacts {
	at := r.EffectiveAt.UnixMicro()
	i := -1
	for k := range f.Cycles {
		if b := f.Cycles[k].BeginAt; b < at || (k == 0 && b == at) {
			i = k
		} else if b == at {
			return nil
		}
	}
	if i < 0 {
		return nil
	}
	c := &f.Cycles[i]
	switch open := c.CompleteAt == 0 || at <= c.CompleteAt; { // at the same time it may come before or after
	case open && i > 0 && c.wasAside(&f.Cycles[i-1]) && opensMaterialCycle(m, &f.Cycles[i-1], r):
		return nil
	case open && at != c.CompleteAt:
		return c
	case opensMaterialCycle(m, c, r) || (c.WindowAt != 0 && at >= c.WindowAt):
		return nil
	case c.WindowAt == 0 || c.isOfItsDay(r.EffectiveAt):
		return c
	case i == len(f.Cycles)-1:
		return f.renewal(c, at)
	case f.Cycles[i+1].wasAside(c):
		return nil // it would be the first of it
	default:
		return &f.Cycles[i+1] // which took along what was aside
	}
}

// wasAside reports whether the cycle was gathered aside until it was complete.
func (c *CycleFacts) wasAside(prior *CycleFacts) bool {
	return c.Opening == OpenedRenewal && c.BeginAt < prior.WindowAt
}

// lapses reports whether an event may take credit from the cycle that lapsed by then.
func (c *CycleFacts) lapses() bool {
	return c.Opening == OpenedRenewal && c.CompleteAt == 0 && len(c.Units) > 0
}

// isInert reports whether an event of the cycle changes nothing that its completion, or what comes after it,
// depends on: its version was begun before, or can no longer be completed on, and its unit was done before, or is
// not done by it. Of versions it is known which was begun first.
func (c *CycleFacts) isInert(m *Module, r *Record) bool {
	e, at := &r.Event, r.EffectiveAt.UnixMicro()
	gathered := at < c.BeginAt || (c.Number > 1 && at == c.BeginAt) // aside, before the cycle took it along
	after := c.CompleteAt != 0 && at > c.CompleteAt
	begun := len(c.Versions) == 0 || e.ModuleVersion == c.first()
	if at > c.BeginAt && !begun {
		floor := m.floorAt(r.EffectiveAt)
		begun = after || (floor > 1 && e.ModuleVersion <= floor)
	}
	if !begun || !m.sameMoveOn(e.UnitID) {
		return false
	}
	switch e.Verb {
	case Initialized, Progressed, Failed:
		return true
	case Completed, Passed, Waived:
		// Where credit may lapse, the newest counts.
		return !gathered && at != c.CompleteAt && (after || c.Opening != OpenedRenewal) && c.hadBefore(m, e, at)
	case Voided:
	}
	return false
}

// hadBefore reports whether the same was done in the cycle by then.
func (c *CycleFacts) hadBefore(m *Module, e *Event, at int64) bool {
	was := c.WaivedAt
	if e.UnitID != "" {
		i, found := c.find(e.UnitID, m.era(e.UnitID, e.ModuleVersion))
		if !found {
			return false
		}
		u := &c.Units[i]
		was = map[Verb]int64{Completed: u.CompletedAt, Passed: u.PassedAt, Waived: u.WaivedAt}[e.Verb]
	}
	return was != 0 && was <= at
}

// sameMoveOn reports whether all versions that have the unit agree on when it is done.
func (m *Module) sameMoveOn(unitID string) bool {
	var rule MoveOn
	for i := range m.Versions {
		u := m.Versions[i].Unit(unitID)
		switch {
		case u == nil:
		case rule == "":
			rule = u.MoveOn
		case rule != u.MoveOn:
			return false
		}
	}
	return true
}

// keepsZones reports whether nothing takes the event's time zone that has another one: neither the facts, of which
// it may be the last event, nor a cycle that a MATERIAL version completed after it.
func (f *Facts) keepsZones(m *Module, r *Record, last bool) bool {
	at := r.EffectiveAt.UnixMicro()
	if last && f.Zone != r.Zone {
		return false
	}
	return !slices.ContainsFunc(f.Cycles, func(c CycleFacts) bool {
		return c.CompleteAt > at && c.Zone != r.Zone && m.changedIn(c.CompleteAt, c.CompleteAt)
	})
}

// mergeCurrent merges an event of the current cycle, where nothing happened to the module since it: then what
// counts are earliest times, highest scores and furthest progress, in any order.
func (f *Facts) mergeCurrent(m *Module, r *Record) bool {
	at := r.EffectiveAt.UnixMicro()
	c := &f.Cycles[len(f.Cycles)-1]
	done := c.CompleteAt != 0
	switch {
	case len(f.Cycles) > 1 && at <= c.BeginAt:
		return false // it belongs to a cycle before, or begins this one
	case !done && c.Opening == OpenedRenewal:
		return false // credit may have lapsed since
	case done && at <= c.CompleteAt:
		return false // it may complete the cycle earlier, or in another zone
	case done && (c.WindowAt != 0 || opensMaterialCycle(m, c, r)):
		return false // it may belong to a renewal, or open one
	case at == c.BeginAt && r.Event.ModuleVersion != c.first():
		return false // it may be the first
	}
	first := at < c.BeginAt
	if len(f.Cycles) == 1 {
		f.FirstAt, c.BeginAt = earliest(f.FirstAt, at), earliest(c.BeginAt, at)
	}
	c.apply(m, &r.Event, at, false)
	if first {
		c.setFirst(r.Event.ModuleVersion)
	}
	f.resumeAt(&r.Event, at)
	f.noteActive(r)
	return done || !c.isFinished(m, r.EffectiveAt)
}
