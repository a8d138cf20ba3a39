package progress_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
)

var updateTexts = flag.Bool("update", false, "write testdata/explanations.txt anew")

// story is a learner on path p with module a, and what happens to them.
type story struct {
	*rig

	learner string
	module  progress.Module
}

// now publishes the module as it is, at a time.
func (s *story) now(at time.Time) {
	s.T.Helper()
	s.Clock.Set(at)
	s.module.Revision = s.Catalog.Delta.Revision + 1
	s.Catalog.Publish([]progress.Module{s.module}, nil)
	s.Refresh()
}

// did records an event of the learner's own at the time that it happened.
func (s *story) did(unit string, verb progress.Verb, version int, at time.Time, score ...float64) string {
	s.T.Helper()
	e := onVersion(event("a", unit, verb, at), version)
	for _, f := range score {
		e.Score = &f
	}
	s.Accept(s.learner, self(s.learner), e)
	return e.ID
}

// expiring completes the module, of a policy, on day 10, and lets time pass to so many days after it ran out.
func (s *story) expiring(policy *progress.CurrencyPolicy, after int) {
	s.T.Helper()
	const done = 10
	s.module.Versions[0].Currency = policy
	s.now(day(done))
	s.did("u", progress.Completed, 1, day(done))
	s.did("v", progress.Completed, 1, day(done))
	s.Clock.Set(day(done).AddDate(1, 0, after))
}

func (s *story) waive(unit string, at time.Time, reason string) {
	s.T.Helper()
	e := event("a", unit, progress.Waived, at)
	e.Reason = reason
	s.Accept(s.learner, admin(), e)
}

// material makes the next version one that changes class MATERIAL.
func material(v progress.ModuleVersion, effective time.Time, retakeAll bool) progress.ModuleVersion {
	v.Material, v.RetakeAll, v.EffectiveTime = true, retakeAll, effective
	return v
}

func unchangedUnit(id string) progress.Unit {
	u := unit(id)
	u.Changed = false
	return u
}

func quizUnit(id string, rule progress.MoveOn) progress.Unit {
	u := unit(id)
	u.MoveOn, u.MasteryScore = rule, new(0.8)
	return u
}

// tales are what can happen to a learner: each adds to an empty beginning.
func tales() []struct {
	name string
	tell func(*story)
} {
	yearly := &progress.CurrencyPolicy{Period: mustPeriod("P1Y"), Window: mustPeriod("P30D"), Grace: mustPeriod("P14D"), Basis: progress.BasisCompletion}
	return []struct {
		name string
		tell func(*story)
	}{
		{"nothing yet", func(*story) {}},
		{"half done, by weight, with an optional unit", func(s *story) {
			heavy, optional := unit("v"), unit("w")
			heavy.Weight, optional.Required = 2, false
			s.module = module1("a", unit("u"), heavy, optional)
			s.now(day(2))
			s.did("u", progress.Completed, 1, day(1))
			e := event("a", "v", progress.Progressed, day(2))
			e.Progress = new(0.4)
			s.Accept(s.learner, self(s.learner), e)
		}},
		{"a quiz that fell short, and the ways to pass", func(s *story) {
			s.module = module1("a", quizUnit("u", progress.MoveOnPassed), quizUnit("v", progress.MoveOnCompletedAndPassed), quizUnit("w", progress.MoveOnCompletedOrPassed))
			s.now(day(3))
			s.did("u", progress.Failed, 1, day(1), 0.55)
			s.did("u", progress.Failed, 1, day(2), 0.7)
			s.did("v", progress.Completed, 1, day(1))
		}},
		{"completed and passed, good for a year", func(s *story) {
			s.module = module1("a", unit("u"), quizUnit("v", progress.MoveOnCompletedAndPassed))
			s.module.Versions[0].Currency = yearly
			s.now(day(3))
			s.did("u", progress.Completed, 1, day(1))
			s.did("v", progress.Completed, 1, day(1))
			s.did("v", progress.Passed, 1, day(2), 0.95)
		}},
		{"good, but due soon", func(s *story) { s.expiring(yearly, -20) }},
		{"run out, with some days left", func(s *story) { s.expiring(yearly, 5) }},
		{"run out", func(s *story) { s.expiring(yearly, 20) }},
		{"renewed", func(s *story) {
			s.expiring(yearly, -5)
			s.did("u", progress.Completed, 1, day(10).AddDate(1, 0, -20))
			s.did("v", progress.Completed, 1, day(10).AddDate(1, 0, -19))
		}},
		{"being renewed, after it ran out", func(s *story) {
			s.module = module1("a", unit("u"), unit("v"))
			s.module.Versions[0].Currency = yearly
			s.now(day(3))
			s.did("u", progress.Completed, 1, day(1))
			s.did("v", progress.Completed, 1, day(1))
			s.Clock.Set(day(1).AddDate(1, 0, 20))
			s.did("u", progress.Completed, 1, day(1).AddDate(1, 0, -10))
		}},
		{"waived: a unit, and the whole", func(s *story) {
			s.waive("u", day0, "Did the like elsewhere.")
			s.waive("", day(1), "Holds a board certification.")
		}},
		{"voided, and fallen", func(s *story) {
			id := s.did("u", progress.Completed, 1, day0)
			s.did("v", progress.Completed, 1, day0)
			void(s.rig, s.learner, id, "Recorded for the wrong person.")
		}},
		{"credit crosses an editorial version", func(s *story) {
			s.module.Versions = append(s.module.Versions, version(2, day(5), unchangedUnit("u"), unchangedUnit("v"), unit("w")))
			s.now(day(9))
			s.did("u", progress.Completed, 1, day(1))
			s.did("w", progress.Completed, 2, day(8))
			s.did("v", progress.Completed, 2, day(8))
		}},
		{"begun on a version that is no longer the newest", func(s *story) {
			s.module.Versions = append(s.module.Versions, version(2, day(5), unchangedUnit("u"), unchangedUnit("v"), unit("w")))
			s.now(day(9))
			s.did("u", progress.Completed, 1, day(1))
		}},
		{"a new version took over", func(s *story) {
			s.did("u", progress.Completed, 1, day0)
			s.module.Versions = append(s.module.Versions, material(version(2, day(5), unit("u"), unchangedUnit("v")), day(7), false))
			s.now(day(9))
			s.did("v", progress.Completed, 1, day(8))
		}},
		{"out of date, and being learned anew", func(s *story) {
			s.did("u", progress.Completed, 1, day0)
			s.did("v", progress.Completed, 1, day0)
			s.module.Versions = append(s.module.Versions, material(version(2, day(5), unit("u"), unchangedUnit("v")), day(7), false))
			s.now(day(9))
			s.did("u", progress.Initialized, 2, day(8))
		}},
		{"out of date, and nothing learned anew", func(s *story) {
			s.did("u", progress.Completed, 1, day0)
			s.did("v", progress.Completed, 1, day0)
			s.module.Versions = append(s.module.Versions, material(version(2, day(5), unit("u"), unchangedUnit("v")), day(7), false))
			s.now(day(9))
		}},
		{"everything to be learned anew, and a unit that is gone", func(s *story) {
			s.did("u", progress.Completed, 1, day0)
			s.module.Versions = append(s.module.Versions, material(version(2, day(5), unchangedUnit("v"), unit("w")), day(7), true))
			s.now(day(9))
			s.did("v", progress.Initialized, 1, day(1))
			s.did("w", progress.Initialized, 2, day(8))
		}},
		{"the rule of the version that it was done on", func(s *story) {
			strict := unchangedUnit("u")
			strict.MoveOn = progress.MoveOnPassed
			s.module.Versions = append(s.module.Versions, version(2, day(2), strict, unchangedUnit("v")))
			s.now(day(9))
			s.did("u", progress.Completed, 1, day(1))
			s.did("v", progress.Initialized, 2, day(8))
		}},
		{"nothing that is required, by the learner's own dates", func(s *story) {
			optional := unit("u")
			optional.Required = false
			s.module = module1("a", optional)
			s.now(day(3))
			s.did("u", progress.Completed, 1, day(1).Add(12*time.Hour))
		}},
		{"learned ahead of its time", func(s *story) {
			s.did("u", progress.Completed, 1, day0)
			s.module.Versions = append(s.module.Versions, material(version(2, day(5), unit("u"), unit("v")), day(20), true))
			s.now(day(9))
			s.did("v", progress.Completed, 1, day(2))
			s.did("u", progress.Completed, 2, day(8))
		}},
		{"archived before it was begun, and in the middle", func(s *story) {
			s.module.State, s.module.Archives = progress.ModuleArchived, []progress.ArchivePeriod{{ArchiveTime: day(3)}}
			s.now(day(5))
			s.did("u", progress.Completed, 1, day(4))
		}},
		{"archived after it was begun", func(s *story) {
			s.did("u", progress.Completed, 1, day(1))
			s.module.State, s.module.Archives = progress.ModuleArchived, []progress.ArchivePeriod{{ArchiveTime: day(3), SunsetTime: day(30)}}
			s.now(day(5))
		}},
		{"archived, and its sunset is over", func(s *story) {
			s.did("u", progress.Completed, 1, day(1))
			s.module.State, s.module.Archives = progress.ModuleArchived, []progress.ArchivePeriod{{ArchiveTime: day(3), SunsetTime: day(6)}}
			s.now(day(9))
			s.did("v", progress.Completed, 1, day(7))
		}},
		{"half of it repeated long before its renewal", func(s *story) {
			s.expiring(yearly, -45)
			s.did("u", progress.Completed, 1, day(10).AddDate(1, 0, -46))
		}},
		{"all of it repeated long before its renewal", func(s *story) {
			s.expiring(yearly, -45)
			s.did("u", progress.Completed, 1, day(10).AddDate(1, 0, -46))
			s.did("v", progress.Completed, 1, day(10).AddDate(1, 0, -45))
		}},
		{"half of a renewal that was done too long ago", func(s *story) {
			s.expiring(yearly, -20)
			s.did("u", progress.Completed, 1, day(10).AddDate(1, 0, -20))
			s.Clock.Set(day(10).AddDate(2, 0, 5))
			s.did("v", progress.Completed, 1, day(10).AddDate(2, 0, 5))
		}},
		{"restored from the archive", func(s *story) {
			s.Catalog.Publish([]progress.Module{module1("d", unit("u"))}, []progress.Path{path1("q", milestone("m1", all("a", "d")))})
			s.Refresh()
			s.Enroll(s.learner, "q")
			s.Accept(s.learner, self(s.learner), event("d", "u", progress.Completed, day0))
			s.module.Archives = []progress.ArchivePeriod{{ArchiveTime: day(3), RestoreTime: day(5)}}
			s.now(day(9))
		}},
		{"reported long after it was done", func(s *story) {
			s.Clock.Set(day(20))
			s.did("u", progress.Completed, 1, day(1))
		}},
		{"an award taken back", func(s *story) {
			s.did("u", progress.Completed, 1, day0)
			s.did("v", progress.Completed, 1, day0)
			if _, err := s.Service.Revoke(s.Ctx, s.learner, progress.AwardID(s.learner, "p", "m", 0), admin(), "The work was not their own."); err != nil {
				s.T.Fatal(err)
			}
		}},
		{"recorded by an admin", func(s *story) {
			e := event("a", "u", progress.Completed, day0)
			e.Reason = "Was there in person."
			s.Accept(s.learner, admin(), e)
		}},
		{"locked, equivalent, and k of n", func(s *story) {
			locked, whole := module1("b", unit("u")), module1("c", unit("u"))
			locked.Versions[0].Prerequisites = []string{"a"}
			whole.Versions[0].Credits = [][]string{{"d"}}
			s.Catalog.Publish([]progress.Module{locked, whole, module1("d", unit("u"))}, []progress.Path{path1("q",
				milestone("m1", all("b", "c")), milestone("m2", kOf(1, "b", "c", "d"), kOf(2, "a", "e"), all("a", "c")))})
			s.Refresh()
			s.Enroll(s.learner, "q")
			s.Accept(s.learner, self(s.learner), event("d", "u", progress.Completed, day0))
		}},
	}
}

// Every sentence, as a list to be read: go test -update writes it anew, and the diff is the review.
func TestExplanationsInWords(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, tale := range tales() {
		r := newRig(t, []progress.Module{module1("a", unit("u"), unit("v"))}, []progress.Path{path1("p", milestone("m", all("a")))})
		s := &story{rig: r, learner: newLearner(), module: r.Catalog.Delta.Modules[0]}
		r.SetZone(s.learner, "Asia/Kathmandu")
		r.Enroll(s.learner, "p")
		tale.tell(s)
		fmt.Fprintf(&out, "== %s\n", tale.name)
		path := "p"
		if len(r.Catalog.Delta.Paths) > 1 {
			path = r.Catalog.Delta.Paths[1].ID
		}
		write(&out, s.explained(path))
	}
	const file = "testdata/explanations.txt"
	if *updateTexts {
		if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != out.String() {
		t.Errorf("the texts are not as in %s (go test ./services/progress -update writes them anew):\n%s", file, out.String())
	}
}

// explained waits until the sweep has latched what the catalog lets the learner earn.
func (s *story) explained(path string) *progress.PathExplanation {
	s.T.Helper()
	deadline := testenv.Now().Add(20 * time.Second)
	for {
		x := explanationOf(s.rig, s.learner, path)
		missing := slices.ContainsFunc(x.Milestones, func(m progress.MilestoneExplanation) bool {
			return m.Award == nil && m.Progress.Required > 0 && m.Progress.Completed == m.Progress.Required
		})
		if !missing {
			return x
		}
		if testenv.Now().After(deadline) {
			s.T.Fatalf("no award: %+v", x.Milestones)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// write shows an explanation as an indented list.
func write(out *strings.Builder, x *progress.PathExplanation) {
	line := func(depth int, format string, args ...any) {
		fmt.Fprintf(out, strings.Repeat("  ", depth)+format+"\n", args...)
	}
	line(0, "path: %s", x.Summary)
	seen := map[string]bool{}
	for _, ms := range x.Milestones {
		line(1, "milestone %s: %s", ms.Progress.ID, ms.Summary)
		for _, g := range ms.Groups {
			line(2, "group: %s", g.Summary)
			for _, m := range g.Modules {
				if seen[m.Progress.ModuleID] {
					continue
				}
				seen[m.Progress.ModuleID] = true
				line(3, "module %s, version %d, cycle %d, %s %v: %s", m.Progress.ModuleID, m.Progress.Version, m.Cycle, m.Rule, m.ModuleIDs, m.Summary)
				for _, u := range m.Units {
					line(4, "unit %s, %s: %s", u.Progress.Unit.ID, u.MoveOn, u.Summary)
					for _, e := range u.Events {
						line(5, "%s %s on version %d: %s", e.Record.Event.Verb, e.Record.Event.UnitID, e.Record.Event.ModuleVersion, e.Summary)
					}
				}
				for _, e := range m.Uncounted {
					line(4, "not counted: %s %s on version %d, %s: %s", e.Record.Event.Verb, e.Record.Event.UnitID, e.Record.Event.ModuleVersion, e.Reason, e.Summary)
				}
			}
		}
	}
}
