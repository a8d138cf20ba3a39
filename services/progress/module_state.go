package progress

import (
	"slices"
	"time"
)

// ModuleProgressState is where a learner stands in a module.
type ModuleProgressState string

// The module progress states.
const (
	StateLocked     ModuleProgressState = "LOCKED"
	StateAvailable  ModuleProgressState = "AVAILABLE"
	StateInProgress ModuleProgressState = "IN_PROGRESS"
	StateCompleted  ModuleProgressState = "COMPLETED"
)

// CreditKind is how a completion came about.
type CreditKind string

// The credit kinds, the strongest first.
//
//nolint:gosec // learning credits, not credentials
const (
	CreditLearned     CreditKind = "LEARNED"
	CreditEquivalence CreditKind = "EQUIVALENCE"
	CreditWaiver      CreditKind = "WAIVER"
)

// Rest is a completion that an equivalence rests on: a module's newest completed cycle.
type Rest struct {
	ModuleID string
	Cycle    int
}

// ExcusedReason is why a module is excused.
type ExcusedReason string

// The reasons.
const (
	ExcusedArchived ExcusedReason = "ARCHIVED"
	ExcusedSunset   ExcusedReason = "AFTER_SUNSET"
)

// Excused is since when, and why, a learner can no longer complete an archived module: it is asked
// of them no more, and counts for nothing.
type Excused struct {
	Since  time.Time
	Reason ExcusedReason
}

// ModuleProgress is how far a learner is in one module.
type ModuleProgress struct {
	ModuleID string
	Title    string
	// Version is the one that the learner is on; the newest while nothing has counted.
	Version int
	State   ModuleProgressState
	// Percent is nil where nothing is required.
	Percent  *int
	Currency *Currency
	// BlockedBy are the missing prerequisites; only while LOCKED.
	BlockedBy []string
	// Credit is how it was completed, RestsOn what an equivalence rests on; zero while it is not.
	Credit  CreditKind
	RestsOn []Rest
	// Excused is nil unless the module is.
	Excused *Excused
	// CompleteTime is when the module was first completed; zero: not yet.
	CompleteTime time.Time
	// PreviousPercent is the percent before it fell, PercentChange why; nil once it is regained.
	PreviousPercent *int
	PercentChange   *PercentChange
	// cycle and cycleVersion say which completion counts; 0 for a derived credit.
	cycle, cycleVersion int
}

func (p *ModuleProgress) done() bool { return p.State == StateCompleted }

// View is one learner at one moment. It computes what the learner sees from one snapshot of the
// facts, one of the catalog, and the clock.
type View struct {
	catalog *Catalog
	learner *Learner
	now     time.Time
	// settled is up to when archives, sunsets, mandates and equivalences have an effect: now, or
	// SettleAfter before it.
	settled    time.Time
	validUntil time.Time
	// moduleLog reads the learner's events of a module as of the moment; fault is its first error.
	moduleLog func(moduleID string) ([]Record, error)
	fault     error
}

// NewView returns a view of a learner, whose facts are none of them stale, as a reader sees them.
// moduleLog reads the learner's events of a module as of the same moment.
func NewView(c *Catalog, l *Learner, now time.Time, moduleLog func(moduleID string) ([]Record, error)) *View {
	return &View{catalog: c, learner: l, now: now, settled: now, moduleLog: moduleLog}
}

// NewSettledView is NewView for what is to be latched: what holds only by a change of the catalog
// that is younger than SettleAfter does not hold in it.
func NewSettledView(c *Catalog, l *Learner, now time.Time, moduleLog func(moduleID string) ([]Record, error)) *View {
	w := NewView(c, l, now, moduleLog)
	w.settled = now.Add(-SettleAfter)
	return w
}

// ValidUntil is when something that the view has computed changes by the clock alone; zero: never.
func (w *View) ValidUntil() time.Time { return w.validUntil }

// Advance brings what is stored up to the present: MATERIAL versions that have come into effect,
// and upgrades that have become mandatory. It returns the enrollments that those moved.
func (w *View) Advance() []Enrollment {
	for id, f := range w.learner.Facts {
		w.learner.Facts[id] = f.AsOf(w.catalog.Modules[id], w.now)
	}
	var moved []Enrollment
	for i := range w.learner.Enrollments {
		if e := &w.learner.Enrollments[i]; w.mandate(e) {
			moved = append(moved, *e)
		}
	}
	return moved
}

// Lapse takes from renewals the credit that counts no more. It is for answers alone: what it leaves
// is not to be stored.
func (w *View) Lapse() {
	for id, f := range w.learner.Facts {
		w.learner.Facts[id] = f.Lapsed(w.catalog.Modules[id], w.now)
	}
}

// until notes that something changes at t, when that is still to come.
func (w *View) until(t time.Time) {
	if t.After(w.now) {
		w.validUntil = sooner(w.validUntil, t)
	}
}

// untilMaterial notes the times at which a MATERIAL version may change what is done.
func (w *View) untilMaterial(m *Module) {
	for i := range m.Versions {
		if v := &m.Versions[i]; v.Material {
			w.until(v.EffectiveTime)
		}
	}
}

// credit is how, when and by which completion a module counts as done.
type credit struct {
	kind CreditKind
	at   time.Time
	// cycle and version are 0 for a derived credit.
	cycle, version int
	// lasts is the longest lasting of all that the module counts as done by.
	lasts   standing
	restsOn []Rest
}

// own returns the credit of the module's own events, or nil.
func (w *View) own(m *Module) *credit {
	f := w.learner.Facts[m.ID]
	c := f.firstComplete()
	if c == nil {
		w.untilMaterial(m)
		return nil
	}
	out := &credit{kind: CreditWaiver, at: timeOf(c.CompleteAt), cycle: c.Number, version: c.CompleteVersion}
	if f.learned(m) {
		out.kind = CreditLearned
	}
	out.lasts, _ = f.standing(m)
	return out
}

// learned reports whether in some completed cycle all that is required was learned, and nothing of it waived.
func (f *Facts) learned(m *Module) bool {
	return slices.ContainsFunc(f.Cycles, func(c CycleFacts) bool {
		if c.CompleteAt == 0 {
			return false
		}
		// A cycle may be complete on a version that none of its events names.
		return c.learnedOn(m, m.Version(c.CompleteVersion)) ||
			slices.ContainsFunc(c.Versions, func(n int) bool { return c.learnedOn(m, m.Version(n)) })
	})
}

// learnedOn reports whether each required unit of the version was learned in the cycle. v may be nil,
// where a catalog that was restored from an older backup lacks it.
func (c *CycleFacts) learnedOn(m *Module, v *ModuleVersion) bool {
	return v != nil && !slices.ContainsFunc(v.Units, func(u Unit) bool { return u.Required && c.learnedAt(m, v, &u) == 0 })
}

// equivalence returns the credit that older modules give, or nil. It is not transitive, and
// what any version once granted stays granted: a percent must not fall by an edit.
func (w *View) equivalence(m *Module) *credit {
	var best *credit
	m.grants(func(v *ModuleVersion, group []string) {
		c := w.granted(m, v, group)
		switch {
		case c == nil:
		case best == nil:
			best = c
		default:
			at := best.at
			if c.at.Before(at) {
				at = c.at
			}
			if c.lasts.outlasts(&best.lasts) {
				best = c
			}
			best.at = at
		}
	})
	return best
}

// granted returns the credit that a group gives, or nil while one of its modules is missing. It is as
// old as the oldest of what it rests on.
func (w *View) granted(m *Module, v *ModuleVersion, group []string) *credit {
	if v.PublishTime.After(w.settled) {
		return nil
	}
	out := &credit{kind: CreditEquivalence, at: v.PublishTime.UTC()}
	stands := &CycleFacts{Number: 1, CompleteVersion: v.Number}
	for _, id := range group {
		part := w.catalog.Modules[id]
		if part == nil {
			return nil
		}
		c := w.own(part)
		if c == nil {
			return nil
		}
		if c.at.After(out.at) {
			out.at = c.at
		}
		newest := w.learner.Facts[id].lastComplete()
		out.restsOn = append(out.restsOn, Rest{ModuleID: id, Cycle: newest.Number})
		if stands.CompleteAt == 0 || newest.CompleteAt < stands.CompleteAt {
			stands.CompleteAt, stands.Zone = newest.CompleteAt, newest.Zone
		}
	}
	new(Facts).expire(m, stands)
	out.lasts = stands.standing(m)
	return out
}

// creditOf returns how the module counts as done, or nil: by the strongest label, from the time of
// its own completion, and for as long as the longest lasting of all that it has.
func (w *View) creditOf(m *Module) *credit {
	own, other := w.own(m), w.equivalence(m)
	switch {
	case own == nil:
		return other
	case other == nil:
		return own
	}
	if own.kind == CreditWaiver {
		own.kind, own.restsOn = CreditEquivalence, other.restsOn
	}
	if other.lasts.outlasts(&own.lasts) {
		own.lasts = other.lasts
	}
	return own
}

// excused returns since when and why the learner, who has not done the module, can no longer
// complete it; nil: they can.
func (w *View) excused(m *Module) *Excused {
	w.untilArchive(m)
	return w.excusedAt(m, w.now)
}

// excusedAt is excused at a time.
func (w *View) excusedAt(m *Module, t time.Time) *Excused {
	p := m.archivedAt(t)
	if p == nil {
		return nil
	}
	out := Excused{Since: p.ArchiveTime.UTC(), Reason: ExcusedArchived}
	if w.learner.Facts[m.ID].begunBefore(p) {
		if p.SunsetTime.IsZero() {
			return nil
		}
		out = Excused{Since: p.SunsetTime.UTC(), Reason: ExcusedSunset}
	}
	if out.Since.After(t) || out.Since.After(w.settled) {
		return nil
	}
	return &out
}

// untilArchive notes the times at which a module may come to be excused, or be so no more.
func (w *View) untilArchive(m *Module) {
	for i := range m.Archives {
		p := &m.Archives[i]
		w.until(p.ArchiveTime)
		w.until(p.SunsetTime)
		w.until(p.RestoreTime)
	}
}

// missing returns the prerequisites of the module's newest version that are neither done nor excused.
func (w *View) missing(m *Module) []string {
	var ids []string
	for _, id := range m.Newest().Prerequisites {
		if p := w.catalog.Modules[id]; p != nil && w.creditOf(p) == nil && w.excused(p) == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// module computes a module's progress.
func (w *View) module(m *Module) ModuleProgress {
	f := w.learner.Facts[m.ID]
	newest := m.Newest()
	out := ModuleProgress{ModuleID: m.ID, Title: newest.Title, Version: newest.Number}
	w.untilMaterial(m)
	required := slices.ContainsFunc(newest.Units, func(u Unit) bool { return u.Required })
	percent := 0
	if begun := f != nil && len(f.Cycles) > 0; begun {
		c := &f.Cycles[len(f.Cycles)-1]
		at := w.now
		if c.CompleteAt != 0 {
			at = time.UnixMicro(c.CompleteAt) // what is done stays on the version that it was done on
		}
		p, v, ok := c.percentIn(m, at)
		percent, required = p, ok
		if v != nil {
			out.Version, out.Title = v.Number, v.Title
		}
		out.State = StateInProgress
		w.until(f.nextLapse(m, f.openRenewal()))
	}
	if credit := w.creditOf(m); credit != nil {
		var next time.Time
		out.State, out.Credit, out.RestsOn, out.CompleteTime = StateCompleted, credit.kind, credit.restsOn, credit.at
		out.cycle, out.cycleVersion = credit.cycle, credit.version
		out.Currency, next = credit.lasts.currency(m, w.now)
		w.until(next)
		percent, required = 100, true
	} else {
		out.Excused = w.excused(m)
		if out.State == "" {
			out.State = StateAvailable
			if out.BlockedBy = w.missing(m); len(out.BlockedBy) > 0 {
				out.State = StateLocked
			}
		}
	}
	if required {
		out.Percent = &percent
		out.PreviousPercent, out.PercentChange = f.fall(m.ID, percent)
	}
	return out
}

// ModulePercent returns the module's percent; nil where nothing is required.
func (w *View) ModulePercent(m *Module) *int { return w.module(m).Percent }

// fall returns the percent that the module had before it fell to the present one, and why; nil
// where it did not fall, or was regained.
func (f *Facts) fall(moduleID string, percent int) (*int, *PercentChange) {
	if f == nil {
		return nil, nil
	}
	from := percent
	var why *PercentChange
	if f.VoidedFrom != nil && *f.VoidedFrom > from {
		from, why = *f.VoidedFrom, &PercentChange{Code: ChangeVoided, ModuleID: moduleID}
	}
	if n := len(f.Cycles); n > 0 && f.Cycles[n-1].FellFrom > from {
		c := &f.Cycles[n-1]
		from, why = c.FellFrom, &PercentChange{Code: ChangeMaterial, ModuleID: moduleID, ModuleVersion: c.FellTo}
	}
	if why == nil {
		return nil, nil
	}
	return &from, why
}
