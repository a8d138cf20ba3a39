package sqldb

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// migrationLockTimeout ends a migration's wait for a table that others use: statements
// that come after it wait as well, and must not do so for long.
const migrationLockTimeout = 5 * time.Second

// execModeParam is pgx's own url parameter for how statements are sent.
const execModeParam = "default_query_exec_mode"

// openPostgres sends nothing at a session's start that a pooler would refuse, and leaves
// nothing behind in a session that the next one on the same server connection would meet:
// what sessions begin with is set for the role, by ConfigureRole.
func openPostgres(ctx context.Context, text string, opts Options) (*DB, error) {
	cfg, err := postgresConfig(text)
	if err != nil {
		return nil, err
	}
	setClock(cfg, opts.Now)
	direct := cfg.Copy()
	if opts.Schema != "" {
		direct.RuntimeParams["search_path"] = quoteIdentifier(opts.Schema)
	}
	direct.RuntimeParams["statement_timeout"] = "0"
	direct.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	direct.RuntimeParams["lock_timeout"] = milliseconds(migrationLockTimeout)
	serving := cfg
	if opts.Direct {
		serving = direct
	}
	pool := postgresPool(serving, opts.MaxConns)
	db := &DB{dialect: Postgres, opts: opts, read: pool, write: pool, pause: sleep}
	db.migrateDB = func() (*sql.DB, func() error, error) {
		m := postgresPool(direct, 2) // One holds the lock while the other may work.
		return m, m.Close, nil
	}
	db.freshDB = func() *sql.DB { return postgresPool(cfg, 1) }
	if err := pool.PingContext(ctx); err != nil {
		_ = pool.Close()
		return nil, explainConnect(err, cfg)
	}
	return db, nil
}

// postgresConfig reads the url. The parser's error for one that it cannot read may quote a
// piece of the password, so none of it is passed on; not even as a cause, for a log.
func postgresConfig(text string) (*pgx.ConnConfig, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, errs.New(errs.Invalid, errs.ReasonDatabaseURLInvalid,
			"the database url cannot be read: it is postgres://user:password@host:5432/database, with %%40 for an @ in the password and so on, "+
				"and a port for each of several hosts or for none")
	}
	cfg, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, errs.New(errs.Invalid, errs.ReasonDatabaseURLInvalid, "the database url cannot be used: see its parameters%s", parseFault(err, parsed))
	}
	if !parsed.Query().Has(execModeParam) {
		// Named prepared statements belong to one server connection, and a pooler hands out
		// another for each transaction. This mode prepares without a name, in the round trip
		// that executes, and costs the server a short statement's planning, tens of µs.
		cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, connectTimeout(len(hostsOf(cfg))))
	setDefault(cfg, "application_name", "preceptor")
	setDefault(cfg, "timezone", "UTC")
	return cfg, nil
}

// connectTimeout is how long a server may take to let a connection in. Where a url names several, one that
// hangs stands before those that work, for every new connection, as long as it hangs.
func connectTimeout(hosts int) time.Duration {
	if hosts > 1 {
		return 2 * time.Second
	}
	return 5 * time.Second
}

// hostsOf returns the addresses that a url names, each once: pgx may try one with TLS and without.
func hostsOf(cfg *pgx.ConnConfig) []string {
	hosts := []string{net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))}
	for _, f := range cfg.Fallbacks {
		if host := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// setClock makes the certificates of all servers of cfg valid by a clock.
func setClock(cfg *pgx.ConnConfig, now func() time.Time) {
	configs := append(make([]*tls.Config, 0, 1+len(cfg.Fallbacks)), cfg.TLSConfig)
	for _, fallback := range cfg.Fallbacks {
		configs = append(configs, fallback.TLSConfig)
	}
	for _, c := range configs {
		if c != nil {
			c.Time = now
		}
	}
}

// parseFault is what pgx has against a parameter of a url that is well formed, where that
// repeats no secret.
func parseFault(err error, u *url.URL) string {
	inner := errors.Unwrap(err)
	if inner == nil {
		return ""
	}
	text := inner.Error()
	password, _ := u.User.Password()
	for _, secret := range []string{password, u.Query().Get("password"), u.Query().Get("sslpassword")} {
		if secret != "" && strings.Contains(text, secret) {
			return ""
		}
	}
	return " (" + text + ")"
}

// explainConnect distinguishes errors that waiting cannot resolve from those that it may.
func explainConnect(err error, cfg *pgx.ConnConfig) error {
	where := strings.Join(hostsOf(cfg), ", ")
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "28P01", "28000", "42501":
			return errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseRefused, "Postgres at %s does not admit the user %s", where, cfg.User)
		case "3D000":
			return errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseMissing, "Postgres at %s has no database %s", where, cfg.Database)
		}
	}
	if classified := Classify(err); errs.KindOf(classified) != errs.Internal && errs.ReasonOf(classified) != errs.ReasonDatabaseUnreachable {
		return classified
	}
	return errs.Wrap(oneLineError{err}, errs.Unavailable, errs.ReasonDatabaseUnreachable, "Postgres at %s cannot be reached", where)
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
