// Package sqldb opens SQLite or Postgres and runs one SQL text on both.
//
// Statements use $1, $2, … placeholders, times are BIGINT microseconds since 1970
// (Micros, Time), and what differs between the two is asked of the Dialect. Work
// happens in Read, one snapshot, and in Write, one transaction that is run again
// when the database asks for it. Errors that leave Read and Write are *errs.Error;
// inside them, and from Reader, they are the driver's own, for Classify and IsUnique.
//
// Text sorts and compares by bytes on SQLite; a Postgres column that is sorted,
// compared or paged by needs COLLATE "C" to do the same.
package sqldb

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// Dialect is which of the two databases this is.
type Dialect int

// The dialects.
const (
	SQLite Dialect = iota + 1
	Postgres
)

// String returns "sqlite" or "postgres", which are also the names of the migration folders.
func (d Dialect) String() string {
	switch d {
	case SQLite:
		return "sqlite"
	case Postgres:
		return "postgres"
	default:
		return "unknown"
	}
}

// ForUpdate ends a SELECT whose rows must stay as read until the transaction ends:
// " FOR UPDATE" on Postgres and "" on SQLite, where a write transaction is alone.
func (d Dialect) ForUpdate() string {
	if d == Postgres {
		return " FOR UPDATE"
	}
	return ""
}

// Tx runs statements: within a transaction in Read and Write, each by itself in Reader.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	// Dialect is the kind of database, for the few texts that must differ.
	Dialect() Dialect
}

// Options are the settings that a caller may want to change; the zero value is usable.
type Options struct {
	// Schema is the Postgres schema of everything: Migrate makes it, ConfigureRole leads the role's
	// sessions into it, and Check asks whether they are led there. "" is whatever the
	// server's search_path names. SQLite has none: errors name the file by this.
	Schema string
	// MaxConns bounds the Postgres pool; 0 means 16.
	MaxConns int
	// Direct is for a command, which speaks to Postgres without a pooler between: its
	// sessions begin in Schema, and its statements take the time that they need.
	Direct bool
	// Notice is called with each line that an operator should know of while Migrate works;
	// it may be nil.
	Notice func(line string)
	// Refuses is called with the error when the database begins to refuse writes, and with nil when it
	// takes them again; it may be nil, and must not wait for the database.
	Refuses func(err error)
	// Tracer makes a span of each transaction and statement within a trace; nil for none.
	Tracer *tracing.Tracer
	// Now is the clock by which the certificate of Postgres is valid; nil for the machine's.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.MaxConns == 0 {
		o.MaxConns = 16
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.Refuses == nil {
		o.Refuses = func(error) {}
	}
	return o
}

// DB is an open database, safe for concurrent use.
type DB struct {
	dialect Dialect
	// path is the SQLite file.
	path string
	opts Options
	// read and write are the same pool on Postgres. On SQLite write is a single
	// connection, for SQLite has one writer, and a queue in Go is fair where its
	// own busy handler is a race.
	read, write *sql.DB
	// migrateDB opens the pool that migrations run on; the caller closes it by the func.
	migrateDB func() (*sql.DB, func() error, error)
	// freshDB opens a pool whose sessions begin as any of the role's do; Postgres alone has it.
	freshDB func() *sql.DB
	// pause waits before a retry; it is time, injected.
	pause func(ctx context.Context, d time.Duration) error

	refusal refusal
	// checkpoints are nil on Postgres.
	checkpoints *checkpoints
}

// Open opens the database of url, "sqlite:/path/file.db" or "postgres://…", and proves
// that it responds. A SQLite file is made when missing, its folder is not; one without a byte is refused,
// since it was something else. It returns
// Invalid for any other url, Unavailable when the database cannot be reached now, and
// FailedPrecondition, with a message for the operator, when it cannot be used as it is.
// No error shows the url's password.
func Open(ctx context.Context, url string, opts Options) (*DB, error) {
	opts = opts.withDefaults()
	switch {
	case strings.HasPrefix(url, "sqlite:"):
		return openSQLite(ctx, strings.TrimPrefix(url, "sqlite:"), opts)
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return openPostgres(ctx, url, opts)
	default:
		// The url may hold a password: it is not repeated.
		return nil, errs.New(errs.Invalid, errs.ReasonDatabaseURLInvalid, "a database url begins with sqlite: or postgres://")
	}
}

// Dialect returns which kind of database this is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Close ends all connections, after the statements that are running.
func (db *DB) Close() error {
	db.endProbes()
	var err error
	if db.checkpoints != nil {
		err = db.checkpoints.close()
	}
	if rerr := db.read.Close(); err == nil {
		err = rerr
	}
	if db.write != db.read {
		// The writer last: the last connection to close empties the write-ahead log.
		if werr := db.write.Close(); err == nil {
			err = werr
		}
	}
	return err
}

// Pool is what a pool of connections does.
type Pool struct {
	// Name is "read" or "write", or "all" where there is one for both.
	Name string
	sql.DBStats
}

// Pools returns what the pools do now, and did so far.
func (db *DB) Pools() []Pool {
	if db.read == db.write {
		return []Pool{{"all", db.read.Stats()}}
	}
	return []Pool{{"read", db.read.Stats()}, {"write", db.write.Stats()}}
}

// Ping returns Unavailable unless the database responds.
func (db *DB) Ping(ctx context.Context) error {
	return Classify(db.read.PingContext(ctx))
}
