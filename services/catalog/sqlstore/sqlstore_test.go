package sqlstore_test

import (
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
