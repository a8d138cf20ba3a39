package naivetest_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"
	_ "time/tzdata" // The zones that the tables name, wherever the test runs.

	"github.com/preceptor-dev/preceptor/internal/period"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/naivetest"
)

const (
	me    = "learner"
	admin = "admin"
)

// at reads a date, or a date and a time, in UTC.
func at(s string) time.Time {
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04Z", time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	panic("no time: " + s)
}

func mustPeriod(s string) period.Period {
	p, err := period.Parse(s)
	if err != nil {
		panic(err)
	}
	return p
}

// policy is a policy of a period, a window and a grace; its fixed date is 31 January.
func policy(basis progress.Basis, periods ...string) *progress.CurrencyPolicy {
	return &progress.CurrencyPolicy{
		Period: mustPeriod(periods[0]), Window: mustPeriod(periods[1]), Grace: mustPeriod(periods[2]),
		Basis: basis, FixedMonth: time.January, FixedDay: 31,
	}
}

func unit(id string) progress.Unit {
	return progress.Unit{ID: id, Required: true, Weight: 1, MoveOn: progress.MoveOnCompleted, Changed: true}
}

func version(number int, published string, units ...progress.Unit) progress.ModuleVersion {
	return progress.ModuleVersion{Number: number, Units: units, PublishTime: at(published), EffectiveTime: at(published)}
}

func material(v progress.ModuleVersion, all bool) progress.ModuleVersion {
	v.Material, v.RetakeAll = true, all
	return v
}

// world is a catalog and a log that a test writes.
type world struct {
	naivetest.Input

	names int
}

// newWorld has modules of one version of 2019 with the unit u, and one path "p" of one milestone "m".
func newWorld(groups ...progress.Group) *world {
	w := &world{}
	w.LearnerID, w.Now = me, at("2026-06-15T12:00Z")
	w.Catalog = &progress.Catalog{Modules: map[string]*progress.Module{}, Paths: map[string]*progress.Path{}}
	for _, g := range groups {
		for _, id := range g.ModuleIDs {
			w.module(id, nil)
		}
	}
	if len(groups) > 0 {
		w.Catalog.Paths["p"] = &progress.Path{ID: "p", Versions: []progress.PathVersion{
			{Number: 1, Milestones: []progress.Milestone{{ID: "m", Groups: groups}}},
		}}
		w.Enrollments = []progress.Enrollment{{ID: "e", PathID: "p", PathVersion: 1, State: progress.EnrollmentActive, EnrollTime: at("2026-01-01")}}
	}
	return w
}

// module adds a module of one version of 2019, with the unit u or others.
func (w *world) module(id string, p *progress.CurrencyPolicy, units ...progress.Unit) *progress.Module {
	if len(units) == 0 {
		units = []progress.Unit{unit("u")}
	}
	v := version(1, "2019-01-01", units...)
	v.Currency = p
	m := &progress.Module{ID: id, Versions: []progress.ModuleVersion{v}}
	w.Catalog.Modules[id] = m
	return m
}

// record adds an event to the log, and returns its id.
func (w *world) record(module, unit string, verb progress.Verb, when string) string {
	w.names++
	id := fmt.Sprintf("event%03d", w.names)
	actor := me
	if verb == progress.Waived || verb == progress.Voided {
		actor = admin
	}
	zone := w.Zone
	w.Log = append(w.Log, progress.Record{
		Zone: zone, LearnerID: me, Sequence: int64(len(w.Log) + 1), Type: progress.RecordEvent, ActorID: actor,
		ReceivedAt: at(when), EffectiveAt: at(when),
		Event: progress.Event{ID: id, ModuleID: module, ModuleVersion: 1, UnitID: unit, Verb: verb, OccurredAt: at(when)},
	})
	return id
}

func (w *world) completed(module, when string) string {
	return w.record(module, "u", progress.Completed, when)
}

// on is the last event on another version.
func (w *world) on(version int) { w.Log[len(w.Log)-1].Event.ModuleVersion = version }

func (w *world) judged() naivetest.Result { return naivetest.Judge(w.Input) }

func (w *world) at(when string) naivetest.Result {
	in := w.Input
	in.Now = at(when)
	return naivetest.Judge(in)
}

func wantPercent(t *testing.T, got *int, want int) {
	t.Helper()
	if got == nil && want >= 0 || got != nil && *got != want {
		t.Errorf("percent %v, want %d", got, want)
	}
}

func all(ids ...string) progress.Group { return progress.Group{ModuleIDs: ids} }

func kOf(k int, ids ...string) progress.Group {
	return progress.Group{ModuleIDs: ids, RequiredCount: &k}
}

func archive(m *progress.Module, from, sunset, restore string) {
	stay := progress.ArchivePeriod{ArchiveTime: at(from)}
	if sunset != "" {
		stay.SunsetTime = at(sunset)
	}
	if restore != "" {
		stay.RestoreTime = at(restore)
	}
	m.Archives = append(m.Archives, stay)
}

// expiries are the days on which the cycles of module a expire.
func expiries(r naivetest.Result) []string {
	var out []string
	for _, c := range r.Modules["a"].Cycles {
		if !c.CompleteTime.IsZero() {
			out = append(out, c.ExpireTime.Format(time.DateOnly))
		}
	}
	return out
}

func wantAll(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestArchivedModulesAreExcused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                         string
		group                        progress.Group
		percent, required, milestone int
		state                        string
	}{
		{"one of two", kOf(1, "a", "b"), 0, 1, 0, string(progress.EnrollmentActive)},
		{"the only one", all("a"), -1, 0, -1, naivetest.NotApplicable},
		{"two of three", kOf(2, "a", "b", "c"), 0, 2, 0, string(progress.EnrollmentActive)},
		{"two of two", kOf(2, "a", "b"), 0, 1, 0, string(progress.EnrollmentActive)},
		{"all of two", all("a", "b"), 0, 1, 0, string(progress.EnrollmentActive)},
	} {
		w := newWorld(c.group)
		archive(w.Catalog.Modules["a"], "2026-05-01", "", "")
		r := w.judged()
		e := r.Enrollments[0]
		wantPercent(t, e.Percent, c.percent)
		wantPercent(t, e.Milestones[0].Percent, c.milestone)
		if e.State != c.state || e.Required != c.required || e.Milestones[0].Provisional || e.Milestones[0].AwardNumber != 0 {
			t.Errorf("%s: %+v", c.name, e)
		}
		if x := r.Modules["a"].Excused; x == nil || !x.Since.Equal(at("2026-05-01")) || x.Reason != naivetest.Archived {
			t.Errorf("%s: excused %+v", c.name, x)
		}
	}
}

func TestExcuses(t *testing.T) {
	t.Parallel()
	// Begun before: excused from the sunset on.
	w := newWorld(all("a", "b"))
	w.completed("b", "2026-02-01")
	w.record("a", "u", progress.Initialized, "2026-04-01")
	archive(w.Catalog.Modules["a"], "2026-05-01", "2026-06-01", "")
	if r := w.at("2026-05-31"); r.Modules["a"].Excused != nil || r.Enrollments[0].Completed != 1 || r.Enrollments[0].Required != 2 {
		t.Errorf("before the sunset: %+v", r)
	}
	r := w.at("2026-06-01T00:30Z")
	if x := r.Modules["a"].Excused; x == nil || x.Reason != naivetest.AfterSunset || !r.Enrollments[0].Milestones[0].Provisional {
		t.Errorf("after it: %+v, %+v", x, r.Enrollments)
	}
	// A commit believes it an hour later.
	w.Latching = true
	if r := w.at("2026-06-01T00:30Z"); r.Enrollments[0].Milestones[0].Provisional {
		t.Error("latched within the hour")
	}
	if r := w.at("2026-06-01T01:00Z"); !r.Enrollments[0].Milestones[0].Provisional {
		t.Error("not latched after the hour")
	}
	// Taken back within the hour: nobody is excused, and what came meanwhile counts.
	w = newWorld(all("a"))
	archive(w.Catalog.Modules["a"], "2026-05-01T10:00Z", "", "2026-05-01T10:59Z")
	id := w.completed("a", "2026-05-01T10:30Z")
	if r := w.judged(); r.Events[id].Cycle != 1 {
		t.Errorf("%+v", r.Events)
	}
	// Restored: the percent that it took away.
	w = newWorld(all("a", "b"))
	w.completed("b", "2026-02-01")
	archive(w.Catalog.Modules["a"], "2026-05-01", "", "2026-06-01")
	e := w.judged().Enrollments[0]
	wantPercent(t, e.Percent, 50)
	if e.PreviousPercent == nil || *e.PreviousPercent != 100 || e.PercentReason != naivetest.Restored {
		t.Errorf("%+v", e)
	}
}

func TestMoreTrainingNeverMakesCurrencyWorse(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.module("a", policy(progress.BasisCompletion, "P1Y", "P30D", "P0D"))
	w.completed("a", "2025-06-01")
	wantAll(t, expiries(w.judged()), "2026-06-01")
	w.completed("a", "2024-07-10")
	r := w.at("2026-04-01")
	wantAll(t, expiries(r), "2025-07-10", "2026-06-01")
	if c := r.Modules["a"].Currency; c.State != naivetest.Current || !c.ExpireTime.Equal(at("2026-06-01")) {
		t.Errorf("%+v", c)
	}
}

func TestWaiversHaveACurrency(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.module("a", policy(progress.BasisCompletion, "P1Y", "P30D", "P1M"))
	w.record("a", "", progress.Waived, "2020-03-01")
	r := w.judged()
	if m := r.Modules["a"]; m.State != naivetest.Completed || m.Credit != naivetest.Waiver || m.Currency.State != naivetest.Expired {
		t.Errorf("%+v", m)
	}
	wantAll(t, r.Due, "a")
}

func TestMovingRewritesNoStreak(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.module("a", nil)
	w.Zone = "Asia/Tokyo"
	for _, day := range []string{"2026-06-10T15:30Z", "2026-06-12T14:00Z", "2026-06-12T16:00Z", "2026-06-14T01:00Z"} { // 11 to 14 June there
		w.completed("a", day)
	}
	want := naivetest.Streak{Current: 4, Longest: 4, Last: "2026-06-14"}
	for _, zone := range []string{"Asia/Tokyo", "America/Los_Angeles"} {
		w.Zone = zone
		if got := w.at("2026-06-14T03:00Z").Streak; got != want {
			t.Errorf("in %s: %+v", zone, got)
		}
	}
	if got := w.at("2026-06-17T03:00Z").Streak; got.Current != 0 || got.Longest != 4 {
		t.Errorf("days later: %+v", got)
	}
}

func TestSeriesOfExpiries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		policy *progress.CurrencyPolicy
		done   []string
		want   []string
	}{
		{
			"month ends", policy(progress.BasisPriorExpiry, "P1M", "P7D", "P0D"),
			[]string{"2024-01-31", "2024-02-25", "2024-03-28"},
			[]string{"2024-02-29", "2024-03-31", "2024-04-30"},
		},
		{
			"29 February", policy(progress.BasisPriorExpiry, "P1Y", "P30D", "P0D"),
			[]string{"2020-02-29", "2021-02-10", "2022-02-10", "2023-02-10"},
			[]string{"2021-02-28", "2022-02-28", "2023-02-28", "2024-02-29"},
		},
		{
			"after the grace", policy(progress.BasisPriorExpiry, "P1Y", "P30D", "P10D"),
			[]string{"2024-01-10", "2025-01-20", "2026-02-01"},
			[]string{"2025-01-10", "2026-01-10", "2027-02-01"},
		},
		{
			"fixed date", policy(progress.BasisFixedDate, "P1Y", "P30D", "P0D"),
			[]string{"2025-01-15", "2026-01-15"},
			[]string{"2026-01-31", "2027-01-31"},
		},
		{
			"every other year", policy(progress.BasisFixedDate, "P2Y", "P30D", "P30D"),
			[]string{"2020-03-01", "2022-02-10", "2024-01-10"},
			[]string{"2022-01-31", "2024-01-31", "2026-01-31"},
		},
		{
			"a whole course early", policy(progress.BasisPriorExpiry, "P1Y", "P30D", "P0D"),
			[]string{"2024-06-01", "2025-04-17", "2026-03-20"},
			[]string{"2025-06-01", "2026-04-17", "2027-03-20"},
		},
		{
			"from the completion", policy(progress.BasisCompletion, "P1Y", "P30D", "P0D"),
			[]string{"2024-06-01", "2025-05-10"},
			[]string{"2025-06-01", "2026-05-10"},
		},
	} {
		w := newWorld()
		w.module("a", c.policy)
		for _, day := range c.done {
			w.completed("a", day)
		}
		if got := expiries(w.judged()); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFixedDateInOneSitting(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.module("a", policy(progress.BasisFixedDate, "P1Y", "P30D", "P0D"))
	w.completed("a", "2025-01-15T10:00Z")
	w.completed("a", "2025-01-15T10:05Z")
	wantAll(t, expiries(w.judged()), "2026-01-31")
}

func TestMaterialCycleStaysInTheChain(t *testing.T) {
	t.Parallel()
	w := newWorld()
	p := policy(progress.BasisPriorExpiry, "P1Y", "P30D", "P0D")
	m := w.module("a", p)
	v := material(version(2, "2026-03-01", unit("u")), true)
	v.Currency = p
	m.Versions = append(m.Versions, v)
	w.completed("a", "2026-01-10")
	w.completed("a", "2026-03-10")
	w.on(2)
	wantAll(t, expiries(w.judged()), "2027-01-10", "2027-01-10")
	if cs := w.judged().Modules["a"].Cycles; cs[1].Opening != naivetest.Material || cs[1].Version != 2 {
		t.Errorf("%+v", cs)
	}
}

func TestLocalTimesThatClocksSkipOrRepeat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, done, period, want string }{
		{"America/New_York", "2024-03-09T07:30Z", "P1Y", "2025-03-09T07:00Z"}, // 02:30, which is skipped
		{"America/New_York", "2024-11-02T05:30Z", "P1D", "2024-11-03T05:30Z"}, // 01:30, which comes twice
		{"America/New_York", "2024-11-02T05:30Z", "PT24H", "2024-11-03T05:30Z"},
		{"Africa/Cairo", "2023-04-26T22:30Z", "P1Y", "2024-04-26T21:30Z"}, // 00:30 on the 27th, in summer time: 00:30 again
		{"America/Sao_Paulo", "2016-10-15T03:20Z", "P1Y", "2017-10-15T03:00Z"},
		{"Pacific/Apia", "2011-11-30T20:00Z", "P1M", "2011-12-30T10:00Z"}, // a day that never was
	} {
		w := newWorld()
		w.Zone = c.zone
		w.module("a", policy(progress.BasisCompletion, c.period, "P0D", "P0D")).Versions[0].PublishTime = at("2010-01-01")
		w.completed("a", c.done)
		if got := w.judged().Modules["a"].Cycles[0].ExpireTime; !got.Equal(at(c.want)) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestEarlyRenewal(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.module("a", policy(progress.BasisCompletion, "P1Y", "P30D", "P0D"), unit("u"), unit("v"))
	w.record("a", "u", progress.Completed, "2025-06-01T10:00Z")
	w.record("a", "v", progress.Completed, "2025-06-01T10:10Z")
	same := w.record("a", "u", progress.Completed, "2025-06-01T11:00Z")
	half := w.record("a", "u", progress.Completed, "2026-04-17T10:00Z") // 45 days before
	r := w.at("2026-04-18")
	if r.Events[same] != (naivetest.Event{Cycle: 1}) {
		t.Errorf("same day: %+v", r.Events[same])
	}
	if got := r.Events[half]; got.Note != naivetest.RenewalEarly || !got.NoteTime.Equal(at("2026-05-02T10:10Z")) || len(r.Modules["a"].Cycles) != 1 {
		t.Errorf("half: %+v", got)
	}
	// It counts once the window is open.
	rest := *w
	rest.Log = append([]progress.Record(nil), w.Log...)
	rest.record("a", "v", progress.Completed, "2026-05-03T10:00Z")
	r = rest.at("2026-05-04")
	wantAll(t, expiries(r), "2026-06-01", "2027-05-03")
	if r.Events[half] != (naivetest.Event{Cycle: 2}) {
		t.Errorf("half: %+v", r.Events[half])
	}
	// The whole is a cycle of its own.
	w.record("a", "v", progress.Completed, "2026-04-17T10:30Z")
	r = w.at("2026-04-18")
	wantAll(t, expiries(r), "2026-06-01", "2027-04-17")
	if c := r.Modules["a"].Cycles[1]; c.Opening != naivetest.Renewal || !c.BeginTime.Equal(at("2026-04-17T10:00Z")) {
		t.Errorf("%+v", c)
	}
}

func TestCreditOfARenewalLastsOnePeriod(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.module("a", policy(progress.BasisCompletion, "P1Y", "P30D", "P0D"), unit("u"), unit("v"))
	w.record("a", "u", progress.Completed, "2018-12-30")
	w.record("a", "v", progress.Completed, "2018-12-31")
	w.record("a", "u", progress.Completed, "2019-12-15")
	w.record("a", "v", progress.Completed, "2026-06-15")
	r := w.judged()
	if cs := r.Modules["a"].Cycles; len(cs) != 2 || !cs[1].CompleteTime.IsZero() || *cs[1].Percent != 50 {
		t.Errorf("%+v", cs)
	}
	if c := r.Modules["a"].Currency; c.State != naivetest.Expired {
		t.Errorf("%+v", c)
	}
	wantPercent(t, w.at("2027-06-15").Modules["a"].Cycles[1].Percent, 0)
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for _, p := range []*progress.CurrencyPolicy{nil, policy(progress.BasisCompletion, "P1Y", "P30D", "P0D")} {
		w := newWorld()
		w.module("a", p)
		b := w.module("b", p)
		b.Versions[0].Credits = [][]string{{"a"}}
		w.module("c", p).Versions[0].Credits = [][]string{{"b"}}
		w.record("a", "", progress.Waived, "2026-02-01")
		r := w.judged()
		if m := r.Modules["a"]; m.Credit != naivetest.Waiver || m.Cycles[0].Version != 1 {
			t.Errorf("%+v", m)
		}
		if m := r.Modules["b"]; m.Credit != naivetest.Equivalence || !reflect.DeepEqual(m.RestsOn, []naivetest.Rest{{ModuleID: "a", Cycle: 1}}) ||
			!m.CompleteTime.Equal(at("2026-02-01")) {
			t.Errorf("%+v", m)
		}
		if m := r.Modules["c"]; m.Credit != "" {
			t.Errorf("an equivalence of an equivalence: %+v", m)
		}
		w.completed("a", "2026-03-01")
		if m := w.judged().Modules["a"]; m.Credit != naivetest.Learned || !m.CompleteTime.Equal(at("2026-02-01")) {
			t.Errorf("%+v", m)
		}
	}
}

func TestOldTrainingKeepsItsAge(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.module("a", nil)
	b := w.module("b", policy(progress.BasisCompletion, "P1Y", "P30D", "P0D"))
	v := version(2, "2026-05-01", unit("u"))
	v.Currency, v.Credits = policy(progress.BasisCompletion, "P2Y", "P30D", "P0D"), [][]string{{"a"}}
	b.Versions = append(b.Versions, v)
	w.completed("a", "2023-01-01")
	m := w.judged().Modules["b"]
	if m.Currency.State != naivetest.Expired || !m.CompleteTime.Equal(at("2026-05-01")) || !m.Currency.ExpireTime.Equal(at("2025-01-01")) {
		t.Errorf("%+v, %+v", m, m.Currency)
	}
	// A grant that the next version lacks within the hour was never made.
	b.Versions = append(b.Versions, version(3, "2026-05-01T00:30Z", unit("u")))
	if m := w.judged().Modules["b"]; m.Credit != "" {
		t.Errorf("%+v", m)
	}
}

func TestAwardsAreNoOlderThanTheirMilestones(t *testing.T) {
	t.Parallel()
	w := newWorld(all("a", "b"))
	w.completed("a", "2020-03-01")
	w.completed("b", "2020-04-01")
	w.Catalog.Paths["p"].Versions[0].PublishTime = at("2026-06-15T09:00Z")
	m := w.judged().Enrollments[0].Milestones[0]
	want := []naivetest.Completion{
		{ModuleID: "a", Version: 1, Cycle: 1, Time: at("2020-03-01")},
		{ModuleID: "b", Version: 1, Cycle: 1, Time: at("2020-04-01")},
	}
	if !m.AwardTime.Equal(at("2026-06-15T09:00Z")) || !reflect.DeepEqual(m.Completions, want) {
		t.Errorf("%+v", m)
	}
}

func TestRevokedAwards(t *testing.T) {
	t.Parallel()
	w := newWorld(all("a"))
	cheated := w.completed("a", "2026-02-01")
	award := progress.Award{ID: "award", PathID: "p", MilestoneID: "m", RevokeTime: at("2026-03-01")}
	w.Awards = []progress.Award{award}
	w.Log = append(w.Log, progress.Record{
		Sequence: int64(len(w.Log) + 1), Type: progress.RecordRevoked, Effects: &progress.Effects{Awards: []progress.Award{award}},
	})
	w.completed("a", "2026-03-02")
	if m := w.judged().Enrollments[0].Milestones[0]; !m.RuleHolds || m.AwardNumber != 0 || m.Provisional {
		t.Errorf("on the same records: %+v", m)
	}
	w.record("", "", progress.Voided, "2026-03-03")
	w.Log[len(w.Log)-1].Event.VoidsEventID = cheated
	m := w.judged().Enrollments[0].Milestones[0]
	if m.AwardNumber != 2 || !m.Provisional || !m.AwardTime.Equal(at("2026-03-02")) {
		t.Errorf("really learned: %+v", m)
	}
	if e := w.judged().Events[cheated]; e != (naivetest.Event{}) {
		t.Errorf("voided: %+v", e)
	}
}

func TestTiesGoByTheDevice(t *testing.T) {
	t.Parallel()
	// Both are set to the publication; on the device the module was learned first, and looked at next day.
	w := newWorld()
	w.module("a", policy(progress.BasisCompletion, "P1Y", "P30D", "P0D"))
	w.record("a", "u", progress.Initialized, "2019-01-01")
	w.Log[0].Event.OccurredAt = at("2018-12-02")
	done := w.completed("a", "2019-01-01")
	w.Log[1].Event.OccurredAt = at("2018-12-01")
	r := w.judged()
	if c := r.Modules["a"].Cycles[0]; len(r.Modules["a"].Cycles) != 1 || !c.CompleteTime.Equal(at("2019-01-01")) || r.Events[done].Cycle != 1 {
		t.Errorf("%+v", r.Modules["a"])
	}
	// PASSED came first on the device: the cycle is complete with it, in the zone of it.
	w = newWorld()
	quiz := unit("u")
	quiz.MoveOn = progress.MoveOnPassed
	w.module("a", policy(progress.BasisFixedDate, "P1Y", "P30D", "P0D"), quiz)
	w.record("a", "u", progress.Failed, "2019-05-01")
	w.Log[0].Event.OccurredAt, w.Log[0].Zone = at("2018-12-02"), "Asia/Tokyo"
	w.record("a", "u", progress.Passed, "2019-05-01")
	w.Log[1].Event.OccurredAt = at("2018-12-01")
	if c := w.judged().Modules["a"].Cycles[0]; !c.CompleteTime.Equal(at("2019-05-01")) || !c.ExpireTime.Equal(at("2020-01-31")) {
		t.Errorf("%+v", c)
	}
}

func TestClocks(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := w.module("a", nil)
	sunset := "2026-05-10T10:00Z"
	for _, c := range []struct {
		name                             string
		occurred, sent, arrived, receive string
		want                             string
		adjusted                         bool
	}{
		{"3 minutes fast, before the sunset", "2026-05-10T10:01Z", "", "2026-05-10T09:58Z", "2026-05-10T09:59Z", "2026-05-10T09:59Z", false},
		{"3 minutes fast, sent later", "2026-05-10T10:01Z", "", "2026-05-10T11:00Z", "2026-05-10T11:00Z", "2026-05-10T10:01Z", false},
		{"3 minutes fast, and says so", "2026-05-10T10:01Z", "2026-05-10T11:03Z", "2026-05-10T11:00Z", "2026-05-10T11:00Z", "2026-05-10T10:01Z", false},
		{"a day ahead, with sentAt", "2026-05-10T08:00Z", "2026-05-10T12:00Z", "2026-05-09T12:00Z", "2026-05-09T12:00Z", "2026-05-09T08:00Z", true},
		{"a day ahead, without", "2026-05-10T08:00Z", "", "2026-05-09T12:00Z", "2026-05-09T12:00Z", "2026-05-09T12:00Z", true},
		{"a day behind, with sentAt", "2026-05-08T08:00Z", "2026-05-08T12:00Z", "2026-05-09T12:00Z", "2026-05-09T12:00Z", "2026-05-09T08:00Z", true},
		{"a day behind, without", "2026-05-08T08:00Z", "", "2026-05-09T12:00Z", "2026-05-09T12:00Z", "2026-05-08T08:00Z", false},
		{"before the publication", "2018-05-08T08:00Z", "", "2026-05-09T12:00Z", "2026-05-09T12:00Z", "2019-01-01T00:00Z", true},
	} {
		s := naivetest.Sending{OccurredAt: at(c.occurred), ArrivedAt: at(c.arrived), ReceivedAt: at(c.receive), Module: m, UnitID: "u"}
		if c.sent != "" {
			s.SentAt = at(c.sent)
		}
		if got := naivetest.Accept(s); !got.EffectiveAt.Equal(at(c.want)) || got.Adjusted != c.adjusted || got.Version != 1 {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	admins := naivetest.Accept(naivetest.Sending{OccurredAt: at("2018-05-08"), ReceivedAt: at("2026-05-09"), Module: m, UnitID: "u", Admin: true})
	if !admins.EffectiveAt.Equal(at("2018-05-08")) {
		t.Errorf("an admin's: %+v", admins)
	}
	// What counts around the archive and its sunset.
	archive(m, "2026-05-01T10:00Z", sunset, "")
	w.record("a", "u", progress.Initialized, "2026-05-01T09:59Z")
	counts := w.completed("a", "2026-05-10T09:59Z")
	late := w.completed("a", "2026-05-10T10:01Z")
	r := w.judged()
	if r.Events[counts].Cycle != 1 || r.Events[late].Note != naivetest.AfterSunset || !r.Events[late].NoteTime.Equal(at(sunset)) {
		t.Errorf("%+v", r.Events)
	}
	w.Log = w.Log[1:]
	if r := w.judged(); r.Events[counts].Note != naivetest.Archived || !r.Events[counts].NoteTime.Equal(at("2026-05-01T10:00Z")) {
		t.Errorf("not begun: %+v", r.Events)
	}
}

func TestMaterialVersions(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := w.module("a", nil, unit("u"), unit("v"))
	same := unit("u")
	same.Changed = false
	v2 := material(version(2, "2026-02-01", same, unit("v")), false)
	v2.EffectiveTime = at("2026-03-01")
	m.Versions = append(m.Versions, v2)
	u := w.completed("a", "2026-01-10")
	v := w.record("a", "v", progress.Initialized, "2026-01-11")
	if got := w.at("2026-02-15").Modules["a"]; got.Version != 1 || *got.Percent != 50 {
		t.Errorf("%+v", got)
	}
	r := w.at("2026-03-15")
	if got := r.Modules["a"]; got.Version != 2 || *got.Percent != 50 {
		t.Errorf("%+v", got)
	}
	if r.Events[u].Note != "" || r.Events[v].Note != naivetest.SupersededVersion || !r.Events[v].NoteTime.Equal(at("2026-03-01")) {
		t.Errorf("%+v", r.Events)
	}
	// Learned between publication and effect: complete then.
	w.record("a", "v", progress.Completed, "2026-02-10")
	w.on(2)
	if got := w.at("2026-03-15").Modules["a"]; len(got.Cycles) != 1 || !got.Cycles[0].CompleteTime.Equal(at("2026-02-10")) || got.Cycles[0].Version != 2 {
		t.Errorf("%+v", got)
	}
	w.record("a", "v", progress.Completed, "2026-01-20")
	got := w.at("2026-03-15").Modules["a"]
	if len(got.Cycles) != 2 || got.Cycles[0].Version != 1 || !got.Cycles[1].CompleteTime.Equal(at("2026-03-01")) || got.Currency.State != naivetest.Current {
		t.Errorf("%+v", got)
	}
}
