package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// survey is a progress.Survey.
type survey struct{ tx sqldb.Tx }

// Survey runs fn on one snapshot.
func (s *Store) Survey(ctx context.Context, fn func(context.Context, progress.Survey) error) error {
	return s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error { return fn(ctx, survey{tx}) })
}

// FactsGroups returns how many learners have facts of a module, by what their summaries say. The
// index module_facts_summary has all that it reads, in the order of the groups.
func (s survey) FactsGroups(ctx context.Context, moduleID string) ([]progress.FactsGroup, error) {
	var out []progress.FactsGroup
	rows, err := s.tx.QueryContext(ctx, `SELECT fold_key, materials, cycle_state, complete_version, count(*) FROM module_facts WHERE module_id = $1
		GROUP BY fold_key, materials, cycle_state, complete_version`, moduleID)
	err = each(rows, err, func(rows *sql.Rows) error {
		var g progress.FactsGroup
		var version sql.NullInt64
		err := rows.Scan(&g.Key, &g.Materials, &g.CycleState, &version, &g.Learners)
		g.CompleteVersion = int(version.Int64)
		out = append(out, g)
		return err
	})
	return out, err
}

// inGroup is a WHERE for the facts of a group, and its arguments, in the order of the index.
func inGroup(moduleID string, g *progress.FactsGroup) (where string, args []any) {
	where = ` WHERE module_id = $1 AND fold_key = $2 AND materials = $3 AND cycle_state = $4 AND complete_version `
	args = append(make([]any, 0, 5), moduleID, g.Key, g.Materials, g.CycleState)
	if g.CompleteVersion == 0 {
		return where + `IS NULL`, args
	}
	return where + `= $5`, append(args, g.CompleteVersion)
}

// FactsShapes returns the shapes of a group's facts, from the index alone.
func (s survey) FactsShapes(ctx context.Context, moduleID string, g progress.FactsGroup) ([]progress.FactsShape, error) {
	var out []progress.FactsShape
	where, args := inGroup(moduleID, &g)
	first := `min(learner_id)`
	if s.tx.Dialect() == sqldb.Postgres {
		first = `min(learner_id::text)` // of uuid there is none
	}
	rows, err := s.tx.QueryContext(ctx, `SELECT `+first+`, count(*) FROM module_facts`+where+` GROUP BY shape`, args...)
	err = each(rows, err, func(rows *sql.Rows) error {
		var shape progress.FactsShape
		err := rows.Scan((*id)(&shape.LearnerID), &shape.Learners)
		out = append(out, shape)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].Facts, err = s.facts(ctx, out[i].LearnerID, moduleID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s survey) facts(ctx context.Context, learnerID, moduleID string) (*progress.Facts, error) {
	var state string
	err := s.tx.QueryRowContext(ctx, `SELECT state FROM module_facts WHERE learner_id = $1 AND module_id = $2`, key(learnerID), moduleID).Scan(&state)
	if err != nil {
		return nil, err
	}
	return progress.DecodeFacts(state)
}

// FactsOf returns the facts of learners of a group, by a walk along the index.
func (s survey) FactsOf(ctx context.Context, moduleID string, g progress.FactsGroup, after string, limit int) ([]progress.LearnerFacts, error) {
	where, args := inGroup(moduleID, &g)
	n := len(args)
	out := make([]progress.LearnerFacts, 0, limit)
	rows, err := s.tx.QueryContext(ctx, fmt.Sprintf(`SELECT learner_id, state FROM module_facts%s AND learner_id > $%d ORDER BY learner_id LIMIT $%d`,
		where, n+1, n+2), append(args, keyAfter(after), limit)...)
	err = each(rows, err, func(rows *sql.Rows) error {
		var l progress.LearnerFacts
		var state string
		if err := rows.Scan((*id)(&l.LearnerID), &state); err != nil {
			return err
		}
		var err error
		l.Facts, err = progress.DecodeFacts(state)
		out = append(out, l)
		return err
	})
	return out, err
}

// Head is Store.Head in the snapshot.
func (s survey) Head(ctx context.Context, learnerID string) (progress.Head, error) {
	return readHead(ctx, s.tx, learnerID)
}

// ModuleLog is Store.ModuleLog in the snapshot.
func (s survey) ModuleLog(ctx context.Context, learnerID, moduleID string) ([]progress.Record, error) {
	return queryLog(ctx, s.tx, selectModuleLog, key(learnerID), moduleID)
}

// Enrollments counts the enrollments in the paths that are not withdrawn.
func (s survey) Enrollments(ctx context.Context, pathIDs []string) ([]progress.PinnedEnrollments, error) {
	var out []progress.PinnedEnrollments
	for piece := range slices.Chunk(pathIDs, maxRows) {
		rows, err := s.tx.QueryContext(ctx, `SELECT path_id, path_version, count(*) FROM enrollment
			WHERE state <> 'WITHDRAWN' AND path_id IN `+sqldb.In(len(piece), 1)+` GROUP BY path_id, path_version ORDER BY path_id, path_version`, anys(piece)...)
		err = each(rows, err, func(rows *sql.Rows) error {
			var e progress.PinnedEnrollments
			err := rows.Scan(&e.PathID, &e.PathVersion, &e.Count)
			out = append(out, e)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// NotBegun counts the learners of the index enrollment_open without those whom other indexes have: that is
// several times as fast as a look at the facts of each. SQLite takes away at most 498 groups at once.
func (s survey) NotBegun(ctx context.Context, q progress.NotBegun) (int64, error) {
	if len(q.On) == 0 {
		return 0, nil
	}
	var text strings.Builder
	var args []any
	mark := func(value any) string {
		args = append(args, value)
		return "$" + strconv.Itoa(len(args))
	}
	text.WriteString(`SELECT count(*) FROM (SELECT DISTINCT learner_id FROM enrollment WHERE state <> 'WITHDRAWN' AND (`)
	for i, on := range q.On {
		if i > 0 {
			text.WriteString(" OR ")
		}
		text.WriteString("(path_id = " + mark(on.PathID) + " AND path_version = " + mark(on.PathVersion) + ")")
	}
	text.WriteString(")")
	one := ""
	if q.LearnerID != "" {
		one = " AND learner_id = " + mark(key(q.LearnerID))
		text.WriteString(one)
	} else {
		text.WriteString(` EXCEPT SELECT learner_id FROM module_facts WHERE cycle_state IN ('OPEN', 'DONE') AND module_id = ` + mark(q.ModuleID))
	}
	for _, group := range q.Groups {
		text.WriteString(` EXCEPT SELECT learner_id FROM module_facts WHERE complete_version IS NOT NULL` + one +
			` AND module_id IN ` + sqldb.In(len(group), len(args)+1) + ` GROUP BY learner_id HAVING count(*) = `)
		args = append(args, anys(group)...)
		text.WriteString(mark(len(group)))
	}
	text.WriteString(") AS left_over")
	var n int64
	err := s.tx.QueryRowContext(ctx, text.String(), args...).Scan(&n)
	return n, err
}

// AwardsHeld counts the awards of milestones that are not revoked.
func (s survey) AwardsHeld(ctx context.Context, pathID string, milestoneIDs []string) (int64, error) {
	var out int64
	for piece := range slices.Chunk(milestoneIDs, maxRows) {
		var n int64
		err := s.tx.QueryRowContext(ctx, `SELECT count(*) FROM award WHERE revoke_at IS NULL AND path_id = $1 AND milestone_id IN `+sqldb.In(len(piece), 2),
			append([]any{pathID}, anys(piece)...)...).Scan(&n)
		if err != nil {
			return 0, err
		}
		out += n
	}
	return out, nil
}

// Outdated returns learners with facts whose summary is not as it should be. Each module is asked
// about by itself: its part of the index is read once, where one question about many modules would
// read the whole table.
func (s *Store) Outdated(ctx context.Context, modules []progress.Freshness, after string, limit int) ([]string, error) {
	var out []string
	for _, m := range modules {
		ids, err := column[id](ctx, s.db.Reader(), `SELECT learner_id FROM module_facts WHERE module_id = $1 AND learner_id > $2
			AND (fold_key <> $3 OR (materials <> $4 AND cycle_state <> 'NONE')) ORDER BY learner_id LIMIT $5`,
			m.ModuleID, keyAfter(after), m.Key, m.Materials, limit)
		if err != nil {
			return nil, err
		}
		out = append(out, ids...)
		slices.Sort(out)
		out = slices.Compact(out)
		out = out[:min(limit, len(out))]
	}
	return out, nil
}
