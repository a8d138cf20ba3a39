package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/follow"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// CatalogSource reads the catalog where it is written.
type CatalogSource interface {
	// Sync returns everything that changed after a revision. Unavailable when the catalog cannot be reached.
	Sync(ctx context.Context, afterRevision int64) (progress.CatalogDelta, error)
}

// CatalogFollower holds the newest known snapshot of the catalog in memory, and in our own
// store across restarts. Its revision only rises.
type CatalogFollower struct {
	copy     *catalogCopy
	follower *follow.Follower[progress.CatalogDelta]
	log      *slog.Logger
}

// NewCatalogFollower returns a follower with the snapshot that the store holds.
func NewCatalogFollower(ctx context.Context, source CatalogSource, store CatalogStore, log *slog.Logger, now func() time.Time) (*CatalogFollower, error) {
	stored, err := store.LoadCatalog(ctx)
	if err != nil {
		return nil, err
	}
	c := &catalogCopy{store: store}
	c.current.Store((&progress.Catalog{}).With(stored))
	return &CatalogFollower{copy: c, log: log, follower: follow.New(follow.Config[progress.CatalogDelta]{
		Name: "the catalog", Source: catalogChanges{source}, Store: c, Revision: stored.Revision, Now: now, Logger: log,
	})}, nil
}

// Current returns the newest known snapshot; of revision 0 while there never was one.
func (k *CatalogFollower) Current() *progress.Catalog { return k.copy.current.Load() }

// State returns how far the snapshot is.
func (k *CatalogFollower) State() follow.State { return k.follower.State() }

// Run polls the source until ctx ends.
func (k *CatalogFollower) Run(ctx context.Context) { k.follower.Run(ctx) }

// Refresh fetches what changed, by a fetch that starts after the call; calls at the same time
// share one. It returns the source's error, or Canceled.
func (k *CatalogFollower) Refresh(ctx context.Context) error { return k.follower.Refresh(ctx) }

// AtLeast returns a snapshot of at least the given revision, fetching when the current one is
// older; the current one when that fails, since an old truth is better than none.
func (k *CatalogFollower) AtLeast(ctx context.Context, revision int64) *progress.Catalog {
	if err := k.follower.AtLeast(ctx, revision); err != nil {
		k.log.WarnContext(ctx, "catalog is behind what the caller has seen", "have", k.Current().Revision, "want", revision, "error", err)
	}
	return k.Current()
}

// Stored returns a snapshot of at least a revision that the store holds: another replica has put
// it there, and may have acted on it. Unavailable when neither the catalog nor the store has it.
func (k *CatalogFollower) Stored(ctx context.Context, revision int64) (*progress.Catalog, error) {
	if c := k.Current(); c.Revision >= revision {
		return c, nil
	}
	// The catalog returns what is new, the store only all that there is.
	if err := k.Refresh(ctx); err != nil || k.Current().Revision < revision {
		all, err := k.copy.store.LoadCatalog(ctx)
		if err != nil {
			return nil, err
		}
		k.copy.rise(all)
		k.follower.Advance(all.Revision)
	}
	c := k.Current()
	if c.Revision < revision {
		return nil, errs.New(errs.Unavailable, errs.ReasonCatalogBehind, "the catalog is needed at revision %d, and known at %d; ask again", revision, c.Revision)
	}
	return c, nil
}

// catalogChanges is a CatalogSource as a follower reads it.
type catalogChanges struct{ source CatalogSource }

// Sync returns what changed.
func (c catalogChanges) Sync(ctx context.Context, after int64) (progress.CatalogDelta, int64, error) {
	delta, err := c.source.Sync(ctx, after)
	return delta, delta.Revision, err
}

// catalogCopy is the snapshot in memory and in the store.
type catalogCopy struct {
	store   CatalogStore
	current atomic.Pointer[progress.Catalog]
	// rising is held while current is replaced.
	rising sync.Mutex
}

// Save stores a delta, and raises the snapshot.
func (c *catalogCopy) Save(ctx context.Context, _ int64, delta progress.CatalogDelta) error {
	if err := c.store.SaveCatalog(ctx, delta); err != nil {
		return err
	}
	c.rise(delta)
	return nil
}

// rise merges a delta into the snapshot, unless more is known already.
func (c *catalogCopy) rise(delta progress.CatalogDelta) {
	c.rising.Lock()
	defer c.rising.Unlock()
	if have := c.current.Load(); delta.Revision > have.Revision {
		c.current.Store(have.With(delta))
	}
}
