package sqldb_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// TestBackupIsOneMoment copies a database while somebody writes to it: two tables that are always
// written together hold the same in every copy, and all that was committed before it began.
func TestBackupIsOneMoment(t *testing.T) {
	db, path := openFile(t)
	if err := db.Migrate(t.Context(), migrations("CREATE TABLE a (n BIGINT NOT NULL); CREATE TABLE b (n BIGINT NOT NULL, t TEXT NOT NULL)")); err != nil {
		t.Fatal(err)
	}
	var written sync.Mutex
	var count int64
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := int64(1); ctx.Err() == nil; n++ {
			err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
				if _, err := tx.ExecContext(ctx, "INSERT INTO a (n) VALUES ($1)", n); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, "INSERT INTO b (n, t) VALUES ($1, $2)", n, strings.Repeat("x", 2000))
				return err
			})
			if err != nil {
				t.Error(err)
				return
			}
			written.Lock()
			count = n
			written.Unlock()
		}
	})
	dir := t.TempDir()
	for i := range 20 {
		written.Lock()
		before := count
		written.Unlock()
		to := filepath.Join(dir, fmt.Sprintf("a %%3F?name %d.db", i))
		version, err := sqldb.Backup(t.Context(), path, to, migrations(stepOne))
		if err != nil || version != 1 {
			t.Fatalf("version %d, %v", version, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*-wal")); len(left) > 0 {
			t.Errorf("the copy is not one file: %v", left)
		}
		if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		copied := open(t, "sqlite:"+to, sqldb.Options{})
		var a, b, sum int64
		if err := copied.Reader().QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM a), count(*), coalesce(max(n), 0) FROM b").Scan(&a, &b, &sum); err != nil {
			t.Fatal(err)
		}
		if a != b || b != sum || a < before {
			t.Errorf("the copy holds %d and %d up to %d; %d were there when it began", a, b, sum, before)
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}
	cancel()
	writing.Wait()
}

// TestBackupFindsTheLog copies what a process left in the log when it was killed.
func TestBackupFindsTheLog(t *testing.T) {
	db, path := openFile(t)
	exec(t, db, "CREATE TABLE a (n BIGINT NOT NULL)")
	exec(t, db, "INSERT INTO a (n) VALUES (7)")
	killed := filepath.Join(t.TempDir(), "killed.db")
	for _, suffix := range []string{"", "-wal"} { // at rest, so what is copied is what a kill leaves
		text, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(killed+suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(killed)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	if _, err := sqldb.Backup(t.Context(), killed, to, migrations(stepOne)); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(killed); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was written to: %v", err)
	}
	var n int
	if err := open(t, "sqlite:"+to, sqldb.Options{}).Reader().QueryRowContext(t.Context(), "SELECT n FROM a").Scan(&n); err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestBackupRefuses(t *testing.T) {
	_, path := openFile(t)
	dir := t.TempDir()
	garbage, exists := filepath.Join(dir, "garbage.db"), filepath.Join(dir, "exists.db")
	for _, file := range []string{garbage, exists} {
		if err := os.WriteFile(file, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ file, to, reason string }{
		{filepath.Join(dir, "missing.db"), filepath.Join(dir, "1.db"), errs.ReasonDatabaseCannotOpen},
		{garbage, filepath.Join(dir, "2.db"), errs.ReasonDatabaseNotADatabase},
		{path, exists, errs.ReasonNotEmpty},
		{path, filepath.Join(dir, "missing", "3.db"), errs.ReasonDatabaseCannotOpen},
	} {
		_, err := sqldb.Backup(t.Context(), c.file, c.to, migrations(stepOne))
		wantKind(t, err, errs.FailedPrecondition, c.reason)
	}
	if text, err := os.ReadFile(exists); err != nil || !strings.HasPrefix(string(text), "no database") {
		t.Errorf("what was there is not any more: %v", err)
	}
}
