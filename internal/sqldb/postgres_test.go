//go:build realservers

package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func TestPostgres(t *testing.T) {
	database := testenv.Postgres(t, nil)
	suite(t, func(t *testing.T) opener {
		url := database(t)
		return func(t *testing.T, opts sqldb.Options) *sqldb.DB { return open(t, url, opts) }
	})
	for _, c := range []struct {
		name string
		test func(t *testing.T, url string)
	}{
		{"settings", postgresSettings},
		{"settings in the url win", postgresURLSettings},
		{"a statement that takes too long", postgresStatementTimeout},
		{"a schema of its own", postgresSchema},
		{"deadlocks are run again", postgresDeadlock},
		{"write skew under locks", postgresForUpdate},
		{"a commit that nobody knows of", postgresCommitUnknown},
		{"a commit that is refused", postgresCommitRefused},
		{"a swallowed error", postgresSwallowedError},
		{"a connection that is cut", postgresCutConnection},
		{"migrations may take longer than statements", postgresLongMigration},
		{"expired keys that another holds", postgresPurgeSkips},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, database(t)) })
	}
}

func TestPostgresUnreachable(t *testing.T) {
	port := testenv.FreePorts(t, 1)[0]
	_, err := sqldb.Open(t.Context(), fmt.Sprintf("postgres://u:secret@127.0.0.1:%d/x?sslmode=disable", port), sqldb.Options{})
	wantKind(t, err, errs.Unavailable, sqldb.ReasonUnreachable)
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestPostgresGoesAway(t *testing.T) {
	var db *sqldb.DB
	t.Run("while it runs", func(t *testing.T) {
		var err error
		db, err = sqldb.Open(t.Context(), testenv.PostgresServer(t), sqldb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		exec(t, db, "CREATE TABLE t (a BIGINT)")
	})
	defer func() { _ = db.Close() }()
	for range 3 {
		err := tryExec(t.Context(), db, "INSERT INTO t (a) VALUES (1)")
		wantKind(t, err, errs.Unavailable, sqldb.ReasonUnreachable)
	}
	wantKind(t, db.Ping(t.Context()), errs.Unavailable, sqldb.ReasonUnreachable)
}

func setting(t *testing.T, db *sqldb.DB, name string) (value string) {
	t.Helper()
	if err := db.Reader().QueryRowContext(t.Context(), "SELECT current_setting($1)", name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func postgresSettings(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{StatementTimeout: 7 * time.Second})
	for name, want := range map[string]string{
		"statement_timeout": "7s", "lock_timeout": "10s", "TimeZone": "UTC", "application_name": "preceptor",
		"transaction_isolation": "read committed",
	} {
		if got := setting(t, db, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	isolation := func(want string) func(context.Context, sqldb.Tx) error {
		return func(ctx context.Context, tx sqldb.Tx) error {
			var got string
			err := tx.QueryRowContext(ctx, "SHOW transaction_isolation").Scan(&got)
			if got != want {
				t.Errorf("%s, want %s", got, want)
			}
			return err
		}
	}
	if err := errors.Join(db.Read(t.Context(), isolation("repeatable read")), db.Write(t.Context(), isolation("read committed"))); err != nil {
		t.Error(err)
	}
}

func postgresURLSettings(t *testing.T, base string) {
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("statement_timeout", "1234")
	query.Set("application_name", "mine")
	u.RawQuery = query.Encode()
	db := open(t, u.String(), sqldb.Options{})
	if a, b := setting(t, db, "statement_timeout"), setting(t, db, "application_name"); a != "1234ms" || b != "mine" {
		t.Error(a, b)
	}
}

func postgresStatementTimeout(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{StatementTimeout: 50 * time.Millisecond})
	wantKind(t, tryExec(t.Context(), db, "SELECT pg_sleep(20)"), errs.DeadlineExceeded, sqldb.ReasonTimeout)
	exec(t, db, "SELECT 1")
}

func postgresSchema(t *testing.T, url string) {
	for _, name := range []string{"one", "Two-2"} {
		db := open(t, url, sqldb.Options{Schema: name})
		migrate(t, db, stepOne, stepTwo)
		migrate(t, db, stepOne, stepTwo)
		if n := count(t, db.Reader()); n != 1 {
			t.Errorf("%d rows", n)
		}
		var schemas int
		query := "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename IN ('t', 'schema_migrations')"
		if err := db.Reader().QueryRowContext(t.Context(), query, name).Scan(&schemas); err != nil || schemas != 2 {
			t.Errorf("%d tables in %s, %v", schemas, name, err)
		}
	}
}

func postgresDeadlock(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{})
	migrate(t, db, "CREATE TABLE t (a BIGINT PRIMARY KEY, b BIGINT NOT NULL)", "INSERT INTO t VALUES (1, 0), (2, 0)")
	exec(t, db, "ALTER DATABASE "+databaseOf(t, db)+" SET deadlock_timeout = '20ms'")
	again := open(t, url, sqldb.Options{}) // New connections have the short timeout.
	results := make(chan error)
	meet := make(chan struct{}, 2)
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		first := true
		go func() {
			results <- again.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
				if _, err := tx.ExecContext(ctx, "UPDATE t SET b = b + 1 WHERE a = $1", order[0]); err != nil {
					return err
				}
				if first { // Both hold their first row before either wants the second.
					first = false
					meet <- struct{}{}
					for len(meet) < 2 {
						time.Sleep(time.Millisecond)
					}
				}
				_, err := tx.ExecContext(ctx, "UPDATE t SET b = b + 1 WHERE a = $1", order[1])
				return err
			})
		}()
	}
	if err := errors.Join(<-results, <-results); err != nil {
		t.Error(err)
	}
	var sum int
	if err := db.Reader().QueryRowContext(t.Context(), "SELECT sum(b) FROM t").Scan(&sum); err != nil || sum != 4 {
		t.Errorf("%d, %v", sum, err)
	}
}

func databaseOf(t *testing.T, db *sqldb.DB) (name string) {
	t.Helper()
	if err := db.Reader().QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

// postgresForUpdate shows that ForUpdate is not the empty text: without it counter would lose updates.
func postgresForUpdate(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{MaxConns: 4})
	migrate(t, db, "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)")
	counter(t, db)
}

// killAtCommit is a constraint that ends its own connection while COMMIT runs.
const killAtCommit = `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER die AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()`

func postgresCommitUnknown(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{})
	migrate(t, db, "CREATE TABLE t (a BIGINT PRIMARY KEY)", killAtCommit)
	runs := 0
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		runs++
		_, err := tx.ExecContext(ctx, "INSERT INTO t (a) VALUES (1)")
		return err
	})
	wantKind(t, err, errs.Unavailable, sqldb.ReasonCommitUnknown)
	if runs != 1 {
		t.Errorf("what may have counted was run %d times", runs)
	}
	exec(t, db, "SELECT 1")
}

func postgresCommitRefused(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{})
	migrate(t, db, "CREATE TABLE t (a BIGINT UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	err := tryExec(t.Context(), db, "INSERT INTO t (a) VALUES (1), (1)")
	wantKind(t, err, errs.AlreadyExists, sqldb.ReasonUnique)
}

func postgresSwallowedError(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{})
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		_, _ = tx.ExecContext(ctx, "SELECT 1 / 0")
		return nil
	})
	wantKind(t, err, errs.Internal, sqldb.ReasonInternal)
}

func postgresCutConnection(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{})
	migrate(t, db, "CREATE TABLE t (a BIGINT PRIMARY KEY)")
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO t (a) VALUES (1)"); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
		return err
	})
	wantKind(t, err, errs.Unavailable, sqldb.ReasonUnreachable)
	for range 20 {
		if n := count(t, db.Reader()); n != 0 {
			t.Errorf("%d rows", n)
		}
	}
}

func postgresLongMigration(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{StatementTimeout: 50 * time.Millisecond})
	migrate(t, db, "SELECT pg_sleep(0.3)")
}

func postgresPurgeSkips(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{})
	migrate(t, db, "CREATE TABLE t (a BIGINT)", `CREATE TABLE idempotency_keys (caller TEXT NOT NULL, method TEXT NOT NULL, idem_key TEXT NOT NULL,
request_hash BYTEA NOT NULL, response BYTEA NOT NULL, create_time BIGINT NOT NULL, PRIMARY KEY (caller, method, idem_key))`)
	old, later := someKey, someKey
	old.Key, later.Key = "old", "later"
	mustCreate(t, db, old, "x", "x", noon)
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		var key string
		if err := tx.QueryRowContext(ctx, "SELECT idem_key FROM idempotency_keys FOR UPDATE").Scan(&key); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err := create(short, db, later, "y", noon.Add(48*time.Hour))
		return err
	})
	if err != nil || keys(t, db) != 2 {
		t.Errorf("%d keys, %v", keys(t, db), err)
	}
}

func BenchmarkPostgres(b *testing.B) {
	benchmarks(b, open(b, testenv.PostgresServer(b), sqldb.Options{}))
}
