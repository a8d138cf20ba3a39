package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// logColumns are all columns of a log entry, as many as logWidth.
const (
	logColumns = logBefore + `, zone, ` + logAfter
	logBefore  = `learner_id, sequence, record_type, event_id, payload_hash, module_id, module_version, unit_id, verb, score, progress,
	occurred_at, received_at, effective_at, adjusted`
	logAfter = `device_id, device_zone, actor_id, reason, voids_event_id, body`
	logWidth = 22
)

// selectLog reads log entries of the learner $1. A record from before records had a time zone has the
// learner's present one; the question for that is not asked where no record needs it.
const selectLog = `SELECT ` + logBefore + `, coalesce(zone, (SELECT time_zone FROM learner_head WHERE learner_id = $1), ''), ` + logAfter + `
	FROM learner_log WHERE learner_id = $1`

const selectModuleLog = selectLog + ` AND module_id = $2 ORDER BY sequence`

// ModuleLog returns a learner's events of one module, by sequence.
func (s *Store) ModuleLog(ctx context.Context, learnerID, moduleID string) ([]progress.Record, error) {
	records, err := queryLog(ctx, s.db.Reader(), selectModuleLog, learnerID, moduleID)
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
			append([]any{learnerID}, anys(piece)...)...)
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
	return s.ids(ctx,
		`SELECT DISTINCT module_id FROM learner_log WHERE learner_id = $1 AND sequence > $2 AND module_id IS NOT NULL ORDER BY module_id`, learnerID, after)
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
			records, err = queryLog(ctx, tx, selectLog+` AND sequence > $2 ORDER BY sequence LIMIT $3`, learnerID, after, limit)
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

func scanRecord(rows *sql.Rows) (progress.Record, error) {
	var r progress.Record
	var eventID, moduleID, unitID, verb, deviceID, deviceZone, reason, voids, body sql.NullString
	var hash []byte
	var version, occurred sql.NullInt64
	var score, share sql.NullFloat64
	var received, effective int64
	err := rows.Scan(&r.LearnerID, &r.Sequence, &r.Type, &eventID, &hash, &moduleID, &version, &unitID, &verb, &score, &share,
		&occurred, &received, &effective, &r.Adjusted, &r.Zone, &deviceID, &deviceZone, &r.ActorID, &reason, &voids, &body)
	if err != nil {
		return r, err
	}
	r.ReceivedAt, r.EffectiveAt = sqldb.Time(received), sqldb.Time(effective)
	copy(r.PayloadHash[:], hash)
	r.Event = progress.Event{
		ID:            eventID.String,
		ModuleID:      moduleID.String,
		ModuleVersion: int(version.Int64),
		UnitID:        unitID.String,
		Verb:          progress.Verb(verb.String),
		Score:         share64(score),
		Progress:      share64(share),
		OccurredAt:    sqldb.NullTime(occurred),
		DeviceID:      deviceID.String,
		TimeZone:      deviceZone.String,
		Reason:        reason.String,
		VoidsEventID:  voids.String,
	}
	if r.Type != progress.RecordEvent {
		r.Reason, r.Event.Reason = reason.String, ""
	}
	if body.Valid {
		r.Effects, err = decodeEffects(r.LearnerID, body.String)
	}
	return r, err
}

func decodeEffects(learnerID, body string) (*progress.Effects, error) {
	out := new(progress.Effects)
	if err := json.Unmarshal([]byte(body), out); err != nil {
		return nil, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a stored log entry cannot be read")
	}
	for i := range out.Enrollments {
		out.Enrollments[i].LearnerID = learnerID
	}
	for i := range out.Awards {
		out.Awards[i].LearnerID = learnerID
		out.Awards[i].Number = max(out.Awards[i].Number, 1) // entries from before awards had one are of first ones
	}
	return out, nil
}

func share64(f sql.NullFloat64) *float64 {
	if !f.Valid {
		return nil
	}
	return &f.Float64
}

// logRow is a record as the columns of logColumns.
func logRow(r *progress.Record) ([]any, error) {
	e := &r.Event
	var body any
	if r.Effects != nil {
		text, err := json.Marshal(r.Effects)
		if err != nil {
			return nil, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a log entry cannot be stored")
		}
		body = string(text)
	}
	if r.Type == progress.RecordEvent {
		return []any{
			r.LearnerID, r.Sequence, r.Type, e.ID, r.PayloadHash[:], e.ModuleID, e.ModuleVersion, text(e.UnitID), e.Verb, number(e.Score), number(e.Progress),
			e.OccurredAt.UnixMicro(), r.ReceivedAt.UnixMicro(), r.EffectiveAt.UnixMicro(), r.Adjusted, r.Zone, text(e.DeviceID),
			text(e.TimeZone), r.ActorID, text(e.Reason),
			text(e.VoidsEventID), body,
		}, nil
	}
	return []any{
		r.LearnerID, r.Sequence, r.Type, nil, nil, nil, nil, nil, nil, nil, nil,
		nil, r.ReceivedAt.UnixMicro(), r.EffectiveAt.UnixMicro(), r.Adjusted, r.Zone, nil, nil, r.ActorID, text(r.Reason), nil, body,
	}, nil
}

// text stores "" as NULL, number nil.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func number(f *float64) any {
	if f == nil {
		return nil
	}
	return *f
}

func anys[T any](in []T) []any {
	out := make([]any, len(in))
	for i := range in {
		out[i] = in[i]
	}
	return out
}
