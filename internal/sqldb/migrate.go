package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"hash/fnv"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Migrate applies the migrations of fsys that the database does not have yet, from its
// folder "sqlite" or "postgres": goose files, 00001_name.sql and so on. Each migration is
// one transaction. Replicas that start together wait for one another, by an advisory lock
// of this schema and table. It returns FailedPrecondition SCHEMA_NEWER when the database
// has a migration newer than the newest in fsys.
func (db *DB) Migrate(ctx context.Context, fsys fs.FS) (err error) {
	folder, err := fs.Sub(fsys, db.dialect.String())
	if err != nil {
		return internal(err)
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
	provider, err := db.provider(pool, folder)
	if err != nil {
		return errs.Wrap(err, errs.Internal, ReasonInternal, "the migrations in %s cannot be read", db.dialect)
	}
	if _, err := provider.Up(ctx); err != nil {
		return explainMigration(err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return Classify(err)
	}
	if current > target {
		return errs.New(errs.FailedPrecondition, ReasonSchemaNewer,
			"the database is at schema version %d and this program knows versions up to %d: run a newer program", current, target)
	}
	return nil
}

func (db *DB) provider(pool *sql.DB, folder fs.FS) (*goose.Provider, error) {
	opts := []goose.ProviderOption{
		goose.WithTableName(db.opts.MigrationTable),
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
	return goose.NewProvider(dialect, pool, folder, opts...)
}

// lockID differs between services that share a database.
func (db *DB) lockID() int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("preceptor migrations " + db.opts.Schema + "." + db.opts.MigrationTable))
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
	if IsUnique(err) { // Two replicas made it at the same moment.
		return nil
	}
	return err
}

func explainMigration(err error) error {
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		kind := errs.KindOf(Classify(partial.Err))
		return errs.Wrap(err, kind, "MIGRATION_FAILED", "migration %s failed", partial.Failed.Source.Path)
	}
	return Classify(err)
}
