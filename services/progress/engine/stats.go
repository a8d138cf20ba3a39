package engine

import "time"

// Followed is how well a source of changes is known.
type Followed struct {
	Revision int64
	// Age is how long ago the source last confirmed what is known; since the start, where it
	// has not yet.
	Age time.Duration
	// Confirmed is false until the source was reached.
	Confirmed bool
}

// Stats is what the service is about at the moment, for its operator.
type Stats struct {
	// Catalog and Zones are followed from the catalog and from profile.
	Catalog, Zones Followed
	// Queues are how many jobs wait in each of the committer's lanes.
	Queues []int
	// Watchers are the open watches.
	Watchers int
	// Unswept is how many revisions of the catalog the sweep is behind, as this replica last saw
	// it. SweepAge is how long ago it was seen to be done, or in the hands of another replica.
	Unswept  int64
	SweepAge time.Duration
}

// Stats tells how the service is.
func (s *Service) Stats() Stats {
	return Stats{
		Catalog:  s.followed(s.catalog.Current().Revision, s.catalog.Age),
		Zones:    s.followed(s.zoneFollower.revision.Load(), s.zoneFollower.Age),
		Queues:   s.committer.queues(),
		Watchers: s.feed.count(),
		Unswept:  s.sweeper.behind.Load(),
		SweepAge: s.now().Sub(time.UnixMicro(s.sweeper.finished.Load())),
	}
}

func (s *Service) followed(revision int64, age func() (time.Duration, bool)) Followed {
	f := Followed{Revision: revision}
	if f.Age, f.Confirmed = age(); !f.Confirmed {
		f.Age = s.now().Sub(s.started)
	}
	return f
}
