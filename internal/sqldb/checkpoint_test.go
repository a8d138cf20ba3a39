package sqldb_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// pages makes a value that takes this many pages of the write-ahead log.
func pages(n int) string { return strings.Repeat("x", n*4096) }

// awaitCheckpoint waits until all of the log is in the file.
func awaitCheckpoint(t *testing.T, db *sqldb.DB) {
	t.Helper()
	left := -1
	for deadline := testenv.Now().Add(20 * time.Second); testenv.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var err error
		if left, err = sqldb.NotCopied(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			return
		}
	}
	t.Fatalf("%d pages of the log are not in the file", left)
}

func TestTheLogIsCopiedBesideTheWriter(t *testing.T) {
	db, _ := openFile(t)
	exec(t, db, "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)")
	exec(t, db, "INSERT INTO t (a, b) VALUES (1, $1)", pages(3500))
	awaitCheckpoint(t, db)
	exec(t, db, "INSERT INTO t (a, b) VALUES (2, $1)", pages(500)) // less, when nothing is written any more
	awaitCheckpoint(t, db)
}

func TestAReaderHoldsTheLogBackAndNoWriter(t *testing.T) {
	db, path := openFile(t)
	exec(t, db, "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)")
	err := db.Read(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		before := count(t, tx)
		for i := range 30 {
			exec(t, db, "INSERT INTO t (a, b) VALUES ($1, $2)", i, pages(200))
		}
		if after := count(t, tx); after != before {
			t.Errorf("the snapshot had %d rows and has %d", before, after)
		}
		if left, err := sqldb.NotCopied(ctx, db); err != nil || left == 0 {
			t.Errorf("%d pages are not copied, %v: those that the snapshot does not have were written over it", left, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	awaitCheckpoint(t, db)
	exec(t, db, "INSERT INTO t (a, b) VALUES (100, 'begins the log anew')")
	for i := range 30 {
		exec(t, db, "UPDATE t SET b = $2 WHERE a = $1", i, pages(200))
	}
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() > 64<<20 {
		t.Errorf("the log has %v, %v", info, err)
	}
}

// TestAKilledWriterLosesNothing runs this binary as a process that writes much, and is killed.
func TestAKilledWriterLosesNothing(t *testing.T) {
	if path := os.Getenv("SQLDB_WRITING_CHILD"); path != "" {
		writeUntilKilled(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "test.db")
	last := 0
	for _, after := range []int{1, 40, 150, 400} { // rows, of some ten pages each
		last = killAfter(t, path, last+after)
		db := open(t, "sqlite:"+path, sqldb.Options{})
		var n, most int
		var sound string
		if err := db.Reader().QueryRowContext(t.Context(), "SELECT count(*), max(a) FROM t").Scan(&n, &most); err != nil {
			t.Fatal(err)
		}
		if n != most || most < last {
			t.Errorf("%d rows, up to %d; %d were acknowledged", n, most, last)
		}
		if err := db.Reader().QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
			t.Errorf("%s, %v", sound, err)
		}
		last = most
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeUntilKilled writes rows, and prints the number of each that is committed.
func writeUntilKilled(t *testing.T, path string) {
	t.Helper()
	db := open(t, "sqlite:"+path, sqldb.Options{})
	if err := tryExec(t.Context(), db, "CREATE TABLE IF NOT EXISTS t (a BIGINT PRIMARY KEY, b TEXT)"); err != nil {
		t.Fatal(err)
	}
	var last int
	if err := db.Reader().QueryRowContext(t.Context(), "SELECT coalesce(max(a), 0) FROM t").Scan(&last); err != nil {
		t.Fatal(err)
	}
	for i := last + 1; ; i++ {
		exec(t, db, "INSERT INTO t (a, b) VALUES ($1, $2)", i, pages(10))
		fmt.Println(i)
	}
}

// killAfter kills a process that writes when it has written so many rows, and returns the last one that it told of.
func killAfter(t *testing.T, path string, rows int) (last int) {
	t.Helper()
	child := osexec.Command(os.Args[0], "-test.run=^TestAKilledWriterLosesNothing$")
	child.Env = append(os.Environ(), "SQLDB_WRITING_CHILD="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }()
	defer func() { _ = child.Process.Kill() }()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the child printed %q", lines.Text())
		}
		if last = n; last == rows {
			_ = child.Process.Kill() // and what it told of until then is read to the end
		}
	}
	if last < rows {
		t.Fatalf("the child ended after %d rows", last)
	}
	return last
}
