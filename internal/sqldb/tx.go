package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// attempts is how often a transaction is tried in all.
const attempts = 5

// handle is a Tx: a transaction, or a pool whose every statement stands alone.
type handle struct {
	querier
	dialect Dialect
}

type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

var _ Tx = handle{}

func (h handle) Dialect() Dialect { return h.dialect }

// Reader runs single statements that only read, each seeing the newest commit, without
// the cost of a transaction. A statement whose pooled connection had died goes out again
// on another one. Its errors are the driver's: pass them to Classify.
func (db *DB) Reader() Tx {
	if db.dialect == Postgres {
		return handle{querier: db.traced(reader{DB: db.read, most: db.opts.MaxConns + 1}), dialect: db.dialect}
	}
	return handle{querier: db.traced(db.read), dialect: db.dialect}
}

// reader runs statements that may run twice.
type reader struct {
	*sql.DB

	// most is how often a statement goes out: after as many as the pool holds, one met a
	// connection that was made for it.
	most int
}

// QueryContext runs a query.
func (r reader) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	for n := 1; ; n++ {
		rows, err := r.DB.QueryContext(ctx, query, args...)
		if n == r.most || !stale(ctx, err) {
			return rows, err
		}
	}
}

// QueryRowContext runs a query for one row.
func (r reader) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	for n := 1; ; n++ {
		row := r.DB.QueryRowContext(ctx, query, args...)
		if n == r.most || !stale(ctx, row.Err()) {
			return row
		}
	}
}

// Read runs f in one read-only snapshot: all its statements see the same commit. Like
// Write it may run f again. It returns f's error, classified.
func (db *DB) Read(ctx context.Context, f func(ctx context.Context, tx Tx) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if db.dialect == Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	return db.retry(ctx, db.read, opts, f)
}

// Write runs f in one READ COMMITTED transaction and commits, or rolls back when f
// returns an error or panics. When the database reports a serialization failure, a
// deadlock or a lock it could not get, all of f runs again, a few times: f must not
// touch anything but tx and what it assigns anew on each run. It returns f's error,
// classified; UNAVAILABLE with ReasonCommitUnknown when the connection broke during
// COMMIT, so that nobody knows whether it counts; ABORTED when the retries ran out.
//
// An error of a statement must end f: on Postgres nothing more can be done in that
// transaction, though SQLite would go on. Use ON CONFLICT where a conflict is expected.
//
// On SQLite one Write runs at a time: keep network calls out of f, and never call
// Write within it. A statement there is not cut short by ctx, only the next one is
// not begun; so that a write is either refused early or done.
func (db *DB) Write(ctx context.Context, f func(ctx context.Context, tx Tx) error) error {
	opts := &sql.TxOptions{}
	if db.dialect == Postgres {
		opts.Isolation = sql.LevelReadCommitted
	}
	err := db.retry(ctx, db.write, opts, f)
	db.noteWrite(err) //nolint:contextcheck // the probes outlive this write
	if db.checkpoints != nil {
		db.checkpoints.written()
	}
	return err
}

// WriteStatement runs one statement in a transaction of its own, without the round trips that Write takes to
// begin and to commit one; Postgres alone needs it. It sends the statement again where the connection turns out
// to be dead, or the database asks for it: so it must be one that does nothing when it was done before. Errors
// are those of Write, or the driver's, for Classify, where the database refused the statement itself.
func (db *DB) WriteStatement(ctx context.Context, query string, args ...any) error {
	return db.writeStatement(ctx, func(to querier) error {
		_, err := to.ExecContext(ctx, query, args...)
		return err
	})
}

// WriteReturning is WriteStatement for a statement that returns one value, which goes into the given place.
func (db *DB) WriteReturning(ctx context.Context, into any, query string, args ...any) error {
	return db.writeStatement(ctx, func(to querier) error { return to.QueryRowContext(ctx, query, args...).Scan(into) })
}

func (db *DB) writeStatement(ctx context.Context, send func(to querier) error) error {
	lost := false
	for attempt, dead := 1, 0; ; {
		err := send(db.traced(db.write))
		db.noteWrite(Classify(err)) //nolint:contextcheck // the probes outlive this write
		switch {
		case err != nil && stale(ctx, err) && dead < db.opts.MaxConns:
			dead++
			lost = lost || !pgconn.SafeToRetry(err)
			continue
		case retryable(err) && attempt < attempts && db.pause(ctx, backoff(attempt)) == nil:
			attempt++
			continue
		case err != nil && ctx.Err() == nil && (lost || sentUnknown(err)): // what it finds may be by what was sent before
			return unknownOutcome(err)
		}
		return err
	}
}

// sentUnknown reports whether a statement that failed may have counted: it was sent, and the server did not
// answer that it rolled back.
func sentUnknown(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return !connecting && !pgconn.SafeToRetry(err) && commitUnknown(err)
}

func (db *DB) retry(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, f func(context.Context, Tx) error) error {
	lost := 0
	for attempt := 1; ; attempt++ {
		err := db.once(ctx, pool, opts, f)
		if err == nil {
			return nil
		}
		if begin, ok := errors.AsType[beginError](err); ok {
			if err = begin.error; lost < db.opts.MaxConns && stale(ctx, err) {
				lost++
				attempt--
				continue
			}
		}
		if attempt == attempts || !retryable(err) || db.pause(ctx, backoff(attempt)) != nil {
			return classifyIn(ctx, err)
		}
	}
}

// beginError is that of a BEGIN, before which nothing was done.
type beginError struct{ error }

// Unwrap returns the driver's error.
func (e beginError) Unwrap() error { return e.error }

func (db *DB) once(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, f func(context.Context, Tx) error) (err error) {
	if db.opts.Tracer != nil {
		var span tracing.Span
		ctx, span = db.opts.Tracer.Continue(ctx, transactionName(opts), tracing.Client)
		defer func() { endSpan(span, db.dialect, err) }()
	}
	tx, err := pool.BeginTx(ctx, opts)
	if err != nil {
		return beginError{err}
	}
	// After a commit this does nothing. It also runs when f panics, without which the
	// only writer of SQLite would be lost for good.
	defer func() { _ = tx.Rollback() }()
	if err := f(ctx, handle{querier: db.traced(tx), dialect: db.dialect}); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err = tx.Commit()
	if err != nil && !opts.ReadOnly && db.dialect == Postgres && commitUnknown(err) {
		return unknownOutcome(err)
	}
	return err
}

func unknownOutcome(err error) error {
	return errs.Wrap(
		err,
		errs.Unavailable,
		errs.ReasonCommitOutcomeUnknown,
		"the connection to the database was lost; the change may or may not have been made",
	)
}

// classifyIn is Classify where the context may be the true cause: a transaction that
// database/sql rolled back because ctx ended reports only that it is done.
func classifyIn(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil && errors.Is(err, sql.ErrTxDone) {
		err = ctxErr
	}
	return Classify(err)
}

// backoff is 5 ms doubled each time, less up to half, so that two that collided part.
func backoff(attempt int) time.Duration {
	full := 5 * time.Millisecond << (attempt - 1)
	return full/2 + rand.N(full/2) //nolint:gosec // jitter needs no secrecy
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
