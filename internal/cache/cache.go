// Package cache stores computed answers for a while. It is never the truth: any key may be
// gone at any time, and a caller must be able to compute the answer again.
//
// The version protocol, which every user follows: a key carries the version of everything
// that its value was made from, read in one database snapshot, as in
// "{learner}:path:incarnation:version:revision". So a value under a key is immutable, two
// writers of one key write the same bytes, and a change of the data is a change of the
// key. Nothing is ever deleted, bumped or invalidated; what is old is simply not read
// any more, and its time to live or the lack of room removes it. A reader learns the
// present version from the database, never from the cache. Hence no lost message, flush
// or failover of a cache can serve an old answer.
package cache

import (
	"context"
	"time"
)

// Cache stores bytes under keys. It is safe for concurrent use, and it never fails: a
// server that is gone or slow is a miss, and a value that cannot be stored is dropped.
type Cache interface {
	// Get returns the value, or ok = false when there is none, for whatever reason. The
	// value is shared: it must not be modified.
	Get(ctx context.Context, key string) (value []byte, ok bool)
	// Set stores the value for at most ttl, and nothing when ttl is not positive. The
	// caller may reuse the bytes of value afterwards.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration)
}
