// Package sqlstore stores learners' logs and facts in SQLite or Postgres, by one SQL text.
package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"maps"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/gather"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/tagged"
	"github.com/preceptor-dev/preceptor/services/progress"
)

//go:embed migrations
var migrations embed.FS

// Store is a progresstest.Store on a database.
type Store struct {
	db *sqldb.DB

	lines lines
	heads *gather.Gatherer[string, progress.Head] // nil on SQLite
}

// New is a store on a database whose schema Migrations has made.
func New(db *sqldb.DB) *Store {
	s := &Store{db: db}
	if db.Dialect() == sqldb.Postgres {
		s.heads = gather.New(s.gatherHeads)
	}
	return s
}

// Migrations are the schema's steps, in folders by dialect, for sqldb.DB.Migrate.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return sub
}

// Head returns a learner's head; a zero one where there is no log yet.
func (s *Store) Head(ctx context.Context, learnerID string) (progress.Head, error) {
	if _, valid := tagged.ParseUUID(learnerID); s.heads != nil && valid { // else it fails, by itself
		head, _, err := s.heads.Get(ctx, learnerID)
		return head, err
	}
	var head progress.Head
	err := s.onLine(ctx, &head.Timeline, func(mark string) (err error) {
		head, err = currentHead(ctx, s.db.Reader(), mark, learnerID)
		return sqldb.Classify(err)
	})
	return head, err
}

// currentHead reads a head with the stored catalog's revision, and with the mark of the line of history,
// which mark is the expression for.
func currentHead(ctx context.Context, tx sqldb.Tx, mark, learnerID string) (progress.Head, error) {
	head := progress.Head{LearnerID: learnerID}
	var since int64
	// One row in any case: a learner without a log is on a line of history, too.
	err := tx.QueryRowContext(ctx, `SELECT coalesce(h.sequence, 0), coalesce(h.version, 0), coalesce(h.known, FALSE), coalesce(h.time_zone, ''),
		coalesce(h.zone_since, 0), coalesce(h.rules, 0), c.revision, `+mark+`
		FROM catalog_head c LEFT JOIN learner_head h ON h.learner_id = $1 WHERE c.id = 1`, key(learnerID)).
		Scan(&head.Sequence, &head.Version, &head.Known, &head.TimeZone, &since, &head.Rules, &head.Catalog, &head.Timeline)
	head.ZoneSince = timeOf(since)
	return head, err
}

// headColumns are the columns of a head.
const headColumns = `learner_id, sequence, version, known, time_zone, zone_since, rules`

// noMark is the expression where nobody asks for the line of history.
const noMark = `''`

func queryHeads(ctx context.Context, tx sqldb.Tx, which string, args ...any) ([]progress.Head, error) {
	return queryHeadsOn(ctx, tx, noMark, which, args...)
}

// queryHeadsOn is queryHeads with the mark of the line of history, which mark is the expression for; "" for none.
func queryHeadsOn(ctx context.Context, tx sqldb.Tx, mark, which string, args ...any) ([]progress.Head, error) {
	var out []progress.Head
	rows, err := tx.QueryContext(ctx, `SELECT `+headColumns+`, `+cmp.Or(mark, noMark)+` FROM learner_head WHERE `+which, args...)
	err = each(rows, err, func(rows *sql.Rows) error {
		var h progress.Head
		var since int64
		err := rows.Scan((*id)(&h.LearnerID), &h.Sequence, &h.Version, &h.Known, &h.TimeZone, &since, &h.Rules, &h.Timeline)
		h.ZoneSince = timeOf(since)
		out = append(out, h)
		return err
	})
	return out, err
}

func readHead(ctx context.Context, tx sqldb.Tx, learnerID string) (progress.Head, error) {
	heads, err := queryHeads(ctx, tx, ofOne, key(learnerID))
	if err != nil || len(heads) == 0 {
		return progress.Head{LearnerID: learnerID}, err
	}
	return heads[0], nil
}

// Sequences returns the sequences of many learners' heads.
func (s *Store) Sequences(ctx context.Context, learnerIDs []string) (map[string]int64, error) {
	out := make(map[string]int64, len(learnerIDs))
	for piece := range slices.Chunk(learnerIDs, maxRows) {
		rows, err := s.db.Reader().QueryContext(ctx,
			`SELECT learner_id, sequence FROM learner_head WHERE sequence > 0 AND learner_id IN `+sqldb.In(len(piece), 1), keys(piece)...)
		err = each(rows, err, func(rows *sql.Rows) error {
			var learner id
			var sequence int64
			err := rows.Scan(&learner, &sequence)
			out[string(learner)] = sequence
			return err
		})
		if err != nil {
			return nil, sqldb.Classify(err)
		}
	}
	return out, nil
}

// Load returns all that is stored of a learner, from one snapshot.
func (s *Store) Load(ctx context.Context, learnerID string) (*progress.Learner, error) {
	var l *progress.Learner
	var line string
	err := s.onLine(ctx, &line, func(mark string) error {
		return s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
			head, err := readHead(ctx, tx, learnerID)
			if err != nil {
				return err
			}
			loaded := map[string]*progress.Learner{learnerID: {Head: head, Facts: map[string]*progress.Facts{}}}
			if err := load(ctx, tx, loaded); err != nil {
				return err
			}
			l = loaded[learnerID]
			return tx.QueryRowContext(ctx, `SELECT revision, `+mark+` FROM catalog_head WHERE id = 1`).Scan(&l.Head.Catalog, &line)
		})
	})
	if err != nil {
		return nil, err
	}
	l.Head.Timeline = line
	return l, nil
}

// load completes learners, of whom the heads are there, in three statements for each maxRows of them.
func load(ctx context.Context, tx sqldb.Tx, of map[string]*progress.Learner) error {
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(of)), maxRows) {
		among := `learner_id IN ` + sqldb.In(len(ids), 1)
		rows, err := tx.QueryContext(ctx, `SELECT learner_id, module_id, state FROM module_facts WHERE `+among, keys(ids)...)
		err = each(rows, err, func(rows *sql.Rows) error {
			var learner id
			var moduleID, state string
			if err := rows.Scan(&learner, &moduleID, &state); err != nil {
				return err
			}
			f, err := progress.DecodeFacts(state)
			of[string(learner)].Facts[moduleID] = f
			return err
		})
		if err != nil {
			return err
		}
		enrollments, err := readEnrollments(ctx, tx, among+notWithdrawn, keys(ids)...)
		if err != nil {
			return err
		}
		for _, e := range enrollments {
			of[e.LearnerID].Enrollments = append(of[e.LearnerID].Enrollments, e)
		}
		awards, err := readAwards(ctx, tx, among, refuse, keys(ids)...)
		if err != nil {
			return err
		}
		for _, a := range awards {
			of[a.LearnerID].Awards = append(of[a.LearnerID].Awards, a)
		}
	}
	return nil
}

// each runs f on every row, and closes them. err is what the query answered.
func each(rows *sql.Rows, err error, f func(*sql.Rows) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// ofOne and ofRange choose whose rows are read.
const (
	ofOne   = `learner_id = $1`
	ofRange = `learner_id >= $1 AND learner_id <= $2`
)
