package grpcapi

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

const (
	// importsAtOnce is how many imports run at once, each of which takes up to three times the
	// size of its files in memory.
	importsAtOnce = 2
	// importRetry is how long the caller of one that is refused should wait.
	importRetry = 5 * time.Second
)

// importQueue lets a few imports run, and others wait whose files have together no more than
// catalog.MaxImport bytes.
type importQueue struct {
	running chan struct{}
	waiting atomic.Int64
}

func newImportQueue() *importQueue { return &importQueue{running: make(chan struct{}, importsAtOnce)} }

// enter returns when an import of that size may run, and what its end calls. It returns
// ResourceExhausted QUEUE_FULL when too much waits already, and the context's error.
func (q *importQueue) enter(ctx context.Context, size int) (leave func(), err error) {
	leave = func() { <-q.running }
	select {
	case q.running <- struct{}{}:
		return leave, nil
	default:
	}
	defer q.waiting.Add(-int64(size))
	if q.waiting.Add(int64(size)) > catalog.MaxImport {
		full := errs.New(errs.ResourceExhausted, errs.ReasonQueueFull, "other imports run, and more wait for their turn; try again")
		full.RetryAfter = importRetry
		return nil, full
	}
	select {
	case q.running <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
