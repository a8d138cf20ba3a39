package naivetest

import (
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// cycle is one round of completing a module.
type cycle struct {
	module  *progress.Module
	number  int
	opening string
	// events are those that belong to it, in the order of folding; carried are those whose units a
	// MATERIAL cycle takes along from the one before.
	events, carried []*progress.Record
	// named are the versions that a MATERIAL cycle's early renewal named, which it can be completed on too.
	named []int
	// renewed is the cycle that a RENEWAL renews, else nil.
	renewed *cycle
	// begin, complete and version are zero until it has begun, and until it is complete.
	begin, complete time.Time
	version         int
	// zone is that of the last event up to the completion, of the cycle or of those that it takes along.
	zone string
	term
}

// folded is a module's log, replayed.
type folded struct {
	counting

	module *progress.Module
	cycles []*cycle
	// aside is an early renewal that is not complete, or nil.
	aside *cycle
}

// fold replays a module's log up to now. Between two events it looks at each time at which a MATERIAL
// version takes effect, and after the last one at those up to now.
func fold(m *progress.Module, log []progress.Record, now time.Time) *folded {
	f := &folded{counting: count(m, log), module: m}
	effects := effectsOf(m)
	for _, e := range f.counted {
		for len(effects) > 0 && !effects[0].After(e.EffectiveAt) {
			f.takeEffect(effects[0])
			effects = effects[1:]
		}
		f.apply(e)
	}
	for _, at := range effects {
		if !at.After(now) {
			f.takeEffect(at)
		}
	}
	return f
}

// effectsOf are the times at which MATERIAL versions take effect, in order.
func effectsOf(m *progress.Module) []time.Time {
	var times []time.Time
	for i := range m.Versions {
		if v := &m.Versions[i]; v.Number > 1 && v.Material {
			times = append(times, v.EffectiveTime)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// apply finds the cycle that a counted event belongs to, and adds it there. Of a cycle that is complete
// and expires: once its window is open, any event opens the renewal; before, an event of a newer
// MATERIAL version in effect opens a cycle; else a later day's events gather aside, to become the
// renewal when its time comes, or a cycle as soon as they do all again; and those of the same day
// belong to the cycle, because one sitting may be reported by two devices. Of one that never expires,
// only the MATERIAL version opens another.
func (f *folded) apply(e *progress.Record) {
	last := f.last()
	switch {
	case last == nil:
		f.open(&cycle{opening: First})
		f.last().add(e)
	case !last.done():
		last.add(e)
	case last.expires() && !e.EffectiveAt.Before(last.window):
		if f.aside == nil {
			f.aside = &cycle{module: f.module, opening: Renewal, renewed: last}
		}
		f.open(f.aside)
		f.last().begin = e.EffectiveAt
		f.last().add(e)
	case f.outdated(last, e):
		f.open(f.material(last, e.EffectiveAt))
		f.last().add(e)
	case last.expires() && dayOf(e.EffectiveAt, last.zone) > dayOf(last.complete, last.zone):
		f.gather(e)
	default:
		last.add(e)
	}
	if last := f.last(); last.done() && last.expire.IsZero() {
		f.expiry(last)
	}
}

// outdated reports whether an event is of a MATERIAL version that is in effect and newer than the one
// that the cycle was completed on, or of a version after such a one.
func (f *folded) outdated(c *cycle, e *progress.Record) bool {
	for i := range f.module.Versions {
		v := &f.module.Versions[i]
		if v.Material && v.Number > c.version && !v.EffectiveTime.After(e.EffectiveAt) && e.Event.ModuleVersion >= v.Number {
			return true
		}
	}
	return false
}

// gather adds an event to the early renewal, which is a cycle once it is complete.
func (f *folded) gather(e *progress.Record) {
	if f.aside == nil {
		f.aside = &cycle{module: f.module, opening: Renewal, renewed: f.last()}
	}
	f.aside.add(e)
	if f.aside.done() {
		f.open(f.aside)
	}
}

// material is a next cycle at t that takes along the units of the last one, and what has gathered aside.
// That the whole of an earlier cycle was waived is not taken along, nor is what no longer counted in a
// renewal when that was completed, or no longer counts in one that is not.
func (f *folded) material(last *cycle, t time.Time) *cycle {
	c := &cycle{module: f.module, opening: Material}
	entries := append(slices.Clone(last.carried), last.alive(last.complete)...)
	if f.aside != nil {
		entries = append(entries, f.aside.alive(t)...)
		for _, e := range f.aside.events {
			c.named = append(c.named, e.Event.ModuleVersion)
		}
	}
	slices.SortFunc(entries, inOrder)
	for _, e := range entries {
		c.zone = e.Zone
		if e.Event.UnitID != "" {
			c.carried = append(c.carried, e)
		}
	}
	return c
}

// alive are the cycle's events whose credit counts at t.
func (c *cycle) alive(t time.Time) []*progress.Record {
	var out []*progress.Record
	expires := c.credits().expires
	for _, e := range c.events {
		if expires == nil || expires(e.EffectiveAt).After(t) {
			out = append(out, e)
		}
	}
	return out
}

// takeEffect has a MATERIAL version come into effect without an event. If it asks for nothing that is
// not done, it completes the cycle that is open, or a next one after the last.
func (f *folded) takeEffect(at time.Time) {
	last, version := f.last(), floor(f.module, at)
	switch {
	case last == nil:
		return
	case !last.done():
		last.completeOn(version, at)
	case last.version < version:
		if next := f.material(last, at); next.credits().done(version, at, false) {
			f.open(next)
			next.begin = at
			next.completeOn(version, at)
		}
	}
	if last := f.last(); last.done() && last.expire.IsZero() {
		f.expiry(last)
	}
}

func (f *folded) last() *cycle {
	if len(f.cycles) == 0 {
		return nil
	}
	return f.cycles[len(f.cycles)-1]
}

func (f *folded) open(c *cycle) {
	c.module, c.number = f.module, len(f.cycles)+1
	f.cycles, f.aside = append(f.cycles, c), nil
}

func (c *cycle) done() bool { return !c.complete.IsZero() }

// add applies an event: the cycle is complete, for good, as soon as some version that it can be
// completed on requires nothing more. The newest of several counts.
func (c *cycle) add(e *progress.Record) {
	if c.begin.IsZero() {
		c.begin = e.EffectiveAt
	}
	c.events = append(c.events, e)
	versions := c.candidates(e.EffectiveAt)
	for i := len(versions) - 1; i >= 0 && !c.done(); i-- {
		c.completeOn(versions[i], e.EffectiveAt)
	}
}

// completeOn completes the cycle on a version if all is done that this one requires.
func (c *cycle) completeOn(version int, at time.Time) {
	if !c.credits().done(version, at, false) {
		return
	}
	c.complete, c.version = at, version
	if n := len(c.events); n > 0 {
		c.zone = c.events[n-1].Zone
	}
}

// candidates are the versions that the cycle can be completed on at t, in order: those that a counted
// event of it names, and the newest MATERIAL one in effect; nothing older than that.
func (c *cycle) candidates(t time.Time) []int {
	least := floor(c.module, t)
	var versions []int
	if least > 0 {
		versions = append(versions, least)
	}
	named := slices.Clone(c.named)
	for _, e := range c.events {
		named = append(named, e.Event.ModuleVersion)
	}
	for _, v := range named {
		if v >= least && !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	return versions
}

// credits are the units done in the cycle. In a renewal each counts for one period of the cycle that
// is renewed: who does one half today and the other years later has not renewed anything.
func (c *cycle) credits() *credits {
	out := &credits{module: c.module, entries: slices.Concat(c.carried, c.events)}
	if c.renewed != nil {
		period := versionOf(c.module, c.renewed.version).Currency.Period
		out.expires = func(at time.Time) time.Time { return add(at, period, 1, c.renewed.zone) }
	}
	return out
}

// learned reports whether real learning, without any waiver, does all that some version of the cycle requires.
func (c *cycle) learned() bool {
	versions := []int{c.version}
	for _, e := range c.events {
		versions = append(versions, e.Event.ModuleVersion)
	}
	return slices.ContainsFunc(versions, func(v int) bool { return c.credits().done(v, c.complete, true) })
}

// on is the version that the learner is on at t, with its percent: the one with the highest percent,
// the newest of several.
func (c *cycle) on(t time.Time) (version int, percent *int) {
	if c.done() {
		version = c.version
		for _, e := range c.events {
			if v := e.Event.ModuleVersion; v > version && c.credits().done(v, c.complete, false) {
				version = v
			}
		}
		return version, whole()
	}
	for _, v := range c.candidates(t) {
		if p := c.credits().percent(v, t); percent == nil || p != nil && *p >= *percent {
			version, percent = v, p
		}
	}
	return version, percent
}

// standing is the version that the learner is on, with the percent in the last cycle; nobody who has
// not begun is on any but the newest.
func (f *folded) standing(m *progress.Module, now time.Time) (version int, percent *int) {
	if last := f.last(); last != nil {
		return last.on(now)
	}
	newest := m.Versions[len(m.Versions)-1].Number
	return newest, (&credits{module: m}).percent(newest, now)
}

func (c *cycle) answer(m *progress.Module, now time.Time) Cycle {
	out := Cycle{Number: c.number, Opening: c.opening, BeginTime: c.begin.UTC(), Version: c.version}
	on, percent := c.on(now)
	out.Percent = percent
	if c.done() {
		out.CompleteTime, on, now = c.complete.UTC(), c.version, c.complete
	}
	if c.expires() {
		out.ExpireTime, out.WindowOpenTime = c.expire.UTC(), c.window.UTC()
	}
	if versionOf(m, on) != nil {
		out.UnitsDone = c.credits().unitsDone(on, now)
	}
	return out
}
