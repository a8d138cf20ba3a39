package progress

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// RulesVersion numbers the rules of this package. It rises with each change by which the same log
// gives something else: what was folded by older rules is folded again.
//
//	1: archived modules counted as done, days moved with the learner, a renewal had no end.
//	2: archived modules are excused, days are settled when recorded, a repeated course is a cycle.
const RulesVersion = 2 // as in rulesKey

// SettleAfter is how old a change of the catalog must be before what holds by it alone is latched:
// an author's slip that is taken back within it leaves nothing behind.
const SettleAfter = time.Hour

// ByOtherRules reports whether the facts were folded by rules that are not these.
func (f *Facts) ByOtherRules() bool { return !strings.HasPrefix(f.Key, rulesKey) }

// SameCompletions reports whether two folds of one log have the same completions, and the same expiries.
func (f *Facts) SameCompletions(o *Facts) bool {
	return slices.EqualFunc(f.Cycles, o.Cycles, func(a, b CycleFacts) bool {
		return a.CompleteAt == b.CompleteAt && a.CompleteVersion == b.CompleteVersion && a.ExpireAt == b.ExpireAt && a.WindowAt == b.WindowAt
	})
}

// CompletionsText returns what a fold says of completions and expiries, as JSON for people to compare.
func (f *Facts) CompletionsText() string {
	type completion struct {
		Cycle          int       `json:"cycle"`
		Version        int       `json:"version,omitempty"`
		CompleteTime   time.Time `json:"completeTime,omitzero"`
		WindowOpenTime time.Time `json:"windowOpenTime,omitzero"`
		ExpireTime     time.Time `json:"expireTime,omitzero"`
	}
	out := make([]completion, 0, len(f.Cycles))
	for i := range f.Cycles {
		c := &f.Cycles[i]
		out = append(out, completion{c.Number, c.CompleteVersion, timeOf(c.CompleteAt), timeOf(c.WindowAt), timeOf(c.ExpireAt)})
	}
	text, _ := json.Marshal(out) //nolint:errchkjson // numbers and times always can be
	return string(text)
}

// FallenByRules returns the learner's enrollments whose percent is lower by these rules than by
// version 1 of them, as what was folded by that gave it, each with a note of that. was is the learner with
// those facts, is the same with facts by these rules.
func FallenByRules(c *Catalog, was, is *Learner, now time.Time) []Enrollment {
	before, after := NewView(c, was, now, nil), NewView(c, is, now, nil)
	var fallen []Enrollment
	for _, e := range is.Enrollments {
		if e.NoteFall(before.percentByRules1(&e), after.percentOf(e), PercentChange{Code: ChangeRules}) {
			fallen = append(fallen, e)
		}
	}
	return fallen
}

// percentByRules1 is the enrollment's percent by the first rules, or nil: a module that was archived
// while it was asked for, and could not be completed, counted as done for good.
func (w *View) percentByRules1(e *Enrollment) *int {
	v := w.pinned(e)
	if v == nil {
		return nil
	}
	done := func(id string) bool {
		m := w.catalog.Modules[id]
		if m == nil {
			return false
		}
		return w.creditOf(m) != nil || w.excusedAt(m, w.now) != nil || slices.ContainsFunc(m.Archives, func(p ArchivePeriod) bool {
			return e.EnrollTime.Before(p.RestoreTime) && w.excusedAt(m, p.RestoreTime.Add(-time.Microsecond)) != nil
		})
	}
	return tally(v.groups(), done, func(string) bool { return false }).Percent()
}
