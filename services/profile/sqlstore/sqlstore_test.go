package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/profiletest"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

func TestSQLite(t *testing.T) {
	profiletest.Run(t, func(t *testing.T) profile.Store {
		t.Helper()
		return open(t, "sqlite:"+filepath.Join(t.TempDir(), "profile.db"))
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
