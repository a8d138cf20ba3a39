package engine

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// commitTimeout bounds a transaction. It is the committer's own: a caller that hangs
// up does not fail the others in the batch.
const commitTimeout = 5 * time.Second

// lockedTry is committerConfig.lockedTry where the options say nothing.
const lockedTry = 4

// work is what a caller wants done to one learner's log.
type work interface {
	// run does the work as a part of a batch. A batch may be run again: each run makes the result of
	// the work anew. It returns why the work is refused, which concerns its caller alone, or a fault,
	// for which the whole transaction fails.
	run(ctx context.Context, b *batch, learnerID string) (refused, fault error)
	// judged returns the events that the work stores, for which a batch reads ahead; nil for none.
	judged() []*progress.Judged
}

// job is work in the queue.
type job struct {
	learnerID string
	work      work

	// sequence is the learner's last one after the work, timeline the line of history that it is on, err why
	// the work was refused or failed. These, and the
	// result of the work, may be read by a caller that has waited to the end, and by no other.
	sequence int64
	timeline string
	err      error

	// caller is the context of the caller, for its values alone: the first one's trace is
	// where a batch's statements belong. queued is when it was submitted.
	caller context.Context //nolint:containedctx // a job is a call in a queue
	queued time.Time

	done chan struct{}
}

// change is work that makes a T of a learner, other than storing events.
type change[T any] struct {
	apply  func(ctx context.Context, b *batch) (T, error)
	result T
}

func (c *change[T]) run(ctx context.Context, b *batch, _ string) (refused, fault error) {
	var err error
	c.result, err = c.apply(ctx, b)
	if kind := errs.KindOf(err); err != nil && (kind == errs.Internal || kind == errs.Unavailable) {
		return nil, err
	}
	return err, nil
}

func (*change[T]) judged() []*progress.Judged { return nil }

// do queues a change of a learner, and waits until it is committed or the caller gives up.
func do[T any](ctx context.Context, c *committer, learnerID string, apply func(context.Context, *batch) (T, error)) (T, error) {
	w := &change[T]{apply: apply}
	j := &job{learnerID: learnerID, work: w}
	err := c.submit(ctx, j)
	if err == nil {
		err = j.wait(ctx)
	}
	if err != nil {
		var none T
		return none, err // a caller that gave up must not read what the committer may still write
	}
	return w.result, nil
}

// Commit describes one transaction of the committer.
type Commit struct {
	// Jobs and Events are what it wrote.
	Jobs, Events int
	// Waited is how long its first job was queued, Took how long it ran.
	Waited, Took time.Duration
	// Failed reports whether nothing of it was written, or that this is not known.
	Failed bool
}

// committer groups what callers write into few transactions, since what a durable write costs
// is mostly the commit. There is no timer: a batch is what queued while the last one was
// written.
type committer struct {
	committerConfig

	queue   *queue
	wg      sync.WaitGroup
	retries retries
}

// committerConfig is what a committer needs.
type committerConfig struct {
	store   LearnerStore
	memory  *memory
	catalog *CatalogFollower
	now     func() time.Time
	log     *slog.Logger
	// committed is called after each commit, with the ends of its learners' logs and the entries that it wrote.
	committed func(ends map[string]logEnd, entries []progress.Record)
	// observe is called with each transaction; it may be nil.
	observe func(Commit)
	// lockedTry is the attempt at which the heads are locked, so that nobody else's writes come between:
	// each one before fails when another process has written of the same learners.
	lockedTry int
}

// newCommitter starts a committer that writes so many transactions at a time: 1 for SQLite, which has one
// writer.
func newCommitter(lanes int, config committerConfig) *committer {
	c := &committer{committerConfig: config, queue: newQueue()}
	for range max(lanes, 1) {
		c.wg.Go(c.run)
	}
	return c
}

// Close takes no more work, and returns when all that was taken is written.
func (c *committer) Close() {
	c.queue.close()
	c.wg.Wait()
}

// submit queues a job; errors are those of queue.put.
func (c *committer) submit(ctx context.Context, j *job) error {
	j.done, j.caller, j.queued = make(chan struct{}), ctx, c.now()
	return c.queue.put(j)
}

func (j *job) wait(ctx context.Context) error {
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.DeadlineExceeded, errs.ReasonOutcomeUnknown, "timed out waiting; the write may still happen, so send it again")
	}
}

func (c *committer) run() {
	for jobs := c.queue.take(); jobs != nil; jobs = c.queue.take() {
		c.commit(jobs)
		c.queue.finish(jobs)
		// Callers who could run, had they a processor, queue first: what comes together costs less, and who
		// finds a processor free waits for nobody.
		runtime.Gosched()
	}
}

// commit writes the jobs, in one transaction where all goes well.
func (c *committer) commit(jobs []*job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(jobs[0].caller), commitTimeout)
	defer cancel()
	c.write(ctx, jobs, attempt{number: 1})
}

// attempt is how jobs are written.
type attempt struct {
	// number is 1 for the first one.
	number int
	// look has the log asked for all events, since one that is not remembered may be in it.
	look bool
	// unsure is set where an earlier attempt may have been written.
	unsure bool
}

// write writes the jobs in one transaction. Where some of them rest on what is no longer so, those are
// written by themselves, after the others; when it fails for a reason of the jobs themselves,
// each is written alone, so that one failing job does not fail the others.
func (c *committer) write(ctx context.Context, jobs []*job, a attempt) {
	begun := c.now()
	set, err := c.try(ctx, jobs, a)
	stale, isStale := errors.AsType[*progress.StaleError](err)
	switch {
	case err == nil:
		c.report(jobs, begun, nil)
		c.announce(jobs, set.Records)
	case isStale && ctx.Err() == nil:
		c.overtaken(ctx, jobs, a, stale)
	case isStale:
		c.report(jobs, begun, err)
		fail(jobs, errs.New(errs.Unavailable, errs.ReasonDatabaseBusy, "others write of the same learners; send it again"))
	case errs.ReasonOf(err) == errs.ReasonCommitOutcomeUnknown && (!a.unsure || a.number < c.lockedTry):
		// Written or not: running it again finds out, since every job finds its own traces.
		c.memory.forget(learnersOf(jobs))
		c.write(ctx, jobs, attempt{number: a.number + 1, look: true, unsure: true})
	case len(jobs) > 1 && errs.KindOf(err) != errs.Unavailable && errs.KindOf(err) != errs.DeadlineExceeded:
		c.report(jobs, begun, err)
		c.log.WarnContext(ctx, "commit failed; running its jobs one by one", "jobs", len(jobs), "error", err)
		for _, j := range jobs {
			c.write(ctx, []*job{j}, attempt{number: 1, look: a.look, unsure: a.unsure})
		}
	default:
		c.report(jobs, begun, err)
		fail(jobs, err)
	}
}

func fail(jobs []*job, err error) {
	for _, j := range jobs {
		j.err = err
	}
}

// overtaken writes jobs of which nothing was written because something is not as was believed.
func (c *committer) overtaken(ctx context.Context, jobs []*job, a attempt, stale *progress.StaleError) {
	again := a
	again.number++
	switch {
	case stale.Catalog > 0:
		c.retries.catalog.Add(1)
		// Fetched between transactions, for it would hold up all that waits for these learners.
		if _, err := c.catalog.Stored(ctx, stale.Catalog); err != nil {
			c.report(jobs, c.now(), err)
			fail(jobs, err)
			return
		}
		c.write(ctx, jobs, a)
	case stale.Events:
		c.retries.events.Add(1)
		again.look = true
		c.write(ctx, jobs, again)
	default:
		c.retries.learners.Add(1)
		c.memory.forget(stale.Learners)
		again.look = true // what came between may be the same events, sent to another process
		moved, rest := partition(jobs, func(j *job) bool { return slices.Contains(stale.Learners, j.learnerID) })
		if len(rest) > 0 {
			c.write(ctx, rest, a)
		}
		c.write(ctx, moved, again)
	}
}

// partition returns the jobs of which is holds, and the others.
func partition(jobs []*job, is func(*job) bool) (yes, no []*job) {
	for _, j := range jobs {
		if is(j) {
			yes = append(yes, j)
		} else {
			no = append(no, j)
		}
	}
	return yes, no
}

// learnersOf returns the learners of jobs, each once, in order.
func learnersOf(jobs []*job) []string {
	ids := make([]string, 0, len(jobs))
	for _, j := range jobs {
		ids = append(ids, j.learnerID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// report passes a transaction to the observer.
func (c *committer) report(jobs []*job, begun time.Time, err error) {
	if c.observe == nil {
		return
	}
	commit := Commit{Jobs: len(jobs), Waited: begun.Sub(jobs[0].queued), Took: c.now().Sub(begun), Failed: err != nil}
	for _, j := range jobs {
		commit.Events += len(j.work.judged())
	}
	c.observe(commit)
}

// try runs the jobs, and writes what they give, behind the fence or with their heads locked. A panic is an
// error of the jobs: the lane must live on, or one learner's log could stop those of all.
func (c *committer) try(ctx context.Context, jobs []*job, a attempt) (set *progress.WriteSet, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.ErrorContext(ctx, "panic in a commit", "panic", p, "stack", string(debug.Stack()))
			err = errs.New(errs.Internal, errs.ReasonInternal, "panic in a commit: %v", p)
		}
	}()
	var b *batch
	if a.number < c.lockedTry {
		if b, err = c.prepare(ctx, c.store, jobs, a); err != nil {
			return nil, err
		}
		set = b.set()
		err = c.store.Write(ctx, set)
	} else {
		err = c.store.Commit(ctx, learnersOf(jobs), func(ctx context.Context, tx progress.Tx) (err error) {
			if b, err = c.prepare(ctx, tx, jobs, a); err != nil {
				return err
			}
			set = b.set()
			return tx.Write(ctx, set)
		})
	}
	if err != nil {
		return nil, err
	}
	for id, l := range b.lessons(set) {
		c.memory.learn(b.base[id], l)
	}
	return set, nil
}

// prepare runs the jobs on what is believed of their learners. Where that turns out to be too little, the
// rest is read for all that lack it together, and the jobs are run again.
func (c *committer) prepare(ctx context.Context, from progress.Reader, jobs []*job, a attempt) (*batch, error) {
	base, err := c.recall(ctx, from, jobs, a.number >= c.lockedTry)
	if err != nil {
		return nil, err
	}
	var known map[progress.EventKey]progress.KnownEvent
	for {
		b := newBatch(from, c.catalog.Current(), c.now().UTC().Truncate(time.Microsecond), base)
		b.unsure = a.unsure
		maps.Copy(b.known, known)
		b.expect(jobs)
		if a.look && known == nil {
			if err := b.findAll(ctx, eventsOf(jobs)); err != nil {
				return nil, err
			}
			known = maps.Clone(b.known)
		}
		err := b.runAll(ctx, jobs)
		if len(b.missing) == 0 {
			return b, err
		}
		if err := complete(ctx, from, base, b.missing); err != nil {
			return nil, err
		}
	}
}

// recall returns what is remembered of the learners of the jobs, and reads what is not: the heads first, so
// that nothing else is older than them. afresh reads all of it.
func (c *committer) recall(ctx context.Context, from progress.Reader, jobs []*job, afresh bool) (map[string]*recalled, error) {
	ids := learnersOf(jobs)
	base := make(map[string]*recalled, len(ids))
	var unknown []string
	for _, id := range ids {
		if !afresh {
			base[id] = c.memory.get(id)
		}
		if base[id] == nil {
			unknown = append(unknown, id)
		}
	}
	if len(unknown) > 0 {
		heads, err := from.HeadsOf(ctx, unknown)
		if err != nil {
			return nil, err
		}
		for _, id := range unknown {
			if h, ok := heads[id]; ok {
				base[id] = &recalled{head: h}
			} else {
				base[id] = nil
			}
		}
	}
	return base, readFacts(ctx, from, jobs, base)
}

// readFacts reads the facts that the jobs' events will be folded into, where they are not remembered.
func readFacts(ctx context.Context, from progress.Reader, jobs []*job, base map[string]*recalled) error {
	asked := map[progress.FactsKey]bool{}
	var keys []progress.FactsKey
	for _, j := range jobs {
		r := base[j.learnerID]
		if r == nil || r.whole {
			continue
		}
		for _, e := range j.work.judged() {
			key, folds := foldedInto(e)
			if _, has := r.facts[key.ModuleID]; folds && !has && !asked[key] {
				asked[key] = true
				keys = append(keys, key)
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	read, err := from.Facts(ctx, keys)
	if err != nil {
		return err
	}
	own := map[string]bool{}
	for _, key := range keys {
		if !own[key.LearnerID] { // what is remembered stays as it is until all is written
			own[key.LearnerID] = true
			r := *base[key.LearnerID]
			if r.facts = maps.Clone(r.facts); r.facts == nil {
				r.facts = map[string]*progress.Facts{}
			}
			base[key.LearnerID] = &r
		}
		base[key.LearnerID].facts[key.ModuleID] = read[key]
	}
	return nil
}

// foldedInto returns the facts that an event is folded into, unless it is refused, or a void, which does not
// say itself what it is of.
func foldedInto(e *progress.Judged) (progress.FactsKey, bool) {
	r := &e.Record
	return progress.FactsKey{LearnerID: r.LearnerID, ModuleID: r.Event.ModuleID}, r.Event.Verb != progress.Voided && e.Refusal == nil
}

// eventsOf returns the events of jobs.
func eventsOf(jobs []*job) []progress.EventKey {
	var keys []progress.EventKey
	for _, j := range jobs {
		for _, e := range j.work.judged() {
			keys = append(keys, progress.EventKey{LearnerID: j.learnerID, EventID: e.Record.Event.ID})
		}
	}
	return keys
}

// complete reads learners whole, in the place of what was recalled of them.
func complete(ctx context.Context, from progress.Reader, base map[string]*recalled, missing map[string]bool) error {
	heads := make([]progress.Head, 0, len(missing))
	for id := range missing {
		heads = append(heads, base[id].head)
	}
	learners, err := from.Complete(ctx, heads)
	if err != nil {
		return err
	}
	for id, l := range learners {
		r := recalledOf(l)
		r.events = base[id].events
		base[id] = r
	}
	return nil
}

func (c *committer) announce(jobs []*job, entries []progress.Record) {
	ends := make(map[string]logEnd, len(jobs))
	for _, j := range jobs {
		if j.err == nil && j.sequence >= ends[j.learnerID].sequence {
			ends[j.learnerID] = logEnd{j.sequence, j.timeline}
		}
	}
	c.committed(ends, entries)
}
