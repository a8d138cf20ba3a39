package rule_test

import (
	"context"
	"errors"
	"testing"

	"github.com/preceptor-dev/preceptor/services/profile"
)

// sourceFunc is a source of rules of one function.
type sourceFunc func() (profile.RuleSet, error)

func (f sourceFunc) Rules(context.Context) (profile.RuleSet, error) { return f() }

// TestSet: rules are read when they are first asked for, and when they are to be fresh; those whose text is known are
// not compiled again, and one that does not compile any more fails for everybody.
func TestSet(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	texts := profile.RuleSet{Version: 1, Rules: []profile.CohortRule{{CohortID: "a", Version: 1, Text: "true"}, {CohortID: "b", Version: 4, Text: "no rule"}}}
	var fault error
	asked := 0
	source := sourceFunc(func() (profile.RuleSet, error) {
		asked++
		read := texts
		read.Rules = append([]profile.CohortRule(nil), texts.Rules...)
		return read, fault
	})
	get := func(fresh bool, times int) profile.RuleSet {
		t.Helper()
		set, err := c.Set(t.Context(), source, fresh)
		if err != nil || asked != times {
			t.Errorf("asked %d times, want %d, %v", asked, times, err)
		}
		return set
	}
	first := get(false, 1)
	get(false, 1)
	if holds, err := first.Rules[0].Rule.Holds(ana()); !holds || err != nil {
		t.Errorf("the first rule: %t, %v", holds, err)
	}
	if _, err := first.Rules[1].Rule.Holds(ana()); err == nil || len(first.Rules[1].Rule.Reads()) != 0 {
		t.Errorf("what is no rule: %v", err)
	}
	texts.Version, texts.Rules = 2, []profile.CohortRule{{CohortID: "c", Version: 1, Text: "true"}, {CohortID: "d", Version: 1, Text: "false"}}
	if again := get(false, 1); again.Version != 1 {
		t.Errorf("without need it is version %d", again.Version)
	}
	second := get(true, 2)
	if second.Version != 2 || second.Rules[0].Rule != first.Rules[0].Rule || second.Rules[1].Rule == nil {
		t.Errorf("then %+v", second)
	}
	fault = errors.New("away")
	if _, err := c.Set(t.Context(), source, true); !errors.Is(err, fault) {
		t.Errorf("while the source is away: %v", err)
	}
	if kept := get(false, 3); kept.Version != 2 {
		t.Errorf("it keeps version %d", kept.Version)
	}
}
