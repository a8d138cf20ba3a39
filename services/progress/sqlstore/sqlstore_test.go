package sqlstore_test

import (
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/audit"
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

func TestSQLiteAudit(t *testing.T) {
	progresstest.RunAudit(t, func(t *testing.T) (progress.Store, *audit.Log) {
		t.Helper()
		db := openDB(t, "sqlite:"+filepath.Join(t.TempDir(), "progress.db"))
		return sqlstore.New(db), audit.NewLog(db)
	})
}

func open(t *testing.T, url string) *sqlstore.Store {
	t.Helper()
	return sqlstore.New(openDB(t, url))
}

func openDB(t *testing.T, url string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), url, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context(), sqlstore.Migrations()); err != nil {
		t.Fatal(err)
	}
	return db
}

// TestRenew makes another incarnation, of a database that has one and of one that has none.
func TestRenew(t *testing.T) {
	store := sqlstore.New(openDB(t, "sqlite:"+filepath.Join(t.TempDir(), "progress.db")))
	seen := map[string]bool{}
	for range 2 {
		if err := store.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			one, err := store.Incarnation(t.Context())
			if err != nil || uuid.Validate(one) != nil {
				t.Errorf("%q, %v", one, err)
			}
			seen[one] = true
		}
	}
	if len(seen) != 2 {
		t.Errorf("incarnations: %v", seen)
	}
}
