package sqlstore

import (
	"context"
	"database/sql"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// SignIn implements profile.Store.
func (s *Store) SignIn(ctx context.Context, a profile.Arrival) (revision int64, current bool, err error) {
	// Rules that cannot be evaluated for whom nothing is known of are not worth a parameter.
	failing := slices.ContainsFunc(a.Joined, func(s profile.Standing) bool { return s.RuleError != "" })
	if s.db.Dialect() == sqldb.Postgres && !failing {
		return s.signIn(ctx, a)
	}
	current = true // unless a transaction finds that it is not
	err = s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		if revision, current, err = (txn{tx}).arrive(ctx, a); err == nil && !current {
			return errs.New(errs.Aborted, errs.ReasonAborted, "the rules of cohorts have changed") // what was written must go
		}
		return err
	})
	if !current {
		return 0, false, nil
	}
	return revision, true, err
}

// arrive stores a learner who signed in. It reports false where the rules are others than those that were looked at.
func (t txn) arrive(ctx context.Context, a profile.Arrival) (revision int64, current bool, err error) {
	if err := t.InsertLearner(ctx, a.Learner); err != nil {
		return 0, true, err
	}
	if err := t.SaveStandings(ctx, a.Joined); err != nil {
		return 0, true, err
	}
	head, err := t.Head(ctx)
	if err != nil || head.Rules != a.Rules {
		return 0, err != nil, err
	}
	revision, err = t.Announce(ctx, a.Learner.ID, a.Changes)
	return revision, true, err
}

// rulesMoved is what the function sign_in raises where the rules are others.
const rulesMoved = "PR001"

// signIn is SignIn in one statement of Postgres and one round trip.
func (s *Store) signIn(ctx context.Context, a profile.Arrival) (revision int64, current bool, err error) {
	var times, joinTimes []int64
	var learners, cohorts, bodies, joined, reasons []string
	for _, c := range a.Changes {
		learner, cohort, body, err := encode(c)
		if err != nil {
			return 0, true, err
		}
		times, learners, cohorts, bodies = append(times, sqldb.Micros(c.Time)), append(learners, learner), append(cohorts, cohort), append(bodies, body)
	}
	for _, s := range a.Joined {
		joined, joinTimes, reasons = append(joined, s.CohortID), append(joinTimes, sqldb.Micros(s.JoinTime)), append(reasons, s.JoinReason)
	}
	subject := a.Learner.Subjects[0]
	args := append(fields(a.Learner), subject.Issuer, subject.Subject, a.Rules, times, learners, cohorts, bodies, joined, joinTimes, reasons)
	var reached sql.NullInt64
	err = s.db.WriteReturning(ctx, &reached, `SELECT sign_in($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
$19, $20, $21, $22, $23, $24, $25, $26, $27)`, args...)
	switch code, _ := sqldb.Raised(err); {
	case code == rulesMoved:
		return 0, false, nil
	case err != nil:
		return 0, true, sqldb.Classify(err)
	case !reached.Valid:
		return 0, true, profile.SubjectsTaken([]int{0})
	}
	return reached.Int64, true, nil
}
