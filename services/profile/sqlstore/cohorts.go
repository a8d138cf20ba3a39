package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// cohortColumns are a cohort's, with the name that queries give the table.
const cohortColumns = `c.id, c.title, c.kind, c.rule, c.rule_version, c.evaluating, c.evaluated, c.version, c.create_time, c.update_time`

func scanCohort(row scanner, more ...any) (profile.Cohort, error) {
	var c profile.Cohort
	var created, updated int64
	err := row.Scan(append([]any{
		&c.ID, &c.Title, &c.Kind, &c.Rule, &c.RuleVersion, &c.Evaluating, &c.Evaluated, &c.Version, &created, &updated,
	}, more...)...)
	c.CreateTime, c.UpdateTime = sqldb.Time(created), sqldb.Time(updated)
	return c, err
}

// managers returns the managers of cohorts, by cohort.
func managers(ctx context.Context, tx sqldb.Tx, cohortIDs []string) (map[string][]string, error) {
	found := map[string][]string{}
	_, err := query(ctx, tx, func(row scanner) (struct{}, error) {
		var cohort, learner string
		err := row.Scan(&cohort, &learner)
		found[cohort] = append(found[cohort], learner)
		return struct{}{}, err
	}, `SELECT cohort_id, learner_id FROM cohort_managers WHERE cohort_id IN `+sqldb.In(len(cohortIDs), 1)+` ORDER BY cohort_id, position`, anys(cohortIDs)...)
	return found, err
}

func anys(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}

// Cohort implements profile.Store.
func (s *Store) Cohort(ctx context.Context, id string) (profile.Cohort, error) {
	found, err := s.cohortsWhere(ctx, `c.id = $1`, id)
	if err == nil && len(found) == 0 {
		err = profile.CohortNotFound(id)
	}
	if err != nil {
		return profile.Cohort{}, err
	}
	return found[0], nil
}

// ListCohorts implements profile.Store.
func (s *Store) ListCohorts(ctx context.Context, filter profile.CohortFilter, after string, limit int) ([]profile.Cohort, error) {
	where, args := matching(filter.Words, []any{after, limit})
	if filter.ManagerID != "" {
		args = append(args, filter.ManagerID)
		where += ` AND c.id IN (SELECT m.cohort_id FROM cohort_managers m JOIN learners l ON l.id = m.learner_id
WHERE m.learner_id = $` + strconv.Itoa(len(args)) + ` AND l.state = 'ACTIVE')`
	}
	return s.cohortsWhere(ctx, `c.id > $1`+where+` ORDER BY c.id LIMIT $2`, args...)
}

// cohortsWhere reads cohorts that were not deleted, from one snapshot.
func (s *Store) cohortsWhere(ctx context.Context, which string, args ...any) (cohorts []profile.Cohort, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		cohorts, err = query(ctx, tx, func(row scanner) (profile.Cohort, error) {
			var n profile.CohortCounts
			c, err := scanCohort(row, &n.Members, &n.RuleErrors, &n.RuleError)
			c.Counts = n
			return c, err
		}, `SELECT `+cohortColumns+`,
(SELECT count(*) FROM cohort_spans s WHERE s.cohort_id = c.id AND s.leave_time IS NULL),
(SELECT count(*) FROM cohort_rule_errors e WHERE e.cohort_id = c.id),
COALESCE((SELECT min(e.error) FROM cohort_rule_errors e WHERE e.cohort_id = c.id), '')
FROM cohorts c WHERE c.delete_time IS NULL AND `+which, args...)
		if err != nil {
			return err
		}
		ids := make([]string, len(cohorts))
		for i, c := range cohorts {
			ids[i] = c.ID
		}
		managed, err := managers(ctx, tx, ids)
		for i := range cohorts {
			cohorts[i].ManagerIDs = managed[cohorts[i].ID]
		}
		return err
	})
	return cohorts, err
}

// spanColumns are a span's, with the name that queries give the table.
const spanColumns = `s.cohort_id, s.learner_id, s.number, s.join_time, s.count_time, s.join_reason, s.leave_time, s.leave_reason`

func scanSpan(row scanner, more ...any) (profile.Span, error) {
	var s profile.Span
	var joined, counts int64
	var left sql.NullInt64
	err := row.Scan(append([]any{&s.CohortID, &s.LearnerID, &s.Number, &joined, &counts, &s.JoinReason, &left, &s.LeaveReason}, more...)...)
	s.JoinTime, s.CountTime, s.LeaveTime = sqldb.Time(joined), sqldb.Time(counts), sqldb.NullTime(left)
	return s, err
}

// Members implements profile.Store.
func (s *Store) Members(ctx context.Context, cohortID, after string, limit int) ([]profile.Member, error) {
	found, err := query(ctx, s.db.Reader(), func(row scanner) (profile.Member, error) {
		var name string
		span, err := scanSpan(row, &name)
		return profile.Member{LearnerID: span.LearnerID, DisplayName: name, Span: span}, err
	}, `SELECT `+spanColumns+`, l.display_name FROM cohort_spans s JOIN learners l ON l.id = s.learner_id JOIN cohorts c ON c.id = s.cohort_id
WHERE s.cohort_id = $1 AND s.learner_id > $2 AND s.leave_time IS NULL AND c.delete_time IS NULL ORDER BY s.learner_id LIMIT $3`, cohortID, after, limit)
	return found, sqldb.Classify(err)
}

// Spans implements profile.Store.
func (s *Store) Spans(ctx context.Context, cohortID, learnerID string) (spans []profile.Span, ruleError string, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		spans, err = query(ctx, tx, func(row scanner) (profile.Span, error) { return scanSpan(row) },
			`SELECT `+spanColumns+` FROM cohort_spans s WHERE s.cohort_id = $1 AND s.learner_id = $2 ORDER BY s.number`, cohortID, learnerID)
		if err != nil {
			return err
		}
		ruleError = ""
		err := tx.QueryRowContext(ctx, `SELECT error FROM cohort_rule_errors WHERE cohort_id = $1 AND learner_id = $2`, cohortID, learnerID).Scan(&ruleError)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return spans, ruleError, err
}

// Rules implements profile.Store.
func (s *Store) Rules(ctx context.Context) (set profile.RuleSet, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT rules FROM feed_head WHERE id = 1`).Scan(&set.Version); err != nil {
			return err
		}
		set.Rules, err = query(ctx, tx, func(row scanner) (r profile.CohortRule, err error) {
			err = row.Scan(&r.CohortID, &r.Version, &r.Text)
			return r, err
		}, `SELECT id, rule_version, rule FROM cohorts WHERE kind = 'RULE' AND delete_time IS NULL ORDER BY id`)
		return err
	})
	return set, err
}

// Evaluating implements profile.Store.
func (s *Store) Evaluating(ctx context.Context) ([]string, error) {
	found, err := query(ctx, s.db.Reader(), scanText, `SELECT id FROM cohorts WHERE evaluating ORDER BY id`)
	return found, sqldb.Classify(err)
}

func scanText(row scanner) (text string, err error) {
	err = row.Scan(&text)
	return text, err
}

// ManagesLearner implements profile.Store.
func (s *Store) ManagesLearner(ctx context.Context, managerID, learnerID string) (bool, error) {
	return s.exists(ctx, `SELECT 1 FROM cohort_managers m JOIN learners l ON l.id = m.learner_id JOIN cohorts c ON c.id = m.cohort_id
JOIN cohort_spans s ON s.cohort_id = m.cohort_id
WHERE m.learner_id = $1 AND l.state = 'ACTIVE' AND c.delete_time IS NULL AND s.learner_id = $2 AND s.leave_time IS NULL LIMIT 1`, managerID, learnerID)
}

// ManagesCohort implements profile.Store.
func (s *Store) ManagesCohort(ctx context.Context, managerID, cohortID string) (bool, error) {
	return s.exists(ctx, `SELECT 1 FROM cohort_managers m JOIN learners l ON l.id = m.learner_id JOIN cohorts c ON c.id = m.cohort_id
WHERE m.learner_id = $1 AND l.state = 'ACTIVE' AND c.delete_time IS NULL AND m.cohort_id = $2`, managerID, cohortID)
}

func (s *Store) exists(ctx context.Context, text string, args ...any) (bool, error) {
	var one int
	err := s.db.Reader().QueryRowContext(ctx, text, args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, sqldb.Classify(err)
}

// LockCohort implements profile.Tx.
func (t txn) LockCohort(ctx context.Context, id string) (profile.Cohort, error) {
	c, err := scanCohort(t.QueryRowContext(ctx, `SELECT `+cohortColumns+` FROM cohorts c WHERE c.id = $1 AND c.delete_time IS NULL`+t.exclusively(), id))
	if errors.Is(err, sql.ErrNoRows) {
		return c, profile.CohortNotFound(id)
	}
	if err != nil {
		return c, err
	}
	managed, err := managers(ctx, t.Tx, []string{id})
	c.ManagerIDs = managed[id]
	return c, err
}

func cohortFields(c profile.Cohort) []any {
	return []any{
		c.ID, c.Title, profile.Fold(c.Title), string(c.Kind), c.Rule, c.RuleVersion, c.Evaluating, c.Evaluated, c.Version,
		sqldb.Micros(c.CreateTime), sqldb.Micros(c.UpdateTime), nullable(c.DeleteTime),
	}
}

// InsertCohort implements profile.Tx.
func (t txn) InsertCohort(ctx context.Context, c profile.Cohort) error {
	result, err := t.ExecContext(ctx, `INSERT INTO cohorts (id, title, search_text, kind, rule, rule_version, evaluating, evaluated, version,
create_time, update_time, delete_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`, cohortFields(c)...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return profile.CohortExists(c.ID)
	}
	return t.insertManagers(ctx, c)
}

// PutCohort implements profile.Tx.
func (t txn) PutCohort(ctx context.Context, c profile.Cohort) error {
	_, err := t.ExecContext(ctx, `UPDATE cohorts SET title = $2, search_text = $3, kind = $4, rule = $5, rule_version = $6, evaluating = $7,
evaluated = $8, version = $9, create_time = $10, update_time = $11, delete_time = $12 WHERE id = $1`, cohortFields(c)...)
	if err != nil {
		return err
	}
	before, err := managers(ctx, t.Tx, []string{c.ID})
	if err != nil || slices.Equal(before[c.ID], c.ManagerIDs) {
		return err
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM cohort_managers WHERE cohort_id = $1`, c.ID); err != nil {
		return err
	}
	return t.insertManagers(ctx, c)
}

func (t txn) insertManagers(ctx context.Context, c profile.Cohort) error {
	rows := make([]any, 0, 3*len(c.ManagerIDs))
	for i, id := range c.ManagerIDs {
		rows = append(rows, c.ID, id, i)
	}
	return insertRows(ctx, t.Tx, `INSERT INTO cohort_managers (cohort_id, learner_id, position) VALUES `, 3, rows, ``)
}

// StandingsOf implements profile.Tx.
func (t txn) StandingsOf(ctx context.Context, learnerID string) (map[string]profile.Standing, error) {
	return t.standings(ctx, func(cohort, _ string) string { return cohort }, `learner_id = $1`, learnerID)
}

// StandingsIn implements profile.Tx.
func (t txn) StandingsIn(ctx context.Context, cohortID string, learnerIDs []string) (map[string]profile.Standing, error) {
	return t.standings(ctx, func(_, learner string) string { return learner },
		`cohort_id = $1 AND learner_id IN `+sqldb.In(len(learnerIDs), 2), append([]any{cohortID}, anys(learnerIDs)...)...)
}

// standings reads spans and errors, of which the newest span of a learner in a cohort counts.
func (t txn) standings(ctx context.Context, key func(cohort, learner string) string, which string, args ...any) (map[string]profile.Standing, error) {
	found := map[string]profile.Standing{}
	spans, err := query(ctx, t.Tx, func(row scanner) (profile.Span, error) { return scanSpan(row) },
		`SELECT `+spanColumns+` FROM cohort_spans s WHERE `+which+` ORDER BY s.number`, args...)
	if err != nil {
		return nil, err
	}
	for _, span := range spans {
		found[key(span.CohortID, span.LearnerID)] = profile.Standing{Span: span}
	}
	faults, err := query(ctx, t.Tx, func(row scanner) (f profile.Standing, err error) {
		err = row.Scan(&f.CohortID, &f.LearnerID, &f.RuleError)
		return f, err
	}, `SELECT cohort_id, learner_id, error FROM cohort_rule_errors WHERE `+which, args...)
	for _, fault := range faults {
		k := key(fault.CohortID, fault.LearnerID)
		standing := found[k]
		standing.CohortID, standing.LearnerID, standing.RuleError = fault.CohortID, fault.LearnerID, fault.RuleError
		found[k] = standing
	}
	return found, err
}

// insertSpans and what follows its rows.
const (
	insertSpans = `INSERT INTO cohort_spans (cohort_id, learner_id, number, join_time, count_time, join_reason, leave_time, leave_reason) VALUES `
	orLeave     = ` ON CONFLICT (cohort_id, learner_id, number) DO UPDATE SET leave_time = excluded.leave_time, leave_reason = excluded.leave_reason`
	spanFields  = 8
)

func spanArgs(s profile.Span) []any {
	return []any{s.CohortID, s.LearnerID, s.Number, sqldb.Micros(s.JoinTime), sqldb.Micros(s.CountTime), s.JoinReason, nullable(s.LeaveTime), s.LeaveReason}
}

// SaveStandings implements profile.Tx.
func (t txn) SaveStandings(ctx context.Context, standings []profile.Standing) error {
	var spans, faults, sound []any
	for _, s := range standings {
		if s.Number > 0 {
			spans = append(spans, spanArgs(s.Span)...)
		}
		if s.RuleError != "" {
			faults = append(faults, s.CohortID, s.LearnerID, s.RuleError)
		} else {
			sound = append(sound, s.CohortID, s.LearnerID)
		}
	}
	if err := insertRows(ctx, t.Tx, insertSpans, spanFields, spans, orLeave); err != nil {
		return err
	}
	if err := insertRows(ctx, t.Tx, `DELETE FROM cohort_rule_errors WHERE (cohort_id, learner_id) IN (VALUES `, 2, sound, `)`); err != nil {
		return err
	}
	return insertRows(ctx, t.Tx, `INSERT INTO cohort_rule_errors (cohort_id, learner_id, error) VALUES `, 3, faults,
		` ON CONFLICT (cohort_id, learner_id) DO UPDATE SET error = excluded.error`)
}

// placeholders of attributes and states.
const factColumns = `id, state, attributes`

func scanFacts(row scanner) (profile.LearnerFacts, error) {
	var l profile.LearnerFacts
	var text string
	if err := row.Scan(&l.ID, &l.Facts.State, &text); err != nil {
		return l, err
	}
	return l, decodeAttributes(text, &l.Facts.Attributes)
}

// FactsAfter implements profile.Tx.
func (t txn) FactsAfter(ctx context.Context, after string, limit int) ([]profile.LearnerFacts, error) {
	return query(ctx, t.Tx, scanFacts, `SELECT `+factColumns+` FROM learners WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// LockFacts implements profile.Tx.
func (t txn) LockFacts(ctx context.Context, ids []string) ([]profile.LearnerFacts, error) {
	return query(ctx, t.Tx, scanFacts, `SELECT `+factColumns+` FROM learners WHERE id IN `+sqldb.In(len(ids), 1)+` ORDER BY id`+t.exclusively(), anys(ids)...)
}

// Unknown implements profile.Tx.
func (t txn) Unknown(ctx context.Context, ids []string) ([]string, error) {
	known, err := query(ctx, t.Tx, scanText, `SELECT id FROM learners WHERE id IN `+sqldb.In(len(ids), 1), anys(ids)...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(known, id) }), nil
}

// EachFacts implements profile.Store.
func (s *Store) EachFacts(ctx context.Context, f func(id string, facts profile.Facts) error) error {
	rows, err := s.db.Reader().QueryContext(ctx, `SELECT `+factColumns+` FROM learners ORDER BY id`)
	if err != nil {
		return sqldb.Classify(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		l, err := scanFacts(rows)
		if err != nil {
			return sqldb.Classify(err)
		}
		if err := f(l.ID, l.Facts); err != nil {
			return err
		}
	}
	return sqldb.Classify(rows.Err())
}

// Names implements profile.Store.
func (s *Store) Names(ctx context.Context, ids []string) (map[string]string, error) {
	names := make(map[string]string, len(ids))
	_, err := query(ctx, s.db.Reader(), func(row scanner) (struct{}, error) {
		var id, name string
		err := row.Scan(&id, &name)
		names[id] = name
		return struct{}{}, err
	}, `SELECT id, display_name FROM learners WHERE id IN `+sqldb.In(len(ids), 1), anys(ids)...)
	return names, sqldb.Classify(err)
}

// escaped is a folded word as a pattern of LIKE has it.
func escaped(word string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(word) + "%"
}
