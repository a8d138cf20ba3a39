package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"

	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// counted counts how often heads are read.
type counted struct {
	progresstest.Store

	heads int
}

func (c *counted) Head(ctx context.Context, learnerID string) (progress.Head, error) {
	c.heads++
	return c.Store.Head(ctx, learnerID)
}

// TestWhoeverSignedInExists: the identity of a caller was stored with the learner, who is not looked up; and a caller
// whom no database has stored, or anybody else's learner, is.
func TestWhoeverSignedInExists(t *testing.T) {
	r := newRig(t, nil, nil)
	store := &counted{Store: r.Store}
	service := r.ReplicaOver(store, engine.Options{})
	learner, nobody := r.Learner(), rigtest.NewLearner()
	for _, c := range []struct {
		caller auth.Principal
		about  string
		heads  int
		reason string
	}{
		{auth.Principal{Issuer: "i", Subject: "ada", Expires: r.Clock.Now().Add(time.Hour), LearnerID: learner}, learner, 0, ""},
		{auth.Principal{Issuer: "i", Subject: "ada", Expires: r.Clock.Now().Add(time.Hour), LearnerID: learner}, nobody, 2, errs.ReasonLearnerNotFound}, // again when profile has been asked
		{auth.Principal{Issuer: "i", Subject: "ada", Expires: r.Clock.Now().Add(time.Hour), LearnerID: nobody, Unregistered: true}, nobody, 1, ""},
	} {
		store.heads = 0
		holder := c.caller
		_, _, err := service.IssueTicket(auth.NewContext(r.Ctx, c.caller), c.about, holder)
		if errs.ReasonOf(err) != c.reason || store.heads != c.heads {
			t.Errorf("%+v about %s: %d heads, %v", c.caller, c.about, store.heads, err)
		}
	}
}
