package sqlstore

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// Head implements profile.Tx. The head's row stays locked until the commit, so that revisions are committed in their
// order and none is lost by a rollback.
func (t txn) Head(ctx context.Context) (h profile.Head, err error) {
	err = t.QueryRowContext(ctx, `SELECT revision, rules FROM feed_head WHERE id = 1`+t.Dialect().ForUpdate()).Scan(&h.Revision, &h.Rules)
	return h, err
}

// RaiseRules implements profile.Tx.
func (t txn) RaiseRules(ctx context.Context) error {
	_, err := t.ExecContext(ctx, `UPDATE feed_head SET rules = rules + 1 WHERE id = 1`)
	return err
}

// changeColumns are how many columns a change has.
const changeColumns = 5

// Announce implements profile.Tx.
func (t txn) Announce(ctx context.Context, learnerID string, changes []profile.Change) (revision int64, err error) {
	err = t.QueryRowContext(ctx, `UPDATE feed_head SET revision = revision + $1 WHERE id = 1 RETURNING revision`, len(changes)).Scan(&revision)
	if err != nil {
		return 0, err
	}
	var rows []any
	for i, c := range changes {
		learner, cohort, body, err := encode(c)
		if err != nil {
			return 0, err
		}
		rows = append(rows, revision-int64(len(changes)-1-i), sqldb.Micros(c.Time), learner, cohort, body)
	}
	if err := insertRows(ctx, t.Tx, `INSERT INTO feed_changes (revision, change_time, learner_id, cohort_id, body) VALUES `, changeColumns, rows, ``); err != nil {
		return 0, err
	}
	if learnerID != "" {
		_, err = t.ExecContext(ctx, `UPDATE learners SET revision = $1 WHERE id = $2`, revision, learnerID)
	}
	return revision, err
}

// maxRows bounds the rows of one statement, far below what any driver takes.
const maxRows = 256

// insertRows runs an insert for rows of so many columns, some at a time.
func insertRows(ctx context.Context, tx sqldb.Tx, insert string, columns int, args []any, rest string) error {
	for piece := range slices.Chunk(args, maxRows*columns) {
		if _, err := tx.ExecContext(ctx, insert+sqldb.Values(len(piece)/columns, columns)+rest, piece...); err != nil {
			return err
		}
	}
	return nil
}

// The bodies of changes. What is not set is not written.
type (
	learnerBody struct {
		Zone     string `json:"zone,omitempty"`
		ZoneTime int64  `json:"zoneTime"`
		State    string `json:"state"`
		HireDate string `json:"hireDate,omitempty"`
	}
	cohortBody struct {
		Title    string   `json:"title"`
		Managers []string `json:"managers,omitempty"`
		Deleted  bool     `json:"deleted,omitempty"`
	}
	membershipBody struct {
		Member   bool  `json:"member"`
		JoinTime int64 `json:"joinTime"`
	}
)

// encode returns a change as it is stored.
func encode(c profile.Change) (learnerID, cohortID, body string, err error) {
	var value any
	switch {
	case c.Learner != nil:
		l := c.Learner
		learnerID, value = l.ID, learnerBody{Zone: l.TimeZone, ZoneTime: sqldb.Micros(l.TimeZoneTime), State: string(l.State), HireDate: l.HireDate}
	case c.Cohort != nil:
		cohortID, value = c.Cohort.ID, cohortBody{Title: c.Cohort.Title, Managers: c.Cohort.ManagerIDs, Deleted: c.Cohort.Deleted}
	default:
		m := c.Membership
		learnerID, cohortID, value = m.LearnerID, m.CohortID, membershipBody{Member: m.Member, JoinTime: sqldb.Micros(m.JoinTime)}
	}
	text, err := json.Marshal(value)
	return learnerID, cohortID, string(text), err
}

// decode is the reverse of encode: which of the ids are set says what the change is about.
func decode(c *profile.Change, learnerID, cohortID, body string) error {
	switch {
	case cohortID == "":
		var b learnerBody
		err := json.Unmarshal([]byte(body), &b)
		c.Learner = &profile.LearnerChange{
			ID: learnerID, TimeZone: b.Zone, TimeZoneTime: sqldb.Time(b.ZoneTime), State: profile.State(b.State), HireDate: b.HireDate,
		}
		return err
	case learnerID == "":
		var b cohortBody
		err := json.Unmarshal([]byte(body), &b)
		c.Cohort = &profile.CohortChange{ID: cohortID, Title: b.Title, ManagerIDs: b.Managers, Deleted: b.Deleted}
		return err
	}
	var b membershipBody
	err := json.Unmarshal([]byte(body), &b)
	c.Membership = &profile.MembershipChange{CohortID: cohortID, LearnerID: learnerID, Member: b.Member, JoinTime: sqldb.Time(b.JoinTime)}
	return err
}

// newest returns the feed's newest revision.
func newest(ctx context.Context, tx sqldb.Tx) (revision int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT revision FROM feed_head WHERE id = 1`).Scan(&revision)
	return revision, err
}

// Changes implements profile.Store.
func (s *Store) Changes(ctx context.Context, after int64, limit int) (changes []profile.Change, head int64, err error) {
	// Mostly nothing has changed, and that takes one statement.
	if head, err = newest(ctx, s.db.Reader()); err != nil || head <= after {
		return nil, head, sqldb.Classify(err)
	}
	err = s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		if head, err = newest(ctx, tx); err != nil {
			return err
		}
		changes, err = query(ctx, tx, func(row scanner) (profile.Change, error) {
			var c profile.Change
			var at int64
			var learner, cohort, body string
			if err := row.Scan(&c.Revision, &at, &learner, &cohort, &body); err != nil {
				return c, err
			}
			c.Time = sqldb.Time(at)
			return c, decode(&c, learner, cohort, body)
		}, `SELECT revision, change_time, learner_id, cohort_id, body FROM feed_changes WHERE revision > $1 ORDER BY revision LIMIT $2`, after, limit)
		return err
	})
	return changes, head, err
}

// scanner is a row.
type scanner interface{ Scan(into ...any) error }

// query reads all rows of a statement.
func query[T any](ctx context.Context, tx sqldb.Tx, scan func(scanner) (T, error), text string, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// nullable is a time that may be none.
func nullable(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return sqldb.Micros(t)
}
