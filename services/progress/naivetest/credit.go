package naivetest

import (
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// credit is what a module rests on; the zero credit is none.
type credit struct {
	label string
	// at is when the module counted as done.
	at time.Time
	// version and cycle are of the module's own completion; 0 for an equivalence.
	version, cycle int
	restsOn        []Rest
}

// own is the credit of the module's own events: from the first cycle on, LEARNED if any cycle was
// completed without a waiver.
func (j *judge) own(id string) credit {
	var c credit
	f := j.modules[id]
	if f == nil {
		return c
	}
	for _, round := range f.cycles {
		if !round.done() {
			continue
		}
		if c.label == "" {
			c = credit{label: Waiver, at: round.complete.UTC(), version: round.version, cycle: round.number}
		}
		if round.learned() {
			c.label = Learned
		}
	}
	return c
}

// creditOf is the module's credit: the label is the strongest, the time that of the module's own
// completion if there is one.
func (j *judge) creditOf(id string) credit {
	c := j.own(id)
	grants := j.grants(id)
	if c.label == Learned || len(grants) == 0 {
		return c
	}
	if c.label == "" {
		c.at = grants[0].at
		for _, g := range grants {
			c.at = earlier(c.at, g.at)
		}
	}
	c.label = Equivalence
	c.restsOn = j.longest(id, grants).restsOn
	return c
}

// grant is a group of modules that counts for another module.
type grant struct {
	// version is the earliest that grants the group.
	version *progress.ModuleVersion
	at      time.Time
	restsOn []Rest
	// base is the oldest among the newest completed cycles of the group's modules.
	base *cycle
}

// grants are the equivalences of a module that count. A whole group must be had, by credit of the
// modules' own: what is itself only equivalent, or excused, is not. What a later version no longer has
// within the hour was never granted.
func (j *judge) grants(id string) []grant {
	m := j.Catalog.Modules[id]
	var all []grant
	var seen [][]string
	for i := range m.Versions {
		v := &m.Versions[i]
		for _, group := range v.Credits {
			group = slices.Sorted(slices.Values(group))
			if takenBack(m, v, group) || j.Latching && v.PublishTime.Add(regretted).After(j.Now) {
				continue
			}
			if slices.ContainsFunc(seen, func(s []string) bool { return slices.Equal(s, group) }) {
				continue
			}
			seen = append(seen, group)
			if g, ok := j.grant(v, group); ok {
				all = append(all, g)
			}
		}
	}
	return all
}

// takenBack reports whether a version after v, within the hour, grants the group no more.
func takenBack(m *progress.Module, v *progress.ModuleVersion, group []string) bool {
	for i := range m.Versions {
		w := &m.Versions[i]
		if w.Number <= v.Number || w.PublishTime.Sub(v.PublishTime) >= regretted {
			continue
		}
		if !slices.ContainsFunc(w.Credits, func(g []string) bool { return slices.Equal(slices.Sorted(slices.Values(g)), group) }) {
			return true
		}
	}
	return false
}

// grant returns the equivalence of a group if all of it is had. It counts from when that was so and
// the version was published.
func (j *judge) grant(v *progress.ModuleVersion, group []string) (grant, bool) {
	g := grant{version: v, at: v.PublishTime.UTC()}
	for _, id := range group {
		c := j.own(id)
		if c.label == "" {
			return grant{}, false
		}
		g.at = later(g.at, c.at)
		newest := j.modules[id].newest()
		g.restsOn = append(g.restsOn, Rest{id, newest.number})
		if g.base == nil || newest.complete.Before(g.base.complete) {
			g.base = newest
		}
	}
	return g, true
}

// newest is the newest completed cycle.
func (f *folded) newest() *cycle {
	for _, c := range slices.Backward(f.cycles) {
		if c.done() {
			return c
		}
	}
	return nil
}

// lasting is a credit with how long it lasts; supersede is zero for never.
type lasting struct {
	term

	supersede time.Time
	restsOn   []Rest
}

// end is the earlier of expiry and being superseded; zero: never.
func (l *lasting) end() time.Time { return earlier(l.expire, l.supersede) }

// lasts is how long an equivalence lasts: old training keeps its age, so it counts from the base, by
// the policy of the version that grants it.
func (j *judge) lasts(id string, g grant) lasting {
	m := j.Catalog.Modules[id]
	as := &cycle{module: m, number: 1, opening: First, complete: g.base.complete, version: g.version.Number, zone: g.base.zone}
	(&folded{module: m}).expiry(as)
	return lasting{term: as.term, supersede: supersedeTime(m, g.version.Number, as.zone), restsOn: g.restsOn}
}

// longest is the equivalence that lasts longest, the first of several.
func (j *judge) longest(id string, grants []grant) lasting {
	best := j.lasts(id, grants[0])
	for _, g := range grants[1:] {
		if l := j.lasts(id, g); outlasts(&l, &best) {
			best = l
		}
	}
	return best
}

func outlasts(a, b *lasting) bool {
	return !b.end().IsZero() && (a.end().IsZero() || a.end().After(b.end()))
}

// currency is that of the credit that lasts longest: of each completed cycle, the newer of two that
// last as long, and of each equivalence. Nil where there is none.
func (j *judge) currency(id string) *Currency {
	m, f := j.Catalog.Modules[id], j.modules[id]
	var best *lasting
	for _, c := range f.cycles {
		if c.done() {
			l := &lasting{term: c.term, supersede: supersedeTime(m, c.version, c.zone)}
			if best == nil || !outlasts(best, l) {
				best = l
			}
		}
	}
	if grants := j.grants(id); len(grants) > 0 {
		if l := j.longest(id, grants); best == nil || outlasts(&l, best) {
			best = &l
		}
	}
	if best == nil {
		return nil
	}
	return best.at(j.Now)
}

// at is where the currency stands: CURRENT, DUE_SOON from when the window opens, GRACE from the
// expiry, EXPIRED when that is over; SUPERSEDED whatever the rest.
func (l *lasting) at(now time.Time) *Currency {
	c := &Currency{State: Current}
	if l.expires() {
		c.ExpireTime, c.WindowOpenTime, c.GraceEndTime = l.expire.UTC(), l.window.UTC(), l.graceEnd.UTC()
		for _, from := range []struct {
			state string
			at    time.Time
		}{{DueSoon, l.window}, {Grace, l.expire}, {Expired, l.graceEnd}} {
			if !from.at.After(now) {
				c.State = from.state
			}
		}
	}
	if !l.supersede.IsZero() {
		c.SupersedeTime = l.supersede.UTC()
		if !l.supersede.After(now) {
			c.State = Superseded
		}
	}
	return c
}
