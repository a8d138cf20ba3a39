package cache

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	// maxShards bounds how many goroutines can be inside at once; a power of two.
	maxShards = 16
	// minShardBytes makes shards large enough for the largest answers.
	minShardBytes = 1 << 20
	// entryOverhead is about what an entry costs beside its key and value: itself, its
	// cell in the map and what the allocator rounds up.
	entryOverhead = 160
)

// LRU holds values in this process, least recently used first out, bounded by their bytes. It is safe for
// concurrent use. What holds for the keys of a Cache holds for its keys.
type LRU[V any] struct {
	now    func() time.Time
	seed   maphash.Seed
	shards []*shard[V]
}

// NewLRU returns one of at most maxBytes, in which keys and an entry's overhead
// count. It is split into up to 16 parts; a value larger than its part is not stored.
func NewLRU[V any](maxBytes int64, now func() time.Time) *LRU[V] {
	n := 1
	for n < maxShards && maxBytes/int64(2*n) >= minShardBytes {
		n *= 2
	}
	l := &LRU[V]{now: now, seed: maphash.MakeSeed(), shards: make([]*shard[V], n)}
	for i := range l.shards {
		l.shards[i] = newShard[V](maxBytes / int64(n))
	}
	return l
}

// Get returns the value unless it expired or was evicted. It is shared: it must not be modified.
func (l *LRU[V]) Get(key string) (value V, ok bool) { return l.shard(key).get(key, l.now()) }

// Set stores the value, of a size in bytes, for at most ttl, and nothing when ttl is not positive.
func (l *LRU[V]) Set(key string, value V, size int64, ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	l.shard(key).set(&entry[V]{key: key, value: value, bytes: int64(len(key)) + size + entryOverhead, expires: l.now().Add(ttl)})
}

// Clear removes everything.
func (l *LRU[V]) Clear() {
	for _, s := range l.shards {
		s.clear()
	}
}

// Stats is what was done so far and is held now.
type Stats struct {
	Hits, Misses, Evictions uint64
	Entries                 int
	Bytes                   int64
}

// Stats sums up all parts, each as of its own moment.
func (l *LRU[V]) Stats() Stats {
	var sum Stats
	for _, s := range l.shards {
		part := s.snapshot()
		sum.Hits += part.Hits
		sum.Misses += part.Misses
		sum.Evictions += part.Evictions
		sum.Entries += part.Entries
		sum.Bytes += part.Bytes
	}
	return sum
}

func (l *LRU[V]) shard(key string) *shard[V] {
	return l.shards[maphash.String(l.seed, key)&uint64(len(l.shards)-1)] //nolint:gosec // a mask that keeps all bits of the length, which is positive
}

// entry is a link of its shard's ring.
type entry[V any] struct {
	key        string
	value      V
	bytes      int64
	expires    time.Time
	prev, next *entry[V]
}

func (e *entry[V]) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
}

func (e *entry[V]) linkAfter(at *entry[V]) {
	e.prev, e.next = at, at.next
	at.next.prev, at.next = e, e
}

type shard[V any] struct {
	mu    sync.Mutex
	max   int64
	byKey map[string]*entry[V]
	// ring is the anchor of the entries: the last used comes next, the first to go previous.
	ring  entry[V]
	stats Stats
}

func newShard[V any](maxBytes int64) *shard[V] {
	s := &shard[V]{max: maxBytes}
	s.clear()
	return s
}

func (s *shard[V]) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byKey = map[string]*entry[V]{} // a new one, since a map stays as large as it was
	s.ring.prev, s.ring.next = &s.ring, &s.ring
	s.stats.Bytes = 0
}

func (s *shard[V]) get(key string, now time.Time) (value V, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byKey[key]
	if ok && !now.Before(e.expires) {
		s.remove(e)
		ok = false
	}
	if !ok {
		s.stats.Misses++
		return value, false
	}
	s.stats.Hits++
	e.unlink()
	e.linkAfter(&s.ring)
	return e.value, true
}

func (s *shard[V]) set(e *entry[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.byKey[e.key]; ok {
		s.remove(old)
	}
	if e.bytes > s.max {
		return
	}
	s.byKey[e.key] = e
	e.linkAfter(&s.ring)
	s.stats.Bytes += e.bytes
	for s.stats.Bytes > s.max {
		s.remove(s.ring.prev)
		s.stats.Evictions++
	}
}

func (s *shard[V]) remove(e *entry[V]) {
	e.unlink()
	delete(s.byKey, e.key)
	s.stats.Bytes -= e.bytes
}

func (s *shard[V]) snapshot() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Entries = len(s.byKey)
	return stats
}
