package progress

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// CatalogSource reads the catalog where it is written.
type CatalogSource interface {
	// Sync answers everything that changed after a revision. Unavailable when the catalog cannot be reached.
	Sync(ctx context.Context, afterRevision int64) (CatalogDelta, error)
}

// CatalogKeeper holds the newest known snapshot of the catalog in memory, and in our own
// store across restarts. Its revision only rises.
type CatalogKeeper struct {
	source CatalogSource
	store  Store
	log    *slog.Logger
	now    func() time.Time

	current atomic.Pointer[Catalog]
	// refreshed is when the source last confirmed the snapshot, in unix microseconds; 0: never.
	refreshed atomic.Int64

	mu sync.Mutex
	// running is the fetch under way, waiting the one that starts after it: who asks while a
	// fetch runs joins the next one, since the running one may have read before the question.
	running, waiting *fetch
}

type fetch struct {
	done chan struct{}
	err  error
}

// pollEvery is how often the keeper looks for changes that nobody told it of.
const pollEvery = 2 * time.Second

// fetchTimeout bounds one look at the source.
const fetchTimeout = 5 * time.Second

// NewCatalogKeeper makes a keeper with the snapshot that the store holds.
func NewCatalogKeeper(ctx context.Context, source CatalogSource, store Store, log *slog.Logger, now func() time.Time) (*CatalogKeeper, error) {
	k := &CatalogKeeper{source: source, store: store, log: log, now: now}
	stored, err := store.LoadCatalog(ctx)
	if err != nil {
		return nil, err
	}
	k.current.Store((&Catalog{}).with(stored))
	return k, nil
}

// Current answers the newest known snapshot; of revision 0 while there never was one.
func (k *CatalogKeeper) Current() *Catalog { return k.current.Load() }

// Age answers how long ago the source last confirmed the snapshot, and whether it ever did
// since the start.
func (k *CatalogKeeper) Age() (time.Duration, bool) {
	at := k.refreshed.Load()
	if at == 0 {
		return 0, false
	}
	return k.now().Sub(time.UnixMicro(at)), true
}

// Run polls the source until ctx ends.
func (k *CatalogKeeper) Run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for reached := true; ; {
		err := k.Refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil && !reached:
			k.log.InfoContext(ctx, "the catalog is reachable again", "revision", k.Current().Revision)
		case err != nil && reached:
			k.log.WarnContext(ctx, "the catalog cannot be reached; going on with what is known", "revision", k.Current().Revision, "error", err)
		}
		reached = err == nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// AtLeast answers a snapshot of at least the given revision, fetching when the current one is
// older; the current one when that fails, since an old truth is better than none.
func (k *CatalogKeeper) AtLeast(ctx context.Context, revision int64) *Catalog {
	if c := k.Current(); c.Revision >= revision {
		return c
	}
	if err := k.Refresh(ctx); err != nil {
		k.log.WarnContext(ctx, "catalog is behind what the caller has seen", "have", k.Current().Revision, "want", revision, "error", err)
	}
	return k.Current()
}

// Refresh fetches what changed, by a fetch that starts after the call; calls at the same time
// share one. It returns the source's error, or Canceled.
func (k *CatalogKeeper) Refresh(ctx context.Context) error {
	k.mu.Lock()
	var f *fetch
	switch {
	case k.running == nil:
		f = &fetch{done: make(chan struct{})}
		k.running = f
		go k.fetchAll(context.WithoutCancel(ctx))
	case k.waiting == nil:
		f = &fetch{done: make(chan struct{})}
		k.waiting = f
	default:
		f = k.waiting
	}
	k.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.Canceled, "", "gave up waiting for the catalog")
	}
}

// fetchAll runs fetches until nobody waits for one.
func (k *CatalogKeeper) fetchAll(ctx context.Context) {
	for {
		fetchCtx, cancel := context.WithTimeout(ctx, fetchTimeout)
		err := k.fetch(fetchCtx)
		cancel()
		k.mu.Lock()
		done := k.running
		k.running, k.waiting = k.waiting, nil
		more := k.running != nil
		k.mu.Unlock()
		done.err = err
		close(done.done)
		if !more {
			return
		}
	}
}

func (k *CatalogKeeper) fetch(ctx context.Context) error {
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
		k.current.Store(have.with(delta))
	}
	k.refreshed.Store(k.now().UnixMicro())
	return nil
}
