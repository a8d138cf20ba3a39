package progress_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// The same id with another time zone is another payload.
func TestTheTimeZoneIsPartOfTheEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	learner := newLearner()
	e := event("a", "u", progress.Completed, day0)
	e.TimeZone = "Europe/Berlin"
	r.Accept(learner, self(learner), e)
	if res := r.Record(learner, self(learner), e).Results[0]; res.Status != progress.StatusDuplicate {
		t.Errorf("the same: %+v", res)
	}
	for _, zone := range []string{"", "Asia/Tokyo"} {
		e.TimeZone = zone
		if res := r.Record(learner, self(learner), e).Results[0]; res.Status != progress.StatusRejected || res.Reason != errs.ReasonEventIDReused {
			t.Errorf("zone %q: %+v", zone, res)
		}
	}
}

// Enrollments that are not withdrawn are bounded, since every read and write of the learner looks at them.
func TestALearnerHasAThousandEnrollmentsAtMost(t *testing.T) {
	t.Parallel()
	ms := milestone("m", all("a"))
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, []progress.Path{path1("p", ms), path1("q", ms)})
	learner := newLearner()
	r.Know(learner)
	var had []progress.Enrollment
	for i := range 999 {
		id := fmt.Sprintf("gone%03d", i) // of paths that a catalog restored from an older backup lacks
		had = append(had, progress.Enrollment{
			ID: newLearner(), LearnerID: learner, PathID: id, PathVersion: 1, State: progress.EnrollmentActive, EnrollTime: day0, UpdateTime: day0,
		})
	}
	err := r.Store.Commit(r.Ctx, []string{learner}, func(ctx context.Context, tx progress.Tx) error { return tx.PutEnrollments(ctx, had) })
	if err != nil {
		t.Fatal(err)
	}
	last := r.Enroll(learner, "p")
	if _, err := r.TryEnroll(learner, "q", idem.Key{}); reasonOf(err) != errs.ReasonTooManyEnrollments {
		t.Errorf("one too many: %v", err)
	}
	withdraw(r, learner, last.ID)
	r.Enroll(learner, "q")
}

// The day of a completion is one of the zone that the learner was in: what is done later on it belongs to
// the completion, what is done on the next to a renewal.
func TestTheDayOfACompletionIsThatOfTheLearner(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		zone, done, again string
		early             bool
	}{
		{"Asia/Tokyo", "2026-01-15T08:00:00Z", "2026-01-15T14:59:00Z", false},
		{"Asia/Tokyo", "2026-01-15T08:00:00Z", "2026-01-15T15:00:00Z", true},
		{"America/Los_Angeles", "2026-01-15T20:00:00Z", "2026-01-16T07:59:00Z", false},
		{"America/Los_Angeles", "2026-01-15T20:00:00Z", "2026-01-16T08:00:00Z", true},
	} {
		r := newRig(t, []progress.Module{courseOf(yearly(progress.BasisCompletion))}, nil)
		learner := newLearner()
		r.SetZone(learner, s.zone)
		r.Clock.Set(utc(s.again))
		learn(r, learner, utc(s.done), "u", "v")
		note := learn(r, learner, utc(s.again), "u")[0].Note
		if early := note != nil && note.Code == progress.NoteRenewalEarly; early != s.early {
			t.Errorf("%+v: note %+v", s, note)
		}
	}
}

// doneTimes are the times at which the units of a module's newest cycle were done.
func doneTimes(m *progress.ModuleDetail) map[string]string {
	times := map[string]string{}
	for _, u := range m.Units {
		if !u.DoneTime.IsZero() {
			times[u.Unit.ID] = u.DoneTime.Format(time.RFC3339)
		}
	}
	return times
}

// In a renewal a unit's credit counts for one period, to its very end, and lapses by the clock alone. Of
// a unit that is done twice the newer credit counts.
func TestCreditOfARenewalCountsForOnePeriod(t *testing.T) {
	t.Parallel()
	const first, half, again, over = "2024-01-10T08:00:00Z", "2024-12-20T08:00:00Z", "2025-06-01T08:00:00Z", "2025-12-20T08:00:00Z"
	for _, s := range []struct {
		name     string
		half     []string
		other    time.Time
		complete bool
	}{
		{"just before it is over", []string{half}, utc(over).Add(-time.Microsecond), true},
		{"when it is over", []string{half}, utc(over), false},
		{"when that of the first time is over", []string{half, again}, utc(over), true},
		{"when that of the second time is over", []string{half, again}, utc(again).AddDate(1, 0, 0), false},
	} {
		r := newRig(t, []progress.Module{courseOf(yearly(progress.BasisCompletion))}, nil)
		learner := newLearner()
		r.Clock.Set(utc(first))
		learn(r, learner, utc(first), "u", "v")
		for _, at := range s.half {
			r.Clock.Set(utc(at))
			learn(r, learner, utc(at), "u")
		}
		if m := r.Module(learner, "a"); doneTimes(m)["u"] == "" {
			t.Fatalf("%s: nothing done: %+v", s.name, m.Units)
		}
		r.Clock.Set(s.other.Add(-time.Minute))
		if m := r.Module(learner, "a"); doneTimes(m)["u"] == "" {
			t.Errorf("%s: read a minute before: %+v", s.name, m.Units)
		}
		r.Clock.Set(s.other)
		if m := r.Module(learner, "a"); (doneTimes(m)["u"] != "") != s.complete {
			t.Errorf("%s: read then: %+v", s.name, m.Units)
		}
		learn(r, learner, s.other, "v")
		m := r.Module(learner, "a")
		if last := m.Cycles[len(m.Cycles)-1]; last.Number != 2 || last.CompleteTime.IsZero() == s.complete {
			t.Errorf("%s: %+v", s.name, last)
		}
	}
}

// What is done again on the day on which a renewal was completed moves none of its times.
func TestDoneTimesOfACompleteRenewalStay(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{courseOf(yearly(progress.BasisCompletion))}, nil)
	learner := newLearner()
	r.Clock.Set(utc("2026-01-05T20:00:00Z"))
	learn(r, learner, utc("2025-01-10T08:00:00Z"), "u", "v")
	learn(r, learner, utc("2026-01-05T08:00:00Z"), "u", "v")
	learn(r, learner, utc("2026-01-05T19:00:00Z"), "u")
	m := r.Module(learner, "a")
	if done := doneTimes(m); len(m.Cycles) != 2 || done["u"] != "2026-01-05T08:00:00Z" || done["v"] != "2026-01-05T08:00:00Z" {
		t.Errorf("%v, %+v", done, m.Cycles)
	}
}

// A completion is reckoned in the zone of the last record that it needed; one that comes without an
// event, in that of the last record before.
func TestACompletionIsReckonedInTheZoneOfItsLastRecord(t *testing.T) {
	t.Parallel()
	in := func(zone string, e progress.Event) progress.Event {
		e.TimeZone = zone
		return e
	}
	m := courseOf(nil)
	next := version(2, utc("2026-01-20T00:00:00Z"), unit("u"))
	next.Material, next.RetakeAll, next.EffectiveTime = true, true, utc("2026-03-01T00:00:00Z")
	next.Currency = fixedDate(yearly(""), time.July, 1)
	m.Versions = append(m.Versions, next)
	renewed := courseOf(fixedDate(yearly(""), time.July, 1))
	renewed.ID = "b"
	r := newRig(t, []progress.Module{m, renewed}, nil)
	learner := newLearner()
	r.Clock.Set(utc("2026-02-01T00:00:00Z"))
	r.Accept(learner, self(learner),
		in("Europe/Berlin", event("b", "u", progress.Completed, utc("2026-01-15T08:00:00Z"))),
		in("Asia/Tokyo", event("b", "v", progress.Completed, utc("2026-01-15T09:00:00Z"))),
		in("America/New_York", event("b", "v", progress.Completed, utc("2026-01-15T10:00:00Z"))),
		in("Europe/Berlin", onVersion(event("a", "u", progress.Completed, utc("2026-01-15T08:00:00Z")), 1)),
		in("Europe/Berlin", onVersion(event("a", "v", progress.Completed, utc("2026-01-15T09:00:00Z")), 1)),
		in("Asia/Tokyo", onVersion(event("a", "u", progress.Completed, utc("2026-01-25T09:00:00Z")), 2)),
	)
	inTokyo := utc("2026-06-30T15:00:00Z")
	if got := r.Module(learner, "b"); got.Currency == nil || !got.Currency.ExpireTime.Equal(inTokyo) {
		t.Errorf("by an event: %+v", got.Currency)
	}
	r.Clock.Set(utc("2026-03-02T00:00:00Z"))
	if got := r.Module(learner, "a"); len(got.Cycles) != 2 || got.Currency == nil || !got.Currency.ExpireTime.Equal(inTokyo) {
		t.Errorf("without an event: %+v, %+v", got.Currency, got.Cycles)
	}
}

// A MATERIAL cycle begins with what was done, and with what was gathered aside for a renewal.
func TestAMaterialCycleHasWhatWasGatheredAside(t *testing.T) {
	t.Parallel()
	m := courseOf(yearly(progress.BasisCompletion))
	next := version(2, utc("2026-02-01T00:00:00Z"), unit("u"), unit("v"), unit("w"), unit("x"))
	next.Material, next.EffectiveTime, next.Currency = true, utc("2026-03-01T00:00:00Z"), yearly(progress.BasisCompletion)
	next.Units[0].Changed, next.Units[1].Changed = false, false
	m.Versions = append(m.Versions, next)
	r := newRig(t, []progress.Module{m}, nil)
	by, without := newLearner(), newLearner()
	r.Clock.Set(utc("2026-02-10T08:00:00Z"))
	for _, l := range []string{by, without} {
		learn(r, l, utc("2026-01-10T08:00:00Z"), "u", "v")
		r.Accept(l, self(l), onVersion(event("a", "w", progress.Completed, utc("2026-02-10T08:00:00Z")), 2))
	}
	r.Accept(without, self(without), onVersion(event("a", "x", progress.Completed, utc("2026-02-10T08:00:00Z")), 2))
	r.Clock.Set(utc("2026-03-05T08:00:00Z"))
	r.Accept(by, self(by), onVersion(event("a", "x", progress.Completed, utc("2026-03-05T08:00:00Z")), 2))
	for name, s := range map[string]struct{ learner, complete string }{
		"by an event": {by, "2026-03-05T08:00:00Z"}, "without an event": {without, "2026-03-01T00:00:00Z"},
	} {
		got := r.Module(s.learner, "a")
		if n := len(got.Cycles); n != 2 || got.Cycles[1].Opening != progress.OpenedMaterial || !got.Cycles[1].CompleteTime.Equal(utc(s.complete)) {
			t.Errorf("%s: %+v", name, got.Cycles)
		}
	}
}

// Where a series of expiries goes on, and where another begins.
func TestWhereASeriesOfExpiriesGoesOn(t *testing.T) {
	t.Parallel()
	monthly := policy("P1M", "P0D", "P5D", progress.BasisPriorExpiry)
	everySecond := func(month time.Month, dom int) *progress.CurrencyPolicy {
		return fixedDate(policy("P2Y", "P30D", "P30D", ""), month, dom)
	}
	for _, s := range []struct {
		name          string
		first, second *progress.CurrencyPolicy
		zones         [2]string
		done          [2]string
		until         string
	}{
		{
			"in the grace", yearly(progress.BasisPriorExpiry), yearly(progress.BasisPriorExpiry),
			[2]string{},
			[2]string{"2025-01-10T08:00:00Z", "2026-01-20T08:00:00Z"},
			"2027-01-10T08:00:00Z",
		},
		{
			"long before the expiry", yearly(progress.BasisPriorExpiry), yearly(progress.BasisPriorExpiry),
			[2]string{},
			[2]string{"2026-02-01T08:00:00Z", "2026-03-01T08:00:00Z"},
			"2027-03-01T08:00:00Z",
		},
		{
			"after the grace", yearly(progress.BasisPriorExpiry), yearly(progress.BasisPriorExpiry),
			[2]string{},
			[2]string{"2025-01-10T08:00:00Z", "2026-02-20T08:00:00Z"},
			"2027-02-20T08:00:00Z",
		},
		{
			"on another period", yearly(progress.BasisPriorExpiry), policy("P6M", "P30D", "P30D", progress.BasisPriorExpiry),
			[2]string{},
			[2]string{"2025-01-10T08:00:00Z", "2026-01-20T08:00:00Z"},
			"2026-07-20T08:00:00Z",
		},
		{
			"in the grace, on another fixed date", fixedDate(yearly(""), time.January, 31), fixedDate(yearly(""), time.April, 1),
			[2]string{},
			[2]string{"2025-06-01T12:00:00Z", "2026-02-10T12:00:00Z"},
			"2027-01-31T00:00:00Z",
		},
		{
			"after the grace, on another fixed date", fixedDate(yearly(""), time.January, 31), fixedDate(yearly(""), time.June, 1),
			[2]string{},
			[2]string{"2025-06-01T12:00:00Z", "2026-03-10T12:00:00Z"},
			"2026-06-01T00:00:00Z",
		},
		{
			"on another fixed date", everySecond(time.December, 31), everySecond(time.January, 20),
			[2]string{},
			[2]string{"2021-06-01T12:00:00Z", "2023-01-10T12:00:00Z"},
			"2025-01-20T00:00:00Z",
		},
		{
			"29 February", fixedDate(yearly(""), time.February, 29), fixedDate(yearly(""), time.February, 29),
			[2]string{},
			[2]string{"2025-06-01T12:00:00Z", "2026-03-10T12:00:00Z"},
			"2027-02-28T00:00:00Z",
		},
		{
			"in another zone", monthly, monthly,
			[2]string{"Asia/Tokyo", "America/New_York"},
			[2]string{"2026-01-30T20:00:00Z", "2026-02-27T22:00:00Z"},
			"2026-03-30T20:00:00Z",
		},
		{
			"with a date later on the day of the completion", monthly, monthly,
			[2]string{},
			[2]string{"2026-01-15T20:00:00Z", "2026-02-15T08:00:00Z"},
			"2026-03-15T20:00:00Z",
		},
	} {
		m := courseOf(s.first)
		again := version(2, utc("2019-01-01T00:00:00Z"), unit("u"), unit("v"))
		again.Currency = s.second
		m.Versions = append(m.Versions, again)
		r := newRig(t, []progress.Module{m}, nil)
		learner := newLearner()
		for i, at := range s.done {
			r.Clock.Set(utc(at))
			for _, u := range []string{"u", "v"} {
				e := onVersion(event("a", u, progress.Completed, utc(at)), i+1)
				e.TimeZone = s.zones[i]
				r.Accept(learner, self(learner), e)
			}
		}
		if got := r.Module(learner, "a"); len(got.Cycles) != 2 || !got.Cycles[1].ExpireTime.Equal(utc(s.until)) {
			t.Errorf("%s: %+v, want until %s", s.name, got.Cycles, s.until)
		}
	}
}

// Even by a policy whose window is longer than its period, as no catalog publishes them now, a window
// never opens before the completion.
func TestAWindowNeverOpensBeforeTheCompletion(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{renewable(policy("P1M", "P2M", "P0D", progress.BasisCompletion))}, nil)
	done := utc("2026-01-10T08:00:00Z")
	if m := completeAt(r, newLearner(), done); !m.Currency.WindowOpenTime.Equal(done) {
		t.Errorf("%+v", m.Currency)
	}
}

// The policy of a cycle is that of its version, also when its log is folded again, under a newer version.
func TestACycleKeepsThePolicyOfItsVersionWhenItIsFoldedAgain(t *testing.T) {
	t.Parallel()
	m := courseOf(yearly(progress.BasisCompletion))
	second := version(2, utc("2026-02-01T00:00:00Z"), unit("u"), unit("v"))
	second.Currency = policy("P1M", "P5D", "P0D", progress.BasisCompletion)
	m.Versions = append(m.Versions, second)
	r := newRig(t, []progress.Module{m}, nil)
	learner := newLearner()
	r.Clock.Set(utc("2026-03-01T00:00:00Z"))
	learn(r, learner, utc("2026-01-15T08:00:00Z"), "u", "v")
	learn(r, learner, utc("2026-01-14T08:00:00Z"), "u")
	if got := r.Module(learner, "a"); len(got.Cycles) != 1 || !got.Currency.ExpireTime.Equal(utc("2027-01-15T08:00:00Z")) {
		t.Errorf("%+v, %+v", got.Currency, got.Cycles)
	}
}

// materialCourse is a module of three units of which a second version, of day 5, invalidates all on day 10.
func materialCourse() progress.Module {
	m := module1("a", unit("u"), unit("v"), unit("w"))
	second := version(2, day(5), unit("u"), unit("v"), unit("w"))
	second.Material, second.RetakeAll, second.EffectiveTime = true, true, day(10)
	m.Versions = append(m.Versions, second)
	return m
}

// An event for a version that a MATERIAL one has replaced opens no cycle; where it counts for nothing, the
// answer says so from the effective time on, and of a duplicate as things are now.
func TestEventsOfASupersededVersion(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{materialCourse()}, nil)
	begun, done := newLearner(), newLearner()
	on := func(u string, at time.Time) progress.Event {
		return onVersion(event("a", u, progress.Completed, at), 1)
	}
	first := on("u", day(1))
	r.Clock.Set(day(6))
	if res := r.Accept(begun, self(begun), first).Results[0]; res.Note != nil {
		t.Errorf("before: %+v", res.Note)
	}
	whole := []progress.Event{on("u", day(1)), on("v", day(1)), on("w", day(1))}
	r.Accept(done, self(done), whole...)
	r.Clock.Set(day(12))
	superseded := progress.Note{Code: progress.NoteSupersededVersion, Time: day(10)}
	late := on("v", day(11))
	for _, e := range []progress.Event{first, on("v", day(2)), late} {
		if res := r.Record(begun, self(begun), e).Results[0]; res.Note == nil || *res.Note != superseded {
			t.Errorf("in progress, at %s: %+v", e.OccurredAt, res)
		}
	}
	// Once the newer version is learned, what was done before is part of a completion.
	for _, u := range []string{"u", "v", "w"} {
		r.Accept(begun, self(begun), onVersion(event("a", u, progress.Completed, day(12)), 2))
	}
	for _, e := range []progress.Event{first, late} {
		if res := r.Record(begun, self(begun), e).Results[0]; res.Status != progress.StatusDuplicate || res.Note != nil {
			t.Errorf("complete: %+v", res)
		}
	}
	for _, e := range whole {
		if res := r.Record(done, self(done), e).Results[0]; res.Status != progress.StatusDuplicate || res.Note != nil {
			t.Errorf("of a completion: %+v", res)
		}
	}
	if res := r.Accept(done, self(done), on("u", day(8))).Results[0]; res.Note != nil {
		t.Errorf("before the effect, beside a completion: %+v", res.Note)
	}
	if res := r.Accept(done, self(done), on("u", day(11))).Results[0]; res.Note == nil || *res.Note != superseded {
		t.Errorf("after the effect, beside a completion: %+v", res.Note)
	}
	if m := r.Module(done, "a"); len(m.Cycles) != 1 {
		t.Errorf("cycles %+v", m.Cycles)
	}
}

// The completion that lasts longest shows, although a newer one, on a shorter period, is over earlier.
func TestTheLongestLastingCompletionShows(t *testing.T) {
	t.Parallel()
	m := courseOf(policy("P1Y", "P60D", "P0D", progress.BasisCompletion))
	second := version(2, utc("2026-02-01T00:00:00Z"), unit("u"), unit("v"))
	second.Currency = policy("P1M", "P5D", "P0D", progress.BasisCompletion)
	m.Versions = append(m.Versions, second)
	union := module1("union", unit("u"))
	union.Versions[0].Currency, union.Versions[0].Credits = policy("P2Y", "P5D", "P0D", progress.BasisCompletion), [][]string{{"a"}}
	r := newRig(t, []progress.Module{m, union}, nil)
	learner := newLearner()
	r.Clock.Set(utc("2026-11-20T08:00:00Z"))
	learn(r, learner, utc("2026-01-10T08:00:00Z"), "u", "v")
	learn(r, learner, utc("2026-11-20T08:00:00Z"), "u", "v")
	got := r.Module(learner, "a")
	if len(got.Cycles) != 2 || !got.Cycles[1].ExpireTime.Equal(utc("2026-12-20T08:00:00Z")) || !got.Currency.ExpireTime.Equal(utc("2027-01-10T08:00:00Z")) {
		t.Errorf("%+v, %+v", got.Currency, got.Cycles)
	}
	// An equivalence that outlasts what was learned shows as well, under the stronger label.
	r.Accept(learner, self(learner), event("union", "u", progress.Completed, utc("2026-03-01T00:00:00Z")))
	if got := r.Module(learner, "union"); got.Credit != progress.CreditLearned || !got.CompleteTime.Equal(utc("2026-03-01T00:00:00Z")) ||
		!got.Currency.ExpireTime.Equal(utc("2028-11-20T08:00:00Z")) {
		t.Errorf("%s %s %+v", got.Credit, got.CompleteTime, got.Currency)
	}
}

// What was learned on any version is learned, although a waiver of another one completed the module; and
// what rests on other modules stands above a waiver.
func TestTheStrongestLabelOfAnyVersion(t *testing.T) {
	t.Parallel()
	m := module1("a", unit("u"))
	m.Versions = append(m.Versions, version(2, day0, unit("u"), unit("w")))
	union := module1("union", unit("u"))
	union.Versions[0].Credits = [][]string{{"a"}}
	r := newRig(t, []progress.Module{m, union}, nil)
	learner := newLearner()
	for i, e := range []progress.Event{onVersion(event("a", "", progress.Waived, day0), 2), event("union", "", progress.Waived, day0)} {
		e.Reason = "r"
		r.Accept(learner, admin(), e)
		if got := r.Module(learner, e.ModuleID); i == 0 && got.Credit != progress.CreditWaiver {
			t.Errorf("%s: %s", e.ModuleID, got.Credit)
		}
	}
	if got := r.Module(learner, "union"); got.Credit != progress.CreditEquivalence || len(got.RestsOn) != 1 {
		t.Errorf("union: %s, %+v", got.Credit, got.RestsOn)
	}
	r.Accept(learner, self(learner), onVersion(event("a", "u", progress.Completed, day0.Add(time.Hour)), 1))
	if got := r.Module(learner, "a"); got.Credit != progress.CreditLearned {
		t.Errorf("learned on the first version: %s", got.Credit)
	}
}

// An equivalence counts from the publication that grants it, is as old as the oldest of the newest
// completions that it rests on, and has the policy of the version that granted it first.
func TestAnEquivalenceIsAsOldAsWhatItRestsOn(t *testing.T) {
	t.Parallel()
	union := module1("union", unit("u"))
	for i, years := range []string{"P1Y", "P3Y"} {
		v := version(i+2, utc([]string{"2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"}[i]), unit("u"))
		v.Credits, v.Currency = [][]string{{"x", "y"}}, policy(years, "P30D", "P0D", progress.BasisCompletion)
		union.Versions = append(union.Versions, v)
	}
	r := newRig(t, []progress.Module{module1("x", unit("u")), module1("y", unit("u")), union}, nil)
	learner := newLearner()
	r.Clock.Set(utc("2026-06-01T00:00:00Z"))
	r.Accept(learner, self(learner), event("x", "u", progress.Completed, utc("2026-01-20T08:00:00Z")))
	if got := r.Module(learner, "union"); got.Credit != "" {
		t.Errorf("half of the group: %s", got.Credit)
	}
	r.Accept(learner, self(learner), event("y", "u", progress.Completed, utc("2026-03-01T08:00:00Z")))
	got := r.Module(learner, "union")
	if !got.CompleteTime.Equal(utc("2026-04-01T00:00:00Z")) || !got.Currency.ExpireTime.Equal(utc("2027-01-20T08:00:00Z")) {
		t.Errorf("complete %s, %+v", got.CompleteTime, got.Currency)
	}
}

// A grant that the next version lacks was never made if that came within the hour, and else stays.
func TestAGrantIsTakenBackWithinTheHour(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]progress.CreditKind{
		time.Hour - time.Microsecond: "",
		time.Hour:                    progress.CreditEquivalence,
	} {
		union := module1("union", unit("u"))
		grants := version(2, day(1), unit("u"))
		grants.Credits = [][]string{{"x"}}
		union.Versions = append(union.Versions, grants, version(3, day(1).Add(after), unit("u")))
		r := newRig(t, []progress.Module{module1("x", unit("u")), union}, nil)
		learner := newLearner()
		r.Clock.Set(day(2))
		r.Accept(learner, self(learner), event("x", "u", progress.Completed, day0))
		if got := r.Module(learner, "union"); got.Credit != want {
			t.Errorf("after %s: %q, want %q", after, got.Credit, want)
		}
	}
}

// A percent fell by a module that came back only for who was enrolled then, and only from what it was.
func TestPercentRule6OnlyWhatWasThereFalls(t *testing.T) {
	t.Parallel()
	modules := []progress.Module{module1("a", unit("u")), module1("b", unit("u"))}
	r := newRig(t, modules, []progress.Path{path1("p", milestone("m", all("a", "b")))})
	before, after := newLearner(), newLearner()
	r.Enroll(before, "p")
	r.Clock.Set(day(20))
	publish(r, restored(archived(modules[0], day(10), time.Time{}), day(19)))
	r.Enroll(after, "p")
	r.Accept(after, self(after), event("b", "u", progress.Completed, day(5)))
	if p := r.Path(after, "p"); *p.Percent() != 50 || p.PercentChange != nil {
		t.Errorf("enrolled after it: %d, %+v", *p.Percent(), p.PercentChange)
	}
	r.Accept(before, self(before), event("b", "u", progress.Completed, day(20)))
	if p := r.Path(before, "p"); *p.Percent() != 50 || p.PercentChange != nil {
		t.Errorf("done after it: %d, %+v", *p.Percent(), p.PercentChange)
	}
}

// An answer is not kept past the sunset, from which on the module is excused.
func TestASunsetComesByTheClock(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	r := newRig(t, []progress.Module{a}, []progress.Path{path1("p", milestone("m", all("a")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(1)))
	r.Clock.Set(day(10).Add(-time.Minute))
	publish(r, archived(a, day(5), day(10)))
	if p := r.Path(learner, "p"); *p.Percent() != 0 || p.Required != 1 || p.Milestones[0].Modules[0].Excused != nil {
		t.Errorf("a minute before: %+v", p)
	}
	r.Clock.Set(day(10))
	if p := r.Path(learner, "p"); p.Percent() != nil || p.State != progress.EnrollmentNotApplicable || p.Milestones[0].Modules[0].Excused == nil {
		t.Errorf("then: %+v", p)
	}
}

// What is excused is no part of an award, and is not suggested even where it is begun.
func TestNothingRestsOnWhatIsExcused(t *testing.T) {
	t.Parallel()
	modules := []progress.Module{module1("a", unit("u")), module1("b", unit("u"), unit("v")), module1("c", unit("u"))}
	r := newRig(t, modules, []progress.Path{path1("p", milestone("m", all("a", "b")), milestone("n", all("c")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("b", "u", progress.Completed, day(1)))
	r.Clock.Set(day(20))
	publish(r, archived(modules[1], day(10), day(12)))
	p := r.Path(learner, "p")
	if len(p.Next) != 2 || p.Next[0].ModuleID != "a" || p.Next[1].ModuleID != "c" {
		t.Errorf("next %+v", p.Next)
	}
	out := r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(20)))
	if len(out.Awards) != 1 || len(out.Awards[0].Completions) != 1 || out.Awards[0].Completions[0].ModuleID != "a" || !out.Awards[0].AwardTime.Equal(day(20)) {
		t.Errorf("awards %+v", out.Awards)
	}
}

// Of a k-of-n group an award rests on what was completed first, whatever is completed later.
func TestAnAwardRestsOnWhatWasCompletedFirst(t *testing.T) {
	t.Parallel()
	modules := []progress.Module{module1("a", unit("u")), module1("b", unit("u")), module1("c", unit("u"))}
	r := newRig(t, modules, []progress.Path{path1("p", milestone("m", kOf(2, "a", "b", "c")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Clock.Set(day(9))
	for i, id := range []string{"c", "b", "a"} {
		r.Accept(learner, self(learner), event(id, "u", progress.Completed, day(i+1)))
	}
	award := r.Path(learner, "p").Milestones[0].Award
	if award == nil || !award.AwardTime.Equal(day(2)) || len(award.Completions) != 2 ||
		award.Completions[0].ModuleID != "c" || award.Completions[1].ModuleID != "b" {
		t.Errorf("award %+v", award)
	}
}

// The number of an award counts the revocations before it, also those that were taken back.
func TestTheNumberOfAnAwardCountsRevocations(t *testing.T) {
	t.Parallel()
	r, learner := onePath(t)
	cheated := event("a", "u", progress.Completed, day(0))
	r.Accept(learner, self(learner), cheated)
	id := progress.AwardID(learner, "p", "ms", 0)
	for i, command := range []func() (progress.Award, error){
		func() (progress.Award, error) { return r.Service.Revoke(r.Ctx, learner, id, admin(), "r") },
		func() (progress.Award, error) { return r.Service.Reinstate(r.Ctx, learner, id, admin(), "r") },
		func() (progress.Award, error) { return r.Service.Revoke(r.Ctx, learner, id, admin(), "r") },
	} {
		if _, err := command(); err != nil {
			t.Fatal(i, err)
		}
	}
	r.Clock.Set(day(2))
	r.Accept(learner, admin(), progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: cheated.ID, Reason: "r", OccurredAt: day(2)})
	out := r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(2)))
	if len(out.Awards) != 1 || out.Awards[0].Number != 3 || out.Awards[0].ID != progress.AwardID(learner, "p", "ms", 2) {
		t.Errorf("awards %+v", out.Awards)
	}
}

// What holds by a sunset or a grant alone is shown at once, as provisional, and latches in the learner's
// own commits when it is an hour old.
func TestWhatTheCatalogGivesLatchesAfterAnHour(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"sunset", "grant"} {
		a, b := module1("a", unit("u")), module1("b", unit("u"), unit("v"))
		r := newRig(t, []progress.Module{a, b, module1("c", unit("u")), module1("d", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a", "b")))})
		learner := newLearner()
		r.Enroll(learner, "p")
		r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(1)), event("b", "u", progress.Completed, day(1)))
		since := day(10)
		r.Clock.Set(since.Add(10 * time.Minute))
		if name == "sunset" {
			publish(r, archived(b, day(5), since))
		} else {
			grants := version(2, since, unit("u"), unit("v"))
			grants.Credits = [][]string{{"a"}}
			b.Versions = append(b.Versions, grants)
			publish(r, b)
		}
		// Awards are judged when a module is completed: so one is, each time.
		soon := r.Accept(learner, self(learner), event("c", "u", progress.Completed, since))
		if p := r.Path(learner, "p"); len(soon.Awards) != 0 || *p.Percent() != 100 || p.Milestones[0].Award == nil || !p.Milestones[0].Award.Provisional {
			t.Errorf("%s, at once: %+v, %+v", name, soon.Awards, p.Milestones[0].Award)
		}
		r.Clock.Set(since.Add(time.Hour))
		if late := r.Accept(learner, self(learner), event("d", "u", progress.Completed, since)); len(late.Awards) != 1 {
			t.Errorf("%s, an hour later: %+v", name, late.Awards)
		}
	}
}

// A sweep that came by within the hour latched nothing, and comes back when the change has settled.
func TestSweepComesBackWhenAChangeHasSettled(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"))
	r := newRig(t, []progress.Module{a, module1("b", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a", "b")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("b", "u", progress.Completed, day0))
	r.Clock.Set(day(1).Add(10 * time.Minute))
	publish(r, archived(a, day(1), time.Time{}))
	r.Clock.Set(day(1).Add(20 * time.Minute))
	swept := false
	for deadline := testenv.Now().Add(20 * time.Second); !swept && testenv.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		sweep := r.Service.Stats().Sweep
		swept = sweep != nil && sweep.Unswept == 0 && sweep.Age == 0
	}
	if a := r.Path(learner, "p").Milestones[0].Award; !swept || a == nil || !a.Provisional {
		t.Fatalf("within the hour: swept %t, award %+v", swept, a)
	}
	r.Clock.Set(day(1).Add(progress.SettleAfter))
	waitFor(r, learner, progress.RecordAwarded, func(rec *progress.Record) bool { return rec.ActorID == progress.SystemActor })
}

// COMPLETED_AND_PASSED is done at the later of the two.
func TestCompletedAndPassedIsDoneAtTheLater(t *testing.T) {
	t.Parallel()
	u := unit("u")
	u.MoveOn = progress.MoveOnCompletedAndPassed
	r := newRig(t, []progress.Module{module1("a", u)}, nil)
	learner := newLearner()
	r.Accept(learner, self(learner), event("a", "u", progress.Passed, day0), event("a", "u", progress.Completed, day0.Add(time.Hour)))
	if m := r.Module(learner, "a"); !m.Units[0].DoneTime.Equal(day0.Add(time.Hour)) || !m.CompleteTime.Equal(day0.Add(time.Hour)) {
		t.Errorf("done %s, complete %s", m.Units[0].DoneTime, m.CompleteTime)
	}
}
