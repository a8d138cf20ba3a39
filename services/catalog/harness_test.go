package catalog_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
	"github.com/preceptor-dev/preceptor/services/catalog/document"
	"github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
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

func (c *clock) addHour() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(time.Hour)
}

// newService returns a service on an empty SQLite store, and its clock.
func newService(tb testing.TB) (*catalog.Service, *clock) {
	tb.Helper()
	db := sqldbtest.SQLite(tb, sqlstore.Migrations())
	c := &clock{t: start}
	return catalog.New(sqlstore.New(db), document.Codec{}, catalog.Options{Now: c.now}), c
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("%v\n%s", err, strings.Join(catalogtest.Violations(err), "\n"))
	}
}

func wantReason(tb testing.TB, err error, reason string) {
	tb.Helper()
	if errs.ReasonOf(err) != reason {
		tb.Errorf("error %v, reason %q, want %s", err, errs.ReasonOf(err), reason)
	}
}

// wantFaults compares violations in any order.
func wantFaults(tb testing.TB, err error, want ...string) {
	tb.Helper()
	got := catalogtest.Violations(err)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		tb.Errorf("violations\n  %s\nwant\n  %s\nof %v", strings.Join(got, "\n  "), strings.Join(want, "\n  "), err)
	}
}

// only matches one etag.
func only(etag string) catalog.Match { return func(other string) bool { return other == etag } }
