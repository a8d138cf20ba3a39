package profile

import (
	"context"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// ruleAttempts is how often something is done again because the rules have changed meanwhile.
const ruleAttempts = 10

// withRules calls f with the rules of cohorts until it reports that these are current.
func (s *Service) withRules(ctx context.Context, f func(rules RuleSet) (current bool, err error)) error {
	for attempt := range ruleAttempts {
		rules, err := s.rules.Set(ctx, s.cohorts, attempt > 0)
		if err != nil {
			return err
		}
		if current, err := f(rules); err != nil || current {
			return err
		}
	}
	return errs.New(errs.Aborted, errs.ReasonAborted, "the rules of cohorts change all the time at this moment; try again")
}

// edit runs f in a transaction, again and with others when it reports that the rules are not current.
func (s *Service) edit(ctx context.Context, f func(ctx context.Context, tx Tx, rules RuleSet) (current bool, err error)) error {
	return s.withRules(ctx, func(rules RuleSet) (current bool, err error) {
		current = true // unless a transaction finds that they are not
		err = s.editor.Edit(ctx, func(ctx context.Context, tx Tx) (err error) {
			if current, err = f(ctx, tx, rules); err == nil && !current {
				return errs.New(errs.Aborted, errs.ReasonAborted, "the rules of cohorts have changed") // what was written must go
			}
			current = true
			return err
		})
		if !current {
			return false, nil
		}
		return true, err
	})
}

// learnerEdit is what one transaction does to a learner.
type learnerEdit struct {
	before, after Learner
	fresh         bool // it did not exist before
	audit         []AuditEntry
	now           time.Time
}

// publishes reports whether other services depend on what changed.
func (e learnerEdit) publishes() bool {
	b, a := e.before, e.after
	return e.fresh || b.TimeZone != a.TimeZone || b.State != a.State || b.Attributes[HireDate] != a.Attributes[HireDate]
}

// finish evaluates the rules for the learner, who is stored already, where they look at something that changed, and
// announces and audits what was done. It returns the learner's revision, and whether the rules are current.
func (e learnerEdit) finish(ctx context.Context, tx Tx, rules RuleSet) (revision int64, current bool, err error) {
	revision = e.after.Revision
	judged := e.fresh || !e.before.Facts().equal(e.after.Facts())
	var changes []Change
	if e.publishes() {
		changes = append(changes, Change{Time: e.now, Learner: e.after.change()})
	}
	if judged {
		joined, err := e.judge(ctx, tx, rules)
		if err != nil {
			return 0, false, err
		}
		changes = append(changes, joined...)
		head, err := tx.Head(ctx)
		if err != nil || head.Rules != rules.Version {
			return 0, false, err
		}
	}
	if len(changes) > 0 {
		if revision, err = tx.Announce(ctx, e.after.ID, changes); err != nil {
			return 0, false, err
		}
	}
	return revision, true, tx.Audit(ctx, e.audit)
}

// judge stores what the rules make of the learner's standings, and returns the memberships that changed.
func (e learnerEdit) judge(ctx context.Context, tx Tx, rules RuleSet) ([]Change, error) {
	var before map[string]Standing
	if !e.fresh {
		var err error
		if before, err = tx.StandingsOf(ctx, e.after.ID); err != nil {
			return nil, err
		}
	}
	after := rules.judge(e.after.ID, e.after.Facts(), before, e.now)
	return changesOf(before, after, byCohort), tx.SaveStandings(ctx, after)
}
