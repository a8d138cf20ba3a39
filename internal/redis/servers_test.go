//go:build realservers

package redis_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/redis"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// patient are options for a busy machine, where fifty milliseconds are soon over.
func patient() redis.Options {
	return redis.Options{Timeout: 10 * time.Second, Pause: 20 * time.Millisecond}
}

// authority is made once: a process reads the authorities that it trusts a single time.
var authority = struct {
	sync.Once
	*testenv.Authority
}{}

// trusted is an authority that this process trusts, as one is trusted in use.
func trusted(t *testing.T) *testenv.Authority {
	t.Helper()
	authority.Do(func() { authority.Authority = testenv.NewAuthority(t) })
	t.Setenv("SSL_CERT_FILE", authority.File)
	return authority.Authority
}

// A start with a wrong password fails at once, with an error that does not contain the password.
func TestRedisRefusals(t *testing.T) {
	locked, open := testenv.NewMortalRedis(t, "--requirepass", "right-secret").Addr, testenv.Redis(t)
	nodes := testenv.RedisCluster(t, 3, 0)
	for url, want := range map[string]string{
		"redis://:wrong-secret@" + locked:         "refuses the user and password",
		"redis://ada:wrong-secret@" + locked:      "refuses the user and password",
		"redis://" + locked:                       "wants a password",
		"redis://" + open + "/99":                 "no database of that number",
		"redis://" + nodes[1]:                     "write redis+cluster://",
		"redis+cluster://" + open:                 "write redis://",
		"redis+cluster://:wrong-secret@" + locked: "refuses the user and password",
	} {
		r, err := redis.Open(t.Context(), url, redis.Options{Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			_ = r.Close()
		}
		if errs.ReasonOf(err) != "REDIS_REFUSED" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v; want %q", url, err, want)
		}
	}
	right, _ := openRedis(t, "redis://:right-secret@"+locked, patient())
	right.Set(t.Context(), "k", []byte("v"), time.Hour)
	if _, ok := right.Get(t.Context(), "k"); !ok {
		t.Error("the right password does not let in")
	}
}

// A server whose certificate is not to be trusted is done without, and the log has the reason, once. The
// password is not sent to a server that has not proved its identity.
func TestRedisWithoutTrust(t *testing.T) {
	good := trusted(t)
	certificate, key := good.Server(t, testenv.Now().Add(time.Hour))
	locked := testenv.RedisTLS(t, certificate, key, "--requirepass", "right-secret")
	right, _ := openRedis(t, "rediss://:right-secret@"+locked, patient())
	if !stores(t, right, "k") {
		t.Fatal("a good certificate and the right password do not let in")
	}
	_, err := redis.Open(t.Context(), "rediss://:wrong-secret@"+locked, redis.Options{Logger: slog.New(slog.DiscardHandler), Now: testenv.Now})
	if errs.ReasonOf(err) != "REDIS_REFUSED" || strings.Contains(err.Error(), "secret") {
		t.Errorf("the wrong password: %v", err)
	}
	expired, expiredKey := good.Server(t, testenv.Now().Add(-time.Hour))
	foreign, foreignKey := testenv.NewAuthority(t).Server(t, testenv.Now().Add(time.Hour))
	for addr, want := range map[string]string{
		testenv.RedisTLS(t, expired, expiredKey):                                 "certificate has expired",
		testenv.RedisTLS(t, foreign, foreignKey):                                 "unknown authority",
		strings.Replace(locked, "127.0.0.1", "localhost", 1) /* not its name */ : "wanted to match localhost",
	} {
		r, log := openRedis(t, "rediss://:right-secret@"+addr, patient())
		for range 3 {
			if stores(t, r, "k") {
				t.Errorf("%s: it was trusted", want)
			}
			time.Sleep(30 * time.Millisecond) // the pause: it tries again
		}
		if log.count("redis is not reachable") != 1 || log.count(want) != 1 || log.count("secret") > 0 {
			t.Errorf("want once %q:\n%s", want, &log.buf)
		}
	}
}

// A server that dies and comes back is used again, with a line in the log for each.
func TestRedisComesBack(t *testing.T) {
	server := testenv.NewMortalRedis(t)
	r, log := openRedis(t, "redis://"+server.Addr, redis.Options{Timeout: time.Second, Pause: 20 * time.Millisecond})
	r.Set(t.Context(), "k", []byte("v"), time.Hour)
	if _, ok := r.Get(t.Context(), "k"); !ok {
		t.Fatal("it stores nothing")
	}
	server.Kill()
	if _, ok := r.Get(t.Context(), "k"); ok || r.Reachable(t.Context()) {
		t.Error("a dead server responds")
	}
	server.Start(t)
	until(t, "it is used again", func() bool { return stores(t, r, "k") })
	if !r.Reachable(t.Context()) || log.count("redis is not reachable") != 1 || log.count("redis is reachable again") != 1 {
		t.Errorf("the log:\n%s", &log.buf)
	}
}

// After a failover the new master is found.
func TestRedisSentinelFailover(t *testing.T) {
	sentinels, name, kill := testenv.RedisSentinel(t)
	r, _ := openRedis(t, "redis+sentinel://"+strings.Join(sentinels, ",")+"/"+name, redis.Options{Timeout: time.Second, Pause: 20 * time.Millisecond})
	until(t, "the master stores values", func() bool { return stores(t, r, "k") })
	kill()
	until(t, "the new master stores values", func() bool { return stores(t, r, "k") })
}

// A shard that is dead costs its own entries, and those of no other; the log has a line when it goes
// and when it is back.
func TestDeadShardCostsItsOwnAnswers(t *testing.T) {
	cluster := testenv.NewMortalCluster(t, 3, 0, "--cluster-require-full-coverage", "no")
	r, log := openRedis(t, cluster.URL(), redis.Options{Timeout: time.Second, Pause: 50 * time.Millisecond})
	held := func() (n int) {
		for i := range 300 {
			if stores(t, r, fmt.Sprint("k", i)) {
				n++
			}
		}
		return n
	}
	until(t, "every shard stores values", func() bool { return held() == 300 })
	lost, err := cluster.Client(1).DBSize(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	cluster.Kill(1)
	for range 10 {
		if n := held(); n != 300-int(lost) {
			t.Errorf("%d of 300 values are stored, %d were on the shard that is dead", n, lost)
		}
	}
	if r.Reachable(t.Context()) || r.Stats().State == "closed" || log.count("redis is not reachable") != 1 || log.count("redis is reachable again") != 0 {
		t.Errorf("it should know: %+v\n%s", r.Stats(), &log.buf)
	}
	cluster.Start(t, 1)
	until(t, "the shard is asked again", func() bool { return held() == 300 })
	until(t, "the log has it", func() bool { return log.count("redis is reachable again") == 1 })
	if !r.Reachable(t.Context()) || log.count("redis is not reachable") != 1 {
		t.Errorf("it is back: %+v\n%s", r.Stats(), &log.buf)
	}
}

// A master that dies is no failure any more when its replica has taken over, even if nobody asks.
func TestRedisClusterFailover(t *testing.T) {
	cluster := testenv.NewMortalCluster(t, 3, 1)
	r, log := openRedis(t, cluster.URL(), redis.Options{Timeout: time.Second, Pause: 50 * time.Millisecond})
	keys := []string{"a", "b", "c", "d", "e", "f"} // on all shards
	all := func() bool {
		return !slices.ContainsFunc(keys, func(key string) bool { return !stores(t, r, key) })
	}
	until(t, "the masters keep values", all)
	cluster.Kill(1)
	until(t, "the master is missed", func() bool { return !all() })
	until(t, "its replica has taken over", func() bool { return cluster.Whole() == nil })
	until(t, "nothing is amiss", func() bool {
		went := log.count("redis is not reachable") // a node may still name the old master, so that its loss is logged twice
		return r.Stats().State == "closed" && went > 0 && log.count("redis is reachable again") == went
	})
	until(t, "the new master stores values", all)
}

func stores(t *testing.T, r opened, key string) bool {
	t.Helper()
	r.Set(t.Context(), key, []byte("again"), time.Hour)
	v, ok := r.Get(t.Context(), key)
	return ok && string(v) == "again"
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := testenv.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if testenv.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Many callers at once share the connections without opening the breaker.
func TestRedisUnderLoad(t *testing.T) {
	r, _ := openRedis(t, "redis://"+testenv.Redis(t), patient())
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := range 50 {
				stores(t, r, fmt.Sprint(w, i))
			}
		})
	}
	wg.Wait()
	if s := r.Stats(); s.Failures > 0 || r.cache.Stats().Misses > 0 {
		t.Errorf("%+v, %+v", s, r.cache.Stats())
	}
}
