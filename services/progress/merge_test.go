package progress_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// changingModule is a module of two units with MATERIAL versions, stays in the archive and a currency, as chance has it.
func changingModule(rng *rand.Rand) progress.Module {
	m := courseOf(nil)
	switch rng.IntN(6) {
	case 0:
		m.Versions[0].Currency = yearly([]progress.Basis{progress.BasisCompletion, progress.BasisPriorExpiry}[rng.IntN(2)])
	case 1, 2:
		m.Versions[0].Currency = policy("P90D", "P30D", "P10D", progress.BasisCompletion)
	}
	for n := 2; n <= 1+rng.IntN(4); n++ {
		v := version(n, day(rng.IntN(mergedDays)), unit("u"), unit("v"))
		v.Currency, v.Material = m.Versions[0].Currency, rng.IntN(2) == 0
		v.EffectiveTime = v.PublishTime.AddDate(0, 0, rng.IntN(30))
		v.RetakeAll = v.Material && rng.IntN(3) == 0
		if rng.IntN(2) == 0 {
			v.Units[0].Changed = true
		}
		if rng.IntN(8) == 0 {
			v.Units[0].MoveOn = progress.MoveOnPassed
		}
		m.Versions = append(m.Versions, v)
	}
	if rng.IntN(3) == 0 {
		p := progress.ArchivePeriod{ArchiveTime: day(rng.IntN(mergedDays))}
		if rng.IntN(2) == 0 {
			p.SunsetTime = p.ArchiveTime.AddDate(0, 0, rng.IntN(50))
		}
		if rng.IntN(2) == 0 {
			p.RestoreTime = p.ArchiveTime.AddDate(0, 0, rng.IntN(100))
		}
		m.Archives = []progress.ArchivePeriod{p}
	}
	return m
}

// mergedDays is in how many days all of it happens, about.
const mergedDays = 500

// anyRecord is something that the learner, or an admin, did in the module: often soon after something else, or at its time.
func anyRecord(rng *rand.Rand, m *progress.Module, log []progress.Record) progress.Record {
	verbs := []progress.Verb{
		progress.Initialized, progress.Progressed, progress.Progressed, progress.Progressed, progress.Failed, progress.Completed, progress.Passed, progress.Waived,
	}
	zones := []string{"", "", "Asia/Tokyo", "America/Los_Angeles"}
	at := day(rng.IntN(mergedDays + 50))
	switch k := rng.IntN(6 + len(log)); {
	case k == 0:
		at = m.Versions[rng.IntN(len(m.Versions))].EffectiveTime
	case k > 6:
		at = log[rng.IntN(len(log))].EffectiveAt
	}
	at = at.Add(time.Duration(rng.IntN(8)*rng.IntN(8)) * time.Hour)
	e := event("a", []string{"u", "v"}[rng.IntN(2)], verbs[rng.IntN(len(verbs))], at.Add(time.Duration(rng.IntN(3))*time.Minute))
	e.ID, e.ModuleVersion = uuid.UUID{byte(rng.Uint32()), byte(rng.Uint32())}.String(), 1+rng.IntN(len(m.Versions))
	share := rng.Float64()
	e.Progress = &share
	r := progress.Record{LearnerID: "l", ActorID: "l", Type: progress.RecordEvent, Event: e, EffectiveAt: at, Zone: zones[rng.IntN(len(zones))]}
	if e.Verb == progress.Waived && rng.IntN(2) == 0 {
		r.Event.UnitID = ""
	}
	return r
}

// Whatever has happened to a module, and whenever an event arrives, folding it into the facts, as they were stored
// last, gives what folding the whole log does, where it is folded into them. And many late events are, whatever
// happened since.
func TestEventsAreMergedAsTheyAreFolded(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(20, 26))
	merged := map[string]int{}
	tries := 12_000
	if testing.Short() {
		tries = 3000
	}
	for range tries {
		m := changingModule(rng)
		var log []progress.Record
		for range 2 + rng.IntN(20) {
			r := anyRecord(rng, &m, log)
			now := day(rng.IntN(mergedDays + 100))
			f, all := progress.FoldLog(&m, log).AsOf(&m, now), append(slices.Clone(log), r)
			if f != nil {
				f = throughStore(t, f)
				before, late := stored(f), f.LastAt > r.EffectiveAt.UnixMicro()
				got := f.Clone()
				if folded := got.Add(&m, &r); stored(f) != before {
					t.Fatalf("module %s\nlog %s\nthe facts of before changed, too", jsonOf(t, m), jsonOf(t, all))
				} else if want := progress.FoldLog(&m, all).AsOf(&m, now); folded && stored(got.AsOf(&m, now)) != stored(want) {
					t.Fatalf("module %s\nlog %s\nadded  %s\nfolded %s", jsonOf(t, m), jsonOf(t, all), jsonOf(t, got), jsonOf(t, want))
				} else if folded && late {
					for _, kind := range kindsOf(&m, got, r.EffectiveAt) {
						merged[kind]++
					}
				}
			}
			log = all
		}
	}
	for _, kind := range []string{
		"plain", "across a MATERIAL version", "across an archiving", "in an earlier cycle", "in a renewal", "aside", "after a completion that expires",
	} {
		if merged[kind] < 50 {
			t.Errorf("%s: %d late events were merged; want at least 50 (%v)", kind, merged[kind], merged)
		}
	}
}

func stored(f *progress.Facts) string { return string(progress.AppendFacts(nil, f)) }

// throughStore are facts as they are read after they were stored.
func throughStore(t *testing.T, f *progress.Facts) *progress.Facts {
	t.Helper()
	out, err := progress.DecodeFacts(stored(f))
	if err != nil || stored(out) != stored(f) {
		t.Fatalf("%s\nis read as %s, %v", jsonOf(t, f), jsonOf(t, out), err)
	}
	return out
}

// kindsOf are what an event at a time was merged across, and into.
func kindsOf(m *progress.Module, f *progress.Facts, at time.Time) []string {
	var kinds []string
	since := func(t time.Time) bool { return t.After(at) && t.UnixMicro() <= f.LastAt }
	if slices.ContainsFunc(m.Versions, func(v progress.ModuleVersion) bool { return v.Material && since(v.EffectiveTime) }) {
		kinds = append(kinds, "across a MATERIAL version")
	}
	if slices.ContainsFunc(m.Archives, func(p progress.ArchivePeriod) bool { return since(p.ArchiveTime) }) {
		kinds = append(kinds, "across an archiving")
	}
	if len(kinds) == 0 {
		kinds = append(kinds, "plain")
	}
	n := len(f.Cycles)
	if n == 0 {
		return kinds
	}
	last, late := f.Cycles[n-1], at.UnixMicro()
	switch {
	case late < last.BeginAt:
		kinds = append(kinds, "in an earlier cycle")
	case last.CompleteAt == 0 && last.Opening == progress.OpenedRenewal:
		kinds = append(kinds, "in a renewal")
	case f.Aside != nil && late > f.Aside.BeginAt:
		kinds = append(kinds, "aside")
	case last.WindowAt != 0 && late > last.CompleteAt:
		kinds = append(kinds, "after a completion that expires")
	}
	return kinds
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
