//go:build realservers

package e2e

import (
	"context"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestReplicas runs the suite on the services as they are run for others, with a pooler before
// Postgres, as large installations have: the requests of a test reach one of the gateways, and calls of
// progress either replica, which have nothing in common but Postgres and Redis.
func TestReplicas(t *testing.T) {
	t.Parallel()
	store := migrated(t)
	pooled := testenv.PgBouncer(t, store.URL, "app_profile", "app_catalog", "app_progress")
	server := redis.NewClient(&redis.Options{Addr: testenv.Redis(t)})
	t.Cleanup(func() { _ = server.Close() })
	f := newFleet(t, store, pooled, "redis://"+server.Options().Addr, "--cors-origin", "https://learn.example.org")
	w := f.world
	w.sticky = true
	w.base = "http://" + newNetwork(t, f.gateways[0].addr, f.gateways[1].addr).addr
	suite(t, w)
	t.Cleanup(func() { f.sharedTheWork(t, server) }) // when all of the suite has run
}

// sharedTheWork reports whether all replicas had a part in it.
func (f *fleet) sharedTheWork(t *testing.T, server *redis.Client) {
	for _, m := range f.all() {
		if m.served(t) < 20 {
			t.Errorf("%s served %v calls", m.name, m.served(t))
		}
	}
	for _, g := range f.gateways {
		own, other := g.sum(t, `preceptor_rpc_routed_total\{.*to="own".*\}`), g.sum(t, `preceptor_rpc_routed_total\{.*to="other".*\}`)
		if own == 0 || other > own/10 { // the others while its own replica was not connected yet
			t.Errorf("%s sent %v calls to their learner's replica of progress, and %v to another", g.name, own, other)
		}
	}
	if n, err := server.DBSize(context.Background()).Result(); n == 0 || err != nil {
		t.Errorf("Redis holds %d answers: %v", n, err)
	}
	if found, err := filepath.Glob(filepath.Join(f.world.data, "*.db")); len(found) > 0 || err != nil {
		t.Errorf("there are records in the folder: %v, %v", found, err)
	}
}

// served is how many requests or calls a member has answered.
func (m *member) served(t *testing.T) float64 {
	t.Helper()
	return m.sum(t, `preceptor_(?:http|rpc)_requests_total\{.*\}`)
}

// sum adds up the samples of a member's metrics whose names and labels match.
func (m *member) sum(t *testing.T, samples string) float64 {
	t.Helper()
	page := (&client{t: t, base: "http://" + m.process.metrics}).get("/metrics")
	var sum float64
	for _, sample := range regexp.MustCompile(`(?m)^`+samples+` (\S+)$`).FindAllStringSubmatch(string(page.body), -1) {
		n, err := strconv.ParseFloat(sample[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}
