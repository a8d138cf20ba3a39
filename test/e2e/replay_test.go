package e2e

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // what harms the database is not the program

	"github.com/preceptor-dev/preceptor/internal/tagged"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// database is the file of progress, opened beside it.
func (w *world) database(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.data, "progress.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// A UUID among the arguments is an id, which SQLite has as 16 bytes.
func harm(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	for i := range args {
		if text, ok := args[i].(string); ok {
			if id, ok := tagged.ParseUUID(text); ok {
				args[i] = id[:]
			}
		}
	}
	if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// replay runs `preceptor progress …`, which must end with the code.
func (w *world) replay(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	args = append([]string{"progress"}, append(args, "--data", w.data)...)
	stdout, stderr, got := command(t, args...)
	if got != code {
		t.Errorf("%v: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	return stdout, stderr
}

// TestReplay harms what is stored of a learner: verify finds it, rebuild repairs it, on a running
// server of either shape, and in the folder when the server is gone.
func TestReplay(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T, ...string) *world{"one": oneProcess, "four": fourProcesses} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := run(t)
			c := publishCourse(t, w.as(t, "author", "author"), "replay")
			me := w.as(t, "replay-learner")
			me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
			me.record(c.basicsDone()...).has("awards.0.milestoneId", "begin")
			db, id := w.database(t), me.id()
			whole := string(me.get("/v1/learners/me/paths/" + c.path + "/progress").want(http.StatusOK).body)
			server := []string{"--server", w.base}
			verify, rebuild := append([]string{"verify"}, server...), append([]string{"rebuild"}, server...)
			check := func(verify, rebuild []string) {
				t.Helper()
				w.replay(t, 0, verify...)
				harm(t, db, `DELETE FROM module_facts WHERE learner_id = $1`, id)
				harm(t, db, `UPDATE award SET title = 'Harmed' WHERE learner_id = $1`, id)
				found, out := w.replay(t, 3, verify...)
				if !strings.Contains(found, "learner "+id+"  FACTS "+c.basics+": stored null  replayed {") || !strings.Contains(found, "Harmed") {
					t.Errorf("verify finds\n%s", found)
				}
				if !strings.Contains(out, "1 facts, 0 enrollments and 1 awards of 1 learners drifted") {
					t.Errorf("verify prints\n%s", out)
				}
				lines, _ := w.replay(t, 3, append(verify, "--json", "--learner", id)...)
				if !strings.Contains(lines, `{"result":{"drift":{"learnerId":"`+id+`","kind":"AWARD"`) || !strings.Contains(lines, `"finished":true`) {
					t.Errorf("as JSON:\n%s", lines)
				}
				if _, out := w.replay(t, 0, rebuild...); !strings.Contains(out, "1 facts, 0 enrollments and 1 awards of 1 learners corrected") {
					t.Errorf("rebuild prints\n%s", out)
				}
				w.replay(t, 0, verify...)
			}
			check(verify, rebuild)
			if after := string(me.get("/v1/learners/me/paths/" + c.path + "/progress").want(http.StatusOK).body); after != whole {
				t.Errorf("before\n%s\nafter\n%s", whole, after)
			}

			refused(t, 1, append(append([]string{"progress"}, verify...), "--token", w.token(t, "replay-learner")), "admin")
			nowhere := []string{"--server", "http://127.0.0.1:1"}
			refused(t, 1, append([]string{"progress", "verify", "--data", w.data}, nowhere...), "cannot be reached", "in use by process", "--server")
			refused(t, 1, append([]string{"progress", "rebuild", "--data", t.TempDir()}, nowhere...), "progress.db in")
			noCommandIsALearner(t, w, server)
			for _, p := range w.all {
				p.stop(t)
			}
			worksOnStopped(t, w.data, nowhere)
			check(append([]string{"verify"}, nowhere...), append([]string{"rebuild"}, nowhere...))
		})
	}
}

// noCommandIsALearner runs the commands that sign in by themselves, and finds no learner made of one.
func noCommandIsALearner(t *testing.T, w *world, server []string) {
	t.Helper()
	w.replay(t, 0, append([]string{"verify"}, server...)...)
	for _, args := range [][]string{{"audit", "verify"}, {"catalog", "export"}} {
		if _, stderr, code := command(t, slices.Concat(args, server, []string{"--data", w.data})...); code != 0 {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
	if all := string(w.as(t, "replay-admin", "admin").get("/v1/learners?pageSize=500").want(http.StatusOK).body); strings.Contains(all, "preceptor-") {
		t.Errorf("a command is a learner: %s", all)
	}
}

// worksOnStopped runs the commands that make requests on a folder whose servers have stopped.
func worksOnStopped(t *testing.T, data string, nowhere []string) {
	t.Helper()
	run := func(want int, args ...string) string {
		t.Helper()
		stdout, stderr, code := command(t, slices.Concat(args[:2], nowhere, []string{"--data", data}, args[2:])...)
		if code != want {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
		return stdout
	}
	if out := run(0, "audit", "verify"); !strings.Contains(out, "catalog: ") || !strings.Contains(out, "progress: ") {
		t.Errorf("audit verify prints\n%s", out)
	}
	file := filepath.Join(t.TempDir(), "catalog.yaml")
	document := run(0, "catalog", "export")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(document)
	run(0, "catalog", "diff", file)
	const title = "title: Measuring adoption"
	if !strings.Contains(document, title) {
		t.Fatalf("the catalog holds no %q", title)
	}
	write(strings.Replace(document, title, title+" well\n    changeClass: EDITORIAL", 1))
	run(3, "catalog", "diff", file)
	run(0, "catalog", "apply", file)
	run(0, "catalog", "diff", file)
}

// manyLearners writes logs into the database behind the program's back: enough that a rebuild takes a while.
func manyLearners(t *testing.T, db *sql.DB, module string, learners, each int) {
	t.Helper()
	at := time.UnixMicro(2_000_000_000_000_000)
	entry := progress.AppendEntry(nil, &progress.Record{
		Type: progress.RecordEvent, ReceivedAt: at, EffectiveAt: at, ActorID: "somebody",
		Event: progress.Event{ModuleVersion: 1, UnitID: "phi", Verb: progress.Completed, OccurredAt: at},
	})
	harm(t, db, `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $1 * $2 - 1)
		INSERT INTO learner_log (learner_id, sequence, received_at, event_id, module_id, entry)
		SELECT unhex(printf('%08x000070008000000000000000', i / $2)), i % $2 + 1, $4 + i, unhex(printf('%08x000040008000%012x', i / $2, i % $2)), $3, $5 FROM n`,
		learners, each, module, at.UnixMicro(), entry)
	harm(t, db, `INSERT INTO learner_head (learner_id, sequence, version) SELECT learner_id, count(*), 1 FROM learner_log
		WHERE hex(learner_id) LIKE '%000070008000000000000000' GROUP BY learner_id`)
}

// killedWhileRebuilding kills the server once a rebuild has begun to write; false when that had ended before.
func (w *world) killedWhileRebuilding(t *testing.T, db *sql.DB) bool {
	t.Helper()
	rebuild := exec.Command(binary, "progress", "rebuild", "--data", w.data, "--server", w.base)
	rebuild.Env, rebuild.SysProcAttr = environment(), dieWithUs()
	if err := rebuild.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- rebuild.Wait() }()
	over := false
	eventually(t, "the rebuild has begun to write", func() bool {
		var begun bool
		err := db.QueryRowContext(t.Context(), `SELECT EXISTS (SELECT 1 FROM module_facts) FROM lease WHERE job = 'rebuild' AND json_extract(state, '$.startedAt') > 0`).Scan(&begun)
		over = len(ended) > 0
		return over || (err == nil && begun)
	})
	if over {
		return false
	}
	w.front.kill()
	if err := <-ended; err == nil {
		t.Fatal("the rebuild ended well, though its server was killed")
	}
	return true
}

// TestKillDuringRebuild kills the server while it rebuilds. The next rebuild goes on at once, and
// leaves no learner out.
func TestKillDuringRebuild(t *testing.T) {
	t.Parallel()
	const learners, each = 6000, 40
	w := oneProcess(t)
	c := publishCourse(t, w.as(t, "author", "author"), "rebuild")
	db := w.database(t)
	manyLearners(t, db, c.basics, learners, each)
	for tries := 1; !w.killedWhileRebuilding(t, db); tries++ {
		if tries == 5 {
			t.Fatal("each rebuild ended before it could be killed")
		}
		if _, err := db.ExecContext(t.Context(), `DELETE FROM module_facts`); err != nil {
			t.Fatal(err)
		}
	}
	w = oneProcessOn(t, w.data)
	if _, out := w.replay(t, 0, "rebuild", "--server", w.base); !strings.Contains(out, "Going on from where") ||
		!strings.Contains(out, fmt.Sprintf("%d learners, ", learners)) {
		t.Errorf("the second rebuild prints\n%s", out)
	}
	w.replay(t, 0, "verify", "--server", w.base)
	var n int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM module_facts`).Scan(&n); err != nil || n != learners {
		t.Errorf("%d facts, %v", n, err)
	}
}
