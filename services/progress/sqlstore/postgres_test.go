//go:build realservers

package sqlstore_test

import (
	"context"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

func TestPostgres(t *testing.T) {
	database := testenv.Postgres(t, migrate)
	progresstest.Run(t, func(t *testing.T) progress.Store {
		t.Helper()
		return open(t, database(t))
	})
	t.Run("audit", func(t *testing.T) {
		progresstest.RunAudit(t, func(t *testing.T) (progress.Store, *audit.Log) {
			t.Helper()
			db := openDB(t, database(t))
			return sqlstore.New(db), audit.NewLog(db)
		})
	})
}

func migrate(url string) error {
	ctx := context.Background()
	db, err := sqldb.Open(ctx, url, sqldb.Options{})
	if err != nil {
		return err
	}
	if err := db.Migrate(ctx, sqlstore.Migrations()); err != nil {
		return err
	}
	return db.Close()
}
