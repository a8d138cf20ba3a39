package engine

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// The catalog can let a learner reach a milestone without an event: a module is archived, its
// sunset passes, an equivalence is published, a MATERIAL version asks for no more than is done.
// Reads show what is derived but never write, so after each such change, when it has settled
// (progress.SettleAfter), a sweep looks at the learners that it may concern and latches what they have
// earned, through the ordinary commit path. On the way it stores the facts that such a change made old as they are now, so that what is
// counted over all learners (package report) need not work that out for each of them again. It stores
// its place after each page, and one replica at a time holds it; one that keeps failing gives it up, for
// what fails may be this replica's alone.

// The sweep's bounds.
const (
	sweepEvery = 2 * time.Second
	sweepLease = 30 * time.Second
	// sweepPage is how many learners are looked at between two notes of the place, sweepFetch how
	// many are asked for at a time.
	sweepPage  = 100
	sweepFetch = 1000
	// sweepTries is how often a replica fails in a row before it gives the sweep up, and sweepPause how long
	// it leaves the others to take it: each of them asks every sweepEvery.
	sweepTries = 3
	sweepPause = 3 * sweepEvery
)

// sweeper runs sweeps for one service.
type sweeper struct {
	store     SweepStore
	catalog   *CatalogFollower
	committer *committer
	now       func() time.Time
	log       *slog.Logger
	owner     string

	// began is when this replica did. held is what it knows of the sweep while that is its own, for the
	// operator.
	began time.Time
	held  atomic.Pointer[heldSweep]
}

// heldSweep is the sweep in the hands of this replica.
type heldSweep struct {
	until time.Time
	// done is when the last finished sweep began; unswept are the revisions of the catalog since.
	done    time.Time
	unswept int64
}

func newSweeper(s *Service) *sweeper {
	return &sweeper{store: s.store, catalog: s.catalog, committer: s.committer, now: s.now, log: s.log, owner: uuid.NewString(), began: s.now()}
}

// hold notes what this replica holds; nil: nothing. The time comes from the store, so that a sweep that
// fails in one replica after the other grows old all the same.
func (s *sweeper) hold(w *progress.Sweep) {
	if w == nil {
		s.held.Store(nil)
		return
	}
	h := &heldSweep{until: w.LeaseUntil, done: w.At, unswept: max(0, s.catalog.Current().Revision-w.Revision)}
	if h.done.IsZero() {
		h.done = s.began
	}
	s.held.Store(h)
}

// stats returns what this replica knows of the sweep, or nil where that is not its own.
func (s *sweeper) stats() *SweepStats {
	h, now := s.held.Load(), s.now()
	if h == nil || now.After(h.until) {
		return nil
	}
	return &SweepStats{Unswept: h.unswept, Age: now.Sub(h.done)}
}

// run sweeps whenever there is something to look at, until ctx ends.
func (s *sweeper) run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for failed := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.sweep(ctx)
		if err == nil {
			failed = 0
			continue
		}
		if failed++; failed == 1 && ctx.Err() == nil {
			s.log.WarnContext(ctx, "a sweep after a catalog change stopped; it goes on from there", "error", err)
		}
		if failed%sweepTries == 0 {
			s.giveUp(ctx, failed == sweepTries)
		}
	}
}

// giveUp gives the sweep to whichever replica asks next, and does not ask again for a while. Where that
// cannot be written, the while is as long as the lease.
func (s *sweeper) giveUp(ctx context.Context, first bool) {
	s.hold(nil)
	pause := sweepPause
	if err := s.store.FreeSweep(ctx, s.owner); err != nil {
		pause = sweepLease
	}
	if first && ctx.Err() == nil {
		s.log.WarnContext(ctx, "the sweep keeps failing here; another replica may take it")
	}
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}

// sweep begins a sweep, or goes on with one, and finishes it.
func (s *sweeper) sweep(ctx context.Context) error {
	now := s.now().UTC()
	w, err := s.store.LeaseSweep(ctx, s.owner, now, now.Add(sweepLease))
	if err != nil {
		return err
	}
	if s.hold(w); w == nil {
		return nil
	}
	catalog := s.catalog.Current()
	if w.ToRevision == 0 {
		w.ToRevision, w.ToAt, w.Cursor = catalog.Revision, now, ""
	}
	// A sweep that another replica began on a newer catalog waits until this one has it.
	if catalog.Revision < w.ToRevision {
		s.hold(nil)
		w.LeaseUntil = time.Time{} // for a replica that has it
		return s.store.SaveSweep(ctx, *w)
	}
	if err := s.pages(ctx, w, catalog); err != nil {
		return err
	}
	w.Revision, w.At, w.ToRevision, w.ToAt, w.Cursor = w.ToRevision, w.ToAt, 0, time.Time{}, ""
	if err := s.store.SaveSweep(ctx, *w); err != nil {
		return err
	}
	s.hold(w)
	return nil
}

// pages looks at every learner on the touched paths, and at those whose facts of the touched modules
// are outdated, storing its place after each page.
func (s *sweeper) pages(ctx context.Context, w *progress.Sweep, catalog *progress.Catalog) error {
	line := s.newLine(w, catalog)
	for {
		looked, fault := s.page(ctx, w, line)
		if looked == 0 {
			return fault
		}
		w.LeaseUntil = s.now().UTC().Add(sweepLease)
		if err := errors.Join(fault, s.store.SaveSweep(ctx, *w)); err != nil {
			return err
		}
		s.hold(w)
	}
}

// page looks at the next learners, and returns at how many it did.
func (s *sweeper) page(ctx context.Context, w *progress.Sweep, line *sweepLine) (int, error) {
	for looked := range sweepPage {
		id, renew, err := line.next(ctx)
		if err != nil || id == "" {
			return looked, err
		}
		if err := s.look(ctx, id, renew); err != nil {
			return looked, err
		}
		w.Cursor = id
	}
	return sweepPage, nil
}

// sweepLine is the learners of a sweep in order of their ids.
type sweepLine struct {
	enrolled, outdated idLine
	// modules are those that were touched.
	modules []string
}

// newLine is the line from where the sweep is.
func (s *sweeper) newLine(w *progress.Sweep, c *progress.Catalog) *sweepLine {
	passed := func(t time.Time) bool { return t.After(w.At) && !t.After(w.ToAt) }
	modules := c.TouchedModules(w.Revision, passed)
	paths := c.TouchedPaths(w.Revision, passed, modules)
	line := &sweepLine{modules: slices.Sorted(maps.Keys(modules))}
	fresh := make([]progress.Freshness, 0, len(line.modules))
	for _, id := range line.modules {
		fresh = append(fresh, c.Modules[id].Freshness(w.ToAt))
	}
	line.enrolled = idLine{after: w.Cursor, ended: len(paths) == 0, fetch: func(ctx context.Context, after string) ([]string, error) {
		return s.store.Enrolled(ctx, paths, after, sweepFetch)
	}}
	line.outdated = idLine{after: w.Cursor, ended: len(fresh) == 0, fetch: func(ctx context.Context, after string) ([]string, error) {
		return s.store.Outdated(ctx, fresh, after, sweepFetch)
	}}
	return line
}

// next returns the next learner, "" at the end, with the modules whose facts are to be stored anew:
// none for a learner who is only enrolled.
func (l *sweepLine) next(ctx context.Context) (id string, renew []string, err error) {
	enrolled, errEnrolled := l.enrolled.peek(ctx)
	outdated, errOutdated := l.outdated.peek(ctx)
	if err := errors.Join(errEnrolled, errOutdated); err != nil {
		return "", nil, err
	}
	id = enrolled
	if outdated != "" && (enrolled == "" || outdated <= enrolled) {
		id, renew = outdated, l.modules
	}
	l.enrolled.pass(id)
	l.outdated.pass(id)
	return id, renew, nil
}

// idLine is a line of learners in order of their ids, fetched piece by piece.
type idLine struct {
	fetch func(ctx context.Context, after string) ([]string, error)
	after string
	ids   []string
	ended bool
}

// peek returns the first in line, or "".
func (l *idLine) peek(ctx context.Context) (string, error) {
	if len(l.ids) == 0 && !l.ended {
		var err error
		if l.ids, err = l.fetch(ctx, l.after); err != nil {
			return "", err
		}
		l.ended = len(l.ids) < sweepFetch
	}
	if len(l.ids) == 0 {
		return "", nil
	}
	return l.ids[0], nil
}

// pass goes on to the one after id, if id is the first.
func (l *idLine) pass(id string) {
	if len(l.ids) > 0 && l.ids[0] == id {
		l.after, l.ids = id, l.ids[1:]
	}
}

// look latches what one learner has earned, and stores their facts of some modules as they are now.
func (s *sweeper) look(ctx context.Context, learnerID string, renew []string) error {
	for {
		_, err := do(ctx, s.committer, learnerID, func(ctx context.Context, b *batch) (struct{}, error) {
			return struct{}{}, b.lookBySystem(ctx, learnerID, renew)
		})
		switch errs.KindOf(err) {
		case errs.ResourceExhausted:
		case errs.Internal, errs.DeadlineExceeded:
			if err != nil { // one learner's fault must not stop the sweep of the others
				s.log.ErrorContext(ctx, "a sweep skipped a learner", "learner", learnerID, "error", err)
			}
			return nil
		default:
			return err
		}
		// Learners come first: wait until there is room.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// lookBySystem latches awards outside of any event, and brings those up to date whose rule still
// holds, with a log entry, so that readers of the log learn of it. Facts that are stored anew
// say what every reader works out already: they raise no version.
func (b *batch) lookBySystem(ctx context.Context, learnerID string, renew []string) error {
	l, err := b.learner(ctx, learnerID)
	if err != nil {
		return err // it may have written an entry, for an upgrade that became mandatory
	}
	for _, id := range renew {
		if f := l.Facts[id]; f != nil && b.catalog.Modules[id] != nil {
			key := progress.FactsKey{LearnerID: learnerID, ModuleID: id}
			b.facts[key], b.changed[key] = f.Clone(), true
		}
	}
	next := b.heads[learnerID].Sequence + 1
	if _, err := b.judgeAwards(ctx, learnerID, next, next); err != nil {
		return err
	}
	if len(b.unlogged.Awards) > 0 {
		b.append(&progress.Record{LearnerID: learnerID, Type: progress.RecordAwarded, ReceivedAt: b.now, EffectiveAt: b.now, ActorID: progress.SystemActor})
	}
	return nil
}
