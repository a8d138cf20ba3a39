package engine_test

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// watched is a reader of one learner's log at one replica.
type watched struct {
	seen  chan engine.Notice
	ended chan error
}

// watch begins to read from the first entry on, until the test ends; it has begun when this returns.
func watch(t testing.TB, s *replica, learner string) *watched {
	t.Helper()
	after := int64(0)
	ctx, stop := context.WithCancel(t.Context())
	w := &watched{seen: make(chan engine.Notice, 1000), ended: make(chan error, 1)}
	begun := make(chan struct{})
	go func() {
		w.ended <- s.Watch(ctx, engine.Watching{LearnerID: learner, After: &after}, func() error {
			close(begun)
			return nil
		}, func(n engine.Notice) error {
			w.seen <- n
			return nil
		})
	}()
	<-begun
	t.Cleanup(func() {
		stop()
		if err := <-w.ended; err != nil {
			t.Errorf("the stream ended: %v", err)
		}
	})
	return w
}

// sees waits for one entry, and returns how long it took.
func (w *watched) sees(t testing.TB, sequence int64) time.Duration {
	t.Helper()
	start := testenv.Now()
	select {
	case n := <-w.seen:
		if n.Sequence != sequence || n.Reset {
			t.Fatalf("sent %+v, want entry %d", n, sequence)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("entry %d was never sent", sequence)
	}
	return testenv.Since(start)
}

// What another replica writes is found by looking, within two seconds, though no message comes.
func TestWatchersSeeOtherReplicasWithoutPubSub(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{hundred()}, nil)
	other := r.Replica()
	r.Refreshed(other)
	learner := r.Learner()
	w := watch(t, r.Service, learner)
	for i := range 3 {
		if err := completeUnit(r.Ctx, other, learner, i); err != nil {
			t.Fatal(err)
		}
		w.sees(t, int64(i+1))
	}
}

// message is a notification between replicas of one process.
type message struct {
	learner  string
	sequence int64
}

// wire is a PubSub that the test passes messages on.
type wire struct {
	sent     chan message
	live     chan func(bool)
	received chan func(string, int64)
}

func newWire() *wire {
	return &wire{sent: make(chan message, 100), live: make(chan func(bool), 1), received: make(chan func(string, int64), 1)}
}

func (w *wire) Send(learner string, sequence int64) { w.sent <- message{learner, sequence} }

func (w *wire) Run(ctx context.Context, live func(bool), received func(string, int64)) {
	w.live <- live
	w.received <- received
	<-ctx.Done()
}

// counting is a store that counts looks at the heads, and can be made to fail them.
type counting struct {
	progresstest.Store
	looks atomic.Int64
	ids   atomic.Int64
	fails atomic.Bool
}

func (c *counting) Sequences(ctx context.Context, ids []string) (map[string]int64, error) {
	c.looks.Add(1)
	c.ids.Store(int64(len(ids)))
	if c.fails.Load() {
		return nil, errors.New("the database is away")
	}
	return c.Store.Sequences(ctx, ids)
}

// Each commit is published once for each learner; a message hastens a reader; its end and its beginning
// have the replica look at once.
func TestPubSub(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{hundred()}, nil)
	store, a, b := &counting{Store: r.Store}, newWire(), newWire()
	r.Store = store
	one, two := r.ReplicaWith(engine.Options{PubSub: a}), r.ReplicaWith(engine.Options{PubSub: b})
	r.Refreshed(one)
	r.Refreshed(two)
	live, received := <-a.live, <-a.received
	learner := r.Learner()
	w := watch(t, one, learner)
	before := store.looks.Load()
	live(true)
	eventually(t, "it looks when messages begin", func() bool { return store.looks.Load() > before })

	if err := completeUnit(r.Ctx, two, learner, 0); err != nil {
		t.Fatal(err)
	}
	sent := <-b.sent
	if sent != (message{learner, 1}) {
		t.Errorf("sent %+v", sent)
	}
	looks := store.looks.Load()
	received(sent.learner, sent.sequence)
	if w.sees(t, 1); store.looks.Load() != looks {
		t.Error("the entry came by a look, not by the message")
	}
	received(r.Learner(), 5)
	received(learner, 1) // once more

	if err := completeUnit(r.Ctx, two, learner, 1); err != nil { // and the message is lost
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	if store.looks.Load() != looks {
		t.Error("it looks as often with messages as without")
	}
	live(false)
	if took := w.sees(t, 2); took > time.Second {
		t.Errorf("without messages it looked after %v", took)
	}
}

// However many watch, one look asks for all; and while the database is away, readers wait.
func TestManyWatchersAreOneLook(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{hundred()}, nil)
	store := &counting{Store: r.Store}
	r.Store = store
	s, other := r.Replica(), r.Replica()
	r.Refreshed(other)
	learners := make([]string, 300)
	readers := make([]*watched, len(learners))
	for i := range learners {
		learners[i] = r.Learner()
		readers[i] = watch(t, s, learners[i])
	}
	looks := store.looks.Load()
	eventually(t, "a look", func() bool { return store.looks.Load() > looks && store.ids.Load() == int64(len(learners)) })
	store.fails.Store(true)
	if err := completeUnit(r.Ctx, other, learners[299], 0); err != nil {
		t.Fatal(err)
	}
	looks = store.looks.Load()
	eventually(t, "a failed look", func() bool { return store.looks.Load() > looks })
	store.fails.Store(false)
	readers[299].sees(t, 1)
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := testenv.Now().Add(20 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if testenv.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// logless is a store that counts how often the log is read for a watcher.
type logless struct {
	progresstest.Store

	logs atomic.Int64
}

func (l *logless) Log(ctx context.Context, learnerID string, after int64, limit int) ([]progress.Record, progress.Head, error) {
	l.logs.Add(1)
	return l.Store.Log(ctx, learnerID, after, limit)
}

// What this replica writes its watchers are given, and it is what the log has: of all kinds of entries, and with
// what they have earned. What another has written meanwhile is read, and what is written then is given again.
func TestWatchersAreGivenWhatIsWrittenHere(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"), unit("v"))}, []progress.Path{path1("p", milestone("m", all("a")))})
	store := &logless{Store: r.Store}
	r.Store = store
	s, other := r.Replica(), r.Replica()
	r.Refreshed(s)
	r.Refreshed(other)
	learner := r.Learner()
	reader, another := watch(t, s, learner), watch(t, s, learner)
	if _, err := s.Enroll(r.Ctx, engine.Enrolling{LearnerID: learner, PathID: "p", Actor: self(learner)}); err != nil {
		t.Fatal(err)
	}
	void := event("a", "u", progress.Completed, day0.Add(time.Hour+time.Nanosecond))
	void.Score = new(0.5)
	recordAt(r, s, learner, event("a", "u", progress.Progressed, day0), void)
	recordAt(r, s, learner, event("a", "v", progress.Completed, day0))
	if _, err := s.Record(r.Ctx, engine.Recording{LearnerID: learner, Actor: rigtest.Admin(), Events: []progress.Event{{
		ID: rigtest.NewLearner(), Verb: progress.Voided, VoidsEventID: void.ID, Reason: "r", OccurredAt: day0,
	}}}); err != nil {
		t.Fatal(err)
	}
	seen := make([]engine.Notice, 5)
	for i := range seen {
		seen[i] = <-reader.seen
		<-another.seen
	}
	if n := store.logs.Load(); n != 0 {
		t.Errorf("the log was read %d times", n)
	}
	log, head, err := store.Store.Log(r.Ctx, learner, 0, 100)
	if err != nil || len(log) != len(seen) {
		t.Fatal(len(log), err)
	}
	awards := 0
	for i := range seen {
		want := engine.Notice{Sequence: log[i].Sequence, LogID: s.LogID(head.Timeline), Record: &log[i], Awards: log[i].Earned()}
		awards += len(want.Awards)
		if !reflect.DeepEqual(seen[i], want) {
			t.Errorf("given\n%+v of %+v, and the log has\n%+v of %+v", seen[i], seen[i].Record, want, want.Record)
		}
	}
	if awards != 1 {
		t.Errorf("%d awards", awards)
	}

	recordAt(r, other, learner, event("a", "u", progress.Progressed, day0))
	recordAt(r, s, learner, event("a", "u", progress.Progressed, day0))
	reader.sees(t, 6)
	reader.sees(t, 7)
	another.sees(t, 6)
	another.sees(t, 7)
	before := store.logs.Load()
	recordAt(r, s, learner, event("a", "u", progress.Progressed, day0))
	reader.sees(t, 8)
	if n := store.logs.Load(); before == 0 || n != before {
		t.Errorf("the log was read %d times, and then %d", before, n)
	}
}
