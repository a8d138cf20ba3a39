// Package sqlstore stores learners in SQLite or Postgres.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/gather"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/profile"
)

//go:embed migrations
var migrations embed.FS

// Migrations are the schema's steps, in the folders that sqldb.DB.Migrate wants.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // The name is a constant and valid.
	}
	return sub
}

// Store is a profile.Store on a migrated database.
type Store struct {
	db *sqldb.DB

	// subjects and learners are nil on SQLite.
	subjects *gather.Gatherer[profile.Subject, profile.Resolved]
	learners *gather.Gatherer[string, profile.Learner]
}

var (
	_ profile.Store = (*Store)(nil)
	_ profile.Tx    = txn{}
)

// New makes a Store on a database that has the Migrations.
func New(db *sqldb.DB) *Store {
	s := &Store{db: db}
	if db.Dialect() == sqldb.Postgres {
		s.subjects, s.learners = gather.New(s.bySubjects), gather.New(s.byIDs)
	}
	return s
}

// BySubject implements profile.Store.
func (s *Store) BySubject(ctx context.Context, subject profile.Subject) (profile.Resolved, error) {
	if s.subjects != nil {
		found, known, err := s.subjects.Get(ctx, subject)
		if err == nil && !known {
			err = profile.SubjectUnknown()
		}
		return found, err
	}
	var found profile.Resolved
	var since int64
	err := s.db.Reader().QueryRowContext(ctx, `SELECT l.id, l.time_zone, l.time_zone_time
FROM learner_subjects s JOIN learners l ON l.id = s.learner_id
WHERE s.issuer = $1 AND s.subject = $2`, subject.Issuer, subject.Subject).Scan(&found.LearnerID, &found.TimeZone, &since)
	if errors.Is(err, sql.ErrNoRows) {
		return profile.Resolved{}, profile.SubjectUnknown()
	}
	if err != nil {
		return profile.Resolved{}, sqldb.Classify(err)
	}
	found.TimeZoneTime = sqldb.Time(since)
	return found, nil
}

// columns are a learner's, with the name that queries give the table; subjects follow.
const columns = `l.id, l.display_name, l.email, l.locale, l.time_zone, l.time_zone_time, l.background, l.target_role,
l.goal_minutes, l.goal_units, l.state, l.attributes, l.version, l.create_time, l.update_time, l.revision`

// Learner implements profile.Store.
func (s *Store) Learner(ctx context.Context, id string) (profile.Learner, error) {
	if s.learners == nil {
		return learner(ctx, s.db.Reader(), id)
	}
	found, known, err := s.learners.Get(ctx, id)
	if err == nil && !known {
		err = profile.NotFound(id)
	}
	return found, err
}

// learner reads a learner.
func learner(ctx context.Context, tx sqldb.Tx, id string) (profile.Learner, error) {
	found, err := learnersWhere(ctx, tx, `l.id = $1 ORDER BY s.position`, id)
	if err == nil && len(found) == 0 {
		err = profile.NotFound(id)
	}
	if err != nil {
		return profile.Learner{}, err
	}
	return found[0], nil
}

// collect reads learners of which each has a row per subject, or one row without.
func collect(rows *sql.Rows) ([]profile.Learner, error) {
	defer func() { _ = rows.Close() }()
	var learners []profile.Learner
	for rows.Next() {
		var l profile.Learner
		var since, created, updated int64
		var issuer, subject sql.NullString
		var attributes string
		err := rows.Scan(&l.ID, &l.DisplayName, &l.Email, &l.Locale, &l.TimeZone, &since, &l.Background, &l.TargetRole,
			&l.WeeklyGoal.Minutes, &l.WeeklyGoal.Units, &l.State, &attributes, &l.Version, &created, &updated, &l.Revision, &issuer, &subject)
		if err != nil {
			return nil, sqldb.Classify(err)
		}
		if n := len(learners); n == 0 || learners[n-1].ID != l.ID {
			l.TimeZoneTime, l.CreateTime, l.UpdateTime = sqldb.Time(since), sqldb.Time(created), sqldb.Time(updated)
			if err := decodeAttributes(attributes, &l.Attributes); err != nil {
				return nil, err
			}
			learners = append(learners, l)
		}
		if subject.Valid {
			last := &learners[len(learners)-1]
			last.Subjects = append(last.Subjects, profile.Subject{Issuer: issuer.String, Subject: subject.String})
		}
	}
	return learners, sqldb.Classify(rows.Err())
}

// Edit implements profile.Store.
func (s *Store) Edit(ctx context.Context, f func(ctx context.Context, tx profile.Tx) error) error {
	return s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error { return f(ctx, txn{tx}) })
}

// txn is what is stored inside of Edit.
type txn struct{ sqldb.Tx }

// exclusively ends a SELECT whose rows no other transaction locks so, or changes, until this one ends. Others may
// insert rows that refer to them: they would wait for each other.
func (t txn) exclusively() string {
	if t.Dialect() == sqldb.Postgres {
		return " FOR NO KEY UPDATE"
	}
	return ""
}

// Audit implements profile.Tx.
func (t txn) Audit(ctx context.Context, entries []profile.AuditEntry) error {
	chained := make([]audit.Entry, len(entries))
	for i, e := range entries {
		chained[i] = audit.Entry{Time: e.Time, Actor: e.Actor, Action: e.Action, Resource: e.Resource, Reason: e.Reason}
	}
	return audit.Append(ctx, t.Tx, chained)
}

// FindResponse implements profile.Tx.
func (t txn) FindResponse(ctx context.Context, key idem.Key, now time.Time) (response []byte, found bool, err error) {
	return sqldb.FindIdempotent(ctx, t.Tx, key, now)
}

// SaveResponse implements profile.Tx.
func (t txn) SaveResponse(ctx context.Context, key idem.Key, response []byte, now time.Time) error {
	return sqldb.SaveIdempotent(ctx, t.Tx, key, response, now)
}

// stored are the columns that a learner is inserted with, and fields their values.
const stored = `id, display_name, email, locale, time_zone, time_zone_time, background, target_role,
goal_minutes, goal_units, search_text, version, create_time, update_time, name_key, state, attributes`

// storedCount is how many columns are stored.
const storedCount = 17

func fields(l profile.Learner) []any {
	return []any{
		l.ID, l.DisplayName, l.Email, l.Locale, l.TimeZone, sqldb.Micros(l.TimeZoneTime), string(l.Background), l.TargetRole,
		l.WeeklyGoal.Minutes, l.WeeklyGoal.Units, searchText(l), l.Version,
		sqldb.Micros(l.CreateTime), sqldb.Micros(l.UpdateTime), profile.NameKey(l.DisplayName), string(l.State), encodeAttributes(l.Attributes),
	}
}

// encodeAttributes returns attributes as they are stored: names in order, so that equal ones are equal texts.
func encodeAttributes(attributes map[string]string) string {
	if len(attributes) == 0 {
		return "{}"
	}
	text, err := json.Marshal(attributes)
	if err != nil {
		panic(err) // Texts can always be written.
	}
	return string(text)
}

// decodeAttributes is the reverse; none are nil.
func decodeAttributes(text string, into *map[string]string) error {
	if text == "{}" {
		return nil
	}
	return json.Unmarshal([]byte(text), into)
}

// InsertLearner implements profile.Tx.
func (t txn) InsertLearner(ctx context.Context, l profile.Learner) error {
	if _, err := t.ExecContext(ctx, `INSERT INTO learners (`+stored+`) VALUES `+sqldb.Values(1, storedCount), fields(l)...); err != nil {
		return err
	}
	return insertSubjects(ctx, t.Tx, l)
}

// insertSubjects tries all of them, so that the error can name each that is taken. On
// Postgres an insert waits for another transaction that inserts the same subject.
func insertSubjects(ctx context.Context, tx sqldb.Tx, l profile.Learner) error {
	var taken []int
	for i, subject := range l.Subjects {
		result, err := tx.ExecContext(ctx, `INSERT INTO learner_subjects (issuer, subject, learner_id, position)
VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, subject.Issuer, subject.Subject, l.ID, i)
		if err != nil {
			return err
		}
		inserted, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if inserted == 0 {
			taken = append(taken, i)
		}
	}
	if len(taken) > 0 {
		return profile.SubjectsTaken(taken)
	}
	return nil
}

// LockLearner implements profile.Tx. The lock is a statement of its own because Postgres locks no rows on the far side
// of an outer join.
func (t txn) LockLearner(ctx context.Context, id string) (profile.Learner, error) {
	var locked string
	err := t.QueryRowContext(ctx, `SELECT id FROM learners WHERE id = $1`+t.exclusively(), id).Scan(&locked)
	if errors.Is(err, sql.ErrNoRows) {
		return profile.Learner{}, profile.NotFound(id)
	}
	if err != nil {
		return profile.Learner{}, err
	}
	return learner(ctx, t.Tx, id)
}

// PutLearner implements profile.Tx.
func (t txn) PutLearner(ctx context.Context, before, after profile.Learner) error {
	_, err := t.ExecContext(ctx, `UPDATE learners SET display_name = $2, email = $3, locale = $4, time_zone = $5, time_zone_time = $6,
background = $7, target_role = $8, goal_minutes = $9, goal_units = $10, search_text = $11, version = $12, create_time = $13, update_time = $14,
name_key = $15, state = $16, attributes = $17 WHERE id = $1`, fields(after)...)
	if err != nil || slices.Equal(before.Subjects, after.Subjects) {
		return err
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM learner_subjects WHERE learner_id = $1`, after.ID); err != nil {
		return err
	}
	return insertSubjects(ctx, t.Tx, after)
}

// List implements profile.Store.
func (s *Store) List(ctx context.Context, words []string, order page.Order, after profile.Place, limit int) ([]profile.Learner, error) {
	direction, beyond := "", " > "
	if order.Desc {
		direction, beyond = " DESC", " < "
	}
	column, key := sortColumn(order.Field, after)
	by := "l." + column + direction + ", l.id" + direction
	where, args := matching(words, []any{limit})
	if after.ID != "" {
		args = append(args, key, after.ID)
		where += " AND (l." + column + ", l.id)" + beyond + "($" + strconv.Itoa(len(args)-1) + ", $" + strconv.Itoa(len(args)) + ")"
	}
	rows, err := s.db.Reader().QueryContext(ctx, `SELECT `+columns+`, s.issuer, s.subject
FROM (SELECT `+columns+`, l.name_key FROM learners l WHERE true`+where+` ORDER BY `+by+` LIMIT $1) l
LEFT JOIN learner_subjects s ON s.learner_id = l.id
ORDER BY `+by+`, s.position`, args...)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	return collect(rows)
}

// sortColumn is what a list is ordered by before the id, and its value at a place.
func sortColumn(field string, at profile.Place) (column string, key any) {
	switch field {
	case profile.OrderDisplayName:
		return "name_key", at.NameKey
	case profile.OrderCreateTime:
		return "create_time", sqldb.Micros(at.CreateTime)
	}
	return "id", at.ID
}

// Count implements profile.Store.
func (s *Store) Count(ctx context.Context, words []string) (int, error) {
	where, args := matching(words, nil)
	var n int
	err := s.db.Reader().QueryRowContext(ctx, `SELECT count(*) FROM learners WHERE true`+where, args...).Scan(&n)
	return n, sqldb.Classify(err)
}

// matching continues a WHERE so that each of the folded words is in the search text.
func matching(words []string, args []any) (string, []any) {
	var where strings.Builder
	for _, word := range words {
		args = append(args, escaped(word))
		where.WriteString(` AND search_text LIKE $` + strconv.Itoa(len(args)) + ` ESCAPE '\'`)
	}
	return where.String(), args
}

// searchText holds no word that spans two of its lines, since words hold no line feed.
func searchText(l profile.Learner) string {
	lines := []string{profile.Fold(l.DisplayName), profile.Fold(l.Email)}
	for _, name := range slices.Sorted(maps.Keys(l.Attributes)) {
		lines = append(lines, profile.Fold(l.Attributes[name]))
	}
	return strings.Join(lines, "\n")
}
