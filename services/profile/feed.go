package profile

import "context"

// feedPage is how many changes Feed reads at a time.
const feedPage = 500

// Feed returns a page of what happened after a revision, oldest first, the revision
// that its reader then has, and whether others may follow. A reader that is ahead of the feed gets nothing but its
// newest revision.
func (s *Service) Feed(ctx context.Context, after int64) (changes []Change, revision int64, more bool, err error) {
	changes, newest, err := s.changes.Changes(ctx, after, feedPage)
	if err != nil || len(changes) < feedPage {
		return changes, newest, false, err
	}
	// Only a page that is not full reaches the newest revision of its own snapshot.
	return changes, changes[feedPage-1].Revision, true, nil
}
