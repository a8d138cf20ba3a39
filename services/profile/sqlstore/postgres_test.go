//go:build realservers

package sqlstore_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/profiletest"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

func TestPostgres(t *testing.T) {
	database := sqldbtest.Postgres(t, sqlstore.Migrations())
	profiletest.Run(t, func(t *testing.T) profile.Store {
		t.Helper()
		return sqlstore.New(database(t))
	})
}
