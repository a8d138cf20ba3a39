package sqldb

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// lockTimeout ends a wait for a row lock; the caller may try again.
const lockTimeout = 10 * time.Second

func openPostgres(ctx context.Context, url string, opts Options) (*DB, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		// pgx redacts the password in its message.
		return nil, errs.Wrap(err, errs.Invalid, "DATABASE_URL_INVALID", "the Postgres url cannot be read")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	if opts.Schema != "" {
		cfg.RuntimeParams["search_path"] = pgx.Identifier{opts.Schema}.Sanitize()
	}
	setDefault(cfg, "application_name", "preceptor")
	setDefault(cfg, "timezone", "UTC")
	migration := cfg.Copy()
	setDefault(cfg, "statement_timeout", milliseconds(opts.StatementTimeout))
	setDefault(cfg, "lock_timeout", milliseconds(lockTimeout))
	setDefault(cfg, "idle_in_transaction_session_timeout", milliseconds(opts.StatementTimeout))

	pool := postgresPool(cfg, opts.MaxConns)
	db := &DB{dialect: Postgres, opts: opts, read: pool, write: pool, pause: sleep}
	db.migrateDB = func() (*sql.DB, func() error, error) {
		m := postgresPool(migration, 2) // One holds the lock while the other may work.
		return m, m.Close, nil
	}
	if err := pool.PingContext(ctx); err != nil {
		_ = pool.Close()
		return nil, Classify(err)
	}
	return db, nil
}

func setDefault(cfg *pgx.ConnConfig, name, value string) {
	if _, given := cfg.RuntimeParams[name]; !given {
		cfg.RuntimeParams[name] = value
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func postgresPool(cfg *pgx.ConnConfig, conns int) *sql.DB {
	pool := sql.OpenDB(stdlib.GetConnector(*cfg))
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	// New connections find a new primary, and the server's memory per connection is freed.
	pool.SetConnMaxLifetime(30 * time.Minute)
	return pool
}
