package profile

import (
	"context"
	"errors"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/page"
)

// evaluatePage is how many learners a rule looks at in one transaction.
const evaluatePage = 500

// maxEvaluated is how many members EvaluateRule names.
const maxEvaluated = 100

// Cohort returns a cohort. Returns NotFound COHORT_NOT_FOUND.
func (s *Service) Cohort(ctx context.Context, id string) (Cohort, error) {
	return s.cohorts.Cohort(ctx, id)
}

// CohortQuery is which cohorts, and which page of them.
type CohortQuery struct {
	// Q holds words that the title must hold, in any case.
	Q string
	// ManagerID is who manages them; "" finds all.
	ManagerID string
	PageSize  int
	PageToken string
}

// ListCohorts returns one page of cohorts, by id, and the token of the next; "" on the last.
func (s *Service) ListCohorts(ctx context.Context, q CohortQuery) (cohorts []Cohort, next string, err error) {
	filter := CohortFilter{Words: searchWords(q.Q), ManagerID: q.ManagerID}
	token, err := page.NewToken("cohorts", filter)
	if err != nil {
		return nil, "", err
	}
	after, err := token.ReadKey(q.PageToken)
	if err != nil {
		return nil, "", err
	}
	size := page.Size(q.PageSize)
	// One more than the size shows whether there is a next page.
	if cohorts, err = s.cohorts.ListCohorts(ctx, filter, after, size+1); err != nil {
		return nil, "", err
	}
	cohorts, next = page.Cut(token, cohorts, after, size, func(c Cohort) string { return c.ID })
	return cohorts, next, nil
}

// Members returns one page of the members of a cohort, by id, and the token of the next; "" on the last.
// Returns NotFound COHORT_NOT_FOUND.
func (s *Service) Members(ctx context.Context, cohortID string, pageSize int, pageToken string) (members []Member, next string, err error) {
	token, err := page.NewToken("cohortMembers", cohortID)
	if err != nil {
		return nil, "", err
	}
	after, err := token.ReadKey(pageToken)
	if err != nil {
		return nil, "", err
	}
	if _, err := s.cohorts.Cohort(ctx, cohortID); err != nil {
		return nil, "", err
	}
	size := page.Size(pageSize)
	if members, err = s.cohorts.Members(ctx, cohortID, after, size+1); err != nil {
		return nil, "", err
	}
	members, next = page.Cut(token, members, after, size, func(m Member) string { return m.LearnerID })
	return members, next, nil
}

// MemberExplanation is why a learner is a member of a cohort, or is not.
type MemberExplanation struct {
	// Spans are all times of membership, oldest first.
	Spans []Span
	// Rule is that of the cohort, and Values what it is evaluated with; empty for a STATIC one.
	Rule   string
	Values map[string]string
	// RuleError is why it cannot be evaluated for the learner.
	RuleError string
}

// ExplainMember returns why a learner is a member of a cohort, or is not.
// Returns NotFound COHORT_NOT_FOUND or LEARNER_NOT_FOUND.
func (s *Service) ExplainMember(ctx context.Context, cohortID, learnerID string) (MemberExplanation, error) {
	cohort, err := s.cohorts.Cohort(ctx, cohortID)
	if err != nil {
		return MemberExplanation{}, err
	}
	learner, err := s.Learner(ctx, learnerID)
	if err != nil {
		return MemberExplanation{}, err
	}
	found := MemberExplanation{Rule: cohort.Rule}
	if found.Spans, found.RuleError, err = s.cohorts.Spans(ctx, cohortID, learnerID); err != nil || cohort.Kind != KindRule {
		return found, err
	}
	rule, err := s.rules.Compile(cohort.Rule)
	if err != nil {
		found.RuleError = err.Error()
		return found, nil //nolint:nilerr // it is what the caller asks for
	}
	found.Values = values(rule, learner.Facts())
	return found, nil
}

// Evaluation is what a rule makes of all learners.
type Evaluation struct {
	Members, Learners, Errors int
	// First are the first of the members, by id.
	First []Member
	// Error is one of the errors.
	Error string
}

// EvaluateRule returns what a rule makes of all learners, and changes nothing.
// Returns Invalid with a violation on the field rule for each of its faults.
func (s *Service) EvaluateRule(ctx context.Context, text string) (Evaluation, error) {
	faults := s.ruleFaults(text)
	if err := faults.Err(); err != nil {
		return Evaluation{}, err
	}
	rule, err := s.rules.Compile(text)
	if err != nil {
		return Evaluation{}, err
	}
	var found Evaluation
	var first []string
	err = s.directory.EachFacts(ctx, func(id string, facts Facts) error {
		found.Learners++
		holds, err := rule.Holds(facts)
		switch {
		case err != nil:
			found.Errors++
			found.Error = err.Error()
		case holds:
			if found.Members++; len(first) < maxEvaluated {
				first = append(first, id)
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return Evaluation{}, err
	}
	names, err := s.directory.Names(ctx, first)
	for _, id := range first {
		found.First = append(found.First, Member{LearnerID: id, DisplayName: names[id]})
	}
	return found, err
}

// violationsOf are those of an error of Compile.
func violationsOf(err error) errs.Violations {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*errs.Error](err); ok && len(own.Violations) > 0 {
		return own.Violations
	}
	return errs.Violations{{Field: "rule", Reason: errs.ReasonRuleInvalid, Description: err.Error()}}
}

// Evaluate looks with the rule of a cohort at the next learners, and reports whether others follow. It goes on from
// where it, or another process, was before. One call at a time is enough; several at once are no harm.
func (s *Service) Evaluate(ctx context.Context, cohortID string) (more bool, err error) {
	now := s.micros()
	err = s.edit(ctx, func(ctx context.Context, tx Tx, rules RuleSet) (bool, error) {
		more = false
		cohort, err := tx.LockCohort(ctx, cohortID)
		if errs.ReasonOf(err) == errs.ReasonCohortNotFound || err == nil && !cohort.Evaluating {
			return true, nil // it was deleted, or another was quicker
		}
		if err != nil {
			return true, err
		}
		rule, known := rules.of(cohort)
		if !known { // the set is older than the cohort, whose lock keeps its rule as it is
			return false, nil
		}
		looked, err := tx.FactsAfter(ctx, cohort.Evaluated, evaluatePage)
		if err != nil {
			return true, err
		}
		if more = len(looked) == evaluatePage; more {
			cohort.Evaluated = looked[len(looked)-1].ID
		} else {
			cohort.Evaluating, cohort.Evaluated = false, ""
		}
		if err := tx.PutCohort(ctx, cohort); err != nil {
			return true, err
		}
		return true, settle(ctx, tx, rule, looked, now)
	})
	return more && err == nil, err
}

// of returns the rule of a cohort, if the set has it as it is.
func (r RuleSet) of(cohort Cohort) (CohortRule, bool) {
	for _, rule := range r.Rules {
		if rule.CohortID == cohort.ID {
			return rule, rule.Version == cohort.RuleVersion
		}
	}
	return CohortRule{}, false
}

// settle stores what a rule makes of learners. Those for whom that is something new are locked and looked at once
// more: only then does nobody else change them.
func settle(ctx context.Context, tx Tx, rule CohortRule, looked []LearnerFacts, now time.Time) error {
	_, moved, err := judgeAll(ctx, tx, rule, looked, now)
	if err != nil || len(moved) == 0 {
		return err
	}
	ids := make([]string, len(moved))
	for i, standing := range moved {
		ids[i] = standing.LearnerID
	}
	locked, err := tx.LockFacts(ctx, ids)
	if err != nil {
		return err
	}
	before, after, err := judgeAll(ctx, tx, rule, locked, now)
	if err != nil {
		return err
	}
	if err := tx.SaveStandings(ctx, after); err != nil {
		return err
	}
	if changes := changesOf(before, after, byLearner); len(changes) > 0 {
		_, err = tx.Announce(ctx, "", changes)
	}
	return err
}

// judgeAll returns what learners are in a cohort, and what its rule makes of those for whom that is something new.
func judgeAll(ctx context.Context, tx Tx, rule CohortRule, learners []LearnerFacts, now time.Time) (before map[string]Standing, after []Standing, err error) {
	ids := make([]string, len(learners))
	for i, l := range learners {
		ids[i] = l.ID
	}
	if before, err = tx.StandingsIn(ctx, rule.CohortID, ids); err != nil {
		return nil, nil, err
	}
	for _, l := range learners {
		was := before[l.ID]
		was.CohortID, was.LearnerID = rule.CohortID, l.ID
		if is := rule.judge(l.Facts, was, now); is != was {
			after = append(after, is)
		}
	}
	return before, after, nil
}

// Evaluating returns the ids of the cohorts that are to be evaluated.
func (s *Service) Evaluating(ctx context.Context) ([]string, error) { return s.cohorts.Evaluating(ctx) }

// ManagesLearner reports whether a learner manages a cohort of which another is a member.
func (s *Service) ManagesLearner(ctx context.Context, managerID, learnerID string) (bool, error) {
	return s.cohorts.ManagesLearner(ctx, managerID, learnerID)
}

// ManagesCohort reports whether a learner manages a cohort.
func (s *Service) ManagesCohort(ctx context.Context, managerID, cohortID string) (bool, error) {
	return s.cohorts.ManagesCohort(ctx, managerID, cohortID)
}
