package cache_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/cache/cachetest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func TestMemory(t *testing.T) {
	for _, size := range []int64{1 << 20, 64 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			cachetest.Run(t, func(*testing.T) cache.Cache { return cache.NewMemory(size, testenv.Now) })
		})
	}
}

func TestMemoryExpiresByItsClock(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := cache.NewMemory(1<<20, func() time.Time { return now })
	c.Set(t.Context(), "k", []byte("v"), time.Minute)
	now = now.Add(time.Minute - 1)
	if _, ok := c.Get(t.Context(), "k"); !ok {
		t.Error("gone too early")
	}
	now = now.Add(1)
	if _, ok := c.Get(t.Context(), "k"); ok {
		t.Error("there for too long")
	}
	if s := c.Stats(); s.Entries != 0 || s.Bytes != 0 || s.Hits != 1 || s.Misses != 1 {
		t.Errorf("%+v", s)
	}
}

func TestMemoryForgetsTheLeastRecentlyUsed(t *testing.T) {
	c := cache.NewMemory(10<<10, testenv.Now)
	value := make([]byte, 1<<10)
	for i := range 8 {
		c.Set(t.Context(), fmt.Sprint(i), value, time.Hour)
	}
	c.Get(t.Context(), "0")
	for i := range 4 {
		c.Set(t.Context(), fmt.Sprint("new", i), value, time.Hour)
	}
	if _, ok := c.Get(t.Context(), "0"); !ok {
		t.Error("the entry in use had to go")
	}
	if _, ok := c.Get(t.Context(), "1"); ok {
		t.Error("the oldest stayed")
	}
	if s := c.Stats(); s.Evictions == 0 || s.Bytes > 10<<10 {
		t.Errorf("%+v", s)
	}
}

func TestMemoryRefusesWhatCannotFit(t *testing.T) {
	c := cache.NewMemory(10<<10, testenv.Now)
	c.Set(t.Context(), "small", []byte("v"), time.Hour)
	c.Set(t.Context(), "k", []byte("old"), time.Hour)
	c.Set(t.Context(), "k", make([]byte, 11<<10), time.Hour)
	if _, ok := c.Get(t.Context(), "k"); ok {
		t.Error("the value before it is still there")
	}
	if _, ok := c.Get(t.Context(), "small"); !ok {
		t.Error("it emptied the cache")
	}
	if cache.NewMemory(0, testenv.Now).Set(t.Context(), "k", nil, time.Hour); cache.NewMemory(-1, testenv.Now).Stats().Bytes != 0 {
		t.Error("a cache without room holds something")
	}
}

func TestMemoryIsCleared(t *testing.T) {
	c := cache.NewMemory(64<<20, testenv.Now)
	set := func() {
		for i := range 100 {
			c.Set(t.Context(), fmt.Sprint(i), []byte("v"), time.Hour)
		}
	}
	set()
	c.Clear()
	if _, ok := c.Get(t.Context(), "7"); ok {
		t.Error("an entry is still there")
	}
	if s := c.Stats(); s.Entries != 0 || s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
	set()
	if s := c.Stats(); s.Entries != 100 {
		t.Errorf("afterwards: %+v", s)
	}
}

// TestMemoryAgainstModel holds Memory to a plain map with a queue.
func TestMemoryAgainstModel(t *testing.T) {
	const room = 20 << 10
	rapid.Check(t, func(r *rapid.T) {
		c := cache.NewMemory(room, testenv.Now)
		values := map[string]string{}
		var order []string // the last used at the end
		touch := func(key string) {
			for i, k := range order {
				if k == key {
					order = append(order[:i:i], order[i+1:]...)
				}
			}
			order = append(order, key)
		}
		cost := func() (sum int) {
			for k, v := range values {
				sum += len(k) + len(v) + 160
			}
			return sum
		}
		r.Repeat(map[string]func(*rapid.T){
			"set": func(r *rapid.T) {
				key := rapid.StringMatching(`[a-z]`).Draw(r, "key")
				value := strings.Repeat("v", rapid.IntRange(0, 4<<10).Draw(r, "size"))
				c.Set(r.Context(), key, []byte(value), time.Hour)
				values[key] = value
				touch(key)
				for cost() > room {
					delete(values, order[0])
					order = order[1:]
				}
			},
			"get": func(r *rapid.T) {
				key := rapid.StringMatching(`[a-z]`).Draw(r, "key")
				got, ok := c.Get(r.Context(), key)
				want, known := values[key]
				if ok != known || string(got) != want {
					r.Fatalf("%s: %d bytes, %v; want %d bytes, %v", key, len(got), ok, len(want), known)
				}
				if known {
					touch(key)
				}
			},
			"": func(r *rapid.T) {
				if s := c.Stats(); s.Bytes != int64(cost()) || s.Entries != len(values) {
					r.Fatalf("%+v, want %d bytes in %d", s, cost(), len(values))
				}
			},
		})
	})
}

func BenchmarkMemoryGet(b *testing.B) {
	c := cache.NewMemory(64<<20, testenv.Now)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("{%d}:path:incarnation:%d", i, i)
		c.Set(b.Context(), keys[i], make([]byte, 3<<10), time.Hour)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			c.Get(b.Context(), keys[i%len(keys)])
		}
	})
}
