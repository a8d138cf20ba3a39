package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// job is a kind of request, made again and again.
type job struct {
	name, address string
	connections   int
	// next makes the n-th request; nil for no more.
	next func(n int) request
	// begun gets the moment that the n-th request should begin at, before it is made; nil if nothing needs it.
	begun func(n int, at time.Time)
	// received gets each answer, whose body it must not hold; nil if nothing needs them.
	received func(n int, a answer)
}

// tally is what a run of a job found.
type tally struct {
	elapsed time.Duration
	// took is how long each answer took, sorted.
	took           []time.Duration
	sent, received int64
}

func (t *tally) requests() int { return len(t.took) }

func (t *tally) perSecond() float64 { return float64(len(t.took)) / t.elapsed.Seconds() }

// share returns the duration that this share of the answers kept to.
func (t *tally) share(p float64) time.Duration {
	return t.took[min(int(p*float64(len(t.took))), len(t.took)-1)]
}

// pace waits for the moment that the n-th request should begin at, and returns it; false when none is to begin any more.
type pace func(n int) (time.Time, bool)

// closed keeps every connection busy with one request at a time.
func (j *job) closed(ctx context.Context, length time.Duration) (tally, error) {
	end := time.Now().Add(length)
	return j.run(ctx, func(int) (time.Time, bool) {
		now := time.Now()
		return now, now.Before(end)
	})
}

// open begins requests at a constant rate, whatever becomes of those before, and counts each one's time from
// the moment that it should have begun at: an answer that delays others delays them in the figures too.
func (j *job) open(ctx context.Context, perSecond float64, length time.Duration) (tally, error) {
	began, every := time.Now(), float64(time.Second)/perSecond
	return j.run(ctx, func(n int) (time.Time, bool) {
		after := time.Duration(float64(n) * every)
		if after >= length {
			return began, false
		}
		at := began.Add(after)
		time.Sleep(time.Until(at))
		return at, true
	})
}

// run makes the requests. The first answer that is no success ends it, and fails it.
func (j *job) run(ctx context.Context, begin pace) (tally, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var out tally
	var mu sync.Mutex
	var faults []error
	var all sync.WaitGroup
	var next atomic.Int64
	began := time.Now()
	for range j.connections {
		all.Go(func() {
			took, l, err := j.talk(ctx, &next, begin)
			mu.Lock()
			defer mu.Unlock()
			out.took = append(out.took, took...)
			out.sent, out.received = out.sent+l.sent, out.received+l.received
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", j.name, err))
				stop()
			}
		})
	}
	all.Wait()
	out.elapsed = time.Since(began)
	if len(out.took) == 0 && len(faults) == 0 {
		faults = append(faults, fmt.Errorf("%s: no answers", j.name))
	}
	slices.SortFunc(out.took, cmp.Compare)
	if len(faults) > 0 { // the others were stopped by the first
		return out, faults[0]
	}
	return out, nil
}

// talk makes requests on one connection.
func (j *job) talk(ctx context.Context, next *atomic.Int64, begin pace) ([]time.Duration, *line, error) {
	l, err := dial(ctx, j.address)
	if err != nil {
		return nil, new(line), err
	}
	defer l.conn.Close()
	var took []time.Duration
	for ctx.Err() == nil {
		n := int(next.Add(1) - 1)
		at, ok := begin(n)
		if !ok {
			return took, l, nil
		}
		if j.begun != nil {
			j.begun(n, at)
		}
		r := j.next(n)
		if r == nil {
			return took, l, nil
		}
		a, err := l.ask(r)
		if err != nil {
			return took, l, err
		}
		took = append(took, time.Since(at))
		if j.received != nil {
			j.received(n, a)
		}
	}
	return took, l, ctx.Err()
}
