package progress_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// A late event that is folded without a look at the log gives what folding the log again does.
func TestLateEventsGiveWhatFoldingGives(t *testing.T) {
	t.Parallel()
	m := courseOf(yearly(progress.BasisCompletion))
	done := func(id, unit, zone string, at time.Time, said time.Duration) progress.Record {
		e := event("a", unit, progress.Completed, at.Add(said))
		e.ID, e.ModuleVersion = id, 1
		return progress.Record{LearnerID: "l", ActorID: "l", Type: progress.RecordEvent, Event: e, EffectiveAt: at, Zone: zone}
	}
	text := func(f *progress.Facts) string {
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, s := range []struct {
		name string
		log  []progress.Record
		// read is when the facts were last brought up to date; zero: never.
		read time.Time
		late progress.Record
	}{
		{
			"two zones at one time: another event completes the cycle", []progress.Record{
				done("1", "u", "Asia/Tokyo", day(10), time.Hour), done("2", "v", "America/Los_Angeles", day(10), 2*time.Hour),
			}, time.Time{}, done("3", "v", "", day(5), 0),
		},
		{
			"a renewal, half of which has lapsed since", []progress.Record{
				done("1", "u", "", day(10), 0), done("2", "v", "", day(11), 0), done("3", "u", "", day(380), 0),
			}, day(800), done("4", "v", "", day(400), 0),
		},
	} {
		f := progress.FoldLog(&m, s.log)
		if !s.read.IsZero() {
			f = f.AsOf(&m, s.read)
		}
		want := text(progress.FoldLog(&m, append(s.log, s.late)))
		if fast := f.Add(&m, &s.late); fast && text(f) != want {
			t.Errorf("%s:\nadded  %s\nfolded %s", s.name, text(f), want)
		}
	}
}

// A renewal on a version that a catalog restored from an older backup still has begins a new series, where that
// catalog lacks the version of the completion before.
func TestARenewalAfterItsVersionIsGone(t *testing.T) {
	t.Parallel()
	older := courseOf(yearly(progress.BasisPriorExpiry))
	newer := older
	newer.Versions = append(newer.Versions[:1:1], version(2, day(1), unit("u"), unit("v")))
	newer.Versions[1].Currency = yearly(progress.BasisPriorExpiry)
	done := func(unit string, v int, at time.Time) progress.Record {
		e := onVersion(event("a", unit, progress.Completed, at), v)
		return progress.Record{LearnerID: "l", ActorID: "l", Type: progress.RecordEvent, Event: e, EffectiveAt: at}
	}
	f := progress.FoldLog(&newer, []progress.Record{done("u", 2, day(10)), done("v", 2, day(10))})
	for _, unit := range []string{"u", "v"} {
		if r := done(unit, 1, day(370)); !f.Add(&older, &r) {
			t.Fatalf("%s is not folded without the log", unit)
		}
	}
	if len(f.Cycles) != 2 || f.Cycles[1].CompleteVersion != 1 || f.Cycles[1].ExpireAt != day(370).AddDate(1, 0, 0).UnixMicro() {
		t.Errorf("%+v", f.Cycles)
	}
}

// The place to resume at is that of the last event in the order of folding.
func TestResumeAtWhatWasDoneLast(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{courseOf(nil)}, nil)
	learner := newLearner()
	first, last := event("a", "u", progress.Initialized, day(2)), event("a", "v", progress.Initialized, day(2).Add(time.Minute))
	first.ID, last.ID = "ffffffff-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000000"
	r.Accept(learner, self(learner), first, last) // by a clock that is a day ahead
	if m := r.Module(learner, "a"); m.Resume == nil || m.Resume.UnitID != "v" {
		t.Errorf("resume at %+v", m.Resume)
	}
}
