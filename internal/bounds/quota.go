// Package bounds limits what callers may use at once: streams, bytes, lines of the log.
package bounds

import "sync"

// Quota bounds how much is used at once, in all and by each key. Safe for concurrent use.
type Quota[K comparable] struct {
	total, each int64

	mu   sync.Mutex
	used int64
	by   map[K]int64
}

// NewQuota returns a quota of total in all, and of each for one key; 0 sets no limit.
func NewQuota[K comparable](total, each int64) *Quota[K] {
	return &Quota[K]{total: total, each: each, by: map[K]int64{}}
}

// Take takes n for a key, and reports whether there was so much left. It is to be given back with Give.
func (q *Quota[K]) Take(key K, n int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.total > 0 && q.used+n > q.total || q.each > 0 && q.by[key]+n > q.each {
		return false
	}
	q.used += n
	q.by[key] += n
	return true
}

// Give gives back what Take took.
func (q *Quota[K]) Give(key K, n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used -= n
	if q.by[key] -= n; q.by[key] <= 0 {
		delete(q.by, key)
	}
}

// Used returns how much is used in all.
func (q *Quota[K]) Used() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.used
}

// Of returns how much is used by a key.
func (q *Quota[K]) Of(key K) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.by[key]
}
