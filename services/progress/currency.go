package progress

import (
	"time"

	"github.com/preceptor-dev/preceptor/internal/period"
	"github.com/preceptor-dev/preceptor/internal/zone"
)

// CurrencyState is whether a completion still counts as up to date.
type CurrencyState string

// The currency states.
const (
	CurrencyCurrent    CurrencyState = "CURRENT"
	CurrencyDueSoon    CurrencyState = "DUE_SOON"
	CurrencyGrace      CurrencyState = "GRACE"
	CurrencyExpired    CurrencyState = "EXPIRED"
	CurrencySuperseded CurrencyState = "SUPERSEDED"
)

// Currency is how current a completion is at one moment. Zero times: never.
type Currency struct {
	State          CurrencyState
	ExpireTime     time.Time
	WindowOpenTime time.Time
	GraceEndTime   time.Time
}

// Chain is what a series of expiries is counted from: their dates are At plus any number of
// periods, each reckoned from At itself, so that a month's end is found again after February.
type Chain struct {
	// At is in microseconds.
	At   int64  `json:"at"`
	Zone string `json:"z,omitempty"`
}

// expire sets when the completed cycle expires and when its renewal may start.
func (f *Facts) expire(m *Module, c *CycleFacts) {
	p := m.policyOf(c)
	if p == nil {
		return
	}
	done, loc := time.UnixMicro(c.CompleteAt), zone.Of(c.Zone)
	var prior *CycleFacts
	if c.Number > 1 {
		prior = &f.Cycles[c.Number-2]
	}
	inTime := m.inTime(prior, done)
	c.Chain = p.chain(m, prior, inTime)
	at := p.expiry(c, loc)
	if c.Opening == OpenedRenewal && inTime {
		// Whoever renews in time gets a full period at least, from then or from the expiry before.
		if full := p.Period.AddTo(time.UnixMicro(min(c.CompleteAt, prior.ExpireAt)), loc); full.After(at) {
			at = full
		}
	}
	window := p.Window.SubFrom(at, loc)
	if window.Before(done) {
		window = done
	}
	c.ExpireAt, c.WindowAt = at.UnixMicro(), window.UnixMicro()
}

// policyOf is the policy of the version that a cycle was completed on, or nil. A catalog restored from an
// older backup may lack the version.
func (m *Module) policyOf(c *CycleFacts) *CurrencyPolicy {
	if v := m.Version(c.CompleteVersion); v != nil {
		return v.Currency
	}
	return nil
}

// inTime reports whether a completion is not after the grace of the cycle before; it is false where that one
// never expires, and where its policy is not known.
func (m *Module) inTime(prior *CycleFacts, done time.Time) bool {
	if prior == nil || prior.ExpireAt == 0 {
		return false
	}
	was := m.policyOf(prior)
	return was != nil && !done.After(was.graceEnd(prior))
}

// chain is the series that the cycle before is in, where a completion goes on with it; nil: a new one begins.
func (p *CurrencyPolicy) chain(m *Module, prior *CycleFacts, inTime bool) *Chain {
	if !inTime || p.Basis == BasisCompletion {
		return nil
	}
	was := m.policyOf(prior) // known, since the completion is in time
	if was.Period != p.Period {
		return nil
	}
	if p.Basis == BasisFixedDate && (was.Basis != p.Basis || was.FixedMonth != p.FixedMonth || was.FixedDay != p.FixedDay) {
		return nil
	}
	return prior.Chain
}

// graceEnd is until when the cycle is tolerated past its expiry.
func (p *CurrencyPolicy) graceEnd(c *CycleFacts) time.Time {
	return p.Grace.AddTo(time.UnixMicro(c.ExpireAt), zone.Of(c.Zone))
}

// expiry returns the first date of the completed cycle's series that is after the day of its
// completion, and whose window is not open yet at the completion. It begins the series where there
// is none.
func (p *CurrencyPolicy) expiry(c *CycleFacts, loc *time.Location) time.Time {
	done := time.UnixMicro(c.CompleteAt)
	switch {
	case p.Basis == BasisFixedDate:
		return p.fixedDate(c, done, loc)
	case c.Chain == nil:
		c.Chain = &Chain{At: c.CompleteAt, Zone: c.Zone}
		if p.Basis == BasisCompletion {
			return p.Period.AddTo(done, loc)
		}
	}
	origin, in := time.UnixMicro(c.Chain.At), zone.Of(c.Chain.Zone)
	// No date before that many periods is of a later day: none is longer than this.
	tomorrow := startOf(dayOf(done, loc)+1, loc)
	for i := max(0, int(tomorrow.Sub(origin)/p.Period.Longest())); ; i++ {
		if at := p.Period.Times(i).AddTo(origin, in); p.isAhead(at, done, loc) {
			return at
		}
	}
}

// isAhead reports whether a date is later than the day of a completion, and its window not open then.
func (p *CurrencyPolicy) isAhead(at, done time.Time, loc *time.Location) bool {
	return dayOf(at, loc) > dayOf(done, loc) && p.Window.SubFrom(at, loc).After(done)
}

// fixedDate returns the first such date of the series, which is of every n-th year; where the
// series begins, the n-th.
func (p *CurrencyPolicy) fixedDate(c *CycleFacts, done time.Time, loc *time.Location) time.Time {
	every, _ := p.Period.WholeYears() // the catalog publishes no other
	every = max(every, 1)
	left := every
	for year := done.In(loc).Year(); ; year++ {
		at := period.At(year, p.FixedMonth, min(p.FixedDay, period.LastDay(year, p.FixedMonth)), 0, 0, 0, 0, loc)
		if !p.isAhead(at, done, loc) {
			continue
		}
		if c.Chain == nil {
			if left--; left == 0 {
				c.Chain = &Chain{At: at.UnixMicro(), Zone: c.Zone}
				return at
			}
			continue
		}
		if phase := time.UnixMicro(c.Chain.At).In(zone.Of(c.Chain.Zone)).Year(); (year-phase)%every == 0 {
			return at
		}
	}
}

// standing is the currency of one of several credits.
type standing struct {
	cycle *CycleFacts
	// superseded is when a MATERIAL version takes the credit's place, by whom; zero: none does.
	superseded time.Time
	by         *ModuleVersion
}

// standing returns how long the credit of a completed cycle lasts.
func (c *CycleFacts) standing(m *Module) standing {
	s := standing{cycle: c}
	s.by, s.superseded = superseding(m, c)
	return s
}

// end is when the credit is current no more, in microseconds; 0: never.
func (s *standing) end() int64 {
	if s.by == nil {
		return s.cycle.ExpireAt
	}
	return earliest(s.cycle.ExpireAt, s.superseded.UnixMicro())
}

// outlasts reports whether the credit is current for longer than another.
func (s *standing) outlasts(o *standing) bool {
	mine, other := s.end(), o.end()
	return other != 0 && (mine == 0 || mine > other)
}

// currency returns how current the credit is at now, and when that next changes; zero: never.
func (s *standing) currency(m *Module, now time.Time) (*Currency, time.Time) {
	c := s.cycle
	cur := &Currency{State: CurrencyCurrent}
	var next time.Time
	if c.ExpireAt != 0 {
		cur.ExpireTime, cur.WindowOpenTime, cur.GraceEndTime = timeOf(c.ExpireAt), timeOf(c.WindowAt), timeOf(c.ExpireAt)
		if p := m.policyOf(c); p != nil {
			cur.GraceEndTime = p.graceEnd(c).UTC()
		}
		cur.State, next = cur.at(now)
	}
	switch {
	case s.by == nil:
	case now.Before(s.superseded):
		next = sooner(next, s.superseded)
	default:
		cur.State, next = CurrencySuperseded, time.Time{}
	}
	return cur, next
}

// at returns the state by the clock alone, and when it next changes.
func (c *Currency) at(now time.Time) (CurrencyState, time.Time) {
	switch {
	case now.Before(c.WindowOpenTime):
		return CurrencyCurrent, c.WindowOpenTime
	case now.Before(c.ExpireTime):
		return CurrencyDueSoon, c.ExpireTime
	case now.Before(c.GraceEndTime):
		return CurrencyGrace, c.GraceEndTime
	default:
		return CurrencyExpired, time.Time{}
	}
}

// superseding returns the MATERIAL version that takes the place of what the cycle was completed
// on, and when: at its effective time plus its own grace. It returns nil where there is none.
func superseding(m *Module, c *CycleFacts) (*ModuleVersion, time.Time) {
	var by *ModuleVersion
	var first time.Time
	for n := c.CompleteVersion + 1; n <= len(m.Versions); n++ {
		v := m.Version(n)
		if !v.Material {
			continue
		}
		at := v.EffectiveTime
		if v.Currency != nil {
			at = v.Currency.Grace.AddTo(at, zone.Of(c.Zone))
		}
		if by == nil || at.Before(first) {
			by, first = v, at
		}
	}
	return by, first
}

// standing returns the longest lasting of the completed cycles, the newest of equals; ok is false
// where none is complete.
func (f *Facts) standing(m *Module) (best standing, ok bool) {
	if f == nil {
		return best, false
	}
	for i := range f.Cycles {
		c := &f.Cycles[i]
		if c.CompleteAt == 0 {
			continue
		}
		if s := c.standing(m); !ok || !best.outlasts(&s) {
			best, ok = s, true
		}
	}
	return best, ok
}

// lastComplete is the newest completed cycle, or nil.
func (f *Facts) lastComplete() *CycleFacts {
	if f == nil {
		return nil
	}
	for i := len(f.Cycles) - 1; i >= 0; i-- {
		if f.Cycles[i].CompleteAt != 0 {
			return &f.Cycles[i]
		}
	}
	return nil
}

// firstComplete is the oldest completed cycle, or nil.
func (f *Facts) firstComplete() *CycleFacts {
	if f == nil || len(f.Cycles) == 0 || f.Cycles[0].CompleteAt == 0 {
		return nil
	}
	return &f.Cycles[0]
}

// sooner is the earlier of two times of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
