package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

func TestSQLite(t *testing.T) {
	progresstest.Run(t, func(t *testing.T) progress.Store {
		t.Helper()
		return open(t, "sqlite:"+filepath.Join(t.TempDir(), "progress.db"))
	})
}

func open(t *testing.T, url string) *sqlstore.Store {
	t.Helper()
	db, err := sqldb.Open(t.Context(), url, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context(), sqlstore.Migrations()); err != nil {
		t.Fatal(err)
	}
	return sqlstore.New(db)
}
