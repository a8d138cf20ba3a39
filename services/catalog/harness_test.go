package catalog_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/catalog"
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

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// newService is a service on an empty SQLite store.
func newService(tb testing.TB) (*catalog.Service, *clock) {
	tb.Helper()
	return newServiceWith(tb, catalog.Options{})
}

// newServiceWith is newService with more than it needs; the clock is its own.
func newServiceWith(tb testing.TB, opts catalog.Options) (*catalog.Service, *clock) {
	tb.Helper()
	db := sqldbtest.SQLite(tb, sqlstore.Migrations())
	c := &clock{t: start}
	opts.Now = c.now
	return catalog.New(sqlstore.New(db), document.Codec{}, opts), c
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("%v\n%s", err, strings.Join(faultsOf(err), "\n"))
	}
}

// faultsOf are an error's violations, as "field REASON".
func faultsOf(err error) []string {
	var faults []string
	if e, ok := errors.AsType[*errs.Error](err); ok {
		for _, v := range e.Violations {
			faults = append(faults, v.Field+" "+v.Reason)
		}
	}
	return faults
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
	got := faultsOf(err)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		tb.Errorf("violations\n  %s\nwant\n  %s\nof %v", strings.Join(got, "\n  "), strings.Join(want, "\n  "), err)
	}
}

// module is content that breaks no rule.
func module() catalog.ModuleContent {
	return catalog.ModuleContent{
		Topic: "hipaa", Title: "HIPAA foundations", Summary: "What PHI is.", Level: "FOUNDATION",
		Roles: []string{"clinical-ai-engineer"}, Objectives: []string{"Say what PHI is"},
		CurrencyPolicy: &catalog.CurrencyPolicy{Period: "P1Y", Window: "P60D", Grace: "P30D"},
		Units: []catalog.Unit{
			{ID: "phi", Title: "PHI", Duration: "PT20M", ContentURI: "content/phi"},
			{ID: "quiz", Title: "Check", Kind: catalog.UnitQuiz, Duration: "PT15M", MasteryScore: new(0.8)},
		},
	}
}

// path is content that breaks no rule where the modules are active.
func path(modules ...string) catalog.PathContent {
	return catalog.PathContent{Title: "Path", Milestones: []catalog.Milestone{
		{ID: "first", Title: "First", Groups: []catalog.Group{{ModuleIDs: modules}}},
	}}
}

type collection[C catalog.Content[C]] = catalog.Collection[C]

// draft makes an item, or makes the content its draft.
func draft[C catalog.Content[C]](tb testing.TB, c *collection[C], id string, content C) {
	tb.Helper()
	_, err := c.Create(tb.Context(), id, content, idem.Key{}, func(catalog.Item[C]) ([]byte, error) { return nil, nil })
	if errs.KindOf(err) == errs.AlreadyExists {
		_, err = c.Update(tb.Context(), id, nil, func(C) (C, error) { return content, nil })
	}
	must(tb, err)
}

func publish[C catalog.Content[C]](tb testing.TB, c *collection[C], id string, content C, p catalog.Publication) catalog.Item[C] {
	tb.Helper()
	draft(tb, c, id, content)
	item, err := c.Publish(tb.Context(), id, p, nil, "ada")
	must(tb, err)
	return item
}
