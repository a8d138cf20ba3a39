package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"

	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// counted counts how often heads and logs are read.
type counted struct {
	progresstest.Store

	heads, logs atomic.Int32
}

func (c *counted) Head(ctx context.Context, learnerID string) (progress.Head, error) {
	c.heads.Add(1)
	return c.Store.Head(ctx, learnerID)
}

func (c *counted) Log(ctx context.Context, learnerID string, after int64, limit int) ([]progress.Record, progress.Head, error) {
	c.logs.Add(1)
	return c.Store.Log(ctx, learnerID, after, limit)
}

// TestWhoExists: a learner is looked up once, the caller's own, too, since another service may have resolved it;
// and profile is asked about one who is not known.
func TestWhoExists(t *testing.T) {
	r := newRig(t, nil, nil)
	store := &counted{Store: r.Store}
	service := r.ReplicaOver(store, engine.Options{})
	learner, nobody := r.Learner(), rigtest.NewLearner()
	for _, c := range []struct {
		caller auth.Principal
		about  string
		heads  int32
		reason string
	}{
		{auth.Principal{Issuer: "i", Subject: "ada", Expires: r.Clock.Now().Add(time.Hour), LearnerID: learner}, learner, 1, ""},
		{auth.Principal{Issuer: "i", Subject: "ada", Expires: r.Clock.Now().Add(time.Hour), LearnerID: learner}, learner, 0, ""},
		{auth.Principal{Issuer: "i", Subject: "ada", Expires: r.Clock.Now().Add(time.Hour), LearnerID: learner}, nobody, 2, errs.ReasonLearnerNotFound}, // again when profile has been asked
		{auth.Principal{Issuer: "i", Subject: "ada", Expires: r.Clock.Now().Add(time.Hour), LearnerID: nobody, Unregistered: true}, nobody, 1, ""},
	} {
		store.heads.Store(0)
		holder := c.caller
		_, _, err := service.IssueTicket(auth.NewContext(r.Ctx, c.caller), c.about, holder)
		if errs.ReasonOf(err) != c.reason || store.heads.Load() != c.heads {
			t.Errorf("%+v about %s: %d heads, %v", c.caller, c.about, store.heads.Load(), err)
		}
	}
}

// TestWatchesReadOnce: a reader who has the whole log costs its head, and an entry that is written here no look at
// the log, though a message of it arrives, too.
func TestWatchesReadOnce(t *testing.T) {
	r := newRig(t, []progress.Module{hundred()}, nil)
	store, wire := &counted{Store: r.Store}, newWire()
	service := r.ReplicaOver(store, engine.Options{PubSub: wire})
	r.Refreshed(service)
	<-wire.live
	received, learner := <-wire.received, r.Learner()
	store.heads.Store(0)
	w := watch(t, service, learner)
	if heads, logs := store.heads.Load(), store.logs.Load(); heads != 1 || logs != 0 {
		t.Errorf("opened with %d heads and %d reads of the log", heads, logs)
	}
	for i := range 5 {
		if err := completeUnit(r.Ctx, service, learner, i); err != nil {
			t.Fatal(err)
		}
		sent := <-wire.sent
		w.sees(t, sent.sequence)
		received(sent.learner, sent.sequence)
	}
	if logs := store.logs.Load(); logs != 0 {
		t.Errorf("heard of 5 entries by %d reads of the log", logs)
	}
}
