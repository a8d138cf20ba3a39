//go:build realservers

package sqlstore_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
	"github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
)

func TestPostgres(t *testing.T) {
	database := sqldbtest.Postgres(t, sqlstore.Migrations())
	catalogtest.Run(t, func(t *testing.T) catalog.Store {
		t.Helper()
		return sqlstore.New(database(t))
	})
	t.Run("audit", func(t *testing.T) {
		catalogtest.RunAudit(t, func(t *testing.T) (catalog.Store, *audit.Log) {
			t.Helper()
			db := database(t)
			return sqlstore.New(db), audit.NewLog(db)
		})
	})
}
