package progress_test

import (
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

func streakOf(r *rig, learner string) progress.Streak {
	r.T.Helper()
	s, _ := rigtest.Read(r, learner, "overview", func(w *progress.View) (*progress.Overview, error) { return w.Overview() })
	return s.Streak
}

// studies sends that the learner opened the unit at these times, received when the clock says.
func studies(r *rig, learner string, times ...string) {
	r.T.Helper()
	for _, at := range times {
		r.Accept(learner, self(learner), event("a", "u", progress.Initialized, utc(at)))
	}
}

func streakModule() progress.Module {
	m := module1("a", unit("u"))
	m.Versions[0].PublishTime = utc("2025-01-01T00:00:00Z")
	return m
}

// A streak is days in a row, up to today or yesterday; events that arrive late repair it.
func TestStreaksAreDaysInARow(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{streakModule()}, nil)
	learner := newLearner()
	expect := func(at string, current, longest int, last string) {
		t.Helper()
		r.Clock.Set(utc(at))
		if got := streakOf(r, learner); got.CurrentDays != current || got.LongestDays != longest || got.LastActiveDate != last || got.TimeZone != "UTC" {
			t.Errorf("%s: %+v, want %d, %d, %s", at, got, current, longest, last)
		}
	}
	expect("2026-03-01T12:00:00Z", 0, 0, "")
	r.Clock.Set(utc("2026-03-05T12:00:00Z"))
	studies(r, learner, "2026-03-01T10:00:00Z", "2026-03-02T23:59:00Z", "2026-03-02T10:00:00Z", "2026-03-04T00:00:00Z", "2026-03-05T09:00:00Z")
	expect("2026-03-05T12:00:00Z", 2, 2, "2026-03-05")
	studies(r, learner, "2026-03-03T08:00:00Z") // a phone comes back
	expect("2026-03-05T12:00:01Z", 5, 5, "2026-03-05")
	expect("2026-03-06T23:59:59Z", 5, 5, "2026-03-05")
	expect("2026-03-07T00:00:00Z", 0, 5, "2026-03-05")
}

// The days are those of the learner's own calendar: the same events are other days elsewhere, and
// a day of 23 or 25 hours is a day.
func TestStreaksAreInTheLearnersTimeZone(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{streakModule()}, nil)
	for _, s := range []struct {
		zone    string
		times   []string
		at      string
		current int
		last    string
	}{
		// 23:30 and 00:30 in Berlin are one day in UTC.
		{"", []string{"2026-02-01T22:30:00Z", "2026-02-01T23:30:00Z"}, "2026-02-01T23:45:00Z", 1, "2026-02-01"},
		{"Europe/Berlin", []string{"2026-02-01T22:30:00Z", "2026-02-01T23:30:00Z"}, "2026-02-01T23:45:00Z", 2, "2026-02-02"},
		// The clocks go forward on 8 March in New York: that day has 23 hours.
		{"America/New_York", []string{"2026-03-07T17:00:00Z", "2026-03-08T16:00:00Z", "2026-03-09T16:00:00Z"}, "2026-03-09T17:00:00Z", 3, "2026-03-09"},
		// Kathmandu is 5:45 ahead: a quarter hour decides.
		{"Asia/Kathmandu", []string{"2026-02-01T18:14:00Z", "2026-02-01T18:16:00Z"}, "2026-02-01T18:20:00Z", 2, "2026-02-02"},
	} {
		learner := newLearner()
		r.SetZone(learner, s.zone)
		r.Clock.Set(utc(s.at))
		studies(r, learner, s.times...)
		if got := streakOf(r, learner); got.CurrentDays != s.current || got.LastActiveDate != s.last {
			t.Errorf("%q: %+v, want %d until %s", s.zone, got, s.current, s.last)
		}
	}
}

// Neither what an admin does nor what was voided is learning; and a streak completes nothing.
func TestStreaksNeverAffectCompletion(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{streakModule(), module1("b", unit("u"))}, nil)
	learner := newLearner()
	r.Clock.Set(utc("2026-03-02T12:00:00Z"))
	waiver := event("b", "", progress.Waived, utc("2026-03-01T12:00:00Z"))
	waiver.Reason = "r"
	r.Accept(learner, admin(), waiver)
	if got := streakOf(r, learner); got.LongestDays != 0 {
		t.Errorf("a waiver is no learning: %+v", got)
	}
	e := event("a", "u", progress.Initialized, utc("2026-03-02T11:00:00Z"))
	r.Accept(learner, self(learner), e)
	if got := streakOf(r, learner); got.CurrentDays != 1 || r.Module(learner, "a").State != progress.StateInProgress {
		t.Errorf("%+v", got)
	}
	r.Accept(learner, admin(), progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: e.ID, Reason: "r", OccurredAt: time.Unix(1, 0)})
	if got := streakOf(r, learner); got.CurrentDays != 0 || got.LastActiveDate != "" {
		t.Errorf("voided: %+v", got)
	}
}

// Today is a day where the learner is now.
func TestTodayIsWhereTheLearnerIs(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{streakModule()}, nil)
	learner := newLearner()
	r.SetZone(learner, "Asia/Tokyo")
	r.Clock.Set(utc("2026-01-11T14:30:00Z")) // 11 January, 23:30
	studies(r, learner, "2026-01-11T14:30:00Z")
	for at, current := range map[string]int{"2026-01-12T14:30:00Z": 1, "2026-01-12T15:30:00Z": 0} { // 12 January, and 13 January
		r.Clock.Set(utc(at))
		if got := streakOf(r, learner); got.CurrentDays != current || got.LongestDays != 1 {
			t.Errorf("at %s: %+v", at, got)
		}
	}
}

// What an admin records is no day of a streak.
func TestStreaksAreOfWhatLearnersRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{streakModule()}, nil)
	learner := newLearner()
	e := event("a", "u", progress.Completed, day(1))
	e.Reason = "was there in person"
	r.Accept(learner, admin(), e)
	if got := streakOf(r, learner); got.LongestDays != 0 || got.LastActiveDate != "" {
		t.Errorf("%+v", got)
	}
}
