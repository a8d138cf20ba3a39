package sqlstore_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/profiletest"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

func TestSQLite(t *testing.T) {
	profiletest.Run(t, func(t *testing.T) profile.Store {
		t.Helper()
		return sqlstore.New(sqldbtest.SQLite(t, sqlstore.Migrations()))
	})
}
