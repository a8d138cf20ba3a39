package cache

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// Memory is a Cache in this process: least recently used first out, bounded by bytes.
type Memory struct{ values *LRU[[]byte] }

var _ Cache = (*Memory)(nil)

// NewMemory returns a cache of at most maxBytes, as NewLRU counts them.
func NewMemory(maxBytes int64, now func() time.Time) *Memory {
	return &Memory{NewLRU[[]byte](maxBytes, now)}
}

// Get returns the value unless it expired or was evicted.
func (m *Memory) Get(_ context.Context, key string) (value []byte, ok bool) { return m.values.Get(key) }

// Set stores a copy of value.
func (m *Memory) Set(_ context.Context, key string, value []byte, ttl time.Duration) {
	// Clipped, so that a caller that appends to what Get returns writes elsewhere.
	m.values.Set(key, slices.Clip(bytes.Clone(value)), int64(len(value)), ttl)
}

// Clear removes everything.
func (m *Memory) Clear() { m.values.Clear() }

// Stats sums up all parts, each as of its own moment.
func (m *Memory) Stats() Stats { return m.values.Stats() }
