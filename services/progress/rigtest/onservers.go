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

// OnServers has the tests of a package come out the same wherever records and returns are stored: it
// runs them again, as this program with other flags, but for those whose names match leftOut. SQLite
// with a cache in memory is what they run on without any. The properties get fewer tries than at home,
// and more tests run at a time, for most of them wait.
func OnServers(t *testing.T, leftOut string) {
	t.Helper()
	postgres := "-rig.postgres=" + sqldbtest.PostgresURLs(t, sqlstore.Migrations())(t)
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
			before := hits(t, address)
			//nolint:gosec // it is this very program, and the flags are ours
			again := exec.CommandContext(t.Context(), os.Args[0], append([]string{
				"-test.skip=" + leftOut, "-test.timeout=5m", "-test.parallel=8", "-rapid.checks=3", "-rapid.nofailfile",
			}, backend.flags...)...)
			if out, err := again.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if answered := hits(t, address) > before; answered != backend.redis {
				t.Errorf("answers of Redis: %v", answered)
			}
		})
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
