// Package page has what all lists of the API have in common: how many items a page holds, the
// tokens that lead from one page to the next, and the order of the items.
package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// How many items a page holds: when not said, and at most.
const (
	DefaultSize = 50
	MaxSize     = 200
)

// maxToken is the length of the longest token that is read. The longest that is written holds an
// id and a key of KeyLength characters, and is shorter.
const maxToken = 512

// Size returns how many items a page holds for which a client asks for so many: DefaultSize for none,
// and never more than MaxSize.
func Size(asked int) int {
	if asked <= 0 {
		return DefaultSize
	}
	return min(asked, MaxSize)
}

// Token writes and reads the page tokens of one list: a hash of what was asked, so that a token
// continues nothing else, and the keys by which the last item of the page before is ordered. A token is
// not secret, and a client can forge one: it can ask for no item that the list would not have.
type Token [8]byte

// separator stands between the keys of a token, none of which holds it.
const separator = "\x00"

// NewToken returns the tokens of a list: its name, and all that decides which items it has and in which
// order, apart from the size of the page. It fails only for what JSON cannot express.
func NewToken(list string, asked ...any) (Token, error) {
	text, err := json.Marshal(append([]any{list}, asked...))
	if err != nil {
		return Token{}, err
	}
	sum := sha256.Sum256(text)
	return Token(sum[:len(Token{})]), nil
}

// After returns the token of the page that begins after the item with these keys.
func (t Token) After(keys ...string) string {
	return base64.RawURLEncoding.EncodeToString(append(t[:], strings.Join(keys, separator)...))
}

// Read returns the keys, so many, of the last item of the page before; nil without a token. They are
// UTF-8 without NUL, and otherwise whatever the client sent.
// Returns Invalid BAD_PAGE_TOKEN when the token is not one that After returned for the same list.
func (t Token) Read(text string, keys int) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxToken {
		return nil, Bad()
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	// The decoder skips line feeds and ignores loose bits.
	if err != nil || base64.RawURLEncoding.EncodeToString(raw) != text {
		return nil, Bad()
	}
	if len(raw) <= len(t) || !bytes.HasPrefix(raw, t[:]) || !utf8.Valid(raw[len(t):]) {
		return nil, Bad()
	}
	read := strings.Split(string(raw[len(t):]), separator)
	if len(read) != keys {
		return nil, Bad()
	}
	return read, nil
}

// ReadKey is Read of one key; "" without a token.
func (t Token) ReadKey(text string) (string, error) {
	keys, err := t.Read(text, 1)
	return strings.Join(keys, ""), err
}

// Cut returns the page that begins after the item with a key, "" being before all, of a list that is at
// hand as a whole, and the token of the next page; "" on the last. The keys are not empty, and rise in
// byte order.
func Cut[T any](t Token, items []T, after string, size int, key func(T) string) (cut []T, next string) {
	cut = items[sort.Search(len(items), func(i int) bool { return key(items[i]) > after }):]
	if len(cut) <= size {
		return cut, ""
	}
	cut = cut[:size]
	return cut, t.After(key(cut[size-1]))
}

// Bad returns the error for a page token that is none, or one of another list. A service returns it too
// when the keys of a token are no keys of its items.
func Bad() error {
	err := errs.InvalidFields([]errs.Violation{{
		Field: "pageToken", Description: "must be the nextPageToken of an answer to the same filters and order", Reason: errs.ReasonBadPageToken,
	}})
	err.Reason = errs.ReasonBadPageToken
	return err
}
