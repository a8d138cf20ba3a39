package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
)

// meter is a phone's connection to the server: it asks for gzip, and counts all that goes over the wire.
type meter struct {
	*client

	requests int
	bytes    atomic.Int64
}

// meterOf returns a client with a connection of its own.
func meterOf(c *client) *meter {
	m := &meter{client: &client{t: c.t, base: c.base, token: c.token}}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return countedConn{conn, &m.bytes}, err
	}
	transport := &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 1}
	c.t.Cleanup(transport.CloseIdleConnections)
	m.via = &http.Client{Timeout: patience, Transport: recording(transport)}
	return m
}

// countedConn is a connection whose bytes are counted, both ways.
type countedConn struct {
	net.Conn

	bytes *atomic.Int64
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.bytes.Add(int64(n))
	return n, err
}

func (c countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.bytes.Add(int64(n))
	return n, err
}

func (m *meter) fetch(path string, headers ...string) *response {
	m.t.Helper()
	m.requests++
	return m.get(path, headers...)
}

// figures returns how much there was since the last call.
func (m *meter) figures() (requests int, bytes int64) {
	requests, m.requests = m.requests, 0
	return requests, m.bytes.Swap(0)
}

// coldModules is how many modules the path of the measurement has.
const coldModules = 40

// publishStarterPath publishes a path of modules that the starter catalog has, and returns them.
func publishStarterPath(t *testing.T, author *client, path string) []string {
	t.Helper()
	all := map[string]bool{}
	for _, p := range []string{"clinical-ai-engineer", "medical-ai-researcher", "healthcare-nlp-engineer", "healthcare-ai-product-manager"} {
		for _, ms := range author.get("/v1/paths/" + p).want(http.StatusOK).list("version.milestones") {
			for i := 0; dig(ms, fmt.Sprintf("groups.%d", i)) != nil; i++ {
				ids, _ := dig(ms, fmt.Sprintf("groups.%d.moduleIds", i)).([]any)
				for _, id := range ids {
					all[plain(id)] = true
				}
			}
		}
	}
	ids := slices.Sorted(maps.Keys(all))
	if len(ids) < coldModules {
		t.Fatalf("the starter catalog's paths have %d modules", len(ids))
	}
	ids = ids[:coldModules]
	var milestones []any
	for i, part := range slices.Collect(slices.Chunk(ids, 10)) {
		milestones = append(milestones, map[string]any{
			"id": fmt.Sprintf("stage-%d", i+1), "title": fmt.Sprintf("Stage %d", i+1), "summary": "Ten modules.", "groups": []any{map[string]any{"moduleIds": part}},
		})
	}
	author.post("/v1/paths?pathId="+path, map[string]any{"title": "Forty modules", "summary": "A long way.", "milestones": milestones}).want(http.StatusCreated)
	author.post("/v1/paths/"+path+":publish", map[string]any{}).want(http.StatusOK)
	return ids
}

// testColdStart measures what an app fetches: to begin with, after an event, and when it is started again. The
// figures are those of docs/api.md.
func testColdStart(t *testing.T, w *world) {
	me := w.as(t, "cold")
	const path = "forty-modules"
	ids := publishStarterPath(t, w.as(t, "author", "author"), path)
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": path}).want(http.StatusCreated)
	units := map[string][]string{}
	for i, id := range ids[:12] { // eight are done, four begun
		for k, u := range me.get("/v1/modules/" + id).want(http.StatusOK).list("version.units") {
			units[id] = append(units[id], plain(dig(u, "id")))
			if i < 8 || k == 0 {
				verb := "COMPLETED"
				if dig(u, "kind") == "QUIZ" {
					verb = "PASSED"
				}
				me.record(event(id, plain(dig(u, "id")), verb, "score", 0.95)).has("results.0.status", "ACCEPTED")
			}
		}
	}
	oneByOne(t, meterOf(me), path, ids)

	phone, docs := meterOf(me), repoFile(t, "docs/api.md")
	overview := phone.fetch("/v1/learners/me/progress").want(http.StatusOK)
	shown := phone.fetch("/v1/learners/me/paths/" + path + "/progress").want(http.StatusOK)
	content := phone.fetch("/v1/learners/me/paths/" + path + "/content").want(http.StatusOK)
	list := "/v1/learners/me/modules/progress?pageSize=200&path=" + path
	modules := phone.fetch(list).want(http.StatusOK).has("nextPageToken", "")
	wantFigures(t, phone, docs, "The first start", 4, 30_000)
	if len(content.list("modules")) != coldModules || len(modules.list("modules")) != coldModules {
		t.Errorf("%d contents, progress of %d modules", len(content.list("modules")), len(modules.list("modules")))
	}

	one, other := "/v1/learners/me/modules/"+ids[9]+"/progress", "/v1/learners/me/modules/"+ids[10]+"/progress"
	had := me.get(one).want(http.StatusOK).header.Get("ETag")
	kept := me.get(other).want(http.StatusOK).header.Get("ETag")
	next := event(ids[9], units[ids[9]][1], "COMPLETED")
	phone.requests++
	recorded := phone.post("/v1/learners/me/events:batch", map[string]any{"events": []any{next}, "include": "PROGRESS"}).want(http.StatusOK)
	recorded.has("results.0.status", "ACCEPTED", "logId", modules.text("logId"))
	wantFigures(t, phone, docs, "An event", 1, 2_000)
	wantCurrent(t, me, path, shown, recorded)
	me.get(one, "If-None-Match", had).want(http.StatusOK).has("asOfSequence", "<none>")
	for _, a := range []*response{me.get(one), me.get(other, "If-None-Match", kept).want(http.StatusNotModified)} {
		if got := a.header.Get(asOfHeader); got != recorded.text("asOfSequence") {
			t.Errorf("%s is as of %s, want %s", a.what, got, recorded.text("asOfSequence"))
		}
	}

	for _, a := range []*response{overview, shown, content} {
		target := a.what[len("GET "):]
		want := http.StatusOK
		if a == content {
			want = http.StatusNotModified
		}
		phone.fetch(target, "If-None-Match", a.header.Get("ETag")).want(want)
	}
	phone.fetch(list+"&changedAfterSequence="+modules.text("asOfSequence")).want(http.StatusOK).has("modules.0.moduleId", ids[9], "modules.1", "<none>")
	wantFigures(t, phone, docs, "A later start, after an event", 4, 10_000)
}

// oneByOne asks as an app had to that knew of no list, and logs what that takes.
func oneByOne(t *testing.T, phone *meter, path string, ids []string) {
	t.Helper()
	for _, what := range []string{
		"/v1/learners/me", "/v1/learners/me/enrollments", "/v1/learners/me/progress", "/v1/paths/" + path, "/v1/learners/me/paths/" + path + "/progress",
	} {
		phone.fetch(what).want(http.StatusOK)
	}
	for _, id := range ids {
		phone.fetch("/v1/modules/" + id).want(http.StatusOK)
		phone.fetch("/v1/learners/me/modules/" + id + "/progress").want(http.StatusOK)
	}
	requests, bytes := phone.figures()
	t.Logf("one by one: %d requests, %d bytes", requests, bytes)
}

// wantFigures holds what was fetched against a bound, and against the row that docs/api.md has of it.
func wantFigures(t *testing.T, phone *meter, docs, what string, requests int, bytes int64) {
	t.Helper()
	n, size := phone.figures()
	t.Logf("%s: %d requests, %d bytes", what, n, size)
	if n > requests || size > bytes {
		t.Errorf("%s: %d requests and %d bytes are more than %d and %d", what, n, size, requests, bytes)
	}
	row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(what) + ` \|.*\| (\d+) \| ([\d.]+) KB \|$`).FindStringSubmatch(docs)
	if row == nil {
		t.Errorf("docs/api.md has no row for %q", what)
		return
	}
	said, err := strconv.ParseFloat(row[2], 64)
	if is := float64(size) / 1000; err != nil || row[1] != strconv.Itoa(n) || is < said*0.9 || is > said*1.1 {
		t.Errorf("%s: docs/api.md says %s requests and %s KB, and it is %d and %.1f", what, row[1], row[2], n, is)
	}
}

// wantCurrent checks that what an app shows of the path, brought up to date by the answer to a batch, is what the
// server shows now.
func wantCurrent(t *testing.T, me *client, path string, shown, recorded *response) {
	t.Helper()
	now := me.get("/v1/learners/me/paths/" + path + "/progress").want(http.StatusOK)
	is, app := standings(now), standings(shown)
	for _, m := range recorded.list("progress.modules") {
		app[plain(dig(m, "moduleId"))] = fmt.Sprint(dig(m, "state"), dig(m, "percent"))
	}
	if !maps.Equal(is, app) {
		t.Errorf("the app shows\n%v\nand the server\n%v", app, is)
	}
	recorded.has("progress.paths.0.pathId", path, "progress.paths.0.state", now.get("state"), "progress.paths.0.percent", now.get("percent"),
		"progress.paths.0.completedCount", now.get("completedCount"), "asOfSequence", now.get("asOfSequence"))
}

// standings are state and percent of a path's modules.
func standings(a *response) map[string]string {
	out := map[string]string{}
	for _, ms := range a.list("milestones") {
		modules, _ := dig(ms, "modules").([]any)
		for _, m := range modules {
			out[plain(dig(m, "moduleId"))] = fmt.Sprint(dig(m, "state"), dig(m, "percent"))
		}
	}
	return out
}
