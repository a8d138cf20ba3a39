package sqldb

import (
	"context"
)

// A database that was restored, or whose standby took over without the last writes, gives
// numbers again that it gave before. A reader that stores something under such a number
// stores it under the line of history, too.

// History are expressions by which a line of history is recognised. They belong into the query
// that reads what depends on it, since the server behind a connection may change between two queries.
type History struct {
	// Server changes whenever another server may have taken the place of the one that was asked before,
	// or the same one goes on from another state: it has the timeline, and when the server was started.
	Server string
	// Origin is the server's system identifier, the database's number and the timeline, with slashes
	// between. It survives a restart, and differs after a restore into another server or database, after a
	// standby took over, and after an archive was replayed to an earlier time.
	Origin string
}

// The parts of a history. The timeline is the first part of the name of the log file that is being
// written. Any role may ask for it; a standby refuses, which pg_control_checkpoint would not, and that
// one follows a promotion late.
const (
	timeline = `substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)`
	started  = `extract(epoch FROM pg_postmaster_start_time())::text`
	system   = `(SELECT system_identifier FROM pg_control_system())::text`
	database = `(SELECT oid FROM pg_database WHERE datname = current_database())::text`
)

// History returns what the server has of it: a part that the role may not read, or that a server which
// only calls itself Postgres does not have, is the empty text, as all of them are on SQLite.
func (db *DB) History(ctx context.Context) (History, error) {
	if db.dialect != Postgres {
		return History{Server: `''`, Origin: `''`}, nil
	}
	parts := []string{timeline, started, system, database}
	for i, part := range parts {
		var now string
		err := db.read.QueryRowContext(ctx, `SELECT `+part).Scan(&now)
		if denied(err) {
			parts[i] = `''`
		} else if err != nil {
			return History{}, Classify(err)
		}
	}
	return History{
		Server: parts[0] + ` || '@' || ` + parts[1],
		Origin: parts[2] + ` || '/' || ` + parts[3] + ` || '/' || ` + parts[0],
	}, nil
}

// denied reports whether the server does not have, or not give, what a query asks for.
func denied(err error) bool {
	return isPostgres(err, "42883", "42501", "0A000")
}
