package naivetest_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/naivetest"
)

// Random worlds come to all that the rules distinguish, within a few hundred.
func TestWorldsReachEveryRule(t *testing.T) {
	t.Parallel()
	met := map[string]int{}
	draw := rapid.Custom(func(t *rapid.T) naivetest.World { return naivetest.DrawWorld(t, me) })
	for seed := range 500 {
		w := draw.Example(seed)
		for _, s := range w.Steps {
			met[fmt.Sprintf("%T", s.Do)]++
		}
		r, _ := naivetest.Play(w)
		for _, m := range r.Modules {
			met[m.State]++
			met[m.Credit]++
			if m.Currency != nil {
				met[m.Currency.State]++
			}
			if m.Excused != nil {
				met["excused "+m.Excused.Reason]++
			}
			for _, c := range m.Cycles {
				met["cycle "+c.Opening]++
			}
		}
		for _, e := range r.Events {
			met["note "+e.Note]++
		}
		for _, e := range r.Enrollments {
			met["path "+e.State]++
		}
	}
	for _, what := range []string{
		"naivetest.PublishModule", "naivetest.PublishPath", "naivetest.Archive", "naivetest.Restore", "naivetest.Mandate", "naivetest.WithdrawMandate", "naivetest.Enroll",
		"naivetest.ChangeState", "naivetest.Upgrade", "naivetest.Move", "naivetest.Send", "naivetest.Void", "naivetest.Revoke",
		"naivetest.Reinstate", "naivetest.Wait",
		naivetest.Locked, naivetest.Available, naivetest.InProgress, naivetest.Completed,
		naivetest.Learned, naivetest.Equivalence, naivetest.Waiver,
		naivetest.Current, naivetest.DueSoon, naivetest.Grace, naivetest.Expired, naivetest.Superseded,
		"excused " + naivetest.Archived, "excused " + naivetest.AfterSunset,
		"cycle " + naivetest.First, "cycle " + naivetest.Renewal, "cycle " + naivetest.Material,
		"note ", "note " + naivetest.Archived, "note " + naivetest.AfterSunset, "note " + naivetest.RenewalEarly, "note " + naivetest.SupersededVersion,
		"path ACTIVE", "path " + naivetest.Completed, "path " + naivetest.NotApplicable,
	} {
		if met[what] == 0 {
			t.Errorf("%s: never", what)
		}
	}
}

// ∀ The order in which events arrive decides nothing.
func TestNaiveModelIsAJoin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want, in := naivetest.Play(naivetest.DrawWorld(t, me))
		in.Log = rapid.Permutation(in.Log).Draw(t, "order")
		if got := naivetest.Judge(in); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\nwant %+v", got, want)
		}
	})
}

// ∀ One more completion moves no expiry to an earlier date, but for the days of the window and of the
// grace: a renewal lasts a full period at least, but one in the grace from the prior expiry, and one in the
// window of what was renewed early from its own day. This is of one version with one required unit, and
// without dates of every n-th year, for a renewal keeps the years of such a date.
func TestNaiveMoreTrainingIsNoWorse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		p := rapid.Custom(naivetest.DrawPolicy).Draw(t, "policy")

		if p.Basis == progress.BasisFixedDate {
			p.Period, p.Window = mustPeriod("P1Y"), mustPeriod("P30D")
		}
		w.module("a", p)
		start := at("2019-12-30")
		w.Zone = rapid.SampledFrom(naivetest.ZoneNames).Draw(t, "zone")
		for range rapid.IntRange(2, 8).Draw(t, "completions") {
			w.completed("a", start.Add(time.Duration(rapid.IntRange(0, 24*800).Draw(t, "hour"))*time.Hour).Format(time.RFC3339))
		}
		with := lasts(w)
		i := rapid.IntRange(0, len(w.Log)-1).Draw(t, "left out")
		w.Log = slices.Delete(slices.Clone(w.Log), i, i+1)
		// A first completion of the same sitting may be hours earlier.
		if without := lasts(w); with.Add(p.Window.Approx() + p.Grace.Approx()).Before(without.AddDate(0, 0, -2)) {
			t.Fatalf("until %s, and without one until %s: %+v", with, without, p)
		}
	})
}

// lasts is when the module expires.
func lasts(w *world) time.Time {
	return naivetest.Judge(w.Input).Modules["a"].Currency.ExpireTime
}
