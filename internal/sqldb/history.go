package sqldb

import (
	"context"
)

// A database that was restored, or whose standby took over without the last writes, gives
// numbers again that it gave before. A reader that stores something under such a number
// stores it under Origin and Timeline, too.

// originQueries identify a Postgres server and this creation of a table; the second is for servers
// that do not show their system identifier.
func originQueries() []string {
	return []string{
		`SELECT (SELECT system_identifier FROM pg_control_system())::text || '-' || to_regclass($1)::oid::text`,
		`SELECT to_regclass($1)::oid::text`,
	}
}

// Origin distinguishes databases that hold the same rows because one was dumped and restored as
// the other: by the server, and by when the table was made. It is "" on SQLite, whose file
// holds nothing of that.
func (db *DB) Origin(ctx context.Context, table string) (string, error) {
	if db.dialect != Postgres {
		return "", nil
	}
	var origin string
	var err error
	for _, query := range originQueries() {
		if err = db.read.QueryRowContext(ctx, query, table).Scan(&origin); !denied(err) {
			break
		}
	}
	return origin, Classify(err)
}

// timeline is the first part of the name of the log file that is being written. Any role may ask
// for it; a standby refuses, which pg_control_checkpoint would not, and that one follows a
// promotion late.
const timeline = `substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)`

// Timeline is an expression for the line of history that the database is on: it changes
// when a standby takes over and when an archive is replayed to an earlier time. It belongs into
// the query that reads what depends on it, since the server behind a connection may change
// between two queries. It is the empty text on SQLite, and on servers that call themselves
// Postgres and have no such function.
func (db *DB) Timeline(ctx context.Context) (string, error) {
	if db.dialect != Postgres {
		return `''`, nil
	}
	var now string
	err := db.read.QueryRowContext(ctx, `SELECT `+timeline).Scan(&now)
	if denied(err) {
		return `''`, nil
	}
	return timeline, Classify(err)
}

// denied reports whether the server does not have, or not give, what a query asks for.
func denied(err error) bool {
	return isPostgres(err, "42883", "42501", "0A000")
}
