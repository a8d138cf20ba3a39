package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/services/progress"
)

func headOf(learner, line string, version int64) progress.Head {
	return progress.Head{LearnerID: learner, Timeline: line, Sequence: version, Version: version}
}

// readWhole is a learner as read at a version.
func readWhole(learner, line string, version int64) *recalled {
	return recalledOf(&progress.Learner{
		Head:  headOf(learner, line, version),
		Facts: map[string]*progress.Facts{"m": {LastAt: version, LastID: strings.Repeat("x", 100)}},
	})
}

func TestMemoryIsOfOneVersion(t *testing.T) {
	t.Parallel()
	m := newMemory(1 << 20)
	m.put(readWhole("a", "line", 2))
	if l := m.learner(headOf("a", "line", 2)); l == nil || l.Facts["m"].LastAt != 2 {
		t.Errorf("at its version: %+v", l)
	}
	for what, head := range map[string]progress.Head{
		"a newer version": headOf("a", "line", 3), "an older one": headOf("a", "line", 1), "another line": headOf("a", "other", 2), "another learner": headOf("b", "line", 2),
	} {
		if l := m.learner(head); l != nil {
			t.Errorf("%s: %+v", what, l)
		}
	}
	m.put(readWhole("a", "line", 1)) // came late
	if m.learner(headOf("a", "line", 2)) == nil {
		t.Error("what was read earlier replaced what is newer")
	}
	m.learn(m.get("a"), &lesson{head: headOf("a", "line", 3), facts: map[string]*progress.Facts{"n": {LastAt: 3}}})
	l := m.learner(headOf("a", "line", 3))
	if l == nil || l.Facts["m"].LastAt != 2 || l.Facts["n"].LastAt != 3 {
		t.Errorf("after a commit: %+v", l)
	}
	l.Facts["m"] = nil
	if again := m.learner(headOf("a", "line", 3)); again.Facts["m"] == nil {
		t.Error("a copy was no copy")
	}
	m.put(readWhole("b", "other", 1))
	if m.get("a") != nil || m.get("b") == nil {
		t.Error("another line of history left what was read on the one before")
	}
	m.forget([]string{"b"})
	if m.get("b") != nil || m.bytes != 0 {
		t.Errorf("forgotten, and still there, or %d bytes of it", m.bytes)
	}
}

// A commit knows the facts that it needed; what a reader has read meanwhile is more, and as new.
func TestMemoryKeepsTheWholeLearner(t *testing.T) {
	t.Parallel()
	m := newMemory(1 << 20)
	base := &recalled{head: headOf("a", "line", 1), facts: map[string]*progress.Facts{"n": nil}}
	change := &lesson{head: headOf("a", "line", 2), facts: map[string]*progress.Facts{"n": {LastAt: 2}}}
	m.put(readWhole("a", "line", 1))
	m.learn(base, change)
	if l := m.learner(headOf("a", "line", 2)); l == nil || len(l.Facts) != 2 {
		t.Errorf("%+v", l)
	}
	m.put(readWhole("a", "line", 5)) // of a later moment than the next commit here
	m.learn(&recalled{head: headOf("a", "line", 2)}, &lesson{head: headOf("a", "line", 3)})
	if m.learner(headOf("a", "line", 3)) != nil || m.learner(headOf("a", "line", 5)) == nil {
		t.Error("a commit replaced what was read after it")
	}
}

func TestMemoryHasABound(t *testing.T) {
	t.Parallel()
	one := readWhole("learner-000", "line", 1)
	m := newMemory(10 * one.size())
	for i := range 100 {
		m.put(readWhole(fmt.Sprintf("learner-%03d", i), "line", 1))
		if i > 0 && m.get("learner-000") == nil { // in use, so it stays
			t.Fatalf("after %d it was gone", i)
		}
		if m.bytes > m.most || m.order.Len() != len(m.by) {
			t.Fatalf("%d bytes of %d, %d entries and %d", m.bytes, m.most, m.order.Len(), len(m.by))
		}
	}
	if n := len(m.by); n != 10 || m.get("learner-099") == nil || m.get("learner-050") != nil {
		t.Errorf("%d learners are remembered", n)
	}
	m.put(&recalled{head: headOf("huge", "line", 1), whole: true, awards: make([]progress.Award, 1000)})
	if len(m.by) != 0 || m.bytes != 0 {
		t.Errorf("%d learners, %d bytes", len(m.by), m.bytes)
	}
	events := make([]progress.KnownEvent, 3*recalledEvents)
	for i := range events {
		events[i].Sequence = int64(i)
	}
	m.learn(&recalled{head: headOf("a", "line", 1)}, &lesson{head: headOf("a", "line", 2), events: events})
	if r := m.get("a"); len(r.events) != recalledEvents || r.events[recalledEvents-1].Sequence != int64(len(events)-1) {
		t.Errorf("%d events are remembered: %+v", len(r.events), r.events)
	}
}
