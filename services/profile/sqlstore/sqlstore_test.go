package sqlstore_test

import (
	"context"
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

// TestNothingNewIsOneStatement: what followers ask for every two seconds, and whenever a learner enrolls.
func TestNothingNewIsOneStatement(t *testing.T) {
	url := sqldbtest.SQLiteURL(t)
	_ = sqldbtest.Migrated(t, url, sqlstore.Migrations())
	db, asked := sqldbtest.Traced(t, url)
	store := sqlstore.New(db)
	if got := asked(func(ctx context.Context) {
		if found, newest, err := store.Changes(ctx, 7, 10); err != nil || found != nil || newest != 0 {
			t.Errorf("%v %d %v", found, newest, err)
		}
	}); got != "SELECT" {
		t.Errorf("asked %s", got)
	}
}
