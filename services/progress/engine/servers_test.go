//go:build realservers

package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/pubsub"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// replicaOnRedis starts a replica with a client of its own.
func replicaOnRedis(r *rig, url string) *replica {
	r.T.Helper()
	client := redisOf(r.T, url)
	s := r.ReplicaWith(engine.Options{Cache: cache.NewRedis(client), PubSub: pubsub.New(client, slog.New(slog.DiscardHandler))})
	r.Refreshed(s)
	return s
}

// TestAnswersAreNeverStaleOnRedis lets writers and readers race while Redis is flushed, killed and
// started again.
func TestAnswersAreNeverStaleOnRedis(t *testing.T) {
	server := testenv.NewMortalRedis(t)
	cluster := "redis+cluster://" + strings.Join(testenv.RedisCluster(t, 3, 0), ",")
	p := newPair(t, newRig(t, []progress.Module{hundred()}, nil))
	revive := func() { server.Start(t) } // for longer than a case
	for name, url := range map[string]string{"single": "redis://" + server.Addr, "cluster": cluster} {
		t.Run(name, func(t *testing.T) {
			r := redisOf(t, url)
			answers := cache.NewRedis(r)
			p.cache.use(answers)
			trick := func() {
				switch n := rand.IntN(40); {
				case n < 4:
					_ = r.Do(t.Context(), "", func(ctx context.Context, c goredis.UniversalClient) error { return c.FlushAll(ctx).Err() })
				case n == 4 && name == "single":
					server.Kill()
					revive()
				}
			}
			if err := p.race(trick); err != nil {
				t.Fatal(err)
			}
			if s := answers.Stats(); s.Hits == 0 {
				t.Errorf("it never answered: %+v", s)
			}
		})
	}
	r := redisOf(t, "redis://"+server.Addr)
	p.cache.use(forgetful{cache.NewRedis(r)})
	if p.race(func() {}) == nil {
		t.Error("a cache that ignores the version was not noticed")
	}
}

// TestWatchersSeeOtherReplicasByRedis writes at one replica and watches at the other. By polling
// alone ten entries would take some ten seconds.
func TestWatchersSeeOtherReplicasByRedis(t *testing.T) {
	server := testenv.NewMortalRedis(t)
	cluster := testenv.RedisCluster(t, 3, 0)
	sentinels, master, _ := testenv.RedisSentinel(t)
	for name, urls := range map[string][2]string{
		"single":   {"redis://" + server.Addr, "redis://" + server.Addr},
		"cluster":  {"redis+cluster://" + cluster[0], "redis+cluster://" + cluster[1]},
		"sentinel": {"redis+sentinel://" + sentinels[0] + "/" + master, "redis+sentinel://" + sentinels[1] + "/" + master},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, []progress.Module{hundred()}, nil)
			a, b := replicaOnRedis(r, urls[0]), replicaOnRedis(r, urls[1])
			learner := r.Learner()
			w := watch(t, a, learner)
			next := 0
			write := func() time.Duration {
				next++
				if err := completeUnit(r.Ctx, b, learner, next-1); err != nil {
					t.Fatal(err)
				}
				return w.sees(t, int64(next))
			}
			byPubSub := func() bool {
				start := testenv.Now()
				for range 10 {
					write()
				}
				return testenv.Since(start) < 2*time.Second
			}
			eventually(t, "it sees entries by messages", byPubSub)
			if name != "single" {
				return
			}
			server.Kill()
			for range 2 {
				if took := write(); took > 4*time.Second {
					t.Errorf("without Redis it took %v", took)
				}
			}
			server.Start(t)
			eventually(t, "it sees entries by messages again", byPubSub)
		})
	}
}

// TestAnswersAfterAFailoverOfPostgres loses acknowledged writes, as an asynchronous standby does
// that takes over. The versions that those had are given again, to other writes: a cache that
// outlives the failover must not answer with what was lost.
func TestAnswersAfterAFailoverOfPostgres(t *testing.T) {
	postgres := testenv.NewMortalPostgres(t)
	r := newRigOn(t, postgres.URL, []progress.Module{hundred(), module1("other", unit("u"))}, nil)
	tricks := newTrickster(func(n int) int { return n - 1 }) // plays none
	s := r.ReplicaWith(engine.Options{Cache: tricks})
	learner := r.Learner()
	try := func(what string, f func() error) {
		t.Helper()
		var err error
		eventually(t, what, func() bool { err = f(); return err == nil })
	}
	try("the first write", func() error { return completeUnit(r.Ctx, s, learner, 0) })
	postgres.Save(t)
	try("a write that will be lost", func() error { return completeUnit(r.Ctx, s, learner, 1) })
	try("a reader sees it", func() error { return sees(r, s, learner, 2) })
	postgres.FailOver(t)
	try("a reader sees what is left", func() error { return sees(r, s, learner, 1) })

	e := event("other", "u", progress.Completed, day0)
	try("another write of the same version", func() error {
		_, err := s.Record(r.Ctx, engine.Recording{LearnerID: learner, Actor: self(learner), Events: []progress.Event{e}})
		return err
	})
	if err := sees(r, s, learner, 1); err != nil {
		t.Error(err)
	}
	if tricks.hits != 0 {
		t.Errorf("%d answers from before the failover", tricks.hits)
	}
}

func sees(r *rig, s *replica, learner string, want int) error {
	got, err := percent(r.Ctx, s, learner)
	if err == nil && got != want {
		err = fmt.Errorf("a reader sees %d, not %d", got, want)
	}
	return err
}
