package catalog

import "context"

// How many changes a page holds: when not said, and at most.
const (
	defaultChanges = 100
	maxChanges     = 500
)

// Changes returns changes after the revision, oldest first, and the newest revision.
func (s *Service) Changes(ctx context.Context, after int64, size int) ([]Change, int64, error) {
	if size <= 0 {
		size = defaultChanges
	}
	return s.feed.Changes(ctx, after, min(size, maxChanges))
}

// Sync returns each module and path changed after the revision, whole, and the newest
// revision. A reader that is ahead of it gets nothing but the revision.
func (s *Service) Sync(ctx context.Context, after int64) (Snapshot, error) {
	return s.feed.Snapshot(ctx, after)
}

// Revision returns the newest revision; 0 when nothing was ever published.
func (s *Service) Revision(ctx context.Context) (int64, error) { return s.feed.Revision(ctx) }
