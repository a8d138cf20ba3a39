package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// Revoke takes an award back, and returns it. The milestone can be earned anew by what the learner
// does from then on, once its rule no longer holds by what they did before.
// It returns PermissionDenied when it is the actor's own, NotFound when the learner has no such award,
// and FailedPrecondition when it is revoked already.
func (s *Service) Revoke(ctx context.Context, learnerID, awardID string, actor progress.Actor, reason string) (progress.Award, error) {
	c := command{awardID, actor, reason}
	return s.command(ctx, learnerID, c, func(b *batch, l *progress.Learner, a progress.Award) (progress.Award, error) {
		if a.Revoked() {
			return a, errs.New(errs.FailedPrecondition, errs.ReasonAwardRevoked, "award %s was revoked already", awardID)
		}
		a.RevokeTime, a.RevokeReason = b.now, reason
		a.Revocations, a.RevokedAt = a.Revocations+1, b.heads[learnerID].Sequence+1
		b.commandAward(l, a, c, progress.RecordRevoked, progress.ActionRevoked)
		return a, nil
	})
}

// Reinstate takes the revocation of an award back, and returns the award. It returns PermissionDenied
// when it is the actor's own, NotFound when the learner has no such award, and Aborted when it is not
// revoked, or a later award of its milestone is not revoked.
func (s *Service) Reinstate(ctx context.Context, learnerID, awardID string, actor progress.Actor, reason string) (progress.Award, error) {
	c := command{awardID, actor, reason}
	return s.command(ctx, learnerID, c, func(b *batch, l *progress.Learner, a progress.Award) (progress.Award, error) {
		if !a.Revoked() {
			return a, errs.New(errs.Aborted, errs.ReasonAwardNotRevoked, "award %s is not revoked", awardID)
		}
		later := slices.IndexFunc(l.Awards, func(o progress.Award) bool {
			return o.PathID == a.PathID && o.MilestoneID == a.MilestoneID && o.Number > a.Number && !o.Revoked()
		})
		if later >= 0 {
			return a, errs.New(errs.Aborted, errs.ReasonLaterAward, "the milestone was earned anew by award %s; revoke that first", l.Awards[later].ID)
		}
		a.RevokeTime, a.RevokeReason = time.Time{}, ""
		b.commandAward(l, a, c, progress.RecordReinstated, progress.ActionReinstated)
		sequence := b.heads[learnerID].Sequence
		_, err := b.judgeAwards(ctx, learnerID, sequence, sequence)
		i := slices.IndexFunc(l.Awards, func(o progress.Award) bool { return o.ID == a.ID })
		return l.Awards[i], err // while its rule holds, it is as that gives it now
	})
}

// command is what an admin orders of an award, and why.
type command struct {
	awardID string
	actor   progress.Actor
	reason  string
}

// command applies a command to an award of a learner. It is logged with a record of its own, by which
// a commit whose outcome is unknown finds out that it was written.
func (s *Service) command(
	ctx context.Context, learnerID string, c command, apply func(*batch, *progress.Learner, progress.Award) (progress.Award, error),
) (progress.Award, error) {
	if c.actor.LearnerID == learnerID {
		return progress.Award{}, errs.New(errs.PermissionDenied, errs.ReasonAboutOneself, "nobody commands about themselves: ask another admin")
	}
	if strings.TrimSpace(c.reason) == "" {
		return progress.Award{}, errs.InvalidFields([]errs.Violation{{
			Field: "reason", Reason: errs.ReasonRequired, Description: "must not be blank: it is for the learner and for the audit",
		}})
	}
	if err := s.exists(ctx, learnerID); err != nil {
		return progress.Award{}, err
	}
	var tried progress.Award
	return do(ctx, s.committer, learnerID, func(ctx context.Context, b *batch) (progress.Award, error) {
		l, err := b.learner(ctx, learnerID)
		if err != nil {
			return progress.Award{}, err
		}
		i := slices.IndexFunc(l.Awards, func(a progress.Award) bool { return a.ID == c.awardID })
		switch {
		case i < 0:
			return progress.Award{}, errs.New(errs.NotFound, errs.ReasonAwardNotFound, "the learner has no award %s", c.awardID)
		case b.unsure && tried.ID != "" && l.Awards[i].RevokeTime.Equal(tried.RevokeTime):
			return l.Awards[i], nil // an earlier run wrote it, by a commit whose outcome was unknown
		}
		a, err := apply(b, l, l.Awards[i])
		if err == nil {
			tried = a
		}
		return a, err
	})
}

// commandAward stores an award as a command left it, with its log entry and its audit.
func (b *batch) commandAward(l *progress.Learner, a progress.Award, c command, kind progress.RecordType, action string) {
	b.append(&progress.Record{
		LearnerID: a.LearnerID, Type: kind, ReceivedAt: b.now, EffectiveAt: b.now, ActorID: c.actor.ID, Reason: c.reason,
	})
	b.putAward(l, a)
	b.audit = append(b.audit, progress.AuditEntry{
		Time: b.now, Actor: c.actor.ID, Action: action, Resource: "learners/" + a.LearnerID + "/awards/" + a.ID, Reason: c.reason,
	})
}
