package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

const (
	// probeEvery is how often a database that refuses writes is tried. A write that fits into what is
	// left is no proof that it is over; a probe is.
	probeEvery = 5 * time.Second
	// probeTimeout bounds one probe.
	probeTimeout = 30 * time.Second
	// probeBytes is how much room a probe needs: a few batches of events.
	probeBytes = 256 << 10
	// probeTable is there while a probe of SQLite is under way, or where one was cut off.
	probeTable = "write_probe"
)

// refusal is whether a database refuses writes, and the look for the end of that.
type refusal struct {
	mu     sync.Mutex
	reason string // "" while it takes them
	closed bool
	stop   context.CancelFunc // of the probes; nil while there are none
	probes sync.WaitGroup
}

// Refusal returns why the database refuses all writes: errs.ReasonDatabaseFull, ReasonDatabaseReadOnly, or on
// SQLite ReasonDatabaseUnreachable where the disk is at fault; "" while it takes them. It is known from
// the first write that fails, and ends with a probe, of which there is one every five seconds.
func (db *DB) Refusal() string {
	db.refusal.mu.Lock()
	defer db.refusal.mu.Unlock()
	return db.refusal.reason
}

// noteWrite learns from the outcome of a write whether the database refuses all of them.
func (db *DB) noteWrite(err error) {
	if err == nil {
		return
	}
	reason := db.refusalOf(err)
	if reason == "" {
		return
	}
	r := &db.refusal
	r.mu.Lock()
	was := r.reason
	if r.closed || was == reason {
		r.mu.Unlock()
		return
	}
	r.reason = reason
	if was == "" {
		ctx, stop := context.WithCancel(context.Background())
		r.stop = stop
		r.probes.Go(func() { db.probeUntilOver(ctx) })
	}
	r.mu.Unlock()
	if was == "" {
		db.opts.Refuses(err)
	}
}

// refusalOf is the reason of an error that the next write would meet as well, or "".
func (db *DB) refusalOf(err error) string {
	switch reason := errs.ReasonOf(err); {
	case errs.RefusesWrites(reason):
		return reason
	case reason == errs.ReasonDatabaseUnreachable:
		if code, ok := sqliteCode(err); ok && code&0xff == codeIOErr {
			return reason
		}
	}
	return ""
}

// probeUntilOver tries to write until that succeeds or ctx ends.
func (db *DB) probeUntilOver(ctx context.Context) {
	for db.pause(ctx, probeEvery) == nil {
		if db.probe(ctx) != nil {
			continue
		}
		r := &db.refusal
		r.mu.Lock()
		r.reason = ""
		r.stop()
		r.mu.Unlock()
		db.opts.Refuses(nil)
		return
	}
}

// probe writes something that needs room, commits it, and leaves nothing.
func (db *DB) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if db.dialect == SQLite {
		err := db.writeAll(ctx,
			"CREATE TABLE IF NOT EXISTS "+probeTable+" (room BLOB NOT NULL)",
			"DELETE FROM "+probeTable,
			fmt.Sprintf("INSERT INTO "+probeTable+" (room) VALUES (randomblob(%d))", probeBytes))
		if err != nil {
			return err
		}
		return db.writeAll(ctx, "DROP TABLE "+probeTable) // a table that is dropped before the commit is never written
	}
	fill := fmt.Sprintf(" (room) SELECT md5(n::text) FROM generate_series(1, %d) n", probeBytes/32)
	err := db.writeAll(ctx, // a read-only session may not even make one that is temporary
		"CREATE TEMPORARY TABLE "+probeTable+" (room TEXT NOT NULL) ON COMMIT DROP", "INSERT INTO "+probeTable+fill)
	if isPostgres(err, insufficientPrivilege) { // a role that may not make such tables may own its schema
		table := db.qualified(probeTable)
		err = db.writeAll(ctx, "CREATE TABLE "+table+" (room TEXT NOT NULL)", "INSERT INTO "+table+fill, "DROP TABLE "+table)
	}
	if isPostgres(err, insufficientPrivilege) { // then something that needs less room
		err = db.writeAll(ctx, "UPDATE "+db.qualified(infoTable)+" SET format = format")
	}
	return err
}

const insufficientPrivilege = "42501"

// writeAll runs statements in one transaction.
func (db *DB) writeAll(ctx context.Context, statements ...string) error {
	return db.retry(ctx, db.write, &sql.TxOptions{}, func(ctx context.Context, tx Tx) error {
		for _, statement := range statements {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// endProbes ends the look, for good.
func (db *DB) endProbes() {
	r := &db.refusal
	r.mu.Lock()
	r.closed = true
	if r.stop != nil {
		r.stop()
	}
	r.mu.Unlock()
	r.probes.Wait()
}
