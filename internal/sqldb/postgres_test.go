//go:build realservers

package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
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
		{"settings of the operator stay", postgresOperatorSettings},
		{"a role that leads elsewhere", postgresElsewhere},
		{"a role that may nothing", postgresPowerless},
		{"settings in the url win", postgresURLSettings},
		{"a statement that takes too long", postgresStatementTimeout},
		{"a schema of its own", postgresSchema},
		{"deadlocks are run again", postgresDeadlock},
		{"write skew under locks", postgresForUpdate},
		{"a commit that nobody knows of", postgresCommitUnknown},
		{"a commit that is refused", postgresCommitRefused},
		{"a swallowed error", postgresSwallowedError},
		{"a connection that is cut", postgresCutConnection},
		{"a pool of dead connections", postgresDeadPool},
		{"migrations may take longer than statements", postgresLongMigration},
		{"migrations give way", postgresMigrationGivesWay},
		{"expired keys that another holds", postgresPurgeSkips},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, database(t)) })
	}
}

// TestPostgresRefusals meets what is wrong with a url, and that no error holds the password.
func TestPostgresRefusals(t *testing.T) {
	server := testenv.NewPostgres(t, "fsync=off")
	server.Exec(t, "CREATE ROLE u LOGIN PASSWORD 'right-secret'")
	server.RequirePasswords(t)
	port := testenv.Ports(t, 1)[0]
	for _, c := range []struct {
		url    string
		kind   errs.Kind
		reason string
		words  string
	}{
		{server.As(t, "u", "wrong-secret", "postgres"), errs.FailedPrecondition, errs.ReasonDatabaseRefused, "does not admit the user u"},
		{server.As(t, "u", "right-secret", "nowhere"), errs.FailedPrecondition, errs.ReasonDatabaseMissing, "no database nowhere"},
		{fmt.Sprintf("postgres://u:secret@127.0.0.1:%d/x?sslmode=disable", port), errs.Unavailable, errs.ReasonDatabaseUnreachable, "cannot be reached"},
		{"postgres://u:sec%zzret@127.0.0.1/x", errs.Invalid, errs.ReasonDatabaseURLInvalid, "%40"},
		{"postgres://u:secret/@127.0.0.1/x", errs.Invalid, errs.ReasonDatabaseURLInvalid, "cannot be read"},
		{"postgres://u:secret@127.0.0.1/x?sslmode=maybe", errs.Invalid, errs.ReasonDatabaseURLInvalid, "sslmode"},
		{"postgres://u@127.0.0.1/x?password=secret&sslmode=maybe", errs.Invalid, errs.ReasonDatabaseURLInvalid, "parameters"},
		{"postgres://u:secret@127.0.0.1/x?default_query_exec_mode=secret", errs.Invalid, errs.ReasonDatabaseURLInvalid, "parameters"},
		{"mysql://u:secret@127.0.0.1/x", errs.Invalid, errs.ReasonDatabaseURLInvalid, "postgres://"},
	} {
		_, err := sqldb.Open(t.Context(), c.url, sqldb.Options{})
		wantKind(t, err, c.kind, c.reason)
		if err != nil && (strings.Contains(fmt.Sprintf("%+v", err), "sec") || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("%s: it shows the password, or does not say %q: %v", c.url, c.words, err)
		}
	}
	open(t, server.As(t, "u", "right-secret", "postgres"), sqldb.Options{})
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
		wantKind(t, err, errs.Unavailable, errs.ReasonDatabaseUnreachable)
	}
	wantKind(t, db.Ping(t.Context()), errs.Unavailable, errs.ReasonDatabaseUnreachable)
}

func setting(t *testing.T, db *sqldb.DB, name string) (value string) {
	t.Helper()
	if err := db.Reader().QueryRowContext(t.Context(), "SELECT current_setting($1)", name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// ownRole makes a role, which stays as long as the server, and gives its url for the same database.
func ownRole(t *testing.T, base, rights string) (text, role string) {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, base, sqldb.Options{})
	role = "role_" + databaseOf(t, db)
	exec(t, db, "CREATE ROLE "+role+" LOGIN")
	if rights != "" {
		exec(t, db, "GRANT "+rights+" ON DATABASE "+databaseOf(t, db)+" TO "+role)
	}
	u.User = url.User(role)
	return u.String(), role
}

func configureRole(t *testing.T, db *sqldb.DB) []string {
	t.Helper()
	advice, err := db.ConfigureRole(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return advice
}

func postgresSettings(t *testing.T, base string) {
	own, role := ownRole(t, base, "CREATE")
	direct := open(t, own, sqldb.Options{Schema: "svc", Direct: true})
	if got := setting(t, direct, "search_path"); got != `"svc"` {
		t.Errorf("a command's search_path is %s", got)
	}
	before := open(t, own, sqldb.Options{Schema: "svc"})
	migrate(t, direct, stepOne)
	wantKind(t, before.Check(t.Context(), migrations(stepOne)), errs.Unavailable, errs.ReasonSearchPath)
	if advice := append(configureRole(t, direct), configureRole(t, direct)...); len(advice) > 0 {
		t.Error(advice)
	}
	db := open(t, own, sqldb.Options{Schema: "svc"})
	if err := db.Check(t.Context(), migrations(stepOne)); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{
		"statement_timeout": "30s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "30s", "search_path": "svc",
		"TimeZone": "UTC", "application_name": "preceptor", "transaction_isolation": "read committed",
	} {
		if got := setting(t, db, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	exec(t, db, "INSERT INTO t (a) VALUES (1)")
	if owner := setting(t, db, "role"); owner != "none" {
		t.Errorf("%s works as %s", role, owner)
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

func postgresOperatorSettings(t *testing.T, base string) {
	own, role := ownRole(t, base, "CREATE")
	exec(t, open(t, base, sqldb.Options{}), "ALTER ROLE "+role+" IN DATABASE "+databaseOf(t, open(t, base, sqldb.Options{}))+" SET lock_timeout = '3s'")
	direct := open(t, own, sqldb.Options{Schema: "svc", Direct: true})
	migrate(t, direct, stepOne)
	configureRole(t, direct)
	if got := setting(t, open(t, own, sqldb.Options{}), "lock_timeout"); got != "3s" {
		t.Errorf("lock_timeout is %s", got)
	}
}

// postgresElsewhere gives one role to two services, which only a url can distinguish.
func postgresElsewhere(t *testing.T, base string) {
	own, _ := ownRole(t, base, "CREATE")
	for i, name := range []string{"one", "Two-2"} {
		direct := open(t, own, sqldb.Options{Schema: name, Direct: true})
		migrate(t, direct, stepOne, stepTwo)
		advice := configureRole(t, direct)
		if len(advice) != i || i > 0 && !strings.Contains(advice[0], `SET search_path = "Two-2"`) {
			t.Errorf("%s: %q", name, advice)
		}
	}
	err := open(t, own, sqldb.Options{Schema: "Two-2"}).Check(t.Context(), migrations(stepOne, stepTwo))
	wantKind(t, err, errs.Unavailable, errs.ReasonSearchPath)
	named := open(t, own+`&search_path=%22Two-2%22`, sqldb.Options{Schema: "Two-2"})
	if err := named.Check(t.Context(), migrations(stepOne, stepTwo)); err != nil {
		t.Error(err)
	}
	if n := count(t, named.Reader()); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func postgresPowerless(t *testing.T, base string) {
	own, _ := ownRole(t, base, "")
	db := open(t, own, sqldb.Options{Schema: "svc", Direct: true})
	err := db.Migrate(t.Context(), migrations(stepOne))
	wantKind(t, err, errs.FailedPrecondition, errs.ReasonDatabaseRefused)
	if !strings.Contains(err.Error(), "GRANT CREATE ON DATABASE") {
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
	db := open(t, url+"&statement_timeout=50", sqldb.Options{})
	wantKind(t, tryExec(t.Context(), db, "SELECT pg_sleep(20)"), errs.DeadlineExceeded, errs.ReasonDatabaseTimeout)
	exec(t, db, "SELECT 1")
}

func postgresSchema(t *testing.T, url string) {
	for _, name := range []string{"one", "Two-2"} {
		db := open(t, url, sqldb.Options{Schema: name, Direct: true})
		migrate(t, db, stepOne, stepTwo)
		migrate(t, db, stepOne, stepTwo)
		if n := count(t, db.Reader()); n != 1 {
			t.Errorf("%d rows", n)
		}
		var tables int
		query := "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename IN ('t', 'schema_migrations', 'schema_info')"
		if err := db.Reader().QueryRowContext(t.Context(), query, name).Scan(&tables); err != nil || tables != 3 {
			t.Errorf("%d tables in %s, %v", tables, name, err)
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
	wantKind(t, err, errs.Unavailable, errs.ReasonCommitOutcomeUnknown)
	if runs != 1 {
		t.Errorf("what may have counted was run %d times", runs)
	}
	exec(t, db, "SELECT 1")
}

func postgresCommitRefused(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{})
	migrate(t, db, "CREATE TABLE t (a BIGINT UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	err := tryExec(t.Context(), db, "INSERT INTO t (a) VALUES (1), (1)")
	wantKind(t, err, errs.AlreadyExists, errs.ReasonAlreadyExists)
}

func postgresSwallowedError(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{})
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		_, _ = tx.ExecContext(ctx, "SELECT 1 / 0")
		return nil
	})
	wantKind(t, err, errs.Internal, errs.ReasonInternal)
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
	wantKind(t, err, errs.Unavailable, errs.ReasonDatabaseUnreachable)
	for range 20 {
		if n := count(t, db.Reader()); n != 0 {
			t.Errorf("%d rows", n)
		}
	}
}

func postgresLongMigration(t *testing.T, url string) {
	db := open(t, url+"&statement_timeout=50", sqldb.Options{})
	migrate(t, db, "SELECT pg_sleep(0.3)")
}

// postgresMigrationGivesWay holds a table until the migration has reported that it waits.
func postgresMigrationGivesWay(t *testing.T, url string) {
	db := open(t, url, sqldb.Options{})
	migrate(t, db, stepOne)
	notices := make(chan string, 1)
	waiting := open(t, url, sqldb.Options{Notice: func(line string) {
		select {
		case notices <- line:
		default:
		}
	}})
	done := make(chan error, 1)
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO t (a) VALUES (1)"); err != nil {
			return err
		}
		go func() { done <- waiting.Migrate(t.Context(), migrations(stepOne, "ALTER TABLE t ADD COLUMN b TEXT")) }()
		select {
		case line := <-notices:
			if !strings.Contains(line, "00002_step.sql") {
				t.Errorf("the notice is %q", line)
			}
		case err := <-done:
			t.Errorf("it did not wait: %v", err)
		}
		return nil
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Error(err)
	}
	exec(t, db, "UPDATE t SET b = 'x'")
}

// postgresDeadPool cuts every connection of a pool, as a restart of the server does. What
// had not begun on one of them goes on as if nothing had been.
func postgresDeadPool(t *testing.T, url string) {
	const conns = 6
	db, other := open(t, url, sqldb.Options{MaxConns: conns}), open(t, url, sqldb.Options{})
	migrate(t, db, "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)")
	for round, work := range map[int]func() error{
		1: func() error { return tryExec(t.Context(), db, "INSERT INTO t (a) VALUES (1)") },
		2: func() error {
			return db.Read(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
				var n int
				return tx.QueryRowContext(ctx, "SELECT count(*) FROM t").Scan(&n)
			})
		},
		3: func() error {
			var n int
			return db.Reader().QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&n)
		},
		4: func() error {
			rows, err := db.Reader().QueryContext(t.Context(), "SELECT a FROM t")
			if err != nil {
				return err
			}
			defer rows.Close()
			return rows.Err()
		},
		5: func() error { return db.WriteStatement(t.Context(), "UPDATE t SET b = $1", "sent again") },
		6: func() error {
			var n int
			err := db.WriteReturning(t.Context(), &n, "WITH changed AS (UPDATE t SET b = $1 RETURNING a) SELECT 7 + 0 * count(*) FROM changed", "sent again")
			if err == nil && n != 7 {
				err = fmt.Errorf("it returned %d", n)
			}
			return err
		},
	} {
		var busy sync.WaitGroup
		for range conns { // All of them are in use at once, and so just made or just used.
			busy.Go(func() { exec(t, db, "SELECT pg_sleep(0.1)") })
		}
		busy.Wait()
		exec(t, other, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		if err := work(); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
	if n := count(t, db.Reader()); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// TestPgBouncer has more sessions than there are connections, so that each transaction
// meets what another session left on its own.
func TestPgBouncer(t *testing.T) {
	const workers, each = 12, 20
	database := testenv.Postgres(t, nil)
	direct := database(t)
	own, role := ownRole(t, direct, "CREATE")
	through := testenv.PgBouncer(t, direct, role)
	command := open(t, own, sqldb.Options{Schema: "svc", Direct: true})
	migrate(t, command, "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)")
	configureRole(t, command)
	db := open(t, through(own), sqldb.Options{Schema: "svc", MaxConns: workers})
	if err := db.Check(t.Context(), migrations("SELECT 1")); err != nil {
		t.Error(err)
	}
	if got := setting(t, db, "lock_timeout"); got != "10s" {
		t.Errorf("lock_timeout is %s", got)
	}
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			for i := range each {
				key := int64(w*1000 + i)
				if err := tryExec(t.Context(), db, "INSERT INTO t (a, b) VALUES ($1, $2)", key, "x"); err != nil {
					t.Error(err)
				}
				var b string
				query := fmt.Sprintf("SELECT b FROM t WHERE a = $1 AND %d = %d", i, i) // its own text each time
				if err := db.Reader().QueryRowContext(t.Context(), query, key).Scan(&b); err != nil || b != "x" {
					t.Errorf("%q, %v", b, err)
				}
			}
		})
	}
	work.Wait()
	if n := count(t, db.Reader()); n != workers*each {
		t.Errorf("%d rows", n)
	}
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

// The tables of a copy: each type, a foreign key, partitions, a row of the migration's own.
const (
	copySQLite = `CREATE TABLE one (id INTEGER PRIMARY KEY CHECK (id = 1), n BIGINT NOT NULL);
INSERT INTO one (id, n) VALUES (1, 0);
CREATE TABLE z_parent (id TEXT NOT NULL PRIMARY KEY, f DOUBLE PRECISION, b BLOB, y BOOLEAN, n BIGINT, u BLOB);
CREATE TABLE child (parent TEXT NOT NULL REFERENCES z_parent (id), n INTEGER NOT NULL, PRIMARY KEY (parent, n))`
	copyPostgres = `CREATE TABLE one (id INTEGER PRIMARY KEY CHECK (id = 1), n BIGINT NOT NULL);
INSERT INTO one (id, n) VALUES (1, 0);
CREATE TABLE z_parent (id TEXT NOT NULL PRIMARY KEY, n BIGINT, f DOUBLE PRECISION, b BYTEA, y BOOLEAN, u UUID);
CREATE TABLE child (parent TEXT NOT NULL REFERENCES z_parent (id), n INTEGER NOT NULL, PRIMARY KEY (parent, n)) PARTITION BY HASH (parent);
CREATE TABLE child_0 PARTITION OF child FOR VALUES WITH (MODULUS 1, REMAINDER 0)`
)

func TestCopy(t *testing.T) {
	database := testenv.Postgres(t, nil)
	steps := fstest.MapFS{
		"sqlite/00001_step.sql":   {Data: []byte("-- +goose Up\n" + copySQLite + ";\n")},
		"postgres/00001_step.sql": {Data: []byte("-- +goose Up\n" + copyPostgres + ";\n")},
	}
	ready := func(db *sqldb.DB) *sqldb.DB {
		if err := db.Migrate(t.Context(), steps); err != nil {
			t.Fatal(err)
		}
		return db
	}
	file, _ := openFile(t)
	freshFile, _ := openFile(t)
	from, fresh := ready(file), ready(freshFile)
	exec(t, from, "UPDATE one SET n = 7")
	exec(t, from, "INSERT INTO z_parent (id, f, b, y, n, u) VALUES ('b', 1, $1, TRUE, 1, $3), ('B', 0.1, NULL, FALSE, NULL, $4), ('ä', NULL, $2, NULL, -1, NULL)",
		[]byte{0, 1}, []byte{}, make([]byte, 16), []byte("0123456789abcdef"))
	for i := range 1203 {
		exec(t, from, "INSERT INTO child (parent, n) VALUES ('b', $1)", i)
	}
	target := func(t *testing.T) *sqldb.DB {
		return ready(open(t, database(t), sqldb.Options{Schema: "svc", Direct: true}))
	}

	t.Run("all of it", func(t *testing.T) {
		to := target(t)
		copied, err := sqldb.Copy(t.Context(), from, to, fresh)
		if err != nil {
			t.Fatal(err)
		}
		rows := map[string]int64{}
		for _, c := range copied {
			rows[c.Name] = c.Rows
		}
		if len(rows) != 3 || rows["one"] != 1 || rows["z_parent"] != 3 || rows["child"] != 1203 {
			t.Error(copied)
		}
		var sum int64
		if err := to.Reader().QueryRowContext(t.Context(), "SELECT sum(n) FROM one").Scan(&sum); err != nil || sum != 7 {
			t.Errorf("%d, %v", sum, err)
		}
		_, err = sqldb.Copy(t.Context(), from, to, fresh)
		wantKind(t, err, errs.FailedPrecondition, errs.ReasonNotEmpty)
	})
	t.Run("a row too many", func(t *testing.T) {
		to := target(t)
		exec(t, to, "UPDATE one SET n = 1")
		_, err := sqldb.Copy(t.Context(), from, to, fresh)
		wantKind(t, err, errs.FailedPrecondition, errs.ReasonNotEmpty)
	})
	t.Run("what arrives differs", func(t *testing.T) {
		to := target(t)
		exec(t, to, "CREATE FUNCTION worse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.f = NEW.f + 0.5; RETURN NEW; END'")
		exec(t, to, "CREATE TRIGGER worse BEFORE INSERT ON z_parent FOR EACH ROW EXECUTE FUNCTION worse()")
		_, err := sqldb.Copy(t.Context(), from, to, fresh)
		wantKind(t, err, errs.Internal, errs.ReasonInternal)
		var n int
		if scan := to.Reader().QueryRowContext(t.Context(), "SELECT count(*) FROM z_parent").Scan(&n); scan != nil || n != 0 || !strings.Contains(err.Error(), "z_parent") {
			t.Errorf("%d rows were stored, %v: %v", n, scan, err)
		}
	})
	t.Run("other columns", func(t *testing.T) {
		to := target(t)
		exec(t, to, "ALTER TABLE one ADD COLUMN more TEXT")
		_, err := sqldb.Copy(t.Context(), from, to, fresh)
		wantKind(t, err, errs.FailedPrecondition, errs.ReasonSchemaDiffers)
	})
}
