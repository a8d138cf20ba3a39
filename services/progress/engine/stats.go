package engine

import (
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/follow"
)

// Stats is what the service is about at the moment, for its operator.
type Stats struct {
	// Catalog and Zones are followed from the catalog and from profile.
	Catalog, Zones follow.State
	// Queued is how many jobs wait for a transaction.
	Queued int
	// Watchers are the open watches.
	Watchers int
	// Memory is what is remembered of learners.
	Memory MemoryStats
	// Retries are the transactions that were written again.
	Retries RetryStats
	// Sweep is nil in a replica that does not hold the sweep.
	Sweep *SweepStats
}

// SweepStats is how far the sweep is, in the replica that holds it.
type SweepStats struct {
	// Unswept is how many revisions of the catalog it is behind.
	Unswept int64
	// Age is how long ago the sweep began that was finished last, by whichever replica; since the start of
	// this one while none ever was.
	Age time.Duration
}

// MemoryStats is what is remembered of learners now, and how many lookups found what they were for and how many did not.
type MemoryStats struct {
	Hits, Misses uint64
	Learners     int
	Bytes        int64
}

// RetryStats is how many transactions were written again because something was not as was believed: the heads of
// learners, whether an event is known, or the catalog's revision.
type RetryStats struct{ Learners, Events, Catalog uint64 }

// Stats returns what the service is about at the moment.
func (s *Service) Stats() Stats {
	return Stats{
		Catalog:  s.catalog.State(),
		Zones:    s.zoneFollower.State(),
		Queued:   s.committer.queue.length(),
		Watchers: s.feed.count(),
		Memory:   s.memory.stats(),
		Retries:  s.committer.retries.stats(),
		Sweep:    s.sweeper.stats(),
	}
}

// retries counts what RetryStats has.
type retries struct{ learners, events, catalog atomic.Uint64 }

func (r *retries) stats() RetryStats {
	return RetryStats{Learners: r.learners.Load(), Events: r.events.Load(), Catalog: r.catalog.Load()}
}
