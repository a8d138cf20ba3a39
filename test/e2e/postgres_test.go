//go:build realservers

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// records is a Postgres with a database, and a role in it for each service.
type records struct {
	*testenv.PostgresProcess

	// urls are the services' own.
	urls map[string]string
}

// storeServices returns the services with a database.
func storeServices() []string { return []string{"profile", "catalog", "progress"} }

// newRecords starts one that does not lose what it has acknowledged through a crash of its own.
func newRecords(t *testing.T) *records {
	t.Helper()
	r := &records{PostgresProcess: testenv.NewPostgres(t, "fsync=off"), urls: map[string]string{}}
	r.Exec(t, rolesOfServices()...)
	for _, service := range storeServices() {
		r.urls[service] = r.As(t, "app_"+service, "secret-"+service, "preceptor")
	}
	return r
}

// rolesOfServices are the statements that make the database and a role in it for each service.
func rolesOfServices() []string {
	statements := []string{"CREATE DATABASE preceptor"}
	for _, service := range storeServices() {
		statements = append(statements, "CREATE ROLE app_"+service+" LOGIN PASSWORD 'secret-"+service+"'", "GRANT CREATE ON DATABASE preceptor TO app_"+service)
	}
	return statements
}

// migrated is newRecords with every schema in place.
func migrated(t *testing.T) *records {
	t.Helper()
	r := newRecords(t)
	r.migrate(t)
	return r
}

// migrate makes every schema.
func (r *records) migrate(t *testing.T) {
	t.Helper()
	for _, service := range storeServices() {
		if _, stderr, code := command(t, "migrate", service, "--database-url", r.urls[service]); code != 0 {
			t.Fatalf("migrate %s: exit code %d: %s", service, code, stderr)
		}
	}
}

// world runs four processes on it.
func (r *records) world(t *testing.T, data string) *world {
	t.Helper()
	own := map[string][]string{}
	for _, service := range storeServices() {
		own[service] = []string{"--database-url", r.urls[service]}
	}
	return fourProcessesOn(t, data, own)
}

// TestPostgresCrashes ends Postgres in the middle of writes, twice. What was acknowledged is
// there afterwards, and writing goes on by itself.
func TestPostgresCrashes(t *testing.T) {
	t.Parallel()
	const writers, units = 4, 12
	r := migrated(t)
	w := r.world(t, t.TempDir())
	author := w.as(t, "author", "author")
	content := basicsContent("Crash")
	var all []any
	for i := range units {
		all = append(all, map[string]any{"id": fmt.Sprintf("u%d", i), "title": "Unit", "kind": "READING"})
	}
	content["units"] = all
	author.post("/v1/modules?moduleId=crash", content).want(http.StatusCreated)
	author.post("/v1/modules/crash:publish", map[string]any{}).want(http.StatusOK)

	var acknowledged, refused atomic.Int64
	stop := make(chan struct{})
	batches := make([][]sentBatch, writers)
	var writing sync.WaitGroup
	for i := range writers {
		me := w.as(t, fmt.Sprintf("crash-%d", i))
		me.id()
		writing.Go(func() { batches[i] = writeThroughFaults(t, me, units, stop, &acknowledged, &refused) })
	}
	for range 2 {
		for _, count := range []*atomic.Int64{&acknowledged, &refused} {
			want := count.Load() + 10
			if count == &refused {
				r.Crash(t)
			}
			eventually(t, "writers go on", func() bool { return count.Load() >= want })
		}
		r.Start(t)
	}
	want := acknowledged.Load() + 10
	eventually(t, "writing goes on after the crash", func() bool { return acknowledged.Load() >= want })
	close(stop)
	writing.Wait()
	for i := range writers {
		checkLog(t, w.as(t, fmt.Sprintf("crash-%d", i)), batches[i])
	}
	t.Logf("%d batches were acknowledged and %d refused", acknowledged.Load(), refused.Load())
}

// writeThroughFaults sends batches until it is stopped, and counts those that were stored and
// those that were not. A refusal says that trying again may help.
func writeThroughFaults(t *testing.T, me *client, units int, stop <-chan struct{}, acknowledged, refused *atomic.Int64) []sentBatch {
	var sent []sentBatch
	for n := 0; ; n++ {
		select {
		case <-stop:
			return sent
		default:
		}
		var b sentBatch
		var events []any
		for i := range 1 + n%units {
			e := event("crash", fmt.Sprintf("u%d", i), "PROGRESSED", "progress", 0.5)
			b.ids = append(b.ids, plain(e["eventId"]))
			events = append(events, e)
		}
		a, err := me.try(http.MethodPost, "/v1/learners/me/events:batch", map[string]any{"events": events})
		switch {
		case err != nil:
			t.Errorf("no response: %v", err)
			return sent
		case a.status == http.StatusOK:
			b.acknowledged = true
			for _, result := range a.list("results") {
				b.acknowledged = b.acknowledged && plain(dig(result, "status")) == "ACCEPTED"
			}
		case a.status != http.StatusServiceUnavailable && a.status != http.StatusGatewayTimeout:
			t.Errorf("a batch is answered %d: %s", a.status, a.body)
		}
		if sent = append(sent, b); b.acknowledged {
			acknowledged.Add(1)
		} else {
			refused.Add(1)
			time.Sleep(5 * time.Millisecond) // as a device would, if for longer
		}
	}
}

// logID finds the id of the log in an answer.
var logID = regexp.MustCompile(`"logId":"[^"]*"`)

// TestMoveFromSQLite moves a folder that people have worked in, and reads and writes on.
func TestMoveFromSQLite(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	for _, populate := range []func(*testing.T, *world){testAuthor, testPaths, testLearn, testHistory, testAdminEvents, testRevoke, testAudit, testTimeZone} {
		populate(t, w)
	}
	move := func(to string, services ...string) (string, string, int) {
		return command(t, append([]string{"migrate", "--from", "sqlite:" + w.data, "--to", to}, services...)...)
	}
	r := newRecords(t)
	if _, stderr, code := move(r.urls["progress"], "progress"); code != 1 || !strings.Contains(stderr, "in use by process") {
		t.Errorf("while it serves: exit code %d: %s", code, stderr)
	}
	before := w.everything(t)
	if w.front.stop(t) != 0 {
		t.Error("it did not stop well")
	}
	for _, service := range storeServices() {
		stdout, stderr, code := move(r.urls[service], service)
		if code != 0 || !strings.Contains(stdout, service+": moved; every table is equal on both sides") || !strings.Contains(stdout, "sha256") {
			t.Fatalf("exit code %d: %s\n%s", code, stderr, stdout)
		}
		if _, stderr, code = move(r.urls[service], service); code != 1 || !strings.Contains(stderr, "holds data already") {
			t.Errorf("%s twice: exit code %d: %s", service, code, stderr)
		}
	}
	moved := r.world(t, w.data)
	after := moved.everything(t)
	for path, answer := range before {
		if logID.ReplaceAllString(after[path], "") != logID.ReplaceAllString(answer, "") { // another database is another log
			t.Errorf("%s answered\n%s\nand answers\n%s", path, answer, after[path])
		}
	}
	for _, goOn := range []func(*testing.T, *world){testEnroll, testEvents, testClocks, testVersions, testAttempts} {
		goOn(t, moved)
	}
}

// everything reads what a world holds, by the paths that it was read from.
func (w *world) everything(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	admin := w.as(t, "reader", "admin", "author")
	admin.id()
	read := func(path string) *response {
		a := admin.get(path).want(http.StatusOK)
		found[path] = string(a.body)
		return a
	}
	read("/v1/catalog:export")
	read("/v1/modules?pageSize=200")
	read("/v1/paths?pageSize=100")
	read("/v1/audit?service=catalog&pageSize=500")
	read("/v1/audit?service=progress&pageSize=500")
	for _, l := range read("/v1/learners?pageSize=100").list("learners") {
		base := "/v1/learners/" + plain(dig(l, "id"))
		read(base)
		read(base + "/progress")
		read(base + "/enrollments")
		read(base + "/events?pageSize=500")
		for _, e := range read(base + "/enrollments").list("enrollments") {
			read(base + "/paths/" + plain(dig(e, "pathId")) + "/progress")
		}
	}
	stdout, stderr, code := command(t, "audit", "verify", "--server", w.base, "--data", w.data)
	if code != 0 {
		t.Errorf("audit verify: exit code %d: %s", code, stderr)
	}
	found["audit verify"] = stdout
	return found
}

// TestMoveEverything moves all three services into one database, by one role.
func TestMoveEverything(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	w.as(t, "ada").id()
	w.front.stop(t)
	r := newRecords(t)
	stdout, stderr, code := command(t, "migrate", "--from", "sqlite:"+w.data, "--to", r.urls["catalog"])
	if code != 0 || strings.Count(stdout, "moved; every table is equal") != 3 || !strings.Contains(stdout, "search_path=progress") {
		t.Fatalf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	for _, service := range storeServices() {
		r.urls[service] = r.As(t, "app_catalog", "secret-catalog", "preceptor") + "&search_path=" + service
	}
	moved := r.world(t, w.data)
	if got := moved.as(t, "reader", "admin").get("/v1/learners").want(http.StatusOK).list("learners"); len(got) == 0 {
		t.Error("the learners are gone")
	}
	empty := t.TempDir()
	refused(t, 1, []string{"migrate", "--from", "sqlite:" + empty, "--to", r.urls["catalog"]}, "there is no", "--from")
	if left, err := os.ReadDir(empty); len(left) > 0 || err != nil {
		t.Errorf("a folder that is none was written to: %v, %v", left, err)
	}
}

// TestDatabaseFailures meets what goes wrong with a database at the start.
func TestDatabaseFailures(t *testing.T) {
	t.Parallel()
	r := migrated(t)
	r.RequirePasswords(t)
	data := t.TempDir()
	serve := func(url string) []string {
		return []string{"serve", "progress", "--data", data, "--listen", "127.0.0.1:0", "--database-url", url}
	}
	wrong := r.As(t, "app_progress", "wrong", "preceptor")
	nowhere := r.As(t, "app_progress", "secret-progress", "nowhere")
	unreadable := "postgres://app_progress:secret/x@127.0.0.1/preceptor"
	for url, words := range map[string][]string{
		wrong:   {"does not admit the user app_progress", "see --database-url"},
		nowhere: {"has no database nowhere", "see --database-url"},
	} {
		refused(t, 1, serve(url), words...)
		refused(t, 1, []string{"migrate", "progress", "--database-url", url}, words...)
	}
	for _, args := range [][]string{serve(r.urls["profile"]), {"migrate", "progress", "--database-url", r.urls["profile"]}} {
		refused(t, 1, args, "may not use the schema progress; is it another service's?", "see --database-url")
	}
	refused(t, 2, serve(unreadable), "--database-url", "cannot be read", "%40")
	refused(t, 2, []string{"migrate", "progress", "--database-url", unreadable}, "--database-url", "cannot be read")
	refused(t, 1, []string{"migrate", "progress", "--database-url", "postgres://u:secret@" + freeAddrs(t, 1)[0] + "/x"}, "cannot be reached")

	r.Exec(t, "ALTER ROLE app_progress SUPERUSER")
	inSchema(t, r, "UPDATE progress.schema_info SET min_binary = 999", "INSERT INTO progress.schema_migrations (version_id, is_applied) VALUES (999, true)")
	for _, args := range [][]string{serve(r.urls["progress"]), {"migrate", "progress", "--database-url", r.urls["progress"]}} {
		refused(t, 1, args, "the schema of progress is at 999", "admits only programs that know 999", "run a newer program")
	}
	inSchema(t, r, "UPDATE progress.schema_info SET min_binary = 1")
	start(t, serve(r.urls["progress"])...) // An older program may still run on it.
}

// inSchema runs statements in the services' database.
func inSchema(t *testing.T, r *records, statements ...string) {
	t.Helper()
	superuser, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	superuser.Path = "/preceptor"
	(&testenv.PostgresProcess{URL: superuser.String()}).Exec(t, statements...)
}

// TestServeWaits starts a service before its database is ready, which its health page shows.
func TestServeWaits(t *testing.T) {
	t.Parallel()
	r := newRecords(t)
	r.Crash(t)
	addrs := freeAddrs(t, 2)
	p, ready := launch(t, "serve", "progress", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--health-addr", addrs[0], "--metrics-addr", addrs[1],
		"--database-url", r.urls["progress"], "--log-format", "json")
	anyone, prometheus := &client{t: t, base: "http://" + addrs[0]}, &client{t: t, base: "http://" + addrs[1]}
	measures := func(lines ...string) {
		t.Helper()
		page := string(prometheus.get("/metrics").want(http.StatusOK).body)
		for _, line := range lines {
			if !strings.Contains(page, "\n"+line+"\n") {
				t.Errorf("the metrics do not have %s", line)
			}
		}
	}
	reports := func(words, missing string) {
		t.Helper()
		eventually(t, words, func() bool {
			a, err := anyone.try(http.MethodGet, "/readyz", nil)
			return err == nil && a.status == http.StatusServiceUnavailable && strings.Contains(a.text("reason"), words)
		})
		anyone.get("/healthz").want(http.StatusOK)
		measures("preceptor_ready 0", `preceptor_degraded_dependencies{dependency="`+missing+`"} 1`, `preceptor_degraded_dependencies{dependency="redis"} 0`)
	}
	reports("cannot be reached", "database")
	r.Start(t)
	reports("the schema of progress is missing, this program needs it at", "schema")
	inSchema(t, r, "CREATE SCHEMA progress AUTHORIZATION app_progress")
	if stdout, stderr, code := command(t, "migrate", "progress", "--database-url", r.urls["progress"]); code != 0 {
		t.Fatalf("exit code %d: %s\n%s", code, stderr, stdout)
	}
	select {
	case <-ready:
	case <-p.exited:
		t.Fatalf("it gave up:\n%s", p.output())
	}
	measures(`preceptor_degraded_dependencies{dependency="database"} 0`, `preceptor_degraded_dependencies{dependency="schema"} 0`)
	lines := 0
	for line := range strings.Lines(p.output()) {
		var record struct{ Msg, For string }
		if json.Unmarshal([]byte(line), &record) == nil && record.Msg == "the start waits" {
			lines++
		}
	}
	if lines < 2 || lines > 4 {
		t.Errorf("it logs %d times that it waits:\n%s", lines, p.output())
	}
	if strings.Contains(p.output(), "secret") {
		t.Error("it shows the password")
	}
	if p.stop(t) != 0 {
		t.Error("it did not stop well")
	}
}

// TestWaitingStops stops a service that waits.
func TestWaitingStops(t *testing.T) {
	t.Parallel()
	p, _ := launch(t, "serve", "catalog", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--database-url",
		"postgres://u:secret@"+freeAddrs(t, 1)[0]+"/x")
	eventually(t, "it waits", func() bool { return strings.Contains(p.output(), "the start waits") })
	if code := p.stop(t); code != 0 || strings.Contains(p.output(), "secret") {
		t.Errorf("exit code %d:\n%s", code, p.output())
	}
}
