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
	if rng.IntN(3) == 0 {
		m.Versions[0].Currency = yearly([]progress.Basis{progress.BasisCompletion, progress.BasisPriorExpiry}[rng.IntN(2)])
	}
	for n := 2; n <= 1+rng.IntN(4); n++ {
		v := version(n, day(rng.IntN(900)), unit("u"), unit("v"))
		v.Currency, v.Material = m.Versions[0].Currency, rng.IntN(2) == 0
		v.EffectiveTime = v.PublishTime.AddDate(0, 0, rng.IntN(60))
		v.RetakeAll = v.Material && rng.IntN(3) == 0
		if rng.IntN(2) == 0 {
			v.Units[0].Changed = true
		}
		m.Versions = append(m.Versions, v)
	}
	if rng.IntN(3) == 0 {
		p := progress.ArchivePeriod{ArchiveTime: day(rng.IntN(900))}
		if rng.IntN(2) == 0 {
			p.SunsetTime = p.ArchiveTime.AddDate(0, 0, rng.IntN(90))
		}
		if rng.IntN(2) == 0 {
			p.RestoreTime = p.ArchiveTime.AddDate(0, 0, rng.IntN(200))
		}
		m.Archives = []progress.ArchivePeriod{p}
	}
	return m
}

// anyRecord is something that the learner, or an admin, did in the module.
func anyRecord(rng *rand.Rand, m *progress.Module) progress.Record {
	verbs := []progress.Verb{
		progress.Initialized, progress.Progressed, progress.Progressed, progress.Progressed, progress.Failed, progress.Completed, progress.Passed, progress.Waived,
	}
	zones := []string{"", "Asia/Tokyo", "America/Los_Angeles"}
	at := day(rng.IntN(1000)).Add(time.Duration(rng.IntN(24)) * time.Hour)
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

// Whatever has happened to a module, and whenever an event arrives, folding it into the facts gives what folding
// the whole log does, where it is folded into them; and most late events are, after a MATERIAL version too.
func TestEventsAreMergedAsTheyAreFolded(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(20, 26))
	text := func(f *progress.Facts) string {
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	merged := map[string]int{}
	for range 3000 {
		m := changingModule(rng)
		var log []progress.Record
		for range 2 + rng.IntN(20) {
			r := anyRecord(rng, &m)
			f, all := progress.FoldLog(&m, log), append(slices.Clone(log), r)
			want := progress.FoldLog(&m, all)
			if f != nil && f.Add(&m, &r) {
				if text(f) != text(want) {
					t.Fatalf("module %s\nlog %s\nadded  %s\nfolded %s", jsonOf(t, m), jsonOf(t, all), text(f), text(want))
				}
				if f.LastID != r.Event.ID { // else it came last
					merged[kindOf(&m, f)]++
				}
			}
			log = all
		}
	}
	for _, kind := range []string{"plain", "material", "material, cycles", "archived"} {
		if merged[kind] < 50 {
			t.Errorf("%s: %d late events were merged; want at least 50 (%v)", kind, merged[kind], merged)
		}
	}
}

// kindOf is what the facts that an event was merged into are of.
func kindOf(m *progress.Module, f *progress.Facts) string {
	material := slices.ContainsFunc(m.Versions, func(v progress.ModuleVersion) bool { return v.Material })
	switch {
	case material && len(f.Cycles) > 1:
		return "material, cycles"
	case material:
		return "material"
	case len(m.Archives) > 0:
		return "archived"
	}
	return "plain"
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
