package sqlstore

import (
	"context"
	"database/sql"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// logColumns are all columns of a log entry, as many as logWidth. What no statement asks for is in the
// entry, by progress.AppendEntry.
const (
	logColumns = `learner_id, sequence, received_at, event_id, module_id, voids_event_id, entry`
	logWidth   = 7
)

// selectLog reads log entries of the learner $1.
const selectLog = `SELECT ` + logColumns + ` FROM learner_log WHERE learner_id = $1`

const selectModuleLog = selectLog + ` AND module_id = $2 ORDER BY sequence`

// ModuleLog returns a learner's events of one module, by sequence.
func (s *Store) ModuleLog(ctx context.Context, learnerID, moduleID string) ([]progress.Record, error) {
	records, err := queryLog(ctx, s.db.Reader(), selectModuleLog, key(learnerID), moduleID)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	return records, nil
}

// ModuleLogs returns a learner's events of modules, by module and sequence.
func (s *Store) ModuleLogs(ctx context.Context, learnerID string, moduleIDs []string) (map[string][]progress.Record, error) {
	out := make(map[string][]progress.Record, len(moduleIDs))
	for piece := range slices.Chunk(moduleIDs, maxRows) {
		records, err := queryLog(ctx, s.db.Reader(), selectLog+` AND module_id IN `+sqldb.In(len(piece), 2)+` ORDER BY sequence`,
			append([]any{key(learnerID)}, anys(piece)...)...)
		if err != nil {
			return nil, sqldb.Classify(err)
		}
		for i := range records {
			id := records[i].Event.ModuleID
			out[id] = append(out[id], records[i])
		}
	}
	return out, nil
}

// ModulesAfter returns the modules that a learner has events of after a sequence, by id.
func (s *Store) ModulesAfter(ctx context.Context, learnerID string, after int64) ([]string, error) {
	return column[string](ctx, s.db.Reader(),
		`SELECT DISTINCT module_id FROM learner_log WHERE learner_id = $1 AND sequence > $2 AND module_id IS NOT NULL ORDER BY module_id`, key(learnerID), after)
}

// Log returns at most limit entries after a sequence, with the head of the same snapshot.
func (s *Store) Log(ctx context.Context, learnerID string, after int64, limit int) ([]progress.Record, progress.Head, error) {
	var records []progress.Record
	var head progress.Head
	err := s.onLine(ctx, &head.Timeline, func(mark string) error {
		return s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) (err error) {
			if head, err = currentHead(ctx, tx, mark, learnerID); err != nil {
				return err
			}
			records, err = queryLog(ctx, tx, selectLog+` AND sequence > $2 ORDER BY sequence LIMIT $3`, key(learnerID), after, limit)
			return err
		})
	})
	return records, head, err
}

func queryLog(ctx context.Context, tx sqldb.Tx, query string, args ...any) ([]progress.Record, error) {
	var out []progress.Record
	rows, err := tx.QueryContext(ctx, query, args...)
	err = each(rows, err, func(rows *sql.Rows) error {
		r, err := scanRecord(rows)
		out = append(out, r)
		return err
	})
	return out, err
}

// scanRecord reads a row of logColumns.
func scanRecord(rows *sql.Rows) (r progress.Record, err error) {
	var row [logWidth]any
	if err := scanAny(rows, row[:]); err != nil {
		return r, err
	}
	r.LearnerID, r.Sequence, r.ReceivedAt = idOf(row[0]), intOf(row[1]), sqldb.Time(intOf(row[2]))
	r.Event.ID, r.Event.ModuleID, r.Event.VoidsEventID = idOf(row[3]), textOf(row[4]), idOf(row[5])
	err = progress.DecodeEntry(bytesOf(row[6]), &r)
	return r, err
}

// logRow is a record as the columns of logColumns.
func logRow(r *progress.Record) []any {
	return []any{
		key(r.LearnerID), r.Sequence, r.ReceivedAt.UnixMicro(), optionalKey(r.Event.ID), text(r.Event.ModuleID), optionalKey(r.Event.VoidsEventID),
		progress.AppendEntry(make([]byte, 0, 256), r),
	}
}

// text stores "" as NULL.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func anys[T any](in []T) []any {
	out := make([]any, len(in))
	for i := range in {
		out[i] = in[i]
	}
	return out
}
