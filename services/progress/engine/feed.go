package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Nudges pass word between replicas that a learner's log grew. Words may be lost, late or doubled:
// they only hasten what a look at the heads finds.
type Nudges interface {
	// Send passes a word on to the other replicas. It never waits.
	Send(learnerID string, sequence int64)
	// Run gives heard every word that arrives, also this replica's own, until ctx ends, and sends
	// what waits to be sent before it returns. live is told true when every word from now on
	// arrives, and false when that is over.
	Run(ctx context.Context, live func(bool), heard func(learnerID string, sequence int64))
}

// How often the heads of all that is watched are compared with what the watchers know.
const (
	// pollAlone finds what other replicas wrote when nobody tells of it.
	pollAlone = 2 * time.Second
	// pollNudged finds words that were lost.
	pollNudged = 15 * time.Second
	// pollTimeout bounds one look.
	pollTimeout = 5 * time.Second
)

// feed tells watchers that a learner's log grew: by who wrote here, by nudges of other replicas,
// and by a look at the heads from time to time. It only says "look": what happened is read from
// the log.
type feed struct {
	store  LearnerStore
	nudges Nudges // nil where nobody else writes, or nobody tells
	log    *slog.Logger

	mu       sync.Mutex
	watchers map[string]map[*watcher]struct{}
	live     bool
	// turned tells the poller that live changed.
	turned chan struct{}

	stop       context.CancelFunc
	background sync.WaitGroup
}

// watcher is one reader of one learner's log.
type watcher struct {
	look chan struct{}
	// told is the last sequence that the reader was told; -1 before the first.
	told atomic.Int64
}

func (w *watcher) nudge() {
	select {
	case w.look <- struct{}{}:
	default: // a nudge is waiting already
	}
}

func newFeed(store LearnerStore, nudges Nudges, log *slog.Logger) *feed {
	return &feed{
		store: store, nudges: nudges, log: log, watchers: map[string]map[*watcher]struct{}{}, turned: make(chan struct{}, 1), stop: func() {},
	}
}

// start listens to nudges and polls until close.
func (f *feed) start(ctx context.Context) {
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.background.Go(func() { f.poll(ctx) })
	if f.nudges != nil {
		f.background.Go(func() { f.nudges.Run(ctx, f.turn, f.heard) })
	}
}

func (f *feed) close() {
	f.stop()
	f.background.Wait()
}

// publish tells everybody of a write of this replica's.
func (f *feed) publish(learnerID string, sequence int64) {
	f.mu.Lock()
	for w := range f.watchers[learnerID] {
		w.nudge()
	}
	f.mu.Unlock()
	if f.nudges != nil {
		f.nudges.Send(learnerID, sequence)
	}
}

// heard is told of a write of any replica's, this one's included.
func (f *feed) heard(learnerID string, sequence int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers[learnerID] {
		if w.told.Load() < sequence {
			w.nudge()
		}
	}
}

// turn is told when nudges begin to arrive, and when they no longer do.
func (f *feed) turn(live bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live != live {
		f.live = live
		select {
		case f.turned <- struct{}{}:
		default:
		}
	}
}

// count is how many watchers there are.
func (f *feed) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, watchers := range f.watchers {
		n += len(watchers)
	}
	return n
}

func (f *feed) join(learnerID string) *watcher {
	w := &watcher{look: make(chan struct{}, 1)}
	w.told.Store(-1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watchers[learnerID] == nil {
		f.watchers[learnerID] = map[*watcher]struct{}{}
	}
	f.watchers[learnerID][w] = struct{}{}
	return w
}

func (f *feed) leave(learnerID string, w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.watchers[learnerID], w)
	if len(f.watchers[learnerID]) == 0 {
		delete(f.watchers, learnerID)
	}
}

// poll compares from time to time, and at once when nudges begin, since some were missed before,
// and when they end. A database that does not answer leaves the readers waiting: they would
// come back to the same.
func (f *feed) poll(ctx context.Context) {
	for reached := true; ; {
		timer := time.NewTimer(f.every())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-f.turned:
		case <-timer.C:
		}
		timer.Stop()
		err := f.compare(ctx)
		if err != nil && reached && ctx.Err() == nil {
			f.log.WarnContext(ctx, "the logs cannot be looked at; watchers wait", "error", err)
		}
		reached = err == nil
	}
}

func (f *feed) every() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live {
		return pollNudged
	}
	return pollAlone
}

// compare nudges the watchers whose log is not where they are, also when it is behind them.
func (f *feed) compare(ctx context.Context) error {
	f.mu.Lock()
	ids := make([]string, 0, len(f.watchers))
	for id := range f.watchers {
		ids = append(ids, id)
	}
	f.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	heads, err := f.store.Sequences(ctx, ids)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		for w := range f.watchers[id] {
			if w.told.Load() != heads[id] {
				w.nudge()
			}
		}
	}
	return nil
}
