package progress_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// world is a random catalog with a learner's random events.
type world struct {
	modules []progress.Module
	paths   []progress.Path
	events  []progress.Event
	actors  []progress.Actor
}

func drawModule(t *rapid.T, id string, earlier []string) progress.Module {
	m := progress.Module{ID: id, State: progress.ModuleActive}
	versions := rapid.IntRange(1, 3).Draw(t, "versions")
	for n := 1; n <= versions; n++ {
		v := version(n, day(20*(n-1)))
		for i := range rapid.IntRange(1, 3).Draw(t, "units") {
			u := unit(fmt.Sprintf("u%d", i))
			u.MoveOn = rapid.SampledFrom([]progress.MoveOn{
				progress.MoveOnCompleted, progress.MoveOnPassed, progress.MoveOnCompletedAndPassed, progress.MoveOnCompletedOrPassed,
			}).Draw(t, "moveOn")
			u.Weight = float64(rapid.IntRange(1, 3).Draw(t, "weight"))
			u.Required = i == 0 || rapid.Bool().Draw(t, "required")
			u.Changed = n == 1 || rapid.Bool().Draw(t, "changed")
			v.Units = append(v.Units, u)
		}
		if n > 1 && rapid.Bool().Draw(t, "material") {
			v.Material, v.RetakeAll = true, rapid.Bool().Draw(t, "retakeAll")
			v.EffectiveTime = v.PublishTime.AddDate(0, 0, rapid.IntRange(0, 10).Draw(t, "effective"))
		}
		if rapid.Bool().Draw(t, "currency") {
			v.Currency = &progress.CurrencyPolicy{
				Period: mustPeriod("P1M"), Window: mustPeriod("P10D"), Grace: mustPeriod("P5D"),
				Basis: rapid.SampledFrom([]progress.Basis{progress.BasisCompletion, progress.BasisPriorExpiry, progress.BasisFixedDate}).
					Draw(t, "basis"),
				FixedMonth: 2, FixedDay: 14,
			}
		}
		if len(earlier) > 0 && rapid.Bool().Draw(t, "credits") {
			v.Credits = [][]string{{rapid.SampledFrom(earlier).Draw(t, "credit")}}
		}
		m.Versions = append(m.Versions, v)
	}
	if len(earlier) > 0 && rapid.Bool().Draw(t, "prerequisite") {
		m.Newest().Prerequisites = earlier[:1]
	}
	if rapid.IntRange(0, 3).Draw(t, "archived") == 0 {
		p := progress.ArchivePeriod{ArchiveTime: day(rapid.IntRange(5, 40).Draw(t, "archive"))}
		if rapid.Bool().Draw(t, "sunset") {
			p.SunsetTime = p.ArchiveTime.AddDate(0, 0, 10)
		}
		if rapid.Bool().Draw(t, "restored") {
			p.RestoreTime = p.ArchiveTime.AddDate(0, 0, 15)
		} else {
			m.State = progress.ModuleArchived
		}
		m.Archives = []progress.ArchivePeriod{p}
	}
	return m
}

func drawWorld(t *rapid.T, learner string) world {
	var w world
	ids := []string{"a", "b", "c"}
	for i, id := range ids {
		w.modules = append(w.modules, drawModule(t, id, ids[:i]))
	}
	w.paths = []progress.Path{path1("p", milestone("m1", all("a")), milestone("m2", kOf(1, "b", "c"), all("a")))}
	n := rapid.IntRange(1, 25).Draw(t, "events")
	for i := range n {
		m := w.modules[rapid.IntRange(0, 2).Draw(t, "module")]
		v := m.Versions[rapid.IntRange(0, len(m.Versions)-1).Draw(t, "version")]
		e := progress.Event{
			// Ids in no order of time: ties in effective time fall to them.
			ID:       uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%d-%d", i, rapid.IntRange(0, 1000).Draw(t, "id"))).String(),
			ModuleID: m.ID, ModuleVersion: v.Number, UnitID: v.Units[rapid.IntRange(0, len(v.Units)-1).Draw(t, "unit")].ID,
			Verb: rapid.SampledFrom([]progress.Verb{
				progress.Initialized, progress.Progressed, progress.Completed, progress.Completed,
				progress.Passed, progress.Passed, progress.Failed, progress.Waived,
			}).Draw(t, "verb"),
			OccurredAt: day0.Add(time.Duration(rapid.IntRange(-24, 24*75).Draw(t, "hour")) * time.Hour),
			Reason:     "r",
		}
		if rapid.Bool().Draw(t, "scored") {
			e.Score, e.Progress = new(
				float64(rapid.IntRange(0, 10).Draw(t, "score"))/10,
			), new(
				float64(rapid.IntRange(0, 10).Draw(t, "progress"))/10,
			)
		}
		actor := self(learner)
		if e.Verb == progress.Waived {
			actor = admin()
			if rapid.Bool().Draw(t, "whole") {
				e.UnitID = ""
			}
		}
		w.events, w.actors = append(w.events, e), append(w.actors, actor)
	}
	return w
}

// play sends the events in the given order, in pieces, and answers all that a reader can see
// at several times, but for the sequence and what the order of enrolling decides.
func (w *world) play(r *rig, learner string, order []int, piece int) string {
	r.clock.set(day(80)) // received_at is the same for all
	for len(order) > 0 {
		n := min(piece, len(order))
		for _, i := range order[:n] {
			r.record(learner, w.actors[i], w.events[i])
		}
		order = order[n:]
	}
	var out []any
	for _, at := range []int{80, 95, 130, 400} {
		r.clock.set(day(at))
		p := r.path(learner, "p")
		p.AsOfSequence, p.Enrollment = 0, progress.Enrollment{}
		for i := range p.Milestones {
			ms := &p.Milestones[i]
			// A late event from before an archiving takes its system waiver back. An award that
			// was latched meanwhile stays, and so tells of the order of arrival.
			if ms.Completed < ms.Required {
				ms.Award = nil
			}
			// What only the catalog satisfies is latched by the sweep, whenever it comes by.
			if slices.ContainsFunc(ms.Modules, func(m progress.ModuleProgress) bool { return m.Credit == progress.CreditArchived }) {
				ms.Award = nil
			}
			if ms.Award != nil {
				ms.Award.FromSequence, ms.Award.ToSequence = 0, 0
			}
		}
		out = append(out, p)
		for _, m := range w.modules {
			d := r.module(learner, m.ID)
			d.AsOfSequence = 0
			out = append(out, d)
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// Any permutation and repetition of the same events gives the same state.
func TestMergeIsAJoin(t *testing.T) {
	r := newRig(t, nil, nil)
	rapid.Check(t, func(rt *rapid.T) {
		one, two := newLearner(), newLearner()
		w := drawWorld(rt, one)
		r.catalog.publish(w.modules, w.paths)
		r.refresh()
		r.clock.set(day(0))
		r.enroll(one, "p")
		r.enroll(two, "p")
		var order []int
		for i := range w.events {
			order = append(order, i)
		}
		again := append(rapid.Permutation(order).Draw(rt, "order"), rapid.SliceOfN(rapid.SampledFrom(order), 0, 5).Draw(rt, "repeats")...)
		first := w.play(r, one, order, 100)
		for i := range w.actors {
			if !w.actors[i].Admin {
				w.actors[i] = self(two)
			}
		}
		second := w.play(r, two, again, rapid.IntRange(1, 7).Draw(rt, "piece"))
		if a, b := withoutAwardIDs(rt, first), withoutAwardIDs(rt, second); a != b {
			rt.Fatalf("in order:\n%s\nin order %v:\n%s", a, again, b)
		}
		for _, learner := range []string{one, two} {
			drift, err := r.service.Verify(r.ctx, learner)
			if err != nil || len(drift) > 0 {
				rt.Fatalf("folding again differs: %+v %v", drift, err)
			}
		}
	})
}

// Percent rule 6: only a void, an upgrade or a MATERIAL version taking effect lowers a percent;
// an event of the learner's own never does, whenever it arrives.
func TestPercentRule6EventsNeverLowerIt(t *testing.T) {
	r := newRig(t, nil, nil)
	rapid.Check(t, func(rt *rapid.T) {
		learner := newLearner()
		w := drawWorld(rt, learner)
		for i := range w.modules {
			w.modules[i].State, w.modules[i].Archives = progress.ModuleActive, nil
		}
		r.catalog.publish(w.modules, w.paths)
		r.refresh()
		r.clock.set(day(0))
		r.enroll(learner, "p")
		r.clock.set(day(80))
		before := map[string]int{}
		for i := range w.events {
			r.record(learner, w.actors[i], w.events[i])
			now := map[string]int{"path": *r.path(learner, "p").Percent()}
			for _, m := range w.modules {
				now[m.ID] = *r.module(learner, m.ID).Percent
			}
			for what, was := range before {
				if now[what] < was {
					rt.Fatalf("%s fell from %d to %d after %+v", what, was, now[what], w.events[i])
				}
			}
			before = now
		}
	})
}

// withoutAwardIDs drops what names the learner.
func withoutAwardIDs(t *rapid.T, s string) string {
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if _, award := v["MilestoneID"]; award {
				delete(v, "ID")
				delete(v, "LearnerID")
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Voids replay in log order: folding the log again gives exactly what is stored.
func TestFoldingAgainGivesWhatIsStored(t *testing.T) {
	r := newRig(t, nil, nil)
	rapid.Check(t, func(rt *rapid.T) {
		learner := newLearner()
		w := drawWorld(rt, learner)
		r.catalog.publish(w.modules, w.paths)
		r.refresh()
		r.clock.set(day(80))
		for i := range w.events {
			r.record(learner, w.actors[i], w.events[i])
			if rapid.IntRange(0, 3).Draw(rt, "void") == 0 {
				target := w.events[rapid.IntRange(0, len(w.events)-1).Draw(rt, "target")].ID
				r.record(
					learner,
					admin(),
					progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: target, Reason: "r", OccurredAt: day(1)},
				)
			}
		}
		drift, err := r.service.Verify(r.ctx, learner)
		if err != nil || len(drift) > 0 {
			rt.Fatalf("%+v %v", drift, err)
		}
	})
}
