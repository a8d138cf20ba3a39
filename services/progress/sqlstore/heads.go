package sqlstore

import (
	"context"
	"database/sql"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// On Postgres, a head costs a round trip and the planning of a query, far more than its row. So those who ask while
// others are being answered ask together. SQLite answers in less time than it takes to agree on that.

// gatherHeads returns the heads of learners, as Head does, from one statement.
func (s *Store) gatherHeads(ctx context.Context, learnerIDs []string) (map[string]progress.Head, error) {
	var heads map[string]progress.Head
	var rest progress.Head // what heads have that come from no row of the learner's
	err := s.onLine(ctx, &rest.Timeline, func(mark string) (err error) {
		heads, err = currentHeads(ctx, s.db.Reader(), mark, learnerIDs, &rest)
		return sqldb.Classify(err)
	})
	if err != nil {
		return nil, err
	}
	for _, id := range learnerIDs {
		h := heads[id]
		h.LearnerID, h.Catalog, h.Timeline = id, rest.Catalog, rest.Timeline
		heads[id] = h
	}
	return heads, nil
}

// currentHeads is currentHead for many learners. Those without a log are absent; rest gets what they have, too.
func currentHeads(ctx context.Context, tx sqldb.Tx, mark string, learnerIDs []string, rest *progress.Head) (map[string]progress.Head, error) {
	out := make(map[string]progress.Head, len(learnerIDs))
	rows, err := tx.QueryContext(ctx, `SELECT `+headColumns+`, revision, read_mark FROM heads_of($1, `+mark+`)`, learnerIDs)
	err = each(rows, err, func(rows *sql.Rows) error {
		var h progress.Head
		var since int64
		err := rows.Scan((*id)(&h.LearnerID), &h.Sequence, &h.Version, &h.Known, &h.TimeZone, &since, &h.Rules, &rest.Catalog, &rest.Timeline)
		h.ZoneSince = timeOf(since)
		out[h.LearnerID] = h
		return err
	})
	return out, err
}
