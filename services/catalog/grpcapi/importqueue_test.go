package grpcapi

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// TestImportQueue proves that two imports run at once, that others wait whose files are no more
// than one import's, and that what would be too much is refused at once.
func TestImportQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newImportQueue()
		leave := make([]func(), 2)
		for i := range leave {
			var err error
			if leave[i], err = q.enter(t.Context(), catalog.MaxImport); err != nil {
				t.Fatal(err)
			}
		}
		waited := make(chan error, 1)
		var third func()
		go func() {
			var err error
			third, err = q.enter(t.Context(), catalog.MaxImport-10)
			waited <- err
		}()
		synctest.Wait()
		_, err := q.enter(t.Context(), 11)
		if full, ok := errors.AsType[*errs.Error](err); !ok || full.Kind != errs.ResourceExhausted || full.Reason != errs.ReasonQueueFull || full.RetryAfter <= 0 {
			t.Errorf("a fourth: %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := q.enter(gone, 10); !errors.Is(err, context.Canceled) {
			t.Errorf("who gives up: %v", err)
		}
		leave[0]()
		if err := <-waited; err != nil {
			t.Errorf("who waits: %v", err)
		}
		leave[1]()
		third()
		if len(q.running) != 0 || q.waiting.Load() != 0 {
			t.Errorf("%d run, %d bytes wait", len(q.running), q.waiting.Load())
		}
	})
}
