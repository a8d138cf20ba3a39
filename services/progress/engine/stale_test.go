package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// No cache may make an answer older than an acknowledged write, whatever it loses, delays, doubles
// or reorders, and whichever older state of its own it falls back to.

// trickster is a cache that is as unreliable as a remote one can be.
type trickster struct {
	// choose decides what happens next, a number below n.
	choose func(n int) int

	mu     sync.Mutex
	values map[string][]byte
	held   []entry           // were sent, and have not arrived
	saved  map[string][]byte // an older state
	hits   int
}

type entry struct {
	key   string
	value []byte
}

func newTrickster(choose func(int) int) *trickster {
	return &trickster{choose: choose, values: map[string][]byte{}}
}

// Get loses every fifth answer.
func (c *trickster) Get(_ context.Context, key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.choose(5) == 0 {
		return nil, false
	}
	v, ok := c.values[key]
	if ok {
		c.hits++
	}
	return v, ok
}

// Set stores most values at once, loses some, and has some arrive later, or twice.
func (c *trickster) Set(_ context.Context, key string, value []byte, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := entry{key, bytes.Clone(value)}
	switch c.choose(6) {
	case 0:
	case 1:
		c.held = append(c.held, e)
	case 2:
		c.held = append(c.held, e)
		c.values[key] = e.value
	default:
		c.values[key] = e.value
	}
}

// trick does one thing that remote caches do.
func (c *trickster) trick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.choose(5) {
	case 0:
		clear(c.values)
	case 1:
		c.saved = maps.Clone(c.values)
	case 2: // a replica that had not everything takes over
		if c.saved != nil {
			c.values = maps.Clone(c.saved)
		}
	default: // any of those under way arrives, and perhaps again later
		if len(c.held) > 0 {
			i := c.choose(len(c.held))
			c.values[c.held[i].key] = c.held[i].value
			if c.choose(2) == 0 {
				c.held = slices.Delete(c.held, i, i+1)
			}
		}
	}
}

// forgetful leaves the learner's version out of keys: what the tests here are to catch.
type forgetful struct{ cache.Cache }

func (c forgetful) Get(ctx context.Context, key string) ([]byte, bool) {
	return c.Cache.Get(ctx, withoutVersion(key))
}

func (c forgetful) Set(ctx context.Context, key string, value []byte, ttl time.Duration) {
	c.Cache.Set(ctx, withoutVersion(key), value, ttl)
}

func withoutVersion(key string) string {
	parts := strings.Split(key, ":") // …:version:revision
	return strings.Join(slices.Delete(parts, len(parts)-2, len(parts)-1), ":")
}

// switching is a cache that a test changes under services that run.
type switching struct{ now atomic.Pointer[cache.Cache] }

func (s *switching) use(c cache.Cache) { s.now.Store(&c) }

func (s *switching) Get(ctx context.Context, key string) ([]byte, bool) {
	return (*s.now.Load()).Get(ctx, key)
}

func (s *switching) Set(ctx context.Context, key string, value []byte, ttl time.Duration) {
	(*s.now.Load()).Set(ctx, key, value, ttl)
}

const manyUnits = 100

// pair is two replicas over one store, and one cache.
type pair struct {
	*rig
	replicas [2]*replica
	cache    *switching
}

func newPair(t testing.TB, r *rig) *pair {
	t.Helper()
	p := &pair{rig: r, cache: new(switching)}
	p.cache.use(cache.NewMemory(1<<20, r.Clock.Now))
	for i := range p.replicas {
		p.replicas[i] = r.ReplicaWith(engine.Options{Cache: p.cache})
		r.Refreshed(p.replicas[i])
	}
	return p
}

// hundred is a module of which each unit is one percent.
func hundred() progress.Module {
	units := make([]progress.Unit, manyUnits)
	for i := range units {
		units[i] = unit(fmt.Sprint("u", i))
	}
	return module1("m", units...)
}

// completeUnit completes the n-th unit.
func completeUnit(ctx context.Context, s *replica, learner string, n int) error {
	out, err := s.Record(ctx, engine.Recording{
		LearnerID: learner, Actor: self(learner), Events: []progress.Event{event("m", fmt.Sprint("u", n), progress.Completed, day0)},
	})
	if err == nil && out.Results[0].Status != progress.StatusAccepted {
		err = fmt.Errorf("%+v", out.Results[0])
	}
	return err
}

// percent is what a reader sees: how many units are complete.
func percent(ctx context.Context, s *replica, learner string) (int, error) {
	a, err := s.Read(ctx, learner, "module/m", engine.AtLeast{}, func(w *progress.View) ([]byte, error) {
		m, err := w.Module("m")
		if err != nil {
			return nil, err
		}
		return json.Marshal(m.Percent)
	})
	if err != nil {
		return 0, err
	}
	var n int
	return n, json.Unmarshal(a.Body, &n)
}

// play runs one learner's life of some steps, one after the other. Its error describes an answer
// that is not what was written.
func (p *pair) play(steps int, choose func(n int) int, tricks *trickster) error {
	learner, written := p.Learner(), 0
	for range steps {
		replica := p.replicas[choose(2)]
		switch choose(4) {
		case 0:
			if written == manyUnits {
				continue
			}
			if err := completeUnit(p.Ctx, replica, learner, written); err != nil {
				return err
			}
			written++
		case 1:
			tricks.trick()
		default:
			got, err := percent(p.Ctx, replica, learner)
			if err != nil || got != written {
				return fmt.Errorf("%d units are complete, a reader sees %d (%w)", written, got, err)
			}
		}
	}
	return nil
}

// TestAnswersAreNeverStale plays lives that rapid makes up, and shortens where they fail.
func TestAnswersAreNeverStale(t *testing.T) {
	t.Parallel()
	p := newPair(t, newRig(t, []progress.Module{hundred()}, nil))
	hits := 0
	rapid.Check(t, func(rt *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "choice") }
		tricks := newTrickster(choose)
		p.cache.use(tricks)
		if err := p.play(rapid.IntRange(1, 40).Draw(rt, "steps"), choose, tricks); err != nil {
			rt.Fatal(err)
		}
		hits += tricks.hits
	})
	if hits == 0 {
		t.Error("the cache never answered, so nothing was tested")
	}
}

// TestStaleAnswersAreCaught is the test of the tests here: with a cache that ignores the version
// in its keys both must fail.
func TestStaleAnswersAreCaught(t *testing.T) {
	t.Parallel()
	p := newPair(t, newRig(t, []progress.Module{hundred()}, nil))
	for seed := range uint64(5) {
		choose := rand.New(rand.NewPCG(seed, 0)).IntN
		tricks := newTrickster(choose)
		p.cache.use(forgetful{tricks})
		if p.play(60, choose, tricks) == nil {
			t.Errorf("seed %d: one after the other it was not noticed", seed)
		}
		tricks = newTrickster(rand.IntN)
		p.cache.use(forgetful{tricks})
		if p.race(tricks.trick) == nil {
			t.Errorf("seed %d: at the same time it was not noticed", seed)
		}
	}
}

// TestAnswersAreNeverStaleAtTheSameTime lets writers, readers and the cache's tricks race.
func TestAnswersAreNeverStaleAtTheSameTime(t *testing.T) {
	t.Parallel()
	p := newPair(t, newRig(t, []progress.Module{hundred()}, nil))
	for range 2 {
		tricks := newTrickster(rand.IntN)
		p.cache.use(tricks)
		if err := p.race(tricks.trick); err != nil {
			t.Fatal(err)
		}
	}
}

// race has two learners, each with a writer and readers on both replicas at the same time. What a
// reader sees must be no less than what was acknowledged, or seen by anybody, before the reader
// asked, and no more than what was begun when the answer came: for a count that only grows this is
// all that linearizability asks.
func (p *pair) race(trick func()) error {
	var all, writing sync.WaitGroup
	failed := make(chan error, 64)
	done := make(chan struct{})
	for range 2 {
		learner := p.Learner()
		var floor, acknowledged, begun atomic.Int64
		for w := range p.replicas {
			writing.Go(func() {
				for i := w; i < 30; i += len(p.replicas) {
					begun.Add(1)
					if err := completeUnit(p.Ctx, p.replicas[w], learner, i); err != nil {
						failed <- err
						return
					}
					raise(&floor, acknowledged.Add(1))
				}
			})
			for range 2 {
				all.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
						}
						least := floor.Load()
						got, err := percent(p.Ctx, p.replicas[w], learner)
						if err != nil || int64(got) < least || int64(got) > begun.Load() {
							failed <- fmt.Errorf("between %d and %d units are complete, a reader sees %d (%w)", least, begun.Load(), got, err)
							return
						}
						raise(&floor, int64(got))
					}
				})
			}
		}
	}
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				trick()
			}
		}
	})
	writing.Wait()
	close(done)
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func raise(floor *atomic.Int64, to int64) {
	for {
		now := floor.Load()
		if now >= to || floor.CompareAndSwap(now, to) {
			return
		}
	}
}

// An answer that was computed by a clock that is ahead is not returned before its time.
func TestKeptAnswersWaitForTheirTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{hundred()}, nil)
	r.Refresh()
	learner, computed := r.Learner(), 0
	ask := func(at time.Time, want int) {
		t.Helper()
		r.Clock.Set(at)
		rigtest.Read(r, learner, "question", func(*progress.View) (int, error) {
			computed++
			return computed, nil
		})
		if computed != want {
			t.Errorf("at %v it was computed %d times, want %d", at, computed, want)
		}
	}
	ask(day(2), 1)
	ask(day(2).Add(time.Minute), 1)
	ask(day(2).Add(-time.Minute), 2)
	ask(day(2), 2)
}
