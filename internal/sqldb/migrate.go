package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// migrationTable holds the applied migrations: a SQLite file, or a Postgres schema, is one
// service's.
const migrationTable = "schema_migrations"

// A migration that cannot have a table, since others use it, gives way to them and tries
// again: some five minutes in all.
const (
	lockAttempts = 40
	lockPause    = 2 * time.Second
)

// Migrate applies the migrations of fsys that the database does not have yet, from its
// folder "sqlite" or "postgres": goose files, 00001_name.sql and so on. Each migration is
// one transaction. Replicas that start together wait for one another, by an advisory lock
// of this schema.
//
// A migration that programs older than it cannot run on has a line of its own,
// "-- min_binary: 4": a program must know migration 4 to run on what it leaves. Migrate
// records that when the migration was applied, not before: one that fails, or is killed, leaves a
// database that older programs start on. It accepts a database with newer migrations as long as
// what is recorded there allows. Else it returns FailedPrecondition SCHEMA_NEWER.
//
// A line "-- format: 2" is the number of the whole schema: until the first release, a change edits
// the one migration and raises it. A database of another format, or from before there were any,
// stays as it is: Migrate returns FailedPrecondition SCHEMA_FORMAT.
func (db *DB) Migrate(ctx context.Context, fsys fs.FS) (err error) {
	known, folder, err := db.stepsOf(fsys)
	if err != nil {
		return err
	}
	pool, done, err := db.migrateDB()
	if err != nil {
		return Classify(err)
	}
	defer func() {
		if cerr := done(); err == nil && cerr != nil {
			err = Classify(cerr)
		}
	}()
	if err := db.ensureSchema(ctx, pool); err != nil {
		return Classify(err)
	}
	found, err := db.readFormat(ctx, pool, known)
	if err != nil {
		return err
	}
	if found.newest() <= known.newest() {
		if err := record(ctx, pool, known.format); err != nil {
			return Classify(err)
		}
		if found, err = db.readFormat(ctx, pool, known); err != nil { // a program of another format may have been first
			return err
		}
	}
	if len(known.missing(found)) > 0 {
		if err := db.up(ctx, pool, folder); err != nil {
			return err
		}
		if found, err = db.readState(ctx, pool); err != nil {
			return Classify(err)
		}
	}
	return db.judge(known, found)
}

// readFormat returns what the database has, unless that is of another format.
func (db *DB) readFormat(ctx context.Context, pool *sql.DB, known steps) (state, error) {
	found, err := db.readState(ctx, pool)
	if err != nil {
		return found, Classify(err)
	}
	return found, db.checkFormat(known, found)
}

// OpenMigrated opens the database of url and migrates it. A SQLite file of another format is not
// even opened for writing: the caller holds its folder, so no process writes to it meanwhile.
func OpenMigrated(ctx context.Context, url string, opts Options, fsys fs.FS) (*DB, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if err := CheckFile(ctx, strings.TrimPrefix(path, "//"), fsys); err != nil {
			return nil, err
		}
	}
	db, err := Open(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, fsys); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// up applies what is missing.
func (db *DB) up(ctx context.Context, pool *sql.DB, folder fs.FS) error {
	provider, err := db.provider(pool, folder)
	if err != nil {
		return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "the migrations in %s cannot be read", db.dialect)
	}
	for attempt := 1; ; attempt++ {
		_, err := provider.Up(ctx)
		switch {
		case err == nil:
			return nil
		case !lockNotAvailable(err) || attempt == lockAttempts:
			return explainMigration(err)
		}
		db.opts.Notice(fmt.Sprintf("%s: it waits for tables that others use, and tries again in %s (attempt %d of %d)",
			failedStep(err), lockPause, attempt, lockAttempts))
		if err := db.pause(ctx, lockPause); err != nil {
			return Classify(err)
		}
	}
}

func (db *DB) provider(pool *sql.DB, folder fs.FS) (*goose.Provider, error) {
	opts := []goose.ProviderOption{
		goose.WithTableName(migrationTable),
		goose.WithDisableGlobalRegistry(true),
	}
	dialect := goose.DialectSQLite3
	if db.dialect == Postgres {
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(
			lock.WithLockID(db.lockID()),
			lock.WithLockTimeout(1, 600), // Asked for each second, ten minutes long.
		)
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(dialect, pool, recording{folder}, opts...)
}

// lockID differs between services that share a database.
func (db *DB) lockID() int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("preceptor migrations " + db.opts.Schema))
	return int64(h.Sum64() >> 1)
}

// ensureSchema asks first, since CREATE SCHEMA IF NOT EXISTS needs a right on the whole
// database even when there is nothing to make.
func (db *DB) ensureSchema(ctx context.Context, pool *sql.DB) error {
	if db.dialect != Postgres || db.opts.Schema == "" {
		return nil
	}
	var exists bool
	err := pool.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)", db.opts.Schema).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = pool.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+quoteIdentifier(db.opts.Schema))
	if alreadyMade(err) {
		return nil
	}
	if isPostgres(err, "42501") {
		return errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseRefused,
			"the role may not make the schema %s: GRANT CREATE ON DATABASE, or make it", db.opts.Schema)
	}
	return err
}

func lockNotAvailable(err error) bool {
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		err = partial.Err
	}
	return isPostgres(err, "55P03")
}

func failedStep(err error) string {
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		return "migration " + partial.Failed.Source.Path
	}
	return "a migration"
}

func explainMigration(err error) error {
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		kind := errs.KindOf(Classify(partial.Err))
		return errs.Wrap(err, kind, errs.ReasonMigrationFailed, "migration %s failed", partial.Failed.Source.Path)
	}
	return Classify(err)
}
