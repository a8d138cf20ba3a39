package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// savePeople adds what happened to what is known of learners, cohorts and memberships. What another replica has stored
// stays as it is.
func savePeople(ctx context.Context, tx sqldb.Tx, stored time.Time, changes []progress.ProfileChange) error {
	var people, cohorts, memberships []any
	at := sqldb.Micros(stored)
	for _, c := range changes {
		when := sqldb.Micros(c.Time)
		switch {
		case c.Learner != nil:
			people = append(people, key(c.Learner.Zone.LearnerID), c.Revision, when, at, c.Learner.Suspended, c.Learner.HireDate)
		case c.Cohort != nil:
			managers, err := json.Marshal(c.Cohort.ManagerIDs)
			if err != nil {
				return err
			}
			cohorts = append(cohorts, c.Cohort.ID, c.Revision, when, at, c.Cohort.Title, string(managers), c.Cohort.Deleted)
		case c.Membership != nil:
			m := c.Membership
			memberships = append(memberships, key(m.LearnerID), m.CohortID, c.Revision, when, at, m.Member, sqldb.Micros(m.JoinTime))
		}
	}
	const known = ` ON CONFLICT DO NOTHING`
	c := &commitTx{tx: tx}
	err := c.insert(ctx, `INSERT INTO profile_person (learner_id, revision, change_time, stored_time, suspended, hire_date) VALUES `,
		6, people, known)
	if err != nil {
		return err
	}
	err = c.insert(ctx, `INSERT INTO profile_cohort (cohort_id, revision, change_time, stored_time, title, managers, deleted) VALUES `,
		7, cohorts, known)
	if err != nil {
		return err
	}
	return c.insert(ctx, `INSERT INTO profile_membership (learner_id, cohort_id, revision, change_time, stored_time, member, join_time) VALUES `,
		7, memberships, known)
}

// isNow is of a cohort c that exists now, as it is now.
const isNow = `NOT c.deleted
AND NOT EXISTS (SELECT 1 FROM profile_cohort d WHERE d.cohort_id = c.cohort_id AND d.revision > c.revision)`

// ManagesLearner reports whether a learner who is active manages a cohort of which another is a member.
func (s *Store) ManagesLearner(ctx context.Context, managerID, learnerID string) (bool, error) {
	return s.manages(ctx, managerID, `SELECT c.managers FROM profile_membership m JOIN profile_cohort c ON c.cohort_id = m.cohort_id
WHERE m.learner_id = $1 AND m.member AND `+isNow+`
AND NOT EXISTS (SELECT 1 FROM profile_membership n
WHERE n.learner_id = m.learner_id AND n.cohort_id = m.cohort_id AND n.revision > m.revision)`, key(learnerID))
}

// ManagesCohort reports whether a learner who is active manages a cohort.
func (s *Store) ManagesCohort(ctx context.Context, managerID, cohortID string) (bool, error) {
	return s.manages(ctx, managerID, `SELECT c.managers FROM profile_cohort c WHERE c.cohort_id = $1 AND `+isNow, cohortID)
}

// manages reports whether a learner is active and among the managers of one of the cohorts that a query finds.
func (s *Store) manages(ctx context.Context, managerID, query string, arg any) (found bool, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		found = false
		var suspended bool
		row := tx.QueryRowContext(ctx, `SELECT suspended FROM profile_person WHERE learner_id = $1 ORDER BY revision DESC LIMIT 1`, key(managerID))
		if err := row.Scan(&suspended); errors.Is(err, sql.ErrNoRows) || err == nil && suspended {
			return nil
		} else if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, query, arg)
		return each(rows, err, func(rows *sql.Rows) error {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			var managers []string
			err := json.Unmarshal([]byte(text), &managers)
			found = found || slices.Contains(managers, managerID)
			return err
		})
	})
	return found, err
}
