package catalog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Archive ends new starts. Learners in progress may finish until the sunset, or without
// end when it is zero. The sunset is final: another one is a Restore followed by an Archive,
// which is a stay in the archive of its own.
//
// Returns NotFound; FailedPrecondition ETAG_MISMATCH, or NOT_ACTIVE; Invalid
// SUNSET_IN_PAST.
func (c *Collection[C]) Archive(ctx context.Context, id string, sunset time.Time, match Match, actor string) (Item[C], error) {
	now := c.service.micros()
	if past := sunsetFaults(sunset, now); past.len() > 0 {
		return Item[C]{}, past.err()
	}
	return c.move(ctx, id, match, actor, func(item *Item[C]) (Action, error) {
		if why := item.notActive(); why != "" {
			return "", errs.New(errs.FailedPrecondition, errs.ReasonNotActive, "%s", why)
		}
		item.State = StateArchived
		stay := ArchivePeriod{ArchiveTime: now}
		if !sunset.IsZero() {
			stay.SunsetTime = sunset.UTC().Truncate(time.Microsecond)
		}
		item.Archives = append(slices.Clone(item.Archives), stay)
		return ActionArchived, nil
	})
}

// notActive is why the item cannot be archived; "" when it can.
func (i Item[C]) notActive() string {
	switch i.State {
	case StateArchived:
		return fmt.Sprintf("%q is archived already; for another sunset, restore it and archive it again", i.ID)
	case StateDraft:
		return fmt.Sprintf("%q was never published, and only what is ACTIVE can be archived", i.ID)
	case StateActive:
	}
	return ""
}

// sunsetFaults are the violations of a sunset; zero is none.
func sunsetFaults(sunset, now time.Time) faults {
	var f faults
	if !sunset.IsZero() && sunset.Before(now) {
		f.addf("sunsetTime", errs.ReasonSunsetInPast, "must not lie in the past")
	}
	return f
}

// Restore makes what is archived active again. The stay in the archive remains on record.
//
// Returns NotFound; FailedPrecondition ETAG_MISMATCH, or NOT_ARCHIVED.
func (c *Collection[C]) Restore(ctx context.Context, id string, match Match, actor string) (Item[C], error) {
	now := c.service.micros()
	return c.move(ctx, id, match, actor, func(item *Item[C]) (Action, error) {
		stay, archived := item.Archive()
		if !archived {
			return "", errs.New(errs.FailedPrecondition, errs.ReasonNotArchived, "%q is %s, and only what is ARCHIVED can be restored", id, item.State)
		}
		item.State = StateActive
		stay.RestoreTime = now
		if now.Before(stay.ArchiveTime) { // another replica's clock
			stay.RestoreTime = stay.ArchiveTime
		}
		item.Archives = append(slices.Clone(item.Archives[:len(item.Archives)-1]), stay)
		return ActionRestored, nil
	})
}

// move changes an item's state and announces it.
func (c *Collection[C]) move(ctx context.Context, id string, match Match, actor string, to func(*Item[C]) (Action, error)) (Item[C], error) {
	now := c.service.micros()
	var after Item[C]
	err := c.service.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
		item, err := c.get(ctx, tx, id, match)
		if err != nil {
			return err
		}
		action, err := to(&item)
		if err != nil {
			return err
		}
		item = item.touched(now)
		item.Revision, err = tx.Announce(ctx, Change{
			Kind: c.kind, ID: id, Action: action, Version: item.Latest(), Time: now, Actor: actor,
		})
		if err != nil {
			return err
		}
		after = item
		return c.in(tx).Put(ctx, item)
	})
	return after, err
}
