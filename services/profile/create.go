package profile

import (
	"context"

	"github.com/preceptor-dev/preceptor/internal/idem"
)

// Create creates a learner before their first sign-in and returns what encode makes of it.
// With a key that served the same request before, it creates nothing and returns
// the response of then. The revision is the learner's place in the feed; 0 when nothing was
// made.
//
// Returns Invalid with every violation; AlreadyExists SUBJECT_TAKEN, naming the subjects;
// FailedPrecondition IDEMPOTENCY_KEY_REUSED when the key came with another request; and
// Aborted IDEMPOTENCY_KEY_IN_FLIGHT while its twin is being served.
func (s *Service) Create(
	ctx context.Context, in Learner, key idem.Key, encode func(Learner) ([]byte, error),
) (stored []byte, revision int64, err error) {
	leave, err := s.creates.Enter(key)
	if err != nil {
		return nil, 0, err
	}
	defer leave()
	learner := normalized(in)
	if err := validate(learner); err != nil {
		return nil, 0, err
	}
	if learner, err = s.made(learner); err != nil {
		return nil, 0, err
	}
	response, err := encode(learner)
	if err != nil {
		return nil, 0, err
	}
	return s.learners.Create(ctx, learner, key, response, learner.CreateTime)
}
