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
// which then had no effect, and a path whose only choice was archived counted as done. They live in Berlin,
// as no record says.
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
	unit := func(id string) string { return fmt.Sprintf(`{"id":%q,"c":%d,"vs":[1]}`, id, first.UnixMicro()) }
	r.harm(`UPDATE module_facts SET fold_key = '', cycle = 1, state = $1 WHERE learner_id = $2`, fmt.Sprintf(
		`{"key":"","zone":"Europe/Berlin","lastAt":%d,"lastId":"x","firstAt":%d,"cycles":[{"n":1,"o":"FIRST","b":%[2]d,"c":%[2]d,"v":1,"e":%d,"w":%d,"vs":[1],"u":[%s,%s]}],"slots":[1]}`,
		first.AddDate(1, 0, -45).UnixMicro(), first.UnixMicro(), first.AddDate(1, 0, 0).UnixMicro(), first.AddDate(1, 0, -30).UnixMicro(), unit("u"), unit("v"),
	), learner)
	r.harm(`UPDATE learner_log SET zone = NULL WHERE learner_id = $1`, learner)
	r.harm(`UPDATE learner_head SET rules = 1 WHERE learner_id = $1`, learner)
	return learner, enrollment
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
	r.harm(`UPDATE learner_log SET body = replace(replace(body, '"number":1,', ''), '"rules":2', '"rules":1') WHERE learner_id = $1`, given)
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
	for _, rec := range records {
		if rec.Zone != "Europe/Berlin" {
			t.Errorf("entry %d is of zone %q", rec.Sequence, rec.Zone)
		}
	}
	if last := records[len(records)-1]; last.Type != progress.RecordEnrollmentChanged || last.ActorID != progress.SystemActor || last.Reason == "" {
		t.Errorf("the log ends with %+v", last)
	}
	r.SetZone(learner, "Asia/Tokyo") // the records are settled: moving changes none
	if records, _, err = r.Service.History(r.Ctx, learner, 0, 1); err != nil || records[0].Zone != "Europe/Berlin" {
		t.Errorf("after moving: %+v %v", records, err)
	}
	l, err := r.Store.Load(r.Ctx, given)
	if err != nil || len(l.Awards) != 1 || l.Awards[0].Rules != 1 {
		t.Errorf("the award that was given: %+v %v", l.Awards, err)
	}
}
