package progress_test

import (
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// lastRecord is the newest entry of a learner's log.
func lastRecord(r *rig, learner string) progress.Record {
	r.T.Helper()
	records, _, err := r.Service.History(r.Ctx, learner, 0, 1000)
	if err != nil {
		r.T.Fatal(err)
	}
	return records[len(records)-1]
}

// Nothing happens in our future: a clock that runs ahead gives what a right one gives.
func TestAClockThatRunsAheadChangesNothing(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	r := newRig(t, []progress.Module{a}, []progress.Path{path1("p", milestone("m", all("a")))})
	learner, starter := newLearner(), newLearner()
	r.Enroll(learner, "p")
	r.Enroll(starter, "p")
	fast := func(at time.Time) time.Time { return at.Add(3 * time.Minute) }
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, fast(day(1))))
	archiving, sunset := day(1).Add(time.Minute), day(1).Add(time.Minute+8*time.Second)
	r.Clock.Set(archiving.Add(-time.Second))
	r.Accept(starter, self(starter), event("a", "u", progress.Initialized, fast(archiving.Add(-time.Second))))
	r.Clock.Set(archiving)
	publish(r, archived(a, archiving, sunset))
	r.Clock.Set(sunset.Add(-time.Second))
	res := r.Accept(learner, self(learner), event("a", "v", progress.Completed, fast(sunset.Add(-time.Second)))).Results[0]
	if percent, _ := pathPercent(r, learner); percent != 100 || res.Note != nil {
		t.Errorf("finished before the sunset: %d %%, note %+v", percent, res.Note)
	}
	if rec := lastRecord(r, learner); !rec.EffectiveAt.Equal(rec.ReceivedAt) || rec.Adjusted {
		t.Errorf("record %+v", rec)
	}
	if m := r.Module(starter, "a"); m.State != progress.StateInProgress || m.Excused != nil {
		t.Errorf("begun before the archiving: %+v", m)
	}
}

// A phone whose clock is a day off says what it shows when it sends, and is corrected by the difference.
func TestAWrongClockIsCorrectedByWhatItShows(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		name      string
		off       time.Duration
		says      bool
		effective time.Time
		adjusted  bool
	}{
		{"a day ahead", 24 * time.Hour, true, day(3), true},
		{"a day behind", -24 * time.Hour, true, day(3), true},
		{"a day behind, and silent", -24 * time.Hour, false, day(2), false},
		{"a day ahead, and silent", 24 * time.Hour, false, day(4), false},
		{"three minutes ahead", 3 * time.Minute, true, day(3).Add(3 * time.Minute), false},
	} {
		r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
		learner := newLearner()
		r.Clock.Set(day(5))
		sent := time.Time{}
		if s.says {
			sent = day(5).Add(s.off)
		}
		e := event("a", "u", progress.Completed, day(3).Add(s.off)) // it happened on day 3
		r.RecordSent(learner, self(learner), sent, e)
		if rec := lastRecord(r, learner); !rec.EffectiveAt.Equal(s.effective) || rec.Adjusted != s.adjusted || !rec.Event.OccurredAt.Equal(e.OccurredAt) {
			t.Errorf("%s: %+v, want %s", s.name, rec, s.effective)
		}
		// Sent again by a clock that was set right meanwhile, it is the same event.
		if res := r.RecordSent(learner, self(learner), day(5), e).Results[0]; res.Status != progress.StatusDuplicate {
			t.Errorf("%s: again %+v", s.name, res)
		}
	}
}

// A clock that is decades ahead makes no time of before 1970.
func TestACorrectionEndsAt1970(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	learner := newLearner()
	r.Clock.Set(day(5))
	e := event("a", "u", progress.Completed, utc("1971-01-01T00:00:00Z"))
	e.Reason = "seen"
	r.RecordSent(learner, admin(), utc("2100-01-01T00:00:00Z"), e)
	if rec := lastRecord(r, learner); rec.EffectiveAt.UnixMicro() != 1 || !rec.Adjusted {
		t.Errorf("record %+v", rec)
	}
	if m := r.Module(learner, "a"); m.State != progress.StateCompleted {
		t.Errorf("state %s", m.State)
	}
}

// received_at is the time of the transaction that commits, and what is reported late says so.
func TestLateReportsSaySo(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	learner := newLearner()
	r.Clock.Set(day(10))
	r.Accept(learner, self(learner), event("a", "u", progress.Initialized, day(3).Add(time.Second)))
	rec := lastRecord(r, learner)
	if by := rec.LateBy(); by != 0 {
		t.Errorf("seven days: late by %s", by)
	}
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(1)))
	if rec := lastRecord(r, learner); rec.LateBy() != 9*24*time.Hour || !rec.ReceivedAt.Equal(day(10)) {
		t.Errorf("record %+v is late by %s", rec, rec.LateBy())
	}
}

// What one device reports with one effective time is in the order in which it happened there.
func TestTiesAreOrderedByWhatTheDeviceSaid(t *testing.T) {
	t.Parallel()
	m := module1("a", unit("u"))
	m.Versions[0].Units[0].MoveOn = progress.MoveOnPassed
	published := day(5)
	m.Versions[0].PublishTime = published
	r := newRig(t, []progress.Module{m}, nil)
	r.Clock.Set(day(6))
	learner := newLearner()
	passed := event("a", "u", progress.Passed, day(1))
	failed := event("a", "u", progress.Failed, day(2))
	passed.ID, failed.ID = "ffffffff-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000000"
	r.Accept(learner, self(learner), failed, passed) // both before the version was there
	results := r.Module(learner, "a").Units[0].Results
	if len(results) != 2 || results[0].Verb != progress.Passed || results[1].Verb != progress.Failed || !results[0].EffectiveAt.Equal(published) {
		t.Errorf("results %+v", results)
	}
}

// Days are settled when they are recorded: moving rewrites nothing.
func TestMovingRewritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	learner := newLearner()
	r.Clock.Set(day(0))
	r.SetZone(learner, "Asia/Tokyo")
	// 23:30 and 00:30 in Tokyo: in Los Angeles, mornings of two days only.
	for _, at := range []string{"2026-01-11T14:30:00Z", "2026-01-11T15:30:00Z", "2026-01-13T14:30:00Z", "2026-01-13T15:30:00Z"} {
		r.Clock.Set(utc(at))
		r.Accept(learner, self(learner), event("a", "u", progress.Progressed, utc(at)))
	}
	if s := streakOf(r, learner); s.LongestDays != 4 || s.CurrentDays != 4 || s.TimeZone != "Asia/Tokyo" {
		t.Fatalf("in Tokyo: %+v", s)
	}
	r.Clock.Set(utc("2026-01-13T16:00:00Z"))
	r.SetZone(learner, "America/Los_Angeles")
	if s := streakOf(r, learner); s.LongestDays != 4 || s.CurrentDays != 4 || s.LastActiveDate != "2026-01-14" || s.TimeZone != "America/Los_Angeles" {
		t.Errorf("in Los Angeles: %+v", s)
	}
	// A phone that was offline in Tokyo: its records are of the zone that was in force, or of the one that it names.
	r.Clock.Set(utc("2026-01-20T16:00:00Z"))
	r.Accept(learner, self(learner), event("a", "u", progress.Progressed, utc("2026-01-13T15:45:00Z")))
	if rec := lastRecord(r, learner); rec.Zone != "Asia/Tokyo" {
		t.Errorf("before the move: %q", rec.Zone)
	}
	r.Accept(learner, self(learner), event("a", "u", progress.Progressed, utc("2026-01-15T08:00:00Z")))
	if rec := lastRecord(r, learner); rec.Zone != "America/Los_Angeles" {
		t.Errorf("after the move: %q", rec.Zone)
	}
	e := event("a", "u", progress.Progressed, utc("2026-01-15T09:00:00Z"))
	e.TimeZone = "Europe/Berlin"
	r.Accept(learner, self(learner), e)
	if rec := lastRecord(r, learner); rec.Zone != "Europe/Berlin" {
		t.Errorf("by the event: %q", rec.Zone)
	}
}

// Names that only one machine knows are no time zones.
func TestTimeZonesOfEventsAreIANANames(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	learner := newLearner()
	for _, name := range []string{"right/UTC", "posixrules", "Factory", "posix/Europe/Berlin", "Local", "Europe/Atlantis"} {
		e := event("a", "u", progress.Completed, day0)
		e.TimeZone = name
		if res := r.Record(learner, self(learner), e).Results[0]; res.Status != progress.StatusRejected || res.Reason != "MALFORMED" {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

// A learner id with one wrong digit is refused by every write and read, and leaves nothing; while
// profile cannot be asked, nothing is taken.
func TestNothingIsFiledUnderAnUnknownLearner(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a")))})
	nobody := newLearner()
	waiver := event("a", "u", progress.Waived, day0)
	waiver.Reason = "r"
	state := progress.EnrollmentPaused
	tries := map[string]func() error{
		"record": func() error {
			_, err := r.Service.Record(r.Ctx, engine.Recording{LearnerID: nobody, Actor: admin(), Events: []progress.Event{waiver}})
			return err
		},
		"enroll": func() error {
			_, err := r.Service.Enroll(r.Ctx, engine.Enrolling{LearnerID: nobody, PathID: "p", Actor: admin()})
			return err
		},
		"change": func() error {
			_, err := r.Service.UpdateEnrollment(r.Ctx, nobody, newLearner(), admin(), engine.EnrollmentChange{State: &state})
			return err
		},
		"revoke":    func() error { _, err := r.Service.Revoke(r.Ctx, nobody, newLearner(), admin(), "r"); return err },
		"reinstate": func() error { _, err := r.Service.Reinstate(r.Ctx, nobody, newLearner(), admin(), "r"); return err },
		"read": func() error {
			_, err := r.Service.Read(r.Ctx, nobody, "x", engine.AtLeast{}, func(*progress.View) ([]byte, error) { return []byte("{}"), nil })
			return err
		},
		"history": func() error { _, _, err := r.Service.History(r.Ctx, nobody, 0, 10); return err },
		"watch": func() error {
			return r.Service.Watch(r.Ctx, engine.Watching{LearnerID: nobody}, func() error { return nil }, func(engine.Notice) error { return nil })
		},
	}
	for name, try := range tries {
		if err := try(); reasonOf(err) != "LEARNER_NOT_FOUND" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if head, err := r.Store.Head(r.Ctx, nobody); err != nil || head.Sequence != 0 || head.Known {
		t.Errorf("left behind: %+v %v", head, err)
	}
	known := newLearner()
	r.Know(known)
	r.Profile.Fail(errs.New(errs.Unavailable, errs.ReasonUpstreamUnavailable, "profile is away"))
	for name, try := range tries {
		if err := try(); reasonOf(err) != "UPSTREAM_UNAVAILABLE" {
			t.Errorf("%s without profile: %v", name, err)
		}
	}
	r.Accept(known, self(known), event("a", "u", progress.Completed, day0)) // known learners need no profile
}
