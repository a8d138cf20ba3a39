package bounds

import (
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func TestQuotaBoundsAllAndEach(t *testing.T) {
	t.Parallel()
	q := NewQuota[string](5, 3)
	for _, c := range []struct {
		key  string
		n    int64
		want bool
	}{{"a", 3, true}, {"a", 1, false}, {"b", 3, false}, {"b", 2, true}, {"c", 1, false}} {
		if got := q.Take(c.key, c.n); got != c.want {
			t.Errorf("%d for %s: %v", c.n, c.key, got)
		}
	}
	q.Give("a", 3)
	q.Give("b", 2)
	if q.Used() != 0 || len(q.by) != 0 {
		t.Errorf("%d are used by %v after all was given back", q.Used(), q.by)
	}
	if !q.Take("a", 3) {
		t.Error("what was given back cannot be taken")
	}
}

func TestLinesAreBoundedAndCounted(t *testing.T) {
	t.Parallel()
	at := testenv.Now()
	l := NewLines(2, 3, func() time.Time { return at })
	written := 0
	for range 10 {
		if _, ok := l.Next(); ok {
			written++
		}
	}
	if written != 3 {
		t.Errorf("a burst of 3 wrote %d lines", written)
	}
	at = at.Add(time.Second)
	if skipped, ok := l.Next(); !ok || skipped != 7 {
		t.Errorf("a second later: %d were skipped, %v", skipped, ok)
	}
	if skipped, ok := l.Next(); !ok || skipped != 0 {
		t.Errorf("the second of two a second: %d, %v", skipped, ok)
	}
	if _, ok := l.Next(); ok {
		t.Error("three lines in a second of two")
	}
}

func TestLatestEndsTheOldest(t *testing.T) {
	t.Parallel()
	l := NewLatest(2)
	ended := make(chan string, 10)
	add := func(name string) (remove func()) { return l.Add(func() { ended <- name }) }
	first, second := add("first"), add("second")
	third := add("third")
	if name := <-ended; name != "first" {
		t.Errorf("%s has ended", name)
	}
	first() // which counts no more
	second()
	fourth := add("fourth")
	if len(ended) != 0 || l.held.Len() != 2 {
		t.Errorf("%d are held, %d have ended", l.held.Len(), len(ended))
	}
	_ = add("fifth")
	if name := <-ended; name != "third" {
		t.Errorf("%s has ended", name)
	}
	third()
	fourth()
	if l.held.Len() != 1 {
		t.Errorf("%d are held, want the fifth", l.held.Len())
	}
}
