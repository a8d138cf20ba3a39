package engine

import (
	"context"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// Revoke takes an award back, for good: recomputing never gives it again. It returns the award.
// It returns NotFound when the learner has no such award, and FailedPrecondition when it is revoked already.
func (s *Service) Revoke(ctx context.Context, learnerID, awardID string, actor progress.Actor, reason string) (progress.Award, error) {
	var tried time.Time // when an earlier run revoked it, by a commit whose outcome was unknown
	return do(ctx, s.committer, learnerID, func(ctx context.Context, b *batch) (progress.Award, error) {
		var none progress.Award
		l, err := b.learner(ctx, learnerID)
		if err != nil {
			return none, err
		}
		i := slices.IndexFunc(l.Awards, func(a progress.Award) bool { return a.ID == awardID })
		if i < 0 {
			return none, errs.New(errs.NotFound, errs.ReasonAwardNotFound, "the learner has no award %s", awardID)
		}
		a := l.Awards[i]
		if a.Revoked() && !a.RevokeTime.Equal(tried) {
			return none, errs.New(errs.FailedPrecondition, errs.ReasonAwardRevoked, "award %s was revoked already", awardID)
		}
		if a.Revoked() {
			return a, nil
		}
		tried, a.RevokeTime, a.RevokeReason = b.now, b.now, reason
		b.append(&progress.Record{
			LearnerID: learnerID, Type: progress.RecordRevoked, ReceivedAt: b.now, EffectiveAt: b.now, ActorID: actor.ID, Reason: reason,
		})
		b.putAward(l, a)
		b.audit = append(b.audit, progress.AuditEntry{
			Time: b.now, Actor: actor.ID, Action: progress.ActionRevoked, Resource: "learners/" + learnerID + "/milestones/" + awardID, Reason: reason,
		})
		return a, nil
	})
}
