package progress_test

import (
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// What a MATERIAL version asks to be learned anew has a note, unless it was complete before: that stands.
func TestSupersededVersionsHaveANote(t *testing.T) {
	t.Parallel()
	a := module1("a", unit("u"), unit("v"))
	second := version(2, day(3), unchanged("u"), unit("v"))
	second.Material, second.EffectiveTime = true, day(10)
	a.Versions = append(a.Versions, second)
	r := newRig(t, []progress.Module{a}, nil)
	superseded := progress.Note{Code: progress.NoteSupersededVersion, Time: day(10)}
	half, whole := newLearner(), newLearner()
	send := func(learner, unit string, at time.Time) *progress.Note {
		t.Helper()
		return r.Accept(learner, self(learner), onVersion(event("a", unit, progress.Completed, at), 1)).Results[0].Note
	}
	r.Clock.Set(day(9))
	if note := send(half, "v", day(5)); note != nil {
		t.Errorf("before it is in effect: %+v", note)
	}
	r.Clock.Set(day(11))
	for _, at := range []time.Time{day(6), day(11)} {
		if note := send(half, "v", at); note == nil || *note != superseded {
			t.Errorf("done at %s: %+v", at, note)
		}
	}
	if note := send(half, "u", day(11)); note != nil {
		t.Errorf("a unit that did not change: %+v", note)
	}
	send(whole, "u", day(5))
	if note := send(whole, "v", day(6)); note != nil {
		t.Errorf("complete before it was in effect: %+v", note)
	}
}

// A grant that the next version lacks within the hour was never made: it is provisional until then, and
// leaves nothing, not even a percent that fell.
func TestGrantsThatAreTakenBackLeaveNothing(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		name    string
		after   time.Duration
		percent int
	}{
		{"within the hour", 59 * time.Minute, 0},
		{"after it", time.Hour, 100},
	} {
		part, union := module1("part", unit("u")), module1("union", unit("u"))
		granting, later := version(2, day(2), unchanged("u")), version(3, day(2).Add(s.after), unchanged("u"))
		granting.Credits = [][]string{{"part"}}
		union.Versions = append(union.Versions, granting)
		r := newRig(t, []progress.Module{part, union}, []progress.Path{path1("p", milestone("m", all("union")))})
		learner := newLearner()
		r.Enroll(learner, "p")
		r.Accept(learner, self(learner), event("part", "u", progress.Completed, day(1)))
		r.Clock.Set(day(2).Add(10 * time.Minute))
		r.Accept(learner, self(learner), event("part", "u", progress.Progressed, day(2)))
		if p := r.Path(learner, "p"); *p.Percent() != 100 || p.Milestones[0].Award == nil || !p.Milestones[0].Award.Provisional {
			t.Errorf("%s: at first %d %%, award %+v", s.name, *p.Percent(), p.Milestones[0].Award)
		}
		r.Clock.Set(later.PublishTime)
		union.Versions = append(union.Versions, later)
		publish(r, union)
		if p := r.Path(learner, "p"); *p.Percent() != s.percent || p.PreviousPercent != nil || (p.Milestones[0].Award != nil) != (s.percent == 100) {
			t.Errorf("%s: %d %%, before it %v, award %+v", s.name, *p.Percent(), p.PreviousPercent, p.Milestones[0].Award)
		}
	}
}
