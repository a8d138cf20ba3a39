package progress

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/idem"
)

// Options are what a Service needs beside its store.
type Options struct {
	// Catalog is where modules and paths are read.
	Catalog CatalogSource
	// Cache keeps computed answers; see answers.go.
	Cache cache.Cache
	// CommitLanes is how many transactions may be written at a time; 1 for SQLite.
	CommitLanes int
	Now         func() time.Time
	Logger      *slog.Logger
}

// Service is the progress service.
type Service struct {
	store       Store
	catalog     *CatalogKeeper
	committer   *committer
	cache       cache.Cache
	feed        *feed
	flights     flights
	creating    idem.Guard
	zones       *zones
	incarnation string
	now         func() time.Time
	log         *slog.Logger
	stop        context.CancelFunc
	stopped     chan struct{}
}

// New starts the service: its catalog keeper, committer and sweeper run until Close.
func New(ctx context.Context, store Store, opts Options) (*Service, error) {
	incarnation, err := store.Incarnation(ctx)
	if err != nil {
		return nil, err
	}
	keeper, err := NewCatalogKeeper(ctx, opts.Catalog, store, opts.Logger, opts.Now)
	if err != nil {
		return nil, err
	}
	s := &Service{
		store:       store,
		catalog:     keeper,
		cache:       opts.Cache,
		feed:        newFeed(),
		incarnation: incarnation,
		zones:       new(zones),
		now:         opts.Now,
		log:         opts.Logger,
		stopped:     make(chan struct{}),
	}
	//nolint:contextcheck // commits run on a context of their own, see commitTimeout
	s.committer = newCommitter(store, opts.CommitLanes, keeper.Current, s.zones, s.feed.publish, opts.Now, opts.Logger)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	var background sync.WaitGroup
	background.Go(func() { keeper.Run(run) })
	background.Go(func() { newSweeper(s).run(run) })
	go func() {
		defer close(s.stopped)
		background.Wait()
	}()
	return s, nil
}

// Close writes what was taken, and stops.
func (s *Service) Close() {
	s.stop()
	<-s.stopped
	s.committer.Close()
}

// Ready tells whether there ever was a catalog snapshot, and how old the newest confirmation
// of it is; confirmed is false when the catalog has not been reached since the start.
func (s *Service) Ready() (ready bool, age time.Duration, confirmed bool) {
	age, confirmed = s.catalog.Age()
	return confirmed || s.catalog.Current().Revision > 0, age, confirmed
}
