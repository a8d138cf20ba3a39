package replay_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// olderRules is a learner as the first rules left them: a course was repeated 45 days before its expiry,
// which then had no effect, and a path whose only choice was archived counted as done. They live in Berlin.
func (r *replayRig) olderRules() (learner string, enrollment progress.Enrollment) {
	r.T.Helper()
	learner = newLearner()
	r.SetZone(learner, "Europe/Berlin")
	enrollment = r.Enroll(learner, "q")
	first := time.Date(2026, 1, 12, 8, 0, 0, 0, time.UTC)
	for _, at := range []time.Time{first, first.AddDate(1, 0, -45)} {
		r.Clock.Set(at)
		r.Accept(learner, self(learner), event("a", "u", progress.Completed, at), event("a", "v", progress.Completed, at))
	}
	done := func(id string) progress.UnitFacts {
		return progress.UnitFacts{UnitID: id, CompletedAt: first.UnixMicro(), Versions: []int{1}}
	}
	r.harmFacts(learner, "a", func(f *progress.Facts) {
		*f = progress.Facts{
			Zone: "Europe/Berlin", LastAt: first.AddDate(1, 0, -45).UnixMicro(), LastID: "x", FirstAt: first.UnixMicro(),
			Cycles: []progress.CycleFacts{{
				Number: 1, Opening: progress.OpenedFirst, BeginAt: first.UnixMicro(), CompleteAt: first.UnixMicro(), CompleteVersion: 1,
				ExpireAt: first.AddDate(1, 0, 0).UnixMicro(), WindowAt: first.AddDate(1, 0, -30).UnixMicro(), Versions: []int{1},
				Units: []progress.UnitFacts{done("u"), done("v")},
			}},
		}
	})
	r.harm(`UPDATE module_facts SET fold_key = '' WHERE learner_id = $1`, learner)
	r.harm(`UPDATE learner_head SET rules = 1 WHERE learner_id = $1`, learner)
	return learner, enrollment
}

// harmEntries changes a learner's log.
func (r *replayRig) harmEntries(learner string, change func(*progress.Record)) {
	r.T.Helper()
	records, _, err := r.Store.Log(r.Ctx, learner, 0, 100)
	if err != nil {
		r.T.Fatal(err)
	}
	for i := range records {
		change(&records[i])
		r.harm(`UPDATE learner_log SET entry = $3 WHERE learner_id = $1 AND sequence = $2`, learner, records[i].Sequence, progress.AppendEntry(nil, &records[i]))
	}
}

// A log of older rules: verify says what these make of it and writes nothing; rebuild brings it to them,
// and keeps what was given.
func TestRebuildBringsALogToTheRules(t *testing.T) {
	a, b := module1("a", unit("u"), unit("v")), module1("b", unit("u"))
	a.Versions[0].Currency = &progress.CurrencyPolicy{
		Period: rigtest.MustPeriod("P1Y"), Window: rigtest.MustPeriod("P30D"), Basis: progress.BasisCompletion,
	}
	b.State, b.Archives = progress.ModuleArchived, []progress.ArchivePeriod{{ArchiveTime: day(0).Add(-time.Hour)}}
	r := replayRigOf(t, []progress.Module{a, b, module1("c", unit("u"))}, []progress.Path{
		path1("p", milestone("m1", all("a"))), path1("q", milestone("m2", rigtest.KOf(1, "b", "c"))),
	})
	given := newLearner()
	r.Enroll(given, "p")
	r.Accept(given, self(given), event("a", "u", progress.Completed, day(1)), event("a", "v", progress.Completed, day(1)))
	r.harm(`UPDATE award SET rules = 1 WHERE learner_id = $1`, given)
	r.harmEntries(given, func(rec *progress.Record) {
		for i := range rec.Earned() {
			rec.Effects.Awards[i].Rules = 1
		}
	})
	learner, enrollment := r.olderRules()
	before, head := r.facts(learner), r.head(learner)

	if found := r.verify(); strings.Contains(fmt.Sprint(found), given) {
		t.Errorf("an award of older rules is a drift: %q", found)
	}
	want := []string{learner + " ENROLLMENT " + enrollment.ID, learner + " FACTS a"}
	about := func(drifts []string) []string {
		var out []string
		for _, d := range drifts {
			if strings.HasPrefix(d, learner) {
				out = append(out, d)
			}
		}
		return out
	}
	if found := about(r.verify()); fmt.Sprint(found) != fmt.Sprint(want) {
		t.Fatalf("verify says %q, want %q", found, want)
	}
	if r.facts(learner) != before || r.head(learner) != head {
		t.Error("verify wrote something")
	}
	if fixed := about(r.rebuild()); fmt.Sprint(fixed) != fmt.Sprint(want) {
		t.Errorf("rebuild says %q, want %q", fixed, want)
	}
	if found := about(r.verify()); len(found) > 0 {
		t.Errorf("after it: %q", found)
	}
	p := r.Path(learner, "q")
	if p.PreviousPercent == nil || *p.PreviousPercent != 100 || *p.Percent() != 0 || *p.PercentChange != (progress.PercentChange{Code: progress.ChangeRules}) {
		t.Errorf("path: %v %+v", p.PreviousPercent, p.PercentChange)
	}
	if m := r.Module(learner, "a"); len(m.Cycles) != 2 || r.head(learner).Rules != progress.RulesVersion {
		t.Errorf("cycles %+v, head %+v", m.Cycles, r.head(learner))
	}
	records, _, err := r.Service.History(r.Ctx, learner, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if last := records[len(records)-1]; last.Type != progress.RecordEnrollmentChanged || last.ActorID != progress.SystemActor || last.Reason == "" {
		t.Errorf("the log ends with %+v", last)
	}
	l, err := r.Store.Load(r.Ctx, given)
	if err != nil || len(l.Awards) != 1 || l.Awards[0].Rules != 1 {
		t.Errorf("the award that was given: %+v %v", l.Awards, err)
	}
}
