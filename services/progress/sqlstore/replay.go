package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/preceptor-dev/preceptor/internal/lease"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// Heads returns at most limit heads after a learner, by id.
func (s *Store) Heads(ctx context.Context, after string, limit int) ([]progress.Head, error) {
	heads, err := queryHeads(ctx, s.db.Reader(), `learner_id > $1 ORDER BY learner_id LIMIT $2`, keyAfter(after), limit)
	if err != nil {
		return nil, sqldb.Classify(err)
	}
	return heads, nil
}

// CountHeads returns how many learners have a head.
func (s *Store) CountHeads(ctx context.Context) (int64, error) {
	var n int64
	if err := s.db.Reader().QueryRowContext(ctx, `SELECT count(*) FROM learner_head`).Scan(&n); err != nil {
		return 0, sqldb.Classify(err)
	}
	return n, nil
}

// Snapshot runs fn on what is stored of a range of learners.
func (s *Store) Snapshot(ctx context.Context, from, to string, fn func(context.Context, progress.Snapshot) error) error {
	return s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error { return fn(ctx, snapshot{tx, key(from), key(to)}) })
}

// snapshot is a progress.Snapshot.
type snapshot struct {
	tx       sqldb.Tx
	from, to any
}

// Revision is the stored catalog's.
func (s snapshot) Revision(ctx context.Context) (int64, error) { return readRevision(ctx, s.tx) }

// Heads returns the learners' heads, by id.
func (s snapshot) Heads(ctx context.Context) ([]progress.Head, error) {
	return queryHeads(ctx, s.tx, ofRange+` ORDER BY learner_id`, s.from, s.to)
}

// factsColumns are all columns of facts, as many as factsWidth: those after the state are their summary.
const (
	factsColumns = `learner_id, module_id, state, fold_key, materials, cycle_state, complete_version, shape`
	factsWidth   = 8
)

// scanFacts reads a row of factsColumns.
func scanFacts(rows *sql.Rows) (f progress.StoredFacts, err error) {
	var row [factsWidth]any
	if err := scanAny(rows, row[:]); err != nil {
		return f, err
	}
	f.LearnerID, f.ModuleID, f.State = idOf(row[0]), textOf(row[1]), bytesOf(row[2])
	f.Summary = progress.Summary{
		Key: textOf(row[3]), Materials: int(intOf(row[4])), CycleState: progress.CycleState(textOf(row[5])), CompleteVersion: int(intOf(row[6])),
		Shape: intOf(row[7]),
	}
	return f, nil
}

// Facts passes the stored facts to visit, by learner.
func (s snapshot) Facts(ctx context.Context, visit func(progress.StoredFacts)) error {
	rows, err := s.tx.QueryContext(ctx, `SELECT `+factsColumns+` FROM module_facts WHERE `+ofRange+` ORDER BY learner_id, module_id`, s.from, s.to)
	return each(rows, err, func(rows *sql.Rows) error {
		f, err := scanFacts(rows)
		if err == nil {
			visit(f)
		}
		return err
	})
}

// Enrollments returns those of all the learners.
func (s snapshot) Enrollments(ctx context.Context) ([]progress.Enrollment, error) {
	return readEnrollments(ctx, s.tx, ofRange+inOrder, s.from, s.to)
}

// Awards returns those of all the learners.
func (s snapshot) Awards(ctx context.Context) ([]progress.Award, error) {
	return readAwards(ctx, s.tx, ofRange, leaveOut, s.from, s.to)
}

// Entries passes the log entries by learner and sequence.
func (s snapshot) Entries(ctx context.Context, visit func(*progress.Record) error) error {
	rows, err := s.tx.QueryContext(ctx, `SELECT `+logColumns+` FROM learner_log WHERE `+ofRange+` ORDER BY learner_id, sequence`, s.from, s.to)
	return each(rows, err, func(rows *sql.Rows) error {
		r, err := scanRecord(rows)
		if err != nil {
			return err
		}
		return visit(&r)
	})
}

// scanAny scans a row as the driver gives it, without the conversions that every typed target costs.
func scanAny(rows *sql.Rows, row []any) error {
	var to [16]any
	for i := range row {
		to[i] = &row[i]
	}
	return rows.Scan(to[:len(row)]...)
}

// textOf, intOf and bytesOf read what scanAny scanned; NULL is nothing.
func textOf(v any) string {
	s, _ := v.(string)
	return s
}

func intOf(v any) int64 {
	n, _ := v.(int64)
	return n
}

func bytesOf(v any) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return textOf(v) // SQLite stores what it is given
}

// rebuildState is how far the rebuild of all learners is. StartedAt, in microseconds, is 0 where none is
// begun and not finished.
type rebuildState struct {
	StartedAt int64  `json:"startedAt"`
	ActorID   string `json:"actorId"`
	Cursor    string `json:"cursor"`
	Done      int64  `json:"done"`
	Total     int64  `json:"total"`
	Entries   int64  `json:"entries"`
	Drifted   int64  `json:"drifted"`
}

// LeaseRebuild returns the rebuild, leased to owner unless another holds it.
func (s *Store) LeaseRebuild(ctx context.Context, owner string, now, until time.Time) (progress.Rebuild, error) {
	l, err := lease.Acquire[rebuildState](ctx, s.db, rebuildJob, owner, now, until)
	if err != nil {
		return progress.Rebuild{}, err
	}
	return progress.Rebuild{
		StartedAt: timeOf(l.State.StartedAt), ActorID: l.State.ActorID, Cursor: l.State.Cursor, Done: l.State.Done, Total: l.State.Total,
		Entries: l.State.Entries, Drifted: l.State.Drifted, Owner: l.Owner, LeaseUntil: l.Until,
	}, nil
}

// FreeRebuild ends the lease of an owner.
func (s *Store) FreeRebuild(ctx context.Context, owner string) error {
	return lease.Release(ctx, s.db, rebuildJob, owner)
}

// SaveRebuild stores the rebuild.
func (s *Store) SaveRebuild(ctx context.Context, r progress.Rebuild) error {
	state := rebuildState{
		StartedAt: microsOf(r.StartedAt), ActorID: r.ActorID, Cursor: r.Cursor, Done: r.Done, Total: r.Total, Entries: r.Entries, Drifted: r.Drifted,
	}
	return lease.Save(ctx, s.db, lease.Lease[rebuildState]{Job: rebuildJob, Owner: r.Owner, Until: r.LeaseUntil, State: state})
}
