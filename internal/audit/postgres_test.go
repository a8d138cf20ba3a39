//go:build realservers

package audit_test

import (
	"context"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func TestPostgres(t *testing.T) {
	steps := migrations(t)
	database := testenv.Postgres(t, func(url string) error {
		db, err := sqldb.Open(context.Background(), url, sqldb.Options{})
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		return db.Migrate(context.Background(), steps)
	})
	suite(t, func(t *testing.T) *sqldb.DB {
		t.Helper()
		return open(t, database(t))
	})
}
