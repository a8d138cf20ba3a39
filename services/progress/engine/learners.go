package engine

import (
	"context"
	"sync"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// knownLearners are learners who exist, as far as this process has found out. They are few bytes
// each; above maxKnownLearners all are forgotten, and found out again.
type knownLearners struct {
	mu  sync.RWMutex
	ids map[string]struct{}
}

const maxKnownLearners = 200_000

func (k *knownLearners) has(id string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, ok := k.ids[id]
	return ok
}

func (k *knownLearners) add(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ids == nil || len(k.ids) >= maxKnownLearners {
		k.ids = make(map[string]struct{})
	}
	k.ids[id] = struct{}{}
}

func (k *knownLearners) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ids = nil
}

// exists returns NotFound when there is no such learner, so that nothing is filed under an id with one
// wrong digit. Those who are known here need no profile; of others it says only what profile has
// confirmed since the call, and returns Unavailable while it cannot be reached.
func (s *Service) exists(ctx context.Context, learnerID string) error {
	if s.known.has(learnerID) {
		return nil
	}
	_, err := s.headOf(ctx, learnerID)
	return err
}

// headOf returns the head of a learner who exists, or of a caller who cannot be stored; errors are those of exists.
func (s *Service) headOf(ctx context.Context, learnerID string) (progress.Head, error) {
	head, err := s.store.Head(ctx, learnerID)
	if p, _ := auth.FromContext(ctx); p.Unregistered && p.LearnerID == learnerID {
		return head, err // they read that they have no records yet
	}
	if err != nil || head.Known {
		if err == nil {
			s.known.add(learnerID)
		}
		return head, err
	}
	if err := s.zoneFollower.Refresh(ctx); err != nil {
		if ctx.Err() != nil { // the caller's own time limit, which is no fault of profile's
			return head, ctx.Err()
		}
		return head, errs.Wrap(err, errs.Unavailable, errs.ReasonUpstreamUnavailable,
			"learner %s is not known here, and profile cannot be reached to look them up; try again later", learnerID)
	}
	if head, err = s.store.Head(ctx, learnerID); err != nil {
		return head, err
	}
	if !head.Known {
		return head, errs.New(errs.NotFound, errs.ReasonLearnerNotFound, "there is no learner %s", learnerID)
	}
	s.known.add(learnerID)
	return head, nil
}
