package redis_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/redis"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// logged is a log that a test reads.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to the log.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), part)
}

// opened is a client and a cache on it.
type opened struct {
	*redis.Client

	cache *cache.Redis
}

// Get asks the cache.
func (o opened) Get(ctx context.Context, key string) ([]byte, bool) { return o.cache.Get(ctx, key) }

// Set stores in the cache.
func (o opened) Set(ctx context.Context, key string, value []byte, ttl time.Duration) {
	o.cache.Set(ctx, key, value, ttl)
}

func openRedis(t *testing.T, url string, o redis.Options) (opened, *logged) {
	t.Helper()
	log := new(logged)
	o.Logger, o.Now = slog.New(slog.NewTextHandler(log, nil)), testenv.Now
	r, err := redis.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return opened{r, cache.NewRedis(r)}, log
}

// silent is a server that takes connections and never responds.
func silent(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	return lis.Addr().String()
}

// TestDeadRedisCostsLittle holds a Redis that is gone, or hangs, to one timeout a pause: a
// thousand reads cost what one does.
func TestDeadRedisCostsLittle(t *testing.T) {
	t.Parallel()
	const timeout, pause = 50 * time.Millisecond, time.Hour
	nobody := "127.0.0.1:" + strconv.Itoa(testenv.Ports(t, 1)[0])
	for name, url := range map[string]string{
		"nobody there":           "redis://:secret@" + nobody,
		"silent":                 "redis://:secret@" + silent(t),
		"no cluster":             "redis+cluster://:secret@" + nobody + "," + silent(t),
		"sentinels that are not": "redis+sentinel://:secret@" + nobody + "/main",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, log := openRedis(t, url, redis.Options{Timeout: timeout, Pause: pause})
			start := testenv.Now()
			for range 1000 {
				r.Set(t.Context(), "k", []byte("v"), time.Hour)
				if _, ok := r.Get(t.Context(), "k"); ok {
					t.Fatal("a value out of nothing")
				}
			}
			if took := testenv.Since(start); took > 10*time.Second { // all of them would take 100 s
				t.Errorf("it took %v", took)
			}
			if s := r.Stats(); s.State != "open" || s.Skipped != 2000 || r.cache.Stats().Misses != 1000 || s.Failures != 1 || r.Reachable(t.Context()) {
				t.Errorf("%+v", s)
			}
			if n := log.count("redis is not reachable"); n != 1 || log.count("secret") != 0 {
				t.Errorf("the log has it %d times:\n%s", n, &log.buf)
			}
		})
	}
}

// TestRedisIsTriedAgain counts the tries: one a pause, however many ask.
func TestRedisIsTriedAgain(t *testing.T) {
	r, log := openRedis(t, "redis://"+silent(t), redis.Options{Timeout: 20 * time.Millisecond, Pause: 100 * time.Millisecond})
	const askers = 8
	start, before := testenv.Now(), r.Stats().Failures
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() {
			for testenv.Since(start) < time.Second {
				r.Get(t.Context(), "k")
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
	tries := r.Stats().Failures - before
	if limit := uint64(testenv.Since(start)/(100*time.Millisecond)) + 1; tries == 0 || tries > limit {
		t.Errorf("%d tries, at most %d", tries, limit)
	}
	if n := log.count("redis is not reachable"); n != 1 {
		t.Errorf("the log has it %d times", n)
	}
}

// A caller that leaves is no fault of Redis.
func TestCallersWhoLeaveDoNotOpenTheBreaker(t *testing.T) {
	address := silent(t)
	r, err := redis.Open(expired(t), "redis://"+address, redis.Options{
		Timeout: time.Hour, Pause: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	time.Sleep(10 * time.Millisecond) // the pause after the greeting that failed
	failures := r.Stats().Failures
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		cache.NewRedis(r).Get(ctx, "k")
		cancel()
	}
	if s := r.Stats(); s.Failures != failures || s.Skipped != 0 {
		t.Errorf("%+v", s)
	}
}

func expired(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestBadURLsAreRefused(t *testing.T) {
	_, err := redis.Open(t.Context(), "redis://h:x", redis.Options{Logger: slog.New(slog.DiscardHandler)})
	if errs.KindOf(err) != errs.Invalid {
		t.Error(err)
	}
}
