// Package follow copies what another service numbers. A Follower asks its source every two seconds
// for what changed after the number that the copy has reached, and at once when a caller has seen a
// newer number; it stores the changes together with the number that they reach. So the copy only
// rises, survives a restart, and serves while the source is away.
package follow

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

const (
	// pollEvery is how often a follower looks for changes that no call has notified it of.
	pollEvery = 2 * time.Second
	// fetchTimeout bounds one question to the source, with storing its answer.
	fetchTimeout = 5 * time.Second
)

// Source numbers changes of T.
type Source[T any] interface {
	// Sync returns what changed after a revision, and the revision that the changes reach: a lower
	// one, and no changes, when the source has not come so far. Unavailable when it cannot be reached.
	Sync(ctx context.Context, after int64) (changes T, revision int64, err error)
}

// Store holds the copy.
type Store[T any] interface {
	// Save stores changes and the revision that they reach, both or neither.
	Save(ctx context.Context, revision int64, changes T) error
}

// Config is what a Follower follows.
type Config[T any] struct {
	// Name is what the log and callers call the source.
	Name   string
	Source Source[T]
	Store  Store[T]
	// Revision is what the store has reached already.
	Revision int64
	// More reports whether the source may have more than these changes, so that it is asked again at once; nil: it
	// never has. What would take too long comes in parts so.
	More func(changes T) bool
	// Patience bounds how long AtLeast lets a caller wait; 0: as long as the caller's context.
	Patience time.Duration
	Now      func() time.Time
	Logger   *slog.Logger
}

// Follower follows one source.
type Follower[T any] struct {
	cfg Config[T]

	revision atomic.Int64
	began    time.Time
	// confirmed is when the source last responded; nil: never.
	confirmed atomic.Pointer[time.Time]
	// older reports that the source was last seen to be behind the copy. Only the running fetch uses it.
	older bool

	mu sync.Mutex
	// running is the fetch under way, waiting the one that starts after it: a caller that asks while a
	// fetch runs joins the next one, since the running one may have read before the question.
	running, waiting *fetch
}

type fetch struct {
	done chan struct{}
	err  error
}

// New returns a follower that goes on from where the store is. It fetches nothing until Run, Refresh
// or AtLeast.
func New[T any](cfg Config[T]) *Follower[T] {
	f := &Follower[T]{cfg: cfg, began: cfg.Now()}
	f.revision.Store(cfg.Revision)
	return f
}

// State is how far a copy is.
type State struct {
	Revision int64
	// Age is how long ago the source last confirmed the copy; since New, where it has not yet.
	Age time.Duration
	// Confirmed reports whether the source has responded since the start.
	Confirmed bool
}

// State returns how far the copy is.
func (f *Follower[T]) State() State {
	since, confirmed := f.began, f.confirmed.Load()
	if confirmed != nil {
		since = *confirmed
	}
	return State{Revision: f.revision.Load(), Age: f.cfg.Now().Sub(since), Confirmed: confirmed != nil}
}

// Advance raises the revision, for a caller that has found the store further on: another replica has
// written to it.
func (f *Follower[T]) Advance(revision int64) {
	for have := f.revision.Load(); have < revision; have = f.revision.Load() {
		if f.revision.CompareAndSwap(have, revision) {
			return
		}
	}
}

// AtLeast fetches when the copy is behind a revision that the caller has seen. It returns the error
// of that fetch, or Canceled when the caller's context or the patience ended first: the copy as it is
// may be good enough to go on with. No error does not promise the revision, for a caller may name one
// that the source never had.
func (f *Follower[T]) AtLeast(ctx context.Context, revision int64) error {
	if f.revision.Load() >= revision {
		return nil
	}
	if f.cfg.Patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.cfg.Patience)
		defer cancel()
	}
	return f.Refresh(ctx)
}

// Run polls the source until ctx ends. It warns once when the source cannot be reached, and goes on.
func (f *Follower[T]) Run(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for reached := true; ; {
		err := f.Refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil && !reached:
			f.cfg.Logger.InfoContext(ctx, f.cfg.Name+" is reachable again", "revision", f.revision.Load())
		case err != nil && reached:
			f.cfg.Logger.WarnContext(ctx, f.cfg.Name+" cannot be reached; going on with what is known", "revision", f.revision.Load(), "error", err)
		}
		reached = err == nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Refresh fetches what changed, by a fetch that starts after the call; calls at the same time share
// one. It returns the error of the source or the store, or Canceled when ctx ends first.
func (f *Follower[T]) Refresh(ctx context.Context) error {
	mine := f.join(ctx)
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.Canceled, errs.ReasonCancelled, "timed out waiting for %s", f.cfg.Name)
	}
}

// join returns a fetch that has not begun, and sees to it that it will.
func (f *Follower[T]) join(ctx context.Context) *fetch {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.running == nil:
		f.running = &fetch{done: make(chan struct{})}
		go f.fetchAll(context.WithoutCancel(ctx))
		return f.running
	case f.waiting == nil:
		f.waiting = &fetch{done: make(chan struct{})}
	}
	return f.waiting
}

// fetchAll runs fetches until no caller waits for one.
func (f *Follower[T]) fetchAll(ctx context.Context) {
	for {
		err := f.fetchMore(ctx)
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

// fetchMore fetches until the source has no more.
func (f *Follower[T]) fetchMore(ctx context.Context) error {
	for {
		limited, cancel := context.WithTimeout(ctx, fetchTimeout)
		more, err := f.fetch(limited)
		cancel()
		if err != nil || !more {
			return err
		}
	}
}

// fetch asks the source once, and reports whether it is to be asked again.
func (f *Follower[T]) fetch(ctx context.Context) (more bool, err error) {
	have := f.revision.Load()
	changes, revision, err := f.cfg.Source.Sync(ctx, have)
	if err != nil {
		return false, err
	}
	if revision < have && !f.older {
		f.cfg.Logger.WarnContext(ctx, f.cfg.Name+" is older than what is known here; was it restored? Keeping what is known",
			"have", have, "source", revision)
	}
	f.older = revision < have
	if revision > have {
		// Stored first: what was acted on must be known after a restart without the source.
		if err := f.cfg.Store.Save(ctx, revision, changes); err != nil {
			return false, err
		}
		f.Advance(revision)
		if f.cfg.More != nil && f.cfg.More(changes) {
			return true, nil // it has confirmed no more than this part
		}
	}
	now := f.cfg.Now()
	f.confirmed.Store(&now)
	return false, nil
}
