//go:build realservers

package progress_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// The order of arrival changes nothing, nor does the database: one learner's events go in order
// into SQLite, and torn apart into Postgres.
func TestMergeIsAJoinOnPostgres(t *testing.T) {
	database := sqldbtest.PostgresURLs(t, sqlstore.Migrations())
	mergeIsAJoin(t, newRig(t, nil, nil), newRigOn(t, database(t), nil, nil))
}
