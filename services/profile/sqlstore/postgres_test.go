//go:build realservers

package sqlstore_test

import (
	"context"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/profiletest"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

func TestPostgres(t *testing.T) {
	database := testenv.Postgres(t, migrate)
	profiletest.Run(t, func(t *testing.T) profile.Store {
		t.Helper()
		return open(t, database(t))
	})
}

func TestPostgresFeedBegins(t *testing.T) {
	testFeedBegins(t, testenv.Postgres(t, nil)(t), "postgres")
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
