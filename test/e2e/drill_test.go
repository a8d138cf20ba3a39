//go:build realservers

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

var drillLearners = flag.Int("drill.learners", 300, "how many learners, with 25 log entries each, the backup of TestDrill has")

// logEntries is how many entries each learner's log has.
const logEntries = 25

// TestDrill backs a server up as docs/drill.md says, and has deploy/drill.sh restore and verify that. It
// finds out a backup that lacks something.
func TestDrill(t *testing.T) {
	t.Parallel()
	r := migrated(t)
	d := &drill{records: r, dump: filepath.Join(t.TempDir(), "preceptor.dump")}
	d.fill(t, *drillLearners)
	postgresTool(t, "pg_dump", "--format=custom", "--file="+d.dump, "--dbname="+r.in(t, "preceptor"))

	out, code := d.run(t, d.dump)
	t.Logf("\n%s", out)
	entries := fmt.Sprintf("%-16s %8d", "log entries", logEntries*(*drillLearners+1))
	for _, want := range []string{"of 0 learners drifted", d.heads, "in all (RTO)", "database", entries, "newest of them   20", "the backup is good"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, and no %q", code, want)
		}
	}
	d.heads = strings.Replace(d.heads, ":1:", ":9:", 1) // of a moment after the backup
	if out, code := d.run(t, d.dump); code != 1 || !strings.Contains(out, "the drill FAILED") || strings.Contains(out, "the backup is good") {
		t.Errorf("a chain that is too short: exit code %d\n%s", code, out)
	}
	content, err := os.ReadFile(d.dump)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(t.TempDir(), "half.dump")
	if err := os.WriteFile(half, content[:len(content)*9/10], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := d.run(t, half); code != 1 || strings.Contains(out, "the backup is good") {
		t.Errorf("nine tenths of a backup: exit code %d\n%s", code, out)
	}
	inSchema(t, d.records, "UPDATE progress.module_facts SET state = '{}' WHERE learner_id = (SELECT learner_id FROM progress.module_facts ORDER BY learner_id LIMIT 1)")
	postgresTool(t, "pg_dump", "--format=custom", "--file="+half, "--dbname="+r.in(t, "preceptor"))
	if out, code := d.run(t, half); code != 3 || !strings.Contains(out, "1 facts") || strings.Contains(out, "the backup is good") {
		t.Errorf("facts that no log gives: exit code %d\n%s", code, out)
	}
	left := postgresTool(t, "psql", "--tuples-only", "--no-align", "--command=SELECT datname FROM pg_database WHERE datname LIKE '%drill%'", "--dbname="+r.URL)
	if strings.TrimSpace(left) != "" {
		t.Errorf("it leaves the database %s", left)
	}
}

// drill is a server with a backup.
type drill struct {
	*records

	dump string
	// heads are those of the audit chains before the backup, as docs/drill.md has them noted.
	heads string
}

// fill has a learner learn, and gives many more the same log.
func (d *drill) fill(t *testing.T, learners int) {
	t.Helper()
	data := t.TempDir()
	w := d.world(t, data)
	content := basicsContent("Drill")
	var units []any
	for i := range 24 {
		units = append(units, map[string]any{"id": fmt.Sprintf("u%d", i), "title": "Unit", "kind": "READING"})
	}
	content["units"] = units
	author := w.as(t, "author", "author")
	author.post("/v1/modules?moduleId=drill", content).want(http.StatusCreated)
	author.post("/v1/modules/drill:publish", map[string]any{}).want(http.StatusOK)
	me := w.as(t, "drilled")
	me.id()
	for i := range logEntries - 1 {
		me.post("/v1/learners/me/events:batch", map[string]any{
			"events": []any{event("drill", fmt.Sprintf("u%d", i), "PROGRESSED", "progress", 0.5)},
		}).want(http.StatusOK).has("results.0.status", "ACCEPTED")
	}
	w.as(t, "admin", "admin").post("/v1/learners/"+me.id()+"/events:batch", map[string]any{
		"events": []any{event("drill", "u0", "COMPLETED", "reason", "seen in class")},
	}).want(http.StatusOK).has("results.0.status", "ACCEPTED") // which the audit has
	d.heads = headsOf(t, w)
	for _, p := range w.all {
		p.kill()
	}
	inSchema(t, d.records, fmt.Sprintf(copyLearners, learners))
}

// copyLearners gives many learners all that progress has of each one, in their own names.
const copyLearners = `DO $$
DECLARE
  copied TEXT;
  target TEXT;
  source TEXT;
BEGIN
  FOREACH copied IN ARRAY ARRAY['learner_head', 'learner_zone', 'learner_log', 'module_facts', 'enrollment', 'award'] LOOP
    SELECT string_agg(column_name, ', '), string_agg(CASE column_name
        WHEN 'learner_id' THEN 'md5(concat(n, learner_id))::uuid'
        ELSE column_name::text END, ', ') INTO target, source
      FROM information_schema.columns WHERE table_schema = 'progress' AND table_name = copied;
    EXECUTE format('INSERT INTO progress.%%I (%%s) SELECT %%s FROM progress.%%I, generate_series(1, %d) n', copied, target, source, copied);
  END LOOP;
END $$`

// headsOf are the heads of the audit chains, by the line of docs/drill.md.
func headsOf(t *testing.T, w *world) string {
	t.Helper()
	stdout, stderr, code := command(t, "audit", "verify", "--server", w.base, "--data", w.data)
	if code != 0 {
		t.Fatalf("audit verify: exit code %d: %s", code, stderr)
	}
	var heads []string
	for _, found := range regexp.MustCompile(`(?m) head (\S+)$`).FindAllStringSubmatch(stdout, -1) {
		heads = append(heads, found[1])
	}
	if len(heads) == 0 {
		t.Fatalf("there are no heads in %s", stdout)
	}
	return strings.Join(heads, "\n")
}

// run runs the drill.
func (d *drill) run(t *testing.T, dump string) (out string, code int) {
	t.Helper()
	u, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path, u.RawQuery = "", ""
	cmd := exec.Command("bash", "../../deploy/drill.sh", u.String(), dump)
	cmd.Env = append(environment(), "PRECEPTOR="+binary, "OPTIONS=sslmode=disable", "HEADS="+d.heads,
		"PORTS="+strings.Trim(fmt.Sprint(testenv.Ports(t, 5)), "[]"))
	content, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return string(content), cmd.ProcessState.ExitCode()
}
