//go:build realservers

package progress_test

import (
	"context"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// The order of arrival changes nothing, nor does the database: one learner's events go in order
// into SQLite, and torn apart into Postgres.
func TestMergeIsAJoinOnPostgres(t *testing.T) {
	database := testenv.Postgres(t, func(url string) error {
		db, err := sqldb.Open(context.Background(), url, sqldb.Options{})
		if err != nil {
			return err
		}
		if err := db.Migrate(context.Background(), sqlstore.Migrations()); err != nil {
			return err
		}
		return db.Close()
	})
	mergeIsAJoin(t, newRig(t, nil, nil), newRigOn(t, database(t), nil, nil))
}
