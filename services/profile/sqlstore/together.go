package sqlstore

import (
	"context"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// On Postgres, a query by a key costs a round trip and its planning, far more than its row. So those who ask while
// others are being answered ask together. SQLite answers in less time than it takes to agree on that.

// bySubjects returns the learners that identities belong to, from one statement; those that belong to nobody are absent.
func (s *Store) bySubjects(ctx context.Context, subjects []profile.Subject) (map[profile.Subject]profile.Resolved, error) {
	issuers, names := make([]string, len(subjects)), make([]string, len(subjects))
	for i, subject := range subjects {
		issuers[i], names[i] = subject.Issuer, subject.Subject
	}
	rows, err := s.db.Reader().QueryContext(ctx, `SELECT issuer, subject, id, time_zone, time_zone_time FROM subjects_of($1, $2)`, issuers, names)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	defer func() { _ = rows.Close() }()
	found := make(map[profile.Subject]profile.Resolved, len(subjects))
	for rows.Next() {
		var subject profile.Subject
		var is profile.Resolved
		var since int64
		if err := rows.Scan(&subject.Issuer, &subject.Subject, &is.LearnerID, &is.TimeZone, &since); err != nil {
			return nil, sqldb.Classify(err)
		}
		is.TimeZoneTime = sqldb.Time(since)
		found[subject] = is
	}
	return found, sqldb.Classify(rows.Err())
}

// byIDs returns learners, from one statement; those that do not exist are absent.
func (s *Store) byIDs(ctx context.Context, ids []string) (map[string]profile.Learner, error) {
	rows, err := s.db.Reader().QueryContext(ctx, `SELECT `+columns+`, l.issuer, l.subject FROM learners_of($1) l`, ids)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	learners, err := collect(rows)
	found := make(map[string]profile.Learner, len(learners))
	for _, l := range learners {
		found[l.ID] = l
	}
	return found, err
}

// learnersWhere reads rows and their subjects in one statement, which sees one commit.
func learnersWhere(ctx context.Context, tx sqldb.Tx, which string, args ...any) ([]profile.Learner, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+columns+`, s.issuer, s.subject
FROM learners l LEFT JOIN learner_subjects s ON s.learner_id = l.id WHERE `+which, args...)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	return collect(rows)
}
