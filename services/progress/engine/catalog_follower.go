package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// CatalogSource reads the catalog where it is written.
type CatalogSource interface {
	// Sync answers everything that changed after a revision. Unavailable when the catalog cannot be reached.
	Sync(ctx context.Context, afterRevision int64) (progress.CatalogDelta, error)
}

// CatalogKeeper holds the newest known snapshot of the catalog in memory, and in our own
// store across restarts. Its revision only rises.
type CatalogFollower struct {
	source CatalogSource
	store  CatalogStore
	log    *slog.Logger
	now    func() time.Time

	current atomic.Pointer[progress.Catalog]
	// rising is held while current is replaced.
	rising sync.Mutex
	// refreshed is when the source last confirmed the snapshot, in unix microseconds; 0: never.
	refreshed atomic.Int64

	follower follower
}

// NewCatalogKeeper makes a keeper with the snapshot that the store holds.
func NewCatalogFollower(ctx context.Context, source CatalogSource, store CatalogStore, log *slog.Logger, now func() time.Time) (*CatalogFollower, error) {
	k := &CatalogFollower{source: source, store: store, log: log, now: now}
	k.follower = follower{source: "the catalog", fetch: k.fetch, revision: func() int64 { return k.Current().Revision }, log: log}
	stored, err := store.LoadCatalog(ctx)
	if err != nil {
		return nil, err
	}
	k.current.Store((&progress.Catalog{}).With(stored))
	return k, nil
}

// Current answers the newest known snapshot; of revision 0 while there never was one.
func (k *CatalogFollower) Current() *progress.Catalog { return k.current.Load() }

// Age answers how long ago the source last confirmed the snapshot, and whether it ever did
// since the start.
func (k *CatalogFollower) Age() (time.Duration, bool) {
	at := k.refreshed.Load()
	if at == 0 {
		return 0, false
	}
	return k.now().Sub(time.UnixMicro(at)), true
}

// Run polls the source until ctx ends.
func (k *CatalogFollower) Run(ctx context.Context) { k.follower.run(ctx) }

// AtLeast answers a snapshot of at least the given revision, fetching when the current one is
// older; the current one when that fails, since an old truth is better than none.
func (k *CatalogFollower) AtLeast(ctx context.Context, revision int64) *progress.Catalog {
	if c := k.Current(); c.Revision >= revision {
		return c
	}
	if err := k.Refresh(ctx); err != nil {
		k.log.WarnContext(ctx, "catalog is behind what the caller has seen", "have", k.Current().Revision, "want", revision, "error", err)
	}
	return k.Current()
}

// Stored answers a snapshot of at least a revision that the store holds: another replica has put
// it there, and may have acted on it. Unavailable when neither the catalog nor the store tells it.
func (k *CatalogFollower) Stored(ctx context.Context, revision int64) (*progress.Catalog, error) {
	if c := k.Current(); c.Revision >= revision {
		return c, nil
	}
	// The catalog tells what is new, the store only all that there is.
	if err := k.Refresh(ctx); err != nil || k.Current().Revision < revision {
		all, err := k.store.LoadCatalog(ctx)
		if err != nil {
			return nil, err
		}
		k.rise(all)
	}
	c := k.Current()
	if c.Revision < revision {
		return nil, errs.New(errs.Unavailable, progress.ReasonCatalogBehind, "the catalog is needed at revision %d, and known at %d; ask again", revision, c.Revision)
	}
	return c, nil
}

// rise takes up a delta, unless more is known already.
func (k *CatalogFollower) rise(delta progress.CatalogDelta) {
	k.rising.Lock()
	defer k.rising.Unlock()
	if have := k.Current(); delta.Revision > have.Revision {
		k.current.Store(have.With(delta))
	}
}

// Refresh fetches what changed, by a fetch that starts after the call; calls at the same time
// share one. It returns the source's error, or Canceled.
func (k *CatalogFollower) Refresh(ctx context.Context) error { return k.follower.refresh(ctx) }

func (k *CatalogFollower) fetch(ctx context.Context) error {
	have := k.Current()
	delta, err := k.source.Sync(ctx, have.Revision)
	if err != nil {
		return err
	}
	if delta.Revision < have.Revision {
		k.log.WarnContext(ctx, "the catalog is older than what is known here; was it restored? Keeping what is known",
			"have", have.Revision, "catalog", delta.Revision)
	}
	if delta.Revision > have.Revision {
		// Stored first: what was acted on must be known after a restart without the catalog.
		if err := k.store.SaveCatalog(ctx, delta); err != nil {
			return err
		}
		k.rise(delta)
	}
	k.refreshed.Store(k.now().UnixMicro())
	return nil
}
