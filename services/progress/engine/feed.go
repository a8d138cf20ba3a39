package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// PubSub notifies replicas that a learner's log grew. Messages may be lost, late or doubled: they only
// hasten what a look at the heads finds.
type PubSub interface {
	// Send sends a message to the other replicas. It never waits.
	Send(learnerID string, sequence int64)
	// Run passes every message that arrives to received, also this replica's own, until ctx ends, and
	// sends what waits to be sent before it returns. It calls live with true when every message from
	// now on arrives, and with false when that is over.
	Run(ctx context.Context, live func(bool), received func(learnerID string, sequence int64))
}

// How often the heads of all that is watched are compared with what the watchers know.
const (
	// pollAlone finds what other replicas wrote where no message comes.
	pollAlone = 2 * time.Second
	// pollSubscribed finds what lost messages were about.
	pollSubscribed = 15 * time.Second
	// pollTimeout bounds one look.
	pollTimeout = 5 * time.Second
)

// How many watches can be open at once in one process, and when to try again.
const (
	// learnerWatches are of one learner's log: several windows on several devices.
	learnerWatches = 20
	// readerWatches are of one caller, who may watch others' logs: a class, or a course.
	readerWatches = 200
	// watchesRetry is when some of them, whose readers are gone, may have ended.
	watchesRetry = 15 * time.Second
)

// feed notifies watchers that a learner's log grew: of writes here, by messages of other replicas,
// and by a look at the heads from time to time. These only say "look": what happened is read from
// the log. Entries that were written here it gives to the watchers: one whose reader has all up to an entry
// sends it without reading.
type feed struct {
	store  LearnerStore
	pubsub PubSub // nil where no other process writes, or none sends messages
	log    *slog.Logger

	mu       sync.Mutex
	watchers map[string]map[*watcher]struct{}
	readers  *bounds.Quota[string]
	live     bool
	// turned signals the poller that live changed.
	turned chan struct{}

	stop       context.CancelFunc
	background sync.WaitGroup
}

// watcher is one reader of one learner's log.
type watcher struct {
	learnerID, reader string

	look chan struct{}
	// seen is the last sequence that the reader was sent; -1 before the first.
	seen atomic.Int64
	// told is the highest sequence that the log is said to have. Most are said twice: here, and by the message.
	told atomic.Int64
	// fresh are entries that this process has just written, in their order; at most watchPage.
	mu    sync.Mutex
	fresh []freshEntry
	// apart is set where the log was found to be elsewhere than the reader: perhaps behind.
	apart atomic.Bool
}

// tell wakes the watcher for a sequence.
func (w *watcher) tell(sequence int64) {
	for had := w.told.Load(); had < sequence; had = w.told.Load() {
		if w.told.CompareAndSwap(had, sequence) {
			break
		}
	}
	w.wake()
}

// freshEntry is an entry that need not be read, on its line of history.
type freshEntry struct {
	timeline string
	record   *progress.Record
}

// give passes an entry to the watcher; where there are too many, those that do not fit are read from the log.
func (w *watcher) give(e freshEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.fresh) < watchPage {
		w.fresh = append(w.fresh, e)
	}
}

func (w *watcher) take() []freshEntry {
	w.mu.Lock()
	defer w.mu.Unlock()
	fresh := w.fresh
	w.fresh = nil
	return fresh
}

// due reports whether a reader who was sent all up to a sequence has to look at the log.
func (w *watcher) due(at int64) bool { return w.apart.Swap(false) || w.told.Load() > at }

func (w *watcher) wake() {
	select {
	case w.look <- struct{}{}:
	default: // it is about to look already
	}
}

func newFeed(store LearnerStore, pubsub PubSub, log *slog.Logger) *feed {
	return &feed{
		store: store, pubsub: pubsub, log: log, watchers: map[string]map[*watcher]struct{}{}, turned: make(chan struct{}, 1), stop: func() {},
		readers: bounds.NewQuota[string](0, readerWatches),
	}
}

// start subscribes and polls until close.
func (f *feed) start(ctx context.Context) {
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.background.Go(func() { f.poll(ctx) })
	if f.pubsub != nil {
		f.background.Go(func() { f.pubsub.Run(ctx, f.turn, f.received) })
	}
}

func (f *feed) close() {
	f.stop()
	f.background.Wait()
}

// logEnd is the last sequence of a learner's log, and the line of history that it is on.
type logEnd struct {
	sequence int64
	timeline string
}

// publish gives the entries that this replica wrote to their watchers, and notifies other replicas.
func (f *feed) publish(ends map[string]logEnd, entries []progress.Record) {
	f.mu.Lock()
	if len(f.watchers) > 0 {
		for i := range entries {
			r := &entries[i]
			for w := range f.watchers[r.LearnerID] {
				w.give(freshEntry{ends[r.LearnerID].timeline, r})
			}
		}
		for id, end := range ends {
			for w := range f.watchers[id] {
				w.tell(end.sequence)
			}
		}
	}
	f.mu.Unlock()
	if f.pubsub != nil {
		for id, end := range ends {
			f.pubsub.Send(id, end.sequence)
		}
	}
}

// received notifies watchers of a write of any replica's, this one's included.
func (f *feed) received(learnerID string, sequence int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers[learnerID] {
		if w.seen.Load() < sequence {
			w.tell(sequence)
		}
	}
}

// turn is called when messages begin to arrive, and when they no longer do.
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

// join adds a watcher; ResourceExhausted where the learner, or the reader, has as many as may be.
func (f *feed) join(learnerID, reader string) (*watcher, error) {
	w := &watcher{learnerID: learnerID, reader: reader, look: make(chan struct{}, 1)}
	w.seen.Store(-1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.watchers[learnerID]) >= learnerWatches {
		return nil, tooManyWatches("%d watches of this learner's progress are open", learnerWatches)
	}
	if reader != "" && !f.readers.Take(reader, 1) {
		return nil, tooManyWatches("the caller has %d watches open", readerWatches)
	}
	if f.watchers[learnerID] == nil {
		f.watchers[learnerID] = map[*watcher]struct{}{}
	}
	f.watchers[learnerID][w] = struct{}{}
	return w, nil
}

func tooManyWatches(what string, n int) error {
	e := errs.New(errs.ResourceExhausted, errs.ReasonTooManyStreams, what+"; close one, or share one between windows", n)
	e.RetryAfter = watchesRetry
	return e
}

func (f *feed) leave(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.reader != "" {
		f.readers.Give(w.reader, 1)
	}
	delete(f.watchers[w.learnerID], w)
	if len(f.watchers[w.learnerID]) == 0 {
		delete(f.watchers, w.learnerID)
	}
}

// poll compares from time to time, and at once when messages begin, since some were missed before,
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
			f.log.WarnContext(ctx, "learners' heads cannot be read; watchers wait", "error", err)
		}
		reached = err == nil
	}
}

func (f *feed) every() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live {
		return pollSubscribed
	}
	return pollAlone
}

// compare wakes the watchers whose log is not where they are, also when it is behind them.
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
			if w.seen.Load() != heads[id] {
				w.apart.Store(true)
				w.wake()
			}
		}
	}
	return nil
}
