// Package sqlstore stores learners' logs and facts in SQLite or Postgres, by one SQL text.
package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"io/fs"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

//go:embed migrations
var migrations embed.FS

// Store is a progresstest.Store on a database.
type Store struct {
	db *sqldb.DB

	mu sync.Mutex
	// timeline is an expression for sqldb.DB.Timeline's; "" until it was asked for.
	timeline string
}

// New is a store on a database whose schema Migrations has made.
func New(db *sqldb.DB) *Store { return &Store{db: db} }

// Migrations are the schema's steps, in folders by dialect, for sqldb.DB.Migrate.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return sub
}

// Incarnation returns the database's UUID, made at first sight, and where it came from.
func (s *Store) Incarnation(ctx context.Context) (string, error) {
	fresh, err := uuid.NewRandom()
	if err != nil {
		return "", errs.Wrap(err, errs.Internal, errs.ReasonInternal, "no random numbers")
	}
	var out string
	err = s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO instance (id, incarnation) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`, fresh.String()); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT incarnation FROM instance WHERE id = 1`).Scan(&out)
	})
	if err != nil {
		return "", err
	}
	origin, err := s.db.Origin(ctx, "instance")
	if origin != "" {
		out += "-" + origin
	}
	return out, err
}

// timelineOf is the expression for the line of history, asked for once.
func (s *Store) timelineOf(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timeline == "" {
		var err error
		if s.timeline, err = s.db.Timeline(ctx); err != nil {
			s.timeline = ""
			return "", err
		}
	}
	return s.timeline, nil
}

// Renew gives the database a new incarnation, since it was restored and may have lost what was
// read from it: no answer from before, and no ETag, is taken for one of now. No process may serve
// from it meanwhile.
func (s *Store) Renew(ctx context.Context) error {
	fresh, err := uuid.NewRandom()
	if err != nil {
		return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "no random numbers")
	}
	return s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO instance (id, incarnation) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET incarnation = excluded.incarnation`,
			fresh.String())
		return err
	})
}

// Head returns a learner's head; a zero one where there is no log yet.
func (s *Store) Head(ctx context.Context, learnerID string) (progress.Head, error) {
	timeline, err := s.timelineOf(ctx)
	if err != nil {
		return progress.Head{}, err
	}
	head, err := currentHead(ctx, s.db.Reader(), timeline, learnerID)
	if err != nil {
		return head, sqldb.Classify(err)
	}
	return head, nil
}

// currentHead reads a head with the line of history, which timeline is the expression for, and the
// stored catalog's revision.
func currentHead(ctx context.Context, tx sqldb.Tx, timeline, learnerID string) (progress.Head, error) {
	head := progress.Head{LearnerID: learnerID}
	var since int64
	// One row in any case: a learner without a log is on a line of history, too.
	err := tx.QueryRowContext(ctx, `SELECT coalesce(h.sequence, 0), coalesce(h.version, 0), coalesce(h.known, FALSE), coalesce(h.time_zone, ''),
		coalesce(h.zone_since, 0), coalesce(h.rules, 0), c.revision, `+timeline+`
		FROM catalog_head c LEFT JOIN learner_head h ON h.learner_id = $1 WHERE c.id = 1`, learnerID).
		Scan(&head.Sequence, &head.Version, &head.Known, &head.TimeZone, &since, &head.Rules, &head.Catalog, &head.Timeline)
	head.ZoneSince = timeOf(since)
	return head, err
}

// headColumns are the columns of a head.
const headColumns = `learner_id, sequence, version, known, time_zone, zone_since, rules`

// noTimeline is the expression where nobody asks for the line of history.
const noTimeline = `''`

func queryHeads(ctx context.Context, tx sqldb.Tx, which string, args ...any) ([]progress.Head, error) {
	return queryHeadsOn(ctx, tx, noTimeline, which, args...)
}

// queryHeadsOn is queryHeads with the line of history, which timeline is the expression for; "" for none.
func queryHeadsOn(ctx context.Context, tx sqldb.Tx, timeline, which string, args ...any) ([]progress.Head, error) {
	var out []progress.Head
	rows, err := tx.QueryContext(ctx, `SELECT `+headColumns+`, `+cmp.Or(timeline, noTimeline)+` FROM learner_head WHERE `+which, args...)
	err = each(rows, err, func(rows *sql.Rows) error {
		var h progress.Head
		var since int64
		err := rows.Scan(&h.LearnerID, &h.Sequence, &h.Version, &h.Known, &h.TimeZone, &since, &h.Rules, &h.Timeline)
		h.ZoneSince = timeOf(since)
		out = append(out, h)
		return err
	})
	return out, err
}

func readHead(ctx context.Context, tx sqldb.Tx, learnerID string) (progress.Head, error) {
	heads, err := queryHeads(ctx, tx, ofOne, learnerID)
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
			`SELECT learner_id, sequence FROM learner_head WHERE sequence > 0 AND learner_id IN `+sqldb.In(len(piece), 1), anys(piece)...)
		err = each(rows, err, func(rows *sql.Rows) error {
			var id string
			var sequence int64
			err := rows.Scan(&id, &sequence)
			out[id] = sequence
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
	timeline, err := s.timelineOf(ctx)
	if err != nil {
		return nil, err
	}
	var l *progress.Learner
	err = s.db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		head, err := readHead(ctx, tx, learnerID)
		if err != nil {
			return err
		}
		if l, err = load(ctx, tx, head); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT revision, `+timeline+` FROM catalog_head WHERE id = 1`).Scan(&l.Head.Catalog, &l.Head.Timeline)
	})
	return l, err
}

// load reads what is stored of the learner of a head.
func load(ctx context.Context, tx sqldb.Tx, head progress.Head) (*progress.Learner, error) {
	l := &progress.Learner{Head: head, Facts: map[string]*progress.Facts{}}
	rows, err := tx.QueryContext(ctx, `SELECT module_id, state FROM module_facts WHERE learner_id = $1`, head.LearnerID)
	err = each(rows, err, func(rows *sql.Rows) error {
		var id, state string
		if err := rows.Scan(&id, &state); err != nil {
			return err
		}
		f, err := decodeFacts(state)
		l.Facts[id] = f
		return err
	})
	if err != nil {
		return nil, err
	}
	if l.Enrollments, err = readEnrollments(ctx, tx, openOfOne, head.LearnerID); err != nil {
		return nil, err
	}
	l.Awards, err = readAwards(ctx, tx, ofOne, refuse, head.LearnerID)
	return l, err
}

func decodeFacts(state string) (*progress.Facts, error) {
	f := new(progress.Facts)
	if err := json.Unmarshal([]byte(state), f); err != nil {
		return nil, errs.Wrap(err, errs.Internal, errs.ReasonInternal, "stored facts cannot be read")
	}
	return f, nil
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
