package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// opener opens an empty database for one test; called again in the same test, the same one.
type opener func(t *testing.T, opts sqldb.Options) *sqldb.DB

// suite is what must be the same on both databases.
func suite(t *testing.T, fresh func(t *testing.T) opener) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(t *testing.T, db *sqldb.DB)
	}{
		{"values come back as they went", roundTrip},
		{"placeholders go by number", placeholders},
		{"arguments are counted", argumentCount},
		{"a statement runs for each of many rows", execRows},
		{"a write commits", writeCommits},
		{"an error rolls back", errorRollsBack},
		{"a panic rolls back", panicRollsBack},
		{"a read is one snapshot", snapshot},
		{"a read cannot write", readOnly},
		{"a unique key is reported", unique},
		{"other faults of statements are internal", internalFaults},
		{"writers do not lose updates", counter},
		{"a write asked to run again runs again", retries},
		{"a write is not retried for ever", retriesEnd},
		{"a done context stops a write", doneContext},
		{"a context that ends within a write rolls back", endingContext},
		{"a slow read ends with its context", slowRead},
		{"a row that is missing", missingRow},
		{"one text within its own rows", nestedText},
		{"more texts than the cache holds", manyTexts},
		{"a changed table", changedTable},
		{"rows left open", rowsLeftOpen},
		{"many rows at once", manyRows},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := fresh(t)(t, sqldb.Options{})
			migrate(t, db, "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT UNIQUE)")
			c.test(t, db)
		})
	}
	t.Run("migrations", func(t *testing.T) { migrationSuite(t, fresh) })
	t.Run("idempotency", func(t *testing.T) { idempotencySuite(t, fresh) })
}

func migrate(t *testing.T, db *sqldb.DB, statements ...string) {
	t.Helper()
	if err := db.Migrate(t.Context(), migrations(statements...)); err != nil {
		t.Fatal(err)
	}
}

// migrations makes one migration of each statement, for both databases.
func migrations(statements ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i, s := range statements {
		file := &fstest.MapFile{Data: []byte("-- +goose Up\n" + s + ";\n")}
		name := fmt.Sprintf("/%05d_step.sql", i+1)
		fsys["sqlite"+name], fsys["postgres"+name] = file, file
	}
	return fsys
}

func exec(t *testing.T, db *sqldb.DB, query string, args ...any) {
	t.Helper()
	if err := tryExec(t.Context(), db, query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func tryExec(ctx context.Context, db *sqldb.DB, query string, args ...any) error {
	return db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
}

func count(t *testing.T, tx sqldb.Tx) int {
	t.Helper()
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func wantKind(t *testing.T, err error, kind errs.Kind, reason string) {
	t.Helper()
	if err == nil || errs.KindOf(err) != kind || errs.ReasonOf(err) != reason {
		t.Errorf("kind %d reason %q, want %d %q: %v", errs.KindOf(err), errs.ReasonOf(err), kind, reason, err)
	}
}

func roundTrip(t *testing.T, db *sqldb.DB) {
	blob := map[sqldb.Dialect]string{sqldb.SQLite: "BLOB", sqldb.Postgres: "BYTEA"}[db.Dialect()]
	exec(t, db, "CREATE TABLE v (i BIGINT, f DOUBLE PRECISION, s TEXT, b "+blob+", y BOOLEAN, n BIGINT, e "+blob+")")
	exec(t, db, "INSERT INTO v (i, f, s, b, y, n, e) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		int64(-1<<63), 0.1, "naïve 🫀 text'", []byte{0, 0xff}, true, nil, []byte{})
	var i int64
	var f float64
	var s string
	var b, e []byte
	var y bool
	var n sql.NullInt64
	if err := db.Reader().QueryRowContext(t.Context(), "SELECT i, f, s, b, y, n, e FROM v").Scan(&i, &f, &s, &b, &y, &n, &e); err != nil {
		t.Fatal(err)
	}
	if i != -1<<63 || f != 0.1 || s != "naïve 🫀 text'" || string(b) != "\x00\xff" || !y || n.Valid || len(e) != 0 {
		t.Errorf("%v %v %q %x %v %v %v", i, f, s, b, y, n, e)
	}
}

func placeholders(t *testing.T, db *sqldb.DB) {
	exec(t, db, "INSERT INTO t (b, a) VALUES ($2, $1)", 1, "x")
	exec(t, db, "INSERT INTO t (a, b) VALUES ($1, $2)", 2, "y")
	var a int
	query := "SELECT a FROM t WHERE b = $3 AND a > $1 AND a >= $2 AND a > $1"
	if err := db.Reader().QueryRowContext(t.Context(), query, 0, 1, "y").Scan(&a); err != nil || a != 2 {
		t.Errorf("%d, %v", a, err)
	}
}

func argumentCount(t *testing.T, db *sqldb.DB) {
	for _, args := range [][]any{nil, {1}, {1, "x", 3}} {
		for range 2 {
			if err := tryExec(t.Context(), db, "INSERT INTO t (a, b) VALUES ($1, $2)", args...); err == nil {
				t.Errorf("%d arguments for two placeholders", len(args))
			}
		}
	}
	exec(t, db, "INSERT INTO t (a, b) VALUES ($1, $2)", 1, "x")
	if err := tryExec(t.Context(), db, "DELETE FROM t", 1); err == nil {
		t.Error("one argument for none")
	}
}

// execRows runs one statement for several rows: what it changed counts, and a row that fails ends it.
func execRows(t *testing.T, db *sqldb.DB) {
	type word string
	exec(t, db, "CREATE TABLE r (a BIGINT PRIMARY KEY, b TEXT)")
	run := func(query string, columns int, args ...any) (unchanged []int, err error) {
		err = db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
			unchanged, err = sqldb.ExecRows(ctx, tx, query, columns, args)
			return err
		})
		return unchanged, err
	}
	if unchanged, err := run("INSERT INTO r (b, a) VALUES ($2, $1)", 2, 1, "x", int64(2), nil, 3, word("z")); err != nil || len(unchanged) > 0 {
		t.Errorf("inserting: %v, %v", unchanged, err)
	}
	for range 2 { // by the same statement, and none of it is left over
		if unchanged, err := run("UPDATE r SET b = $2 WHERE a = $1", 2, 9, "no", 1, "one", 8, "no", 3, "three"); err != nil || !slices.Equal(unchanged, []int{0, 2}) {
			t.Errorf("updating: %v, %v", unchanged, err)
		}
	}
	if unchanged, err := run("DELETE FROM r WHERE a = $1", 1); err != nil || len(unchanged) > 0 {
		t.Errorf("no rows: %v, %v", unchanged, err)
	}
	for name, args := range map[string][]any{
		"a row that is there": {4, "w", 1, "x", 5, "v"}, "half a row": {4, "w", 5}, "no value": {4, "w", 5, struct{}{}},
	} {
		if _, err := run("INSERT INTO r (a, b) VALUES ($1, $2)", 2, args...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var got string
	err := db.Reader().QueryRowContext(t.Context(), "SELECT concat_ws(' ', count(*), min(b), max(b), max(a)) FROM r").Scan(&got)
	if err != nil || got != "3 one three 3" {
		t.Errorf("%q, %v", got, err)
	}
}

func writeCommits(t *testing.T, db *sqldb.DB) {
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		if tx.Dialect() != db.Dialect() {
			t.Error("a transaction of another dialect")
		}
		for i := range 3 {
			if _, err := tx.ExecContext(ctx, "INSERT INTO t (a) VALUES ($1)", i); err != nil {
				return err
			}
		}
		if n := count(t, tx); n != 3 {
			t.Errorf("it sees %d of its own rows", n)
		}
		return nil
	})
	if err != nil || count(t, db.Reader()) != 3 {
		t.Errorf("%d rows, %v", count(t, db.Reader()), err)
	}
}

func errorRollsBack(t *testing.T, db *sqldb.DB) {
	mine := errs.New(errs.NotFound, "NO_SUCH_THING", "gone")
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO t (a) VALUES (1)"); err != nil {
			return err
		}
		return fmt.Errorf("looking: %w", mine)
	})
	if !errors.Is(err, mine) || count(t, db.Reader()) != 0 {
		t.Errorf("%d rows, %v", count(t, db.Reader()), err)
	}
}

func panicRollsBack(t *testing.T, db *sqldb.DB) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
			_, _ = tx.ExecContext(ctx, "INSERT INTO t (a) VALUES (1)")
			panic("boom")
		})
	}()
	exec(t, db, "INSERT INTO t (a) VALUES (2)")
	if n := count(t, db.Reader()); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func snapshot(t *testing.T, db *sqldb.DB) {
	exec(t, db, "INSERT INTO t (a) VALUES (1)")
	err := db.Read(t.Context(), func(_ context.Context, tx sqldb.Tx) error {
		if n := count(t, tx); n != 1 {
			t.Errorf("%d rows", n)
		}
		exec(t, db, "INSERT INTO t (a) VALUES (2)")
		if n := count(t, tx); n != 1 {
			t.Errorf("a commit showed within the snapshot: %d rows", n)
		}
		if n := count(t, db.Reader()); n != 2 {
			t.Errorf("a commit does not show outside: %d rows", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func readOnly(t *testing.T, db *sqldb.DB) {
	err := db.Read(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO t (a) VALUES (1)")
		return err
	})
	wantKind(t, err, errs.Unavailable, errs.ReasonDatabaseReadOnly)
	if n := count(t, db.Reader()); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func unique(t *testing.T, db *sqldb.DB) {
	exec(t, db, "INSERT INTO t (a, b) VALUES (1, 'x')")
	for _, query := range []string{"INSERT INTO t (a) VALUES (1)", "INSERT INTO t (a, b) VALUES (2, 'x')", "UPDATE t SET a = 1 WHERE a = 3"} {
		exec(t, db, "INSERT INTO t (a) VALUES (3) ON CONFLICT (a) DO NOTHING")
		err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, query)
			if !sqldb.IsUnique(err) {
				t.Errorf("%s: the driver's error is no unique violation: %v", query, err)
			}
			return err
		})
		wantKind(t, err, errs.AlreadyExists, errs.ReasonAlreadyExists)
		if !sqldb.IsUnique(err) {
			t.Errorf("%s: the classified error is no unique violation", query)
		}
	}
	if sqldb.IsUnique(nil) || sqldb.IsUnique(sql.ErrNoRows) {
		t.Error("everything is a unique violation")
	}
}

func internalFaults(t *testing.T, db *sqldb.DB) {
	exec(t, db, "CREATE TABLE c (a BIGINT NOT NULL CHECK (a > 0), r BIGINT REFERENCES t (a))")
	for _, query := range []string{
		"INSERT INTO c (a) VALUES (NULL)", "INSERT INTO c (a) VALUES (-1)", "INSERT INTO c (a, r) VALUES (1, 99)",
		"INSERT INTO nowhere (a) VALUES (1)", "INSERT INTO", "SELECT a FROM t WHERE nothing = 1",
	} {
		err := tryExec(t.Context(), db, query)
		wantKind(t, err, errs.Internal, errs.ReasonInternal)
		e, ok := errors.AsType[*errs.Error](err)
		if !ok || strings.Contains(e.Message, "c") && strings.Contains(e.Message, "constraint") {
			t.Errorf("%s: the message shows our insides: %v", query, err)
		}
	}
}

func counter(t *testing.T, db *sqldb.DB) {
	exec(t, db, "INSERT INTO t (a, b) VALUES (0, '0')")
	const workers, each = 8, 25
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if err := increment(t.Context(), db); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var n int
	if err := db.Reader().QueryRowContext(t.Context(), "SELECT CAST(b AS BIGINT) FROM t").Scan(&n); err != nil || n != workers*each {
		t.Errorf("%d, %v", n, err)
	}
}

func increment(ctx context.Context, db *sqldb.DB) error {
	return db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		var n int
		query := "SELECT CAST(b AS BIGINT) FROM t WHERE a = 0" + tx.Dialect().ForUpdate()
		if err := tx.QueryRowContext(ctx, query).Scan(&n); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE t SET b = $1 WHERE a = 0", fmt.Sprint(n+1))
		return err
	})
}

// conflict makes the database report a true conflict, at once.
func conflict(ctx context.Context, tx sqldb.Tx) error {
	if tx.Dialect() == sqldb.Postgres {
		_, err := tx.ExecContext(ctx, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")
		return err
	}
	// SQLITE_LOCKED: a table cannot go while its rows are being read.
	rows, err := tx.QueryContext(ctx, "SELECT a FROM t")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	rows.Next()
	_, err = tx.ExecContext(ctx, "DROP TABLE t")
	return errors.Join(err, rows.Err())
}

func retries(t *testing.T, db *sqldb.DB) {
	exec(t, db, "INSERT INTO t (a) VALUES (1)")
	runs := 0
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		runs++
		if _, err := tx.ExecContext(ctx, "INSERT INTO t (a) VALUES ($1)", 100+runs); err != nil {
			return err
		}
		if runs < 3 {
			// Classified by the store on its way: a retry all the same.
			return sqldb.Classify(conflict(ctx, tx))
		}
		return nil
	})
	if err != nil || runs != 3 || count(t, db.Reader()) != 2 {
		t.Errorf("%d runs, %d rows, %v", runs, count(t, db.Reader()), err)
	}
}

func retriesEnd(t *testing.T, db *sqldb.DB) {
	exec(t, db, "INSERT INTO t (a) VALUES (1)")
	runs := 0
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		runs++
		return conflict(ctx, tx)
	})
	wantKind(t, err, errs.Aborted, errs.ReasonDatabaseBusy)
	if runs != 5 {
		t.Errorf("%d runs", runs)
	}
	ctx, cancel := context.WithCancel(t.Context())
	runs = 0
	err = db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		runs++
		defer cancel()
		return conflict(ctx, tx)
	})
	if err == nil || runs != 1 {
		t.Errorf("%d runs for a caller that left, %v", runs, err)
	}
}

func doneContext(t *testing.T, db *sqldb.DB) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := func(context.Context, sqldb.Tx) error { t.Error("it ran"); return nil }
	wantKind(t, db.Write(ctx, never), errs.Canceled, errs.ReasonCancelled)
	wantKind(t, db.Read(ctx, never), errs.Canceled, errs.ReasonCancelled)
	past, cancelPast := context.WithTimeout(t.Context(), -time.Second)
	defer cancelPast()
	wantKind(t, db.Write(past, never), errs.DeadlineExceeded, errs.ReasonDeadlineExceeded)
	exec(t, db, "INSERT INTO t (a) VALUES (1)")
}

func endingContext(t *testing.T, db *sqldb.DB) {
	for _, afterwards := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
			if _, err := tx.ExecContext(ctx, "INSERT INTO t (a) VALUES (1)"); err != nil {
				return err
			}
			cancel()
			if !afterwards {
				return nil
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO t (a) VALUES (2)")
			return err
		})
		wantKind(t, err, errs.Canceled, errs.ReasonCancelled)
		if n := count(t, db.Reader()); n != 0 {
			t.Errorf("%d rows", n)
		}
	}
	exec(t, db, "INSERT INTO t (a) VALUES (1)")
}

func slowRead(t *testing.T, db *sqldb.DB) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := testenv.Now()
	err := db.Read(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		var n int64
		return tx.QueryRowContext(ctx, `WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 2000000000)
SELECT count(*) FROM r`).Scan(&n)
	})
	wantKind(t, err, errs.DeadlineExceeded, errs.ReasonDeadlineExceeded)
	if took := testenv.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := count(t, db.Reader()); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func missingRow(t *testing.T, db *sqldb.DB) {
	get := func(ctx context.Context, tx sqldb.Tx) error {
		var a int
		err := tx.QueryRowContext(ctx, "SELECT a FROM t WHERE a = $1", 9).Scan(&a)
		if !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("%v, want sql.ErrNoRows", err)
		}
		return err
	}
	if err := get(t.Context(), db.Reader()); err == nil {
		t.Error("a row")
	}
	wantKind(t, db.Read(t.Context(), get), errs.Internal, errs.ReasonInternal)
}

func nestedText(t *testing.T, db *sqldb.DB) {
	if db.Dialect() == sqldb.Postgres {
		// One connection, one result at a time: here it is an error, which must do no harm.
		_ = db.Read(t.Context(), func(ctx context.Context, tx sqldb.Tx) error { return nested(ctx, tx, 2) })
		exec(t, db, "INSERT INTO t (a) VALUES (1)")
		return
	}
	exec(t, db, "INSERT INTO t (a) VALUES (1), (2), (3)")
	for range 3 {
		if err := db.Read(t.Context(), func(ctx context.Context, tx sqldb.Tx) error { return nested(ctx, tx, 3) }); err != nil {
			t.Fatal(err)
		}
	}
}

func nested(ctx context.Context, tx sqldb.Tx, depth int) error {
	if depth == 0 {
		return nil
	}
	rows, err := tx.QueryContext(ctx, "SELECT a FROM t ORDER BY a")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for want := 1; rows.Next(); want++ {
		var a int
		if err := rows.Scan(&a); err != nil {
			return err
		}
		if a != want {
			return fmt.Errorf("row %d is %d", want, a)
		}
		if err := nested(ctx, tx, depth-1); err != nil {
			return err
		}
	}
	return rows.Err()
}

func manyTexts(t *testing.T, db *sqldb.DB) {
	pad := strings.Repeat(" ", 4<<10)
	for range 2 {
		for i := range 200 {
			var n int
			err := db.Reader().QueryRowContext(t.Context(), fmt.Sprintf("SELECT %d %s", i, pad)).Scan(&n)
			if err != nil || n != i {
				t.Fatalf("%d, %v", n, err)
			}
		}
	}
}

func changedTable(t *testing.T, db *sqldb.DB) {
	exec(t, db, "INSERT INTO t (a, b) VALUES ($1, $2)", 1, "x")
	query := "SELECT a, b FROM t WHERE a = $1"
	read := func() error {
		var a int
		var b string
		return db.Reader().QueryRowContext(t.Context(), query, 1).Scan(&a, &b)
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	exec(t, db, "ALTER TABLE t ADD COLUMN c TEXT DEFAULT 'new'")
	exec(t, db, "CREATE INDEX t_c ON t (c)")
	exec(t, db, "INSERT INTO t (a, b) VALUES ($1, $2)", 2, "y")
	for range 3 {
		if err := read(); err != nil {
			t.Error(err)
		}
	}
}

func rowsLeftOpen(t *testing.T, db *sqldb.DB) {
	exec(t, db, "INSERT INTO t (a) VALUES (1), (2), (3)")
	for range 10 { // More often than there are connections.
		err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
			rows, err := tx.QueryContext(ctx, "SELECT a FROM t") //nolint:sqlclosecheck // the fault under test
			if err != nil {
				return err
			}
			rows.Next()
			return errs.New(errs.NotFound, "LEFT", "left in the midst")
		})
		wantKind(t, err, errs.NotFound, "LEFT")
	}
	exec(t, db, "DELETE FROM t WHERE a > $1", 0)
	if n := count(t, db.Reader()); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func manyRows(t *testing.T, db *sqldb.DB) {
	for _, n := range []int{1, 2, sqldb.MaxVars / 2} {
		args := make([]any, 0, 2*n)
		for i := range n {
			args = append(args, i, fmt.Sprint(i))
		}
		exec(t, db, "INSERT INTO t (a, b) VALUES "+sqldb.Values(n, 2)+" ON CONFLICT (a) DO NOTHING", args...)
		if got := count(t, db.Reader()); got != n {
			t.Errorf("%d rows, want %d", got, n)
		}
	}
	var n int
	query := "SELECT count(*) FROM t WHERE a >= $1 AND a IN " + sqldb.In(3, 2)
	if err := db.Reader().QueryRowContext(t.Context(), query, 5, 4, 5, 6).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	if err := db.Reader().QueryRowContext(t.Context(), "SELECT count(*) FROM t WHERE a IN "+sqldb.In(0, 1)).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d in nothing, %v", n, err)
	}
}
