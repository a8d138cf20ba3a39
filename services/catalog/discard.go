package catalog

import (
	"context"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Discard removes a draft that was never published: nobody has learned from it, and no published version
// can name it. The id is free again. Other drafts may name it; publishing them then finds no
// such module.
//
// Returns NotFound; FailedPrecondition ETAG_MISMATCH, or PUBLISHED.
func (c *Collection[C]) Discard(ctx context.Context, id string, match Match) error {
	return c.service.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
		item, err := c.get(ctx, tx, id, match)
		if err != nil {
			return err
		}
		if item.Version != nil {
			return errs.New(errs.FailedPrecondition, errs.ReasonPublished,
				"%q was published, and stays for those who learned from it; archive it instead", id)
		}
		return c.in(tx).Delete(ctx, id)
	})
}
