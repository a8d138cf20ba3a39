package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/preceptor-dev/preceptor/internal/follow"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// ZoneSource reads what happens to learners and cohorts: the changes after a revision, oldest first. Unavailable when profile cannot be reached.
type ZoneSource = follow.Source[[]progress.ProfileChange]

// ZoneFollower copies what happens in profile into our own store: learners' time zones, which are read there with
// everything else of a learner, and who manages whom. Its revision only rises.
type ZoneFollower struct {
	*follow.Follower[[]progress.ProfileChange]
}

// manyChanges are so many that profile may have left others for the next question: it leaves some after 20,000.
const manyChanges = 10_000

// zonePatience is how long AtLeast may let a caller wait: an old time zone moves a boundary by some
// hours at most, and the caller may be a person with a device in hand.
const zonePatience = time.Second

// NewZoneFollower returns a follower that goes on from where the store is.
func NewZoneFollower(ctx context.Context, source ZoneSource, store ZoneStore, log *slog.Logger, now func() time.Time) (*ZoneFollower, error) {
	stored, err := store.ZoneRevision(ctx)
	if err != nil {
		return nil, err
	}
	return &ZoneFollower{follow.New(follow.Config[[]progress.ProfileChange]{
		Name: "profile", Source: source, Store: zoneCopy{store, now}, Revision: stored, Patience: zonePatience, Now: now, Logger: log,
		More: func(changes []progress.ProfileChange) bool { return len(changes) >= manyChanges },
	})}, nil
}

// AtLeast returns when the store has the time zones of a revision, fetching when it is
// behind. It returns anyway when that fails or takes long: what is stored is good enough to
// go on with, and Run logs it for the operator.
func (k *ZoneFollower) AtLeast(ctx context.Context, revision int64) {
	_ = k.Follower.AtLeast(ctx, revision) // see above
}

// zoneCopy is the store as a follower writes it.
type zoneCopy struct {
	store ZoneStore
	now   func() time.Time
}

// Save stores what happened.
func (c zoneCopy) Save(ctx context.Context, revision int64, changes []progress.ProfileChange) error {
	return c.store.SaveProfile(ctx, revision, c.now().UTC(), changes)
}

// noZones is a source in which nothing happens.
type noZones struct{}

// Sync returns that nothing changed.
func (noZones) Sync(_ context.Context, after int64) ([]progress.ProfileChange, int64, error) {
	return nil, after, nil
}
