//go:build realservers

package progress_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// The order of arrival changes nothing, nor does the database: one learner's events go in order
// into SQLite, and torn apart into Postgres.
func TestMergeIsAJoinOnPostgres(t *testing.T) {
	database := sqldbtest.PostgresURLs(t, sqlstore.Migrations())
	mergeIsAJoin(t, newRig(t, nil, nil), newRigOn(t, database(t), nil, nil))
}

// TestMergeIsAJoinOnRedis has the torn learner's replicas share a Redis.
func TestMergeIsAJoinOnRedis(t *testing.T) {
	url := "redis://" + testenv.Redis(t)
	torn := newRig(t, nil, nil)
	torn.Cache = func() cache.Cache { return cache.NewRedis(redisOf(t, url)) }
	torn.Service = torn.Replica()
	mergeIsAJoin(t, newRig(t, nil, nil), torn)
}
