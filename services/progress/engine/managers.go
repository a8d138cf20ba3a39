package engine

import (
	"context"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// managersAge is how old what is known of cohorts may be where it admits managers: somebody may have left a cohort, or
// manage it no more.
const managersAge = 15 * time.Minute

var _ auth.Managers = (*Service)(nil)

// ManagesLearner reports whether a learner manages a cohort of which another is a member, by the copy of what profile
// says. It returns Unavailable when that is too old to be relied upon.
func (s *Service) ManagesLearner(ctx context.Context, managerID, learnerID string) (bool, error) {
	if err := s.managersKnown(); err != nil {
		return false, err
	}
	return s.store.ManagesLearner(ctx, managerID, learnerID)
}

// ManagesCohort is ManagesLearner of a cohort.
func (s *Service) ManagesCohort(ctx context.Context, managerID, cohortID string) (bool, error) {
	if err := s.managersKnown(); err != nil {
		return false, err
	}
	return s.store.ManagesCohort(ctx, managerID, cohortID)
}

func (s *Service) managersKnown() error {
	if state := s.zoneFollower.State(); state.Confirmed && state.Age <= managersAge {
		return nil
	}
	return errs.New(errs.Unavailable, errs.ReasonUpstreamUnavailable,
		"profile cannot be reached, and who manages whom is not known well enough without it; try again later")
}
