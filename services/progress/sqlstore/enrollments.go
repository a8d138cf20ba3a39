package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

const enrollmentColumns = `learner_id, enrollment_id, path_id, path_version, state, enroll_at, update_at, previous_percent, percent_change`

// inOrder lists enrollments by learner, oldest first.
const inOrder = ` ORDER BY learner_id, enroll_at, enrollment_id`

// notWithdrawn chooses the enrollments of learners that are not withdrawn. No path has an empty id:
// saying so makes SQLite prefer the index enrollment_one_per_path, which has none that are withdrawn,
// to enrollment_listed, which has all in order.
const notWithdrawn = ` AND state <> 'WITHDRAWN' AND path_id > ''` + inOrder

// pageOfOne chooses at most $4 enrollments of the learner $1 after the place $2, $3.
const pageOfOne = ofOne + ` AND (enroll_at, enrollment_id) > ($2, $3)` + inOrder + ` LIMIT $4`

func readEnrollments(ctx context.Context, tx sqldb.Tx, which string, args ...any) ([]progress.Enrollment, error) {
	var out []progress.Enrollment
	rows, err := tx.QueryContext(ctx, `SELECT `+enrollmentColumns+` FROM enrollment WHERE `+which, args...)
	err = each(rows, err, func(rows *sql.Rows) error {
		var e progress.Enrollment
		var enrolled, updated int64
		var previous sql.NullInt64
		var change sql.NullString
		if err := rows.Scan((*id)(&e.LearnerID), (*id)(&e.ID), &e.PathID, &e.PathVersion, &e.State, &enrolled, &updated, &previous, &change); err != nil {
			return err
		}
		e.EnrollTime, e.UpdateTime = sqldb.Time(enrolled), sqldb.Time(updated)
		if previous.Valid {
			p := int(previous.Int64)
			e.PreviousPercent = &p
		}
		if change.Valid {
			if err := json.Unmarshal([]byte(change.String), &e.PercentChange); err != nil {
				return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a stored enrollment cannot be read")
			}
		}
		out = append(out, e)
		return nil
	})
	return out, err
}

// readEnrollment returns one of a learner's enrollments.
func readEnrollment(ctx context.Context, tx sqldb.Tx, learnerID, enrollmentID string) (progress.Enrollment, error) {
	found, err := readEnrollments(ctx, tx, ofOne+` AND enrollment_id = $2`, key(learnerID), key(enrollmentID))
	switch {
	case err != nil:
		return progress.Enrollment{}, sqldb.Classify(err)
	case len(found) == 0:
		return progress.Enrollment{}, errs.New(errs.NotFound, errs.ReasonEnrollmentNotFound, "the learner has no enrollment %s", enrollmentID)
	}
	return found[0], nil
}

// Enrollment returns one of a learner's enrollments, a withdrawn one too.
func (s *Store) Enrollment(ctx context.Context, learnerID, enrollmentID string) (progress.Enrollment, error) {
	return readEnrollment(ctx, s.db.Reader(), learnerID, enrollmentID)
}

// Enrollments returns a page of a learner's enrollments, by a walk along the index enrollment_listed.
func (s *Store) Enrollments(ctx context.Context, learnerID string, after progress.EnrollmentPlace, limit int) ([]progress.Enrollment, error) {
	found, err := readEnrollments(ctx, s.db.Reader(), pageOfOne, key(learnerID), after.EnrollTime.UnixMicro(), keyAfter(after.ID), limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	return found, nil
}

// PutEnrollments writes enrollments by id.
func (c *commitTx) PutEnrollments(ctx context.Context, enrollments []progress.Enrollment) error {
	args := make([]any, 0, 9*len(enrollments))
	for i := range enrollments {
		e := &enrollments[i]
		var previous, change any
		if e.PreviousPercent != nil {
			previous = *e.PreviousPercent
		}
		if e.PercentChange != nil {
			b, err := json.Marshal(e.PercentChange)
			if err != nil {
				return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "an enrollment cannot be stored")
			}
			change = string(b)
		}
		args = append(args, key(e.LearnerID), key(e.ID), e.PathID, e.PathVersion, e.State, e.EnrollTime.UnixMicro(), e.UpdateTime.UnixMicro(), previous, change)
	}
	err := c.insert(ctx, `INSERT INTO enrollment (`+enrollmentColumns+`) VALUES `, 9, args,
		` ON CONFLICT (learner_id, enrollment_id) DO UPDATE SET path_id = excluded.path_id, enroll_at = excluded.enroll_at,
		path_version = excluded.path_version, state = excluded.state, update_at = excluded.update_at,
		previous_percent = excluded.previous_percent, percent_change = excluded.percent_change`)
	if sqldb.IsUnique(err) {
		return errs.Wrap(err, errs.AlreadyExists, errs.ReasonAlreadyEnrolled, "already enrolled in this path")
	}
	return err
}
