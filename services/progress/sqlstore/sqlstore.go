// Package sqlstore stores learners' logs and facts in SQLite or Postgres, by one SQL text.
package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
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
	head := progress.Head{LearnerID: learnerID}
	// One row in any case: a learner without a log is on a line of history, too.
	err = s.db.Reader().QueryRowContext(ctx, `SELECT coalesce(h.sequence, 0), coalesce(h.version, 0), coalesce(h.time_zone, ''), c.revision, `+timeline+`
		FROM catalog_head c LEFT JOIN learner_head h ON h.learner_id = $1 WHERE c.id = 1`, learnerID).
		Scan(&head.Sequence, &head.Version, &head.TimeZone, &head.Catalog, &head.Timeline)
	if err != nil {
		return head, sqldb.Classify(err)
	}
	return head, nil
}

func readHead(ctx context.Context, tx sqldb.Tx, learnerID string) (progress.Head, error) {
	head := progress.Head{LearnerID: learnerID}
	err := tx.QueryRowContext(ctx, `SELECT sequence, version, time_zone FROM learner_head WHERE learner_id = $1`, learnerID).
		Scan(&head.Sequence, &head.Version, &head.TimeZone)
	if errors.Is(err, sql.ErrNoRows) {
		return head, nil
	}
	return head, err
}

// Sequences returns the sequences of many learners' heads.
func (s *Store) Sequences(ctx context.Context, learnerIDs []string) (map[string]int64, error) {
	out := make(map[string]int64, len(learnerIDs))
	for piece := range slices.Chunk(learnerIDs, maxRows) {
		rows, err := s.db.Reader().QueryContext(ctx,
			`SELECT learner_id, sequence FROM learner_head WHERE learner_id IN `+sqldb.In(len(piece), 1), anys(piece)...)
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
	if l.Enrollments, err = readEnrollments(ctx, tx, ofOne, head.LearnerID); err != nil {
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

func readEnrollments(ctx context.Context, tx sqldb.Tx, whose string, args ...any) ([]progress.Enrollment, error) {
	var out []progress.Enrollment
	rows, err := tx.QueryContext(
		ctx,
		`SELECT learner_id, enrollment_id, path_id, path_version, state, enroll_at, update_at, previous_percent, percent_change_reason
		FROM enrollment WHERE `+whose+` ORDER BY learner_id, enroll_at, enrollment_id`,
		args...,
	)
	err = each(rows, err, func(rows *sql.Rows) error {
		var e progress.Enrollment
		var enrolled, updated int64
		var previous sql.NullInt64
		var why sql.NullString
		if err := rows.Scan(&e.LearnerID, &e.ID, &e.PathID, &e.PathVersion, &e.State, &enrolled, &updated, &previous, &why); err != nil {
			return err
		}
		e.EnrollTime, e.UpdateTime, e.PercentChangeReason = sqldb.Time(enrolled), sqldb.Time(updated), why.String
		if previous.Valid {
			p := int(previous.Int64)
			e.PreviousPercent = &p
		}
		out = append(out, e)
		return nil
	})
	return out, err
}

// refuse and leaveOut say what happens to a part of an award that cannot be read.
func refuse(err error) error {
	return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a stored award cannot be read")
}

func leaveOut(error) error { return nil }

func readAwards(ctx context.Context, tx sqldb.Tx, whose string, harmed func(error) error, args ...any) ([]progress.Award, error) {
	var out []progress.Award
	rows, err := tx.QueryContext(
		ctx,
		`SELECT learner_id, award_id, path_id, path_version, milestone_id, title, award_at, from_sequence, to_sequence, completions, rule,
		revoke_at, revoke_reason FROM award WHERE `+whose+` ORDER BY learner_id, award_at, award_id`,
		args...,
	)
	err = each(rows, err, func(rows *sql.Rows) error {
		var a progress.Award
		var at int64
		var completions, rule string
		var revoked sql.NullInt64
		var why sql.NullString
		err := rows.Scan(&a.LearnerID, &a.ID, &a.PathID, &a.PathVersion, &a.MilestoneID, &a.Title, &at, &a.FromSequence, &a.ToSequence,
			&completions, &rule, &revoked, &why)
		if err != nil {
			return err
		}
		a.AwardTime, a.RevokeTime, a.RevokeReason = sqldb.Time(at), sqldb.NullTime(revoked), why.String
		if err := errors.Join(json.Unmarshal([]byte(completions), &a.Completions), json.Unmarshal([]byte(rule), &a.Rule)); err != nil {
			if err := harmed(err); err != nil {
				return err
			}
		}
		out = append(out, a)
		return nil
	})
	return out, err
}

// FindLink returns the learner of an identity.
func (s *Store) FindLink(ctx context.Context, issuer, subject string) (progress.Link, error) {
	var l progress.Link
	err := s.db.Reader().
		QueryRowContext(ctx, `SELECT learner_id, time_zone FROM subject_link WHERE issuer = $1 AND subject = $2`, issuer, subject).
		Scan(&l.LearnerID, &l.TimeZone)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return l, errs.New(errs.NotFound, errs.ReasonLinkNotFound, "the identity is not known here")
	case err != nil:
		return l, sqldb.Classify(err)
	}
	return l, nil
}

// SaveLink stores an identity's learner.
func (s *Store) SaveLink(ctx context.Context, issuer, subject string, link progress.Link) error {
	return s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO subject_link (issuer, subject, learner_id, time_zone) VALUES ($1, $2, $3, $4)
			ON CONFLICT (issuer, subject) DO UPDATE SET learner_id = excluded.learner_id, time_zone = excluded.time_zone`,
			issuer, subject, link.LearnerID, link.TimeZone)
		if err != nil || link.TimeZone == "" {
			return err // the feed says it where profile has forgotten one
		}
		return saveZone(ctx, tx, progress.LearnerZone(link))
	})
}

// ZoneRevision returns profile's revision that the learners' time zones are known up to.
func (s *Store) ZoneRevision(ctx context.Context) (int64, error) {
	var revision int64
	err := s.db.Reader().QueryRowContext(ctx, `SELECT revision FROM zone_head WHERE id = 1`).Scan(&revision)
	if err != nil {
		return 0, sqldb.Classify(err)
	}
	return revision, nil
}

// SaveZones sets learners' time zones, in id order as Commit locks heads.
func (s *Store) SaveZones(ctx context.Context, revision int64, zones []progress.LearnerZone) error {
	zones = slices.SortedFunc(slices.Values(zones), func(a, b progress.LearnerZone) int { return cmp.Compare(a.LearnerID, b.LearnerID) })
	return s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE zone_head SET revision = $1 WHERE id = 1 AND revision < $1`, revision)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		for _, z := range zones {
			if err := saveZone(ctx, tx, z); err != nil {
				return err
			}
		}
		return nil
	})
}

// saveZone raises the head's version where the zone changes: answers that were computed in the old
// one are old. Where facts stand is not known then until they are folded again.
func saveZone(ctx context.Context, tx sqldb.Tx, z progress.LearnerZone) error {
	res, err := tx.ExecContext(ctx, `INSERT INTO learner_head (learner_id, sequence, version, time_zone) VALUES ($1, 0, 1, $2)
		ON CONFLICT (learner_id) DO UPDATE SET version = learner_head.version + 1, time_zone = excluded.time_zone
		WHERE learner_head.time_zone <> excluded.time_zone`, z.LearnerID, z.TimeZone)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE module_facts SET cycle_state = $1 WHERE learner_id = $2`, progress.CycleUnknown, z.LearnerID)
	return err
}
