package catalog

import (
	"context"
	"errors"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// maxAttempts is how often a change is judged again because the catalog has changed.
const maxAttempts = 4

// errMoved is why a transaction ends that finds the catalog, or the item, changed.
var errMoved = errors.New("it has changed since it was judged")

// settling is a change that takes long to judge.
type settling struct {
	// judge finds out, without a transaction, what the change would do to the catalog as it is
	// at the revision.
	judge func(ctx context.Context, revision int64) error
	// write does it. It returns errMoved where what judge saw of drafts has changed.
	write func(ctx context.Context, tx Tx) error
	// dryRun leaves write out.
	dryRun bool
	// atOnce judges and writes in one transaction: the last attempt of what is judged quickly.
	// Nil for others.
	atOnce func(ctx context.Context, tx Tx) error
}

// settled judges a change and then writes it in a transaction in which the revision is still the
// one that it was judged by; else it does both again. It returns their errors, and, of a change
// that cannot be made at once, Aborted DATABASE_BUSY when the catalog has changed each time.
func (s *Service) settled(ctx context.Context, change settling) error {
	for range maxAttempts {
		revision, err := s.feed.Revision(ctx)
		if err != nil {
			return err
		}
		judged := change.judge(ctx, revision)
		if judged == nil && !change.dryRun {
			err := s.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
				now, err := tx.Revision(ctx)
				if err != nil {
					return err
				}
				if now != revision {
					return errMoved
				}
				return change.write(ctx, tx)
			})
			if errors.Is(err, errMoved) {
				continue
			}
			return err
		}
		now, err := s.feed.Revision(ctx)
		if err != nil {
			return err
		}
		if now == revision { // what was read is of one commit
			return judged
		}
	}
	if change.atOnce != nil {
		return s.editor.Edit(ctx, change.atOnce)
	}
	return errs.New(errs.Aborted, errs.ReasonDatabaseBusy, "the catalog has changed each time that this was judged; try again")
}
