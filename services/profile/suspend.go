package profile

import (
	"context"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// The actions of the audit.
const (
	ActionSuspended         = "LEARNER_SUSPENDED"
	ActionReactivated       = "LEARNER_REACTIVATED"
	ActionAttributesChanged = "LEARNER_ATTRIBUTES_CHANGED"
	ActionCohortCreated     = "COHORT_CREATED"
	ActionCohortChanged     = "COHORT_CHANGED"
	ActionCohortDeleted     = "COHORT_DELETED"
	ActionMembersAdded      = "COHORT_MEMBERS_ADDED"
	ActionMembersRemoved    = "COHORT_MEMBERS_REMOVED"
)

// Suspend notes that a learner left the organization.
//
// Returns Invalid when there is no reason; NotFound LEARNER_NOT_FOUND; and FailedPrecondition LEARNER_SUSPENDED when
// they are suspended already.
func (s *Service) Suspend(ctx context.Context, learnerID, actor, reason string) (Learner, error) {
	return s.move(ctx, learnerID, StateSuspended, AuditEntry{Actor: actor, Action: ActionSuspended, Reason: reason})
}

// Reactivate notes that a learner came back.
//
// Returns Invalid when there is no reason; NotFound LEARNER_NOT_FOUND; and FailedPrecondition LEARNER_ACTIVE when
// they are active already.
func (s *Service) Reactivate(ctx context.Context, learnerID, actor, reason string) (Learner, error) {
	return s.move(ctx, learnerID, StateActive, AuditEntry{Actor: actor, Action: ActionReactivated, Reason: reason})
}

func (s *Service) move(ctx context.Context, learnerID string, to State, entry AuditEntry) (Learner, error) {
	if err := checkReason(entry.Reason); err != nil {
		return Learner{}, err
	}
	return s.change(ctx, learnerID, func(e *learnerEdit) error {
		if e.before.State == to {
			if to == StateSuspended {
				return errs.New(errs.FailedPrecondition, errs.ReasonLearnerSuspended, "the learner is suspended already")
			}
			return errs.New(errs.FailedPrecondition, errs.ReasonLearnerActive, "the learner is active already")
		}
		e.after.State = to
		entry.Time, entry.Resource = e.now, "learners/"+learnerID
		e.audit = []AuditEntry{entry}
		return nil
	})
}

// checkReason checks the reason of a command that wants one.
func checkReason(reason string) error {
	var v errs.Violations
	if strings.TrimSpace(reason) == "" {
		v.Addf("reason", errs.ReasonRequired, "must not be blank: it is for the audit")
	}
	checkGivenReason(&v, reason)
	return v.Err()
}

func checkGivenReason(v *errs.Violations, reason string) { v.Text("reason", reason, maxReason) }
