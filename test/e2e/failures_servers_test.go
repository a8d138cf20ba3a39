//go:build realservers

package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestRedisFailures meets what can be wrong with a Redis at the start: what its operator got wrong ends
// it, what may come right does not.
func TestRedisFailures(t *testing.T) {
	t.Parallel()
	trusted, foreign := testenv.NewAuthority(t), testenv.NewAuthority(t)
	certificate, key := trusted.Server(t, testenv.Now().Add(time.Hour))
	locked := testenv.RedisTLS(t, certificate, key, "--requirepass", "secret-right")
	serve := func(url string, more ...string) []string {
		return append([]string{"serve", "progress", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--redis-url", url}, more...)
	}
	open := testenv.Redis(t)
	refused(t, 1, serve("redis://:secret-wrong@"+testenv.NewMortalRedis(t, "--requirepass", "secret-right").Addr), "refuses the user and password", "--redis-url")
	refused(t, 1, serve("redis://"+open+"/99"), "no database of that number", "--redis-url")
	refused(t, 1, serve("redis+cluster://"+open), "write redis://", "--redis-url")

	for authority, want := range map[*testenv.Authority]string{trusted: "", foreign: "unknown authority"} {
		health := freeAddrs(t, 1)[0]
		p, ready := launchWith(t, []string{"SSL_CERT_FILE=" + authority.File}, serve("rediss://:secret-right@"+locked, "--health-addr", health, "--log-format", "json")...)
		select {
		case <-ready:
		case <-time.After(patience):
			t.Fatalf("not ready\n%s", p.output())
		}
		degraded := string((&client{t: t, base: "http://" + health}).get("/readyz").body) // 503 in any case: there is no catalog
		lines := p.lines("redis is not reachable")
		if want == "" && (len(lines) > 0 || strings.Contains(degraded, "redis")) {
			t.Errorf("with a trusted certificate: %s\n%s", degraded, lines)
		}
		if want != "" && (len(lines) != 1 || !strings.Contains(lines[0], want) || !strings.Contains(degraded, "redis is not reachable")) {
			t.Errorf("with another authority's: %s\n%s", degraded, lines)
		}
		if strings.Contains(p.output(), "secret") {
			t.Errorf("it shows the password:\n%s", p.output())
		}
	}
}

// TestOldSchema refuses a Postgres schema of another format, and leaves it as it is.
func TestOldSchema(t *testing.T) {
	t.Parallel()
	r := migrated(t)
	for _, c := range []struct{ change, undo, has string }{
		{"UPDATE progress.schema_info SET format = -format", "UPDATE progress.schema_info SET format = -format", "has format -"},
		{
			"ALTER TABLE progress.schema_info RENAME format TO f", "ALTER TABLE progress.schema_info RENAME f TO format",
			"has no format number, as older programs left it, and this program reads format ",
		},
	} {
		inSchema(t, r, c.change)
		for _, args := range [][]string{
			{"serve", "progress", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--database-url", r.urls["progress"]},
			{"migrate", "progress", "--database-url", r.urls["progress"]},
		} {
			refused(t, 1, args, "the schema of progress "+c.has, "drop the schema and migrate anew, or run the program that made it")
		}
		inSchema(t, r, c.undo)
	}
	start(t, "serve", "progress", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--database-url", r.urls["progress"])
}

// TestDatabaseAway takes Postgres away for a while. Each service logs so once, in a line, and so does
// the gateway's page; callers are asked to try again.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	r := migrated(t)
	w := r.world(t, t.TempDir())
	me, operator := w.as(t, "away"), w.operator(t)
	me.id()
	r.Crash(t)
	for _, service := range storeServices() {
		eventually(t, service+" is degraded", func() bool {
			return strings.Contains(string(operator.get("/readyz").want(http.StatusOK).body), service+" is degraded: its own /readyz says why")
		})
	}
	me.get("/v1/learners/me/enrollments").problem(http.StatusServiceUnavailable, "DATABASE_UNREACHABLE")
	time.Sleep(3 * time.Second) // every look at it since has failed, too
	r.Start(t)
	w.awaitReady(t)
	me.get("/v1/learners/me/enrollments").want(http.StatusOK)
	for _, p := range w.all[1:] {
		away, back := p.lines("the database cannot be reached; calls that need it"), p.lines("the database is reachable again")
		if len(away) != 1 || len(back) != 1 || strings.Contains(p.output(), "secret") || strings.Contains(p.output(), `\n`) {
			t.Errorf("its log is\n%s", p.output())
		}
		if lines := p.lines(`"code":"UNAVAILABLE"`); len(lines) > 4 || len(p.lines("a sweep after")) > 2 {
			t.Errorf("the log is filled with it:\n%s", p.output())
		}
	}
}
