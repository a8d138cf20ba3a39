package progress_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// yearly is a policy of a year with a window of thirty days.
func yearly(basis progress.Basis) *progress.CurrencyPolicy {
	return policy("P1Y", "P30D", "P30D", basis)
}

func fixedDate(p *progress.CurrencyPolicy, month time.Month, dom int) *progress.CurrencyPolicy {
	p.Basis, p.FixedMonth, p.FixedDay = progress.BasisFixedDate, month, dom
	return p
}

// courseOf is a module of two units whose completion expires.
func courseOf(p *progress.CurrencyPolicy) progress.Module {
	m := module1("a", unit("u"), unit("v"))
	m.Versions[0].Currency, m.Versions[0].PublishTime = p, utc("2019-01-01T00:00:00Z")
	return m
}

// learn has the learner complete units at a time, all in one batch, and returns its results.
func learn(r *rig, learner string, at time.Time, units ...string) []progress.Result {
	r.T.Helper()
	var events []progress.Event
	for _, u := range units {
		events = append(events, event("a", u, progress.Completed, at))
	}
	return r.Accept(learner, self(learner), events...).Results
}

// Adding a whole repeat is a cycle of its own, also when it is the older one that arrives later.
func TestMoreTrainingNeverMakesCurrencyWorse(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{courseOf(yearly(progress.BasisCompletion))}, nil)
	learner := newLearner()
	r.Clock.Set(utc("2026-01-11T00:00:00Z"))
	learn(r, learner, utc("2025-06-01T08:00:00Z"), "u", "v")
	learn(r, learner, utc("2024-07-10T08:00:00Z"), "u", "v")
	m := r.Module(learner, "a")
	if m.Currency.State != progress.CurrencyCurrent || !m.Currency.ExpireTime.Equal(utc("2026-06-01T08:00:00Z")) || len(m.Cycles) != 2 {
		t.Errorf("currency %+v, cycles %+v", m.Currency, m.Cycles)
	}
}

// ∀ Adding a completion of all units moves no expiry to an earlier date, where dates are counted from
// completions or are yearly ones; where they are counted from the first expiry of a chain, by a window at most.
func TestAddingACompletionMovesNoExpiryToAnEarlierDate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := yearly(rapid.SampledFrom([]progress.Basis{
			progress.BasisCompletion, progress.BasisFixedDate, progress.BasisPriorExpiry,
		}).Draw(t, "basis"))
		slack := 0
		if p.Basis == progress.BasisFixedDate {
			p = fixedDate(p, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 28).Draw(t, "dom"))
		}
		if p.Basis == progress.BasisPriorExpiry {
			slack = 30 // an earlier completion moves the dates of the whole chain
		}
		m := courseOf(p)
		days := rapid.SliceOfNDistinct(rapid.IntRange(0, 2500), 2, 7, rapid.ID[int]).Draw(t, "days")
		expiry := func(days []int) time.Time {
			var log []progress.Record
			for i, d := range days {
				for k, u := range []string{"u", "v"} {
					at := utc("2019-02-01T08:00:00Z").AddDate(0, 0, d)
					e := event("a", u, progress.Completed, at)
					e.ModuleVersion = 1
					log = append(log, progress.Record{LearnerID: "l", Sequence: int64(2*i + k + 1), Type: progress.RecordEvent, Event: e, EffectiveAt: at, ActorID: "l"})
				}
			}
			l := &progress.Learner{Head: progress.Head{LearnerID: "l"}, Facts: map[string]*progress.Facts{"a": progress.FoldLog(&m, log)}}
			c := &progress.Catalog{Modules: map[string]*progress.Module{"a": &m}}
			d, err := progress.NewView(c, l, utc("2020-01-01T00:00:00Z"), func(string) ([]progress.Record, error) { return log, nil }).Module("a")
			if err != nil {
				t.Fatal(err)
			}
			return d.Currency.ExpireTime
		}
		before, after := expiry(days[1:]), expiry(days)
		if after.AddDate(0, 0, slack).Before(before) {
			t.Fatalf("with day %d beside %v: %s, was %s", days[0], days[1:], after, before)
		}
	})
}

// Renewing long before the window opens: a whole repeat is a cycle with a full period, a half counts
// toward the renewal once that is possible, and the answer says so.
func TestEarlyRenewal(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{courseOf(yearly(progress.BasisCompletion))}, nil)
	whole, half := newLearner(), newLearner()
	done := utc("2026-02-01T08:00:00Z")
	for _, l := range []string{whole, half} {
		r.Clock.Set(done)
		learn(r, l, done, "u", "v")
	}
	expires, early := utc("2027-02-01T08:00:00Z"), utc("2026-12-18T08:00:00Z")
	opens := utc("2027-01-02T08:00:00Z")
	r.Clock.Set(early)
	first := learn(r, whole, early, "u")[0]
	if first.Note == nil || *first.Note != (progress.Note{Code: progress.NoteRenewalEarly, Time: opens}) {
		t.Errorf("half of it: note %+v", first.Note)
	}
	if res := learn(r, whole, early, "v"); res[0].Note != nil {
		t.Errorf("all of it: note %+v", res[0].Note)
	}
	m := r.Module(whole, "a")
	if len(m.Cycles) != 2 || !m.Currency.ExpireTime.Equal(utc("2027-12-18T08:00:00Z")) || m.Cycles[1].Opening != progress.OpenedRenewal {
		t.Errorf("a whole repeat: %+v, %+v", m.Currency, m.Cycles)
	}
	sent := event("a", "u", progress.Completed, early)
	r.Accept(half, self(half), sent)
	if m := r.Module(half, "a"); len(m.Cycles) != 1 || !m.Currency.ExpireTime.Equal(expires) || m.State != progress.StateCompleted {
		t.Errorf("a half: %+v, %+v", m.Currency, m.Cycles)
	}
	in := opens.AddDate(0, 0, 3)
	r.Clock.Set(in)
	if res := r.Record(half, self(half), sent).Results; res[0].Status != progress.StatusDuplicate || res[0].Note != nil {
		t.Errorf("the half once more, in the window: %+v", res[0])
	}
	if res := learn(r, half, in, "v"); res[0].Note != nil {
		t.Errorf("in the window: note %+v", res[0].Note)
	}
	if m := r.Module(half, "a"); len(m.Cycles) != 2 || !m.Currency.ExpireTime.Equal(utc("2028-01-05T08:00:00Z")) {
		t.Errorf("the other half in the window: %+v, %+v", m.Currency, m.Cycles)
	}
}

// Two devices may report one sitting: what is done on the day of the completion belongs to it.
func TestTheDayOfACompletionBelongsToIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{courseOf(fixedDate(yearly(progress.BasisFixedDate), time.January, 31))}, nil)
	learner := newLearner()
	at := utc("2026-01-15T08:00:00Z")
	r.Clock.Set(at.Add(time.Hour))
	learn(r, learner, at, "u", "v")
	if res := learn(r, learner, at.Add(time.Minute), "u", "v"); res[0].Note != nil || res[1].Note != nil {
		t.Errorf("notes %+v", res)
	}
	m := r.Module(learner, "a")
	if len(m.Cycles) != 1 || !m.Currency.ExpireTime.Equal(utc("2027-01-31T00:00:00Z")) {
		t.Errorf("currency %+v, cycles %+v", m.Currency, m.Cycles)
	}
}

// In a renewal a unit's credit counts for one period.
func TestStaleHalvesDoNotRenew(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{courseOf(yearly(progress.BasisCompletion))}, nil)
	learner := newLearner()
	r.Clock.Set(utc("2026-01-11T08:00:00Z"))
	learn(r, learner, utc("2019-01-05T08:00:00Z"), "u", "v")
	learn(r, learner, utc("2019-12-20T08:00:00Z"), "u")
	learn(r, learner, utc("2026-01-11T08:00:00Z"), "v")
	m := r.Module(learner, "a")
	if m.Currency.State != progress.CurrencyExpired || m.Cycles[1].Version != 0 || !m.Units[0].DoneTime.IsZero() || m.Units[1].DoneTime.IsZero() {
		t.Fatalf("currency %+v, cycles %+v, units %+v", m.Currency, m.Cycles, m.Units)
	}
	learn(r, learner, utc("2026-01-11T08:00:00Z"), "u")
	if m := r.Module(learner, "a"); m.Currency.State != progress.CurrencyCurrent || !m.Currency.ExpireTime.Equal(utc("2027-01-11T08:00:00Z")) {
		t.Errorf("both halves: %+v", m.Currency)
	}
}

// The dates of a chain are counted from its beginning, so that none drifts.
func TestSeriesOfExpiries(t *testing.T) {
	t.Parallel()
	monthly := policy("P1M", "P5D", "P5D", progress.BasisPriorExpiry)
	for _, s := range []struct {
		name   string
		policy *progress.CurrencyPolicy
		zone   string
		done   []string
		until  []string
	}{
		{
			"31 January, renewed early each month", monthly, "",
			[]string{"2024-01-31T12:00:00Z", "2024-02-27T12:00:00Z", "2024-03-28T12:00:00Z"},
			[]string{"2024-02-29T12:00:00Z", "2024-03-31T12:00:00Z", "2024-04-30T12:00:00Z"},
		},
		{
			"29 February, three early renewals", yearly(progress.BasisPriorExpiry), "",
			[]string{"2020-02-29T12:00:00Z", "2021-02-10T12:00:00Z", "2022-02-10T12:00:00Z", "2023-02-10T12:00:00Z"},
			[]string{"2021-02-28T12:00:00Z", "2022-02-28T12:00:00Z", "2023-02-28T12:00:00Z", "2024-02-29T12:00:00Z"},
		},
		{
			"a fixed date whose window is open", fixedDate(yearly(progress.BasisFixedDate), time.January, 31), "",
			[]string{"2025-01-15T12:00:00Z"},
			[]string{"2026-01-31T00:00:00Z"},
		},
		{
			"every second such date", fixedDate(policy("P2Y", "P30D", "P30D", ""), time.January, 31), "",
			[]string{"2021-03-01T12:00:00Z", "2023-01-10T12:00:00Z"},
			[]string{"2023-01-31T00:00:00Z", "2025-01-31T00:00:00Z"},
		},
		{
			"a fixed date in the learner's zone", fixedDate(yearly(progress.BasisFixedDate), time.January, 31), "America/New_York",
			[]string{"2025-06-01T12:00:00Z"},
			[]string{"2026-01-31T05:00:00Z"},
		},
		{
			"a time that summer time skips", yearly(progress.BasisCompletion), "America/New_York",
			[]string{"2024-03-09T07:30:00Z"},
			[]string{"2025-03-09T07:00:00Z"},
		},
	} {
		r := newRig(t, []progress.Module{courseOf(s.policy)}, nil)
		learner := newLearner()
		r.SetZone(learner, s.zone)
		for i, text := range s.done {
			r.Clock.Set(utc(text))
			learn(r, learner, utc(text), "u", "v")
			m := r.Module(learner, "a")
			if len(m.Cycles) != i+1 || !m.Cycles[i].ExpireTime.Equal(utc(s.until[i])) {
				t.Errorf("%s: completion %d: %+v, want until %s", s.name, i+1, m.Cycles, s.until[i])
			}
		}
	}
}

// A MATERIAL cycle in the middle of a period keeps the date of the series.
func TestAMaterialCycleKeepsTheSeries(t *testing.T) {
	t.Parallel()
	m := courseOf(yearly(progress.BasisPriorExpiry))
	next := version(2, utc("2026-03-01T00:00:00Z"), unit("u"), unit("v"))
	next.Material, next.RetakeAll, next.Currency = true, true, yearly(progress.BasisPriorExpiry)
	m.Versions = append(m.Versions, next)
	r := newRig(t, []progress.Module{m}, nil)
	learner := newLearner()
	for i, text := range []string{"2026-01-10T08:00:00Z", "2026-03-10T08:00:00Z"} {
		r.Clock.Set(utc(text))
		for _, u := range []string{"u", "v"} {
			r.Accept(learner, self(learner), onVersion(event("a", u, progress.Completed, utc(text)), i+1))
		}
	}
	if got := r.Module(learner, "a"); len(got.Cycles) != 2 || !got.Currency.ExpireTime.Equal(utc("2027-01-10T08:00:00Z")) {
		t.Errorf("%+v, %+v", got.Currency, got.Cycles)
	}
}

// Whatever stands for a completion has the currency that its time gives.
func TestDerivedCreditsHaveACurrency(t *testing.T) {
	t.Parallel()
	a := courseOf(yearly(progress.BasisCompletion))
	union := module1("union", unit("u"))
	union.Versions[0].Credits, union.Versions[0].Currency = [][]string{{"a"}}, policy("P2Y", "P30D", "P30D", progress.BasisCompletion)
	r := newRig(t, []progress.Module{a, union}, []progress.Path{path1("p", milestone("m", all("a", "union")))})
	waived, learned := newLearner(), newLearner()
	r.Enroll(waived, "p")
	w := event("a", "", progress.Waived, utc("2020-03-01T00:00:00Z"))
	w.Reason = "trained elsewhere"
	r.Accept(waived, admin(), w)
	m := r.Module(waived, "a")
	if m.Credit != progress.CreditWaiver || m.Currency == nil || m.Currency.State != progress.CurrencyExpired || !m.Currency.ExpireTime.Equal(utc("2021-03-01T00:00:00Z")) {
		t.Errorf("a waiver: %s %+v", m.Credit, m.Currency)
	}
	u := r.Module(waived, "union")
	if u.Credit != progress.CreditEquivalence || len(u.RestsOn) != 1 || u.RestsOn[0] != (progress.Rest{ModuleID: "a", Cycle: 1}) {
		t.Errorf("what rests on it: %s %+v", u.Credit, u.RestsOn)
	}
	if u.Currency == nil || u.Currency.State != progress.CurrencyExpired || !u.Currency.ExpireTime.Equal(utc("2022-03-01T00:00:00Z")) {
		t.Errorf("what rests on it: %+v", u.Currency)
	}
	due := map[string]bool{}
	for _, d := range overviewOf(r, waived).Due {
		due[d.ModuleID] = true
	}
	if !due["a"] || !due["union"] {
		t.Errorf("due are %v", due)
	}
	// Really learned, the label says so; the newest completion is what an equivalence is as old as.
	r.Accept(learned, admin(), func() progress.Event { e := w; e.ID = newLearner(); return e }())
	r.Clock.Set(day(5))
	learn(r, learned, day(5), "u", "v")
	if m := r.Module(learned, "a"); m.Credit != progress.CreditLearned || m.Currency.State != progress.CurrencyCurrent {
		t.Errorf("learned after a waiver: %s %+v", m.Credit, m.Currency)
	}
	if u := r.Module(learned, "union"); u.Currency.State != progress.CurrencyCurrent || u.RestsOn[0].Cycle != 2 {
		t.Errorf("what rests on it: %+v %+v", u.Currency, u.RestsOn)
	}
}

// A waiver, then the same really learned, with no policy that would open a cycle.
func TestTheStrongestTrueLabel(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"), unit("v"))}, nil)
	learner := newLearner()
	w := event("a", "", progress.Waived, day(0))
	w.Reason = "r"
	r.Accept(learner, admin(), w)
	learn(r, learner, day(1), "u")
	if m := r.Module(learner, "a"); m.Credit != progress.CreditWaiver {
		t.Errorf("half of it learned: %s", m.Credit)
	}
	learn(r, learner, day(1), "v")
	if m := r.Module(learner, "a"); m.Credit != progress.CreditLearned || !m.CompleteTime.Equal(day(0)) {
		t.Errorf("all of it learned: %s since %s", m.Credit, m.CompleteTime)
	}
}

// A locked module says what opens it, wherever that is.
func TestNextNamesPrerequisitesOutsideOfThePath(t *testing.T) {
	t.Parallel()
	root, base, a := module1("root", unit("r")), module1("base", unit("b")), module1("a", unit("u"))
	base.Versions[0].Prerequisites, a.Versions[0].Prerequisites = []string{"root"}, []string{"base"}
	r := newRig(t, []progress.Module{root, base, a}, []progress.Path{path1("p", milestone("m", all("a")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	for _, want := range []progress.NextStep{
		{ModuleID: "root", UnitID: "r", Title: "Unit r", Reason: progress.StepPrerequisite},
		{ModuleID: "base", UnitID: "b", Title: "Unit b", Reason: progress.StepPrerequisite},
		{ModuleID: "a", UnitID: "u", Title: "Unit u", Reason: progress.StepStart},
	} {
		p := r.Path(learner, "p")
		if len(p.Next) != 1 || p.Next[0] != want {
			t.Errorf("next is %+v, want %+v", p.Next, want)
		}
		r.Accept(learner, self(learner), event(want.ModuleID, want.UnitID, progress.Completed, day(1)))
	}
}

// So does one that waits for a module of a group that has enough without it.
func TestNextNamesPrerequisitesThatAGroupHasEnoughWithout(t *testing.T) {
	t.Parallel()
	last := module1("last", unit("u"))
	last.Versions[0].Prerequisites = []string{"other"}
	r := newRig(t, []progress.Module{module1("one", unit("u")), module1("other", unit("u")), last}, []progress.Path{
		path1("p", milestone("m", kOf(1, "one", "other"), all("last"))),
	})
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("one", "u", progress.Completed, day(1)))
	want := progress.NextStep{ModuleID: "other", UnitID: "u", Title: "Unit u", Reason: progress.StepPrerequisite}
	if p := r.Path(learner, "p"); len(p.Next) != 1 || p.Next[0] != want {
		t.Errorf("next is %+v, want %+v", p.Next, want)
	}
}

// Withdrawn enrollments are no quota, and the list has pages.
func TestWithdrawnEnrollmentsAreNoQuota(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a")))})
	learner := newLearner()
	const times = 1005
	for range times {
		e := r.Enroll(learner, "p")
		withdraw(r, learner, e.ID)
	}
	last := r.Enroll(learner, "p")
	var listed []progress.Enrollment
	var after progress.EnrollmentPlace
	for {
		page, err := r.Service.EnrollmentRows(r.Ctx, learner, after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		listed, after = append(listed, page...), page[len(page)-1].Place()
	}
	if len(listed) != times+1 || listed[times].ID != last.ID {
		t.Errorf("listed are %d", len(listed))
	}
}

// A module that older ones stand for wants renewing like any other, also when no path of the learner's has it.
func TestWhatAnEquivalenceStandsForIsDue(t *testing.T) {
	t.Parallel()
	old, union := courseOf(nil), module1("union", unit("u"))
	union.Versions[0].Credits, union.Versions[0].Currency = [][]string{{"a"}}, yearly(progress.BasisCompletion)
	r := newRig(t, []progress.Module{old, union}, nil)
	learner := newLearner()
	learn(r, learner, utc("2019-06-01T08:00:00Z"), "u", "v")
	if due := overviewOf(r, learner).Due; len(due) != 1 || due[0].ModuleID != "union" || due[0].Currency.State != progress.CurrencyExpired {
		t.Errorf("due are %+v", due)
	}
}
