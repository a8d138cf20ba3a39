package sqlstore_test

import (
	"context"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
	"github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
)

func TestSQLite(t *testing.T) {
	catalogtest.Run(t, func(t *testing.T) catalog.Store {
		t.Helper()
		return sqlstore.New(sqldbtest.SQLite(t, sqlstore.Migrations()))
	})
}

func TestSQLiteAudit(t *testing.T) {
	catalogtest.RunAudit(t, func(t *testing.T) (catalog.Store, *audit.Log) {
		t.Helper()
		db := sqldbtest.SQLite(t, sqlstore.Migrations())
		return sqlstore.New(db), audit.NewLog(db)
	})
}

// TestNothingNewIsOneStatement: what followers ask for every two seconds, and whenever a learner enrolls.
func TestNothingNewIsOneStatement(t *testing.T) {
	url := sqldbtest.SQLiteURL(t)
	_ = sqldbtest.Migrated(t, url, sqlstore.Migrations())
	db, asked := sqldbtest.Traced(t, url)
	store := sqlstore.New(db)
	if got := asked(func(ctx context.Context) {
		if found, err := store.Snapshot(ctx, 7); err != nil || found.Revision != 0 {
			t.Errorf("%+v %v", found, err)
		}
	}); got != "SELECT" {
		t.Errorf("asked %s", got)
	}
}
