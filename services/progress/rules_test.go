package progress_test

import (
	"errors"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

func percentOf(t *testing.T, p *int) int {
	t.Helper()
	if p == nil {
		t.Fatal("no percent")
	}
	return *p
}

// Percent rules 1, 2 and 3: k-of-n beside "all" groups, each module once, 100 only when all is done.
func TestPercentRule1CountsDistinctModulesAndKOfN(t *testing.T) {
	t.Parallel()
	modules := []progress.Module{
		module1("a", unit("u")),
		module1("b", unit("u")),
		module1("c", unit("u")),
		module1("d", unit("u")),
		module1("e", unit("u")),
	}
	r := newRig(t, modules, []progress.Path{path1("p",
		milestone("m1", all("a", "b")),
		milestone("m2", kOf(2, "b", "c", "d"), all("a")),
		milestone("m3", kOf(1, "e", "d")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	// F = {a, b}; the group {b, c, d} asks for 2, of which b is in F: 1 more; {e, d} asks for 1.
	steps := []struct {
		module                       string
		completed, required, percent int
	}{{"", 0, 4, 0}, {"a", 1, 4, 25}, {"c", 2, 4, 50}, {"b", 3, 4, 75}, {"e", 4, 4, 100}, {"d", 4, 4, 100}}
	for i, s := range steps {
		if s.module != "" {
			r.Accept(learner, self(learner), event(s.module, "u", progress.Completed, day0.Add(time.Duration(i)*time.Minute)))
		}
		p := r.Path(learner, "p")
		if p.Completed != s.completed || p.Required != s.required || percentOf(t, p.Percent()) != s.percent {
			t.Errorf("after %q: %d of %d, %d %%; want %+v", s.module, p.Completed, p.Required, *p.Percent(), s)
		}
	}
	p := r.Path(learner, "p")
	if p.State != progress.EnrollmentCompleted {
		t.Errorf("state %s, want COMPLETED", p.State)
	}
	for _, m := range p.Milestones {
		if m.Award == nil {
			t.Errorf("milestone %s has no award", m.ID)
		}
	}
}

// Percent rule 1: a module's percent is by the weight of its required units.
func TestPercentRule1ModuleIsByUnitWeight(t *testing.T) {
	t.Parallel()
	heavy, light, optional := unit("heavy"), unit("light"), unit("optional")
	heavy.Weight, light.Weight, optional.Required = 0.57, 0.43, false
	r := newRig(t, []progress.Module{module1("a", heavy, light, optional)}, nil)
	learner := newLearner()
	r.Accept(learner, self(learner), event("a", "optional", progress.Completed, day0))
	if got := percentOf(t, r.Module(learner, "a").Percent); got != 0 {
		t.Errorf("an optional unit counted: %d %%", got)
	}
	r.Accept(learner, self(learner), event("a", "heavy", progress.Completed, day0.Add(time.Second)))
	if got := percentOf(t, r.Module(learner, "a").Percent); got != 57 {
		t.Errorf("%d %%, want 57", got)
	}
}

// Percent rule 3: everything but a sliver is 99, not 100.
func TestPercentRule3IsHundredOnlyWhenAllIsDone(t *testing.T) {
	t.Parallel()
	big, sliver := unit("big"), unit("sliver")
	big.Weight, sliver.Weight = 1000, 0.001
	r := newRig(t, []progress.Module{module1("a", big, sliver)}, nil)
	learner := newLearner()
	r.Accept(learner, self(learner), event("a", "big", progress.Completed, day0))
	if m := r.Module(learner, "a"); percentOf(t, m.Percent) != 99 || m.State != progress.StateInProgress {
		t.Errorf("%d %% %s", *m.Percent, m.State)
	}
}

// Percent rule 4: nothing required is no percent, and never complete.
func TestPercentRule4EmptyIsNeverComplete(t *testing.T) {
	t.Parallel()
	optional := unit("u")
	optional.Required = false
	r := newRig(t, []progress.Module{module1("a", optional)}, []progress.Path{path1("p", milestone("m"))})
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0))
	p := r.Path(learner, "p")
	if p.Percent() != nil || p.State != progress.EnrollmentNotApplicable || p.Milestones[0].Award != nil {
		t.Errorf("empty path: percent %v, state %s, award %v", p.Percent(), p.State, p.Milestones[0].Award)
	}
	if m := r.Module(learner, "a"); m.Percent != nil || m.State == progress.StateCompleted {
		t.Errorf("empty module: percent %v, state %s", m.Percent, m.State)
	}
}

// Percent rule 5, and LOCKED with what blocks it.
func TestPercentRule5LockedModulesStayInTheDenominator(t *testing.T) {
	t.Parallel()
	later := module1("later", unit("u"))
	later.Versions[0].Prerequisites = []string{"first", "second"}
	r := newRig(
		t,
		[]progress.Module{module1("first", unit("u")), module1("second", unit("u")), later},
		[]progress.Path{path1("p", milestone("m", all("first", "later")))},
	)
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("second", "u", progress.Completed, day0))
	p := r.Path(learner, "p")
	locked := p.Milestones[0].Modules[1]
	if locked.State != progress.StateLocked || !reflect.DeepEqual(locked.BlockedBy, []string{"first"}) || p.Required != 2 {
		t.Errorf("%+v, required %d", locked, p.Required)
	}
	// Events for a locked module count all the same: it is then begun, not locked.
	r.Accept(learner, self(learner), event("later", "u", progress.Initialized, day0))
	if got := r.Path(learner, "p").Milestones[0].Modules[1]; got.State != progress.StateInProgress || len(got.BlockedBy) != 0 {
		t.Errorf("begun but %+v", got)
	}
}

// Percent rule 6: a fall after a void carries what it was and why, until it is regained.
func TestPercentRule6FallAfterAVoidIsExplained(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u")), module1("b", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a", "b")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	done := event("a", "u", progress.Completed, day0)
	r.Accept(learner, self(learner), done)
	void := progress.Event{
		ID:           newLearner(),
		Verb:         progress.Voided,
		VoidsEventID: done.ID,
		Reason:       "recorded for the wrong person",
		OccurredAt:   day(1),
	}
	r.Accept(learner, admin(), void)
	p := r.Path(learner, "p")
	if percentOf(t, p.Percent()) != 0 || p.PreviousPercent == nil || *p.PreviousPercent != 50 || p.PercentChange == nil {
		t.Fatalf("after the void: %d %%, previous %v, %+v", *p.Percent(), p.PreviousPercent, p.PercentChange)
	}
	if m := r.Module(learner, "a"); percentOf(t, m.Percent) != 0 || m.PreviousPercent == nil || *m.PreviousPercent != 100 {
		t.Errorf("the module: %d %%, previous %v", *m.Percent, m.PreviousPercent)
	}
	r.Accept(learner, self(learner), event("b", "u", progress.Completed, day0))
	if p := r.Path(learner, "p"); p.PreviousPercent != nil {
		t.Errorf("regained, yet previous percent %d", *p.PreviousPercent)
	}
}

// So does a fall by several voids that were sent together, whatever is between them.
func TestPercentRule6FallAfterVoidsTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"), unit("v"), unit("w"))}, nil)
	learner := newLearner()
	u, v, w := event("a", "u", progress.Completed, day0), event("a", "v", progress.Completed, day0), event("a", "w", progress.Completed, day0)
	r.Accept(learner, self(learner), u, v)
	undo := func(e progress.Event) progress.Event {
		return progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: e.ID, Reason: "r", OccurredAt: day0}
	}
	w.Reason = "r"
	falls := func(want int) {
		if m := r.Module(learner, "a"); m.PreviousPercent == nil || *m.PreviousPercent != want || m.PercentChange.Code != progress.ChangeVoided {
			t.Errorf("%d %%, previous %v, %+v, want %d", *m.Percent, m.PreviousPercent, m.PercentChange, want)
		}
	}
	r.Accept(learner, admin(), undo(u), undo(v))
	falls(66)
	x, y, z := event("a", "u", progress.Completed, day0), event("a", "v", progress.Completed, day0), event("a", "w", progress.Completed, day0)
	x.Reason, y.Reason, z.Reason = "r", "r", "r"
	r.Accept(learner, admin(), w, undo(w), x, y, z, undo(y))
	falls(100)
}

// Percent rule 7, cycles and currency: expiry lowers nothing, a renewal opens a cycle of its own.
func TestPercentRule7ExpiryNeverLowersPercent(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	a.Versions[0].Currency = &progress.CurrencyPolicy{
		Period: mustPeriod("P1Y"),
		Window: mustPeriod("P30D"),
		Grace:  mustPeriod("P14D"),
		Basis:  progress.BasisPriorExpiry,
	}
	r := newRig(t, []progress.Module{a}, []progress.Path{path1("p", milestone("m", all("a")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0), event("a", "v", progress.Completed, day0))
	expire := day0.AddDate(1, 0, 0)
	for _, s := range []struct {
		at   time.Time
		want progress.CurrencyState
	}{
		{day(2), progress.CurrencyCurrent},
		{expire.AddDate(0, 0, -30), progress.CurrencyDueSoon},
		{expire, progress.CurrencyGrace},
		{expire.AddDate(0, 0, 14), progress.CurrencyExpired},
	} {
		r.Clock.Set(s.at)
		p := r.Path(learner, "p")
		m := p.Milestones[0].Modules[0]
		if m.Currency == nil || m.Currency.State != s.want || percentOf(t, p.Percent()) != 100 || m.State != progress.StateCompleted ||
			p.Milestones[0].Award == nil {
			t.Errorf("at %s: %+v, %d %%", s.at, m.Currency, *p.Percent())
		}
	}
	// Renewing ten days early loses no days.
	r.Clock.Set(expire.AddDate(0, 0, -9))
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, expire.AddDate(0, 0, -10)))
	m := r.Module(learner, "a")
	if len(m.Cycles) != 2 || percentOf(t, m.Cycles[1].Percent) != 50 || percentOf(t, m.Percent) != 100 {
		t.Fatalf("in renewal: %+v", m.Cycles)
	}
	r.Accept(learner, self(learner), event("a", "v", progress.Completed, expire.AddDate(0, 0, -9)))
	if got := r.Module(learner, "a").Cycles[1].ExpireTime; !got.Equal(day0.AddDate(2, 0, 0)) {
		t.Errorf("renewed until %s", got)
	}
}

// Percent rule 8: waivers and equivalences count in full, and say so.
func TestPercentRule8WaiversAndEquivalencesAreLabelled(t *testing.T) {
	t.Parallel()
	whole := module1("whole", unit("u"), unit("v"))
	whole.Versions[0].Credits = [][]string{{"half1", "half2"}}
	r := newRig(t, []progress.Module{module1("waived", unit("u"), unit("v")), whole, module1("half1", unit("u")), module1("half2", unit("u"))},
		[]progress.Path{path1("p", milestone("m", all("waived", "whole")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	waive := event("waived", "", progress.Waived, day0)
	if got := r.Record(learner, self(learner), waive).Results[0]; got.Reason != errs.ReasonForbiddenVerb {
		t.Errorf("waiving one's own: %+v", got)
	}
	if got := r.Record(learner, admin(), waive).Results[0]; got.Reason != errs.ReasonForbiddenVerb {
		t.Errorf("waiving without a reason: %+v", got)
	}
	waive.Reason = "holds a board certification"
	r.Accept(learner, admin(), waive)
	r.Accept(learner, self(learner), event("half1", "u", progress.Completed, day0), event("half2", "u", progress.Completed, day(1)))
	modules := r.Path(learner, "p").Milestones[0].Modules
	if modules[0].Credit != progress.CreditWaiver || modules[0].State != progress.StateCompleted {
		t.Errorf("waived: %+v", modules[0])
	}
	if modules[1].Credit != progress.CreditEquivalence || !modules[1].CompleteTime.Equal(day(1)) {
		t.Errorf("equivalent: %+v", modules[1])
	}
}

// Percent rule 9: as_of_sequence and path_version come from one snapshot, and the ETag changes with every write.
func TestPercentRule9AnswersCarryTheirSequence(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"), unit("v"))}, []progress.Path{path1("p", milestone("m", all("a")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	ask := func() (*progress.PathProgress, string) {
		return rigtest.Read(r, learner, "path/p", func(w *progress.View) (*progress.PathProgress, error) { return w.Path("p") })
	}
	p1, e1 := ask()
	_, again := ask()
	r.Accept(learner, self(learner), event("a", "u", progress.Initialized, day0))
	p2, e2 := ask()
	if p1.AsOfSequence != 1 || p2.AsOfSequence != 2 || e1 != again || e1 == e2 || p2.Enrollment.PathVersion != 1 {
		t.Errorf("sequences %d, %d; etags %s %s %s", p1.AsOfSequence, p2.AsOfSequence, e1, again, e2)
	}
}

func TestMoveOnRules(t *testing.T) {
	t.Parallel()
	rules := map[progress.MoveOn][]struct {
		verbs []progress.Verb
		done  bool
	}{
		progress.MoveOnCompleted: {{[]progress.Verb{progress.Passed}, false}, {[]progress.Verb{progress.Completed}, true}},
		progress.MoveOnPassed: {
			{[]progress.Verb{progress.Completed}, false},
			{[]progress.Verb{progress.Failed}, false},
			{[]progress.Verb{progress.Failed, progress.Passed, progress.Failed}, true},
		},
		progress.MoveOnCompletedAndPassed: {
			{[]progress.Verb{progress.Completed}, false},
			{[]progress.Verb{progress.Completed, progress.Passed}, true},
		},
		progress.MoveOnCompletedOrPassed: {
			{[]progress.Verb{progress.Failed}, false},
			{[]progress.Verb{progress.Passed}, true},
			{[]progress.Verb{progress.Completed}, true},
		},
	}
	for rule, cases := range rules {
		for _, c := range cases {
			u := unit("u")
			u.MoveOn = rule
			r := newRig(t, []progress.Module{module1("a", u)}, nil)
			learner := newLearner()
			for i, v := range c.verbs {
				e := event("a", "u", v, day0.Add(time.Duration(i)*time.Minute))
				e.Progress = new(1.0) // PROGRESSED to the end completes nothing
				r.Accept(learner, self(learner), e)
			}
			if got := r.Module(learner, "a").State == progress.StateCompleted; got != c.done {
				t.Errorf("%s after %v: done %v", rule, c.verbs, got)
			}
		}
	}
}

func TestProgressedToTheEndDoesNotComplete(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	learner := newLearner()
	e := event("a", "u", progress.Progressed, day0)
	e.Progress = new(1.0)
	r.Accept(learner, self(learner), e)
	if m := r.Module(learner, "a"); m.State != progress.StateInProgress || *m.Units[0].Progress != 1 {
		t.Errorf("%+v", m)
	}
}

// MINOR and MATERIAL versions in flight.
func TestCreditCrossesVersionsUnlessAMaterialOneInvalidatedIt(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	same := unit("u")
	same.Changed = false
	minor := version(2, day(10), same, unit("v"), unit("w"))
	material := version(3, day(20), same, unit("v"), unit("w"))
	material.Material = true
	material.Units[2].Changed = false
	a.Versions = append(a.Versions, minor, material)
	r := newRig(t, []progress.Module{a}, nil)
	learner := newLearner()
	r.Clock.Set(day(15))
	r.Accept(learner, self(learner), onVersion(event("a", "u", progress.Completed, day(1)), 1))
	r.Accept(learner, self(learner), onVersion(event("a", "w", progress.Completed, day(11)), 2))
	// On version 2: u by its id from version 1, and w: 2 of 3. On version 1: u of 2.
	if m := r.Module(learner, "a"); m.Version != 2 || percentOf(t, m.Percent) != 66 {
		t.Errorf("version %d, %d %%", m.Version, *m.Percent)
	}
	// The MATERIAL version takes effect: v is new again, u and w keep their credit.
	r.Clock.Set(day(21))
	r.Accept(learner, self(learner), onVersion(event("a", "v", progress.Completed, day(12)), 1))
	if m := r.Module(learner, "a"); m.State != progress.StateCompleted || m.Cycles[0].Version != 2 && m.Cycles[0].Version != 1 {
		t.Errorf("completed before the MATERIAL version took effect: %+v", m)
	}
	if m := r.Module(learner, "a"); m.Currency == nil || m.Currency.State != progress.CurrencySuperseded {
		t.Errorf("currency %+v, want SUPERSEDED", m.Currency)
	}
	r.Accept(learner, self(learner), onVersion(event("a", "u", progress.Initialized, day(21)), 3))
	m := r.Module(learner, "a")
	if len(m.Cycles) != 2 || percentOf(t, m.Cycles[1].Percent) != 66 || percentOf(t, m.Percent) != 100 {
		t.Fatalf("MATERIAL cycle: %+v", m.Cycles)
	}
	r.Accept(learner, self(learner), onVersion(event("a", "v", progress.Completed, day(21)), 3))
	if m := r.Module(learner, "a"); m.Cycles[1].CompleteTime.IsZero() || m.Currency.State != progress.CurrencyCurrent {
		t.Errorf("relearned: %+v, %+v", m.Cycles, m.Currency)
	}
}

// Percent rule 6 for a module: what a MATERIAL version takes away is explained until it is regained.
func TestMaterialVersionTakesOverWhatIsNotDone(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	material := version(2, day(10), unit("u"), unit("v"))
	material.Material, material.RetakeAll = true, true
	a.Versions = append(a.Versions, material)
	r := newRig(t, []progress.Module{a}, nil)
	learner := newLearner()
	r.Clock.Set(day(5))
	r.Accept(learner, self(learner), onVersion(event("a", "u", progress.Completed, day(1)), 1))
	if got := percentOf(t, r.Module(learner, "a").Percent); got != 50 {
		t.Errorf("before: %d %%", got)
	}
	r.Clock.Set(day(11))
	m := r.Module(learner, "a")
	if percentOf(t, m.Percent) != 0 || m.Version != 2 || m.PreviousPercent == nil || *m.PreviousPercent != 50 || m.PercentChange == nil {
		t.Errorf("after: %d %% on version %d, before it %v: %+v", *m.Percent, m.Version, m.PreviousPercent, m.PercentChange)
	}
	r.Accept(learner, self(learner), onVersion(event("a", "v", progress.Completed, day(11)), 1))
	if m := r.Module(learner, "a"); m.State != progress.StateInProgress {
		t.Errorf("finished on an outdated version: %s", m.State)
	}
	r.Accept(learner, self(learner), onVersion(event("a", "u", progress.Completed, day(11)), 2))
	if m := r.Module(learner, "a"); percentOf(t, m.Percent) != 50 || m.PreviousPercent != nil {
		t.Errorf("regained: %d %%, previous %v", *m.Percent, m.PreviousPercent)
	}
}

// The usual roll-out of a revised module: published, learned by some, and only then in effect.
func TestWhoLearnedAMaterialVersionBeforeItsEffectIsCurrent(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	material := version(2, day(10), unit("u"), unit("v"))
	material.Material, material.RetakeAll, material.EffectiveTime = true, true, day(40)
	a.Versions = append(a.Versions, material)
	r := newRig(t, []progress.Module{a}, nil)
	early, late := newLearner(), newLearner()
	r.Clock.Set(day(20))
	for _, learner := range []string{early, late} {
		r.Accept(learner, self(learner), onVersion(event("a", "u", progress.Completed, day(1)), 1), onVersion(event("a", "v", progress.Completed, day(1)), 1))
	}
	r.Accept(early, self(early), onVersion(event("a", "u", progress.Completed, day(15)), 2), onVersion(event("a", "v", progress.Completed, day(16)), 2))
	if m := r.Module(early, "a"); len(m.Cycles) != 1 || m.Currency.State != progress.CurrencyCurrent {
		t.Errorf("before it takes effect: %+v", m.Cycles)
	}
	r.Clock.Set(day(41))
	m := r.Module(early, "a")
	if len(m.Cycles) != 2 || m.Cycles[1].Version != 2 || !m.Cycles[1].CompleteTime.Equal(day(40)) || m.Currency.State != progress.CurrencyCurrent {
		t.Errorf("learned in time: %+v, %+v", m.Cycles, m.Currency)
	}
	if m := r.Module(late, "a"); len(m.Cycles) != 1 || m.Version != 1 || m.Currency.State != progress.CurrencySuperseded {
		t.Errorf("not learned: version %d, %+v, %+v", m.Version, m.Cycles, m.Currency)
	}
}

// What was stored stays a DUPLICATE, whatever the catalog says of it since.
func TestAStoredEventIsADuplicateEvenWhenItWouldBeRejectedNow(t *testing.T) {
	t.Parallel()
	quiz := unit("q")
	quiz.MoveOn, quiz.MasteryScore = progress.MoveOnPassed, new(0.7)
	a := module1("a", quiz)
	r := newRig(t, []progress.Module{a}, nil)
	learner := newLearner()
	passed := event("a", "q", progress.Passed, day(30)) // a clock that runs ahead
	passed.Score = new(0.75)
	r.Accept(learner, self(learner), passed)
	strict := version(2, day(2), quiz)
	strict.Units[0].MasteryScore = new(0.8)
	a.Versions = append(a.Versions, strict)
	r.Catalog.Publish([]progress.Module{a}, nil)
	r.Refresh()
	r.Clock.Set(day(3))
	other := event("a", "q", progress.Passed, day(30))
	other.Score = new(0.75)
	out := r.Record(learner, self(learner), passed, other)
	if out.Results[0].Status != progress.StatusDuplicate || out.Results[1].Reason != errs.ReasonBelowMasteryScore {
		t.Errorf("%+v", out.Results)
	}
}

// A caller's own fault in a group of commits is nobody else's.
func TestAnUnknownPathHarmsNobodyInItsGroup(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	r.Refresh()
	r.Catalog.Fail(errs.New(errs.Unavailable, "", "down"))
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			learner := newLearner()
			if i%2 == 0 {
				if _, err := r.TryEnroll(learner, "nosuch", idem.Key{Caller: learner, Method: "m", Key: "k"}); errs.KindOf(err) != errs.Unavailable {
					t.Errorf("enrolling: %v", err)
				}
				return
			}
			r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0))
		})
	}
	wg.Wait()
}

func TestAcceptanceReasons(t *testing.T) {
	t.Parallel()
	quiz := unit("q")
	quiz.MoveOn, quiz.MasteryScore = progress.MoveOnPassed, new(0.8)
	r := newRig(t, []progress.Module{module1("a", unit("u"), quiz)}, nil)
	learner := newLearner()
	stored := event("a", "u", progress.Completed, day0)
	r.Accept(learner, self(learner), stored)
	void := progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: stored.ID, Reason: "r", OccurredAt: day0}
	r.Accept(learner, admin(), void)
	change := func(f func(*progress.Event)) progress.Event {
		e := event("a", "u", progress.Completed, day0)
		f(&e)
		return e
	}
	nan := 0.0
	nan /= nan
	reused := stored
	reused.UnitID = "q"
	cases := []struct {
		name  string
		e     progress.Event
		actor progress.Actor
		want  string
	}{
		{"unknown module", change(func(e *progress.Event) { e.ModuleID = "zz" }), self(learner), errs.ReasonUnknownModule},
		{"unknown version", change(func(e *progress.Event) { e.ModuleVersion = 9 }), self(learner), errs.ReasonUnknownVersion},
		{"unknown unit", change(func(e *progress.Event) { e.ModuleVersion, e.UnitID = 1, "zz" }), self(learner), errs.ReasonUnknownUnit},
		{"unknown unit in any version", change(func(e *progress.Event) { e.UnitID = "zz" }), self(learner), errs.ReasonUnknownUnit},
		{"unit ids are case sensitive", change(func(e *progress.Event) { e.UnitID = "U" }), self(learner), errs.ReasonUnknownUnit},
		{"no verb", change(func(e *progress.Event) { e.Verb = "" }), self(learner), errs.ReasonMalformed},
		{"no time", change(func(e *progress.Event) { e.OccurredAt = time.Time{} }), self(learner), errs.ReasonMalformed},
		{"score over 1", change(func(e *progress.Event) { e.Score = new(1.01) }), self(learner), errs.ReasonMalformed},
		{"score NaN", change(func(e *progress.Event) { e.Score = &nan }), self(learner), errs.ReasonMalformed},
		{"NUL", change(func(e *progress.Event) { e.DeviceID = "a\x00" }), self(learner), errs.ReasonMalformed},
		{"no unit", change(func(e *progress.Event) { e.UnitID = "" }), self(learner), errs.ReasonMalformed},
		{
			"below mastery",
			change(func(e *progress.Event) { e.UnitID, e.Verb, e.Score = "q", progress.Passed, new(0.79) }),
			self(learner),
			errs.ReasonBelowMasteryScore,
		},
		{
			"FAILED though the mastery score is reached",
			change(func(e *progress.Event) { e.UnitID, e.Verb, e.Score = "q", progress.Failed, new(0.8) }),
			self(learner),
			errs.ReasonMasteryScoreReached,
		},
		{"score below 0", change(func(e *progress.Event) { e.Score = new(-0.01) }), self(learner), errs.ReasonMalformed},
		{"score infinite", change(func(e *progress.Event) { e.Score = new(math.Inf(1)) }), self(learner), errs.ReasonMalformed},
		{"progress over 1", change(func(e *progress.Event) { e.Progress = new(1.5) }), self(learner), errs.ReasonMalformed},
		{"a waiver without reason", change(func(e *progress.Event) { e.Verb = progress.Waived }), admin(), errs.ReasonForbiddenVerb},
		{"a reason of nothing but space", change(func(e *progress.Event) { e.Verb, e.Reason = progress.Waived, " \t" }), admin(), errs.ReasonForbiddenVerb},
		{"an admin's event without reason", change(func(*progress.Event) {}), admin(), errs.ReasonForbiddenVerb},
		{"an own waiver", change(func(e *progress.Event) { e.Verb, e.Reason = progress.Waived, "r" }), self(learner), errs.ReasonForbiddenVerb},
		{"a clock before 1970", change(func(e *progress.Event) { e.OccurredAt = time.Unix(-1, 0) }), self(learner), errs.ReasonMalformed},
		{"a clock after 9999", change(func(e *progress.Event) { e.OccurredAt = day0.AddDate(9000, 0, 0) }), self(learner), errs.ReasonMalformed},
		{"somebody else's", change(func(*progress.Event) {}), self(newLearner()), errs.ReasonForbiddenVerb},
		{
			"own void",
			progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: stored.ID, Reason: "r", OccurredAt: day0},
			self(learner),
			errs.ReasonForbiddenVerb,
		},
		{"reused id", reused, self(learner), errs.ReasonEventIDReused},
		{
			"void of nothing",
			progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: newLearner(), Reason: "r", OccurredAt: day0},
			admin(),
			errs.ReasonVoidTargetUnknown,
		},
		{
			"void of a void",
			progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: void.ID, Reason: "r", OccurredAt: day0},
			admin(),
			errs.ReasonNotVoidable,
		},
		{
			"voided twice",
			progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: stored.ID, Reason: "r", OccurredAt: day0},
			admin(),
			errs.ReasonAlreadyVoided,
		},
	}
	var events []progress.Event
	for _, c := range cases {
		got := r.Record(learner, c.actor, c.e).Results[0]
		if got.Status != progress.StatusRejected || got.Reason != c.want || got.Description == "" {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
		events = append(events, c.e)
	}
	// One bad event never sinks the others.
	good := event("a", "u", progress.Completed, day0)
	out := r.Record(learner, self(learner), append(events[:5:5], good)...)
	if last := out.Results[len(out.Results)-1]; last.Status != progress.StatusAccepted || last.EventID != good.ID {
		t.Errorf("the good one among bad ones: %+v", last)
	}
}

func TestUnknownIsRetryWhileTheCatalogCannotBeReached(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	learner := newLearner()
	r.Refresh()
	r.Catalog.Publish([]progress.Module{module1("new", unit("u"))}, nil)
	r.Catalog.Fail(errs.New(errs.Unavailable, "", "down"))
	known, unknown := event("a", "u", progress.Completed, day0), event("new", "u", progress.Completed, day0)
	out := r.Record(learner, self(learner), unknown, known)
	if out.Results[0].Status != progress.StatusRetry || out.Results[0].Reason != errs.ReasonCatalogBehind ||
		out.Results[1].Status != progress.StatusAccepted {
		t.Fatalf("%+v", out.Results)
	}
	r.Catalog.Fail(nil)
	r.Accept(learner, self(learner), unknown)
}

func TestEffectiveTime(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"))
	a.Versions = append(a.Versions, version(2, day(5), unit("u"), unit("extra")))
	r := newRig(t, []progress.Module{a}, nil)
	received := day(7)
	r.Clock.Set(received)
	cases := []struct {
		name          string
		at, effective time.Time
		actor         func(string) progress.Actor
		Unit          string
		Version, want int
	}{
		{"as the device says", day(6), day(6), self, "u", 0, 2},
		{"four minutes ahead", received.Add(4 * time.Minute), received, self, "u", 0, 2},
		{"six minutes ahead", received.Add(6 * time.Minute), received, self, "u", 0, 2},
		{"the version of then", day(3), day(3), self, "u", 0, 1},
		{"not before its version was published", day(3), day(5), self, "u", 2, 2},
		{"the oldest that has the unit", day(3), day(5), self, "extra", 0, 2},
		{"years before the module", day(-4000), day0, self, "u", 0, 1},
		{"an admin may say so", day(-10), day(-10), func(string) progress.Actor { return admin() }, "u", 1, 1},
	}
	for _, c := range cases {
		learner := newLearner()
		e := event("a", c.Unit, progress.Completed, c.at)
		e.ModuleVersion, e.Reason = c.Version, "r"
		r.Accept(learner, c.actor(learner), e)
		records, _, err := r.Service.History(r.Ctx, learner, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		got := records[0]
		if !got.EffectiveAt.Equal(c.effective) || got.Event.ModuleVersion != c.want || got.Adjusted != (c.effective.Sub(c.at).Abs() > 5*time.Minute) ||
			!got.Event.OccurredAt.Equal(c.at) {
			t.Errorf("%s: effective %s (adjusted %v) version %d", c.name, got.EffectiveAt, got.Adjusted, got.Event.ModuleVersion)
		}
	}
}

func TestAwardsLatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u")), module1("b", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a", "b")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	ea, eb := event("a", "u", progress.Completed, day0), event("b", "u", progress.Completed, day0.Add(time.Hour))
	r.Accept(learner, self(learner), ea)
	out := r.Accept(learner, self(learner), eb)
	if len(out.Awards) != 1 || out.Awards[0].ID != progress.AwardID(learner, "p", "m", 0) || !out.Awards[0].AwardTime.Equal(eb.OccurredAt) ||
		len(out.Awards[0].Completions) != 2 {
		t.Fatalf("awards %+v", out.Awards)
	}
	// A repeated delivery returns what the first one earned; another event's does not.
	if dup := r.Record(learner, self(learner), eb); dup.Results[0].Status != progress.StatusDuplicate || len(dup.Awards) != 1 {
		t.Errorf("duplicate: %+v", dup)
	}
	if dup := r.Record(learner, self(learner), ea); len(dup.Awards) != 0 {
		t.Errorf("the first event earned nothing, yet %+v", dup.Awards)
	}
	// An earlier completion that arrives late moves the award's time while its rule holds.
	early := event("b", "u", progress.Completed, day0.Add(time.Minute))
	r.Accept(learner, self(learner), early)
	if a := r.Path(learner, "p").Milestones[0].Award; !a.AwardTime.Equal(early.OccurredAt) {
		t.Errorf("award time %s", a.AwardTime)
	}
	// A void ends the rule; the award stays as it was.
	for _, id := range []string{eb.ID, early.ID} {
		r.Accept(learner, admin(), progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: id, Reason: "r", OccurredAt: day(1)})
	}
	p := r.Path(learner, "p")
	if a := p.Milestones[0].Award; a == nil || percentOf(t, p.Percent()) != 50 {
		t.Errorf("award %v at %d %%", a, *p.Percent())
	}
}

func TestEnrollingAfterTheFactsEarnsTheAwards(t *testing.T) {
	t.Parallel()
	r := newRig(
		t,
		[]progress.Module{module1("a", unit("u"))},
		[]progress.Path{path1("p", milestone("m", all("a"))), path1("q", milestone("m", all("a")))},
	)
	learner := newLearner()
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0))
	r.Enroll(learner, "p")
	r.Enroll(learner, "q")
	for _, id := range []string{"p", "q"} {
		if p := r.Path(learner, id); p.Milestones[0].Award == nil || percentOf(t, p.Percent()) != 100 {
			t.Errorf("path %s: %+v", id, p)
		}
	}
}

func TestEnrollmentsPinAndUpgrade(t *testing.T) {
	t.Parallel()
	p := path1("p", milestone("m", all("a")))
	r := newRig(t, []progress.Module{module1("a", unit("u")), module1("b", unit("u"))}, []progress.Path{p})
	learner := newLearner()
	e := r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0))
	if _, err := r.TryEnroll(learner, "p", idem.Key{}); errs.KindOf(err) != errs.AlreadyExists {
		t.Errorf("enrolled twice: %v", err)
	}
	p.Versions = append(p.Versions, progress.PathVersion{Number: 2, Title: "Two", Milestones: []progress.Milestone{milestone("m", all("a", "b"))}})
	r.Catalog.Publish(nil, []progress.Path{p})
	r.Refresh()
	got := r.Path(learner, "p")
	if percentOf(t, got.Percent()) != 100 || got.Upgrade == nil || !reflect.DeepEqual(got.Upgrade.AddedModuleIDs, []string{"b"}) {
		t.Fatalf("pinned: %d %%, upgrade %+v", *got.Percent(), got.Upgrade)
	}
	two, one := 2, 1
	up, err := r.Service.UpdateEnrollment(r.Ctx, learner, e.ID, self(learner), engine.EnrollmentChange{PathVersion: &two})
	if err != nil || up.PathVersion != 2 {
		t.Fatal(up, err)
	}
	got = r.Path(learner, "p")
	if percentOf(t, got.Percent()) != 50 || got.PreviousPercent == nil || *got.PreviousPercent != 100 || got.Milestones[0].Award == nil {
		t.Errorf("upgraded: %d %%, previous %v, award %v", *got.Percent(), got.PreviousPercent, got.Milestones[0].Award)
	}
	if _, err := r.Service.UpdateEnrollment(r.Ctx, learner, e.ID, self(learner), engine.EnrollmentChange{PathVersion: &one}); reasonOf(
		err,
	) != "UPGRADE_TO_OLDER" {
		t.Errorf("back to version 1: %v", err)
	}
	stale := engine.EnrollmentChange{Match: only(e.ETag()), PathVersion: &two}
	if _, err := r.Service.UpdateEnrollment(r.Ctx, learner, e.ID, self(learner), stale); reasonOf(err) != "ETAG_MISMATCH" {
		t.Errorf("an old etag: %v", err)
	}
	done := progress.EnrollmentCompleted
	if _, err := r.Service.UpdateEnrollment(r.Ctx, learner, e.ID, self(learner), engine.EnrollmentChange{State: &done}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("COMPLETED can be set: %v", err)
	}
	same := progress.EnrollmentActive
	back := engine.EnrollmentChange{State: &same, PathID: "p", PathVersion: &two, Match: only(up.ETag())}
	if again, err := r.Service.UpdateEnrollment(r.Ctx, learner, e.ID, self(learner), back); err != nil || again.ETag() != up.ETag() {
		t.Errorf("sending back what was read: %+v %v", again, err)
	}
	gone := progress.EnrollmentWithdrawn
	if _, err := r.Service.UpdateEnrollment(r.Ctx, learner, e.ID, self(learner), engine.EnrollmentChange{State: &gone}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Service.Read(r.Ctx, learner, "path/p", engine.AtLeast{}, func(w *progress.View) ([]byte, error) { _, err := w.Path("p"); return nil, err }); errs.KindOf(
		err,
	) != errs.NotFound {
		t.Errorf("withdrawn, yet %v", err)
	}
	if again := r.Enroll(learner, "p"); again.PathVersion != 2 || again.ID == e.ID {
		t.Errorf("enrolled again: %+v", again)
	}
}

func TestIdempotencyKeyOfEnrolling(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a")))})
	learner := newLearner()
	key := idem.Key{Caller: learner, Method: "m", Key: "k", Hash: [32]byte{1}}
	one, err := r.TryEnroll(learner, "p", key)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.TryEnroll(learner, "p", key)
	if err != nil || again.ID != one.ID {
		t.Errorf("repeated: %+v %v", again, err)
	}
	key.Hash = [32]byte{2}
	if _, err := r.TryEnroll(learner, "unknown", key); reasonOf(err) != errs.ReasonIdempotencyKeyReused {
		t.Errorf("reused: %v", err)
	}
}

func TestNextIsWhatIsBegunThenWhatIsOpen(t *testing.T) {
	t.Parallel()
	locked := module1("locked", unit("u"))
	locked.Versions[0].Prerequisites = []string{"open"}
	r := newRig(
		t,
		[]progress.Module{locked, module1("open", unit("u")), module1("begun", unit("u"), unit("v"))},
		[]progress.Path{path1("p", milestone("m", all("locked", "open", "begun")))},
	)
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("begun", "u", progress.Completed, day0))
	want := []progress.NextStep{
		{ModuleID: "begun", UnitID: "v", Title: "Unit v", Reason: progress.StepContinue},
		{ModuleID: "open", UnitID: "u", Title: "Unit u", Reason: progress.StepStart},
	}
	if got := r.Path(learner, "p").Next; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func opened() error { return nil }

func TestWatchTellsEveryEntryOnceAndResumes(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	learner := newLearner()
	r.Accept(learner, self(learner), event("a", "u", progress.Initialized, day0))
	stop := errors.New("enough")
	after := int64(0)
	seen := make(chan int64, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- r.Service.Watch(r.Ctx, engine.Watching{LearnerID: learner, After: &after}, opened, func(n engine.Notice) error {
			seen <- n.Sequence
			if n.Sequence == 3 {
				return stop
			}
			return nil
		})
	}()
	if got := <-seen; got != 1 {
		t.Fatalf("first %d", got)
	}
	r.Accept(learner, self(learner), event("a", "u", progress.Progressed, day0), event("a", "u", progress.Completed, day0))
	for want := int64(2); want <= 3; want++ {
		if got := <-seen; got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	}
	if err := <-ended; !errors.Is(err, stop) {
		t.Fatal(err)
	}
	beyond := int64(99)
	err := r.Service.Watch(r.Ctx, engine.Watching{LearnerID: learner, After: &beyond}, opened, func(n engine.Notice) error {
		if !n.Reset || n.Sequence != 3 {
			t.Errorf("%+v", n)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Error(err)
	}
}

// TestWatchFromNowOn writes at the moment at which a stream opens: now was before that.
func TestWatchFromNowOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	learner := newLearner()
	r.Accept(learner, self(learner), event("a", "u", progress.Initialized, day0))
	stop := errors.New("enough")
	err := r.Service.Watch(r.Ctx, engine.Watching{LearnerID: learner}, func() error {
		r.Accept(learner, self(learner), event("a", "u", progress.Progressed, day0))
		return nil
	}, func(n engine.Notice) error {
		if n.Sequence != 2 {
			t.Errorf("%+v", n)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Error(err)
	}
}

func TestEventIDsAreUniquePerLearnerOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	e := event("a", "u", progress.Completed, day0)
	for _, learner := range []string{newLearner(), newLearner()} {
		r.Accept(learner, self(learner), e)
	}
	both := uuid.Must(uuid.NewV7()).String()
	learner := newLearner()
	e.ID = both
	out := r.Record(learner, self(learner), e, e)
	if out.Results[0].Status != progress.StatusAccepted || out.Results[1].Status != progress.StatusDuplicate ||
		out.Results[0].Sequence != out.Results[1].Sequence {
		t.Errorf("%+v", out.Results)
	}
}

// The catalog, not an event, satisfies a rule: the award is latched all the same, and logged.
func TestSweepLatchesWhatNoEventDoes(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"))
	r := newRig(t, []progress.Module{a, module1("b", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a", "b")))})
	var learners []string
	for range 3 {
		learner := newLearner()
		learners = append(learners, learner)
		r.Enroll(learner, "p")
		r.Accept(learner, self(learner), event("b", "u", progress.Completed, day0))
	}
	a.State, a.Revision, a.Archives = progress.ModuleArchived, 2, []progress.ArchivePeriod{{ArchiveTime: day(1)}}
	r.Catalog.Publish([]progress.Module{a}, nil)
	r.Refresh()
	r.Clock.Set(day(1).Add(progress.SettleAfter))
	for _, learner := range learners {
		var award *progress.Award
		for deadline := testenv.Now().Add(20 * time.Second); (award == nil || award.Provisional) && testenv.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			award = r.Path(learner, "p").Milestones[0].Award
		}
		if award == nil || award.Provisional {
			t.Fatal("no award after the archiving")
		}
		records, _, err := r.Service.History(r.Ctx, learner, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		if last := records[len(records)-1]; last.Type != progress.RecordAwarded || last.Sequence != award.ToSequence || last.ActorID != "system" {
			t.Errorf("the log ends with %+v", last)
		}
	}
}

// only matches one etag.
func only(etag string) func(string) bool { return func(other string) bool { return other == etag } }
