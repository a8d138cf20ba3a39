//go:build realservers

package cache_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/cache/cachetest"
	"github.com/preceptor-dev/preceptor/internal/redis"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// openRedis has patience for a busy machine, where fifty milliseconds are soon over.
func openRedis(t *testing.T, url string) *redis.Client {
	t.Helper()
	client, err := redis.Open(t.Context(), url, redis.Options{
		Timeout: 10 * time.Second, Pause: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), Now: testenv.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestRedisContract(t *testing.T) {
	single := "redis://" + testenv.Redis(t)
	sentinels, master, _ := testenv.RedisSentinel(t)
	cluster := "redis+cluster://" + strings.Join(testenv.RedisCluster(t, 3, 0)[1:], ",") // not all of them
	authority := testenv.NewAuthority(t)
	t.Setenv("SSL_CERT_FILE", authority.File) // read once in a process, when it first verifies
	certificate, key := authority.Server(t, testenv.Now().Add(time.Hour))
	for name, url := range map[string]string{
		"single":   single + "/3",
		"sentinel": "redis+sentinel://" + strings.Join(sentinels, ",") + "/" + master,
		"cluster":  cluster,
		"TLS":      "rediss://" + testenv.RedisTLS(t, certificate, key),
	} {
		t.Run(name, func(t *testing.T) {
			cachetest.Run(t, func(t *testing.T) cache.Cache {
				t.Helper()
				client := openRedis(t, url)
				flush(t, client)
				return cache.NewRedis(client)
			})
		})
	}
}

// flush empties all masters.
func flush(t *testing.T, client *redis.Client) {
	t.Helper()
	err := client.Do(t.Context(), "", func(ctx context.Context, client goredis.UniversalClient) error {
		if c, ok := client.(*goredis.ClusterClient); ok {
			return c.ForEachMaster(ctx, func(ctx context.Context, node *goredis.Client) error { return node.FlushAll(ctx).Err() })
		}
		return client.FlushAll(ctx).Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A full server that evicts nothing is still asked for what it has.
func TestFullRedisIsStillAsked(t *testing.T) {
	client := openRedis(t, "redis://"+testenv.NewMortalRedis(t, "--maxmemory", "4mb", "--maxmemory-policy", "noeviction").Addr)
	r := cache.NewRedis(client)
	r.Set(t.Context(), "early", []byte("v"), time.Hour)
	for i := range 100 {
		r.Set(t.Context(), fmt.Sprint("k", i), make([]byte, 100<<10), time.Hour)
	}
	if _, ok := r.Get(t.Context(), "k99"); ok {
		t.Fatal("it was never full")
	}
	if _, ok := r.Get(t.Context(), "early"); !ok || client.Stats().Skipped > 0 {
		t.Errorf("what it has is not asked for: %+v", client.Stats())
	}
}
