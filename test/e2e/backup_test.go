package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// scribe is a device that sends batches until it is stopped, and forgets none of them.
type scribe struct {
	me *client

	mu   sync.Mutex
	sent []sentBatch
	// events are those of each batch, to be sent again.
	events [][]any
	// acknowledged is how many batches were, and known the last sequence that a response had.
	acknowledged int
	known        int64
	// logID is the log that it has written to, as the last response had it.
	logID string
}

// write sends batches until stop. Whatever is no acknowledgement is a fault, for the server runs.
func (s *scribe) write(t *testing.T, units int, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		var b sentBatch
		var events []any
		for i := range 1 + n%units {
			e := event("crash", fmt.Sprintf("u%d", i), "PROGRESSED", "progress", 0.5)
			b.ids = append(b.ids, plain(e["eventId"]))
			events = append(events, e)
		}
		a, err := s.me.try(http.MethodPost, "/v1/learners/me/events:batch", map[string]any{"events": events})
		if err != nil || a.status != http.StatusOK {
			t.Errorf("a batch is answered %+v, %v", a, err)
			return
		}
		b.acknowledged = !slices.ContainsFunc(a.list("results"), func(r any) bool { return plain(dig(r, "status")) != "ACCEPTED" })
		s.mu.Lock()
		s.sent, s.events = append(s.sent, b), append(s.events, events)
		s.acknowledged++
		_, _ = fmt.Sscan(a.text("asOfSequence"), &s.known)
		if s.logID != "" && s.logID != a.text("logId") {
			t.Errorf("the log was %s and is %s", s.logID, a.text("logId"))
		}
		s.logID = a.text("logId")
		s.mu.Unlock()
	}
}

func (s *scribe) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acknowledged
}

// promised are the batches as they bind a backup that began when n of them were acknowledged:
// those must be in it, the others may be, as a whole.
func (s *scribe) promised(n int) []sentBatch {
	all := slices.Clone(s.sent)
	for i := range all {
		all[i].acknowledged = all[i].acknowledged && i < n
	}
	return all
}

// scribes are several, at work.
type scribes struct {
	all     []*scribe
	stop    chan struct{}
	working sync.WaitGroup
}

// startScribes publishes a module and has learners write about it.
func startScribes(t *testing.T, w *world, writers, units int) *scribes {
	t.Helper()
	author := w.as(t, "author", "author")
	content := basicsContent("Crash")
	var all []any
	for i := range units {
		all = append(all, map[string]any{"id": fmt.Sprintf("u%d", i), "title": "Unit", "kind": "READING"})
	}
	content["units"] = all
	author.post("/v1/modules?moduleId=crash", content).want(http.StatusCreated)
	author.post("/v1/modules/crash:publish", map[string]any{}).want(http.StatusOK)
	s := &scribes{stop: make(chan struct{})}
	for i := range writers {
		one := &scribe{me: w.as(t, fmt.Sprintf("scribe-%d", i))}
		one.me.id()
		s.all = append(s.all, one)
		s.working.Go(func() { one.write(t, units, s.stop) })
	}
	return s
}

// counts waits until each has more acknowledged than it had, and returns how many.
func (s *scribes) counts(t *testing.T, more int) []int {
	t.Helper()
	counts := make([]int, len(s.all))
	for _, one := range s.all {
		had := one.count()
		eventually(t, "a scribe goes on", func() bool { return t.Failed() || one.count() >= had+more })
	}
	for i, one := range s.all {
		counts[i] = one.count()
	}
	return counts
}

func (s *scribes) rest() {
	close(s.stop)
	s.working.Wait()
}

// keptUp publishes modules and signs learners in until stop, so that the services refer to what the
// others have just made: each newcomer enrolls, and does something of the newest version.
func keptUp(t *testing.T, w *world, stop <-chan struct{}) {
	author := w.as(t, "author", "author")
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		id := fmt.Sprintf("news-%d", n)
		author.post("/v1/modules?moduleId="+id, basicsContent("News")).want(http.StatusCreated)
		author.post("/v1/modules/"+id+":publish", map[string]any{}).want(http.StatusOK)
		w.as(t, "newcomer-"+id).record(event(id, "phi", "COMPLETED"))
	}
}

// TestBackup backs a server up while everybody writes, loses it, and restores the backup: what
// was promised is there, what is derived fits, and devices find out and send what is missing.
func TestBackup(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T, string) *world{
		"one":  func(t *testing.T, data string) *world { return oneProcessOn(t, data) },
		"four": func(t *testing.T, data string) *world { return fourProcessesOn(t, data, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := run(t, t.TempDir())
			c := publishCourse(t, w.as(t, "author", "author"), "backup")
			quiet := quietLearner(t, w, c)
			s := startScribes(t, w, 3, 8)
			s.working.Go(func() { keptUp(t, w, s.stop) })
			before := s.counts(t, 8)

			saved := filepath.Join(t.TempDir(), "saved")
			stdout, stderr, code := command(t, "backup", "--data", w.data, "--to", saved)
			if code != 0 || stderr != "" || !strings.Contains(stdout, "issuer.key") || !strings.Contains(stdout, "not copied") {
				t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
			}
			wantInOrder(t, saved)
			s.counts(t, 8)
			s.rest()
			for _, p := range w.all {
				p.kill()
			}

			data := filepath.Join(t.TempDir(), "data")
			if stdout, stderr, code = command(t, "restore", "--from", saved, "--data", data); code != 0 {
				t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
			}
			w = run(t, data)
			for i, one := range s.all {
				one.me = w.as(t, fmt.Sprintf("scribe-%d", i))
				checkLog(t, one.me, one.promised(before[i]))
			}
			quiet.after(t, w)
			wantSound(t, w)
			for _, one := range s.all {
				one.catchesUp(t)
			}
			wantSound(t, w)
		})
	}
}

// quiet is a learner who does nothing while everything is lost, with what they had read.
type quiet struct {
	id, path, etag, body string
}

func quietLearner(t *testing.T, w *world, c course) *quiet {
	t.Helper()
	me, admin := w.as(t, "quiet"), w.as(t, "admin", "admin")
	q := &quiet{id: me.id(), path: "/v1/learners/me/paths/" + c.path + "/progress"}
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	me.record(c.basicsDone()...)
	waived := event(c.quiz, "read", "WAIVED", "reason", "has done it elsewhere")
	admin.post("/v1/learners/"+q.id+"/events:batch", map[string]any{"events": []any{waived}}).want(http.StatusOK).has("results.0.status", "ACCEPTED")
	a := me.get(q.path).want(http.StatusOK)
	q.etag, q.body = a.header.Get("ETag"), string(a.body)
	me.get(q.path, "If-None-Match", q.etag).want(http.StatusNotModified)
	return q
}

// after finds the learner as they were, and their ETag worth nothing.
func (q *quiet) after(t *testing.T, w *world) {
	t.Helper()
	me := w.as(t, "quiet")
	if id := me.id(); id != q.id {
		t.Errorf("the learner was %s and is %s", q.id, id)
	}
	if a := me.get(q.path, "If-None-Match", q.etag).want(http.StatusOK); string(a.body) != q.body {
		t.Errorf("before\n%s\nafter\n%s", q.body, a.body)
	}
}

// wantInOrder looks for what progress's copy refers to in the copies of the others.
func wantInOrder(t *testing.T, saved string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(saved, "progress.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, other := range []string{"profile", "catalog"} {
		harm(t, db, "ATTACH DATABASE $1 AS "+other, filepath.Join(saved, other+".db"))
	}
	var all, lost int
	err = db.QueryRowContext(t.Context(), `SELECT count(*), count(*) FILTER (WHERE learner_id NOT IN (SELECT unhex(id, '-') FROM profile.learners)) FROM learner_head`).
		Scan(&all, &lost)
	if err != nil || all == 0 || lost > 0 {
		t.Errorf("of %d learners that progress names, %d are missing: %v", all, lost, err)
	}
	versions := versionsNamed(t, db)
	for v := range versions {
		var n int
		err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM catalog.versions WHERE kind = 'MODULE' AND id = $1 AND number = $2`, v.module, v.number).Scan(&n)
		if err != nil || n == 0 {
			t.Errorf("progress names the version %d of %s, which is missing: %v", v.number, v.module, err)
		}
	}
	if len(versions) == 0 {
		t.Error("progress names no versions")
	}
}

type moduleVersion struct {
	module string
	number int
}

// versionsNamed are the versions that the logs name.
func versionsNamed(t *testing.T, db *sql.DB) map[moduleVersion]bool {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT module_id, entry FROM learner_log WHERE module_id IS NOT NULL`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[moduleVersion]bool{}
	for rows.Next() {
		var r progress.Record
		var entry string
		if err := errors.Join(rows.Scan(&r.Event.ModuleID, &entry), progress.DecodeEntry(entry, &r)); err != nil {
			t.Fatal(err)
		}
		out[moduleVersion{r.Event.ModuleID, r.Event.ModuleVersion}] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// wantSound has the program check what is stored.
func wantSound(t *testing.T, w *world) {
	t.Helper()
	w.replay(t, 0, "verify", "--server", w.base)
	stdout, stderr, code := command(t, "audit", "verify", "--server", w.base, "--data", w.data)
	if code != 0 || !strings.Contains(stdout, "progress: 1 entry, chain whole") {
		t.Errorf("audit verify: exit code %d: %s%s", code, stdout, stderr)
	}
}

// catchesUp does what a device does that knows more than the server: every response says that it is of
// another log, so it sends everything again.
func (s *scribe) catchesUp(t *testing.T) {
	t.Helper()
	log := "/v1/learners/me/events?pageSize=500&afterSequence="
	known := fmt.Sprint(s.known)
	head := s.me.get(log + "0").want(http.StatusOK).text("asOfSequence")
	page := s.me.get(log+known).want(http.StatusOK).has("events", []any{}, "nextAfterSequence", known, "asOfSequence", head)
	other := page.text("logId")
	if other == s.logID {
		t.Errorf("the log is %s, as before", other)
	}
	if e := next(t, s.me.watch("Last-Event-ID", known)); e.name != "reset" || e.id != head || plain(dig(e.data, "logId")) != other {
		t.Errorf("after %s came %+v, want a reset that goes on after %s in log %s", known, e, head, other)
	}
	again := map[string]int{}
	for _, events := range s.events {
		for _, r := range s.me.record(events...).has("logId", other).list("results") {
			again[plain(dig(r, "status"))]++
		}
	}
	if again["ACCEPTED"] == 0 || again["DUPLICATE"] == 0 || len(again) != 2 {
		t.Errorf("sent again: %v", again)
	}
	all := slices.Clone(s.sent)
	for i := range all {
		all[i].acknowledged = true
	}
	checkLog(t, s.me, all)
	// The log is as long again as it was, so only its id shows that it is another one.
	s.me.get(fmt.Sprintf("%s%d", log, s.known-1)).want(http.StatusOK).has("events.0.sequence", s.known, "logId", other)
	resumed := next(t, s.me.watch("Last-Event-ID", fmt.Sprint(s.known-1)))
	if resumed.id != known || dig(resumed.data, "logId") != other {
		t.Errorf("resumed: %+v", resumed)
	}
}

// TestBackupAndRestoreRefuse meets what an operator may get wrong.
func TestBackupAndRestoreRefuse(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	w.as(t, "ada").id()
	q := quietLearner(t, w, publishCourse(t, w.as(t, "author", "author"), "refuse"))
	saved := t.TempDir() // an empty folder will do
	backup := func(to string, more ...string) []string {
		return append([]string{"backup", "--data", w.data, "--to", to}, more...)
	}
	if stdout, stderr, code := command(t, backup(saved, "--with-keys")...); code != 0 || !strings.Contains(stdout, "issuer.key: copied") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	refused(t, 1, backup(saved), "is not empty", "--to")
	refused(t, 1, []string{"backup", "--data", t.TempDir(), "--to", filepath.Join(t.TempDir(), "x")}, "no records", "--data")
	restore := func(from, data string) []string { return []string{"restore", "--from", from, "--data", data} }
	refused(t, 1, restore(saved, w.data), "in use by process "+fmt.Sprint(w.front.cmd.Process.Pid))
	refused(t, 1, restore(saved, saved), "is not empty")
	refused(t, 1, restore(t.TempDir(), t.TempDir()), "no manifest.json", "not a backup")

	token := w.token(t, "ada")
	logOf := func(w *world) string {
		me := &client{t: t, base: w.base, token: token}
		return me.get("/v1/learners/me/events").want(http.StatusOK).text("logId")
	}
	log := logOf(w)
	w.front.stop(t)
	restarted := oneProcessOn(t, w.data)
	if is := logOf(restarted); is != log {
		t.Errorf("the log was %s, and after a restart it is %s", log, is)
	}
	restarted.front.stop(t)
	stopped := filepath.Join(t.TempDir(), "stopped")
	if stdout, stderr, code := command(t, backup(stopped)...); code != 0 {
		t.Fatalf("of a stopped server: exit code %d: %s%s", code, stdout, stderr)
	}
	refused(t, 1, restore(saved, w.data), "is not empty", "--data")

	data := t.TempDir()
	if stdout, stderr, code := command(t, restore(saved, data)...); code != 0 {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	again := oneProcessOn(t, data)
	(&client{t: t, base: again.base, token: token}).get("/v1/learners/me").want(http.StatusOK)
	if is := logOf(again); is == log {
		t.Errorf("after a restore the log is %s, as before", is)
	}
	q.after(t, again) // nothing has changed, so the incarnation alone makes their ETag an old one

	// A folder that a restore left half filled.
	half := t.TempDir()
	if err := os.WriteFile(filepath.Join(half, "restore.unfinished"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, 1, []string{"serve", "--http", "127.0.0.1:0", "--data", half}, "cut off", "restore again")
	refused(t, 1, []string{"backup", "--data", half, "--to", t.TempDir()}, "cut off")

	// Backups that something happened to.
	for name, spoil := range map[string]func(path string) error{
		"changed": func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte{0xff}, 5000)
			return err
		},
		"cut":      func(path string) error { return os.Truncate(path, 4096) },
		"gone":     os.Remove,
		"a folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		spoilt, into := filepath.Join(t.TempDir(), name), t.TempDir()
		if err := os.CopyFS(spoilt, os.DirFS(stopped)); err != nil {
			t.Fatal(err)
		}
		if err := spoil(filepath.Join(spoilt, "catalog.db")); err != nil {
			t.Fatal(err)
		}
		refused(t, 1, restore(spoilt, into), "is damaged", "catalog.db")
		if left, err := os.ReadDir(into); len(left) > 0 || err != nil {
			t.Errorf("%s: the folder was written to: %v, %v", name, left, err)
		}
	}
	// One whose files are elsewhere: what is read there may be another file the next time.
	for _, name := range []string{"manifest.json", "catalog.db", "issuer.key"} {
		linked, into := filepath.Join(t.TempDir(), "linked"), t.TempDir()
		if err := os.CopyFS(linked, os.DirFS(saved)); err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(linked, name)
		if err := errors.Join(os.Rename(at, linked+"."+name), os.Symlink(linked+"."+name, at)); err != nil {
			t.Fatal(err)
		}
		refused(t, 1, restore(linked, into), name+" in the backup in "+linked+" is a link", "cp -rL")
		if left, err := os.ReadDir(into); len(left) > 0 || err != nil {
			t.Errorf("a link for %s: the folder was written to: %v, %v", name, left, err)
		}
	}
}

// TestEmptiedDatabase starts and backs up a folder one of whose databases has no byte left.
func TestEmptiedDatabase(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	w.front.stop(t)
	file := filepath.Join(w.data, "progress.db")
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	words := []string{"the database " + file + " is an empty file", "restore it from a backup"}
	refused(t, 1, []string{"serve", "--http", "127.0.0.1:0", "--data", w.data}, words...)
	refused(t, 1, []string{"backup", "--data", w.data, "--to", filepath.Join(t.TempDir(), "backup")}, words...)
	refused(t, 1, []string{"progress", "verify", "--data", w.data}, words...)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	oneProcessOn(t, w.data).as(t, "anew").id()
}
