package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// How many items a page holds: when not said, and at most.
const (
	defaultPageSize = 50
	maxPageSize     = 200
)

// Query is which items, and which page of them.
type Query struct {
	// State is ACTIVE when not said; DRAFT and ARCHIVED are for editors.
	State              State
	Topic, Level, Role string
	// Q holds words that the item's texts or its id must hold, in any case; "" finds all.
	Q string
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

// List returns items in the order of their ids. An item that was there when a client
// began to page, and did not change, comes exactly once, whatever is made meanwhile.
//
// Returns PermissionDenied ROLE_REQUIRED when the state is only for editors, and
// Invalid BAD_PAGE_TOKEN when the token is not one of these filters.
func (c *Collection[C]) List(ctx context.Context, q Query) (Page[Item[C]], error) {
	filter := Filter{State: q.State, Topic: q.Topic, Level: q.Level, Role: q.Role, Words: strings.Fields(q.Q)}
	if filter.State == "" {
		filter.State = StateActive
	}
	if filter.State != StateActive && !q.Editor {
		return Page[Item[C]]{}, errs.New(errs.PermissionDenied, errs.ReasonRoleRequired, "state %s needs role author or admin", filter.State)
	}
	token, err := newPageToken(string(c.kind), filter)
	if err != nil {
		return Page[Item[C]]{}, err
	}
	after, err := token.read(q.PageToken)
	if err != nil {
		return Page[Item[C]]{}, err
	}
	size := pageSize(q.PageSize)
	// One more than the size shows whether there is a next page.
	items, err := c.items.List(ctx, filter, after, size+1)
	if err != nil {
		return Page[Item[C]]{}, err
	}
	page := Page[Item[C]]{Items: items}
	if len(items) > size {
		page.Items = items[:size]
		page.Next = token.write(items[size-1].ID)
	}
	if !q.Editor {
		for i := range page.Items {
			page.Items[i].Draft = nil
		}
	}
	if q.IncludeTotal {
		page.Total, err = c.items.Count(ctx, filter)
	}
	return page, err
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
	token, err := newPageToken("versions", c.kind, id)
	if err != nil {
		return Page[Version[C]]{}, err
	}
	last, err := token.read(pageToken)
	if err != nil {
		return Page[Version[C]]{}, err
	}
	below := math.MaxInt32
	if last != "" {
		if below, err = strconv.Atoi(last); err != nil {
			return Page[Version[C]]{}, badPageToken()
		}
	}
	size = pageSize(size)
	versions, err := c.items.Versions(ctx, id, below, size+1)
	page := Page[Version[C]]{Items: versions}
	if len(versions) > size {
		page.Items = versions[:size]
		page.Next = token.write(strconv.Itoa(versions[size-1].Number))
	}
	return page, err
}

// Topics returns the topics that have an active module, by id.
func (s *Service) Topics(ctx context.Context) ([]Topic, error) { return s.index.Topics(ctx) }

func pageSize(asked int) int {
	if asked <= 0 {
		return defaultPageSize
	}
	return min(asked, maxPageSize)
}

// pageToken begins with a hash of what was asked, so that it continues nothing else.
type pageToken []byte

func newPageToken(asked ...any) (pageToken, error) {
	text, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return sum[:8], nil
}

func (t pageToken) write(last string) string {
	return base64.RawURLEncoding.EncodeToString(append(bytes.Clone(t), last...))
}

// read returns the last item of the page before; "" for none.
func (t pageToken) read(text string) (last string, err error) {
	if text == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) <= len(t) || !bytes.HasPrefix(raw, t) || !partIDPattern.Match(raw[len(t):]) {
		return "", badPageToken()
	}
	return string(raw[len(t):]), nil
}

func badPageToken() error {
	err := errs.InvalidFields([]errs.Violation{{
		Field: "pageToken", Description: "must be the nextPageToken of an answer to the same filters", Reason: errs.ReasonBadPageToken,
	}})
	err.Reason = errs.ReasonBadPageToken
	return err
}
