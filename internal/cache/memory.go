package cache

import (
	"bytes"
	"context"
	"hash/maphash"
	"slices"
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

// Memory is a Cache in this process: least recently used first out, bounded by bytes.
type Memory struct {
	now    func() time.Time
	seed   maphash.Seed
	shards []*shard
}

var _ Cache = (*Memory)(nil)

// NewMemory returns a cache of at most maxBytes, in which keys and an entry's overhead
// count. It is split into up to 16 parts; a value larger than its part is not stored.
func NewMemory(maxBytes int64, now func() time.Time) *Memory {
	n := 1
	for n < maxShards && maxBytes/int64(2*n) >= minShardBytes {
		n *= 2
	}
	m := &Memory{now: now, seed: maphash.MakeSeed(), shards: make([]*shard, n)}
	for i := range m.shards {
		m.shards[i] = newShard(maxBytes / int64(n))
	}
	return m
}

// Get returns the value unless it expired or was evicted.
func (m *Memory) Get(_ context.Context, key string) (value []byte, ok bool) {
	return m.shard(key).get(key, m.now())
}

// Set stores a copy of value.
func (m *Memory) Set(_ context.Context, key string, value []byte, ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	// Clipped, so that a caller that appends to what Get returns writes elsewhere.
	value = slices.Clip(bytes.Clone(value))
	m.shard(key).set(&entry{key: key, value: value, expires: m.now().Add(ttl)})
}

// Stats is what a Memory did so far and holds now.
type Stats struct {
	Hits, Misses, Evictions uint64
	Entries                 int
	Bytes                   int64
}

// Stats sums up all parts, each as of its own moment.
func (m *Memory) Stats() Stats {
	var sum Stats
	for _, s := range m.shards {
		part := s.snapshot()
		sum.Hits += part.Hits
		sum.Misses += part.Misses
		sum.Evictions += part.Evictions
		sum.Entries += part.Entries
		sum.Bytes += part.Bytes
	}
	return sum
}

func (m *Memory) shard(key string) *shard {
	return m.shards[maphash.String(m.seed, key)&uint64(len(m.shards)-1)] //nolint:gosec // a mask that keeps all bits of the length, which is positive
}

// entry is a link of its shard's ring.
type entry struct {
	key        string
	value      []byte
	expires    time.Time
	prev, next *entry
}

func (e *entry) size() int64 { return int64(len(e.key)+len(e.value)) + entryOverhead }

func (e *entry) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
}

func (e *entry) linkAfter(at *entry) {
	e.prev, e.next = at, at.next
	at.next.prev, at.next = e, e
}

type shard struct {
	mu    sync.Mutex
	max   int64
	byKey map[string]*entry
	// ring is the anchor of the entries: the last used comes next, the first to go previous.
	ring  entry
	stats Stats
}

func newShard(maxBytes int64) *shard {
	s := &shard{max: maxBytes, byKey: map[string]*entry{}}
	s.ring.prev, s.ring.next = &s.ring, &s.ring
	return s
}

func (s *shard) get(key string, now time.Time) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byKey[key]
	if ok && !now.Before(e.expires) {
		s.remove(e)
		ok = false
	}
	if !ok {
		s.stats.Misses++
		return nil, false
	}
	s.stats.Hits++
	e.unlink()
	e.linkAfter(&s.ring)
	return e.value, true
}

func (s *shard) set(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.byKey[e.key]; ok {
		s.remove(old)
	}
	if e.size() > s.max {
		return
	}
	s.byKey[e.key] = e
	e.linkAfter(&s.ring)
	s.stats.Bytes += e.size()
	for s.stats.Bytes > s.max {
		s.remove(s.ring.prev)
		s.stats.Evictions++
	}
}

func (s *shard) remove(e *entry) {
	e.unlink()
	delete(s.byKey, e.key)
	s.stats.Bytes -= e.size()
}

func (s *shard) snapshot() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Entries = len(s.byKey)
	return stats
}
