package engine_test

import (
	"bytes"
	"context"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// zoneFunc is a source of time zones of one function.
type zoneFunc func(ctx context.Context, after int64) ([]progress.LearnerZone, int64, error)

func (f zoneFunc) Sync(ctx context.Context, after int64) ([]progress.ProfileChange, int64, error) {
	zones, revision, err := f(ctx, after)
	return progresstest.Zoned(revision, zones), revision, err
}

// feed is profile's, with one learner a revision: zones[0] is revision 1.
type feed struct {
	mu    sync.Mutex
	zones []progress.LearnerZone
	err   error
	// asked are the revisions that the feed was asked after.
	asked []int64
}

func (f *feed) sync(_ context.Context, after int64) ([]progress.LearnerZone, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, after)
	return f.zones[min(after, int64(len(f.zones))):], int64(len(f.zones)), f.err
}

// set takes the next revision, and returns it.
func (f *feed) set(learner, zone string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.zones = append(f.zones, progress.LearnerZone{LearnerID: learner, TimeZone: zone})
	return int64(len(f.zones))
}

func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *feed) times() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

// following is another service on the rig's store, which follows zones.
func following(r *rig, zones engine.ZoneSource) *replica {
	r.T.Helper()
	return r.ReplicaWith(engine.Options{Zones: zones})
}

// etag reads the learner, with what the reader has seen of profile. The rig's catalog is
// seen in any case: when it is first polled must not be what makes an answer new.
func etag(t *testing.T, s *replica, learner string, profile int64) string {
	t.Helper()
	seen := engine.AtLeast{Catalog: 1, Profile: profile}
	a, err := s.Read(t.Context(), learner, "overview", seen, func(*progress.View) ([]byte, error) { return []byte("{}"), nil })
	if err != nil {
		t.Fatal(err)
	}
	return a.ETag
}

// Who has set a time zone reads an answer of it, though nobody has polled since.
func TestReadersSeeTheirNewTimeZone(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	f := new(feed)
	s := following(r, zoneFunc(f.sync))
	ana, bob := r.Learner(), r.Learner()
	was := etag(t, s, ana, 0)
	seen := f.set(ana, "America/New_York")
	now := etag(t, s, ana, seen)
	if now == was {
		t.Error("a new time zone is no new answer")
	}
	if again := etag(t, s, ana, f.set(bob, "Asia/Tokyo")); again != now {
		t.Error("another learner's time zone is a new answer")
	}
	// Said again, it changes nothing.
	if again := etag(t, s, ana, f.set(ana, "America/New_York")); again != now {
		t.Error("the same time zone is a new answer")
	}
	if _, err := s.Record(t.Context(), engine.Recording{LearnerID: ana, Actor: self(ana), Seen: engine.AtLeast{Profile: f.set(ana, "UTC")}}); err != nil {
		t.Fatal(err)
	}
	if stored, err := r.Store.ZoneRevision(t.Context()); err != nil || stored != 4 {
		t.Errorf("after recording, the zones of revision %d are stored (%v), want 4", stored, err)
	}
}

func TestZonesGoOnWhereTheStoreIs(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, nil)
	f := new(feed)
	follow := func() *engine.ZoneFollower {
		k, err := engine.NewZoneFollower(t.Context(), zoneFunc(f.sync), r.Store, slog.New(slog.DiscardHandler), testenv.Now)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := follow()
	k.AtLeast(t.Context(), 0) // has it
	k.AtLeast(t.Context(), f.set(r.Learner(), "Asia/Tokyo"))
	k.AtLeast(t.Context(), 1) // has it
	k = follow()
	k.AtLeast(t.Context(), 1) // has it, from the store
	k.AtLeast(t.Context(), f.set(r.Learner(), "UTC"))
	if want := []int64{0, 1}; !reflect.DeepEqual(f.asked, want) {
		t.Errorf("the feed was asked after %v, want %v", f.asked, want)
	}
}

// Callers at the same time share a fetch; one that is under way may have read too early.
func TestZonesAreFetchedOnceForAll(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, nil)
	f := new(feed)
	entered, gate := make(chan struct{}, 10), make(chan struct{})
	k, err := engine.NewZoneFollower(t.Context(), zoneFunc(func(ctx context.Context, after int64) ([]progress.LearnerZone, int64, error) {
		zones, revision, err := f.sync(ctx, after)
		entered <- struct{}{}
		<-gate
		return zones, revision, err
	}), r.Store, slog.New(slog.DiscardHandler), testenv.Now)
	if err != nil {
		t.Fatal(err)
	}
	var callers sync.WaitGroup
	first := f.set(r.Learner(), "UTC")
	callers.Go(func() { k.AtLeast(t.Context(), first) })
	<-entered // It has read the feed.
	second := f.set(r.Learner(), "Asia/Tokyo")
	for range 5 {
		callers.Go(func() { k.AtLeast(t.Context(), second) })
	}
	close(gate)
	callers.Wait()
	if stored, err := r.Store.ZoneRevision(t.Context()); err != nil || stored != second {
		t.Errorf("zones of revision %d are stored (%v), want %d", stored, err, second)
	}
	if n := f.times(); n > 3 {
		t.Errorf("the feed was asked %d times for 6 callers", n)
	}
}

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// zoneStore stores no more than the revision: a bubble's clock stands still while a database works.
type zoneStore struct {
	progresstest.Store

	revision atomic.Int64
}

func (s *zoneStore) ZoneRevision(context.Context) (int64, error) { return s.revision.Load(), nil }

func (s *zoneStore) SaveProfile(_ context.Context, revision int64, _ time.Time, _ []progress.ProfileChange) error {
	s.revision.Store(revision)
	return nil
}

// inBubble runs a follower on a feed, by a clock that jumps.
func inBubble(t *testing.T, source engine.ZoneSource, test func(*testing.T, *engine.ZoneFollower, *zoneStore, *lines)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, log := new(zoneStore), new(lines)
		k, err := engine.NewZoneFollower(t.Context(), source, store, slog.New(slog.NewTextHandler(log, nil)), testenv.Now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { k.Run(ctx) })
		synctest.Wait()
		test(t, k, store, log)
		stop()
		running.Wait()
		time.Sleep(time.Minute) // A fetch outlives those who asked for it, by its timeout at most.
	})
}

func TestZonesArePolled(t *testing.T) {
	t.Parallel()
	f := new(feed)
	inBubble(t, zoneFunc(f.sync), func(t *testing.T, _ *engine.ZoneFollower, store *zoneStore, log *lines) {
		f.set(rigtest.NewLearner(), "UTC")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := store.revision.Load(); got != 1 {
			t.Errorf("the store is at revision %d, want 1", got)
		}
		if log.count("\n") != 0 {
			t.Errorf("the log says %s", log.b.String())
		}
	})
}

func TestMissingProfileIsToldOnce(t *testing.T) {
	t.Parallel()
	f := new(feed)
	f.fail(errs.New(errs.Unavailable, "UPSTREAM_UNAVAILABLE", "profile cannot be reached"))
	inBubble(t, zoneFunc(f.sync), func(t *testing.T, k *engine.ZoneFollower, store *zoneStore, log *lines) {
		seen := f.set(rigtest.NewLearner(), "UTC")
		for range 5 {
			k.AtLeast(t.Context(), seen)
			time.Sleep(time.Minute)
		}
		f.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if log.count("profile cannot be reached; going on") != 1 || log.count("profile is reachable again") != 1 || log.count("\n") != 2 {
			t.Errorf("the log says %s", log.b.String())
		}
		if got := store.revision.Load(); got != seen {
			t.Errorf("the store is at revision %d, want %d", got, seen)
		}
	})
}

// A profile that was restored from a backup is older than what is known of it.
func TestOlderProfileIsToldOnce(t *testing.T) {
	t.Parallel()
	var revision atomic.Int64
	revision.Store(7)
	source := zoneFunc(func(context.Context, int64) ([]progress.LearnerZone, int64, error) { return nil, revision.Load(), nil })
	inBubble(t, source, func(t *testing.T, _ *engine.ZoneFollower, store *zoneStore, log *lines) {
		revision.Store(3)
		time.Sleep(time.Minute)
		synctest.Wait()
		if log.count("was it restored?") != 1 || store.revision.Load() != 7 {
			t.Errorf("the store is at revision %d, and the log says %s", store.revision.Load(), log.b.String())
		}
	})
}

// Nobody waits long for a profile that hangs.
func TestHangingProfileIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	hanging := zoneFunc(func(ctx context.Context, _ int64) ([]progress.LearnerZone, int64, error) {
		<-ctx.Done()
		return nil, 0, ctx.Err()
	})
	inBubble(t, hanging, func(t *testing.T, k *engine.ZoneFollower, _ *zoneStore, _ *lines) {
		start := testenv.Now()
		k.AtLeast(t.Context(), 1)
		if waited := testenv.Since(start); waited > time.Second {
			t.Errorf("a reader waited %v", waited)
		}
	})
}
