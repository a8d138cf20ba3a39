package auth

import (
	"testing"
	"time"
)

func TestTokenCacheIsBounded(t *testing.T) {
	c, now := newTokenCache(2), time.Unix(1000, 0)
	for i := range byte(3) {
		if i == 2 {
			c.get(tokenHash{0}, now) // used: the next to leave is 1
		}
		c.put(tokenHash{i}, Principal{Subject: string('a' + rune(i))}, now.Add(time.Minute), 0)
	}
	for hash, want := range map[byte]bool{0: true, 1: false, 2: true} {
		if _, found, _ := c.get(tokenHash{hash}, now); found != want {
			t.Errorf("token %d: found %v", hash, found)
		}
	}
	if len(c.entries) != 2 || c.order.Len() != 2 {
		t.Errorf("holds %d and %d", len(c.entries), c.order.Len())
	}
}

func TestTokenCacheKeepsNothingVerifiedBeforeAPurge(t *testing.T) {
	c, now := newTokenCache(2), time.Unix(1000, 0)
	_, _, era := c.get(tokenHash{1}, now)
	c.purge() // the keys change while the token is being verified with the old ones
	c.put(tokenHash{1}, Principal{}, now.Add(time.Minute), era)
	if _, found, _ := c.get(tokenHash{1}, now); found {
		t.Error("a token of another era is stored")
	}
}
