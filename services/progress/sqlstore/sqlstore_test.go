package sqlstore_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/lease/leasetest"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

func TestSQLite(t *testing.T) {
	progresstest.Run(t, func(t *testing.T) progresstest.Store {
		t.Helper()
		return sqlstore.New(sqldbtest.SQLite(t, sqlstore.Migrations()))
	})
}

func TestSQLiteAudit(t *testing.T) {
	progresstest.RunAudit(t, func(t *testing.T) (progresstest.Store, *audit.Log) {
		t.Helper()
		db := sqldbtest.SQLite(t, sqlstore.Migrations())
		return sqlstore.New(db), audit.NewLog(db)
	})
}

func TestSQLiteLeases(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) *sqldb.DB {
		t.Helper()
		return sqldbtest.SQLite(t, sqlstore.Migrations())
	})
}

// TestRenew makes another incarnation, of a database that has one and of one that has none.
func TestRenew(t *testing.T) {
	store := sqlstore.New(sqldbtest.SQLite(t, sqlstore.Migrations()))
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
