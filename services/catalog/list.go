package catalog

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/page"
)

// Query is which items, and which page of them.
type Query struct {
	// State is ACTIVE when not said; DRAFT and ARCHIVED are for editors.
	State              State
	Topic, Level, Role string
	// Q holds words that the item's texts or its id must hold, in any case; "" finds all.
	Q string
	// IDs are the only ones wanted; none: all. What does not exist is not in the list.
	IDs []string
	// OrderBy is one of the ListOrders, with " desc" behind it for the other direction; "" is
	// by id.
	OrderBy string
	// PageSize is how many at most; 0 is 50, and more than 200 is 200.
	PageSize int
	// PageToken is the Next of the page before; "" is the first.
	PageToken string
	// IncludeTotal counts all items that match.
	IncludeTotal bool
	// Editor is whether the caller is an author or an admin.
	Editor bool
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T
	// Next is the token of the next page; empty on the last.
	Next string
	// Total is how many there are in all; only when asked for.
	Total int
}

// Get returns an item. Only editors see its draft, and that there is one that was
// never published. Returns NotFound.
func (c *Collection[C]) Get(ctx context.Context, id string, editor bool) (Item[C], error) {
	item, err := c.items.Get(ctx, id)
	if err != nil || editor {
		return item, err
	}
	if item.State == StateDraft {
		return Item[C]{}, NotFound(c.kind, id)
	}
	item.Draft = nil
	return item, nil
}

// List returns items in the order that is asked for. An item that was there when a client
// began to page, and did not change, comes exactly once, whatever is made meanwhile.
//
// Returns PermissionDenied ROLE_REQUIRED when the state is only for editors; Invalid, with a
// violation on orderBy, when there is no such order, and BAD_PAGE_TOKEN when the token is
// not one of these filters and this order.
func (c *Collection[C]) List(ctx context.Context, q Query) (Page[Item[C]], error) {
	filter := q.filter()
	if filter.State != StateActive && !q.Editor {
		return Page[Item[C]]{}, errs.New(errs.PermissionDenied, errs.ReasonRoleRequired, "state %s needs role author or admin", filter.State)
	}
	order, err := page.ParseOrder(q.OrderBy, ListOrders()...)
	if err != nil {
		return Page[Item[C]]{}, err
	}
	token, err := page.NewToken(string(c.kind), filter, order)
	if err != nil {
		return Page[Item[C]]{}, err
	}
	after, err := placeOf(token, q.PageToken, order)
	if err != nil {
		return Page[Item[C]]{}, err
	}
	size := page.Size(q.PageSize)
	// One more than the size shows whether there is a next page.
	items, err := c.items.List(ctx, filter, order, after, size+1)
	if err != nil {
		return Page[Item[C]]{}, err
	}
	found := Page[Item[C]]{Items: items}
	if len(items) > size {
		found.Items = items[:size]
		found.Next = token.After(items[size-1].place(filter.State == StateDraft).keys(order)...)
	}
	if !q.Editor {
		for i := range found.Items {
			found.Items[i].Draft = nil
		}
	}
	if q.IncludeTotal {
		found.Total, err = c.items.Count(ctx, filter)
	}
	return found, err
}

// filter is what the query asks for, in one form for all ways to ask for the same.
func (q Query) filter() Filter {
	ids := slices.Clone(q.IDs)
	slices.Sort(ids)
	return Filter{
		State: cmp.Or(q.State, StateActive), Topic: q.Topic, Level: q.Level, Role: q.Role, Words: strings.Fields(q.Q), IDs: slices.Compact(ids),
	}
}

// Version returns one published version. Returns NotFound: of the item as Get does, or of the version.
func (c *Collection[C]) Version(ctx context.Context, id string, number int) (Version[C], error) {
	version, err := c.items.Version(ctx, id, number)
	if errs.ReasonOf(err) == errs.ReasonVersionNotFound {
		if _, missing := c.Get(ctx, id, false); missing != nil {
			return version, missing
		}
	}
	return version, err
}

// Versions returns published versions, newest first. Returns NotFound as Get does, and
// Invalid BAD_PAGE_TOKEN.
func (c *Collection[C]) Versions(ctx context.Context, id string, size int, pageToken string, editor bool) (Page[Version[C]], error) {
	if _, err := c.Get(ctx, id, editor); err != nil {
		return Page[Version[C]]{}, err
	}
	token, err := page.NewToken("versions", c.kind, id)
	if err != nil {
		return Page[Version[C]]{}, err
	}
	last, err := token.ReadKey(pageToken)
	if err != nil {
		return Page[Version[C]]{}, err
	}
	below := math.MaxInt32
	if last != "" {
		if below, err = strconv.Atoi(last); err != nil {
			return Page[Version[C]]{}, page.Bad()
		}
	}
	size = page.Size(size)
	versions, err := c.items.Versions(ctx, id, below, size+1)
	found := Page[Version[C]]{Items: versions}
	if len(versions) > size {
		found.Items = versions[:size]
		found.Next = token.After(strconv.Itoa(versions[size-1].Number))
	}
	return found, err
}

// Topics returns the topics that have an active module, by id.
func (s *Service) Topics(ctx context.Context) ([]Topic, error) { return s.index.Topics(ctx) }
