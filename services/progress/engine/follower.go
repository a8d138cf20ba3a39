package engine

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// follower keeps up with a source of changes: it fetches what is new every two seconds, and
// when asked to.
type follower struct {
	// source is what the log and callers call it.
	source string
	// fetch gets what is new, and keeps it. One runs at a time.
	fetch func(context.Context) error
	// revision is what is known, for the log.
	revision func() int64
	log      *slog.Logger

	mu sync.Mutex
	// running is the fetch under way, waiting the one that starts after it: who asks while a
	// fetch runs joins the next one, since the running one may have read before the question.
	running, waiting *fetch
}

type fetch struct {
	done chan struct{}
	err  error
}

// pollEvery is how often a follower looks for changes that nobody told it of.
const pollEvery = 2 * time.Second

// fetchTimeout bounds one look at the source.
const fetchTimeout = 5 * time.Second

// run polls the source until ctx ends. It warns once when it is not reached, and goes on.
func (f *follower) run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for reached := true; ; {
		err := f.refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil && !reached:
			f.log.InfoContext(ctx, f.source+" is reachable again", "revision", f.revision())
		case err != nil && reached:
			f.log.WarnContext(ctx, f.source+" cannot be reached; going on with what is known", "revision", f.revision(), "error", err)
		}
		reached = err == nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// refresh fetches what changed, by a fetch that starts after the call; calls at the same time
// share one. It returns fetch's error, or Canceled.
func (f *follower) refresh(ctx context.Context) error {
	f.mu.Lock()
	var mine *fetch
	switch {
	case f.running == nil:
		mine = &fetch{done: make(chan struct{})}
		f.running = mine
		go f.fetchAll(context.WithoutCancel(ctx))
	case f.waiting == nil:
		mine = &fetch{done: make(chan struct{})}
		f.waiting = mine
	default:
		mine = f.waiting
	}
	f.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.Canceled, "", "gave up waiting for %s", f.source)
	}
}

// fetchAll runs fetches until nobody waits for one.
func (f *follower) fetchAll(ctx context.Context) {
	for {
		fetchCtx, cancel := context.WithTimeout(ctx, fetchTimeout)
		err := f.fetch(fetchCtx)
		cancel()
		f.mu.Lock()
		done := f.running
		f.running, f.waiting = f.waiting, nil
		more := f.running != nil
		f.mu.Unlock()
		done.err = err
		close(done.done)
		if !more {
			return
		}
	}
}
