package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
	"github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
)

func TestSQLite(t *testing.T) {
	catalogtest.Run(t, func(t *testing.T) catalog.Store {
		t.Helper()
		return sqlstore.New(openSQLite(t))
	})
}

func TestSQLiteAudit(t *testing.T) {
	catalogtest.RunAudit(t, func(t *testing.T) (catalog.Store, *audit.Log) {
		t.Helper()
		db := openSQLite(t)
		return sqlstore.New(db), audit.NewLog(db)
	})
}

func openSQLite(t *testing.T) *sqldb.DB {
	t.Helper()
	db := open(t, "sqlite:"+filepath.Join(t.TempDir(), "catalog.db"))
	if err := db.Migrate(t.Context(), sqlstore.Migrations()); err != nil {
		t.Fatal(err)
	}
	return db
}

func open(t *testing.T, url string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), url, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
