// Package engine is what runs in progress: it writes events in groups (committer.go, batch.go),
// enrolls, revokes and sweeps, computes and caches answers (answers.go), notifies watchers (feed.go),
// and follows the catalog and profile. What is right is the rule of package progress; here is when
// it is applied, and to which snapshot.
package engine

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// Options are what a Service needs beside its store.
type Options struct {
	// Catalog is where modules and paths are read.
	Catalog CatalogSource
	// Zones is where learners' time zones are read; nil: nowhere, and they stay as they are stored.
	Zones ZoneSource
	// Cache holds computed answers; see answers.go.
	Cache cache.Cache
	// PubSub notifies other replicas of what this one wrote; nil: they look for themselves.
	PubSub PubSub
	// CommitLanes is how many transactions may be written at a time; 1 for SQLite.
	CommitLanes int
	// Memory is how many bytes are used, about, to remember learners; 0 for 32 MiB.
	Memory int64
	// LockedTry is the attempt at which a transaction locks the heads of its learners, instead of finding
	// out whether they moved: 1 for always; 0 for the fourth.
	LockedTry int
	// Committed is called with each transaction, from the committer's own goroutines; it may be nil.
	Committed func(Commit)
	Now       func() time.Time
	Logger    *slog.Logger
}

// AtLeast is what the caller has seen of the other services, by their revisions: an answer
// must not be older. Zeros: nothing.
type AtLeast struct {
	Catalog, Profile int64
	// Answers are the names of answers that the caller has (Answer).
	Answers []string
}

// Service is the progress service.
type Service struct {
	store        Store
	catalog      *CatalogFollower
	zoneFollower *ZoneFollower
	memory       *memory
	committer    *committer
	sweeper      *sweeper
	cache        cache.Cache
	feed         *feed
	flights      flights
	creating     idem.Guard
	known        knownLearners
	lastLog      atomic.Pointer[logLine]
	now          func() time.Time
	log          *slog.Logger
	stop         context.CancelFunc
	stopped      chan struct{}
}

// New starts the service: it follows the catalog and profile, commits and sweeps until Close.
func New(ctx context.Context, store Store, opts Options) (*Service, error) {
	if _, err := store.Incarnation(ctx); err != nil { // so that a start logs that the database is another one
		return nil, err
	}
	catalog, err := NewCatalogFollower(ctx, opts.Catalog, store, opts.Logger, opts.Now)
	if err != nil {
		return nil, err
	}
	if opts.Zones == nil {
		opts.Zones = noZones{}
	}
	zones, err := NewZoneFollower(ctx, opts.Zones, store, opts.Logger, opts.Now)
	if err != nil {
		return nil, err
	}
	s := &Service{
		store:        store,
		memory:       newMemory(cmp.Or(opts.Memory, memoryBytes)),
		catalog:      catalog,
		zoneFollower: zones,
		cache:        opts.Cache,
		feed:         newFeed(store, opts.PubSub, opts.Logger),
		now:          opts.Now,
		log:          opts.Logger,
		stopped:      make(chan struct{}),
	}
	s.committer = newCommitter(opts.CommitLanes, committerConfig{
		store: store, memory: s.memory, catalog: catalog, now: opts.Now, log: opts.Logger, committed: s.feed.publish, observe: opts.Committed,
		lockedTry: cmp.Or(opts.LockedTry, lockedTry),
	})
	s.sweeper = newSweeper(s)
	s.feed.start(ctx)
	s.start(ctx)
	return s, nil
}

// start follows and sweeps until Close.
func (s *Service) start(ctx context.Context) {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	var background sync.WaitGroup
	background.Go(func() { s.catalog.Run(run) })
	background.Go(func() { s.zoneFollower.Run(run) })
	background.Go(func() { s.sweeper.run(run) })
	go func() {
		defer close(s.stopped)
		background.Wait()
	}()
}

// Close writes what was taken, and stops.
func (s *Service) Close() {
	s.stop()
	<-s.stopped
	s.committer.Close()
	s.feed.close() // last, so that other replicas are notified of the last commits
}

// Forget gives up what is remembered of learners. They are read again when they come again.
func (s *Service) Forget() {
	s.memory.forgetAll()
	s.known.forget()
}

// catchUp returns a catalog, and has the store hold time zones, that are no older than what
// the caller has seen; older ones where that cannot be had.
func (s *Service) catchUp(ctx context.Context, seen AtLeast) *progress.Catalog {
	s.zoneFollower.AtLeast(ctx, seen.Profile)
	return s.catalog.AtLeast(ctx, seen.Catalog)
}

// Catalog returns the follower of the catalog.
func (s *Service) Catalog() *CatalogFollower { return s.catalog }

// Ready reports whether there ever was a catalog snapshot, and how old the newest confirmation
// of it is; confirmed is false when the catalog has not been reached since the start.
func (s *Service) Ready() (ready bool, age time.Duration, confirmed bool) {
	state := s.catalog.State()
	return state.Confirmed || state.Revision > 0, state.Age, state.Confirmed
}
