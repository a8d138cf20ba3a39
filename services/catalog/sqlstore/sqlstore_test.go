package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
	"github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
)

func TestSQLite(t *testing.T) {
	catalogtest.Run(t, func(t *testing.T) catalog.Store {
		t.Helper()
		db := open(t, "sqlite:"+filepath.Join(t.TempDir(), "catalog.db"))
		if err := db.Migrate(t.Context(), sqlstore.Migrations()); err != nil {
			t.Fatal(err)
		}
		return sqlstore.New(db)
	})
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
