package engine

import (
	"time"

	"github.com/preceptor-dev/preceptor/internal/follow"
)

// Stats is what the service is about at the moment, for its operator.
type Stats struct {
	// Catalog and Zones are followed from the catalog and from profile.
	Catalog, Zones follow.State
	// Queues are how many jobs wait in each of the committer's lanes.
	Queues []int
	// Watchers are the open watches.
	Watchers int
	// Unswept is how many revisions of the catalog the sweep is behind, as this replica last saw
	// it. SweepAge is how long ago it was seen to be done, or in the hands of another replica.
	Unswept  int64
	SweepAge time.Duration
}

// Stats returns what the service is about at the moment.
func (s *Service) Stats() Stats {
	return Stats{
		Catalog:  s.catalog.State(),
		Zones:    s.zoneFollower.State(),
		Queues:   s.committer.queues(),
		Watchers: s.feed.count(),
		Unswept:  s.sweeper.behind.Load(),
		SweepAge: s.now().Sub(time.UnixMicro(s.sweeper.finished.Load())),
	}
}
