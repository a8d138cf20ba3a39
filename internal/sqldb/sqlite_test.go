package sqldb_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
)

func TestSQLite(t *testing.T) {
	suite(t, func(t *testing.T) opener {
		url := "sqlite:" + filepath.Join(t.TempDir(), "test.db")
		return func(t *testing.T, opts sqldb.Options) *sqldb.DB { return open(t, url, opts) }
	})
}

func open(t testing.TB, url string, opts sqldb.Options) *sqldb.DB {
	t.Helper()
	return sqldbtest.OpenWith(t, url, opts)
}

func openFile(t testing.TB) (db *sqldb.DB, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "test.db")
	return open(t, "sqlite:"+path, sqldb.Options{}), path
}

func TestOpenRefusesOtherURLs(t *testing.T) {
	for _, url := range []string{"", "test.db", "mysql://secret@host/db", "sqlite:", "sqlite://", "sqlite::memory:", "sqlite:a\x00b", "postgres://secret:pw@host:port/x"} {
		_, err := sqldb.Open(t.Context(), url, sqldb.Options{})
		wantKind(t, err, errs.Invalid, errs.ReasonDatabaseURLInvalid)
		if err != nil && (strings.Contains(err.Error(), "secret@") || strings.Contains(err.Error(), ":pw@")) {
			t.Errorf("the error shows the url: %v", err)
		}
	}
}

// TestOpenSilentServer connects to a server that never responds.
func TestOpenSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	url := "postgres://u@" + l.Addr().String() + "/x?sslmode=disable&connect_timeout=1"
	_, err = sqldb.Open(t.Context(), url, sqldb.Options{})
	wantKind(t, err, errs.Unavailable, errs.ReasonDatabaseUnreachable)
}

func TestSQLiteOpenFaults(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	write(t, text, bytes.Repeat([]byte("no database at all\n"), 1000))
	if err := os.Mkdir(filepath.Join(dir, "folder.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, reason string }{
		{filepath.Join(dir, "missing", "x.db"), errs.ReasonDatabaseCannotOpen},
		{filepath.Join(text, "x.db"), errs.ReasonDatabaseCannotOpen},
		{filepath.Join(dir, "folder.db"), errs.ReasonDatabaseCannotOpen},
		{text, errs.ReasonDatabaseNotADatabase},
	} {
		_, err := sqldb.Open(t.Context(), "sqlite:"+c.path, sqldb.Options{})
		wantKind(t, err, errs.FailedPrecondition, c.reason)
		if err != nil && !strings.Contains(err.Error(), c.path) {
			t.Errorf("the error does not name %s: %v", c.path, err)
		}
	}
}

// TestSQLiteIsNotMadeAnew: a database is made where there was none, and not where one was.
func TestSQLiteIsNotMadeAnew(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write(t, file("empty.db"), nil)
	write(t, file("log.db-wal"), []byte("what was not yet in the database"))
	if err := os.Symlink(file("elsewhere"), file("link.db")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct{ reason, text string }{
		"empty.db": {errs.ReasonDatabaseNotADatabase, "empty file"},
		"log.db":   {errs.ReasonDatabaseNotADatabase, "its log"},
		"link.db":  {errs.ReasonDatabaseCannotOpen, "a link to a file that is not there"},
	} {
		_, err := sqldb.Open(t.Context(), "sqlite:"+file(name), sqldb.Options{})
		wantKind(t, err, errs.FailedPrecondition, want.reason)
		if err == nil || !strings.Contains(err.Error(), want.text) || !strings.Contains(err.Error(), "to start anew") {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantKind(t, sqldb.CheckFile(t.Context(), file("empty.db"), migrations(stepOne)), errs.FailedPrecondition, errs.ReasonDatabaseNotADatabase)
	if info, err := os.Stat(file("empty.db")); err != nil || info.Size() > 0 {
		t.Errorf("what was refused was written to: %v, %v", info, err)
	}

	// A process that was killed while it made the file.
	write(t, file("new.db.new"), []byte("a part of the first page"))
	write(t, file("new.db-wal"), nil)
	exec(t, open(t, "sqlite:"+file("new.db"), sqldb.Options{}), "CREATE TABLE t (a BIGINT)")
	if left, err := filepath.Glob(file("*.new*")); err != nil || len(left) > 0 {
		t.Errorf("what is left: %v, %v", left, err)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSQLiteOddPaths(t *testing.T) {
	for _, name := range []string{"a b.db", "a?b.db", "a%41#b&c=d.db", "ä.db"} {
		dir := t.TempDir()
		db := open(t, "sqlite:"+filepath.Join(dir, name), sqldb.Options{})
		exec(t, db, "CREATE TABLE t (a BIGINT)")
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestSQLiteSettings(t *testing.T) {
	db, _ := openFile(t)
	for _, c := range []struct{ pragma, reader, writer string }{
		{"journal_mode", "wal", "wal"},
		{"synchronous", "2", "2"},
		{"foreign_keys", "1", "1"},
		{"cache_size", "-2048", "-8192"},
		{"query_only", "1", "0"},
		{"busy_timeout", "5000", "5000"},
	} {
		var reader, writer string
		if err := db.Reader().QueryRowContext(t.Context(), "PRAGMA "+c.pragma).Scan(&reader); err != nil {
			t.Fatal(err)
		}
		err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
			return tx.QueryRowContext(ctx, "PRAGMA "+c.pragma).Scan(&writer)
		})
		if err != nil || reader != c.reader || writer != c.writer {
			t.Errorf("%s is %s for readers, %s for the writer, %v; want %s and %s", c.pragma, reader, writer, err, c.reader, c.writer)
		}
	}
}

func TestSQLitePlaceholders(t *testing.T) {
	db, _ := openFile(t)
	exec(t, db, `CREATE TABLE t (a BIGINT, "b$1" TEXT, [c$2] TEXT, d$1 TEXT)`)
	exec(t, db, `INSERT INTO t (a, "b$1", [c$2], d$1) VALUES ($4, $3, $2, $1)`, "d", "c", "b", 7)
	for _, c := range []struct {
		query string
		args  []any
		want  string
	}{
		{"SELECT 'it''s $2 ' || $1 -- $3\n", []any{"x"}, "it's $2 x"},
		{"select /* $9 ' */ $1", []any{"x"}, "x"},
		{"  \n WITH q AS (SELECT $2 AS v) SELECT v || $1 || $2 FROM q", []any{"x", "y"}, "yxy"},
		{`SELECT "b$1" || [c$2] || t.d$1 || $1 FROM t`, []any{"x"}, "bcdx"},
		{"SELECT `b$1`||$1||'$1'FROM t WHERE a=$2", []any{"x", 7}, "bx$1"},
		{"SELECT $10||$1||$2||$3||$4||$5||$6||$7||$8||$9 ; ", []any{"1", "2", "3", "4", "5", "6", "7", "8", "9", "a"}, "a123456789"},
		{"SELECT 'é$1' || $1", []any{"x"}, "é$1x"},
		{"SELECT ?2 || ?1", []any{"x", "y"}, "yx"},
		{"SELECT 'never closed' || $1 /* $2", []any{"x"}, "never closedx"},
	} {
		for range 2 { // Compiled, and then from the cache.
			var got string
			if err := db.Reader().QueryRowContext(t.Context(), c.query, c.args...).Scan(&got); err != nil || got != c.want {
				t.Errorf("%s: %q, %v; want %q", c.query, got, err, c.want)
			}
		}
	}
	exec(t, db, "INSERT INTO t (a) VALUES ($1); INSERT INTO t (a) VALUES ($2)", 8, 9)
	var sum int
	if err := db.Reader().QueryRowContext(t.Context(), "SELECT sum(a) FROM t").Scan(&sum); err != nil || sum != 7+8+9 {
		t.Errorf("%d, %v", sum, err)
	}
}

func TestSQLiteFull(t *testing.T) {
	db, _ := openFile(t)
	exec(t, db, "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)")
	exec(t, db, "INSERT INTO t (a, b) VALUES (1, 'kept')")
	// The connection's own limit makes the same error as a disk without room.
	exec(t, db, "PRAGMA max_page_count = 20")
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		for i := range 100 {
			if _, err := tx.ExecContext(ctx, "INSERT INTO t (a, b) VALUES ($1, $2)", 10+i, strings.Repeat("x", 4000)); err != nil {
				return err
			}
		}
		return nil
	})
	wantKind(t, err, errs.Unavailable, errs.ReasonDatabaseFull)
	if n := count(t, db.Reader()); n != 1 {
		t.Errorf("half of it was written: %d rows", n)
	}
	exec(t, db, "PRAGMA max_page_count = 1000000")
	exec(t, db, "INSERT INTO t (a, b) VALUES (2, 'again')")
}

func TestSQLiteTwoProcesses(t *testing.T) {
	one, path := openFile(t)
	two := open(t, "sqlite:"+path, sqldb.Options{})
	migrate(t, one, "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)", "INSERT INTO t (a, b) VALUES (0, '0')")
	var wg sync.WaitGroup
	for _, db := range []*sqldb.DB{one, two} {
		wg.Go(func() {
			for range 50 {
				if err := increment(t.Context(), db); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var b string
	if err := two.Reader().QueryRowContext(t.Context(), "SELECT b FROM t").Scan(&b); err != nil || b != "100" {
		t.Errorf("%s, %v", b, err)
	}
}

func TestSQLiteReadersAndWriterTogether(t *testing.T) {
	db, _ := openFile(t)
	exec(t, db, "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)")
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for last := 0; ; {
				n := count(t, db.Reader())
				if n < last || n%2 != 0 {
					t.Errorf("%d rows after %d", n, last)
				}
				last = n
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 100 {
		exec(t, db, "INSERT INTO t (a, b) VALUES ($1, 'x'), ($2, 'y')", 2*i, 2*i+1)
	}
	close(done)
	wg.Wait()
}

func TestSQLiteSurvivesReopening(t *testing.T) {
	db, path := openFile(t)
	exec(t, db, "CREATE TABLE t (a BIGINT PRIMARY KEY)")
	exec(t, db, "INSERT INTO t (a) VALUES (1)")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); !os.IsNotExist(err) {
		t.Errorf("closing left the write-ahead log: %v", err)
	}
	wantKind(t, db.Ping(t.Context()), errs.Internal, errs.ReasonInternal)
	again := open(t, "sqlite:"+path, sqldb.Options{})
	if n := count(t, again.Reader()); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// TestFilesOfAnotherFormat holds what reads a file to leaving one of another format as it is: closed
// in order, or by a kill, with a part of it in the log.
func TestFilesOfAnotherFormat(t *testing.T) {
	db, path := openFile(t)
	if err := db.Migrate(t.Context(), ofFormat(migrations(stepOne), 1)); err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(t.TempDir(), "killed.db")
	for _, suffix := range []string{"", "-wal"} {
		copyTo(t, path+suffix, killed+suffix)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(t.TempDir(), "closed.db")
	copyTo(t, path, closed)
	program := ofFormat(migrations(stepOne, stepTwo), 2)
	for _, file := range []string{closed, killed} {
		before := contents(t, file)
		_, err := sqldb.OpenMigrated(t.Context(), "sqlite:"+file, sqldb.Options{}, program)
		wantKind(t, err, errs.FailedPrecondition, errs.ReasonSchemaFormat)
		wantKind(t, sqldb.CheckFile(t.Context(), file, program), errs.FailedPrecondition, errs.ReasonSchemaFormat)
		want := file + " has format 1 and this program reads format 2: before the first release formats are not converted; " +
			"move the folder away and start with an empty one, or run the program that made it"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
		if after := contents(t, file); !reflect.DeepEqual(before, after) {
			t.Errorf("%s was written to", file)
		}
		_, err = sqldb.Backup(t.Context(), file, filepath.Join(t.TempDir(), "copy.db"), program)
		wantKind(t, err, errs.FailedPrecondition, errs.ReasonSchemaFormat)
	}
	if err := sqldb.CheckFile(t.Context(), filepath.Join(t.TempDir(), "none.db"), program); err != nil {
		t.Error(err)
	}
	open(t, "sqlite:"+closed, sqldb.Options{}) // a folder is not refused for ever: its own program opens it
	if err := sqldb.CheckFile(t.Context(), closed, ofFormat(migrations(stepOne), 1)); err != nil {
		t.Error(err)
	}
}

// contents are the file of a database and its log.
func contents(t *testing.T, file string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(file + suffix)
		if err == nil {
			found[suffix] = string(text)
		}
	}
	return found
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
