package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// SQLite's primary result codes, and the extended ones that matter (sqlite.org/rescode.html).
const (
	codePerm      = 3
	codeBusy      = 5
	codeLocked    = 6
	codeNoMem     = 7
	codeReadonly  = 8
	codeInterrupt = 9
	codeIOErr     = 10
	codeCorrupt   = 11
	codeFull      = 13
	codeCantOpen  = 14
	codeProtocol  = 15
	codeNotADB    = 26

	codeConstraintPrimaryKey = 1555
	codeConstraintUnique     = 2067
	codeConstraintRowID      = 2579
)

// Classify turns an error of database/sql or a driver into an *errs.Error, by codes and
// never by text; the original stays its cause, for the log. An *errs.Error in the chain
// is returned as it came, and so is nil. A missing row (sql.ErrNoRows) is Internal here:
// only the caller knows what was missing.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*errs.Error](err); ok {
		return err
	}
	if code, ok := sqliteCode(err); ok {
		return classifySQLite(err, code)
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	if connecting {
		err = oneLineError{err}
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyPostgres(err, pg.Code)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return canceled(err)
	case connecting: // Though it be a deadline: the one for connecting is our own.
		return unreachable(err)
	case errors.Is(err, context.DeadlineExceeded):
		return errs.Wrap(err, errs.DeadlineExceeded, errs.ReasonDeadlineExceeded, "the time for the request was up")
	case brokenConn(err):
		return unreachable(err)
	default:
		return internal(err)
	}
}

// oneLineError is pgx's account of a failed connection without its line breaks and repetitions: pgx names
// each address on a line, and tries an address of one host twice, with TLS and without.
type oneLineError struct{ error }

func (e oneLineError) Error() string {
	var lines []string
	for line := range strings.Lines(e.error.Error()) {
		if line = strings.TrimSpace(line); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}

func (e oneLineError) Unwrap() error { return e.error }

// IsUnique reports whether err, as the driver gave it or classified, means that a row with
// the same unique key exists.
func IsUnique(err error) bool {
	if code, ok := sqliteCode(err); ok {
		return code == codeConstraintUnique || code == codeConstraintPrimaryKey || code == codeConstraintRowID
	}
	return isPostgres(err, "23505")
}

// Raised returns the code and the detail of an error that Postgres answered with, as a function of ours
// raises it; "" for any other error.
func Raised(err error) (code, detail string) {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code, pg.Detail
	}
	return "", ""
}

func classifySQLite(err error, code int) error {
	if IsUnique(err) {
		return exists(err)
	}
	switch code & 0xff {
	case codeBusy, codeLocked, codeProtocol:
		return busy(err)
	case codeFull:
		return full(err)
	case codeReadonly, codePerm, codeCantOpen:
		return readOnly(err)
	case codeIOErr, codeNoMem:
		return unreachable(err)
	case codeInterrupt:
		return canceled(err)
	case codeCorrupt, codeNotADB:
		file := "file"
		if damaged, ok := errors.AsType[damagedError](err); ok {
			file = damaged.path
		}
		return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "the database %s is damaged: %s", file, damagedAdvice)
	default:
		return internal(err)
	}
}

// classifyPostgres reads the codes of postgresql.org/docs/current/errcodes-appendix.html.
func classifyPostgres(err error, code string) error {
	switch code {
	case "23505":
		return exists(err)
	case "40001", "40P01", "55P03":
		return busy(err)
	case "57014": // By statement_timeout, or because ctx ended.
		if errors.Is(err, context.Canceled) {
			return canceled(err)
		}
		return errs.Wrap(err, errs.DeadlineExceeded, errs.ReasonDatabaseTimeout, "the database took too long")
	case "53100":
		return full(err)
	case "25006", "55000": // We still speak to a primary that has become a standby, or to one that is none yet.
		return readOnly(err)
	}
	switch {
	// Connections, credentials, resources, shutdown and start-up, disk faults.
	case hasAnyPrefix(code, "08", "28", "53", "57P", "58"), code == "25P03":
		return unreachable(err)
	default:
		return internal(err)
	}
}

// retryable reports whether the database asks to run the transaction again.
func retryable(err error) bool {
	if code, ok := sqliteCode(err); ok {
		return code&0xff == codeBusy || code&0xff == codeLocked
	}
	return isPostgres(err, "40001", "40P01")
}

// commitUnknown reports whether a COMMIT that failed on Postgres may have counted. A server
// that answered with an error rolled back, unless it was shutting down or its error leaves it open.
// SQLite always knows.
func commitUnknown(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "40003" || hasAnyPrefix(pg.Code, "08", "57P")
	}
	return !errors.Is(err, sql.ErrTxDone) && !errors.Is(err, pgx.ErrTxCommitRollback)
}

func sqliteCode(err error) (int, bool) {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code(), true
	}
	return 0, false
}

// isPostgres reports whether a Postgres server answered with one of the codes.
func isPostgres(err error, codes ...string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(codes, pg.Code)
}

func brokenConn(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return true
	}
	for _, target := range []error{driver.ErrBadConn, sql.ErrConnDone, net.ErrClosed, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, target) {
			return true
		}
	}
	return pgconn.SafeToRetry(err)
}

// stale reports whether a connection out of the pool turned out to be dead, as all are after
// the server has restarted. One that could not be made is no such thing.
func stale(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	if _, connecting := errors.AsType[*pgconn.ConnectError](err); connecting {
		return false
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return hasAnyPrefix(pg.Code, "57P")
	}
	return brokenConn(err)
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func exists(err error) error {
	return errs.Wrap(err, errs.AlreadyExists, errs.ReasonAlreadyExists, "it exists already")
}

func busy(err error) error {
	return errs.Wrap(err, errs.Aborted, errs.ReasonDatabaseBusy, "other changes stood in the way; try again")
}

func full(err error) error {
	return errs.Wrap(err, errs.Unavailable, errs.ReasonDatabaseFull, "the database is full")
}

func readOnly(err error) error {
	return errs.Wrap(err, errs.Unavailable, errs.ReasonDatabaseReadOnly, "the database accepts no writes at the moment")
}

func unreachable(err error) error {
	return errs.Wrap(err, errs.Unavailable, errs.ReasonDatabaseUnreachable, "the database cannot be reached")
}

func canceled(err error) error {
	return errs.Wrap(err, errs.Canceled, errs.ReasonCancelled, "the request was canceled")
}

func internal(err error) error {
	return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "an internal fault")
}
