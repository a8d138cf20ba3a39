package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// How long a start waits between two looks at a database that is not ready.
const (
	firstLook   = 250 * time.Millisecond
	longestLook = 5 * time.Second
	// lookTimeout bounds one look.
	lookTimeout = 15 * time.Second
)

// SQLiteURL names the SQLite file of a service.
func SQLiteURL(folder, service string) string {
	return "sqlite:" + filepath.Join(folder, service+".db")
}

// OnPostgres reports whether the one service of this process stores its records there.
func (c *Config) OnPostgres() bool {
	return c.DatabaseURL != "" && c.Only != "" && c.Only != Gateway
}

// needsFolder reports whether anything is stored in the data folder: records, or the keys and
// certificates that are made when none are given.
func (c *Config) needsFolder() bool {
	switch {
	case c.Only == "", c.TLSCert == "":
		return true
	case c.Only == Gateway:
		return c.LocalIssuer
	}
	return !c.OnPostgres() || c.LocalIssuer
}

// openDB opens the database of one service, with its schema up to date.
func (p *process) openDB(ctx context.Context, s Service) (*sqldb.DB, error) {
	open := p.openSQLite
	if p.cfg.OnPostgres() {
		open = p.awaitPostgres
	}
	db, err := open(ctx, s)
	if err != nil {
		return nil, err
	}
	p.onStop(func(context.Context) error { return db.Close() })
	p.spare.add(func(ctx context.Context) {
		if err := db.Shrink(ctx); err != nil {
			p.log.DebugContext(ctx, "a database keeps its pages in memory", "database", s.Name, "error", err)
		}
	})
	p.measureDB(s.Name, db)
	p.measureRefusal(s.Name, db)
	return db, nil
}

func (p *process) openSQLite(ctx context.Context, s Service) (*sqldb.DB, error) {
	return sqldb.OpenMigrated(ctx, SQLiteURL(p.cfg.Data, s.Name), sqldb.Options{
		Schema: s.Name, Tracer: p.tracer, Refuses: p.logRefusal(ctx, s.Name),
	}, s.Migrations())
}

// awaitPostgres opens a service's database when it is there and has the schema that this
// program needs. It waits for what may come right by itself or by a `preceptor migrate`, and
// logs that once; anything else ends the start.
func (p *process) awaitPostgres(ctx context.Context, s Service) (*sqldb.DB, error) {
	logged := ""
	for wait := firstLook; ; wait = min(2*wait, longestLook) {
		db, err := p.lookAtPostgres(ctx, s)
		if err == nil {
			p.waiting.Store(nil)
			return db, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if kind := errs.KindOf(err); kind != errs.Unavailable && kind != errs.DeadlineExceeded && kind != errs.Aborted {
			return nil, DatabaseError(err, "--database-url")
		}
		why := waitingFor(err, s.Name)
		p.waiting.Store(&health.Missing{Dependency: waitsFor(err), Text: why})
		if why != logged {
			p.log.WarnContext(ctx, "the start waits", "for", why, "error", errs.OneLine(err))
			logged = why
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait/2 + rand.N(wait/2)): //nolint:gosec // jitter needs no secrecy
		}
	}
}

// lookAtPostgres connects anew each time: a session keeps the search_path that it began with.
func (p *process) lookAtPostgres(ctx context.Context, s Service) (*sqldb.DB, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	db, err := sqldb.Open(ctx, p.cfg.DatabaseURL, sqldb.Options{
		Schema: s.Name, MaxConns: p.cfg.DatabaseMaxConns, Tracer: p.tracer, Now: p.now, Refuses: p.logRefusal(ctx, s.Name),
	})
	if err != nil {
		return nil, err
	}
	if err := db.Check(ctx, s.Migrations()); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// waitsFor is the dependency that a start waits for.
func waitsFor(err error) string {
	switch errs.ReasonOf(err) {
	case errs.ReasonSchemaOld, errs.ReasonSearchPath:
		return health.Schema
	}
	return health.Database
}

// waitingFor is what has to happen before the start can go on, without the driver's text.
func waitingFor(err error, service string) string {
	text := err.Error()
	if e, ok := errors.AsType[*errs.Error](err); ok {
		text = e.Message
	}
	switch errs.ReasonOf(err) {
	case errs.ReasonSchemaOld, errs.ReasonSearchPath:
		return text + ": run preceptor migrate " + service
	}
	return text
}

// DatabaseError adds to an error which setting to change.
func DatabaseError(err error, flag string) error {
	switch errs.ReasonOf(err) {
	case errs.ReasonDatabaseURLInvalid:
		return Usagef("%s: %s", flag, errs.OneLine(err))
	case errs.ReasonDatabaseRefused, errs.ReasonDatabaseMissing:
		return fmt.Errorf("%w: see %s", err, flag)
	}
	return err
}
