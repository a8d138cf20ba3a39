package catalog

import (
	"context"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
)

// Create makes an item in state DRAFT from the content and returns what encode makes
// of it. With a key that served the same request before, it makes nothing and returns
// the response of then, as replayed.
//
// Returns Invalid with every violation of the content's shape; AlreadyExists
// MODULE_EXISTS or PATH_EXISTS; FailedPrecondition IDEMPOTENCY_KEY_REUSED when the key
// came with another request; Aborted IDEMPOTENCY_KEY_IN_FLIGHT while its twin is served.
func (c *Collection[C]) Create(
	ctx context.Context, id string, content C, key idem.Key, encode func(Item[C]) ([]byte, error),
) (answer []byte, replayed bool, err error) {
	leave, err := c.creates.Enter(key)
	if err != nil {
		return nil, false, err
	}
	defer leave()
	f := content.shape()
	f.slug(c.kind.idField(), id)
	if err := f.err(); err != nil {
		return nil, false, err
	}
	now := c.service.micros()
	item := Item[C]{ID: id, State: StateDraft, Draft: &content}.touched(now)
	response, err := encode(item)
	if err != nil {
		return nil, false, err
	}
	err = c.service.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
		earlier, found, err := tx.FindResponse(ctx, key, now)
		answer, replayed = earlier, found
		if err != nil || found {
			return err
		}
		answer = response
		if _, err := c.in(tx).Get(ctx, id); err == nil {
			return Exists(c.kind, id)
		} else if errs.KindOf(err) != errs.NotFound {
			return err
		}
		if err := c.in(tx).Put(ctx, item); err != nil {
			return err
		}
		return tx.SaveResponse(ctx, key, response, now)
	})
	if err != nil {
		return nil, false, err
	}
	return answer, replayed, nil
}

// idField is the request's field that holds a new id.
func (k Kind) idField() string {
	if k == KindPath {
		return "pathId"
	}
	return "moduleId"
}

// Match reports whether an edit may be made of the item that has the etag; nil: of any.
type Match func(etag string) bool

// Update lets edit change the draft, or, where there is none, the newest version's
// content without its defaults; and stores it as the draft. Only its shape is checked.
// An edit that changes nothing of a draft leaves the etag as it is. Edit may run more
// than once.
//
// Returns edit's error as it came; Invalid with every violation of the shape;
// NotFound; FailedPrecondition ETAG_MISMATCH.
func (c *Collection[C]) Update(ctx context.Context, id string, match Match, edit func(C) (C, error)) (Item[C], error) {
	now := c.service.micros()
	var after Item[C]
	err := c.service.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
		before, err := c.get(ctx, tx, id, match)
		if err != nil {
			return err
		}
		merged, err := edit(before.editable())
		if err != nil {
			return err
		}
		if f := merged.shape(); f.len() > 0 {
			return f.err()
		}
		after = before
		if before.Draft != nil {
			if unchanged, err := same(*before.Draft, merged); err != nil || unchanged {
				return err
			}
		}
		after.Draft = &merged
		after = after.touched(now)
		return c.in(tx).Put(ctx, after)
	})
	return after, err
}

// get reads an item for an edit, unless its etag does not match.
func (c *Collection[C]) get(ctx context.Context, tx Tx, id string, match Match) (Item[C], error) {
	item, err := c.in(tx).Get(ctx, id)
	if err != nil {
		return Item[C]{}, err
	}
	return item, item.mustMatch(match)
}

// mustMatch returns ETAG_MISMATCH unless an edit may be made of the item.
func (i Item[C]) mustMatch(match Match) error {
	if match != nil && !match(i.Etag()) {
		return errs.New(errs.FailedPrecondition, errs.ReasonEtagMismatch,
			"%q has changed since it was read; read it again, then edit that", i.ID)
	}
	return nil
}

// editable is what an edit begins with.
func (i Item[C]) editable() C {
	var content C
	switch {
	case i.Draft != nil:
		content = *i.Draft
	case i.Version != nil:
		content = i.Version.Content.Plain()
	}
	return content
}
