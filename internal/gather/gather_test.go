package gather_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/gather"
)

// source is what a test's fetches ask: each waits for the test, which sees its keys.
type source struct {
	began  chan []string
	answer chan error
}

func newSource() *source {
	return &source{began: make(chan []string), answer: make(chan error)}
}

func (s *source) fetch(_ context.Context, keys []string) (map[string]string, error) {
	keys = slices.Clone(keys)
	slices.Sort(keys)
	s.began <- keys
	if err := <-s.answer; err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, k := range keys {
		if k != "none" {
			out[k] = k + "!"
		}
	}
	return out, nil
}

type got struct {
	value string
	ok    bool
	err   error
}

// ask asks for keys at once, and returns what each gets.
func ask(t *testing.T, g *gather.Gatherer[string, string], keys ...string) chan got {
	t.Helper()
	out := make(chan got, len(keys))
	for _, k := range keys {
		go func() {
			v, ok, err := g.Get(context.Background(), k)
			out <- got{v, ok, err}
		}()
	}
	return out
}

// Callers who come while a fetch is under way are of the next one, each key once; it begins after they have
// come, so that nobody is answered from before their call.
func TestCallersAskTogether(t *testing.T) {
	t.Parallel()
	s := newSource()
	g := gather.New(s.fetch)
	gather.SetPatience(g, time.Hour)
	first := ask(t, g, "a")
	if keys := <-s.began; !slices.Equal(keys, []string{"a"}) {
		t.Fatalf("%v", keys)
	}
	later := ask(t, g, "a", "b", "b", "none")
	gather.Await(g, 4)
	s.answer <- nil
	if r := <-first; r != (got{"a!", true, nil}) {
		t.Errorf("%+v", r)
	}
	keys := <-s.began
	s.answer <- nil
	if !slices.Equal(keys, []string{"a", "b", "none"}) {
		t.Errorf("fetched together: %v", keys)
	}
	counts := map[got]int{}
	for range 4 {
		counts[<-later]++
	}
	if counts[got{"a!", true, nil}] != 1 || counts[got{"b!", true, nil}] != 2 || counts[got{}] != 1 {
		t.Errorf("%v", counts)
	}
}

// A fetch that hangs keeps nobody else from theirs, and an error is that of all who asked.
func TestAFetchThatHangs(t *testing.T) {
	t.Parallel()
	s := newSource()
	g := gather.New(s.fetch)
	gather.SetPatience(g, time.Millisecond)
	hangs := ask(t, g, "a")
	<-s.began
	other := ask(t, g, "b")
	if keys := <-s.began; !slices.Equal(keys, []string{"b"}) {
		t.Errorf("%v", keys)
	}
	gone := errors.New("gone")
	s.answer <- gone
	s.answer <- gone
	for _, c := range []chan got{hangs, other} {
		if r := <-c; !errors.Is(r.err, gone) {
			t.Errorf("%+v", r)
		}
	}
}

// Who goes away does so alone.
func TestACallerGoesAway(t *testing.T) {
	t.Parallel()
	s := newSource()
	g := gather.New(s.fetch)
	gather.SetPatience(g, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, _, err := g.Get(ctx, "a"); err != nil {
			t.Errorf("who runs the fetch: %v", err)
		}
	})
	<-s.began
	left := make(chan error, 1)
	go func() {
		_, _, err := g.Get(ctx, "b")
		left <- err
	}()
	gather.Await(g, 1)
	stays := ask(t, g, "c")
	gather.Await(g, 2)
	cancel()
	// Before the next fetch may begin: who is told of both at once may well run it.
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who waits for the next: %v", err)
	}
	s.answer <- nil
	<-s.began
	s.answer <- nil
	if r := <-stays; r.err != nil || !r.ok {
		t.Errorf("%+v", r)
	}
	wg.Wait()
}

// A fetch that panics leaves nobody waiting.
func TestAFetchThatPanics(t *testing.T) {
	t.Parallel()
	g := gather.New(func(context.Context, []int) (map[int]int, error) { panic("lost") })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		_, _, _ = g.Get(t.Context(), 1)
	}()
	again := gather.New(func(context.Context, []int) (map[int]int, error) { return map[int]int{1: 2}, nil })
	if v, ok, err := again.Get(t.Context(), 1); v != 2 || !ok || err != nil {
		t.Errorf("%d %v %v", v, ok, err)
	}
}
