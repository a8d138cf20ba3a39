// Package evaluator looks at all learners with the rules of cohorts that are new or have changed. One process at a
// time does; one that takes over goes on from the last page that was stored.
package evaluator

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

const (
	// lookEvery is how often an evaluator looks for rules that no call has notified it of: those that another
	// process has stored, or left.
	lookEvery = 2 * time.Second
	// leaseTime is how long a process may take over a page before another one takes over.
	leaseTime = 30 * time.Second
)

// Cohorts are what is evaluated.
type Cohorts interface {
	// Evaluating returns the ids of the cohorts that are to be evaluated.
	Evaluating(ctx context.Context) ([]string, error)
	// Evaluate looks with the rule of a cohort at the next page of learners, and reports whether others follow.
	Evaluate(ctx context.Context, cohortID string) (more bool, err error)
}

// Lease lets one process at a time evaluate.
type Lease interface {
	// LeaseEvaluation reports whether owner may evaluate until a time: no other's lease holds at now.
	LeaseEvaluation(ctx context.Context, owner string, now, until time.Time) (bool, error)
	// FreeEvaluation ends the lease of an owner, if it is theirs.
	FreeEvaluation(ctx context.Context, owner string) error
}

// Evaluator evaluates rules until Close.
type Evaluator struct {
	cohorts Cohorts
	lease   Lease
	now     func() time.Time
	log     *slog.Logger
	owner   string
	changed chan struct{}
	stop    context.CancelFunc
	stopped chan struct{}
}

// Options are what an Evaluator needs.
type Options struct {
	Cohorts Cohorts
	Lease   Lease
	Now     func() time.Time
	Logger  *slog.Logger
	// Changed has a value whenever a rule has changed in this process.
	Changed chan struct{}
}

// Start begins to evaluate.
func Start(ctx context.Context, o Options) *Evaluator {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	e := &Evaluator{
		cohorts: o.Cohorts, lease: o.Lease, now: o.Now, log: o.Logger, owner: uuid.NewString(), changed: o.Changed,
		stop: stop, stopped: make(chan struct{}),
	}
	go func() {
		defer close(e.stopped)
		e.run(run)
	}()
	return e
}

// Close ends what is being evaluated; it goes on elsewhere, or at the next start.
func (e *Evaluator) Close() {
	e.stop()
	<-e.stopped
}

func (e *Evaluator) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for sound := true; ; {
		err := e.evaluate(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && sound {
			e.log.WarnContext(ctx, "the evaluation of a cohort's rule stopped; it goes on from there", "error", err)
		}
		sound = err == nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-e.changed:
		}
	}
}

// evaluate evaluates all that is to be evaluated, unless another process does.
func (e *Evaluator) evaluate(ctx context.Context) error {
	ids, err := e.cohorts.Evaluating(ctx)
	if err != nil || len(ids) == 0 {
		return err
	}
	mine, err := e.hold(ctx)
	if err != nil || !mine {
		return err
	}
	defer func() {
		_ = e.lease.FreeEvaluation(context.WithoutCancel(ctx), e.owner) // else it ends by itself
	}()
	for _, id := range ids {
		for more := true; more && mine; {
			if more, err = e.cohorts.Evaluate(ctx, id); err != nil {
				return err
			}
			if mine, err = e.hold(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Evaluator) hold(ctx context.Context) (bool, error) {
	now := e.now().UTC()
	return e.lease.LeaseEvaluation(ctx, e.owner, now, now.Add(leaseTime))
}
