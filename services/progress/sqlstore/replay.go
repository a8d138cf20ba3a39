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
	heads, err := queryHeads(ctx, s.db.Reader(), `learner_id > $1 ORDER BY learner_id LIMIT $2`, after, limit)
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
	return s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error { return fn(ctx, snapshot{tx, from, to}) })
}

// snapshot is a progress.Snapshot.
type snapshot struct {
	tx       sqldb.Tx
	from, to string
}

// Revision is the stored catalog's.
func (s snapshot) Revision(ctx context.Context) (int64, error) { return readRevision(ctx, s.tx) }

// Heads returns the learners' heads, by id.
func (s snapshot) Heads(ctx context.Context) ([]progress.Head, error) {
	return queryHeads(ctx, s.tx, ofRange+` ORDER BY learner_id`, s.from, s.to)
}

// Facts passes the stored facts to visit, by learner.
func (s snapshot) Facts(ctx context.Context, visit func(progress.StoredFacts)) error {
	rows, err := s.tx.QueryContext(ctx, `SELECT learner_id, module_id, first_at, version, cycle, complete_at, complete_version, expire_at,
		fold_key, materials, cycle_state, shape, state FROM module_facts WHERE `+ofRange+` ORDER BY learner_id, module_id`, s.from, s.to)
	return each(rows, err, func(rows *sql.Rows) error {
		var row [13]any
		if err := scanAny(rows, row[:]); err != nil {
			return err
		}
		f := progress.StoredFacts{FactsKey: progress.FactsKey{LearnerID: textOf(row[0]), ModuleID: textOf(row[1])}, State: textOf(row[12])}
		f.Columns.FirstAt, f.Columns.CompleteAt, f.Columns.ExpireAt = intOf(row[2]), intOf(row[5]), intOf(row[7])
		f.Columns.Version, f.Columns.Cycle, f.Columns.CompleteVersion = int(intOf(row[3])), int(intOf(row[4])), int(intOf(row[6]))
		f.Columns.Key, f.Columns.Materials = textOf(row[8]), int(intOf(row[9]))
		f.Columns.CycleState, f.Columns.Shape = progress.CycleState(textOf(row[10])), intOf(row[11])
		visit(f)
		return nil
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

// Entries passes the log entries by learner and sequence. It reads logs as a whole, so what a row
// costs is what counts: a third of a microsecond for each column, with SQLite.
func (s snapshot) Entries(ctx context.Context, visit func(*progress.Record) error) error {
	zones, err := s.zones(ctx)
	if err != nil {
		return err
	}
	rows, err := s.tx.QueryContext(ctx, `SELECT learner_id, record_type, event_id, module_id, module_version, unit_id, verb, score, progress,
		occurred_at, effective_at, actor_id, voids_event_id, body, zone FROM learner_log WHERE `+ofRange+` ORDER BY learner_id, sequence`, s.from, s.to)
	var row [15]any
	var r progress.Record
	return each(rows, err, func(rows *sql.Rows) error {
		if err := scanAny(rows, row[:]); err != nil {
			return err
		}
		r = progress.Record{LearnerID: textOf(row[0]), Type: progress.RecordType(textOf(row[1])), EffectiveAt: sqldb.Time(intOf(row[10])), ActorID: textOf(row[11])}
		if r.Zone = textOf(row[14]); row[14] == nil {
			r.Zone = zones[r.LearnerID]
		}
		if r.Type == progress.RecordEvent {
			r.Event = progress.Event{
				ID: textOf(row[2]), ModuleID: textOf(row[3]), ModuleVersion: int(intOf(row[4])), UnitID: textOf(row[5]), Verb: progress.Verb(textOf(row[6])),
				Score: numberOf(row[7]), Progress: numberOf(row[8]), OccurredAt: sqldb.Time(intOf(row[9])), VoidsEventID: textOf(row[12]),
			}
		}
		if row[13] != nil {
			var err error
			if r.Effects, err = decodeEffects(r.LearnerID, textOf(row[13])); err != nil {
				return err
			}
		}
		return visit(&r)
	})
}

// zones returns the learners' present time zones, which records from before records had one are in.
func (s snapshot) zones(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	rows, err := s.tx.QueryContext(ctx, `SELECT learner_id, time_zone FROM learner_head WHERE `+ofRange, s.from, s.to)
	err = each(rows, err, func(rows *sql.Rows) error {
		var id, zone string
		err := rows.Scan(&id, &zone)
		out[id] = zone
		return err
	})
	return out, err
}

// scanAny scans a row as the driver gives it, without the conversions that every typed target costs.
func scanAny(rows *sql.Rows, row []any) error {
	var to [16]any
	for i := range row {
		to[i] = &row[i]
	}
	return rows.Scan(to[:len(row)]...)
}

// textOf, intOf and numberOf read what scanAny scanned; NULL is nothing.
func textOf(v any) string {
	s, _ := v.(string)
	return s
}

func intOf(v any) int64 {
	n, _ := v.(int64)
	return n
}

func numberOf(v any) *float64 {
	switch n := v.(type) {
	case float64:
		return &n
	case int64:
		return new(float64(n))
	}
	return nil
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
