//go:build realservers

package sqldb_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/migrationlint"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestIndexConcurrently makes an index of a table in use by the lines that migrations are to have. The first
// try fails as one that is killed does: it leaves an INVALID index, which the second replaces.
func TestIndexConcurrently(t *testing.T) {
	db := open(t, testenv.PostgresServer(t), sqldb.Options{})
	steps := migrations(
		"CREATE TABLE t (a BIGINT)",
		"SELECT 1",
	)
	two := "-- +goose Up\n-- +goose NO TRANSACTION\nSET lock_timeout = 0;\nDROP INDEX CONCURRENTLY IF EXISTS t_a;\n" +
		"CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a);\nRESET lock_timeout;\n"
	migrate(t, db, "CREATE TABLE t (a BIGINT)")
	steps["postgres/00002_step.sql"] = &fstest.MapFile{Data: []byte(two)}
	if faults, err := migrationlint.Lint(steps, 1); err != nil || len(faults) > 0 {
		t.Fatalf("the lint has against it: %q, %v", faults, err)
	}
	exec(t, db, "INSERT INTO t VALUES (1), (1)")
	err := db.Migrate(t.Context(), steps)
	if errs.ReasonOf(err) != errs.ReasonMigrationFailed || !strings.Contains(err.Error(), "00002_step.sql") {
		t.Fatalf("with two equal rows: %v", err)
	}
	valid := func() (valid bool) {
		t.Helper()
		query := "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('t_a')"
		if err := db.Reader().QueryRowContext(t.Context(), query).Scan(&valid); err != nil {
			t.Fatal(err)
		}
		return valid
	}
	if valid() {
		t.Fatal("the failed index is valid: this test is about nothing")
	}
	if err := db.Check(t.Context(), migrations("CREATE TABLE t (a BIGINT)")); err != nil {
		t.Errorf("the old program does not start after it: %v", err)
	}
	exec(t, db, "DELETE FROM t")
	if err := db.Migrate(t.Context(), steps); err != nil {
		t.Fatal(err)
	}
	if !valid() {
		t.Error("the index is INVALID still")
	}
}
