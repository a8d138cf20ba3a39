package profile

import (
	"context"

	"github.com/preceptor-dev/preceptor/internal/idem"
)

// Creation is a learner to be made before their first sign-in.
type Creation struct {
	Learner Learner
	Key     idem.Key
	// Encode returns the response, which is stored under the key.
	Encode func(Learner) ([]byte, error)
	Actor  string
}

// Create creates a learner before their first sign-in and returns what Encode makes of it.
// With a key that served the same request before, it creates nothing and returns
// the response of then. The revision is the learner's place in the feed; 0 when nothing was
// made.
//
// Returns Invalid with every violation; AlreadyExists SUBJECT_TAKEN, naming the subjects;
// FailedPrecondition IDEMPOTENCY_KEY_REUSED when the key came with another request; and
// Aborted IDEMPOTENCY_KEY_IN_FLIGHT while its twin is being served.
func (s *Service) Create(ctx context.Context, c Creation) (stored []byte, revision int64, err error) {
	leave, err := s.creates.Enter(c.Key)
	if err != nil {
		return nil, 0, err
	}
	defer leave()
	learner := normalized(c.Learner)
	if err := validate(learner); err != nil {
		return nil, 0, err
	}
	if learner, err = s.made(learner); err != nil {
		return nil, 0, err
	}
	response, err := c.Encode(learner)
	if err != nil {
		return nil, 0, err
	}
	edit := learnerEdit{after: learner, fresh: true, now: learner.CreateTime}
	edit.audit = edit.attributes(c.Actor)
	err = s.edit(ctx, func(ctx context.Context, tx Tx, rules RuleSet) (current bool, err error) {
		revision = 0
		earlier, replayed, err := tx.FindResponse(ctx, c.Key, edit.now)
		if err != nil || replayed {
			stored = earlier
			return true, err
		}
		stored = response
		// The key goes first: a twin in another replica must meet at the key, of which it
		// is told to try again, and not at the subjects, of which it is told to give up.
		if err := tx.SaveResponse(ctx, c.Key, response, edit.now); err != nil {
			return true, err
		}
		if err := tx.InsertLearner(ctx, learner); err != nil {
			return true, err
		}
		revision, current, err = edit.finish(ctx, tx, rules)
		return current, err
	})
	if err != nil {
		return nil, 0, err
	}
	return stored, revision, nil
}
