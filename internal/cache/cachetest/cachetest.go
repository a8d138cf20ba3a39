// Package cachetest is the contract of cache.Cache as a test suite, which every
// implementation runs.
package cachetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// long is a time to live that no case waits for.
const long = time.Hour

// Run runs the suite; newCache gives an empty cache that holds a megabyte at least.
func Run(t *testing.T, newCache func(t *testing.T) cache.Cache) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(t *testing.T, c cache.Cache)
	}{
		{"an unknown key is a miss", unknownKey},
		{"what was set is got", roundTrips},
		{"keys are compared byte by byte", distinctKeys},
		{"the last value counts", overwrites},
		{"bytes are the cache's own", ownBytes},
		{"values expire", expires},
		{"a time to live that is not positive stores nothing", noTTL},
		{"a done context does no harm", doneContext},
		{"many at once", concurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newCache(t)) })
	}
}

func unknownKey(t *testing.T, c cache.Cache) {
	if v, ok := c.Get(t.Context(), "nobody"); ok || v != nil {
		t.Errorf("got %q, %v", v, ok)
	}
}

func roundTrips(t *testing.T, c cache.Cache) {
	for key, value := range map[string][]byte{
		"plain":                      []byte("value"),
		"{0190f3c2}:path:a:1:2":      []byte("{}"),
		"with space\n\x00and é":      []byte("odd key"),
		"binary":                     {0, 0xff, '\r', '\n', 0},
		"empty":                      {},
		"nil":                        nil,
		"large":                      bytes.Repeat([]byte("x"), 200<<10),
		strings.Repeat("long", 1000): []byte("long key"),
	} {
		c.Set(t.Context(), key, value, long)
		got, ok := c.Get(t.Context(), key)
		if !ok || !bytes.Equal(got, value) {
			t.Errorf("%.20q: %d bytes, %v; want %d bytes", key, len(got), ok, len(value))
		}
	}
}

func distinctKeys(t *testing.T, c cache.Cache) {
	keys := []string{"a", "A", "a ", "a\x00", "{a}", "á", "a\u0301"}
	for i, key := range keys {
		c.Set(t.Context(), key, []byte{byte(i)}, long)
	}
	for i, key := range keys {
		if got, ok := c.Get(t.Context(), key); !ok || !bytes.Equal(got, []byte{byte(i)}) {
			t.Errorf("%q: %v, %v", key, got, ok)
		}
	}
}

func overwrites(t *testing.T, c cache.Cache) {
	c.Set(t.Context(), "k", []byte("a longer value"), long)
	c.Set(t.Context(), "k", []byte("b"), long)
	if got, ok := c.Get(t.Context(), "k"); !ok || string(got) != "b" {
		t.Errorf("got %q, %v", got, ok)
	}
}

func ownBytes(t *testing.T, c cache.Cache) {
	buffer := append(make([]byte, 0, 64), "first"...)
	c.Set(t.Context(), "k", buffer, long)
	copy(buffer, "other")
	got, ok := c.Get(t.Context(), "k")
	if !ok || string(got) != "first" {
		t.Fatalf("after the caller reused its buffer: %q, %v", got, ok)
	}
	_ = append(got, '!')
	again, _ := c.Get(t.Context(), "k")
	if string(again) != "first" || bytes.HasPrefix(again[:cap(again)], []byte("first!")) {
		t.Errorf("appending to a value reached the cache: %q", again[:cap(again)])
	}
}

func expires(t *testing.T, c cache.Cache) {
	c.Set(t.Context(), "stays", []byte("v"), long)
	c.Set(t.Context(), "goes", []byte("v"), 30*time.Millisecond)
	c.Set(t.Context(), "shortened", []byte("v"), long)
	c.Set(t.Context(), "shortened", []byte("v"), 30*time.Millisecond)
	for _, key := range []string{"goes", "shortened"} {
		if !within(5*time.Second, func() bool { _, ok := c.Get(t.Context(), key); return !ok }) {
			t.Errorf("%q is still there", key)
		}
	}
	if _, ok := c.Get(t.Context(), "stays"); !ok {
		t.Error("a value went before its time")
	}
}

func within(limit time.Duration, f func() bool) bool {
	for end := testenv.Now().Add(limit); testenv.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return true
		}
	}
	return false
}

func noTTL(t *testing.T, c cache.Cache) {
	for _, ttl := range []time.Duration{0, -1, -time.Hour} {
		key := ttl.String()
		c.Set(t.Context(), key, []byte("v"), ttl)
		if _, ok := c.Get(t.Context(), key); ok {
			t.Errorf("a value with the time to live %v was stored", ttl)
		}
	}
}

func doneContext(t *testing.T, c cache.Cache) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Set(ctx, "k", []byte("v"), long)
	if got, ok := c.Get(ctx, "k"); ok && string(got) != "v" {
		t.Errorf("got %q", got)
	}
	c.Set(t.Context(), "k", []byte("v"), long)
	if got, ok := c.Get(t.Context(), "k"); !ok || string(got) != "v" {
		t.Errorf("afterwards: %q, %v", got, ok)
	}
}

func concurrent(t *testing.T, c cache.Cache) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 200 {
				key := fmt.Sprint((w + i) % 20)
				c.Set(t.Context(), key, []byte(key), long)
				if got, ok := c.Get(t.Context(), key); !ok || string(got) != key {
					t.Errorf("%s: %q, %v", key, got, ok)
					return
				}
			}
		})
	}
	wg.Wait()
}
