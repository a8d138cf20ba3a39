package engine_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
)

// faulty is a store whose commits a test can make fail or wait.
type faulty struct {
	progresstest.Store
	before func(learners []string) error
	after  func(learners []string) error
}

func (f *faulty) Write(ctx context.Context, set *progress.WriteSet) error {
	return f.around(set.Learners(), func() error { return f.Store.Write(ctx, set) })
}

func (f *faulty) Commit(ctx context.Context, learners []string, fn func(context.Context, progress.Tx) error) error {
	return f.around(learners, func() error { return f.Store.Commit(ctx, learners, fn) })
}

func (f *faulty) around(learners []string, commit func() error) error {
	if f.before != nil {
		if err := f.before(learners); err != nil {
			return err
		}
	}
	if err := commit(); err != nil {
		return err
	}
	if f.after != nil {
		return f.after(learners)
	}
	return nil
}

// overFaulty puts a faulty store under a second service on the rig's database.
func overFaulty(r *rig, f *faulty, lockedTry int) *replica {
	r.T.Helper()
	f.Store = r.Store
	return r.ReplicaOver(f, engine.Options{CommitLanes: 1, LockedTry: lockedTry})
}

// bothWays runs a test with a committer that finds out whether somebody else wrote, and with one that
// locks heads at once.
func bothWays(t *testing.T, test func(t *testing.T, lockedTry int)) {
	t.Helper()
	for name, lockedTry := range map[string]int{"behind the fence": 0, "with heads locked": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, lockedTry)
		})
	}
}

func TestConcurrentWritersNumberWithoutGaps(t *testing.T) {
	t.Parallel()
	bothWays(t, concurrentWritersNumberWithoutGaps)
}

// concurrentWritersNumberWithoutGaps has two replicas contend for the same learners.
func concurrentWritersNumberWithoutGaps(t *testing.T, lockedTry int) {
	t.Helper()
	r := newRig(t, []progress.Module{module1("a", unit("u"), unit("v"))}, nil)
	replicas := []*replica{r.ReplicaWith(engine.Options{LockedTry: lockedTry}), r.ReplicaWith(engine.Options{LockedTry: lockedTry})}
	learners := []string{r.Learner(), r.Learner(), r.Learner()}
	var sent atomic.Int64
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Go(func() {
			for i := range 20 {
				learner := learners[(w+i)%3]
				e := event("a", "u", progress.Progressed, day0.Add(time.Duration(i)*time.Minute))
				for n := range 2 { // each one to both
					if _, err := replicas[(w+n)%2].Record(r.Ctx, engine.Recording{LearnerID: learner, Actor: self(learner), Events: []progress.Event{e}}); err != nil {
						t.Error(err)
					}
				}
				sent.Add(1)
			}
		})
	}
	wg.Wait()
	var stored int64
	for _, learner := range learners {
		records, head, err := r.Service.History(r.Ctx, learner, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			if records[i].Sequence != int64(i+1) {
				t.Fatalf("entry %d has sequence %d", i, records[i].Sequence)
			}
		}
		stored += head.Sequence
	}
	if stored != sent.Load() {
		t.Errorf("%d stored of %d", stored, sent.Load())
	}
}

func TestALongBatchGoesInPiecesAndIsAnsweredInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	learner := r.Learner()
	var events []progress.Event
	for i := range 500 {
		e := event("a", "u", progress.Progressed, day0.Add(time.Duration(i)*time.Second))
		if i%10 == 3 {
			e.UnitID = "none"
		}
		events = append(events, e)
	}
	out := r.Record(learner, self(learner), events...)
	for i, res := range out.Results {
		want := progress.StatusAccepted
		if i%10 == 3 {
			want = progress.StatusRejected
		}
		if res.EventID != events[i].ID || res.Status != want {
			t.Fatalf("result %d: %+v", i, res)
		}
	}
	if out.AsOfSequence != 450 {
		t.Errorf("as of %d", out.AsOfSequence)
	}
}

func TestABadJobCostsNobodyElseInItsBatch(t *testing.T) {
	t.Parallel()
	bothWays(t, aBadJobCostsNobodyElseInItsBatch)
}

func aBadJobCostsNobodyElseInItsBatch(t *testing.T, lockedTry int) {
	t.Helper()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	bad, good := r.Learner(), r.Learner()
	gate, entered := make(chan struct{}), make(chan struct{}, 100)
	f := &faulty{before: func(learners []string) error {
		entered <- struct{}{}
		<-gate
		if slices.Contains(learners, bad) {
			return errs.New(errs.Internal, "", "a bad one")
		}
		return nil
	}}
	s := overFaulty(r, f, lockedTry)
	send := func(learner string) error {
		_, err := s.Record(r.Ctx, engine.Recording{LearnerID: learner, Actor: self(learner), Events: []progress.Event{event("a", "u", progress.Completed, day0)}})
		return err
	}
	results := make(chan error, 3)
	go func() { results <- send(r.Learner()) }()
	<-entered // the lane is busy: the next two share a batch
	badResult, goodResult := make(chan error, 1), make(chan error, 1)
	go func() { badResult <- send(bad) }()
	go func() { goodResult <- send(good) }()
	time.Sleep(20 * time.Millisecond)
	close(gate)
	if err := <-results; err != nil {
		t.Error(err)
	}
	if err := <-badResult; errs.KindOf(err) != errs.Internal {
		t.Errorf("the bad one: %v", err)
	}
	if err := <-goodResult; err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestAPanicCostsOnlyItsOwnJob(t *testing.T) {
	t.Parallel()
	bothWays(t, aPanicCostsOnlyItsOwnJob)
}

func aPanicCostsOnlyItsOwnJob(t *testing.T, lockedTry int) {
	t.Helper()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	bad, good := r.Learner(), r.Learner()
	s := overFaulty(r, &faulty{before: func(learners []string) error {
		if slices.Contains(learners, bad) {
			panic("a bug")
		}
		return nil
	}}, lockedTry)
	for learner, want := range map[string]errs.Kind{bad: errs.Internal, good: 0} {
		_, err := s.Record(r.Ctx, engine.Recording{LearnerID: learner, Actor: self(learner), Events: []progress.Event{event("a", "u", progress.Completed, day0)}})
		if (err != nil) != (learner == bad) || errs.KindOf(err) != want {
			t.Errorf("%v, want kind %v", err, want)
		}
	}
}

func TestAFullQueueSaysSoAndACallerWhoLeavesHarmsNobody(t *testing.T) {
	t.Parallel()
	bothWays(t, aFullQueueSaysSoAndACallerWhoLeavesHarmsNobody)
}

func aFullQueueSaysSoAndACallerWhoLeavesHarmsNobody(t *testing.T, lockedTry int) {
	t.Helper()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	gate, entered := make(chan struct{}), make(chan struct{}, 100)
	s := overFaulty(r, &faulty{before: func([]string) error {
		entered <- struct{}{}
		<-gate
		return nil
	}}, lockedTry)
	learner, others := r.Learner(), make([]string, 48) // each of them may have 32 writes waiting
	for i := range others {
		others[i] = r.Learner()
	}
	impatient, leave := context.WithCancel(r.Ctx)
	left := make(chan error, 1)
	first := event("a", "u", progress.Completed, day0)
	go func() {
		_, err := s.Record(impatient, engine.Recording{LearnerID: learner, Actor: self(learner), Events: []progress.Event{first}})
		left <- err
	}()
	<-entered
	var wg sync.WaitGroup
	var full atomic.Int64
	for i := range 1500 {
		wg.Go(func() {
			other := others[i%len(others)]
			_, err := s.Record(r.Ctx, engine.Recording{LearnerID: other, Actor: self(other), Events: []progress.Event{event("a", "u", progress.Initialized, day0)}})
			if errs.KindOf(err) == errs.ResourceExhausted {
				full.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	leave()
	if err := <-left; errs.KindOf(err) != errs.DeadlineExceeded {
		t.Errorf("who left: %v", err)
	}
	for deadline := testenv.Now().Add(10 * time.Second); full.Load() == 0 && testenv.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	close(gate)
	wg.Wait()
	if full.Load() == 0 {
		t.Error("no caller got an error for the full queue")
	}
	if out := r.Record(learner, self(learner), first); out.Results[0].Status != progress.StatusDuplicate {
		t.Errorf("the event of who left: %+v", out.Results[0])
	}
}

func TestAnUnknownCommitOutcomeIsFoundOut(t *testing.T) {
	t.Parallel()
	bothWays(t, anUnknownCommitOutcomeIsFoundOut)
}

func anUnknownCommitOutcomeIsFoundOut(t *testing.T, lockedTry int) {
	t.Helper()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a")))})
	once := true
	s := overFaulty(r, &faulty{after: func([]string) error {
		if once = !once; once {
			return nil
		}
		return errs.New(errs.Unavailable, errs.ReasonCommitOutcomeUnknown, "the connection broke")
	}}, lockedTry)
	learner := r.Learner()
	e, err := s.Enroll(r.Ctx, engine.Enrolling{LearnerID: learner, PathID: "p", Actor: self(learner)})
	if err != nil || e.ID == "" {
		t.Fatalf("enrolling: %+v %v", e, err)
	}
	out, err := s.Record(r.Ctx, engine.Recording{LearnerID: learner, Actor: self(learner), Events: []progress.Event{event("a", "u", progress.Completed, day0)}})
	if err != nil || len(out.Awards) != 1 {
		t.Fatalf("%+v %v", out, err)
	}
	if _, head, err := s.History(r.Ctx, learner, 0, 10); err != nil || head.Sequence != 2 {
		t.Errorf("head %+v %v", head, err)
	}
}

func TestReadsAreNeverOlderThanAnAcknowledgedWrite(t *testing.T) {
	t.Parallel()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, []progress.Path{path1("p", milestone("m", all("a")))})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			learner := r.Learner()
			r.Enroll(learner, "p")
			for i := range 25 {
				out := r.Record(learner, self(learner), event("a", "u", progress.Progressed, day0.Add(time.Duration(i)*time.Second)))
				if p := r.Path(learner, "p"); p.AsOfSequence < out.AsOfSequence {
					t.Errorf("read %d after writing %d", p.AsOfSequence, out.AsOfSequence)
				}
			}
		})
	}
	wg.Wait()
}

func TestTheStoreDownIsUnavailable(t *testing.T) {
	t.Parallel()
	bothWays(t, theStoreDownIsUnavailable)
}

func theStoreDownIsUnavailable(t *testing.T, lockedTry int) {
	t.Helper()
	r := newRig(t, []progress.Module{module1("a", unit("u"))}, nil)
	down := errs.New(errs.Unavailable, "DATABASE_UNREACHABLE", "down")
	s := overFaulty(r, &faulty{before: func([]string) error { return down }}, lockedTry)
	learner := r.Learner()
	if _, err := s.Record(r.Ctx, engine.Recording{LearnerID: learner, Actor: self(learner), Events: []progress.Event{event("a", "u", progress.Completed, day0)}}); !errors.Is(err, down) {
		t.Errorf("%v", err)
	}
}
