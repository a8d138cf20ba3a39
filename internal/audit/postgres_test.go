//go:build realservers

package audit_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
)

func TestPostgres(t *testing.T) {
	database := sqldbtest.Postgres(t, migrations(t))
	suite(t, func(t *testing.T) *sqldb.DB {
		t.Helper()
		return database(t)
	})
}
