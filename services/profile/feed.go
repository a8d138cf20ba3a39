package profile

import "context"

// feedPage is how many learners Feed reads at a time.
const feedPage = 500

// Feed calls send for each learner with a change after a revision, by revision, and
// returns the revision that its reader then has. A learner may
// come twice, when they change meanwhile: the later one counts. A reader that is ahead of
// the feed gets nothing but its newest revision. It returns send's error as it came.
func (s *Service) Feed(ctx context.Context, after int64, send func(Change) error) (int64, error) {
	for {
		changes, newest, err := s.changes.Changes(ctx, after, feedPage)
		if err != nil {
			return 0, err
		}
		for _, c := range changes {
			if err := send(c); err != nil {
				return 0, err
			}
			after = c.Revision
		}
		// Only a page that is not full reaches the newest revision of its own snapshot.
		if len(changes) < feedPage {
			return newest, nil
		}
	}
}
