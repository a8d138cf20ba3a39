package profile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// How many learners a page holds: when not said, and at most.
const (
	defaultPageSize = 50
	maxPageSize     = 200
)

// ListQuery is which learners, and which page of them.
type ListQuery struct {
	// Q holds words that display name or email must hold, in any case; "" finds all.
	Q string
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

// List returns learners in the order they were made. A learner that was there when a
// client began to page comes exactly once, one made meanwhile at most once.
// Returns Invalid BAD_PAGE_TOKEN when the token is not one of these filters.
func (s *Service) List(ctx context.Context, q ListQuery) (ListPage, error) {
	words := searchWords(q.Q)
	after, err := readPageToken(q.PageToken, words)
	if err != nil {
		return ListPage{}, err
	}
	size := q.PageSize
	if size <= 0 {
		size = defaultPageSize
	}
	size = min(size, maxPageSize)
	// One more than the size shows whether there is a next page.
	learners, err := s.directory.List(ctx, words, after, size+1)
	if err != nil {
		return ListPage{}, err
	}
	page := ListPage{Learners: learners}
	if len(learners) > size {
		page.Learners = learners[:size]
		page.NextPageToken = pageToken(learners[size-1].ID, words)
	}
	if q.IncludeTotal {
		page.Total, err = s.directory.Count(ctx, words)
	}
	return page, err
}

// pageToken names the last learner of a page, and the filters that it was made with.
func pageToken(last string, words []string) string {
	id := uuid.MustParse(last)
	return base64.RawURLEncoding.EncodeToString(append(filterHash(words), id[:]...))
}

func readPageToken(token string, words []string) (after string, err error) {
	if token == "" {
		return "", nil
	}
	hash := filterHash(words)
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != len(hash)+len(uuid.UUID{}) || !bytes.HasPrefix(raw, hash) {
		bad := errs.InvalidFields([]errs.Violation{{
			Field:       "pageToken",
			Description: "must be the nextPageToken of an answer to the same filters",
			Reason:      errs.ReasonBadPageToken,
		}})
		bad.Reason = errs.ReasonBadPageToken
		return "", bad
	}
	return uuid.UUID(raw[len(hash):]).String(), nil
}

func filterHash(words []string) []byte {
	sum := sha256.Sum256([]byte("learners " + strings.Join(words, " ")))
	return sum[:8]
}
