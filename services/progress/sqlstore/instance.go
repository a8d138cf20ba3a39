package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// The row of the table instance names the line of history: a UUID, the incarnation, and beside it the
// origin that it was used on. What was read is filed under the incarnation, so it must be another one
// when the database is a copy, or goes on from an earlier state. Each query that reads a head reads a
// mark with it: the timeline, when the server was started, and the table's number. It names no table, which
// would double the time of planning a query that is asked with each request. A mark that was seen before
// costs nothing more. For another one, settle compares the origin that is stored with the present one, and
// where they differ renews the incarnation, before anything of that line is returned.

// lines are the lines of history that this process has seen.
type lines struct {
	mu sync.Mutex
	// by has the line of each mark, and unsettled those of a database that takes no writes.
	by, unsettled map[string]string
	// mark is the expression for a mark, here for the origin that the row is on, and stamp for the one that
	// it is on after an update; "" until the database was asked for them.
	mark, here, stamp string
	// renewed is called with what was renewed; it may be nil.
	renewed func(why, was, is string)
}

// maxLines bounds the marks that are remembered: a server that is restarted has another.
const maxLines = 16

// settleAttempts is how often something is read or written anew because the server behind it is another.
const settleAttempts = 3

// errUnknownLine ends what was read or written on a line of history that settle has not seen.
var errUnknownLine = errs.New(errs.Unavailable, errs.ReasonDatabaseBusy, "the server of the database changes; send it again")

// of returns the line of a mark, if that is known.
func (l *lines) of(mark string) (line string, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line, known = l.by[mark]
	return line, known
}

// marksOf returns the marks of a line.
func (l *lines) marksOf(line string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var marks []string
	for mark, of := range l.by {
		if of == line {
			marks = append(marks, mark)
		}
	}
	return marks
}

// add notes the line of a mark.
func (l *lines) add(mark, line string, settled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to := &l.by
	if !settled {
		to = &l.unsettled
	}
	if *to == nil || len(*to) >= maxLines {
		*to = map[string]string{}
	}
	(*to)[mark] = line
}

// ofUnsettled returns the line of a mark that settle could only look at.
func (l *lines) ofUnsettled(mark string) (line string, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line, known = l.unsettled[mark]
	return line, known
}

// OnRenewal has f called when the incarnation was renewed because the database is not where it was: with
// what differs, and with both origins. It is for before the store is used.
func (s *Store) OnRenewal(f func(why, was, is string)) { s.lines.renewed = f }

// expressions asks the database for them, once.
func (s *Store) expressions(ctx context.Context) (*lines, error) {
	l := &s.lines
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mark != "" {
		return l, nil
	}
	h, err := s.db.History(ctx)
	if err != nil {
		return nil, err
	}
	l.mark, l.here, l.stamp = `''`, `''`, `''`
	if s.db.Dialect() == sqldb.Postgres {
		l.mark = h.Server + ` || '/' || coalesce(to_regclass('instance')::oid::text, '')`
		// The row's own transaction, beside the number of the one that wrote it there: rows that a dump
		// brought have another.
		l.here = h.Origin + ` || '/' || tableoid::text || '/' || xmin::text`
		l.stamp = h.Origin + ` || '/' || tableoid::text || '/' || pg_current_xact_id()::xid::text`
	}
	return l, nil
}

// markOf is the expression for the mark of the line of history that a query reads from.
func (s *Store) markOf(ctx context.Context) (string, error) {
	l, err := s.expressions(ctx)
	if err != nil {
		return "", err
	}
	return l.mark, nil
}

// onLine runs read, which reads a mark into line by the expression that it gets, and puts the line of
// the mark there. Where the mark is of no known line, that is settled, and read runs again.
func (s *Store) onLine(ctx context.Context, line *string, read func(mark string) error) error {
	mark, err := s.markOf(ctx)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		if err := read(mark); err != nil {
			return err
		}
		found, known := s.lines.of(*line)
		if !known && attempt > 1 {
			found, known = s.lines.ofUnsettled(*line)
		}
		if known {
			*line = found
			return nil
		}
		if attempt == settleAttempts {
			return errUnknownLine
		}
		if err := s.settle(ctx); err != nil {
			return err
		}
	}
}

// instance is the row, and where it is.
type instance struct{ incarnation, origin, here, mark string }

// settle makes sure of the line of history that the database is on now.
func (s *Store) settle(ctx context.Context) error {
	_, err := s.Incarnation(ctx)
	return err
}

// Incarnation returns the database's line of history. It makes the first one, and another one where the
// database is not where it was. A database that takes no writes stays as it is; its line is then
// named by what differs, too.
func (s *Store) Incarnation(ctx context.Context) (string, error) {
	l, err := s.expressions(ctx)
	if err != nil {
		return "", err
	}
	for range settleAttempts {
		var found instance
		err := s.db.Reader().QueryRowContext(ctx, `SELECT incarnation, origin, `+l.here+`, `+l.mark+` FROM instance WHERE id = 1`).
			Scan(&found.incarnation, &found.origin, &found.here, &found.mark)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return "", sqldb.Classify(err)
		}
		if err == nil && found.origin == found.here {
			l.add(found.mark, found.incarnation, true)
			return found.incarnation, nil
		}
		fault := s.renew(ctx, found, err != nil)
		switch reason := errs.ReasonOf(fault); {
		case fault == nil:
		case err == nil && errs.RefusesWrites(reason):
			line := found.incarnation + "-" + found.here
			l.add(found.mark, line, false)
			return line, nil
		default:
			return "", fault
		}
	}
	return "", errUnknownLine
}

// renew gives the database a new incarnation for where it is, unless somebody else did so first.
func (s *Store) renew(ctx context.Context, found instance, missing bool) error {
	fresh, err := uuid.NewRandom()
	if err != nil {
		return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "no random numbers")
	}
	done := false
	err = s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		if s.db.Dialect() == sqldb.Postgres {
			// Reading goes on where commits wait for a standby and there is none. Another takeover, which might
			// lose this, is another line.
			if _, err := tx.ExecContext(ctx, `SET LOCAL synchronous_commit = local`); err != nil {
				return err
			}
		}
		was := found.incarnation
		if missing {
			was = fresh.String()
			_, err := tx.ExecContext(ctx, `INSERT INTO instance (id, incarnation) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`, was)
			if err != nil {
				return err
			}
		}
		result, err := tx.ExecContext(ctx, `UPDATE instance SET incarnation = $1, origin = `+s.lines.stamp+` WHERE id = 1 AND origin = $2 AND incarnation = $3`,
			fresh.String(), found.origin, was)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		done = n > 0
		return err
	})
	if err == nil && done && found.origin != "" && s.lines.renewed != nil {
		s.lines.renewed(whatDiffers(found.origin, found.here), found.origin, found.here)
	}
	return err
}

// whatDiffers returns words for what two origins differ in.
func whatDiffers(was, is string) string {
	one, two := strings.Split(was, "/"), strings.Split(is, "/")
	words := []string{
		"it is on another server", "it is another database", "a standby took over, or an archive was replayed",
		"its tables were made anew", "its rows were copied, or the incarnation was set by hand",
	}
	for i, word := range words {
		if len(one) != len(words) || len(two) != len(words) || one[i] != two[i] {
			return word
		}
	}
	return "nothing"
}

// Renew gives the database a new incarnation, since it was restored and may have lost what was
// read from it: no answer from before, and no ETag, is taken for one of now.
func (s *Store) Renew(ctx context.Context) error {
	fresh, err := uuid.NewRandom()
	if err != nil {
		return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "no random numbers")
	}
	return s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO instance (id, incarnation) VALUES (1, $1)
			ON CONFLICT (id) DO UPDATE SET incarnation = excluded.incarnation, origin = ''`, fresh.String())
		return err
	})
}
