package sqlstore

import (
	"context"
	"time"

	"github.com/preceptor-dev/preceptor/internal/lease"
)

// evaluation is the job of looking at all learners with new rules.
const evaluation = "evaluation of rules"

// LeaseEvaluation implements evaluator.Lease.
func (s *Store) LeaseEvaluation(ctx context.Context, owner string, now, until time.Time) (bool, error) {
	held, err := lease.Acquire[struct{}](ctx, s.db, evaluation, owner, now, until)
	return held.Owner == owner, err
}

// FreeEvaluation implements evaluator.Lease.
func (s *Store) FreeEvaluation(ctx context.Context, owner string) error {
	return lease.Release(ctx, s.db, evaluation, owner)
}
