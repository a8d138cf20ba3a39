package engine_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// hold opens n watches of a learner's log and leaves them open until the returned function is called.
func hold(t *testing.T, s *replica, asked engine.Watching, n int) (release func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var open, ended sync.WaitGroup
	for range n {
		open.Add(1)
		opened := sync.OnceFunc(open.Done)
		ended.Go(func() {
			defer opened()
			err := s.Watch(ctx, asked, func() error { opened(); return nil }, func(engine.Notice) error { return nil })
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	open.Wait()
	return func() {
		stop()
		ended.Wait()
	}
}

var errOpened = errors.New("opened")

// try opens a watch and reports why it was not to be opened.
func try(t *testing.T, s *replica, asked engine.Watching) error {
	t.Helper()
	err := s.Watch(t.Context(), asked, func() error { return errOpened }, func(engine.Notice) error { return nil })
	if errors.Is(err, errOpened) {
		return nil
	}
	return err
}

// TestWatchesAreBounded holds one learner's log to 20 watches, whoever opens them, and one reader to 200.
func TestWatchesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, nil)
	learner, other := r.Learner(), r.Learner()
	release := hold(t, r.Service, engine.Watching{LearnerID: learner, Reader: "ada"}, 20)
	err := try(t, r.Service, engine.Watching{LearnerID: learner, Reader: "an admin"})
	if errs.KindOf(err) != errs.ResourceExhausted || errs.ReasonOf(err) != errs.ReasonTooManyStreams {
		t.Errorf("the 21st watch of a learner: %v", err)
	}
	if err := try(t, r.Service, engine.Watching{LearnerID: other, Reader: "ada"}); err != nil {
		t.Errorf("a watch of another learner: %v", err)
	}
	release()
	if err := try(t, r.Service, engine.Watching{LearnerID: learner, Reader: "ada"}); err != nil {
		t.Errorf("after all had ended: %v", err)
	}

	var releases []func()
	for range 10 {
		releases = append(releases, hold(t, r.Service, engine.Watching{LearnerID: r.Learner(), Reader: "an admin"}, 20))
	}
	err = try(t, r.Service, engine.Watching{LearnerID: learner, Reader: "an admin"})
	if errs.KindOf(err) != errs.ResourceExhausted || errs.ReasonOf(err) != errs.ReasonTooManyStreams {
		t.Errorf("the 201st watch of a reader: %v", err)
	}
	if err := try(t, r.Service, engine.Watching{LearnerID: learner}); err != nil {
		t.Errorf("a watch of nobody who is counted: %v", err)
	}
	for _, release := range releases {
		release()
	}
	if n := r.Service.Stats().Watchers; n != 0 {
		t.Errorf("%d watches are open after all ended", n)
	}
}

// TestWatchesEndWithTheServer ends those that wait.
func TestWatchesEndWithTheServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, nil)
	ending, open, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	learner := r.Learner()
	go func() {
		ended <- r.Service.Watch(r.Ctx, engine.Watching{LearnerID: learner, Ending: ending}, func() error {
			close(open)
			return nil
		}, func(engine.Notice) error { return nil })
	}()
	<-open
	close(ending)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
