package sqlstore

import (
	"context"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// announce gives a learner the feed's next revision. The head's row stays locked until the
// commit, so that revisions are committed in their order and none is lost by a rollback.
// Call it last: all transactions that announce wait for each other here, and none may wait for
// anything else meanwhile.
func announce(ctx context.Context, tx sqldb.Tx, id string) (int64, error) {
	var revision int64
	err := tx.QueryRowContext(ctx, `UPDATE feed_head SET revision = revision + 1 WHERE id = 1 RETURNING revision`).Scan(&revision)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE learners SET revision = $1 WHERE id = $2`, revision, id)
	return revision, err
}

// head returns the feed's newest revision.
func head(ctx context.Context, tx sqldb.Tx) (revision int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT revision FROM feed_head WHERE id = 1`).Scan(&revision)
	return revision, err
}

// Changes implements profile.Store.
func (s *Store) Changes(ctx context.Context, after int64, limit int) (changes []profile.Change, newest int64, err error) {
	// Mostly nothing has changed, and that takes one statement.
	if newest, err = head(ctx, s.db.Reader()); err != nil || newest <= after {
		return nil, newest, sqldb.Classify(err)
	}
	err = s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		changes = nil
		if newest, err = head(ctx, tx); err != nil {
			return err
		}
		// The index holds revisions above 0 only; that $1 is none below it is not known beforehand.
		rows, err := tx.QueryContext(ctx, `SELECT revision, id, time_zone, time_zone_time FROM learners
WHERE revision > 0 AND revision > $1 ORDER BY revision LIMIT $2`, after, limit)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var c profile.Change
			var since int64
			if err := rows.Scan(&c.Revision, &c.LearnerID, &c.TimeZone, &since); err != nil {
				return err
			}
			c.TimeZoneTime = sqldb.Time(since)
			changes = append(changes, c)
		}
		return rows.Err()
	})
	return changes, newest, err
}
