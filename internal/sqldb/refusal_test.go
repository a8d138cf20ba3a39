package sqldb_test

import (
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// watched opens a database that reports when it begins and ends to refuse writes.
func watched(t *testing.T, url string) (db *sqldb.DB, reports chan error) {
	t.Helper()
	reports = make(chan error, 10)
	return open(t, url, sqldb.Options{Refuses: func(err error) { reports <- err }}), reports
}

// next is the next report.
func next(t *testing.T, reports chan error) error {
	t.Helper()
	select {
	case err := <-reports:
		return err
	case <-time.After(time.Minute):
		t.Fatal("nobody reports")
		return nil
	}
}

// refuses writes until that fails for a reason, and then mends what is wrong, after which nobody writes.
func refuses(t *testing.T, db *sqldb.DB, reports chan error, reason string, write func() error, mend func()) {
	t.Helper()
	if got := db.Refusal(); got != "" {
		t.Fatalf("refuses from the start: %s", got)
	}
	var err error
	for range 10_000 {
		if err = write(); err != nil {
			break
		}
	}
	wantKind(t, err, errs.Unavailable, reason)
	wantKind(t, next(t, reports), errs.Unavailable, reason)
	if got := db.Refusal(); got != reason {
		t.Errorf("refuses because of %q", got)
	}
	wantKind(t, write(), errs.Unavailable, reason)
	// What fits, as this may, is no proof that it is over; and it is reported once.
	_ = db.Write(t.Context(), func(context.Context, sqldb.Tx) error { return nil })
	if got := db.Refusal(); got != reason || len(reports) > 0 {
		t.Errorf("refuses because of %q, with %d more reports", got, len(reports))
	}
	mend()
	if err := next(t, reports); err != nil || db.Refusal() != "" {
		t.Errorf("%v, and refuses because of %q", err, db.Refusal())
	}
	if err := write(); err != nil {
		t.Error(err)
	}
	var left int
	err = db.Reader().QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master WHERE name LIKE '%probe%'").Scan(&left)
	if db.Dialect() == sqldb.SQLite && (err != nil || left > 0) {
		t.Errorf("the probe leaves %d tables, %v", left, err)
	}
}

// writer inserts something large.
func writer(t *testing.T, db *sqldb.DB) func() error {
	t.Helper()
	exec(t, db, "CREATE TABLE large (a TEXT)")
	return func() error {
		return tryExec(t.Context(), db, "INSERT INTO large (a) VALUES ($1)", strings.Repeat("x", 50_000))
	}
}

// pragma sets something of the writer's connection.
func pragma(t *testing.T, db *sqldb.DB, text string) {
	t.Helper()
	if err := sqldb.OnWriter(t.Context(), db, "PRAGMA "+text); err != nil {
		t.Fatal(err)
	}
}

func TestSQLiteRefusal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ reason, begin, end string }{
		"full":      {errs.ReasonDatabaseFull, "max_page_count = 50", "max_page_count = 100000"},
		"read-only": {errs.ReasonDatabaseReadOnly, "query_only = 1", "query_only = 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, reports := watched(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
			write := writer(t, db)
			for range 2 { // and a second time
				pragma(t, db, c.begin)
				refuses(t, db, reports, c.reason, write, func() { pragma(t, db, c.end) })
			}
		})
	}
}

// TestSQLiteProbeIsCutOff: a table that a probe left where the process was killed stops nothing.
func TestSQLiteProbeIsCutOff(t *testing.T) {
	t.Parallel()
	db, reports := watched(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	exec(t, db, "CREATE TABLE write_probe (room BLOB NOT NULL)")
	exec(t, db, "INSERT INTO write_probe (room) VALUES (x'00')")
	write := writer(t, db)
	pragma(t, db, "query_only = 1")
	refuses(t, db, reports, errs.ReasonDatabaseReadOnly, write, func() { pragma(t, db, "query_only = 0") })
}

// TestSQLiteDiskFull fills a disk of a few megabytes, where this user may make one.
func TestSQLiteDiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 8<<20)
	if dir == "" {
		return // TestSQLiteRefusal meets the same code where no disk can be made
	}
	db, reports := watched(t, "sqlite:"+filepath.Join(dir, "test.db"))
	write := writer(t, db)
	other := filepath.Join(dir, "other") // somebody else's, larger than the log will be, which is copied into what it leaves
	if err := os.WriteFile(other, make([]byte, 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, db, reports, errs.ReasonDatabaseFull, write, func() {
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
	})
}

// smallDisk mounts a disk in memory; "" where this user may not.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "preceptor-small-disk-") //nolint:usetesting // t.TempDir's parents are closed to the user postgres
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := osexec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0700", bytes), "tmpfs", dir).Run(); err != nil {
		return ""
	}
	t.Cleanup(func() {
		if err := osexec.Command("umount", dir).Run(); err != nil {
			t.Error(err)
		}
	})
	return dir
}
