package progress_test

import (
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// awardsOf are the learner's awards, revoked ones too.
func awardsOf(r *rig, learner string) []progress.Award {
	r.T.Helper()
	awards, _ := rigtest.Read(r, learner, "awards", func(w *progress.View) ([]progress.Award, error) { return w.Awards() })
	return awards
}

// onePath is a rig with a path of one module, and a learner enrolled in it.
func onePath(t *testing.T) (*rig, string) {
	t.Helper()
	r := newRig(t, []progress.Module{module1("a", unit("u")), module1("b", unit("u"))}, []progress.Path{path1("p", milestone("ms", all("a")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	return r, learner
}

// An award that was revoked stays so by what it was revoked for, and whatever judges it again leaves it.
func TestRevokedAwardsStayRevoked(t *testing.T) {
	t.Parallel()
	r, learner := onePath(t)
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(0)))
	id := progress.AwardID(learner, "p", "ms", 0)
	if _, err := r.Service.Revoke(r.Ctx, learner, progress.AwardID(learner, "p", "other", 0), admin(), "r"); errs.KindOf(err) != errs.NotFound {
		t.Errorf("an award that is not there: %v", err)
	}
	mine := progress.Actor{ID: learner, LearnerID: learner, Admin: true}
	if _, err := r.Service.Revoke(r.Ctx, learner, id, mine, "r"); reasonOf(err) != errs.ReasonAboutOneself {
		t.Errorf("one's own: %v", err)
	}
	a, err := r.Service.Revoke(r.Ctx, learner, id, admin(), "the certificate was forged")
	if err != nil || a.RevokeTime.IsZero() || a.RevokeReason != "the certificate was forged" {
		t.Fatal(a, err)
	}
	if _, err := r.Service.Revoke(r.Ctx, learner, id, admin(), "again"); reasonOf(err) != errs.ReasonAwardRevoked {
		t.Errorf("revoking twice: %v", err)
	}
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(0).Add(-time.Hour)))
	e := r.Path(learner, "p").Enrollment
	gone := progress.EnrollmentWithdrawn
	if _, err := r.Service.UpdateEnrollment(r.Ctx, learner, e.ID, self(learner), engine.EnrollmentChange{State: &gone}); err != nil {
		t.Fatal(err)
	}
	r.Enroll(learner, "p")
	awards := awardsOf(r, learner)
	if p := r.Path(learner, "p"); p.Milestones[0].Award != nil || len(awards) != 1 || !awards[0].Revoked() || *p.Percent() != 100 {
		t.Errorf("it is back: %+v, %+v", p.Milestones[0].Award, awards)
	}
	waitFor(r, learner, progress.RecordRevoked, func(rec *progress.Record) bool {
		return rec.ActorID == admin().ID && rec.Reason == "the certificate was forged" && rec.Effects.Awards[0].ID == id
	})
	if drift, err := r.Service.Verify(r.Ctx, learner); err != nil || len(drift) > 0 {
		t.Errorf("folding again differs: %+v %v", drift, err)
	}
}

// What was cheated is voided, and what is really learned then earns the award anew.
func TestAwardsAreEarnedAnew(t *testing.T) {
	t.Parallel()
	r, learner := onePath(t)
	cheated := event("a", "u", progress.Completed, day(0))
	r.Accept(learner, self(learner), cheated)
	first := awardsOf(r, learner)[0]
	if _, err := r.Service.Revoke(r.Ctx, learner, first.ID, admin(), "cheated"); err != nil {
		t.Fatal(err)
	}
	r.Clock.Set(day(2))
	r.Accept(learner, admin(), progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: cheated.ID, Reason: "cheated", OccurredAt: day(2)})
	if p := r.Path(learner, "p"); p.Milestones[0].Award != nil || *p.Percent() != 0 {
		t.Fatalf("voided: %+v", p)
	}
	out := r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(2)))
	want := progress.AwardID(learner, "p", "ms", 1)
	if len(out.Awards) != 1 || out.Awards[0].ID != want || out.Awards[0].Number != 2 || !out.Awards[0].AwardTime.Equal(day(2)) {
		t.Fatalf("earned anew: %+v", out.Awards)
	}
	if a := r.Path(learner, "p").Milestones[0].Award; a == nil || a.ID != want || a.Provisional {
		t.Errorf("path: %+v", a)
	}
	if awards := awardsOf(r, learner); len(awards) != 2 {
		t.Errorf("awards: %+v", awards)
	}
	// The first cannot come back while the second lives.
	if _, err := r.Service.Reinstate(r.Ctx, learner, first.ID, admin(), "r"); reasonOf(err) != errs.ReasonLaterAward || errs.KindOf(err) != errs.Aborted {
		t.Errorf("reinstating beside a later one: %v", err)
	}
	if drift, err := r.Service.Verify(r.Ctx, learner); err != nil || len(drift) > 0 {
		t.Errorf("folding again differs: %+v %v", drift, err)
	}
}

// An award that was given too early, by a change of the catalog, is earned anew by what is learned later.
func TestAwardsGivenTooEarlyAreEarnedAnew(t *testing.T) {
	t.Parallel()
	b := module1("b", unit("u"))
	r := newRig(t, []progress.Module{module1("a", unit("u")), b}, []progress.Path{path1("p", milestone("ms", all("a", "b")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Clock.Set(day(3))
	publish(r, archived(b, day(2), time.Time{}))
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(3)))
	early := awardsOf(r, learner)
	if len(early) != 1 {
		t.Fatalf("awards %+v", early)
	}
	if _, err := r.Service.Revoke(r.Ctx, learner, early[0].ID, admin(), "b was archived by mistake"); err != nil {
		t.Fatal(err)
	}
	r.Clock.Set(day(5))
	publish(r, restored(archived(b, day(2), time.Time{}), day(4)))
	out := r.Accept(learner, self(learner), event("b", "u", progress.Completed, day(5)))
	if len(out.Awards) != 1 || out.Awards[0].Number != 2 {
		t.Errorf("really learned: %+v", out.Awards)
	}
}

// A mistaken revocation is taken back, with a reason, and is audited as it was.
func TestRevocationsAreTakenBack(t *testing.T) {
	t.Parallel()
	r, learner := onePath(t)
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(0)))
	a := awardsOf(r, learner)[0]
	if _, err := r.Service.Reinstate(r.Ctx, learner, a.ID, admin(), "r"); reasonOf(err) != errs.ReasonAwardNotRevoked || errs.KindOf(err) != errs.Aborted {
		t.Errorf("not revoked: %v", err)
	}
	if _, err := r.Service.Revoke(r.Ctx, learner, a.ID, admin(), "mistaken"); err != nil {
		t.Fatal(err)
	}
	back, err := r.Service.Reinstate(r.Ctx, learner, a.ID, admin(), "it was another learner")
	if err != nil || back.Revoked() || back.RevokeReason != "" || back.Number != 1 || !back.AwardTime.Equal(a.AwardTime) {
		t.Fatalf("reinstated: %+v %v", back, err)
	}
	if got := r.Path(learner, "p").Milestones[0].Award; got == nil || got.ID != a.ID || got.Provisional {
		t.Errorf("path: %+v", got)
	}
	waitFor(r, learner, progress.RecordReinstated, func(rec *progress.Record) bool {
		return rec.ActorID == admin().ID && rec.Reason == "it was another learner"
	})
	if drift, err := r.Service.Verify(r.Ctx, learner); err != nil || len(drift) > 0 {
		t.Errorf("folding again differs: %+v %v", drift, err)
	}
}

// Where the newest award is revoked and an older one reinstated, that is the milestone's award, and no
// other is earned beside it.
func TestAReinstatedAwardCountsThoughANewerOneIsRevoked(t *testing.T) {
	t.Parallel()
	r, learner := onePath(t)
	learn := func() string {
		e := event("a", "u", progress.Completed, day(0))
		r.Accept(learner, self(learner), e)
		return e.ID
	}
	cheated := learn()
	first := awardsOf(r, learner)[0].ID
	revoke := func(id string) {
		if _, err := r.Service.Revoke(r.Ctx, learner, id, admin(), "r"); err != nil {
			t.Fatal(err)
		}
	}
	revoke(first)
	void(r, learner, cheated, "r")
	cheated = learn()
	second := awardsOf(r, learner)[1].ID
	revoke(second)
	if _, err := r.Service.Reinstate(r.Ctx, learner, first, admin(), "r"); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		had := awardsOf(r, learner)
		if a := r.Path(learner, "p").Milestones[0].Award; a == nil || a.ID != first || a.Provisional || len(had) != 2 {
			t.Errorf("%s: %+v of %+v", when, a, had)
		}
	}
	check("reinstated")
	void(r, learner, cheated, "r")
	check("its rule holds no more")
	learn()
	check("learned once more")
	revoke(first)
	if a := r.Path(learner, "p").Milestones[0].Award; a != nil {
		t.Errorf("all are revoked: %+v", a)
	}
	learn()
	if had := awardsOf(r, learner); len(had) != 2 {
		t.Errorf("it held when the last one was revoked: %+v", had)
	}
}

// An award is not older than the milestone that it is for; the completions keep their dates.
func TestAwardsAreNotOlderThanTheirMilestone(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"))
	a.Versions[0].PublishTime = utc("2019-01-01T00:00:00Z")
	p := path1("p", milestone("ms", all("a")))
	p.Versions[0].PublishTime = day(1)
	r := newRig(t, []progress.Module{a}, []progress.Path{p})
	learner := newLearner()
	r.Clock.Set(day(2))
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, utc("2020-01-01T08:00:00Z")))
	r.Enroll(learner, "p")
	award := awardsOf(r, learner)[0]
	if !award.AwardTime.Equal(day(1)) || !award.Completions[0].CompleteTime.Equal(utc("2020-01-01T08:00:00Z")) {
		t.Errorf("award %+v", award)
	}
}

// What holds only by a young change of the catalog is shown as provisional and latched by nothing; taken
// back within the hour, it was never made.
func TestSlipsOfTheCatalogLeaveNothing(t *testing.T) {
	t.Parallel()
	b := module1("b", unit("u"))
	r := newRig(t, []progress.Module{module1("a", unit("u")), b}, []progress.Path{path1("p", milestone("ms", all("a", "b")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Clock.Set(day(2).Add(10 * time.Minute))
	slip := archived(b, day(2), time.Time{})
	publish(r, slip)
	out := r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(2)))
	if a := r.Path(learner, "p").Milestones[0].Award; len(out.Awards) != 0 || a == nil || !a.Provisional || len(awardsOf(r, learner)) != 0 {
		t.Fatalf("within the hour: %+v, %+v", out.Awards, a)
	}
	r.Clock.Set(day(2).Add(50 * time.Minute))
	publish(r, restored(slip, day(2).Add(50*time.Minute)))
	r.Accept(learner, self(learner), event("b", "u", progress.Progressed, day(2).Add(5*time.Minute))) // in the archive that never was
	p := r.Path(learner, "p")
	if p.Milestones[0].Award != nil || *p.Percent() != 50 || p.PreviousPercent != nil || p.Milestones[0].Modules[1].State != progress.StateInProgress {
		t.Errorf("taken back: %d %%, %+v", *p.Percent(), p.Milestones[0])
	}
	r.Clock.Set(day(3))
	if len(awardsOf(r, learner)) != 0 {
		t.Error("it was latched after all")
	}
}

func withdraw(r *rig, learner, enrollment string) {
	r.T.Helper()
	gone := progress.EnrollmentWithdrawn
	if _, err := r.Service.UpdateEnrollment(r.Ctx, learner, enrollment, self(learner), engine.EnrollmentChange{State: &gone}); err != nil {
		r.T.Fatal(err)
	}
}

// overviewOf is the learner's progress in summary.
func overviewOf(r *rig, learner string) *progress.Overview {
	r.T.Helper()
	o, _ := rigtest.Read(r, learner, "overview", func(w *progress.View) (*progress.Overview, error) { return w.Overview() })
	return o
}

// What holds by a sunset alone latches an hour after the sunset.
func TestASunsetSettlesAnHourLater(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	r := newRig(t, []progress.Module{a, module1("b", unit("u"))}, []progress.Path{path1("p", milestone("ms", all("a", "b")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day(0)))
	sunset := day(5)
	r.Clock.Set(day(2))
	publish(r, archived(a, day(2), sunset))
	for _, s := range []struct {
		at          time.Time
		awards      int
		provisional bool
	}{
		{sunset.Add(10 * time.Minute), 0, true},
		{sunset.Add(progress.SettleAfter), 1, false},
	} {
		r.Clock.Set(s.at)
		b := event("b", "u", progress.Completed, s.at)
		out := r.Accept(learner, self(learner), b)
		award := r.Path(learner, "p").Milestones[0].Award
		if award == nil || award.Provisional != s.provisional || len(out.Awards) != s.awards || len(awardsOf(r, learner)) != s.awards {
			t.Errorf("at %s: %+v, %+v", s.at, out.Awards, award)
		}
		r.Accept(learner, admin(), progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: b.ID, Reason: "r", OccurredAt: s.at})
	}
}
