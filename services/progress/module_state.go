package progress

import (
	"fmt"
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

// CreditKind is how a completion came about, when not by the learner's own events.
type CreditKind string

// The credit kinds; "" is the learner's own events.
//
//nolint:gosec // learning credits, not credentials
const (
	CreditWaiver      CreditKind = "WAIVER"
	CreditEquivalence CreditKind = "EQUIVALENCE"
	CreditArchived    CreditKind = "ARCHIVED_WAIVER"
)

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
	Credit    CreditKind
	// CompleteTime is when the module was first completed; zero: not yet.
	CompleteTime time.Time
	// PreviousPercent is the percent before it fell, PercentChangeReason why; nil once it is regained.
	PreviousPercent     *int
	PercentChangeReason string
	// cycle and cycleVersion say which completion counts; 0 for a derived credit.
	cycle, cycleVersion int
}

func (p *ModuleProgress) done() bool { return p.State == StateCompleted }

// View is one learner at one moment. It computes what the learner sees from one snapshot of the
// facts, one of the catalog, and the clock.
type View struct {
	catalog    *Catalog
	learner    *Learner
	now        time.Time
	zone       Zone
	validUntil time.Time
	// moduleLog reads the learner's events of a module as of the moment.
	moduleLog func(moduleID string) ([]Record, error)
}

// NewView returns a view of a learner, whose facts are none of them stale. moduleLog reads the
// learner's events of a module as of the same moment; only Module and Explain call it.
func NewView(c *Catalog, l *Learner, now time.Time, z Zone, moduleLog func(moduleID string) ([]Record, error)) *View {
	return &View{catalog: c, learner: l, now: now, zone: z, moduleLog: moduleLog}
}

// ValidUntil is when something that the view has computed changes by the clock alone; zero: never.
func (w *View) ValidUntil() time.Time { return w.validUntil }

// Advance brings what is stored up to the present: MATERIAL versions that have come into effect,
// and upgrades that have become mandatory. It returns the enrollments that those moved.
func (w *View) Advance() []Enrollment {
	for id, f := range w.learner.Facts {
		w.learner.Facts[id] = f.AsOf(w.catalog.Modules[id], w.now, w.zone.Loc)
	}
	var moved []Enrollment
	for i := range w.learner.Enrollments {
		if e := &w.learner.Enrollments[i]; w.mandate(e) {
			moved = append(moved, *e)
		}
	}
	return moved
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
	kind           CreditKind
	at             time.Time
	cycle, version int
	// group are the modules that an equivalence rests on, archive the stay that a system waiver is for.
	group   []string
	archive ArchivePeriod
}

// own returns the credit of the learner's own events and an admin's waivers, or nil.
func (w *View) own(id string) *credit {
	c := w.learner.Facts[id].firstComplete()
	if c == nil {
		if m := w.catalog.Modules[id]; m != nil {
			w.untilMaterial(m)
		}
		return nil
	}
	out := &credit{at: time.UnixMicro(c.CompleteAt).UTC(), cycle: c.Number, version: c.CompleteVersion}
	if c.WaivedAt != 0 && c.WaivedAt <= c.CompleteAt {
		out.kind = CreditWaiver
	}
	return out
}

// equivalence returns the credit that older modules give, or nil. It is not transitive, and
// what any version once granted stays granted: a percent must not fall by an edit.
func (w *View) equivalence(m *Module) *credit {
	var best *credit
	for i := range m.Versions {
		for _, group := range m.Versions[i].Credits {
			at := m.Versions[i].PublishTime
			for _, id := range group {
				c := w.own(id)
				if c == nil {
					at = time.Time{}
					break
				}
				if c.at.After(at) {
					at = c.at
				}
			}
			if !at.IsZero() && (best == nil || at.Before(best.at)) {
				best = &credit{kind: CreditEquivalence, at: at, group: group}
			}
		}
	}
	return best
}

// archived returns the system waiver of a learner who cannot finish a module because it was archived, or
// nil. since is when the learner began to need it, zero: does not. A later restoring does not take it away.
func (w *View) archived(m *Module, since time.Time) *credit {
	if since.IsZero() {
		return nil // nothing asks the learner for it
	}
	f := w.learner.Facts[m.ID]
	for _, p := range m.Archives {
		w.until(p.ArchiveTime)
		if p.ArchiveTime.After(w.now) || (!p.RestoreTime.IsZero() && !since.Before(p.RestoreTime)) {
			continue
		}
		from := p.ArchiveTime
		if f != nil && f.FirstAt != 0 && f.FirstAt < p.ArchiveTime.UnixMicro() {
			if p.SunsetTime.IsZero() || (!p.RestoreTime.IsZero() && p.RestoreTime.Before(p.SunsetTime)) {
				continue
			}
			if w.now.Before(p.SunsetTime) {
				w.until(p.SunsetTime)
				continue
			}
			from = p.SunsetTime
		}
		if since.After(from) {
			from = since
		}
		return &credit{kind: CreditArchived, at: from.UTC(), archive: p}
	}
	return nil
}

// creditOf returns how the module counts as done for a learner who needs it since then, or nil.
func (w *View) creditOf(m *Module, since time.Time) *credit {
	if c := w.own(m.ID); c != nil {
		return c
	}
	if c := w.equivalence(m); c != nil {
		return c
	}
	return w.archived(m, since)
}

// missing returns the prerequisites of the module's newest version that are not done.
func (w *View) missing(m *Module, since time.Time) []string {
	var ids []string
	if since.IsZero() {
		since = w.now // an archived prerequisite must not lock the module for ever
	}
	for _, id := range m.Newest().Prerequisites {
		p := w.catalog.Modules[id]
		if p != nil && w.creditOf(p, since) == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// module computes a module's progress for a learner who needs it since then.
func (w *View) module(m *Module, since time.Time) ModuleProgress {
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
		var next time.Time
		out.Currency, next = f.currency(m, w.now, w.zone.Loc)
		w.until(next)
	}
	switch credit := w.creditOf(m, since); {
	case credit != nil:
		out.State, out.Credit, out.CompleteTime = StateCompleted, credit.kind, credit.at
		out.cycle, out.cycleVersion = credit.cycle, credit.version
		percent, required = 100, true
	case out.State == "":
		out.State = StateAvailable
		if out.BlockedBy = w.missing(m, since); len(out.BlockedBy) > 0 {
			out.State = StateLocked
		}
	}
	if required {
		out.Percent = &percent
		out.PreviousPercent, out.PercentChangeReason = f.fall(percent)
	}
	return out
}

// ModulePercent returns the module's percent for a learner as enrolled as they are; nil where nothing is required.
func (w *View) ModulePercent(m *Module) *int { return w.module(m, w.neededSince(m.ID)).Percent }

// TextVoided is why a percent fell after a void.
const TextVoided = "An event was voided."

// fall returns the percent that the module had before it fell to the present one, and why; nil
// where it did not fall, or was regained.
func (f *Facts) fall(percent int) (*int, string) {
	if f == nil {
		return nil, ""
	}
	from, why := percent, ""
	if f.VoidedFrom != nil && *f.VoidedFrom > from {
		from, why = *f.VoidedFrom, TextVoided
	}
	if n := len(f.Cycles); n > 0 && f.Cycles[n-1].FellFrom > from {
		c := &f.Cycles[n-1]
		from, why = c.FellFrom, fmt.Sprintf("Version %d of the module came into effect, and asks for some of it to be learned anew.", c.FellTo)
	}
	if why == "" {
		return nil, ""
	}
	return &from, why
}
