package progresstest

import (
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// managers follows who manages whom through the changes of profile.
func managers(t *testing.T, s Store) {
	ctx := t.Context()
	boss, ana, revision := newID(), newID(), int64(0)
	person := func(id string, suspended bool) progress.ProfileChange {
		return progress.ProfileChange{Learner: &progress.PersonRecord{Zone: progress.LearnerZone{LearnerID: id}, Suspended: suspended}}
	}
	cohort := func(id string, deleted bool, managers ...string) progress.ProfileChange {
		return progress.ProfileChange{Cohort: &progress.CohortRecord{ID: id, Title: id, ManagerIDs: managers, Deleted: deleted}}
	}
	member := func(cohortID string, is bool) progress.ProfileChange {
		return progress.ProfileChange{Membership: &progress.MembershipRecord{CohortID: cohortID, LearnerID: ana, Member: is, JoinTime: at}}
	}
	step := func(what string, ofAna, ofOwn bool, changes ...progress.ProfileChange) {
		t.Helper()
		for i := range changes {
			changes[i].Revision, changes[i].Time = revision+int64(i+1), at
		}
		revision += int64(len(changes))
		must(t, s.SaveProfile(ctx, revision, at.Add(time.Minute), changes))
		must(t, s.SaveProfile(ctx, revision, at.Add(time.Hour), changes)) // another replica, later
		if got, err := s.ManagesLearner(ctx, boss, ana); got != ofAna || err != nil {
			t.Errorf("%s: manages the learner: %t, %v", what, got, err)
		}
		if got, err := s.ManagesCohort(ctx, boss, "own"); got != ofOwn || err != nil {
			t.Errorf("%s: manages the cohort: %t, %v", what, got, err)
		}
		for manager, of := range map[string]string{boss: boss, ana: ana, newID(): ana} {
			if got, err := s.ManagesLearner(ctx, manager, of); got || err != nil {
				t.Errorf("%s: somebody manages somebody: %t, %v", what, got, err)
			}
		}
		if got, err := s.ManagesCohort(ctx, boss, "other"); got || err != nil {
			t.Errorf("%s: manages another's cohort: %t, %v", what, got, err)
		}
	}
	step("nothing", false, false)
	step("people", false, false, person(boss, false), person(ana, false))
	step("cohorts", false, true, cohort("own", false, newID(), boss), cohort("other", false, newID()), member("other", true))
	step("joined", true, true, member("own", true))
	step("left", false, true, member("own", false))
	step("back", true, true, member("own", false), member("own", true))
	step("suspended", false, false, person(boss, true))
	step("reactivated", true, true, person(boss, false))
	step("another manager", false, false, cohort("own", false, newID()))
	step("manager again", true, true, cohort("own", false, boss))
	step("deleted", false, false, cohort("own", true, boss))
}
