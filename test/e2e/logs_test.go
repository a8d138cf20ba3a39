package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestLogsNameNobody plays the day of people whom their issuer knows by e-mail addresses, in one process and
// in four, with every line of the log and every span: no address is in any of them, and none has a duration
// without a unit. An operator finds somebody's lines all the same.
func TestLogsNameNobody(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T, []string) *world{
		"one": func(t *testing.T, args []string) *world { return oneProcess(t, args...) },
		"four": func(t *testing.T, args []string) *world {
			return fourProcessesOn(t, t.TempDir(), map[string][]string{"profile": args, "catalog": args, "progress": args, "gateway": args})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider, c := newProvider(t), newCollector(t)
			w := run(t, []string{
				"--oidc-issuer", provider.url, "--oidc-audience", "preceptor-test", "--oidc-roles-claim", "realm.roles", "--local-issuer",
				"--log-level", "debug", "--otlp-endpoint", c.addr, "--trace-sample", "1",
			})
			as := func(subject, role string) *client {
				return &client{t: t, base: w.base, token: provider.token(subject, role)}
			}
			course := publishCourse(t, as("grace@example.org", "author"), "nameless")
			ada, ben := as("ada@example.org", "learner"), as("ben@example.org", "learner")
			id := ada.id()
			ada.post("/v1/learners/me/enrollments", map[string]any{"pathId": course.path}, "Idempotency-Key", "once").want(http.StatusCreated)
			ada.post("/v1/learners/me/events:batch", map[string]any{"events": course.basicsDone()}).want(http.StatusOK)
			ada.get("/v1/learners/me/paths/" + course.path + "/progress").want(http.StatusOK)
			ada.patch("/v1/learners/me", map[string]any{"email": "ada@example.org", "displayName": "Ada"}).want(http.StatusOK)
			ada.get("/v1/audit?service=catalog").want(http.StatusForbidden)
			ben.get("/v1/learners/" + id).want(http.StatusForbidden)
			ben.post("/v1/learners/me/enrollments", map[string]any{"pathId": "No Path"}).want(http.StatusBadRequest)
			as("root@example.org", "admin").get("/v1/audit?service=catalog").want(http.StatusOK)
			(&client{t: t, base: w.base, token: ada.token + "x"}).get("/v1/topics").want(http.StatusUnauthorized)
			(&client{t: t, base: w.base, token: provider.token("ada@example.org\x00", "learner")}).get("/v1/topics").want(http.StatusUnauthorized)
			eventually(t, "spans", func() bool {
				return slices.ContainsFunc(c.texts(), func(text string) bool { return strings.Contains(text, "UpdateLearner") })
			})
			c.keepsQuiet(t, "@example.org")
			all := logOf(w)
			for _, line := range all {
				if strings.Contains(line, "@example.org") {
					t.Errorf("the log has %s", line)
				}
			}
			checkDurations(t, all)
			checkCallers(t, w, provider.url, id)
		})
	}
}

// texts are the spans that have come.
func (c *collector) texts() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		all = append(all, s.text)
	}
	return all
}

func logOf(w *world) (all []string) {
	for _, p := range w.all {
		all = append(all, p.lines("")...)
	}
	return all
}

// checkDurations expects a number of milliseconds on each line about a request, and nothing in another unit.
func checkDurations(t *testing.T, all []string) {
	t.Helper()
	for _, text := range all {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		took, given := line["duration_ms"].(float64)
		if msg := line["msg"]; (msg == "request" || msg == "call" || msg == "ready") && (!given || took < 0 || took > 3_600_000) {
			t.Errorf("%s has no duration", text)
		}
		if line["duration"] != nil || line["took"] != nil {
			t.Errorf("%s has a duration without a unit", text)
		}
	}
}

// checkCallers looks for a learner's lines by their id, and for those of whom no service knows as a learner.
func checkCallers(t *testing.T, w *world, issuer, id string) {
	t.Helper()
	named := func(caller string) (n int) {
		for _, line := range logOf(w) {
			if strings.Contains(line, fmt.Sprintf(`"caller":%q`, caller)) {
				n++
			}
		}
		return n
	}
	hash := func(subject string) string {
		out, stderr, code := command(t, "caller", "--data", w.data, "--issuer", issuer, "--subject", subject)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		return strings.TrimSpace(out)
	}
	if named(id) == 0 || named(hash("ada@example.org")) == 0 || named(hash("root@example.org")) == 0 || named(hash("eve@example.org")) > 0 {
		t.Errorf("the log has Ada %d times by id, %d by hash, an admin %d times, and somebody who was not there %d times",
			named(id), named(hash("ada@example.org")), named(hash("root@example.org")), named(hash("eve@example.org")))
	}
}

// TestCallerNeedsTheKey has no hash made with a key that no server has.
func TestCallerNeedsTheKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refused(t, 2, []string{"caller", "--data", dir, "--subject", "ada"}, "log.key", "--log-key")
	refused(t, 2, []string{"caller", "--log-key", "short", "--subject", "ada"}, "--log-key", "32")
	refused(t, 2, []string{"serve", "--data", dir, "--log-key", "short"}, "--log-key", "32")
	refused(t, 2, []string{"serve", "--data", dir, "--log-callers", "name"}, "--log-callers", "id, hash or subject")
	refused(t, 2, []string{"serve", "--data", dir, "--log-sample", "0"}, "--log-sample")
	refused(t, 2, []string{"serve", "--data", dir, "--log-sample", "1.5"}, "--log-sample")
	refused(t, 2, []string{"serve", "--data", dir, "--trace-sample", "2"}, "--trace-sample")
	refused(t, 2, []string{"serve", "--data", dir, "--continue-traces"}, "--trusted-proxies")
	key := strings.Repeat("k", 40)
	w := oneProcess(t, "--log-key", key, "--log-callers", "hash", "--log-level", "debug")
	id := w.as(t, "ada").id()
	out, stderr, code := command(t, "caller", "--log-key", key, "--subject", "ada")
	if code != 0 || len(w.front.lines(strings.TrimSpace(out))) < 2 {
		t.Errorf("exit code %d, %s%s", code, out, stderr)
	}
	if named := w.front.lines(`"caller":"` + id + `"`); len(named) > 0 {
		t.Errorf("by hash alone, the log has %q", named)
	}
}

// TestLogSample leaves out most lines about what succeeded, and none about what did not.
func TestLogSample(t *testing.T) {
	t.Parallel()
	w := oneProcess(t, "--log-sample", "0.000001")
	me := w.as(t, "sampled")
	for range 20 {
		me.get("/v1/topics").want(http.StatusOK)
		me.get("/v1/modules/nowhere").want(http.StatusNotFound)
	}
	eventually(t, "all lines about failures", func() bool { return len(w.front.lines(`"status":404`)) == 20 })
	if ok := w.front.lines(`"status":200`); slices.ContainsFunc(ok, func(line string) bool { return !strings.Contains(line, `"sample_rate":0.000001`) && !slow(line) }) {
		t.Errorf("of what succeeded the log has %q", ok)
	}
	w = oneProcess(t)
	me = w.as(t, "whole")
	for range 20 {
		me.get("/v1/topics").want(http.StatusOK)
	}
	eventually(t, "all lines, without sampling", func() bool { return len(w.front.lines(`"status":200`)) == 20 })
	if drawn := w.front.lines("sample_rate"); len(drawn) > 0 {
		t.Errorf("without sampling: %q", drawn)
	}
}

// slow reports whether a line is of a request that took a second.
func slow(text string) bool {
	var line struct {
		Duration float64 `json:"duration_ms"` //nolint:tagliatelle // as the log spells it
	}
	return json.Unmarshal([]byte(text), &line) == nil && line.Duration >= 1000
}
