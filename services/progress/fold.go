package progress

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"github.com/preceptor-dev/preceptor/internal/zone"
)

// Facts is what folding a learner's counted events of one module gives. It is a left fold in
// the order of (effective_at, occurred_at, event_id), so an event that comes last in that order is
// folded in one step. Most others are merged in their place (merge.go), and the rest by folding the log again.
type Facts struct {
	// Key is the module's foldKey that these facts were folded under; when that differs, the facts are
	// stale and the log is folded again.
	Key string `json:"key"`
	// LastAt, LastOccurred and LastID are the place in the order of the last event looked at.
	LastAt       int64  `json:"lastAt"`
	LastOccurred int64  `json:"lastOccurred,omitempty"`
	LastID       string `json:"lastId"`
	// Zone is that of the last counted event.
	Zone string `json:"zone,omitempty"`
	// FirstAt is the effective time, in microseconds, of the first counted event; 0: none.
	FirstAt int64 `json:"firstAt,omitempty"`
	// Cycles are oldest first; the last one is the current one.
	Cycles []CycleFacts `json:"cycles,omitempty"`
	// Aside is what was done again before the window of the last cycle's renewal: an open cycle that
	// counts once it is complete, or once the window is open. Nil: nothing.
	Aside  *CycleFacts `json:"aside,omitempty"`
	Resume *Resume     `json:"resume,omitempty"`
	// Days are the days, numbered by dayOf, on which the learner did something here, ascending. Each
	// is settled when it is recorded, in the zone that the learner was in.
	Days []int `json:"days,omitempty"`
	// VoidedFrom is the highest percent that a void was given at; nil: nothing was voided.
	VoidedFrom *int `json:"voidedFrom,omitempty"`
}

// CycleOpening is why a cycle was opened.
type CycleOpening string

// The openings.
const (
	OpenedFirst    CycleOpening = "FIRST"
	OpenedRenewal  CycleOpening = "RENEWAL"
	OpenedMaterial CycleOpening = "MATERIAL"
)

// CycleFacts is one round of completing a module. Times are microseconds; 0: never.
type CycleFacts struct {
	Number  int          `json:"n"`
	Opening CycleOpening `json:"o"`
	BeginAt int64        `json:"b"`
	// CompleteAt and CompleteVersion are fixed by the event that completes the cycle.
	CompleteAt      int64 `json:"c,omitempty"`
	CompleteVersion int   `json:"v,omitempty"`
	// Zone is that of the last event that the cycle needed; its days and periods are reckoned there.
	Zone string `json:"z,omitempty"`
	// ExpireAt is by the policy of CompleteVersion; WindowAt is when renewal may start.
	ExpireAt int64 `json:"e,omitempty"`
	WindowAt int64 `json:"w,omitempty"`
	// Chain is what the dates of its expiry, and of its renewals', are counted from; nil: it never expires.
	Chain *Chain `json:"ch,omitempty"`
	// WaivedAt is when an admin waived the whole cycle.
	WaivedAt int64 `json:"x,omitempty"`
	// Versions are those with a counted event, ascending; FirstVersion is that of the first such event, and 0
	// where that is the lowest.
	Versions     []int       `json:"vs,omitempty"`
	FirstVersion int         `json:"fv,omitempty"`
	Units        []UnitFacts `json:"u,omitempty"`
	// FellFrom is the highest percent that a MATERIAL version, FellTo, took away when it came
	// into effect; 0: none did.
	FellFrom int `json:"ff,omitempty"`
	FellTo   int `json:"ft,omitempty"`
}

// UnitFacts is what is known of one unit in one era: between two versions that invalidated it.
type UnitFacts struct {
	UnitID string `json:"id"`
	Era    int    `json:"era,omitempty"`
	// Times in microseconds of the earliest such event, and of the newest in a renewal that is not complete; 0: none.
	CompletedAt int64    `json:"c,omitempty"`
	PassedAt    int64    `json:"p,omitempty"`
	WaivedAt    int64    `json:"x,omitempty"`
	Score       *float64 `json:"s,omitempty"`
	Progress    *float64 `json:"g,omitempty"`
	Attempts    int      `json:"a,omitempty"`
	// Versions are those that events of the unit named, ascending.
	Versions []int `json:"vs,omitempty"`
}

// Resume is where a learner left off.
type Resume struct {
	UnitID     string   `json:"unitId"`
	Progress   *float64 `json:"progress,omitempty"`
	OccurredAt int64    `json:"occurredAt"`
	// At, OccurredAt and EventID are the event's place in the order of folding.
	At      int64  `json:"at"`
	EventID string `json:"eventId"`
}

// OccurTime returns OccurredAt as a time.
func (r *Resume) OccurTime() time.Time { return timeOf(r.OccurredAt) }

// resumeAt makes the event where the learner left off, unless a later one is.
func (f *Facts) resumeAt(e *Event, at int64) {
	if e.UnitID == "" || e.Verb == Waived {
		return
	}
	if f.resumesAfter(e, at) {
		return
	}
	f.Resume = &Resume{UnitID: e.UnitID, Progress: e.Progress, OccurredAt: e.OccurredAt.UnixMicro(), At: at, EventID: e.ID}
}

// resumesAfter reports whether the learner left off at a later event.
func (f *Facts) resumesAfter(e *Event, at int64) bool {
	r := f.Resume
	return r != nil && cmp.Or(cmp.Compare(at, r.At), cmp.Compare(e.OccurredAt.UnixMicro(), r.OccurredAt), cmp.Compare(e.ID, r.EventID)) < 0
}

// foldOrder compares two events by the order in which they are folded.
func foldOrder(a, b *Record) int {
	return cmp.Or(a.EffectiveAt.Compare(b.EffectiveAt), a.Event.OccurredAt.Compare(b.Event.OccurredAt), cmp.Compare(a.Event.ID, b.Event.ID))
}

// isLast reports whether the event comes after all that was folded.
func (f *Facts) isLast(r *Record) bool {
	return cmp.Or(cmp.Compare(r.EffectiveAt.UnixMicro(), f.LastAt), cmp.Compare(r.Event.OccurredAt.UnixMicro(), f.LastOccurred),
		cmp.Compare(r.Event.ID, f.LastID)) > 0
}

// noteActive notes that the learner did something on the day of the record.
func (f *Facts) noteActive(r *Record) {
	if r.Event.Verb == Waived || r.ActorID != r.LearnerID {
		return
	}
	day := dayOf(r.EffectiveAt, zone.Of(r.Zone))
	if i, found := slices.BinarySearch(f.Days, day); !found {
		f.Days = slices.Insert(f.Days, i, day)
	}
}

// NewFacts are facts of a module with nothing counted yet.
func NewFacts(m *Module) *Facts { return &Facts{Key: m.foldKey()} }

// Stale reports whether the module, or the rules, have changed in a way that old events must be folded anew.
func (f *Facts) Stale(m *Module) bool { return f.Key != m.foldKey() }

// FoldLog folds a learner's events of one module, given in log order, voided ones left out.
// It returns nil for an empty log.
func FoldLog(m *Module, log []Record) *Facts {
	return traceLog(m, log, func(*Record, int) {})
}

// traceLog is FoldLog that passes each event, in the order of folding, to counted with the number of
// the cycle that it counts in; 0: it does not count. The number is of a cycle that is not there when
// the event is gathered aside for it still. Voided events are left out.
func traceLog(m *Module, log []Record, counted func(r *Record, cycle int)) *Facts {
	if len(log) == 0 {
		return nil
	}
	f := NewFacts(m)
	voided := map[string]bool{}
	for i := range log {
		if r := &log[i]; r.Event.Verb == Voided {
			voided[r.Event.VoidsEventID] = true
			f.NoteVoid(r)
		}
	}
	var live []*Record
	for i := range log {
		if r := &log[i]; r.Event.Verb != Voided && !voided[r.Event.ID] {
			live = append(live, r)
		}
	}
	slices.SortFunc(live, foldOrder)
	for _, r := range live {
		counted(r, f.Step(m, r))
	}
	return f
}

// NoteVoid notes the percent that a void was given at. The highest of them is enough: one that
// was regained in between is not above the next.
func (f *Facts) NoteVoid(r *Record) {
	if r.Effects == nil || r.Effects.PercentBefore == nil {
		return
	}
	if before := *r.Effects.PercentBefore; f.VoidedFrom == nil || *f.VoidedFrom < before {
		f.VoidedFrom = &before
	}
}

// Add folds one event where that takes no look at the log, and returns whether it did.
func (f *Facts) Add(m *Module, r *Record) bool {
	if f.Stale(m) {
		return false
	}
	if f.isLast(r) {
		f.Step(m, r)
		return true
	}
	return f.merge(m, r)
}

// isFinished reports whether some version that the cycle may be completed on at t has all that it requires.
func (c *CycleFacts) isFinished(m *Module, t time.Time) bool {
	return slices.ContainsFunc(c.candidates(m, t), func(n int) bool { return c.finishedAt(m, m.Version(n)) != 0 })
}

// finishedAt returns when the last of what the version requires was done, or 0.
func (c *CycleFacts) finishedAt(m *Module, v *ModuleVersion) int64 {
	var last int64
	for i := range v.Units {
		if u := &v.Units[i]; u.Required {
			at := c.doneAt(m, v, u)
			if at == 0 {
				return 0
			}
			last = max(last, at)
		}
	}
	return last
}

// Step folds one event that is later than all before it, and returns the number of the cycle
// that it counts in, or 0.
func (f *Facts) Step(m *Module, r *Record) int {
	at := r.EffectiveAt.UnixMicro()
	f.advance(m, r.EffectiveAt)
	f.LastAt, f.LastOccurred, f.LastID = at, r.Event.OccurredAt.UnixMicro(), r.Event.ID
	if !f.counts(m, r.EffectiveAt) {
		return 0
	}
	if f.FirstAt == 0 {
		f.FirstAt = at
	}
	c := f.cycleFor(m, r)
	number, open := c.Number, c.CompleteAt == 0
	renews := open && c.Opening == OpenedRenewal
	if renews {
		f.lapse(m, c, r.EffectiveAt)
	}
	c.apply(m, &r.Event, at, renews)
	f.resumeAt(&r.Event, at)
	f.noteActive(r)
	f.Zone = r.Zone
	if open {
		c.Zone = r.Zone
		f.complete(m, c, r.EffectiveAt)
	}
	return number
}

// counts reports whether an event at t counts: in the archive, only what was begun before
// counts, and only until the sunset.
func (f *Facts) counts(m *Module, t time.Time) bool {
	p := m.archivedAt(t)
	return p == nil || (f.begunBefore(p) && (p.SunsetTime.IsZero() || t.Before(p.SunsetTime)))
}

// begunBefore reports whether the module was begun before a stay in the archive.
func (f *Facts) begunBefore(p *ArchivePeriod) bool {
	return f != nil && f.FirstAt != 0 && f.FirstAt < p.ArchiveTime.UnixMicro()
}

// BeginsBeforeArchive reports whether an event at t shows that a module which is in the archive now was
// begun before that, which the facts do not say.
func (f *Facts) BeginsBeforeArchive(m *Module, t, now time.Time) bool {
	p := m.archivedAt(now)
	return p != nil && t.Before(p.ArchiveTime) && !f.begunBefore(p)
}

// cycleFor returns the cycle that the event belongs to, opening the next one where it is due.
func (f *Facts) cycleFor(m *Module, r *Record) *CycleFacts {
	at := r.EffectiveAt.UnixMicro()
	if len(f.Cycles) == 0 {
		f.Cycles = append(f.Cycles, CycleFacts{Number: 1, Opening: OpenedFirst, BeginAt: at})
		return &f.Cycles[0]
	}
	c := &f.Cycles[len(f.Cycles)-1]
	switch {
	case c.CompleteAt == 0:
		return c
	case c.WindowAt != 0 && at >= c.WindowAt:
		return f.open(f.renewal(c, at), at)
	case opensMaterialCycle(m, c, r):
		return f.open(f.retraining(c), at)
	case c.WindowAt != 0 && !c.isOfItsDay(r.EffectiveAt):
		// Two devices may report one sitting: so what is done again begins on another day.
		f.Aside = f.renewal(c, at)
		return f.Aside
	default:
		return c
	}
}

// isOfItsDay reports whether t, after the completion of the cycle, is on the same day.
func (c *CycleFacts) isOfItsDay(t time.Time) bool {
	in := zone.Of(c.Zone)
	return dayOf(t, in) <= dayOf(time.UnixMicro(c.CompleteAt), in)
}

// open makes the cycle the current one.
func (f *Facts) open(c *CycleFacts, at int64) *CycleFacts {
	c.BeginAt, f.Aside = at, nil
	f.Cycles = append(f.Cycles, *c)
	return &f.Cycles[len(f.Cycles)-1]
}

// renewal is what was gathered aside for the cycle after c; where there is nothing, a new one.
func (f *Facts) renewal(c *CycleFacts, at int64) *CycleFacts {
	if f.Aside != nil {
		return f.Aside
	}
	return &CycleFacts{Number: c.Number + 1, Opening: OpenedRenewal, BeginAt: at}
}

// retraining is the cycle that a MATERIAL version opens after c. All unit facts go along: those that
// the version invalidated are of another era than it is, and so give no credit for it.
func (f *Facts) retraining(c *CycleFacts) *CycleFacts {
	next := &CycleFacts{Number: c.Number + 1, Opening: OpenedMaterial, Units: cloneUnits(c.Units)}
	if f.Aside == nil {
		return next
	}
	next.Versions, next.FirstVersion = slices.Clone(f.Aside.Versions), f.Aside.FirstVersion
	for i := range f.Aside.Units {
		u := &f.Aside.Units[i]
		next.unit(u.UnitID, u.Era).join(u)
	}
	return next
}

// join merges what is known of the same unit and era.
func (u *UnitFacts) join(o *UnitFacts) {
	u.CompletedAt, u.PassedAt, u.WaivedAt = earliest(u.CompletedAt, o.CompletedAt), earliest(u.PassedAt, o.PassedAt), earliest(u.WaivedAt, o.WaivedAt)
	u.Score, u.Progress, u.Attempts = highest(u.Score, o.Score), highest(u.Progress, o.Progress), u.Attempts+o.Attempts
	for _, n := range o.Versions {
		u.Versions = insertVersion(u.Versions, n)
	}
}

// lapse takes from a renewal what was done a whole period ago or longer: in a renewal, a unit's
// credit counts for one period of the cycle that is renewed.
func (f *Facts) lapse(m *Module, c *CycleFacts, t time.Time) {
	for i := range c.Units {
		u := &c.Units[i]
		for _, at := range []*int64{&u.CompletedAt, &u.PassedAt, &u.WaivedAt} {
			if until := f.lapseTime(m, c, *at); !until.IsZero() && !until.After(t) {
				*at = 0
			}
		}
	}
}

// lapseTime is when credit that a renewal has from at counts no more; zero: never, or there is none.
func (f *Facts) lapseTime(m *Module, c *CycleFacts, at int64) time.Time {
	prior := &f.Cycles[c.Number-2]
	p := m.policyOf(prior)
	if p == nil || at == 0 {
		return time.Time{}
	}
	return p.Period.AddTo(time.UnixMicro(at), zone.Of(prior.Zone))
}

// opensMaterialCycle reports whether a MATERIAL version newer than the one that the cycle was
// completed on is in effect at the event, and the event names it or a later one.
func opensMaterialCycle(m *Module, c *CycleFacts, r *Record) bool {
	for n := c.CompleteVersion + 1; n <= r.Event.ModuleVersion && n <= len(m.Versions); n++ {
		if v := m.Version(n); v.Material && !v.EffectiveTime.After(r.EffectiveAt) {
			return true
		}
	}
	return false
}

func cloneUnits(units []UnitFacts) []UnitFacts {
	out := slices.Clone(units)
	for i := range out {
		out[i].Versions = slices.Clone(out[i].Versions)
	}
	return out
}

// begin notes that the cycle has an event of the version, after those that it has.
func (c *CycleFacts) begin(version int) {
	first := cmp.Or(c.first(), version)
	c.Versions = insertVersion(c.Versions, version)
	c.setFirst(first)
}

// first returns the version of the cycle's first event; 0: it has none.
func (c *CycleFacts) first() int {
	if c.FirstVersion == 0 && len(c.Versions) > 0 {
		return c.Versions[0]
	}
	return c.FirstVersion
}

func (c *CycleFacts) setFirst(version int) {
	if c.FirstVersion = version; version == c.Versions[0] {
		c.FirstVersion = 0
	}
}

// apply merges one event into the cycle: earliest times, or newest ones where those before may
// lapse; highest score, furthest progress.
func (c *CycleFacts) apply(m *Module, e *Event, at int64, newest bool) {
	c.begin(e.ModuleVersion)
	c.applyUnit(m, e, at, newest)
}

// applyUnit is apply for what the event says of its unit, or for a waiver of all units.
func (c *CycleFacts) applyUnit(m *Module, e *Event, at int64, newest bool) {
	when := earliest
	if newest {
		when = func(_, at int64) int64 { return at }
	}
	if e.UnitID == "" {
		if e.Verb == Waived {
			c.WaivedAt = when(c.WaivedAt, at)
		}
		return
	}
	u := c.unit(e.UnitID, m.era(e.UnitID, e.ModuleVersion))
	u.Versions = insertVersion(u.Versions, e.ModuleVersion)
	u.Score, u.Progress = highest(u.Score, e.Score), highest(u.Progress, e.Progress)
	switch e.Verb {
	case Completed:
		u.CompletedAt = when(u.CompletedAt, at)
	case Passed:
		u.PassedAt = when(u.PassedAt, at)
		u.Attempts++
	case Failed:
		u.Attempts++
	case Waived:
		u.WaivedAt = when(u.WaivedAt, at)
	case Initialized, Progressed, Voided:
	}
}

// unit returns the facts of a unit in an era, made where there are none yet. They are
// in order of (unit, era), so that the same facts are always stored as the same bytes.
func (c *CycleFacts) unit(id string, era int) *UnitFacts {
	i, found := c.find(id, era)
	if !found {
		c.Units = slices.Insert(c.Units, i, UnitFacts{UnitID: id, Era: era})
	}
	return &c.Units[i]
}

func (c *CycleFacts) find(id string, era int) (int, bool) {
	return slices.BinarySearchFunc(c.Units, id, func(u UnitFacts, id string) int {
		return cmp.Or(cmp.Compare(u.UnitID, id), cmp.Compare(u.Era, era))
	})
}

// doneAt returns when the unit was done as far as version v goes, or 0: learned, or waived alone or
// with the whole cycle.
func (c *CycleFacts) doneAt(m *Module, v *ModuleVersion, u *Unit) int64 {
	done := earliest(c.WaivedAt, c.learnedAt(m, v, u))
	if i, found := c.find(u.ID, m.era(u.ID, v.Number)); found {
		done = earliest(done, c.Units[i].WaivedAt)
	}
	return done
}

// learnedAt is doneAt without waivers.
func (c *CycleFacts) learnedAt(m *Module, v *ModuleVersion, u *Unit) int64 {
	i, found := c.find(u.ID, m.era(u.ID, v.Number))
	if !found {
		return 0
	}
	f := &c.Units[i]
	done := f.satisfied(u.MoveOn)
	for _, n := range f.Versions {
		if w := m.Version(n); w != nil {
			if wu := w.Unit(u.ID); wu != nil {
				done = earliest(done, f.satisfied(wu.MoveOn))
			}
		}
	}
	return done
}

// satisfied returns when the moveOn rule was satisfied, or 0: AND takes the later time, OR the earlier.
func (u *UnitFacts) satisfied(rule MoveOn) int64 {
	switch rule {
	case MoveOnPassed:
		return u.PassedAt
	case MoveOnCompletedOrPassed:
		return earliest(u.CompletedAt, u.PassedAt)
	case MoveOnCompletedAndPassed:
		if u.CompletedAt == 0 || u.PassedAt == 0 {
			return 0
		}
		return max(u.CompletedAt, u.PassedAt)
	case MoveOnCompleted, MoveOnNotApplicable:
	}
	return u.CompletedAt
}

// candidates returns the versions that the cycle may be completed on at t, ascending: the newest
// MATERIAL version in effect, and the newer ones with a counted event; where no MATERIAL one is
// in effect, all with a counted event.
func (c *CycleFacts) candidates(m *Module, t time.Time) []int {
	floor := m.floorAt(t)
	var out []int
	if floor > 1 {
		out = append(out, floor)
	}
	for _, n := range c.Versions {
		// A catalog restored from an older backup may lack a version that the log names.
		if (n > floor || floor == 1) && n <= len(m.Versions) {
			out = append(out, n)
		}
	}
	return out
}

// complete completes the cycle at t if some candidate version has all that it requires, on the
// newest such. What was gathered aside is the current cycle then.
func (f *Facts) complete(m *Module, c *CycleFacts, t time.Time) {
	for _, n := range slices.Backward(c.candidates(m, t)) {
		v := m.Version(n)
		if c.finishedAt(m, v) == 0 {
			continue
		}
		c.CompleteAt, c.CompleteVersion = t.UnixMicro(), n
		f.expire(m, c)
		if c == f.Aside {
			f.Cycles, f.Aside = append(f.Cycles, *c), nil
		}
		return
	}
}

// advance lets the MATERIAL versions that came into effect after the last event, up to t, do what
// they do without an event: complete the current cycle, where they ask for no more than what is
// done already; or, where it is complete, open and complete the next one, for a learner who learned the
// new version between its publication and its effect.
func (f *Facts) advance(m *Module, t time.Time) {
	for v := f.nextMaterial(m, t); v != nil; v = f.nextMaterial(m, t) {
		f.LastAt, f.LastOccurred, f.LastID = v.EffectiveTime.UnixMicro(), 0, ""
		c := &f.Cycles[len(f.Cycles)-1]
		if c.CompleteAt == 0 {
			if c.Opening == OpenedRenewal {
				f.lapse(m, c, v.EffectiveTime)
			}
			f.complete(m, c, v.EffectiveTime)
			c.noteFall(m, v)
			continue
		}
		if next := f.retraining(c); v.Number > c.CompleteVersion && next.finishedAt(m, v) != 0 {
			next.begin(v.Number)
			next.Zone = f.Zone
			next.CompleteAt, next.CompleteVersion = f.LastAt, v.Number
			f.expire(m, f.open(next, f.LastAt))
		}
	}
}

// noteFall notes what the MATERIAL version took away when it came into effect.
func (c *CycleFacts) noteFall(m *Module, v *ModuleVersion) {
	before, _, _ := c.percentIn(m, v.EffectiveTime.Add(-time.Microsecond))
	after, _, _ := c.percentIn(m, v.EffectiveTime)
	if c.CompleteAt == 0 && after < before && before > c.FellFrom {
		c.FellFrom, c.FellTo = before, v.Number
	}
}

// nextMaterial is the MATERIAL version that comes into effect next after what was last looked
// at, up to t, or nil; the newest of several at the same time.
func (f *Facts) nextMaterial(m *Module, t time.Time) *ModuleVersion {
	if len(f.Cycles) == 0 {
		return nil
	}
	var next *ModuleVersion
	for i := range m.Versions {
		v := &m.Versions[i]
		at := v.EffectiveTime.UnixMicro()
		if !v.Material || v.EffectiveTime.After(t) || at <= f.LastAt {
			continue
		}
		if next == nil || at <= next.EffectiveTime.UnixMicro() {
			next = v
		}
	}
	return next
}

// AsOf returns the facts as they are at now: the same, or a copy that time has moved on. What a renewal
// lost by then is still in it, since an event may arrive of a time when it was not lost; see Lapsed.
func (f *Facts) AsOf(m *Module, now time.Time) *Facts {
	if f == nil || m == nil || f.nextMaterial(m, now) == nil {
		return f
	}
	out := f.Clone()
	out.advance(m, now)
	return out
}

// Lapsed returns the facts without the credit of a renewal that counts no more at now: the same, or a
// copy. It is for answers; what is stored must not have lost it.
func (f *Facts) Lapsed(m *Module, now time.Time) *Facts {
	if f == nil || m == nil {
		return f
	}
	if next := f.nextLapse(m, f.openRenewal()); next.IsZero() || next.After(now) {
		return f
	}
	out := f.Clone()
	out.lapse(m, out.openRenewal(), now)
	return out
}

// openRenewal is the renewal that is begun and not complete, or what was gathered aside for one; nil: neither.
func (f *Facts) openRenewal() *CycleFacts {
	if n := len(f.Cycles); n > 0 && f.Cycles[n-1].CompleteAt == 0 && f.Cycles[n-1].Opening == OpenedRenewal {
		return &f.Cycles[n-1]
	}
	return f.Aside
}

// nextLapse is when the next of a renewal's credit counts no more; zero: never.
func (f *Facts) nextLapse(m *Module, renewal *CycleFacts) time.Time {
	var first int64
	if renewal == nil {
		return time.Time{}
	}
	for i := range renewal.Units {
		u := &renewal.Units[i]
		first = earliest(earliest(first, u.CompletedAt), earliest(u.PassedAt, u.WaivedAt))
	}
	if first == 0 {
		return time.Time{}
	}
	return f.lapseTime(m, renewal, first)
}

func insertVersion(versions []int, v int) []int {
	i, found := slices.BinarySearch(versions, v)
	if found {
		return versions
	}
	return slices.Insert(versions, i, v)
}

// earliest is the lesser of two times of which 0 is none.
func earliest(a, b int64) int64 {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

func highest(a, b *float64) *float64 {
	if a == nil || (b != nil && *b > *a) {
		return b
	}
	return a
}

// FirstCompletion is when, on what version and how the first cycle was completed; zero where it is not.
type FirstCompletion struct {
	// At is in microseconds.
	At      int64
	Version int
	Waived  bool
}

// FirstCompletion returns the facts' first completion: that, and no later one, is what credits and awards rest on.
func (f *Facts) FirstCompletion() FirstCompletion {
	c := f.firstComplete()
	if c == nil {
		return FirstCompletion{}
	}
	return FirstCompletion{c.CompleteAt, c.CompleteVersion, c.WaivedAt != 0}
}

// CycleState is the state of the current cycle of facts, as far as it matters to a preview.
type CycleState string

// The states of a cycle.
const (
	// CycleNone is nothing counted.
	CycleNone CycleState = "NONE"
	// CycleOpen is a current cycle that is not complete.
	CycleOpen CycleState = "OPEN"
	// CycleDone is a current cycle that is complete.
	CycleDone CycleState = "DONE"
)

// Summary is what previews and reports ask of facts.
type Summary struct {
	// CompleteVersion is that of the last completed cycle; 0: there is none.
	CompleteVersion int
	// Key is the facts' foldKey, Materials how many of its MATERIAL versions the facts have seen come into effect.
	Key        string
	Materials  int
	CycleState CycleState
	// Shape is a hash of all that is done in the current cycle, whenever it was; 0 where nothing counted.
	Shape int64
}

// Summary returns the facts in short.
func (f *Facts) Summary() Summary {
	s := Summary{Key: f.Key, Materials: materialsBy(f.Key, f.LastAt), CycleState: f.cycleState()}
	if len(f.Cycles) > 0 {
		s.Shape = f.shape()
	}
	if c := f.lastComplete(); c != nil {
		s.CompleteVersion = c.CompleteVersion
	}
	return s
}

func (f *Facts) cycleState() CycleState {
	switch n := len(f.Cycles); {
	case n == 0:
		return CycleNone
	case f.Cycles[n-1].CompleteAt == 0:
		return CycleOpen
	default:
		return CycleDone
	}
}

// shape is the same for two current cycles that differ in nothing but times, scores, attempts, and how
// far units that nothing speaks for have come: so as much is done in both, on whatever version. In a
// renewal times matter too, since credit lapses.
func (f *Facts) shape() int64 {
	c := &f.Cycles[len(f.Cycles)-1]
	b := c.appendUnits(make([]byte, 0, 256), c.CompleteAt == 0 && c.Opening == OpenedRenewal)
	if f.Aside != nil {
		b = f.Aside.appendUnits(b, true)
	}
	h := fnv.New64a()
	_, _ = h.Write(b) // it cannot fail
	//nolint:gosec // the same 64 bits, to be stored
	return int64(h.Sum64())
}

// appendUnits appends what is done in the cycle; when, too, where times matter.
func (c *CycleFacts) appendUnits(b []byte, times bool) []byte {
	b = appendShape(b, c.WaivedAt != 0, c.Versions)
	for i := range c.Units {
		u := &c.Units[i]
		if u.CompletedAt == 0 && u.PassedAt == 0 && u.WaivedAt == 0 {
			continue
		}
		b = append(append(b, u.UnitID...), 0) // no id has one
		b = strconv.AppendInt(b, int64(u.Era), 10)
		b = appendShape(b, u.WaivedAt != 0, u.Versions, u.CompletedAt != 0, u.PassedAt != 0)
		if times {
			for _, at := range []int64{u.CompletedAt, u.PassedAt, u.WaivedAt} {
				b = strconv.AppendInt(append(b, '@'), at, 10)
			}
		}
	}
	return b
}

func appendShape(b []byte, waived bool, versions []int, done ...bool) []byte {
	b = append(b, '|')
	for _, is := range append(done, waived) {
		b = strconv.AppendBool(b, is)
	}
	for _, n := range versions {
		b = strconv.AppendInt(append(b, ','), int64(n), 10)
	}
	return append(b, ';')
}

// Clone returns a copy that may be folded on. What folding replaces as a whole, and what it no longer
// touches, both share.
func (f *Facts) Clone() *Facts {
	out := *f
	out.Days = slices.Clip(f.Days)
	out.Cycles = slices.Clone(f.Cycles)
	if n := len(out.Cycles); n > 0 {
		out.Cycles[n-1].own()
	}
	if f.Aside != nil {
		aside := *f.Aside
		aside.own()
		out.Aside = &aside
	}
	return &out
}

// own makes the cycle's units its own. Lists that grow do so elsewhere, for want of room.
func (c *CycleFacts) own() {
	c.Versions = slices.Clip(c.Versions)
	c.Units = slices.Clone(c.Units)
	for i := range c.Units {
		c.Units[i].Versions = slices.Clip(c.Units[i].Versions)
	}
}

// Size returns how many bytes of memory the facts take, about; 0 for none.
func (f *Facts) Size() int {
	if f == nil {
		return 0
	}
	n := int(unsafe.Sizeof(*f)) + len(f.Key) + len(f.LastID) + 8*cap(f.Days)
	if f.Resume != nil {
		n += int(unsafe.Sizeof(*f.Resume)) + len(f.Resume.UnitID) + len(f.Resume.EventID)
	}
	for i := range f.Cycles {
		n += f.Cycles[i].size()
	}
	if f.Aside != nil {
		n += f.Aside.size()
	}
	return n
}

func (c *CycleFacts) size() int {
	n := int(unsafe.Sizeof(*c)) + 8*cap(c.Versions) + int(unsafe.Sizeof(UnitFacts{}))*cap(c.Units)
	if c.Chain != nil {
		n += int(unsafe.Sizeof(*c.Chain))
	}
	for i := range c.Units {
		n += len(c.Units[i].UnitID) + 8*cap(c.Units[i].Versions) + 16 // a score and a progress
	}
	return n
}
