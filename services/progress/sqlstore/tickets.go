package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// purgeTickets is how many expired tickets a new one removes at most: more than it adds, so that the
// table shrinks, and few enough not to be felt.
const purgeTickets = 16

// AddTicket stores a ticket, unless the learner has too many.
func (s *Store) AddTicket(ctx context.Context, t progress.WatchTicket, now time.Time) (free time.Time, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		free = time.Time{}
		// The learner's head, locked, has those who count after each other.
		if _, err := queryHeads(ctx, tx, ofOne+tx.Dialect().ForUpdate(), key(t.LearnerID)); err != nil {
			return err
		}
		var live, first int64
		err := tx.QueryRowContext(ctx, `SELECT count(*), coalesce(min(expire_time), 0) FROM watch_ticket WHERE learner_id = $1 AND expire_time > $2`,
			key(t.LearnerID), microsOf(now)).Scan(&live, &first)
		if err != nil {
			return err
		}
		if live >= progress.MaxWatchTickets {
			free = timeOf(first)
			return nil
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO watch_ticket (ticket_hash, learner_id, issuer, subject, command, roles, token_expire, expire_time)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, t.Hash[:], key(t.LearnerID), t.Issuer, t.Subject, t.Command, strings.Join(t.Roles, " "),
			microsOf(t.TokenExpires), microsOf(t.Expires))
		if err != nil {
			return err
		}
		return removeTickets(ctx, tx, now)
	})
	return free, err
}

func removeTickets(ctx context.Context, tx sqldb.Tx, now time.Time) error {
	// Without SKIP LOCKED two of these would wait for each other's rows.
	skip := ""
	if tx.Dialect() == sqldb.Postgres {
		skip = ` FOR UPDATE SKIP LOCKED`
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM watch_ticket WHERE ticket_hash IN (
		SELECT ticket_hash FROM watch_ticket WHERE expire_time <= $1 ORDER BY expire_time LIMIT $2`+skip+`)`, microsOf(now), purgeTickets)
	return err
}

// TakeTicket removes a ticket and returns it.
func (s *Store) TakeTicket(ctx context.Context, hash [32]byte) (progress.WatchTicket, error) {
	t := progress.WatchTicket{Hash: hash}
	// Looked up first, so that a made-up ticket does not cost a place among SQLite's writers.
	var found int
	err := s.db.Reader().QueryRowContext(ctx, `SELECT 1 FROM watch_ticket WHERE ticket_hash = $1`, hash[:]).Scan(&found)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return t, noTicket()
	case err != nil:
		return t, sqldb.Classify(err)
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		var roles string
		var tokenExpires, expires int64
		err := tx.QueryRowContext(ctx, `DELETE FROM watch_ticket WHERE ticket_hash = $1
			RETURNING learner_id, issuer, subject, command, roles, token_expire, expire_time`, hash[:]).
			Scan((*id)(&t.LearnerID), &t.Issuer, &t.Subject, &t.Command, &roles, &tokenExpires, &expires)
		if errors.Is(err, sql.ErrNoRows) {
			return noTicket()
		}
		t.Roles, t.TokenExpires, t.Expires = strings.Fields(roles), timeOf(tokenExpires), timeOf(expires)
		return err
	})
	return t, err
}

func noTicket() error {
	return errs.New(errs.NotFound, errs.ReasonTicketNotFound, "there is no such ticket")
}
