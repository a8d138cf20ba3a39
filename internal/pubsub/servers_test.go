//go:build realservers

package pubsub_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/pubsub"
	"github.com/preceptor-dev/preceptor/internal/redis"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// replica is one replica's end.
type replica struct {
	*pubsub.Notifications

	mu       sync.Mutex
	messages map[string]int64
	live     bool
	turns    int
}

func open(t *testing.T, url string) (*redis.Client, *replica) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	r, err := redis.Open(t.Context(), url, redis.Options{Timeout: time.Second, Pause: 20 * time.Millisecond, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	e := &replica{Notifications: pubsub.New(r, log), messages: map[string]int64{}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.Run(ctx, e.turn, e.receive)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		_ = r.Close()
	})
	return r, e
}

func (e *replica) turn(live bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if live != e.live {
		e.live = live
		e.turns++
	}
}

func (e *replica) receive(learnerID string, sequence int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.messages[learnerID] = max(e.messages[learnerID], sequence)
}

func (e *replica) isLive() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.live
}

func (e *replica) received(learnerID string) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.messages[learnerID]
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := testenv.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if testenv.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// everyMessageArrives sends for more learners than one round trip takes.
func everyMessageArrives(t *testing.T, from, to *replica) {
	t.Helper()
	ids := make([]string, 600)
	for i := range ids {
		ids[i] = newID()
		from.Send(ids[i], 1)
		from.Send(ids[i], int64(i+2))
	}
	for i, id := range ids {
		until(t, "a message arrives", func() bool { return to.received(id) == int64(i+2) })
	}
}

func TestMessagesArrive(t *testing.T) {
	single := "redis://" + testenv.Redis(t)
	cluster := testenv.RedisCluster(t, 3, 0)
	sentinels, master, _ := testenv.RedisSentinel(t)
	for name, urls := range map[string][2]string{
		"single":   {single, single},
		"cluster":  {"redis+cluster://" + cluster[0], "redis+cluster://" + cluster[2]},
		"sentinel": {"redis+sentinel://" + sentinels[0] + "/" + master, "redis+sentinel://" + sentinels[2] + "/" + master},
	} {
		t.Run(name, func(t *testing.T) {
			_, a := open(t, urls[0])
			_, b := open(t, urls[1])
			until(t, "both receive", func() bool { return a.isLive() && b.isLive() })
			everyMessageArrives(t, a, b)
			everyMessageArrives(t, b, a)
			everyMessageArrives(t, a, a)
		})
	}
}

// A server that dies is noticed at once, and listened to again when it is back.
func TestMessagesArriveAgain(t *testing.T) {
	server := testenv.NewMortalRedis(t)
	_, a := open(t, "redis://"+server.Addr)
	_, b := open(t, "redis://"+server.Addr)
	until(t, "both receive", func() bool { return a.isLive() && b.isLive() })
	server.Kill()
	until(t, "both know that they receive nothing", func() bool { return !a.isLive() && !b.isLive() })
	for range 10000 { // more than may wait
		a.Send(newID(), 1)
	}
	server.Start(t)
	until(t, "both receive again", func() bool { return a.isLive() && b.isLive() })
	id := newID()
	until(t, "a message arrives", func() bool {
		a.Send(id, 7)
		return b.received(id) == 7
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.turns != 3 {
		t.Errorf("it turned %d times", b.turns)
	}
}

func TestMessagesArriveAfterAFailover(t *testing.T) {
	sentinels, name, kill := testenv.RedisSentinel(t)
	url := "redis+sentinel://" + strings.Join(sentinels, ",") + "/" + name
	_, a := open(t, url)
	_, b := open(t, url)
	until(t, "both receive", func() bool { return a.isLive() && b.isLive() })
	kill()
	id := newID()
	until(t, "a message arrives by the new master", func() bool {
		a.Send(id, 7)
		return b.received(id) == 7
	})
}

// Whichever master of a cluster dies, both replicas receive, and every message arrives: before the
// failover, after it, and also when nobody takes over.
func TestMessagesArriveWithoutAMaster(t *testing.T) {
	cluster := testenv.NewMortalCluster(t, 3, 1)
	_, a := open(t, cluster.URL())
	_, b := open(t, cluster.URL())
	lose := func(node int) {
		t.Helper()
		cluster.Kill(node)
		until(t, "both receive what is sent now", func() bool {
			id := newID()
			a.Send(id, 1)
			time.Sleep(50 * time.Millisecond)
			return a.isLive() && b.isLive() && a.received(id) == 1 && b.received(id) == 1
		})
		everyMessageArrives(t, a, b)
		everyMessageArrives(t, b, a)
	}
	for shard := range cluster.Shards() {
		lose(shard)
		until(t, "its replica has taken over", func() bool { return cluster.Whole() == nil })
		everyMessageArrives(t, a, b)
		everyMessageArrives(t, b, a)
	}
	lose(cluster.Nodes(0)[1])
}

// What others write into our channels is passed over.
func TestForeignMessages(t *testing.T) {
	url := "redis://" + testenv.Redis(t)
	r, a := open(t, url)
	until(t, "it receives", a.isLive)
	id := newID()
	for i := range 64 {
		for _, text := range []string{"", " ", "x", id, id + " ", id + " x", id + " -1", id + " 0", "x 7", id + "  7", strings.Repeat("x", 36) + " 7"} {
			if err := r.Publish(t.Context(), fmt.Sprintf("preceptor:log:%02d", i), text); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := newID()
	until(t, "a message arrives", func() bool {
		a.Send(last, 1)
		return a.received(last) == 1
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.messages) != 1 {
		t.Errorf("%v", a.messages)
	}
}

// The rights that docs/operations.md names are enough, and a start without one of them fails.
func TestRights(t *testing.T) {
	rights := []string{"ACL", "SETUSER", "preceptor", "on", ">secret", "~{*", "&preceptor:log:*", "+get", "+set", "+ping", "+publish", "+subscribe"}
	single, cluster := testenv.Redis(t), testenv.RedisCluster(t, 2, 0)
	for name, addrs := range map[string][]string{"redis": {single}, "redis+cluster": cluster} {
		t.Run(name, func(t *testing.T) {
			mine := rights
			if name == "redis+cluster" {
				mine = append(slices.Clone(rights), "+cluster|slots", "+cluster|shards")
			}
			url := name + "://preceptor:secret@" + strings.Join(addrs, ",")
			set := func(rule []string) {
				t.Helper()
				for _, addr := range addrs {
					node := goredis.NewClient(&goredis.Options{Addr: addr})
					defer node.Close()
					args := make([]any, len(rule))
					for i := range rule {
						args[i] = rule[i]
					}
					if err := node.Do(t.Context(), args...).Err(); err != nil {
						t.Fatal(err)
					}
				}
			}
			set(slices.DeleteFunc(slices.Clone(mine), func(w string) bool { return w == "+get" }))
			_, err := redis.Open(t.Context(), url, redis.Options{Logger: slog.New(slog.DiscardHandler)})
			if errs.ReasonOf(err) != "REDIS_REFUSED" || strings.Contains(err.Error(), "secret") {
				t.Errorf("without the right to read: %v", err)
			}
			set(mine)
			r, a := open(t, url)
			until(t, "it receives", a.isLive)
			everyMessageArrives(t, a, a)
			values := cache.NewRedis(r)
			values.Set(t.Context(), "{k}", []byte("v"), time.Hour)
			if _, ok := values.Get(t.Context(), "{k}"); !ok || r.Stats().Failures > 0 {
				t.Errorf("%+v", r.Stats())
			}
		})
	}
}

// A replica that stops sends what waits.
func TestLastMessages(t *testing.T) {
	url := "redis://" + testenv.Redis(t)
	_, b := open(t, url)
	until(t, "it receives", b.isLive)
	log := slog.New(slog.DiscardHandler)
	r, err := redis.Open(t.Context(), url, redis.Options{Timeout: 5 * time.Second, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := pubsub.New(r, log)
	id := newID()
	n.Send(id, 3)
	ended, stop := context.WithCancel(t.Context())
	stop()
	n.Run(ended, func(bool) {}, func(string, int64) {})
	until(t, "the last message arrives", func() bool { return b.received(id) == 3 })
}
