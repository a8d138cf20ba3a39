package cache

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/preceptor-dev/preceptor/internal/redis"
)

// Redis is a Cache in Redis.
type Redis struct {
	client       *redis.Client
	hits, misses atomic.Uint64
}

var _ Cache = (*Redis)(nil)

// NewRedis returns a cache in the Redis of the client, which the caller closes.
func NewRedis(client *redis.Client) *Redis { return &Redis{client: client} }

// Get returns the value, unless Redis has none or does not respond in time.
func (r *Redis) Get(ctx context.Context, key string) (value []byte, ok bool) {
	err := r.client.Do(ctx, key, func(ctx context.Context, client goredis.UniversalClient) error {
		got, err := client.Get(ctx, key).Bytes()
		if errors.Is(err, goredis.Nil) {
			return nil
		}
		value, ok = got, err == nil
		return err
	})
	if err != nil || !ok {
		r.misses.Add(1)
		return nil, false
	}
	r.hits.Add(1)
	return value, true
}

// Set stores the value if Redis accepts it in time.
func (r *Redis) Set(ctx context.Context, key string, value []byte, ttl time.Duration) {
	if ttl < time.Millisecond { // Redis knows none shorter, and refuses 0
		return
	}
	// The client counts what failed; the value is computed again.
	_ = r.client.Do(ctx, key, func(ctx context.Context, client goredis.UniversalClient) error {
		err := client.Set(ctx, key, value, ttl).Err()
		if err != nil && strings.HasPrefix(err.Error(), "OOM ") {
			return nil // it is full and evicts nothing: what it has is still worth asking for
		}
		return err
	})
}

// Stats returns the hits and misses so far; Redis reports the rest itself.
func (r *Redis) Stats() Stats {
	return Stats{Hits: r.hits.Load(), Misses: r.misses.Load()}
}
