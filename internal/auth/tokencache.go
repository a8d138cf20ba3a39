package auth

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

// maxCachedTokens bounds the cache's memory to a few megabytes.
const maxCachedTokens = 10_000

// tokenCache remembers tokens that were verified, by their SHA-256, the least
// recently used leaving first. Failures are not stored: a token refused for a
// missing key may be good a moment later.
type tokenCache struct {
	mu      sync.Mutex
	limit   int
	entries map[tokenHash]*list.Element
	order   *list.List // of *cachedToken, latest used first
	// era rises when the keys change: what was verified before is not stored after.
	era uint64
}

type tokenHash [sha256.Size]byte

type cachedToken struct {
	hash      tokenHash
	principal Principal
	until     time.Time
}

func newTokenCache(limit int) *tokenCache {
	return &tokenCache{limit: limit, entries: map[tokenHash]*list.Element{}, order: list.New()}
}

// get returns a token's principal, if it is known and still good at now, and
// the era in which to put what is verified otherwise.
func (c *tokenCache) get(hash tokenHash, now time.Time) (p Principal, found bool, era uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[hash]
	if !ok {
		return Principal{}, false, c.era
	}
	token := tokenOf(e)
	if !now.Before(token.until) {
		c.drop(e)
		return Principal{}, false, c.era
	}
	c.order.MoveToFront(e)
	return token.principal, true, c.era
}

// put stores a verified token until the given time, unless the keys changed
// since era.
func (c *tokenCache) put(hash tokenHash, p Principal, until time.Time, era uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if era != c.era {
		return
	}
	if e, ok := c.entries[hash]; ok {
		c.drop(e)
	}
	c.entries[hash] = c.order.PushFront(&cachedToken{hash, p, until})
	if c.order.Len() > c.limit {
		c.drop(c.order.Back())
	}
}

// purge forgets everything.
func (c *tokenCache) purge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.era++
	c.entries = map[tokenHash]*list.Element{} // a new one, since a map stays as large as it was
	c.order.Init()
}

func (c *tokenCache) drop(e *list.Element) {
	delete(c.entries, tokenOf(e).hash)
	c.order.Remove(e)
}

func tokenOf(e *list.Element) *cachedToken {
	return e.Value.(*cachedToken) //nolint:forcetypeassert // the list holds nothing else
}
