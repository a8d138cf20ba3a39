package sqldb_test

import (
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
		{"an older program is told", migratesNewer},
		{"one that fails leaves nothing", migrationFails},
		{"replicas wait for one another", migratesTogether},
		{"two services, two tables", migratesApart},
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

func migratesNewer(t *testing.T, open opener) {
	db := open(t, sqldb.Options{})
	migrate(t, db, stepOne, stepTwo, stepThree)
	err := db.Migrate(t.Context(), migrations(stepOne, stepTwo))
	wantKind(t, err, errs.FailedPrecondition, sqldb.ReasonSchemaNewer)
	if !strings.Contains(err.Error(), "3") || !strings.Contains(err.Error(), "2") {
		t.Errorf("the versions are not named: %v", err)
	}
	if n := count(t, db.Reader()); n != 2 {
		t.Errorf("%d rows", n)
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
	if n := count(t, dbs[0].Reader()); n != 2 {
		t.Errorf("%d rows", n)
	}
}

func migratesApart(t *testing.T, open opener) {
	one := open(t, sqldb.Options{MigrationTable: "one_migrations"})
	two := open(t, sqldb.Options{MigrationTable: "two_migrations"})
	migrate(t, one, "CREATE TABLE t (a BIGINT PRIMARY KEY)", "CREATE TABLE one (a BIGINT)")
	migrate(t, two, "CREATE TABLE two (a BIGINT)")
	exec(t, two, "INSERT INTO one (a) VALUES (1)")
	exec(t, two, "INSERT INTO two (a) VALUES (1)")
}

func migratesNothing(t *testing.T, open opener) {
	db := open(t, sqldb.Options{})
	if err := db.Migrate(t.Context(), fstest.MapFS{}); err == nil {
		t.Error("a program without migrations was accepted")
	}
}
