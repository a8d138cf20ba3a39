package engine

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// commitTimeout bounds a transaction. It is the committer's own: a caller that hangs
// up does not fail the others in the batch.
const commitTimeout = 5 * time.Second

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

	queue *queue
	wg    sync.WaitGroup
}

// committerConfig is what a committer needs.
type committerConfig struct {
	store   LearnerStore
	catalog *CatalogFollower
	now     func() time.Time
	log     *slog.Logger
	// committed is called for each learner whose log grew, after the commit.
	committed func(learnerID string, sequence int64)
	// observe is called with each transaction; it may be nil.
	observe func(Commit)
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
	}
}

// commit writes the jobs in one transaction; when that fails for a reason of the batch itself,
// each job alone, so that one failing job does not fail the others.
func (c *committer) commit(jobs []*job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(jobs[0].caller), commitTimeout)
	defer cancel()
	begun := c.now()
	err := c.try(ctx, jobs)
	if errs.ReasonOf(err) == errs.ReasonCommitOutcomeUnknown {
		// Written or not: running it again finds out, since every job finds its own traces.
		err = c.try(ctx, jobs)
	}
	c.report(jobs, begun, err)
	switch {
	case err == nil:
		c.announce(jobs)
	case len(jobs) > 1 && errs.KindOf(err) != errs.Unavailable && errs.KindOf(err) != errs.DeadlineExceeded:
		c.log.WarnContext(ctx, "commit failed; running its jobs one by one", "jobs", len(jobs), "error", err)
		for _, j := range jobs {
			c.commit([]*job{j})
		}
	default:
		for _, j := range jobs {
			j.err = err
		}
	}
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

// try runs the jobs in one transaction, on a catalog that is no older than what other replicas
// have acted on: a learner may be in a version that this one has yet to learn of.
func (c *committer) try(ctx context.Context, jobs []*job) error {
	for {
		behind, err := c.attempt(ctx, jobs)
		if behind == 0 {
			return err
		}
		// Fetched between transactions, for it would hold up all that waits for these learners.
		if _, err := c.catalog.Stored(ctx, behind); err != nil {
			return err
		}
	}
}

// attempt is try on the catalog as it is known. It does nothing where the stored one is newer, and
// returns that one's revision. A panic is an error of the jobs: the lane must live on, or one
// learner's log could stop those of all.
func (c *committer) attempt(ctx context.Context, jobs []*job) (behind int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.ErrorContext(ctx, "panic in a commit", "panic", p, "stack", string(debug.Stack()))
			err = errs.New(errs.Internal, errs.ReasonInternal, "panic in a commit: %v", p)
		}
	}()
	seen := make(map[string]bool, len(jobs))
	ids := make([]string, 0, len(jobs))
	for _, j := range jobs {
		if !seen[j.learnerID] {
			seen[j.learnerID] = true
			ids = append(ids, j.learnerID)
		}
	}
	err = c.store.Commit(ctx, ids, func(ctx context.Context, tx progress.Tx) error {
		behind = 0
		stored, err := tx.Revision(ctx)
		if err != nil {
			return err
		}
		catalog := c.catalog.Current()
		if catalog.Revision < stored {
			behind = stored
			return errs.New(errs.Unavailable, errs.ReasonCatalogBehind, "the catalog is needed at revision %d; send it again", stored)
		}
		b := newBatch(tx, catalog, c.now().UTC().Truncate(time.Microsecond))
		if err := b.prefetch(ctx, jobs); err != nil {
			return err
		}
		for _, j := range jobs {
			if err := b.run(ctx, j); err != nil {
				return err
			}
		}
		return b.flush(ctx)
	})
	return behind, err
}

func (c *committer) announce(jobs []*job) {
	last := make(map[string]int64, len(jobs))
	for _, j := range jobs {
		if j.err == nil {
			last[j.learnerID] = max(last[j.learnerID], j.sequence)
		}
	}
	for id, sequence := range last {
		c.committed(id, sequence)
	}
}
