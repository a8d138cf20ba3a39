package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// commitTx is a progress.Tx.
type commitTx struct {
	tx sqldb.Tx
	// lines are the lines of history that are known, and mark the expression for the mark of one; nil and ""
	// where nobody asks for it.
	lines *lines
	mark  string
	heads map[string]*progress.Head
	was   map[string]progress.Head
	// summaries are how the facts that were read or written stand in their index.
	summaries map[progress.FactsKey]progress.Summary
}

// Commit runs fn with the learners' heads locked, in one transaction.
func (s *Store) Commit(ctx context.Context, learnerIDs []string, fn func(context.Context, progress.Tx) error) error {
	ids := slices.Sorted(slices.Values(learnerIDs))
	for attempt := 1; ; attempt++ {
		mark, err := s.markOf(ctx)
		if err != nil {
			return err
		}
		err = s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
			c := &commitTx{tx: tx, lines: &s.lines, mark: mark, summaries: map[progress.FactsKey]progress.Summary{}}
			if err := c.lock(ctx, ids); err != nil {
				return err
			}
			if err := fn(ctx, c); err != nil {
				return err
			}
			return c.saveHeads(ctx, ids)
		})
		if !errors.Is(err, errUnknownLine) || attempt == settleAttempts {
			return err
		}
		if err := s.settle(ctx); err != nil {
			return err
		}
	}
}

// lock reads the heads in id order, so that two transactions never wait for each other in a
// circle. Those that are missing stay so: a learner's head is made where profile or a token tells of them,
// and nowhere else, or one that is gone for good might come again.
func (c *commitTx) lock(ctx context.Context, ids []string) error {
	c.heads, c.was = make(map[string]*progress.Head, len(ids)), make(map[string]progress.Head, len(ids))
	for piece := range slices.Chunk(ids, maxRows) {
		if err := c.readHeads(ctx, piece); err != nil {
			return err
		}
	}
	return nil
}

// lockOrMake is lock, with the heads that are missing made first.
func (c *commitTx) lockOrMake(ctx context.Context, ids []string) error {
	if err := c.lock(ctx, ids); err != nil {
		return err
	}
	var missing []any
	for _, id := range ids {
		if c.heads[id] == nil {
			missing = append(missing, key(id), 0, 0, progress.RulesVersion)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := c.insert(ctx, insertHeads, 4, missing, ` ON CONFLICT (learner_id) DO NOTHING`); err != nil {
		return err
	}
	return c.lock(ctx, ids) // read again: another transaction may have made and used one meanwhile
}

func (c *commitTx) readHeads(ctx context.Context, ids []string) error {
	heads, err := queryHeadsOn(ctx, c.tx, c.mark, `learner_id IN `+sqldb.In(len(ids), 1)+` ORDER BY learner_id`+c.tx.Dialect().ForUpdate(), keys(ids)...)
	if err != nil {
		return err
	}
	for i := range heads {
		h := &heads[i]
		if c.lines != nil {
			var known bool
			if h.Timeline, known = c.lines.of(h.Timeline); !known {
				return errUnknownLine
			}
		}
		c.heads[h.LearnerID], c.was[h.LearnerID] = h, *h
	}
	return nil
}

// insertHeads begins a statement that writes what a commit may change of heads.
const insertHeads = `INSERT INTO learner_head (learner_id, sequence, version, rules) VALUES `

func (c *commitTx) saveHeads(ctx context.Context, ids []string) error {
	var args []any
	for _, id := range ids {
		if h := c.heads[id]; h != nil && *h != c.was[id] {
			args = append(args, key(id), h.Sequence, h.Version, h.Rules)
		}
	}
	return c.insert(ctx, insertHeads, 4, args,
		` ON CONFLICT (learner_id) DO UPDATE SET sequence = excluded.sequence, version = excluded.version, rules = excluded.rules`)
}

// maxRows bounds the rows of one statement: far below what any driver takes, and few enough
// different texts that their plans stay cached.
const maxRows = 256

// insert writes rows of the given number of columns: on Postgres in as few statements as that takes, on SQLite,
// where that costs less, one after the other.
func (c *commitTx) insert(ctx context.Context, head string, columns int, args []any, tail string) error {
	if c.tx.Dialect() == sqldb.SQLite {
		_, err := sqldb.ExecRows(ctx, c.tx, head+sqldb.Values(1, columns)+tail, columns, args)
		return err
	}
	for piece := range slices.Chunk(args, maxRows*columns) {
		if _, err := c.tx.ExecContext(ctx, head+sqldb.Values(len(piece)/columns, columns)+tail, piece...); err != nil {
			return err
		}
	}
	return nil
}

// Head returns a locked head; nil where the learner has none.
func (c *commitTx) Head(learnerID string) *progress.Head { return c.heads[learnerID] }

// EventByID returns one stored event.
func (c *commitTx) EventByID(ctx context.Context, learnerID, eventID string) (progress.Record, error) {
	records, err := queryLog(ctx, c.tx, selectLog+` AND event_id = $2`, key(learnerID), key(eventID))
	if err != nil {
		return progress.Record{}, err
	}
	if len(records) == 0 {
		return progress.Record{}, errs.New(errs.NotFound, errs.ReasonEventNotFound, "the log has no event %s", eventID)
	}
	return records[0], nil
}

// IsVoided reports whether the log has a void of the event.
func (c *commitTx) IsVoided(ctx context.Context, learnerID, eventID string) (bool, error) {
	var n int
	err := c.tx.QueryRowContext(ctx, `SELECT count(*) FROM learner_log WHERE learner_id = $1 AND voids_event_id = $2`, key(learnerID), key(eventID)).Scan(&n)
	return n > 0, err
}

// Facts returns the stored facts of the keys.
func (c *commitTx) Facts(ctx context.Context, keys []progress.FactsKey) (map[progress.FactsKey]*progress.Facts, error) {
	out := make(map[progress.FactsKey]*progress.Facts, len(keys))
	for piece := range slices.Chunk(keys, maxRows) {
		args := make([]any, 0, 2*len(piece))
		for _, k := range piece {
			args = append(args, key(k.LearnerID), k.ModuleID)
		}
		wanted := sqldb.Values(len(piece), 2)
		if c.tx.Dialect() == sqldb.Postgres { // which takes them for texts
			wanted = strings.Replace(wanted, "$1", "$1::uuid", 1)
		}
		rows, err := c.tx.QueryContext(ctx, `WITH wanted (l, m) AS (VALUES `+wanted+`)
			SELECT `+factsColumns+` FROM wanted w JOIN module_facts f ON f.learner_id = w.l AND f.module_id = w.m`, args...)
		err = each(rows, err, func(rows *sql.Rows) error {
			s, err := scanFacts(rows)
			if err != nil {
				return err
			}
			c.summaries[s.FactsKey] = s.Summary
			out[s.FactsKey], err = progress.DecodeFacts(s.State)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ModuleLog is Store.ModuleLog inside the transaction.
func (c *commitTx) ModuleLog(ctx context.Context, learnerID, moduleID string) ([]progress.Record, error) {
	return queryLog(ctx, c.tx, selectModuleLog, key(learnerID), moduleID)
}

// Append writes log entries.
func (c *commitTx) Append(ctx context.Context, records []progress.Record) error {
	args := make([]any, 0, logWidth*len(records))
	for i := range records {
		args = append(args, logRow(&records[i])...)
	}
	return c.insert(ctx, `INSERT INTO learner_log (`+logColumns+`) VALUES `, logWidth, args, ``)
}

// PutFacts writes facts, with the columns that previews and reports ask for. SQLite writes an index
// anew for whatever column of it is set, changed or not: so facts that are known to stay where they
// are in it, as mostly, have a statement that leaves it alone.
func (c *commitTx) PutFacts(ctx context.Context, facts map[progress.FactsKey]*progress.Facts) error {
	keys := make([]progress.FactsKey, 0, len(facts))
	for k := range facts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b progress.FactsKey) int {
		return cmp.Or(cmp.Compare(a.LearnerID, b.LearnerID), cmp.Compare(a.ModuleID, b.ModuleID))
	})
	var staying, moving []any
	for _, k := range keys {
		now := facts[k].Summary()
		row := []any{
			key(k.LearnerID), k.ModuleID, progress.AppendFacts(make([]byte, 0, 256), facts[k]), now.Key, now.Materials, now.CycleState,
			nullIfZero(int64(now.CompleteVersion)), now.Shape,
		}
		switch was, known := c.summaries[k]; {
		case !known || was != now:
			moving = append(moving, row...)
		case c.tx.Dialect() == sqldb.SQLite:
			staying = append(staying, row[:3]...)
		default:
			staying = append(staying, row...)
		}
		c.summaries[k] = now
	}
	const insert = `INSERT INTO module_facts (` + factsColumns + `) VALUES `
	const update = ` ON CONFLICT (learner_id, module_id) DO UPDATE SET state = excluded.state`
	const move = `, fold_key = excluded.fold_key, materials = excluded.materials, cycle_state = excluded.cycle_state,
		complete_version = excluded.complete_version, shape = excluded.shape`
	if err := c.insert(ctx, insert, factsWidth, moving, update+move); err != nil {
		return err
	}
	if c.tx.Dialect() == sqldb.SQLite {
		_, err := sqldb.ExecRows(ctx, c.tx, `UPDATE module_facts SET state = $3 WHERE learner_id = $1 AND module_id = $2`, 3, staying)
		return err
	}
	return c.insert(ctx, insert, factsWidth, staying, update)
}

// DropFacts takes stored facts away.
func (c *commitTx) DropFacts(ctx context.Context, keys []progress.FactsKey) error {
	for _, k := range keys {
		if _, err := c.tx.ExecContext(ctx, `DELETE FROM module_facts WHERE learner_id = $1 AND module_id = $2`, key(k.LearnerID), k.ModuleID); err != nil {
			return err
		}
	}
	return nil
}

// Snapshot returns what is stored of one learner, as this transaction sees it.
func (c *commitTx) Snapshot(learnerID string) progress.Snapshot {
	return snapshot{c.tx, key(learnerID), key(learnerID)}
}

// nullIfZero stores 0 as NULL.
func nullIfZero(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// Audit appends entries to the chain of admin commands.
func (c *commitTx) Audit(ctx context.Context, entries []progress.AuditEntry) error {
	chained := make([]audit.Entry, len(entries))
	for i, e := range entries {
		chained[i] = audit.Entry{Time: e.Time, Actor: e.Actor, Action: e.Action, Resource: e.Resource, Reason: e.Reason}
	}
	return audit.Append(ctx, c.tx, chained)
}

// FindIdempotent returns the stored answer of a create.
func (c *commitTx) FindIdempotent(ctx context.Context, key idem.Key, now time.Time) ([]byte, bool, error) {
	return sqldb.FindIdempotent(ctx, c.tx, key, now)
}

// SaveIdempotent stores the answer of a create.
func (c *commitTx) SaveIdempotent(ctx context.Context, key idem.Key, answer []byte, now time.Time) error {
	return sqldb.SaveIdempotent(ctx, c.tx, key, answer, now)
}
