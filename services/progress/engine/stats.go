package engine

import (
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

// Stats returns what the service is about at the moment.
func (s *Service) Stats() Stats {
	return Stats{
		Catalog:  s.catalog.State(),
		Zones:    s.zoneFollower.State(),
		Queued:   s.committer.queue.length(),
		Watchers: s.feed.count(),
		Sweep:    s.sweeper.stats(),
	}
}
