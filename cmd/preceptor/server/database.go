package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	catalogstore "github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
	profilestore "github.com/preceptor-dev/preceptor/services/profile/sqlstore"
	progressstore "github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// How long a start waits between two looks at a database that is not ready.
const (
	firstLook   = 250 * time.Millisecond
	longestLook = 5 * time.Second
	// lookTimeout bounds one look.
	lookTimeout = 15 * time.Second
)

// Names are the services that keep records, in the order in which they are told of.
func Names() []string { return []string{ProfileName, CatalogName, ProgressName} }

// Migrations are the steps of a service's schema.
func Migrations(service string) fs.FS {
	switch service {
	case ProfileName:
		return profilestore.Migrations()
	case CatalogName:
		return catalogstore.Migrations()
	default:
		return progressstore.Migrations()
	}
}

// SQLiteURL names the SQLite file of a service.
func SQLiteURL(folder, service string) string {
	return "sqlite:" + filepath.Join(folder, service+".db")
}

// OnPostgres tells whether the one service of this process keeps its records there.
func (c *Config) OnPostgres() bool {
	return c.DatabaseURL != "" && c.Only != "" && c.Only != GatewayName
}

// needsFolder tells whether anything is kept in the data folder: records, or the keys and
// certificates that are made when none are given.
func (c *Config) needsFolder() bool {
	switch {
	case c.Only == "", c.TLSCert == "":
		return true
	case c.Only == GatewayName:
		return false
	}
	return !c.OnPostgres() || c.LocalIssuer
}

// openDB opens the database of one service, with its schema up to date.
func (h *house) openDB(ctx context.Context, name string) (*sqldb.DB, error) {
	open := h.openSQLite
	if h.cfg.OnPostgres() {
		open = h.awaitPostgres
	}
	db, err := open(ctx, name)
	if err != nil {
		return nil, err
	}
	h.onStop(func(context.Context) error { return db.Close() })
	h.measureDB(name, db)
	return db, nil
}

func (h *house) openSQLite(ctx context.Context, name string) (*sqldb.DB, error) {
	db, err := sqldb.OpenMigrated(ctx, SQLiteURL(h.cfg.Data, name), sqldb.Options{Schema: name, Tracer: h.tracer}, Migrations(name))
	if errs.ReasonOf(err) == sqldb.ReasonNotADatabase {
		return nil, fmt.Errorf("%w: restore it from a backup, or move it away to start anew", err)
	}
	return db, err
}

// awaitPostgres opens a service's database when it is there and has the schema that this
// program needs. What may come right by itself, or by a `preceptor migrate`, is waited for
// and said once; what will not ends the start.
func (h *house) awaitPostgres(ctx context.Context, name string) (*sqldb.DB, error) {
	said := ""
	for wait := firstLook; ; wait = min(2*wait, longestLook) {
		db, err := h.lookAtPostgres(ctx, name)
		if err == nil {
			h.waiting.Store(nil)
			return db, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if kind := errs.KindOf(err); kind != errs.Unavailable && kind != errs.DeadlineExceeded && kind != errs.Aborted {
			return nil, DatabaseError(err, "--database-url")
		}
		why := waitingFor(err, name)
		h.waiting.Store(&why)
		if why != said {
			h.log.WarnContext(ctx, "the start waits", "for", why, "error", errs.OneLine(err))
			said = why
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait/2 + rand.N(wait/2)): //nolint:gosec // jitter needs no secrecy
		}
	}
}

// lookAtPostgres connects anew each time: a session keeps the search_path that it began with.
func (h *house) lookAtPostgres(ctx context.Context, name string) (*sqldb.DB, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	db, err := sqldb.Open(ctx, h.cfg.DatabaseURL, sqldb.Options{Schema: name, MaxConns: h.cfg.DatabaseMaxConns, Tracer: h.tracer, Now: h.now})
	if err != nil {
		return nil, err
	}
	if err := db.Check(ctx, Migrations(name)); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// waitingFor is what an error asks for, without the driver's own words.
func waitingFor(err error, service string) string {
	text := err.Error()
	if e, ok := errors.AsType[*errs.Error](err); ok {
		text = e.Message
	}
	switch errs.ReasonOf(err) {
	case sqldb.ReasonSchemaOld, sqldb.ReasonSearchPath:
		return text + ": run preceptor migrate " + service
	}
	return text
}

// DatabaseError says which setting is to be changed.
func DatabaseError(err error, flag string) error {
	switch errs.ReasonOf(err) {
	case sqldb.ReasonURL:
		return Usagef("%s: %s", flag, errs.OneLine(err))
	case sqldb.ReasonRefused, sqldb.ReasonNoDatabase:
		return fmt.Errorf("%w: see %s", err, flag)
	}
	return err
}

// commitLanes is how many transactions progress writes at once: one on SQLite, which has
// one writer, and on Postgres as many as leave half of the connections to readers.
func commitLanes(db *sqldb.DB, conns int) int {
	if db.Dialect() == sqldb.SQLite {
		return 1
	}
	return max(1, min(8, conns/2))
}

// watched adds to a service's state whether its Postgres answers, and logs once when it does not any
// more and once when it does again. A service stays ready meanwhile: calls are answered UNAVAILABLE,
// with a reason, and nobody else could answer them better.
func (s *service) watched(db *sqldb.DB, log *slog.Logger) {
	inner := s.state
	var away atomic.Bool
	s.state = func(ctx context.Context) (bool, []string) {
		ready, degraded := inner(ctx)
		look, cancel := context.WithTimeout(ctx, peerTimeout)
		defer cancel()
		err := db.Ping(look)
		switch {
		case ctx.Err() != nil: // whoever asked has left, which tells nothing of the database
		case err != nil && !away.Swap(true):
			log.WarnContext(ctx, "the database cannot be reached; calls that need it are answered UNAVAILABLE", "error", errs.OneLine(err))
		case err == nil && away.Swap(false):
			log.InfoContext(ctx, "the database is reachable again")
		}
		if err != nil {
			degraded = append(degraded, s.name+" does not reach its database")
		}
		return ready, degraded
	}
}
