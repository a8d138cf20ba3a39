package progress

import "time"

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

// expiry returns when a completion at t expires. prior is the cycle before, nil for a first one.
func (p *CurrencyPolicy) expiry(t time.Time, prior *CycleFacts, loc *time.Location) time.Time {
	switch p.Basis {
	case BasisPriorExpiry:
		if prior == nil || prior.ExpireAt == 0 {
			break
		}
		// Renewing early loses no days, nor does renewing in grace gain any; a learner who comes
		// later than that begins anew.
		before := time.UnixMicro(prior.ExpireAt)
		if !t.After(p.Grace.AddTo(before, loc)) {
			return p.Period.AddTo(before, loc)
		}
	case BasisFixedDate:
		earliest := p.Window.SubFrom(p.Period.AddTo(t, loc), loc).In(loc)
		date := time.Date(earliest.Year(), p.FixedMonth, p.FixedDay, 0, 0, 0, 0, loc)
		if date.Before(earliest) {
			date = time.Date(earliest.Year()+1, p.FixedMonth, p.FixedDay, 0, 0, 0, 0, loc)
		}
		return date
	case BasisCompletion:
	}
	return p.Period.AddTo(t, loc)
}

// currency returns how current the last completed cycle is at now, and when it next changes
// (zero: never). It returns nil where no cycle is complete.
func (f *Facts) currency(m *Module, now time.Time, loc *time.Location) (*Currency, time.Time) {
	c := f.lastComplete()
	if c == nil {
		return nil, time.Time{}
	}
	cur := &Currency{State: CurrencyCurrent}
	var next time.Time
	if c.ExpireAt != 0 {
		cur.ExpireTime = time.UnixMicro(c.ExpireAt).UTC()
		cur.WindowOpenTime = time.UnixMicro(c.WindowAt).UTC()
		cur.GraceEndTime = cur.ExpireTime
		if v := m.Version(c.CompleteVersion); v != nil && v.Currency != nil {
			cur.GraceEndTime = v.Currency.Grace.AddTo(cur.ExpireTime, loc).UTC()
		}
		cur.State, next = cur.at(now)
	}
	if v, at := superseding(m, c, loc); v != nil {
		if now.Before(at) {
			next = sooner(next, at)
		} else {
			cur.State = CurrencySuperseded
			next = time.Time{}
		}
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
func superseding(m *Module, c *CycleFacts, loc *time.Location) (*ModuleVersion, time.Time) {
	var by *ModuleVersion
	var first time.Time
	for n := c.CompleteVersion + 1; n <= len(m.Versions); n++ {
		v := m.Version(n)
		if !v.Material {
			continue
		}
		at := v.EffectiveTime
		if v.Currency != nil {
			at = v.Currency.Grace.AddTo(at, loc)
		}
		if by == nil || at.Before(first) {
			by, first = v, at
		}
	}
	return by, first
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
