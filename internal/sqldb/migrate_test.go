package sqldb_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

func migrationSuite(t *testing.T, fresh func(t *testing.T) opener) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open opener)
	}{
		{"each is applied once, in order", migratesOnce},
		{"an older program runs where it may", migratesNewer},
		{"a program checks and changes nothing", checks},
		{"another format is refused", otherFormat},
		{"a first migration that was killed goes on", killedFirst},
		{"one that fails leaves nothing", migrationFails},
		{"one that fails keeps no older program away", failsForOlder},
		{"replicas wait for one another", migratesTogether},
		{"no migrations", migratesNothing},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

const (
	stepOne   = "CREATE TABLE t (a BIGINT PRIMARY KEY)"
	stepTwo   = "INSERT INTO t (a) VALUES (1)"
	stepThree = "INSERT INTO t (a) VALUES (2)"
)

func migratesOnce(t *testing.T, open opener) {
	db := open(t, sqldb.Options{})
	migrate(t, db, stepOne, stepTwo)
	migrate(t, db, stepOne, stepTwo)
	migrate(t, db, stepOne, stepTwo, stepThree)
	if n := count(t, db.Reader()); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// notForOlder marks a migration as one that programs without it cannot live with.
func notForOlder(fsys fstest.MapFS, version int) fstest.MapFS {
	for _, dialect := range []string{"sqlite", "postgres"} {
		name := fmt.Sprintf("%s/%05d_step.sql", dialect, version)
		text := append([]byte(fmt.Sprintf("-- min_binary: %d\n", version)), fsys[name].Data...)
		fsys[name] = &fstest.MapFile{Data: text}
	}
	return fsys
}

func migratesNewer(t *testing.T, open opener) {
	db := open(t, sqldb.Options{})
	if err := db.Migrate(t.Context(), notForOlder(migrations(stepOne, stepTwo, stepThree), 2)); err != nil {
		t.Fatal(err)
	}
	for _, f := range []func() error{
		func() error { return db.Migrate(t.Context(), migrations(stepOne)) },
		func() error { return db.Check(t.Context(), migrations(stepOne)) },
	} {
		err := f()
		wantKind(t, err, errs.FailedPrecondition, errs.ReasonSchemaNewer)
		if !strings.Contains(err.Error(), "is at 3 and admits only programs that know 2, this one knows 1") {
			t.Errorf("the versions are not named: %v", err)
		}
	}
	migrate(t, db, stepOne, stepTwo) // It knows what it must.
	if err := db.Check(t.Context(), migrations(stepOne, stepTwo)); err != nil {
		t.Error(err)
	}
	migrate(t, db, stepOne, stepTwo, stepThree, "INSERT INTO t (a) VALUES (3)")
	if n := count(t, db.Reader()); n != 3 {
		t.Errorf("%d rows", n)
	}
	wantKind(t, db.Migrate(t.Context(), migrations(stepOne)), errs.FailedPrecondition, errs.ReasonSchemaNewer)

	exec(t, db, "DROP TABLE schema_info") // Nothing is recorded: nobody knows.
	wantKind(t, db.Migrate(t.Context(), migrations(stepOne, stepTwo)), errs.FailedPrecondition, errs.ReasonSchemaNewer)
}

// ofFormat gives migrations a format.
func ofFormat(fsys fstest.MapFS, format int) fstest.MapFS {
	for name, file := range fsys {
		fsys[name] = &fstest.MapFile{Data: append(fmt.Appendf(nil, "-- format: %d\n", format), file.Data...)}
	}
	return fsys
}

func otherFormat(t *testing.T, open opener) {
	db := open(t, sqldb.Options{Schema: "svc"})
	if err := db.Migrate(t.Context(), ofFormat(migrations(stepOne), 2)); err != nil {
		t.Fatal(err)
	}
	refused := func(has string, program fstest.MapFS, reads int) {
		t.Helper()
		for _, f := range []func() error{
			func() error { return db.Migrate(t.Context(), program) },
			func() error { return db.Check(t.Context(), program) },
		} {
			err := f()
			wantKind(t, err, errs.FailedPrecondition, errs.ReasonSchemaFormat)
			want := fmt.Sprintf("%s and this program reads format %d: before the first release formats are not converted; ", has, reads)
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want %q", err, want)
			}
		}
		if v, err := db.Version(t.Context()); v != 1 || err != nil {
			t.Errorf("it is at %d, %v", v, err)
		}
	}
	refused("has format 2", ofFormat(migrations(stepOne, stepTwo), 3), 3)
	refused("has format 2", ofFormat(migrations(stepOne, stepTwo), 1), 1)
	refused("has format 2", migrations(stepOne, stepTwo), 0)
	info := "schema_info"
	if db.Dialect() == sqldb.Postgres {
		info = "svc.schema_info"
	}
	if err := db.Migrate(t.Context(), ofFormat(migrations(stepOne), 2)); err != nil {
		t.Fatalf("its own format: %v", err)
	}
	exec(t, db, "ALTER TABLE "+info+" DROP COLUMN format") // as the programs before formats left it
	refused("has no format number, as older programs left it,", ofFormat(migrations(stepOne, stepTwo), 2), 2)
	exec(t, db, "DROP TABLE "+info)
	refused("has no format number, as older programs left it,", ofFormat(migrations(stepOne, stepTwo), 2), 2)
}

// killedFirst migrates a database whose first Migrate was killed between its first two statements.
func killedFirst(t *testing.T, open opener) {
	db := open(t, sqldb.Options{Schema: "svc"})
	info := "schema_info"
	if db.Dialect() == sqldb.Postgres {
		exec(t, db, "CREATE SCHEMA svc")
		info = "svc.schema_info"
	}
	exec(t, db, "CREATE TABLE "+info+" (id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), min_binary BIGINT NOT NULL, format BIGINT NOT NULL)")
	program := ofFormat(migrations(stepOne), 2)
	if err := db.Migrate(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	if v, err := db.Version(t.Context()); v != 1 || err != nil {
		t.Errorf("it is at %d, %v", v, err)
	}
}

func checks(t *testing.T, open opener) {
	db := open(t, sqldb.Options{})
	err := db.Check(t.Context(), migrations(stepOne))
	wantKind(t, err, errs.Unavailable, errs.ReasonSchemaOld)
	if !strings.Contains(err.Error(), "is missing") {
		t.Error(err)
	}
	migrate(t, db, stepOne)
	if err := db.Check(t.Context(), migrations(stepOne)); err != nil {
		t.Error(err)
	}
	err = db.Check(t.Context(), migrations(stepOne, stepTwo, stepThree))
	wantKind(t, err, errs.Unavailable, errs.ReasonSchemaOld)
	if !strings.Contains(err.Error(), "is at 1, this program needs 3") {
		t.Error(err)
	}
	if v, err := db.Version(t.Context()); v != 1 || err != nil {
		t.Errorf("it is at %d, %v", v, err)
	}
}

func migrationFails(t *testing.T, open opener) {
	db := open(t, sqldb.Options{})
	broken := "CREATE TABLE other (a BIGINT);\nINSERT INTO nowhere VALUES (1)"
	err := db.Migrate(t.Context(), migrations(stepOne, broken))
	wantKind(t, err, errs.Internal, "MIGRATION_FAILED")
	if !strings.Contains(err.Error(), "00002_step.sql") {
		t.Errorf("the file is not named: %v", err)
	}
	migrate(t, db, stepOne, "CREATE TABLE other (a BIGINT)")
}

// failsForOlder has a migration fail that older programs could not run on, after one that they can. The old
// program starts afterwards, because only that one is there.
func failsForOlder(t *testing.T, open opener) {
	for name, three := range map[string]string{
		"at its end":            "CREATE TABLE other (a BIGINT);\nINSERT INTO nowhere VALUES (1)",
		"without a transaction": "-- +goose NO TRANSACTION\nCREATE TABLE IF NOT EXISTS kept (a BIGINT);\nINSERT INTO nowhere VALUES (1)",
	} {
		db := open(t, sqldb.Options{})
		migrate(t, db, stepOne)
		next := notForOlder(migrations(stepOne, stepTwo, three), 3)
		wantKind(t, db.Migrate(t.Context(), next), errs.Internal, "MIGRATION_FAILED")
		if err := db.Check(t.Context(), migrations(stepOne)); err != nil {
			t.Errorf("failed %s: an older program does not start: %v", name, err)
		}
		migrate(t, db, stepOne)
		if err := db.Migrate(t.Context(), notForOlder(migrations(stepOne, stepTwo, stepThree), 3)); err != nil {
			t.Fatal(err)
		}
		wantKind(t, db.Check(t.Context(), migrations(stepOne)), errs.FailedPrecondition, errs.ReasonSchemaNewer)
		exec(t, db, "DROP TABLE t")
		exec(t, db, "DROP TABLE IF EXISTS kept")
		exec(t, db, "DROP TABLE schema_info")
		exec(t, db, "DROP TABLE schema_migrations")
	}
}

func migratesTogether(t *testing.T, open opener) {
	dbs := make([]*sqldb.DB, 4)
	for i := range dbs {
		dbs[i] = open(t, sqldb.Options{Schema: "svc"})
	}
	if dbs[0].Dialect() == sqldb.SQLite {
		dbs = dbs[:1] // A folder has one process.
	}
	var wg sync.WaitGroup
	for _, db := range dbs {
		wg.Go(func() {
			if err := db.Migrate(t.Context(), migrations(stepOne, stepTwo, stepThree)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if v, err := dbs[0].Version(t.Context()); v != 3 || err != nil {
		t.Errorf("it is at %d, %v", v, err)
	}
	table := "t"
	if dbs[0].Dialect() == sqldb.Postgres {
		table = "svc.t"
	}
	var n int
	if err := dbs[0].Reader().QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func migratesNothing(t *testing.T, open opener) {
	db := open(t, sqldb.Options{})
	if err := db.Migrate(t.Context(), fstest.MapFS{}); err == nil {
		t.Error("a program without migrations was accepted")
	}
}
