//go:build realservers

package sqlstore_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/lease/leasetest"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

func TestPostgres(t *testing.T) {
	database := sqldbtest.Postgres(t, sqlstore.Migrations())
	progresstest.Run(t, func(t *testing.T) progresstest.Store {
		t.Helper()
		return sqlstore.New(database(t))
	})
	t.Run("leases", func(t *testing.T) {
		leasetest.Run(t, func(t *testing.T) *sqldb.DB {
			t.Helper()
			return database(t)
		})
	})
	t.Run("audit", func(t *testing.T) {
		progresstest.RunAudit(t, func(t *testing.T) (progresstest.Store, *audit.Log) {
			t.Helper()
			db := database(t)
			return sqlstore.New(db), audit.NewLog(db)
		})
	})
}

// TestPgBouncer runs the contract through a pooler that hands out another connection for each transaction.
func TestPgBouncer(t *testing.T) {
	urls := sqldbtest.PostgresURLs(t, sqlstore.Migrations())
	through := testenv.PgBouncer(t, urls(t))
	progresstest.RunFence(t, func(t *testing.T) progresstest.Store {
		t.Helper()
		return sqlstore.New(sqldbtest.Open(t, through(urls(t))))
	})
}
