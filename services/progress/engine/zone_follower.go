package engine

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// ZoneSource tells learners' time zones where they are set.
type ZoneSource interface {
	// Sync answers the time zones that changed after a revision, a learner's newest last, and
	// the revision that they reach. Unavailable when profile cannot be reached.
	Sync(ctx context.Context, afterRevision int64) (zones []progress.LearnerZone, revision int64, err error)
}

// ZoneKeeper brings learners' time zones from their source into our own store, where they
// are read with everything else of a learner. Its revision only rises.
type ZoneFollower struct {
	source ZoneSource
	store  ZoneStore
	log    *slog.Logger
	now    func() time.Time

	revision atomic.Int64
	// refreshed is when the source last answered, in unix microseconds; 0: never.
	refreshed atomic.Int64
	follower  follower
	// older tells that the source was seen to be older than what is known; for the one fetch at a time.
	older bool
}

// zonePatience is how long AtLeast may keep a caller waiting: an old time zone moves a
// boundary by some hours at most, while the caller may be holding a phone.
const zonePatience = time.Second

// NewZoneKeeper makes a keeper that goes on from where the store is.
func NewZoneFollower(ctx context.Context, source ZoneSource, store ZoneStore, log *slog.Logger, now func() time.Time) (*ZoneFollower, error) {
	k := &ZoneFollower{source: source, store: store, log: log, now: now}
	k.follower = follower{source: "profile", fetch: k.fetch, revision: k.revision.Load, log: log}
	stored, err := store.ZoneRevision(ctx)
	if err != nil {
		return nil, err
	}
	k.revision.Store(stored)
	return k, nil
}

// Run polls the source until ctx ends.
func (k *ZoneFollower) Run(ctx context.Context) { k.follower.run(ctx) }

// AtLeast returns when the store has the time zones of a revision, fetching when it is
// behind. It returns anyway when that fails or takes long: what is stored is good enough to
// go on with, and Run tells the operator.
func (k *ZoneFollower) AtLeast(ctx context.Context, revision int64) {
	if k.revision.Load() >= revision {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, zonePatience)
	defer cancel()
	_ = k.follower.refresh(ctx) // see above
}

func (k *ZoneFollower) fetch(ctx context.Context) error {
	have := k.revision.Load()
	zones, revision, err := k.source.Sync(ctx, have)
	if err != nil {
		return err
	}
	if revision < have && !k.older {
		k.log.WarnContext(ctx, "profile is older than what is known here; was it restored? Keeping what is known",
			"have", have, "profile", revision)
	}
	k.older = revision < have
	if revision > have {
		if err := k.store.SaveZones(ctx, revision, zones); err != nil {
			return err
		}
		k.revision.Store(revision)
	}
	k.refreshed.Store(k.now().UnixMicro())
	return nil
}

// Age answers how long ago the source last confirmed what is known, and whether it ever did
// since the start.
func (k *ZoneFollower) Age() (time.Duration, bool) {
	at := k.refreshed.Load()
	if at == 0 {
		return 0, false
	}
	return k.now().Sub(time.UnixMicro(at)), true
}

// noZones is a source that knows of no time zones.
type noZones struct{}

func (noZones) Sync(_ context.Context, afterRevision int64) ([]progress.LearnerZone, int64, error) {
	return nil, afterRevision, nil
}
