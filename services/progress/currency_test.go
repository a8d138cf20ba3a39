package progress_test

import (
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

func policy(period, window, grace string, basis progress.Basis) *progress.CurrencyPolicy {
	return &progress.CurrencyPolicy{Period: mustPeriod(period), Window: mustPeriod(window), Grace: mustPeriod(grace), Basis: basis}
}

// renewable is a module of one unit whose completion expires.
func renewable(p *progress.CurrencyPolicy) progress.Module {
	m := module1("a", unit("u"))
	m.Versions[0].Currency = p
	m.Versions[0].PublishTime = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	return m
}

// completeAt completes the module's only unit at a time, which is also the time of receipt.
func completeAt(r *rig, learner string, at time.Time) *progress.ModuleDetail {
	r.T.Helper()
	r.Clock.Set(at)
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, at))
	return r.Module(learner, "a")
}

func utc(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

// Currency is an axis of its own, derived from the clock when read: nothing waits for a job.
func TestCurrencyIsDerivedFromTheClock(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{renewable(policy("P90D", "P30D", "P10D", progress.BasisCompletion))}, nil)
	learner := newLearner()
	done := utc("2026-03-01T12:00:00Z")
	completeAt(r, learner, done)
	for _, s := range []struct {
		days int
		want progress.CurrencyState
	}{
		{0, progress.CurrencyCurrent},
		{59, progress.CurrencyCurrent},
		{60, progress.CurrencyDueSoon},
		{89, progress.CurrencyDueSoon},
		{90, progress.CurrencyGrace},
		{99, progress.CurrencyGrace},
		{100, progress.CurrencyExpired},
		{5000, progress.CurrencyExpired},
	} {
		r.Clock.Set(done.AddDate(0, 0, s.days))
		m := r.Module(learner, "a")
		if m.Currency.State != s.want || m.State != progress.StateCompleted || *m.Percent != 100 {
			t.Errorf("%d days on: %s, %s, %d %%; want %s", s.days, m.Currency.State, m.State, *m.Percent, s.want)
		}
	}
}

// Months clamp at month ends, and years at the leap day.
func TestPeriodsClampAtMonthEnds(t *testing.T) {
	t.Parallel()
	for _, s := range []struct{ period, done, expire string }{
		{"P1M", "2026-01-31T12:00:00Z", "2026-02-28T12:00:00Z"},
		{"P1M", "2028-01-31T12:00:00Z", "2028-02-29T12:00:00Z"},
		{"P1M", "2026-03-31T12:00:00Z", "2026-04-30T12:00:00Z"},
		{"P1Y", "2028-02-29T12:00:00Z", "2029-02-28T12:00:00Z"},
		{"P4Y", "2028-02-29T12:00:00Z", "2032-02-29T12:00:00Z"},
		{"P1M1D", "2026-01-31T12:00:00Z", "2026-03-01T12:00:00Z"},
	} {
		r := newRig(t, []progress.Module{renewable(policy(s.period, "P5D", "P0D", progress.BasisCompletion))}, nil)
		if got := completeAt(r, newLearner(), utc(s.done)).Currency.ExpireTime; !got.Equal(utc(s.expire)) {
			t.Errorf("%s after %s is %s, want %s", s.period, s.done, got, s.expire)
		}
	}
}

// Periods are reckoned in the learner's time zone: by their wall clock, over summer time, and on
// their day of the month.
func TestPeriodsAreInTheLearnersTimeZone(t *testing.T) {
	t.Parallel()
	for _, s := range []struct{ zone, period, done, expire string }{
		{"", "P1M", "2026-03-01T12:00:00Z", "2026-04-01T12:00:00Z"},
		// Noon stays noon though the clocks go forward on 29 March.
		{"Europe/Berlin", "P1M", "2026-03-01T11:00:00Z", "2026-04-01T10:00:00Z"},
		// 31 January in New York, where UTC is a day ahead.
		{"America/New_York", "P1M", "2026-02-01T03:00:00Z", "2026-03-01T03:00:00Z"},
		{"", "P1M", "2026-02-01T03:00:00Z", "2026-03-01T03:00:00Z"},
		// 31 March 23:30 in New York clamps to 30 April there; in UTC it was 1 April already.
		{"America/New_York", "P1M", "2026-04-01T03:30:00Z", "2026-05-01T03:30:00Z"},
		{"", "P1M", "2026-03-31T23:30:00Z", "2026-04-30T23:30:00Z"},
		{"Asia/Tokyo", "P1M", "2026-03-31T14:59:00Z", "2026-04-30T14:59:00Z"},
		{"Asia/Tokyo", "P1M", "2026-03-31T15:01:00Z", "2026-04-30T15:01:00Z"},
	} {
		r := newRig(t, []progress.Module{renewable(policy(s.period, "P5D", "P0D", progress.BasisCompletion))}, nil)
		learner := newLearner()
		r.SetZone(learner, s.zone)
		if got := completeAt(r, learner, utc(s.done)).Currency.ExpireTime; !got.Equal(utc(s.expire)) {
			t.Errorf("%q: %s after %s is %s, want %s", s.zone, s.period, s.done, got, s.expire)
		}
	}
}

// A learner who moves is answered by their new calendar at once, with another ETag, and what is
// stored is what folding in the new zone gives.
func TestChangingTheTimeZoneChangesTheAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{renewable(policy("P1M", "P5D", "P0D", progress.BasisCompletion))}, nil)
	learner := newLearner()
	completeAt(r, learner, utc("2026-03-01T11:00:00Z"))
	ask := func() (*progress.ModuleDetail, string) {
		return rigtest.Read(r, learner, "module/a", func(w *progress.View) (*progress.ModuleDetail, error) { return w.Module("a") })
	}
	before, etag := ask()
	r.SetZone(learner, "Europe/Berlin")
	after, moved := ask()
	if !before.Currency.ExpireTime.Equal(utc("2026-04-01T11:00:00Z")) || !after.Currency.ExpireTime.Equal(before.Currency.ExpireTime) || etag == moved {
		t.Errorf("before %s, after %s; etags %s, %s", before.Currency.ExpireTime, after.Currency.ExpireTime, etag, moved)
	}
	r.Accept(learner, self(learner), event("a", "u", progress.Initialized, utc("2026-03-01T11:30:00Z")))
	if drift, err := r.Service.Verify(r.Ctx, learner); err != nil || len(drift) > 0 {
		t.Errorf("%+v %v", drift, err)
	}
	// What is learned there is reckoned there: summer time has begun when it expires.
	if m := completeAt(r, learner, utc("2026-03-28T12:00:00Z")); !m.Currency.ExpireTime.Equal(utc("2026-04-28T11:00:00Z")) {
		t.Errorf("in Berlin: %s", m.Currency.ExpireTime)
	}
	// A zone that this program does not know is no reason to answer nothing.
	r.SetZone(learner, "Mars/Olympus_Mons")
	if m, _ := ask(); !m.Currency.ExpireTime.Equal(utc("2026-04-28T11:00:00Z")) {
		t.Errorf("in an unknown zone: %s", m.Currency.ExpireTime)
	}
}

// The three bases: from the completion, from the prior expiry, on a fixed date.
func TestTheThreeBases(t *testing.T) {
	t.Parallel()
	fixed := policy("P1Y", "P60D", "P30D", progress.BasisFixedDate)
	fixed.FixedMonth, fixed.FixedDay = time.June, 30
	for _, s := range []struct {
		name                string
		policy              *progress.CurrencyPolicy
		first, firstExpire  string
		second, secondUntil string
	}{
		{
			"COMPLETION counts from each completion", policy("P1Y", "P60D", "P30D", progress.BasisCompletion),
			"2026-01-15T08:00:00Z", "2027-01-15T08:00:00Z", "2026-12-01T08:00:00Z", "2027-12-01T08:00:00Z",
		},
		{
			"PRIOR_EXPIRY: renewing early loses no days", policy("P1Y", "P60D", "P30D", progress.BasisPriorExpiry),
			"2026-01-15T08:00:00Z", "2027-01-15T08:00:00Z", "2026-12-01T08:00:00Z", "2028-01-15T08:00:00Z",
		},
		{
			"PRIOR_EXPIRY: renewing in grace gains none", policy("P1Y", "P60D", "P30D", progress.BasisPriorExpiry),
			"2026-01-15T08:00:00Z", "2027-01-15T08:00:00Z", "2027-02-10T08:00:00Z", "2028-01-15T08:00:00Z",
		},
		{
			"PRIOR_EXPIRY: who comes after the grace begins anew", policy("P1Y", "P60D", "P30D", progress.BasisPriorExpiry),
			"2026-01-15T08:00:00Z", "2027-01-15T08:00:00Z", "2027-03-01T08:00:00Z", "2028-03-01T08:00:00Z",
		},
		{
			"FIXED_DATE: the first such date whose window is not open", fixed,
			"2026-01-15T08:00:00Z", "2026-06-30T00:00:00Z", "2026-05-20T08:00:00Z", "2027-06-30T00:00:00Z",
		},
	} {
		r := newRig(t, []progress.Module{renewable(s.policy)}, nil)
		learner := newLearner()
		if got := completeAt(r, learner, utc(s.first)).Cycles[0].ExpireTime; !got.Equal(utc(s.firstExpire)) {
			t.Errorf("%s: first until %s, want %s", s.name, got, s.firstExpire)
		}
		m := completeAt(r, learner, utc(s.second))
		if len(m.Cycles) != 2 || !m.Cycles[1].ExpireTime.Equal(utc(s.secondUntil)) || m.Currency.State != progress.CurrencyCurrent {
			t.Errorf("%s: %+v, %s, want until %s", s.name, m.Cycles, m.Currency.State, s.secondUntil)
		}
	}
}

// An event before the window belongs to the cycle that is complete: it opens nothing.
func TestNoCycleOpensBeforeTheWindow(t *testing.T) {
	t.Parallel()
	m := renewable(policy("P1Y", "P60D", "P30D", progress.BasisPriorExpiry))
	m.Versions[0].Units = append(m.Versions[0].Units, unit("v"))
	r := newRig(t, []progress.Module{m}, nil)
	learner := newLearner()
	r.Clock.Set(utc("2026-01-15T08:00:00Z"))
	r.Accept(learner, self(learner), event("a", "v", progress.Completed, utc("2026-01-15T08:00:00Z")))
	completeAt(r, learner, utc("2026-01-15T08:00:00Z"))
	if m := completeAt(r, learner, utc("2026-11-16T07:59:59Z")); len(m.Cycles) != 1 {
		t.Errorf("before the window: %+v", m.Cycles)
	}
	if m := completeAt(r, learner, utc("2026-11-16T08:00:00Z")); len(m.Cycles) != 2 || m.Cycles[1].Opening != progress.OpenedRenewal {
		t.Errorf("at its opening: %+v", m.Cycles)
	}
}

// A cycle keeps the policy of the version that it was completed on.
func TestACycleKeepsThePolicyOfItsVersion(t *testing.T) {
	t.Parallel()
	m := renewable(policy("P1Y", "P60D", "P30D", progress.BasisCompletion))
	r := newRig(t, []progress.Module{m}, nil)
	learner := newLearner()
	completeAt(r, learner, utc("2026-01-15T08:00:00Z"))
	second := version(2, utc("2026-02-01T00:00:00Z"), unit("u"))
	second.Currency = policy("P1M", "P5D", "P0D", progress.BasisCompletion)
	m.Versions = append(m.Versions, second)
	r.Catalog.Publish([]progress.Module{m}, nil)
	r.Refresh()
	r.Clock.Set(utc("2026-06-01T00:00:00Z"))
	if got := r.Module(learner, "a"); got.Currency.State != progress.CurrencyCurrent || !got.Currency.ExpireTime.Equal(utc("2027-01-15T08:00:00Z")) {
		t.Errorf("%+v", got.Currency)
	}
}

// A period renewal starts with no unit credit, and earlier cycles stay readable for ever, with
// their units and results.
func TestEarlierCyclesStayReadable(t *testing.T) {
	t.Parallel()
	m := module1("a", unit("u"), unit("quiz"))
	m.Versions[0].Units[1].MoveOn, m.Versions[0].Units[1].MasteryScore = progress.MoveOnPassed, new(0.8)
	m.Versions[0].Currency = policy("P1Y", "P60D", "P30D", progress.BasisPriorExpiry)
	r := newRig(t, []progress.Module{m}, nil)
	learner := newLearner()
	scored := func(verb progress.Verb, score float64, at time.Time) progress.Event {
		e := event("a", "quiz", verb, at)
		e.Score = &score
		return e
	}
	failed, passed := scored(progress.Failed, 0.5, day(1)), scored(progress.Passed, 0.9, day(2))
	r.Clock.Set(day(400))
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(1)), failed, passed, scored(progress.Failed, 0.6, day(360)))
	got := r.Module(learner, "a")
	if len(got.Cycles) != 2 || got.State != progress.StateCompleted {
		t.Fatalf("%+v", got.Cycles)
	}
	first, second := got.Cycles[0], got.Cycles[1]
	if first.Percent == nil || *first.Percent != 100 || first.CompleteTime != day(2) || first.Version != 1 || first.Opening != progress.OpenedFirst {
		t.Errorf("the first cycle: %+v", first)
	}
	if u := first.Units[1]; u.Attempts != 2 || len(u.Results) != 2 || u.Results[0].EventID != failed.ID || u.Results[1].EventID != passed.ID ||
		*u.Results[1].Score != 0.9 || *u.Score != 0.9 || u.DoneTime != day(2) {
		t.Errorf("its quiz: %+v", u)
	}
	if *second.Percent != 0 || !second.Units[0].DoneTime.IsZero() || len(second.Units[1].Results) != 1 || got.Units[1].Attempts != 1 {
		t.Errorf("the renewal starts with %+v", second)
	}
}

// A completion turns SUPERSEDED at the MATERIAL version's effective time plus its grace.
func TestSupersededAfterTheNewVersionsGrace(t *testing.T) {
	t.Parallel()
	m := module1("a", unit("u"))
	second := version(2, day(10), unit("u"))
	second.Material, second.RetakeAll, second.EffectiveTime = true, true, day(30)
	second.Currency = policy("P1Y", "P60D", "P14D", progress.BasisCompletion)
	m.Versions = append(m.Versions, second)
	r := newRig(t, []progress.Module{m}, nil)
	learner := newLearner()
	r.Accept(learner, self(learner), onVersion(event("a", "u", progress.Completed, day(1)), 1))
	for _, s := range []struct {
		at   time.Time
		want progress.CurrencyState
	}{{day(29), progress.CurrencyCurrent}, {day(43), progress.CurrencyCurrent}, {day(44), progress.CurrencySuperseded}} {
		r.Clock.Set(s.at)
		if got := r.Module(learner, "a"); got.Currency.State != s.want || got.State != progress.StateCompleted || *got.Percent != 100 {
			t.Errorf("on %s: %+v", s.at, got.Currency)
		}
	}
}
