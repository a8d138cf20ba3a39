// Package replay folds whole logs again: to verify that what is stored is what they give, and to
// rebuild it.
package replay

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// Replaying folds whole logs again. It takes the learners in order of id, in chunks that several
// workers read at a time, each from one snapshot, so that a difference is one of a real
// moment. A rebuild writes what differs in small transactions with the learners' heads locked: a learner whose
// head has moved since the snapshot is looked at again, so nothing older ever replaces what live
// traffic wrote. It stores its place every second, and goes on from there after whatever ended it.

// The replay's bounds.
const (
	// replayWorkers leaves half of SQLite's readers to live traffic.
	replayWorkers = 2
	// A chunk ends at chunkLearners, or sooner with the learner whose log brings it to chunkEntries.
	chunkLearners = 64
	chunkEntries  = 20_000
	// replayAhead is how many chunks may be begun after the oldest that is not done: what they found waits in memory.
	replayAhead = 8
	reportEvery = time.Second
	// rebuildLease is how long no other rebuild may begin after the last sign of life of one.
	rebuildLease = 30 * time.Second
	// repairRows is how many facts one transaction writes, about: ten milliseconds of SQLite's only writer.
	repairRows = 400
	// repairTries is how often a learner who goes on learning is looked at from outside before they are made to wait.
	repairTries = 3
	// releaseTimeout bounds the last write of a replay.
	releaseTimeout = 5 * time.Second
)

// Request is what a replay is to do.
type Request struct {
	// LearnerID is the only learner; "" for all.
	LearnerID string
	// Write stores what the log gives. Restart does so from the first learner on, though an earlier
	// rebuild was cut off and could go on.
	Write, Restart bool
	// ActorID is the actor that asks for it.
	ActorID string
}

// Status is how far a replay is.
type Status struct {
	// Done and Drifted are learners, Entries log entries; also those of the earlier part of the same rebuild.
	Done, Entries, Drifted int64
	// Total is the learners in all, as counted at the start.
	Total int64
	// Resumed reports whether it goes on from where an earlier one was cut off.
	Resumed  bool
	Finished bool
}

// Report is a drift, or how far the replay is.
type Report struct {
	Drift  *Drift
	Status *Status
}

// Store is what a replay reads and writes. Errors are *errs.Error.
type Store interface {
	// Heads returns at most limit heads after a learner, by id.
	Heads(ctx context.Context, after string, limit int) ([]progress.Head, error)
	// CountHeads returns how many learners have a head.
	CountHeads(ctx context.Context) (int64, error)
	// Snapshot runs fn on what is stored of the learners from one to another, both included, at one
	// moment. It may run fn again.
	Snapshot(ctx context.Context, from, to string, fn func(context.Context, progress.Snapshot) error) error
	// Commit runs fn in one write transaction with the heads of the learners locked. It may run fn
	// again after a conflict; nothing of a failed run stays.
	Commit(ctx context.Context, learnerIDs []string, fn func(context.Context, progress.Tx) error) error
	// LeaseRebuild returns the rebuild, leased to owner until a time; or as it is, with another
	// owner, while another's lease holds at now.
	LeaseRebuild(ctx context.Context, owner string, now, until time.Time) (progress.Rebuild, error)
	// FreeRebuild ends the lease of an owner.
	FreeRebuild(ctx context.Context, owner string) error
	// SaveRebuild stores the rebuild. It returns Aborted when its owner holds the lease no more.
	SaveRebuild(ctx context.Context, rebuild progress.Rebuild) error
}

// Catalog is the catalog as far as it is known here.
type Catalog interface {
	// Current returns the newest known snapshot; of revision 0 while there never was one.
	Current() *progress.Catalog
	// Stored returns a snapshot of at least a revision that the store holds. It returns Unavailable
	// when that cannot be had.
	Stored(ctx context.Context, revision int64) (*progress.Catalog, error)
}

// Options is what a ReplayService needs beside its store.
type Options struct {
	Catalog Catalog
	// Alone reports whether no other process has the store open: a lease that an earlier one left is void.
	Alone  bool
	Now    func() time.Time
	Logger *slog.Logger
}

// Service replays logs.
type Service struct {
	store   Store
	catalog Catalog
	alone   bool
	now     func() time.Time
	log     *slog.Logger

	// rebuilding is the rebuild of all learners that runs here, or nil.
	rebuilding atomic.Pointer[progress.Rebuild]
}

// New returns a ReplayService.
func New(store Store, o Options) *Service {
	return &Service{store: store, catalog: o.Catalog, alone: o.Alone, now: o.Now, log: o.Logger}
}

// replayer is one replay.
type replayer struct {
	*Service

	opts   Request
	report func(Report) error
	status Status
	// place is the rebuild's row; nil where there is nothing to go on with.
	place *progress.Rebuild
}

// Run folds logs again, reports where what is stored differs, and stores what the log gives if it
// is to write. It calls report about once a second with how far it is, and in the end with that it is
// finished; an error of report ends the replay. It returns FailedPrecondition REBUILD_RUNNING while another rebuild of
// all learners runs, and Unavailable where there never was a catalog to fold by.
func (s *Service) Run(ctx context.Context, opts Request, report func(Report) error) error {
	if s.catalog.Current().Revision == 0 {
		return errs.New(errs.Unavailable, errs.ReasonCatalogBehind, "there never was a catalog to fold logs by; try again when the catalog can be reached")
	}
	r := &replayer{Service: s, opts: opts, report: report}
	switch {
	case opts.LearnerID != "":
		return r.one(ctx)
	case opts.Write:
		return r.rebuild(ctx)
	default:
		return r.all(ctx)
	}
}

// one replays a single learner. Progress knows no learners: an unknown one has an empty log.
func (r *replayer) one(ctx context.Context) error {
	r.status.Total = 1
	c := &chunk{from: r.opts.LearnerID, to: r.opts.LearnerID, learners: 1}
	if err := r.do(ctx, c, newReplaying()); err != nil {
		return err
	}
	if err := r.done(c); err != nil {
		return err
	}
	return r.finish(ctx)
}

// rebuild is all with a lease, and a place to go on from.
func (r *replayer) rebuild(ctx context.Context) error {
	now := r.now().UTC().Truncate(time.Microsecond)
	if !r.rebuilding.CompareAndSwap(nil, &progress.Rebuild{StartedAt: now, ActorID: r.opts.ActorID}) {
		return rebuildRunning(r.rebuilding.Load())
	}
	defer r.rebuilding.Store(nil)
	owner := uuid.NewString()
	place, err := r.store.LeaseRebuild(ctx, owner, now, now.Add(rebuildLease))
	if err == nil && place.Owner != owner && r.alone {
		// Its owner has ended: no other process has the store, and nothing else runs here.
		if err = r.store.FreeRebuild(ctx, place.Owner); err == nil {
			place, err = r.store.LeaseRebuild(ctx, owner, now, now.Add(rebuildLease))
		}
	}
	if err != nil {
		return err
	}
	if place.Owner != owner {
		return rebuildRunning(&place)
	}
	if place.StartedAt.IsZero() || r.opts.Restart {
		place = progress.Rebuild{StartedAt: now, ActorID: r.opts.ActorID, Owner: owner}
	} else {
		r.status = Status{Done: place.Done, Total: place.Total, Entries: place.Entries, Drifted: place.Drifted, Resumed: true}
	}
	r.place = &place
	defer r.release(ctx)
	return r.all(ctx)
}

func rebuildRunning(by *progress.Rebuild) error {
	who := "another one"
	if by != nil { // it may have ended this moment
		who = fmt.Sprintf("that of %s, begun at %s", by.ActorID, by.StartedAt.Format(time.RFC3339))
	}
	return errs.New(errs.FailedPrecondition, errs.ReasonRebuildRunning, "a rebuild runs already, %s; one at a time", who)
}

// release lets another rebuild go on at once, however this one ended.
func (r *replayer) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := r.save(ctx, time.Time{}); err != nil {
		r.log.WarnContext(ctx, "the place of a rebuild could not be stored; it goes on from an earlier one", "error", err)
	}
}

// save stores the place, and the lease until a time.
func (r *replayer) save(ctx context.Context, lease time.Time) error {
	if r.place == nil {
		return nil
	}
	k := r.place
	k.Done, k.Total, k.Entries, k.Drifted, k.LeaseUntil = r.status.Done, r.status.Total, r.status.Entries, r.status.Drifted, lease
	if r.status.Finished {
		*k = progress.Rebuild{Owner: k.Owner}
	}
	return r.store.SaveRebuild(ctx, *k)
}

// chunk is some learners whose ids follow each other, and what was found of them.
type chunk struct {
	number   int
	from, to string
	learners int64

	entries int64
	// found are the learners with something to report or to write, by id.
	found []*repair
	err   error
}

// all replays every learner from the stored place on.
func (r *replayer) all(ctx context.Context) error {
	if r.status.Total == 0 {
		total, err := r.store.CountHeads(ctx)
		if err != nil {
			return err
		}
		r.status.Total = total
	}
	ctx, cancel := context.WithCancel(ctx)
	planned, done, room := make(chan *chunk), make(chan *chunk), make(chan struct{}, replayAhead)
	var working sync.WaitGroup
	working.Go(func() {
		defer close(planned)
		if err := r.plan(ctx, planned, room); err != nil {
			done <- &chunk{err: err}
		}
	})
	for range replayWorkers {
		working.Go(func() { r.work(ctx, planned, done) })
	}
	go func() {
		defer close(done)
		working.Wait()
	}()
	defer func() { // no worker goes on when this returns
		cancel()
		for range done { // what comes late is done again
		}
	}()
	if err := r.collect(ctx, done, room); err != nil {
		return err
	}
	return r.finish(ctx)
}

// plan cuts the learners into chunks.
func (r *replayer) plan(ctx context.Context, planned chan<- *chunk, room chan<- struct{}) error {
	after := ""
	if r.place != nil {
		after = r.place.Cursor
	}
	for number := 0; ; {
		heads, err := r.store.Heads(ctx, after, chunkLearners)
		if err != nil || len(heads) == 0 {
			return err
		}
		c, entries := &chunk{number: number, from: heads[0].LearnerID}, int64(0)
		for _, h := range heads {
			c.to, c.learners = h.LearnerID, c.learners+1
			if entries += h.Sequence; entries >= chunkEntries {
				break
			}
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		select {
		case planned <- c:
		case <-ctx.Done():
			return nil
		}
		number, after = number+1, c.to
	}
}

func (r *replayer) work(ctx context.Context, planned <-chan *chunk, done chan<- *chunk) {
	p := newReplaying()
	for c := range planned {
		c.err = r.do(ctx, c, p)
		done <- c
	}
}

// collect takes the chunks in order, reports what they found, and stores the place.
func (r *replayer) collect(ctx context.Context, done <-chan *chunk, room <-chan struct{}) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	if err := r.savePlace(ctx); err != nil {
		return err
	}
	waiting, next := map[int]*chunk{}, 0
	for {
		select {
		case c, open := <-done:
			switch {
			case ctx.Err() != nil:
				return errs.Wrap(ctx.Err(), errs.Canceled, errs.ReasonCancelled, "the replay was called off")
			case !open:
				return nil
			case c.err != nil:
				return c.err
			}
			for waiting[c.number] = c; waiting[next] != nil; next++ {
				if err := r.done(waiting[next]); err != nil {
					return err
				}
				delete(waiting, next)
				<-room
			}
		case <-tick.C:
			if err := r.savePlace(ctx); err != nil {
				return err
			}
		}
	}
}

// done counts a chunk as done, and reports what was found in it.
func (r *replayer) done(c *chunk) error {
	for _, m := range c.found {
		for i := range m.drifts {
			if err := r.report(Report{Drift: &m.drifts[i]}); err != nil {
				return err
			}
		}
		if len(m.drifts) > 0 {
			r.status.Drifted++
		}
	}
	r.status.Done += c.learners
	r.status.Entries += c.entries
	if r.place != nil {
		r.place.Cursor = c.to
	}
	return nil
}

// savePlace stores the place, and reports how far the replay is.
func (r *replayer) savePlace(ctx context.Context) error {
	if err := r.save(ctx, r.now().UTC().Add(rebuildLease)); err != nil {
		return err
	}
	status := r.status
	return r.report(Report{Status: &status})
}

func (r *replayer) finish(ctx context.Context) error {
	r.status.Finished = true
	if err := r.save(ctx, time.Time{}); err != nil {
		return err
	}
	status := r.status
	return r.report(Report{Status: &status})
}

// do replays a chunk. A panic is an error of the chunk's: one learner's log must not end the server.
func (r *replayer) do(ctx context.Context, c *chunk, p *replaying) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			r.log.ErrorContext(ctx, "panic in a replay", "panic", cause, "stack", string(debug.Stack()), "from", c.from, "to", c.to)
			err = errs.New(errs.Internal, errs.ReasonInternal, "panic in a replay: %v", cause)
		}
	}()
	if c.found, c.entries, err = r.look(ctx, p, c.from, c.to); err != nil || !r.opts.Write {
		return err
	}
	return r.repair(ctx, c, p)
}

// look compares the learners of a range with their logs at one moment.
func (r *replayer) look(ctx context.Context, p *replaying, from, to string) (found []*repair, entries int64, err error) {
	err = r.store.Snapshot(ctx, from, to, func(ctx context.Context, snapshot progress.Snapshot) error {
		found, entries, err = r.compareAll(ctx, p, snapshot)
		return err
	})
	return found, entries, err
}

// compareAll compares every learner of a snapshot with their log, and returns a repair for those where something differs.
func (r *replayer) compareAll(ctx context.Context, p *replaying, snapshot progress.Snapshot) (found []*repair, entries int64, err error) {
	revision, err := snapshot.Revision(ctx)
	if err != nil {
		return nil, 0, err
	}
	catalog, err := r.catalog.Stored(ctx, revision) // folding by an older one would undo what was folded by a newer one
	if err != nil {
		return nil, 0, err
	}
	byID, ids, err := readStored(ctx, snapshot)
	if err != nil {
		return nil, 0, err
	}
	now := r.now()
	finish := func(id string) error {
		s := byID[id]
		if s == nil {
			return nil
		}
		delete(byID, id)
		m, err := p.compare(catalog, s, now)
		if err == nil && (len(m.drifts) > 0 || !m.empty()) {
			found = append(found, m)
		}
		return err
	}
	p.reset()
	current := ""
	err = snapshot.Entries(ctx, func(rec *progress.Record) error {
		if rec.LearnerID != current {
			err := finish(current)
			if err != nil {
				return err
			}
			p.reset()
			current = rec.LearnerID
		}
		entries++
		p.add(rec)
		return nil
	})
	if err == nil {
		err = finish(current)
	}
	p.reset()
	for _, id := range ids { // those whose log is empty
		if err == nil {
			err = finish(id)
		}
	}
	slices.SortFunc(found, func(a, b *repair) int { return cmp.Compare(a.head.LearnerID, b.head.LearnerID) })
	return found, entries, err
}

// readStored reads all but the logs, by learner.
func readStored(ctx context.Context, snapshot progress.Snapshot) (byID map[string]*stored, ids []string, err error) {
	heads, err := snapshot.Heads(ctx)
	if err != nil {
		return nil, nil, err
	}
	byID = make(map[string]*stored, len(heads))
	for _, h := range heads {
		byID[h.LearnerID] = newStored(h)
		ids = append(ids, h.LearnerID)
	}
	err = snapshot.Facts(ctx, func(f progress.StoredFacts) {
		if s := byID[f.LearnerID]; s != nil {
			s.facts[f.ModuleID] = f
		}
	})
	if err != nil {
		return nil, nil, err
	}
	enrollments, err := snapshot.Enrollments(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range enrollments {
		if s := byID[e.LearnerID]; s != nil {
			s.enrollments[e.ID] = e
		}
	}
	awards, err := snapshot.Awards(ctx)
	for _, a := range awards {
		if s := byID[a.LearnerID]; s != nil {
			s.awards[a.ID] = a
		}
	}
	return byID, ids, err
}

// repair writes what the chunk found. Learners whose head moved meanwhile are looked at again; those
// who never rest, in the end, with their head locked.
func (r *replayer) repair(ctx context.Context, c *chunk, p *replaying) error {
	todo := slices.Clone(c.found)
	for try := 1; len(todo) > 0; try++ {
		moved, err := r.write(ctx, todo)
		if err != nil {
			return err
		}
		todo = nil
		for _, id := range moved {
			var again []*repair
			if try < repairTries {
				again, _, err = r.look(ctx, p, id, id)
				todo = append(todo, again...)
			} else {
				again, err = r.repairLocked(ctx, p, id)
			}
			if err != nil {
				return err
			}
			i := slices.IndexFunc(c.found, func(m *repair) bool { return m.head.LearnerID == id })
			c.found = slices.Replace(c.found, i, i+1, again...)
		}
	}
	return nil
}

// write writes what was found in small transactions, and returns the learners who moved meanwhile.
func (r *replayer) write(ctx context.Context, found []*repair) (moved []string, err error) {
	for len(found) > 0 {
		n, rows := 0, 0
		for n < len(found) && (n == 0 || rows < repairRows) {
			rows += len(found[n].facts) + 1
			n++
		}
		part := found[:n]
		found = found[n:]
		var ids, late []string
		for _, m := range part {
			if !m.empty() {
				ids = append(ids, m.head.LearnerID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		now := r.now().UTC().Truncate(time.Microsecond)
		err := r.store.Commit(ctx, ids, func(ctx context.Context, tx progress.Tx) error {
			late = nil
			var still []*repair
			for _, m := range part {
				switch {
				case m.empty():
				case !sameHead(*tx.Head(m.head.LearnerID), m.head):
					late = append(late, m.head.LearnerID)
				default:
					still = append(still, m)
				}
			}
			return putAll(ctx, tx, still, now)
		})
		if err != nil {
			return nil, err
		}
		moved = append(moved, late...)
	}
	return moved, nil
}

// sameHead reports whether nothing was written of a learner between two looks. A snapshot does not say on
// which line of history it is, a commit does.
func sameHead(a, b progress.Head) bool {
	a.Timeline = b.Timeline
	return a == b
}

// repairLocked looks at one learner and writes what differs in one transaction.
func (r *replayer) repairLocked(ctx context.Context, p *replaying, learnerID string) (found []*repair, err error) {
	err = r.store.Commit(ctx, []string{learnerID}, func(ctx context.Context, tx progress.Tx) error {
		if found, _, err = r.compareAll(ctx, p, tx.Snapshot(learnerID)); err != nil {
			return err
		}
		now := r.now().UTC().Truncate(time.Microsecond)
		return putAll(ctx, tx, slices.DeleteFunc(slices.Clone(found), (*repair).empty), now)
	})
	return found, err
}

// putAll writes the repairs of learners whose heads are locked, and raises their versions.
func putAll(ctx context.Context, tx progress.Tx, repairs []*repair, now time.Time) error {
	facts := map[progress.FactsKey]*progress.Facts{}
	var gone []progress.FactsKey
	var enrollments []progress.Enrollment
	var awards []progress.Award
	for _, m := range repairs {
		tx.Head(m.head.LearnerID).Version++
		for id, f := range m.facts {
			if key := (progress.FactsKey{LearnerID: m.head.LearnerID, ModuleID: id}); f != nil {
				facts[key] = f
			} else {
				gone = append(gone, key)
			}
		}
		enrollments, awards = append(enrollments, m.enrollments...), append(awards, m.awards...)
		if m.older {
			if err := m.renew(ctx, tx, now); err != nil {
				return err
			}
			enrollments = append(enrollments, m.fallen...)
		}
	}
	if len(facts) > 0 {
		if err := tx.PutFacts(ctx, facts); err != nil {
			return err
		}
	}
	if len(enrollments) > 0 {
		if err := tx.PutEnrollments(ctx, enrollments); err != nil {
			return err
		}
	}
	if len(awards) > 0 {
		if err := tx.PutAwards(ctx, awards); err != nil {
			return err
		}
	}
	return tx.DropFacts(ctx, gone)
}

// renew brings a learner to these rules: the log says which percents fell.
func (m *repair) renew(ctx context.Context, tx progress.Tx, now time.Time) error {
	head := tx.Head(m.head.LearnerID)
	head.Rules = progress.RulesVersion
	records := make([]progress.Record, 0, len(m.fallen))
	for _, e := range m.fallen {
		head.Sequence++
		records = append(records, progress.Record{
			LearnerID: head.LearnerID, Sequence: head.Sequence, Type: progress.RecordEnrollmentChanged, ReceivedAt: now, EffectiveAt: now,
			Zone: head.TimeZone, ActorID: progress.SystemActor, Reason: e.PercentChange.Text(),
			Effects: &progress.Effects{Enrollments: []progress.Enrollment{e}},
		})
	}
	if len(records) == 0 {
		return nil
	}
	return tx.Append(ctx, records)
}
