// Package leasetest is the contract of internal/lease as a test suite. Every service that has the table
// lease runs it on its own schema.
package leasetest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/lease"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// noon is the present of the suite.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// place is the state of the suite's jobs.
type place struct {
	Cursor string
	Done   int64
}

// Run runs the suite; fresh gives a database whose table lease is empty.
func Run(t *testing.T, fresh func(t *testing.T) *sqldb.DB) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(t *testing.T, db *sqldb.DB)
	}{
		{"one owner at a time", oneOwner},
		{"its own lease is prolonged", prolonged},
		{"a lease that is over is taken over, with its state", takenOver},
		{"an owner that lost the job learns it", lost},
		{"a released job is free at once", released},
		{"jobs do not know each other", separate},
		{"of many at once one gets it", race},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

// acquire asks for a job for a minute.
func acquire(t *testing.T, db *sqldb.DB, job, owner string, now time.Time) lease.Lease[place] {
	t.Helper()
	l, err := lease.Acquire[place](t.Context(), db, job, owner, now, now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func save(t *testing.T, db *sqldb.DB, l lease.Lease[place]) {
	t.Helper()
	if err := lease.Save(t.Context(), db, l); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, got, want lease.Lease[place]) {
	t.Helper()
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func oneOwner(t *testing.T, db *sqldb.DB) {
	first := lease.Lease[place]{Job: "sweep", Owner: "a", Until: noon.Add(time.Minute)}
	want(t, acquire(t, db, "sweep", "a", noon), first)
	want(t, acquire(t, db, "sweep", "b", noon.Add(59*time.Second)), first)
	want(t, acquire(t, db, "sweep", "b", noon.Add(time.Minute)), lease.Lease[place]{Job: "sweep", Owner: "b", Until: noon.Add(2 * time.Minute)})
}

func prolonged(t *testing.T, db *sqldb.DB) {
	l := acquire(t, db, "sweep", "a", noon)
	l.State, l.Until = place{"x", 7}, noon.Add(time.Hour)
	save(t, db, l)
	want(t, acquire(t, db, "sweep", "b", noon.Add(59*time.Minute)), l)
	l.Until = noon.Add(31 * time.Minute)
	want(t, acquire(t, db, "sweep", "a", noon.Add(30*time.Minute)), l)
}

func takenOver(t *testing.T, db *sqldb.DB) {
	l := acquire(t, db, "sweep", "a", noon)
	l.State = place{"x", 7}
	save(t, db, l)
	want(t, acquire(t, db, "sweep", "b", noon.Add(time.Hour)),
		lease.Lease[place]{Job: "sweep", Owner: "b", Until: noon.Add(time.Hour + time.Minute), State: place{"x", 7}})
}

func lost(t *testing.T, db *sqldb.DB) {
	l := acquire(t, db, "sweep", "a", noon)
	other := acquire(t, db, "sweep", "b", noon.Add(time.Hour))
	l.State = place{"late", 1}
	err := lease.Save(t.Context(), db, l)
	if errs.KindOf(err) != errs.Aborted || !strings.Contains(err.Error(), "another process took the sweep over") {
		t.Errorf("%v", err)
	}
	if err := lease.Release(t.Context(), db, "sweep", "a"); err != nil {
		t.Error(err)
	}
	want(t, acquire(t, db, "sweep", "c", noon.Add(time.Hour)), other)
	unknown := lease.Lease[place]{Job: "nobody's", Owner: "a"}
	if err := lease.Save(t.Context(), db, unknown); errs.KindOf(err) != errs.Aborted {
		t.Errorf("a job that nobody has asked for: %v", err)
	}
}

func released(t *testing.T, db *sqldb.DB) {
	l := acquire(t, db, "sweep", "a", noon)
	l.State = place{"x", 7}
	save(t, db, l)
	if err := lease.Release(t.Context(), db, "sweep", "a"); err != nil {
		t.Fatal(err)
	}
	next := acquire(t, db, "sweep", "b", noon)
	want(t, next, lease.Lease[place]{Job: "sweep", Owner: "b", Until: noon.Add(time.Minute), State: place{"x", 7}})
	next.Until = time.Time{} // the same, with a Save
	save(t, db, next)
	if got := acquire(t, db, "sweep", "c", noon); got.Owner != "c" {
		t.Errorf("%+v", got)
	}
}

func separate(t *testing.T, db *sqldb.DB) {
	a, b := acquire(t, db, "sweep", "a", noon), acquire(t, db, "rebuild", "b", noon)
	if a.Owner != "a" || b.Owner != "b" {
		t.Errorf("%+v, %+v", a, b)
	}
	a.State = place{"x", 7}
	save(t, db, a)
	want(t, acquire(t, db, "rebuild", "b", noon), b)
}

func race(t *testing.T, db *sqldb.DB) {
	var mu sync.Mutex
	owners := map[string]bool{}
	var all sync.WaitGroup
	for _, owner := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		all.Go(func() {
			l, err := lease.Acquire[place](t.Context(), db, "sweep", owner, noon, noon.Add(time.Minute))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			owners[l.Owner] = true
			mu.Unlock()
		})
	}
	all.Wait()
	if len(owners) != 1 {
		t.Errorf("it was given to %v", owners)
	}
}
