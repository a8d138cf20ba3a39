// Package audittest is what must hold of every chain of admin commands, as a suite: each
// Store that appends to one runs it.
package audittest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/audit"
)

// Chain is a chain as a Store offers it.
type Chain struct {
	// Commit appends the entries in one transaction of their own, which fails with the
	// given error when there is one. The place that an entry names is ignored.
	Commit func(ctx context.Context, entries []audit.Entry, failure error) error
	// Log reads it.
	Log *audit.Log
}

// at has microseconds: chains must keep them, in UTC.
var at = time.Date(2026, 11, 20, 8, 30, 15, 123456000, time.UTC)

// Run runs the suite; open returns an empty chain each time.
func Run(t *testing.T, open func(*testing.T) Chain) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Chain){
		"entries come back chained":                 testComesBack,
		"a failed commit leaves no entry":           testRollback,
		"racing commits chain without gaps":         testRacing,
		"many entries go in one commit":             testMany,
		"a page comes with the head":                testPages,
		"texts are stored as every client can read": testTexts,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// command is an entry as a Store is given it.
func command(reason string) audit.Entry {
	return audit.Entry{Time: at, Actor: "grace", Action: "EVENT_VOIDED", Resource: "learners/ada/events/1", Reason: reason}
}

func commands(n int) []audit.Entry {
	all := make([]audit.Entry, n)
	for i := range all {
		all[i] = command(fmt.Sprintf("reason %d", i))
	}
	return all
}

// whole reads a chain to its head, and checks every link on the way.
func whole(t *testing.T, log *audit.Log) []audit.Entry {
	t.Helper()
	var all []audit.Entry
	var last audit.Head
	for {
		page, head, err := log.Page(t.Context(), last.Sequence, 100)
		must(t, err)
		for _, e := range page {
			last, err = last.Follow(e)
			must(t, err)
		}
		all = append(all, page...)
		if last == head {
			return all
		}
		if len(page) == 0 {
			t.Fatalf("the chain ends at %+v, its head is %+v", last, head)
		}
	}
}

func testComesBack(t *testing.T, c Chain) {
	if entries := whole(t, c.Log); len(entries) != 0 {
		t.Errorf("at first: %+v", entries)
	}
	local := command("in another zone, with nanoseconds")
	local.Time = at.Add(7 * time.Nanosecond).In(time.FixedZone("", 3600))
	given := [][]audit.Entry{{command("it's 100 % “wrong” <&> \u2028"), local}, {}, {command("")}}
	for _, entries := range given {
		must(t, c.Commit(t.Context(), entries, nil))
	}
	got := whole(t, c.Log)
	if len(got) != 3 {
		t.Fatalf("%+v", got)
	}
	local.Time = at
	for i, want := range []audit.Entry{given[0][0], local, given[2][0]} {
		want.Sequence, want.PreviousHash, want.Hash = int64(i+1), got[i].PreviousHash, got[i].Hash
		if !reflect.DeepEqual(got[i], want) {
			t.Errorf("entry\n%+v, want\n%+v", got[i], want)
		}
	}
}

func testRollback(t *testing.T, c Chain) {
	must(t, c.Commit(t.Context(), commands(1), nil))
	before := whole(t, c.Log)
	failure := errors.New("no")
	if err := c.Commit(t.Context(), commands(2), failure); !errors.Is(err, failure) {
		t.Errorf("the commit returned %v", err)
	}
	if got := whole(t, c.Log); !reflect.DeepEqual(got, before) {
		t.Errorf("%+v, want %+v", got, before)
	}
	must(t, c.Commit(t.Context(), commands(1), nil))
	if got := whole(t, c.Log); len(got) != 2 {
		t.Errorf("%d entries, want 2", len(got))
	}
}

func testRacing(t *testing.T, c Chain) {
	const writers, each = 6, 10
	failure := errors.New("no")
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for i := range each {
				if err := c.Commit(t.Context(), commands(2), nil); err != nil {
					t.Error(err)
				}
				if i%3 == 0 { // What failed leaves no gap.
					if err := c.Commit(t.Context(), commands(1), failure); !errors.Is(err, failure) {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if got := whole(t, c.Log); len(got) != 2*writers*each {
		t.Errorf("%d entries, want %d", len(got), 2*writers*each)
	}
}

func testMany(t *testing.T, c Chain) {
	given := commands(600)
	must(t, c.Commit(t.Context(), given, nil))
	got := whole(t, c.Log)
	if len(got) != len(given) || got[599].Reason != "reason 599" {
		t.Errorf("%d entries", len(got))
	}
}

func testPages(t *testing.T, c Chain) {
	must(t, c.Commit(t.Context(), commands(5), nil))
	for _, page := range []struct {
		after int64
		limit int
		want  int
	}{{0, 2, 2}, {2, 10, 3}, {4, 1, 1}, {5, 10, 0}, {99, 10, 0}} {
		got, head, err := c.Log.Page(t.Context(), page.after, page.limit)
		must(t, err)
		if len(got) != page.want || head.Sequence != 5 || len(got) > 0 && got[0].Sequence != page.after+1 {
			t.Errorf("after %d: %+v, head %+v", page.after, got, head)
		}
	}
}

func testTexts(t *testing.T, c Chain) {
	odd := command("a\x00b\xff")
	must(t, c.Commit(t.Context(), []audit.Entry{odd}, nil))
	if got := whole(t, c.Log); len(got) != 1 || got[0].Reason != "a\uFFFDb\uFFFD" {
		t.Errorf("%+v", got)
	}
}
