package naivetest

import (
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// term is how long a completion lasts; zero: for ever.
type term struct {
	policy                   *progress.CurrencyPolicy
	expire, window, graceEnd time.Time
	chain                    chain
}

// chain is the series of dates that completions renewed in time share, so that renewing early, and the
// ends of short months, lose no days: origin and every further period after it.
type chain struct {
	origin time.Time
	zone   string
	// first is the first i for which origin and i periods is a date of the series.
	first int
	// year is, for yearly dates, one of the years that the series has.
	year int
}

func (t *term) expires() bool { return t.policy != nil }

// expiry sets how long a completed cycle lasts, by the policy of the version that it was completed on
// and by the cycle before it.
func (f *folded) expiry(c *cycle) {
	policy := versionOf(f.module, c.version).Currency
	if policy == nil {
		return
	}
	var prior *cycle
	if c.number > 1 {
		prior = f.cycles[c.number-2]
	}
	c.policy = policy
	c.series(prior)
	// A renewal in time lasts at least one full period from it, or from the prior expiry if that was before.
	if c.opening == Renewal && !c.complete.After(prior.graceEnd) {
		c.expire = later(c.expire, add(earlier(c.complete, prior.expire), policy.Period, 1, c.zone))
	}
	c.close()
}

// close sets what follows from the expiry.
func (c *cycle) close() {
	c.window = add(c.expire, c.policy.Window, -1, c.zone)
	c.graceEnd = add(c.expire, c.policy.Grace, 1, c.zone)
}

// series sets the expiry to the first date of the policy's series that is on a later day than the
// completion, and whose window is not open yet. A completion goes on with the chain of the prior one
// if that has the same period and its grace was not over; else it begins one of its own.
func (c *cycle) series(prior *cycle) {
	goesOn := prior != nil && prior.expires() && prior.policy.Period == c.policy.Period && !c.complete.After(prior.graceEnd)
	own := chain{origin: c.complete, zone: c.zone, first: 1}
	switch c.policy.Basis {
	case progress.BasisCompletion:
		c.expire, c.chain = add(c.complete, c.policy.Period, 1, c.zone), own
	case progress.BasisPriorExpiry:
		c.chain = own
		if goesOn {
			c.chain = prior.chain
		}
		for i := c.chain.first; ; i++ {
			if c.expire = add(c.chain.origin, c.policy.Period, i, c.chain.zone); c.inTime(c.expire) {
				return
			}
		}
	case progress.BasisFixedDate:
		c.fixedDate(prior, goesOn)
	}
}

// fixedDate is series for a date that is the same every n years. Which years depends on the chain; a
// new one has the n-th date from the completion.
func (c *cycle) fixedDate(prior *cycle, goesOn bool) {
	sameDate := goesOn && prior.policy.Basis == progress.BasisFixedDate &&
		prior.policy.FixedMonth == c.policy.FixedMonth && prior.policy.FixedDay == c.policy.FixedDay
	every := spanOf(c.policy.Period).months / 12
	found := 0
	for year := c.complete.In(zoneOf(c.zone)).Year(); ; year++ {
		c.expire = yearly(c.policy, year, c.zone)
		if !c.inTime(c.expire) {
			continue
		}
		found++
		if sameDate && (year-prior.chain.year)%every == 0 || !sameDate && found == every {
			c.chain = chain{origin: c.expire, zone: c.zone, first: 0, year: year}
			if sameDate {
				c.chain = prior.chain
			}
			return
		}
	}
}

// inTime reports whether a date may be the expiry: on a later day, and with a window that is not open yet.
func (c *cycle) inTime(date time.Time) bool {
	return dayOf(date, c.zone) > dayOf(c.complete, c.zone) && add(date, c.policy.Window, -1, c.zone).After(c.complete)
}

// yearly is the policy's date in a year, from its first moment on; 29 February is the 28th in other years.
func yearly(p *progress.CurrencyPolicy, year int, zone string) time.Time {
	date := time.Date(year, p.FixedMonth, p.FixedDay, 0, 0, 0, 0, time.UTC)
	if date.Month() != p.FixedMonth {
		date = date.AddDate(0, 0, -1)
	}
	return moment(date, zone)
}

// supersedeTime is when a completion of a version is out of date: when a newer MATERIAL one is in
// effect, and the grace of that one is over; zero: never.
func supersedeTime(m *progress.Module, version int, zone string) time.Time {
	var first time.Time
	for i := range m.Versions {
		v := &m.Versions[i]
		if !v.Material || v.Number <= version {
			continue
		}
		at := v.EffectiveTime
		if v.Currency != nil {
			at = add(at, v.Currency.Grace, 1, zone)
		}
		first = earlier(first, at)
	}
	return first
}
