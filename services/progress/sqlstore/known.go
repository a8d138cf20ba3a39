package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// maxWanted bounds the learners of one question for known events on Postgres: each is planned by itself.
const maxWanted = 16

// KnownEvents returns which of the events are in the log.
func (c *commitTx) KnownEvents(ctx context.Context, keys []progress.EventKey) ([]progress.KnownEvent, error) {
	ask := c.knownByLearner
	if c.tx.Dialect() == sqldb.SQLite {
		ask = c.knownByKey
	}
	var out []progress.KnownEvent
	err := ask(ctx, keys, func(rows *sql.Rows) error {
		r, err := scanRecord(rows)
		out = append(out, progress.KnownEvent{
			LearnerID: r.LearnerID, EventID: r.Event.ID, Sequence: r.Sequence, PayloadHash: r.PayloadHash,
			ModuleID: r.Event.ModuleID, ModuleVersion: r.Event.ModuleVersion, UnitID: r.Event.UnitID, EffectiveAt: r.EffectiveAt,
		})
		return err
	})
	return out, err
}

// knownByKey looks each event up in the index of events. Asked for many ids of one learner by IN, SQLite
// reads the learner's whole log instead. The keys are filled up with NULL to a power of two, so that there
// are few different texts.
func (c *commitTx) knownByKey(ctx context.Context, wanted []progress.EventKey, scan func(*sql.Rows) error) error {
	for piece := range slices.Chunk(wanted, maxRows) {
		n := 1
		for n < len(piece) {
			n *= 2
		}
		args := make([]any, 2*n)
		for i, k := range piece {
			args[2*i], args[2*i+1] = key(k.LearnerID), key(k.EventID)
		}
		rows, err := c.tx.QueryContext(ctx, knownByKeys(n), args...)
		if err := each(rows, err, scan); err != nil {
			return err
		}
	}
	return nil
}

// knownByKeys is the statement for as many events.
func knownByKeys(n int) string {
	return `WITH wanted (l, e) AS (VALUES ` + sqldb.Values(n, 2) + `) SELECT ` + logColumns + `
		FROM wanted w CROSS JOIN learner_log ON learner_id = w.l AND event_id = w.e`
}

// knownByLearner asks for each learner in a part of the statement: their id is a constant then, so that
// Postgres plans, and looks into, their one partition of the log. Joined with a list of all that is wanted
// it plans all 32, and prefers to read the whole log where many are asked about.
func (c *commitTx) knownByLearner(ctx context.Context, keys []progress.EventKey, scan func(*sql.Rows) error) error {
	var learners []string
	wanted := map[string][]string{}
	for _, k := range keys {
		if wanted[k.LearnerID] == nil {
			learners = append(learners, k.LearnerID)
		}
		wanted[k.LearnerID] = append(wanted[k.LearnerID], k.EventID)
	}
	// Alike in number and order, so that there are few different texts.
	slices.SortStableFunc(learners, func(a, b string) int { return cmp.Compare(len(wanted[a]), len(wanted[b])) })
	for piece := range slices.Chunk(learners, maxWanted) {
		query, args := knownEvents(piece, wanted)
		rows, err := c.tx.QueryContext(ctx, query, args...)
		if err := each(rows, err, scan); err != nil {
			return err
		}
	}
	return nil
}

// knownEvents is the statement for some learners. An id is repeated until their number is a power of
// two, for the same reason.
func knownEvents(learners []string, wanted map[string][]string) (string, []any) {
	var query strings.Builder
	args := make([]any, 0, 4*len(learners))
	for i, learner := range learners {
		ids := wanted[learner]
		for len(ids)&(len(ids)-1) != 0 {
			ids = append(ids, ids[0])
		}
		if i > 0 {
			query.WriteString(" UNION ALL ")
		}
		args = append(args, key(learner))
		fmt.Fprintf(&query, `SELECT `+logColumns+` FROM learner_log WHERE learner_id = $%d AND event_id IN %s`, len(args), sqldb.In(len(ids), len(args)+1))
		args = append(args, keys(ids)...)
	}
	return query.String(), args
}
