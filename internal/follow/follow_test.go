package follow_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/follow"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// source numbers texts: the first is revision 1.
type source struct {
	mu    sync.Mutex
	texts []string
	err   error
	// asked are the revisions that it was asked after; takes is how long it takes to respond.
	asked []int64
	takes time.Duration
}

func (s *source) Sync(ctx context.Context, after int64) ([]string, int64, error) {
	s.mu.Lock()
	s.asked = append(s.asked, after)
	reached := int64(len(s.texts))
	changes, err, takes := slices.Clone(s.texts[min(after, reached):]), s.err, s.takes
	s.mu.Unlock()
	select {
	case <-time.After(takes):
		return changes, reached, err
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

func (s *source) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *source) add(text string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = append(s.texts, text)
	return int64(len(s.texts))
}

func (s *source) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// store is a copy in memory.
type store struct {
	mu       sync.Mutex
	texts    []string
	revision int64
	err      error
}

func (s *store) Save(_ context.Context, revision int64, changes []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.revision, s.texts = revision, append(s.texts, changes...)
	return nil
}

// scene is a follower between a source and a store.
type scene struct {
	source source
	store  store
	log    bytes.Buffer
	*follow.Follower[[]string]
}

func newScene(patience time.Duration) *scene {
	s := new(scene)
	s.start(patience)
	return s
}

// start makes a follower that goes on from the store, as after a restart.
func (s *scene) start(patience time.Duration) {
	s.Follower = follow.New(follow.Config[[]string]{
		Name: "the catalog", Source: &s.source, Store: &s.store, Revision: s.store.revision, Patience: patience,
		Now: testenv.Now, Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
	})
}

// run runs the follower until the test ends.
func (s *scene) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
}

// in runs a case on a clock of its own.
func in(t *testing.T, patience time.Duration, f func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newScene(patience)) })
}

// pass lets time pass, and what runs at that time end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestPollsByNumber(t *testing.T) {
	in(t, 0, func(t *testing.T, s *scene) {
		s.source.add("a")
		s.run(t)
		synctest.Wait()
		s.source.add("b")
		pass(5 * time.Second)
		if want := []int64{0, 1, 2}; !slices.Equal(s.source.asked, want) {
			t.Errorf("asked after %v, want %v", s.source.asked, want)
		}
		if want := []string{"a", "b"}; !slices.Equal(s.store.texts, want) || s.store.revision != 2 {
			t.Errorf("stored %v of revision %d", s.store.texts, s.store.revision)
		}
		if got := s.State(); got != (follow.State{Revision: 2, Age: time.Second, Confirmed: true}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestGoesOnFromTheStore(t *testing.T) {
	in(t, 0, func(t *testing.T, s *scene) {
		if err := s.AtLeast(t.Context(), s.source.add("a")); err != nil {
			t.Fatal(err)
		}
		s.start(0)
		if got := s.State(); got != (follow.State{Revision: 1}) {
			t.Errorf("after a restart: %+v", got)
		}
		if err := s.AtLeast(t.Context(), 1); err != nil || s.source.times() != 1 {
			t.Errorf("it asked for what it has: %v", err)
		}
		if err := s.AtLeast(t.Context(), s.source.add("b")); err != nil || !slices.Equal(s.store.texts, []string{"a", "b"}) {
			t.Errorf("%v, %v", s.store.texts, err)
		}
	})
}

// Callers at the same time share a fetch; but none joins one that began before its question.
func TestFetchesAreShared(t *testing.T) {
	in(t, 0, func(t *testing.T, s *scene) {
		s.source.takes = time.Second
		s.source.add("a")
		go func() { _ = s.Refresh(t.Context()) }()
		synctest.Wait()
		seen := s.source.add("b") // the running fetch has read already
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				if err := s.AtLeast(t.Context(), seen); err != nil || s.State().Revision < seen {
					t.Errorf("it has %+v, %v", s.State(), err)
				}
			})
		}
		callers.Wait()
		if n := s.source.times(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

func TestPatienceEnds(t *testing.T) {
	in(t, time.Second, func(t *testing.T, s *scene) {
		s.source.takes = 3 * time.Second
		began, seen := testenv.Now(), s.source.add("a")
		err := s.AtLeast(t.Context(), seen)
		if errs.KindOf(err) != errs.Canceled || !strings.Contains(err.Error(), "timed out waiting for the catalog") || testenv.Since(began) != time.Second {
			t.Errorf("after %v: %v", testenv.Since(began), err)
		}
		pass(3 * time.Second) // the fetch goes on for others
		if got := s.State().Revision; got != seen {
			t.Errorf("it has %d", got)
		}
	})
}

func TestFetchesAreBounded(t *testing.T) {
	in(t, 0, func(t *testing.T, s *scene) {
		s.source.takes = time.Hour
		began := testenv.Now()
		if err := s.Refresh(t.Context()); !errors.Is(err, context.DeadlineExceeded) || testenv.Since(began) != 5*time.Second {
			t.Errorf("after %v: %v", testenv.Since(began), err)
		}
	})
}

// A source that is away is logged once, and once when it is back.
func TestLogsOnce(t *testing.T) {
	in(t, 0, func(t *testing.T, s *scene) {
		s.source.err = errors.New("away")
		s.run(t)
		pass(11 * time.Second)
		if got := s.State(); got.Confirmed || got.Age != 11*time.Second {
			t.Errorf("nothing was confirmed: %+v", got)
		}
		s.source.change(func() { s.source.err = nil })
		pass(10 * time.Second)
		for text, want := range map[string]int{
			`level=WARN msg="the catalog cannot be reached; going on with what is known" revision=0 error=away`: 1,
			`level=INFO msg="the catalog is reachable again" revision=0`:                                        1,
			"level=": 2,
		} {
			if got := strings.Count(s.log.String(), text); got != want {
				t.Errorf("%q %d times, want %d:\n%s", text, got, want, &s.log)
			}
		}
	})
}

// A source that was set back is logged once, and does not set the copy back.
func TestOlderSource(t *testing.T) {
	in(t, 0, func(t *testing.T, s *scene) {
		for _, text := range []string{"a", "b", "c"} {
			s.source.add(text)
		}
		s.run(t)
		pass(time.Second)
		s.source.change(func() { s.source.texts = s.source.texts[:1] })
		pass(10 * time.Second)
		if s.State().Revision != 3 || s.store.revision != 3 || !s.State().Confirmed {
			t.Errorf("%+v, stored %d", s.State(), s.store.revision)
		}
		const want = `the catalog is older than what is known here; was it restored? Keeping what is known" have=3 source=1`
		if n := strings.Count(s.log.String(), want); n != 1 {
			t.Errorf("it is logged %d times:\n%s", n, &s.log)
		}
		for _, text := range []string{"d", "e", "f"} {
			s.source.add(text)
		}
		pass(3 * time.Second)
		if s.State().Revision != 4 {
			t.Errorf("it does not go on: %+v", s.State())
		}
	})
}

// What could not be stored is not known.
func TestFailedSave(t *testing.T) {
	in(t, 0, func(t *testing.T, s *scene) {
		s.store.err = errors.New("full")
		s.source.add("a")
		if err := s.Refresh(t.Context()); !errors.Is(err, s.store.err) || s.State() != (follow.State{}) {
			t.Errorf("%v, %+v", err, s.State())
		}
		s.store.err = nil
		if err := s.Refresh(t.Context()); err != nil || s.State().Revision != 1 {
			t.Errorf("%v, %+v", err, s.State())
		}
	})
}

func TestAdvanceOnlyRises(t *testing.T) {
	s := newScene(0)
	s.Advance(7)
	s.Advance(3)
	if got := s.State().Revision; got != 7 {
		t.Errorf("it is at %d", got)
	}
}

// parts is a source that gives two texts at a time.
type parts struct{ *source }

func (p parts) Sync(ctx context.Context, after int64) ([]string, int64, error) {
	changes, reached, err := p.source.Sync(ctx, after)
	if len(changes) > 2 {
		changes, reached = changes[:2], after+2
	}
	return changes, reached, err
}

// A source that gives what there is in parts is asked until there is no more, within one fetch, each part as long as one
// may take; only the last part confirms the copy.
func TestPartsAreFetchedTogether(t *testing.T) {
	in(t, 0, func(t *testing.T, s *scene) {
		s.source.takes = 4 * time.Second
		for _, text := range []string{"a", "b", "c", "d", "e"} {
			s.source.add(text)
		}
		s.Follower = follow.New(follow.Config[[]string]{
			Name: "the catalog", Source: parts{&s.source}, Store: &s.store, Now: testenv.Now, Logger: slog.New(slog.DiscardHandler),
			More: func(changes []string) bool { return len(changes) == 2 },
		})
		fetched := make(chan error, 1)
		go func() { fetched <- s.Refresh(t.Context()) }()
		pass(9 * time.Second)
		if got := s.State(); got.Revision != 4 || got.Confirmed {
			t.Errorf("after two parts: %+v", got)
		}
		pass(3 * time.Second)
		if err := <-fetched; err != nil || !slices.Equal(s.store.texts, []string{"a", "b", "c", "d", "e"}) || !slices.Equal(s.source.asked, []int64{0, 2, 4}) {
			t.Errorf("%v; stored %v; asked after %v", err, s.store.texts, s.source.asked)
		}
		if got := s.State(); got.Revision != 5 || !got.Confirmed {
			t.Errorf("at the end: %+v", got)
		}
	})
}
