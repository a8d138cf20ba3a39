package progress

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// The catalog can let a learner reach a milestone without an event: a module is archived, its
// sunset passes, an equivalence is published, a MATERIAL version asks for no more than is done.
// Reads show what is derived but never write, so after each such change a sweep looks at the
// learners that it may concern and latches what they have earned, through the ordinary commit
// path. It keeps its place after each page, and one replica at a time holds it.

// The sweep's bounds.
const (
	sweepEvery = 2 * time.Second
	sweepLease = 30 * time.Second
	sweepPage  = 100
)

// sweeper runs sweeps for one service.
type sweeper struct {
	store     Store
	catalog   *CatalogKeeper
	committer *committer
	now       func() time.Time
	log       *slog.Logger
	owner     string
}

func newSweeper(s *Service) *sweeper {
	return &sweeper{store: s.store, catalog: s.catalog, committer: s.committer, now: s.now, log: s.log, owner: uuid.NewString()}
}

// run sweeps whenever there is something to look at, until ctx ends.
func (s *sweeper) run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "a sweep after a catalog change stopped; it goes on from there", "error", err)
		}
	}
}

// sweep begins a sweep, or goes on with one, and finishes it.
func (s *sweeper) sweep(ctx context.Context) error {
	now := s.now().UTC()
	w, err := s.store.LeaseSweep(ctx, s.owner, now, now.Add(sweepLease))
	if err != nil || w == nil {
		return err
	}
	catalog := s.catalog.Current()
	if w.ToRevision == 0 {
		w.ToRevision, w.ToAt, w.Cursor = catalog.Revision, now, ""
	}
	// A sweep that another replica began on a newer catalog waits until this one has it.
	if catalog.Revision < w.ToRevision {
		w.LeaseUntil = time.Time{} // for a replica that has it
		return s.store.SaveSweep(ctx, *w)
	}
	if paths := catalog.touchedPaths(w.Revision, w.At, w.ToAt); len(paths) > 0 {
		if err := s.pages(ctx, w, paths); err != nil {
			return err
		}
	}
	w.Revision, w.At, w.ToRevision, w.ToAt, w.Cursor = w.ToRevision, w.ToAt, 0, time.Time{}, ""
	return s.store.SaveSweep(ctx, *w)
}

// pages looks at every learner on the paths, keeping its place after each page.
func (s *sweeper) pages(ctx context.Context, w *Sweep, paths []string) error {
	for {
		learners, err := s.store.Enrolled(ctx, paths, w.Cursor, sweepPage)
		if err != nil || len(learners) == 0 {
			return err
		}
		var fault error
		for _, id := range learners {
			if fault = s.look(ctx, id); fault != nil {
				break
			}
			w.Cursor = id
		}
		w.LeaseUntil = s.now().UTC().Add(sweepLease)
		if err := errors.Join(fault, s.store.SaveSweep(ctx, *w)); err != nil {
			return err
		}
	}
}

// look latches what one learner has earned.
func (s *sweeper) look(ctx context.Context, learnerID string) error {
	for {
		err := s.committer.do(ctx, &job{learnerID: learnerID, apply: func(ctx context.Context, b *batch, j *job) error {
			return b.awardBySystem(ctx, j)
		}})
		switch errs.KindOf(err) {
		case errs.ResourceExhausted:
		case errs.Internal, errs.DeadlineExceeded:
			if err != nil { // one learner's fault must not keep the others from theirs
				s.log.ErrorContext(ctx, "a sweep passed a learner over", "learner", learnerID, "error", err)
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

// awardBySystem latches awards outside of any event, and brings those up to date whose rule still
// holds, with a log entry, so that whoever follows the log learns of it.
func (b *batch) awardBySystem(ctx context.Context, j *job) error {
	if _, err := b.learner(ctx, j.learnerID); err != nil {
		return err // it may write an entry, for an upgrade that became mandatory
	}
	next := b.tx.Head(j.learnerID).Sequence + 1
	if err := b.judgeAwards(ctx, j, next, next); err != nil {
		return err
	}
	if len(b.unlogged.Awards) > 0 {
		b.append(&Record{LearnerID: j.learnerID, Type: RecordAwarded, ReceivedAt: b.now, EffectiveAt: b.now, ActorID: systemActor})
	}
	return nil
}

// touchedPaths answers the paths whose learners may have reached something between two looks:
// those that changed, or have a module that was touched.
func (c *Catalog) touchedPaths(revision int64, from, to time.Time) []string {
	passed := func(t time.Time) bool { return t.After(from) && !t.After(to) }
	touched := c.touchedModules(revision, passed)
	var out []string
	for id, p := range c.Paths {
		hit := p.Revision > revision
		for i := range p.Versions {
			hit = hit || passed(p.Versions[i].MandateTime) || slices.ContainsFunc(p.Versions[i].moduleIDs(), func(module string) bool { return touched[module] })
		}
		if hit {
			out = append(out, id)
		}
	}
	return out
}

// touchedModules answers the modules that changed, or had a time of theirs pass, or have an
// equivalence with such a one.
func (c *Catalog) touchedModules(revision int64, passed func(time.Time) bool) map[string]bool {
	touched := make(map[string]bool, len(c.Modules))
	for id, m := range c.Modules {
		touched[id] = m.Revision > revision ||
			slices.ContainsFunc(m.Archives, func(p ArchivePeriod) bool { return passed(p.ArchiveTime) || passed(p.SunsetTime) }) ||
			slices.ContainsFunc(m.Versions, func(v ModuleVersion) bool { return passed(v.EffectiveTime) })
	}
	var credited []string // equivalences are not transitive: so collected first
	for id, m := range c.Modules {
		for i := range m.Versions {
			for _, group := range m.Versions[i].Credits {
				if slices.ContainsFunc(group, func(part string) bool { return touched[part] }) {
					credited = append(credited, id)
				}
			}
		}
	}
	for _, id := range credited {
		touched[id] = true
	}
	return touched
}
