package sqldb

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"modernc.org/sqlite"
)

// TestShrink finds the pages that were read and written through any connection given back.
func TestShrink(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "test.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	const rows = 4000
	err = db.Write(t.Context(), func(ctx context.Context, tx Tx) error {
		if _, err := tx.ExecContext(ctx, "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT)"); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < $1) INSERT INTO t SELECT i, hex(zeroblob(200)) FROM n", rows)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func() {
		var n int
		if err := db.Reader().QueryRowContext(t.Context(), "SELECT count(*) FROM t WHERE b <> ''").Scan(&n); err != nil || n != rows {
			t.Fatal(n, err)
		}
	}
	read()
	before := [2]int{pagesOf(t, db.read), pagesOf(t, db.write)}
	if err := db.Shrink(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, after := range [2]int{pagesOf(t, db.read), pagesOf(t, db.write)} {
		if before[i] < 1<<20 || after > before[i]/8 {
			t.Errorf("%s: pages took %d bytes, and take %d", [2]string{"readers", "the writer"}[i], before[i], after)
		}
	}
	read()
}

// pagesOf is how many bytes the pages of a pool's connection take.
func pagesOf(t *testing.T, pool *sql.DB) (used int) {
	t.Helper()
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) (err error) {
		used, _, err = c.(*cachedConn).sqliteConn.(sqlite.DBStatus).Status(sqlite.DBStatusCacheUsed, false)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}
