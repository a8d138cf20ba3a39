//go:build realservers

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// operations is a statement of the documents on operations: what an operator pastes is what is run.
func operations(t *testing.T, pattern string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)`+pattern).FindAllString(string(text), -1)
	if len(found) != 1 {
		t.Fatalf("docs/operations.md has %d times what %s finds", len(found), pattern)
	}
	return found[0]
}

// postgresTool runs one of Postgres's own programs.
func postgresTool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// in is the url of a database, as superuser.
func (r *records) in(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	return u.String()
}

// TestDumpAndRestore dumps the three schemas of a server under writes, one after the other in the
// order that the documents say, and restores them into another database.
func TestDumpAndRestore(t *testing.T) {
	t.Parallel()
	r := migrated(t)
	data, dumps := t.TempDir(), t.TempDir()
	w := r.world(t, data)
	c := publishCourse(t, w.as(t, "author", "author"), "backup")
	q := quietLearner(t, w, c)
	s := startScribes(t, w, 3, 8)
	s.working.Go(func() { keptUp(t, w, s.stop) })
	before := s.counts(t, 8)
	for _, service := range []string{"progress", "profile", "catalog"} {
		postgresTool(t, "pg_dump", "--format=custom", "--schema="+service, "--file="+filepath.Join(dumps, service+".dump"), "--dbname="+r.in(t, "preceptor"))
		s.counts(t, 2) // so that the dumps are of moments that differ
	}
	s.counts(t, 8)
	s.rest()
	for _, p := range w.all {
		p.kill()
	}

	r.Exec(t, "CREATE DATABASE restored")
	for _, service := range storeServices() {
		r.Exec(t, "GRANT CREATE ON DATABASE restored TO app_"+service)
		postgresTool(t, "pg_restore", "--exit-on-error", "--dbname="+r.in(t, "restored"), filepath.Join(dumps, service+".dump"))
		r.urls[service] = r.As(t, "app_"+service, "secret-"+service, "restored")
		if _, stderr, code := command(t, "migrate", service, "--database-url", r.urls[service]); code != 0 {
			t.Fatalf("migrate %s: exit code %d: %s", service, code, stderr)
		}
	}
	w = r.world(t, data)
	incarnation := func(database string) string {
		return postgresTool(t, "psql", "--tuples-only", "--command=SELECT incarnation FROM progress.instance", "--dbname="+r.in(t, database))
	}
	if one, two := incarnation("preceptor"), incarnation("restored"); one == two {
		t.Errorf("both databases are of incarnation %s", one)
	}
	for i, one := range s.all {
		one.me = w.as(t, fmt.Sprintf("scribe-%d", i))
		checkLog(t, one.me, one.promised(before[i]))
	}
	q.after(t, w)
	wantSound(t, w)
	for _, one := range s.all {
		one.catchesUp(t)
	}
	wantSound(t, w)

	was := logIDOf(t, s.all[0].me)
	postgresTool(t, "psql", "--set=ON_ERROR_STOP=1", "--command="+operations(t, `^UPDATE progress\.instance .*;$`), "--dbname="+r.in(t, "restored"))
	for _, p := range w.all {
		p.kill()
	}
	w = r.world(t, data)
	if logIDOf(t, w.as(t, "scribe-0")) == was {
		t.Error("the logs have the logId that they had before the incarnation was set by hand")
	}
}

// logIDOf is the logId of a learner's history.
func logIDOf(t *testing.T, me *client) string {
	t.Helper()
	return me.get("/v1/learners/" + me.id() + "/events?pageSize=1").want(http.StatusOK).text("logId")
}
