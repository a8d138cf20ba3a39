package profile

import (
	"context"

	"github.com/preceptor-dev/preceptor/internal/page"
)

// ListQuery is which learners, and which page of them.
type ListQuery struct {
	// Q holds words that display name, email or attributes must hold, in any case; "" finds all.
	Q string
	// OrderBy is one of the ListOrders, with " desc" behind it for the other direction; "" is by
	// id, in the order they were made.
	OrderBy string
	// PageSize is how many at most; 0 is 50, and more than 200 is 200.
	PageSize int
	// PageToken is the NextPageToken of the page before; "" is the first.
	PageToken string
	// IncludeTotal counts all learners that match.
	IncludeTotal bool
}

// ListPage is one page of learners.
type ListPage struct {
	Learners []Learner
	// NextPageToken is for the next page; empty on the last.
	NextPageToken string
	// Total is how many there are in all; only when asked for.
	Total int
}

// List returns learners in the order that is asked for. A learner that was there when a
// client began to page, and did not change, comes exactly once, one made meanwhile at most once.
// Returns Invalid, with a violation on orderBy, when there is no such order, and BAD_PAGE_TOKEN when
// the token is not one of these filters and this order.
func (s *Service) List(ctx context.Context, q ListQuery) (ListPage, error) {
	words := searchWords(q.Q)
	order, err := page.ParseOrder(q.OrderBy, ListOrders()...)
	if err != nil {
		return ListPage{}, err
	}
	token, err := page.NewToken("learners", words, order)
	if err != nil {
		return ListPage{}, err
	}
	after, err := placeOf(token, q.PageToken, order)
	if err != nil {
		return ListPage{}, err
	}
	size := page.Size(q.PageSize)
	// One more than the size shows whether there is a next page.
	learners, err := s.directory.List(ctx, words, order, after, size+1)
	if err != nil {
		return ListPage{}, err
	}
	found := ListPage{Learners: learners}
	if len(learners) > size {
		found.Learners = learners[:size]
		found.NextPageToken = token.After(learners[size-1].place().keys(order)...)
	}
	if q.IncludeTotal {
		found.Total, err = s.directory.Count(ctx, words)
	}
	return found, err
}
