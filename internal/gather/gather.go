// Package gather has callers who ask for the same kind of thing at the same time ask together: those who come
// while a fetch is under way are the next fetch, in one question. A fetch always starts after the calls that it
// is for, so that each sees whatever was written before it was made, as if it had asked alone.
package gather

import (
	"context"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

const (
	// fetchTimeout bounds a fetch, which must not end because the caller who began it went away.
	fetchTimeout = 10 * time.Second
	// patience is how long a caller waits for a fetch to start: one that hangs holds up nobody else for long.
	patience = 20 * time.Millisecond
)

// Fetch asks for the values of keys, each of which comes once. What there is no value of is absent.
type Fetch[K comparable, V any] func(ctx context.Context, keys []K) (map[K]V, error)

// Gatherer asks for values. It is safe for concurrent use.
type Gatherer[K comparable, V any] struct {
	fetch    Fetch[K, V]
	patience time.Duration

	mu sync.Mutex
	// running is how many fetches are under way, next the one that begins when none is.
	running int
	next    *batch[K, V]
}

// New returns a Gatherer.
func New[K comparable, V any](fetch Fetch[K, V]) *Gatherer[K, V] {
	return &Gatherer[K, V]{fetch: fetch, patience: patience}
}

// batch is one fetch.
type batch[K comparable, V any] struct {
	ctx    context.Context //nolint:containedctx // of the first caller, without its end
	keys   []K
	asked  map[K]struct{} // nil for one key
	calls  int
	turn   chan struct{} // gets one word when the fetch may begin, for any of its callers
	done   chan struct{}
	values map[K]V
	err    error
}

func (b *batch[K, V]) add(key K) {
	b.calls++
	if len(b.keys) == 0 {
		b.keys = append(b.keys, key)
		return
	}
	if b.asked == nil {
		b.asked = map[K]struct{}{b.keys[0]: {}}
	}
	if _, twice := b.asked[key]; !twice {
		b.asked[key] = struct{}{}
		b.keys = append(b.keys, key)
	}
}

// Get returns the value of a key, as it is after the call, and whether there is one. Errors are those of the fetch,
// and DeadlineExceeded when ctx ends first.
func (g *Gatherer[K, V]) Get(ctx context.Context, key K) (value V, ok bool, err error) {
	b, mine := g.join(ctx, key)
	if mine {
		g.run(b) //nolint:contextcheck // it has the first caller's
	} else if err := g.wait(ctx, b); err != nil {
		return value, false, err
	}
	value, ok = b.values[key]
	return value, ok, b.err
}

// join adds a key to the next fetch, and reports whether the caller is to run it.
func (g *Gatherer[K, V]) join(ctx context.Context, key K) (b *batch[K, V], mine bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = &batch[K, V]{ctx: context.WithoutCancel(ctx), turn: make(chan struct{}, 1), done: make(chan struct{})}
	}
	b = g.next
	b.add(key)
	return b, g.running == 0 && g.begin(b)
}

// begin notes that a fetch is under way, unless it is already. Its lock is held.
func (g *Gatherer[K, V]) begin(b *batch[K, V]) bool {
	if g.next != b {
		return false
	}
	g.next = nil
	g.running++
	return true
}

func (g *Gatherer[K, V]) wait(ctx context.Context, b *batch[K, V]) error {
	late := time.NewTimer(g.patience)
	defer late.Stop()
	for {
		select {
		case <-b.done:
			return nil
		case <-ctx.Done():
			return errs.Wrap(ctx.Err(), errs.DeadlineExceeded, errs.ReasonDeadlineExceeded, "timed out waiting for the database")
		case <-b.turn:
		case <-late.C:
		}
		g.mu.Lock()
		mine := g.begin(b)
		g.mu.Unlock()
		if mine {
			g.run(b) //nolint:contextcheck // it has the first caller's
		}
	}
}

// run fetches, and then has one who waits for the next fetch begin it.
func (g *Gatherer[K, V]) run(b *batch[K, V]) {
	defer func() {
		close(b.done)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.running--
		if g.next != nil && g.running == 0 {
			select {
			case g.next.turn <- struct{}{}:
			default: // it was told already
			}
		}
	}()
	ctx, cancel := context.WithTimeout(b.ctx, fetchTimeout)
	defer cancel()
	b.err = errs.New(errs.Internal, errs.ReasonInternal, "asking the database did not finish") // where fetch panics
	b.values, b.err = g.fetch(ctx, b.keys)
}
