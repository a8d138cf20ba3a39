package grpcapi_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
)

var start = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("%v\n%s", err, strings.Join(catalogtest.Violations(err), "\n"))
	}
}
