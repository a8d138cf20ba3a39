//go:build realservers

package rigtest

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// OnServers has the tests of a package come out the same wherever records and answers are stored: it
// runs them again on Postgres, on Redis and on both. SQLite with a cache in memory is what they run on
// by themselves. Tests whose names match leftOut are not run again.
func OnServers(t *testing.T, leftOut string) {
	t.Helper()
	postgres := postgresFlag(t)
	address := testenv.Redis(t)
	redis := "-rig.redis=redis://" + address
	for _, backend := range []struct {
		name  string
		flags []string
		redis bool
	}{
		{"SQLite and Redis", []string{redis}, true},
		{"Postgres", []string{postgres}, false},
		{"Postgres and Redis", []string{postgres, redis}, true},
	} {
		t.Run(backend.name, func(t *testing.T) {
			answered := false
			for range 3 { // a Redis that is slow for a moment is left alone for a second, which may be all of a run
				before := hits(t, address)
				again(t, leftOut, backend.flags)
				if answered = hits(t, address) > before; answered == backend.redis {
					return
				}
			}
			t.Errorf("answers of Redis: %v", answered)
		})
	}
}

// OnPostgres is OnServers for a package that reads no cached answers.
func OnPostgres(t *testing.T, leftOut string) {
	t.Helper()
	again(t, leftOut, []string{postgresFlag(t)})
}

// postgresFlag starts a Postgres for rigs.
func postgresFlag(t *testing.T) string {
	t.Helper()
	return "-rig.postgres=" + sqldbtest.PostgresURLs(t, sqlstore.Migrations())(t)
}

// again runs the tests of this program as another process with flags. The properties get fewer tries
// than by default, and more tests run at a time, for most of them wait.
func again(t *testing.T, leftOut string, flags []string) {
	t.Helper()
	//nolint:gosec // it is this very program, and the flags are ours
	run := exec.CommandContext(t.Context(), os.Args[0], append([]string{
		"-test.skip=" + leftOut, "-test.timeout=5m", "-test.parallel=8", "-rapid.checks=3", "-rapid.nofailfile",
	}, flags...)...)
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// hits are how many keys a Redis had when it was asked for them.
func hits(t *testing.T, address string) int {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address})
	defer func() { _ = client.Close() }()
	info, err := client.Info(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`keyspace_hits:(\d+)`).FindStringSubmatch(info)
	if found == nil {
		t.Fatalf("no hits in\n%s", info)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
