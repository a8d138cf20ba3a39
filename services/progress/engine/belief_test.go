package engine_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// tallied is a store that counts what is asked of it.
type tallied struct {
	progresstest.Store

	loads, completes, facts, known, writes, locked atomic.Int64
}

func (c *tallied) Load(ctx context.Context, learnerID string) (*progress.Learner, error) {
	c.loads.Add(1)
	return c.Store.Load(ctx, learnerID)
}

func (c *tallied) Complete(ctx context.Context, heads []progress.Head) (map[string]*progress.Learner, error) {
	c.completes.Add(1)
	return c.Store.Complete(ctx, heads)
}

func (c *tallied) Facts(ctx context.Context, keys []progress.FactsKey) (map[progress.FactsKey]*progress.Facts, error) {
	c.facts.Add(1)
	return c.Store.Facts(ctx, keys)
}

func (c *tallied) KnownEvents(ctx context.Context, keys []progress.EventKey) ([]progress.KnownEvent, error) {
	c.known.Add(1)
	return c.Store.KnownEvents(ctx, keys)
}

func (c *tallied) Write(ctx context.Context, set *progress.WriteSet) error {
	c.writes.Add(1)
	return c.Store.Write(ctx, set)
}

func (c *tallied) Commit(ctx context.Context, learners []string, fn func(context.Context, progress.Tx) error) error {
	c.locked.Add(1)
	return c.Store.Commit(ctx, learners, fn)
}

// want checks how often the store was asked since the last time; a learner is never loaded.
func (c *tallied) want(t *testing.T, what string, completes, facts, known, writes int64) {
	t.Helper()
	got := [...]int64{c.loads.Swap(0), c.completes.Swap(0), c.facts.Swap(0), c.known.Swap(0), c.writes.Swap(0)}
	if want := [...]int64{0, completes, facts, known, writes}; got != want {
		t.Errorf("%s: loads, completes, facts, known events and writes are %v, want %v", what, got, want)
	}
}

func overTallied(r *rig) (*tallied, *replica) {
	store := &tallied{Store: r.Store}
	return store, r.ReplicaOver(store, engine.Options{CommitLanes: 1})
}

func recordAt(r *rig, s *replica, learner string, events ...progress.Event) *engine.Recorded {
	r.T.Helper()
	out, err := s.Record(r.Ctx, engine.Recording{LearnerID: learner, Actor: self(learner), Events: events})
	if err != nil {
		r.T.Fatal(err)
	}
	return out
}

// What a process wrote of a learner it need not read again, for whatever it writes or computes next.
func TestWhatWasWrittenIsNotReadAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"), unit("v"))}, []progress.Path{path1("p", milestone("m", all("a")))})
	store, s := overTallied(r)
	learner := r.Learner()
	first := event("a", "u", progress.Completed, day0)
	recordAt(r, s, learner, first)
	store.want(t, "the first event", 0, 1, 0, 1)
	recordAt(r, s, learner, event("a", "u", progress.Progressed, day0))
	store.want(t, "another", 0, 0, 0, 1)
	if out := recordAt(r, s, learner, first); out.Results[0].Status != progress.StatusDuplicate {
		t.Errorf("one that was sent: %+v", out.Results[0])
	}
	store.want(t, "one that was sent, whose awards are asked for", 1, 0, 0, 1)
	if _, err := s.Enroll(r.Ctx, engine.Enrolling{LearnerID: learner, PathID: "p", Actor: self(learner)}); err != nil {
		t.Fatal(err)
	}
	store.want(t, "enrolling", 0, 0, 0, 1)
	if out := recordAt(r, s, learner, event("a", "v", progress.Completed, day0)); len(out.Awards) != 1 {
		t.Errorf("awards: %+v", out.Awards)
	}
	store.want(t, "an award", 0, 0, 0, 1)
	other := *r
	other.Service = s
	p, _ := rigtest.Read(&other, learner, "path/p", func(w *progress.View) (*progress.PathProgress, error) { return w.Path("p") })
	if p.Completed != 1 || p.Required != 1 {
		t.Errorf("%+v", p)
	}
	store.want(t, "reading", 0, 0, 0, 0)
}

// An event that this process has forgotten, or never saw, is found in the log.
func TestAnEventThatAnotherReplicaStoredIsADuplicate(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	store, s := overTallied(r)
	learner := r.Learner()
	e := event("a", "u", progress.Completed, day0)
	recordAt(r, r.Service, learner, e)
	if out := recordAt(r, s, learner, e, event("a", "u", progress.Progressed, day0)); out.Results[0].Status != progress.StatusDuplicate ||
		out.Results[0].Sequence != 1 || out.Results[1].Sequence != 2 {
		t.Errorf("%+v", out.Results)
	}
	if n := store.known.Load(); n != 1 {
		t.Errorf("the log was asked %d times", n)
	}
}

// Of a group in which one learner moved meanwhile, that one is read again, and nobody else.
func TestAStaleLearnerCostsNobodyElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"), unit("v"))}, nil)
	store := &tallied{Store: r.Store}
	gate, entered := make(chan struct{}, 8), make(chan struct{}, 8)
	s := r.ReplicaOver(&faulty{Store: store, before: func([]string) error {
		entered <- struct{}{}
		<-gate
		return nil
	}}, engine.Options{CommitLanes: 1})
	open := func(n int) {
		for range n {
			gate <- struct{}{}
		}
	}
	stale, others := r.Learner(), []string{r.Learner(), r.Learner()}
	open(3)
	for _, learner := range append(others, stale) {
		recordAt(r, s, learner, event("a", "u", progress.Completed, day0))
		<-entered
	}
	recordAt(r, r.Service, stale, event("a", "u", progress.Progressed, day0)) // at another replica
	store.facts.Store(0)
	store.writes.Store(0)
	done := make(chan *engine.Recorded, 3)
	send := func(learner string) {
		go func() { done <- recordAt(r, s, learner, event("a", "v", progress.Progressed, day0)) }()
	}
	send(r.Learner()) // holds the committer, while the rest gathers
	<-entered
	for _, learner := range append(others, stale) {
		send(learner)
	}
	eventually(t, "they wait", func() bool { return s.Stats().Queued == 3 })
	open(4)
	for range 4 {
		if out := <-done; out.Results[0].Status != progress.StatusAccepted {
			t.Errorf("%+v", out.Results[0])
		}
	}
	// The one before; all three, which failed; the two others; the stale one, whose facts are read again.
	store.want(t, "the group", 0, 2, 1, 4)
	if n := store.locked.Load(); n != 0 {
		t.Errorf("heads were locked %d times", n)
	}
	if retries := s.Stats().Retries; retries != (engine.RetryStats{Learners: 1}) {
		t.Errorf("%+v", retries)
	}
}

// What is forgotten is read again, and every lookup is counted.
func TestForgottenLearnersAreReadAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	store, s := overTallied(r)
	learner := r.Learner()
	want := func(hits, misses uint64, learners int) {
		t.Helper()
		if m := s.Stats().Memory; m.Hits != hits || m.Misses != misses || m.Learners != learners || m.Bytes > 0 != (learners > 0) {
			t.Errorf("%+v, want %d hits, %d misses and %d learners", m, hits, misses, learners)
		}
	}
	recordAt(r, s, learner, event("a", "u", progress.Progressed, day0))
	want(0, 1, 1)
	recordAt(r, s, learner, event("a", "u", progress.Progressed, day0))
	want(1, 1, 1)
	store.facts.Store(0)
	s.Forget()
	want(1, 1, 0)
	recordAt(r, s, learner, event("a", "u", progress.Progressed, day0))
	want(1, 2, 1)
	if n := store.facts.Load(); n != 1 {
		t.Errorf("facts were read %d times", n)
	}
}

// Many learners who complete something at the same time are read together.
func TestManyFirstCompletionsAreReadTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a")))})
	store := &tallied{Store: r.Store}
	gate, entered := make(chan struct{}), make(chan struct{}, 8)
	s := r.ReplicaOver(&faulty{Store: store, before: func([]string) error {
		entered <- struct{}{}
		<-gate
		return nil
	}}, engine.Options{CommitLanes: 1})
	const many = 20
	done := make(chan *engine.Recorded, many+1)
	send := func(learner string, verb progress.Verb) {
		go func() { done <- recordAt(r, s, learner, event("a", "u", verb, day0)) }()
	}
	send(r.Learner(), progress.Initialized)
	<-entered
	for range many {
		learner := r.Learner()
		r.Enroll(learner, "p")
		send(learner, progress.Completed)
	}
	eventually(t, "they wait", func() bool { return s.Stats().Queued == many })
	close(gate)
	awards := 0
	for range many + 1 {
		out := <-done
		awards += len(out.Awards)
	}
	if awards != many {
		t.Errorf("%d awards of %d", awards, many)
	}
	store.want(t, "the first one, and the others together", 1, 2, 0, 2)
}

// Where other replicas are always first, the heads are locked in the end.
func TestNobodyStarves(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	store := &tallied{Store: r.Store}
	learner := r.Learner()
	f := &rival{tallied: store, first: func() { r.Accept(learner, self(learner), event("a", "u", progress.Progressed, day0)) }}
	s := r.ReplicaOver(f, engine.Options{CommitLanes: 1})
	out := recordAt(r, s, learner, event("a", "u", progress.Completed, day0))
	tries := store.writes.Load()
	if out.Results[0].Status != progress.StatusAccepted || out.Results[0].Sequence != tries+1 {
		t.Errorf("%+v", out.Results[0])
	}
	if store.locked.Load() != 1 || tries != 3 {
		t.Errorf("%d tries before the heads were locked %d times", tries, store.locked.Load())
	}
}

// rival is a store where somebody else is always first.
type rival struct {
	*tallied

	first func()
}

func (r *rival) Write(ctx context.Context, set *progress.WriteSet) error {
	r.first()
	return r.tallied.Write(ctx, set)
}
