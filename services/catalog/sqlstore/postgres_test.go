//go:build realservers

package sqlstore_test

import (
	"context"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
	"github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
)

func TestPostgres(t *testing.T) {
	database := testenv.Postgres(t, func(url string) error {
		db, err := sqldb.Open(context.Background(), url, sqldb.Options{})
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		return db.Migrate(context.Background(), sqlstore.Migrations())
	})
	catalogtest.Run(t, func(t *testing.T) catalog.Store {
		t.Helper()
		return sqlstore.New(open(t, database(t)))
	})
	t.Run("audit", func(t *testing.T) {
		catalogtest.RunAudit(t, func(t *testing.T) (catalog.Store, *audit.Log) {
			t.Helper()
			db := open(t, database(t))
			return sqlstore.New(db), audit.NewLog(db)
		})
	})
}
