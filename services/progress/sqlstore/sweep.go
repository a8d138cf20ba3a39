package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// LeaseSweep answers the sweep, leased to owner, or nil while another holds it.
func (s *Store) LeaseSweep(ctx context.Context, owner string, now, until time.Time) (*progress.Sweep, error) {
	var out *progress.Sweep
	err := s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		out = nil
		var w progress.Sweep
		var at, toAt, held int64
		row := tx.QueryRowContext(ctx, `SELECT revision, at, to_revision, to_at, cursor_id, owner, lease_until FROM sweep WHERE id = 1`+tx.Dialect().ForUpdate())
		if err := row.Scan(&w.Revision, &at, &w.ToRevision, &toAt, &w.Cursor, &w.Owner, &held); err != nil {
			return err
		}
		ours, err := lease(ctx, tx, "sweep", w.Owner, held, owner, now, until)
		if ours {
			w.At, w.ToAt, w.Owner, w.LeaseUntil = timeOf(at), timeOf(toAt), owner, until
			out = &w
		}
		return err
	})
	return out, err
}

// SaveSweep stores the sweep.
func (s *Store) SaveSweep(ctx context.Context, w progress.Sweep) error {
	return s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE sweep SET revision = $1, at = $2, to_revision = $3, to_at = $4, cursor_id = $5, lease_until = $6
			WHERE id = 1 AND owner = $7`,
			w.Revision, microsOf(w.At), w.ToRevision, microsOf(w.ToAt), w.Cursor, microsOf(w.LeaseUntil), w.Owner)
		return leased(res, err, "sweep")
	})
}

// Enrolled answers learners with an enrollment in one of the paths.
func (s *Store) Enrolled(ctx context.Context, pathIDs []string, after string, limit int) ([]string, error) {
	args := append([]any{after, limit}, anys(pathIDs)...)
	return s.learnerIDs(ctx,
		`SELECT DISTINCT learner_id FROM enrollment WHERE learner_id > $1 AND state <> 'WITHDRAWN' AND path_id IN `+sqldb.In(len(pathIDs), 3)+
			` ORDER BY learner_id LIMIT $2`, args...)
}

// learnerIDs answers a query for learners' ids.
func (s *Store) learnerIDs(ctx context.Context, query string, args ...any) ([]string, error) {
	var out []string
	rows, err := s.db.Reader().QueryContext(ctx, query, args...)
	err = each(rows, err, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		out = append(out, id)
		return err
	})
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	return out, nil
}

// timeOf reads 0 as no time, microsOf writes it.
func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return sqldb.Time(micros)
}

func microsOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
