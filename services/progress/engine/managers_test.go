package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// TestManagersNeedAFreshCopy: who manages whom is not said while profile has been away for more than 15 minutes, nor by
// a process that has not reached it yet.
func TestManagersNeedAFreshCopy(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, nil)
	boss, ana := rigtest.NewLearner(), rigtest.NewLearner()
	person := func(id string) *progress.PersonRecord {
		return &progress.PersonRecord{Zone: progress.LearnerZone{LearnerID: id}}
	}
	err := r.Store.SaveProfile(t.Context(), 4, r.Clock.Now(), []progress.ProfileChange{
		{Revision: 1, Learner: person(boss)},
		{Revision: 2, Learner: person(ana)},
		{Revision: 3, Cohort: &progress.CohortRecord{ID: "own", ManagerIDs: []string{boss}}},
		{Revision: 4, Membership: &progress.MembershipRecord{CohortID: "own", LearnerID: ana, Member: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := r.Service
	// refresh has the service ask profile once more, by a revision that nobody has.
	refresh := func() { etag(t, s, ana, 1000) }
	want := func(what string, admitted bool) {
		t.Helper()
		ofLearner, err := s.ManagesLearner(t.Context(), boss, ana)
		ofCohort, other := s.ManagesCohort(t.Context(), boss, "own")
		if admitted && (err != nil || other != nil || !ofLearner || !ofCohort) ||
			!admitted && (errs.KindOf(err) != errs.Unavailable || errs.KindOf(other) != errs.Unavailable || ofLearner || ofCohort) {
			t.Errorf("%s: %t, %v; %t, %v", what, ofLearner, err, ofCohort, other)
		}
	}
	refresh()
	want("fresh", true)
	r.Profile.Fail(errors.New("away"))
	refresh()
	away := r.Clock.Now()
	r.Clock.Set(away.Add(15 * time.Minute))
	want("away for 15 minutes", true)
	s = r.Replica()
	want("a process that never reached profile", false)
	s = r.Service
	r.Clock.Set(away.Add(15*time.Minute + time.Second))
	want("away for longer", false)
	r.Profile.Fail(nil)
	refresh()
	want("back", true)
}
