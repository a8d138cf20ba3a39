package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func testConditional(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "etag")
	me := w.as(t, "etag-learner")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	at := "/v1/learners/me/paths/" + c.path + "/progress"
	etag := me.unchanged(at)
	me.record(c.basicsDone()...)
	me.get(at, "If-None-Match", etag).want(http.StatusOK).has("percent", 50)
	for _, path := range []string{"/v1/modules/" + c.basics, "/v1/modules", "/v1/learners/me", "/v1/topics"} {
		me.unchanged(path)
	}
}

// unchanged reads twice, and wants to hear that nothing changed. Other tests publish in the
// meantime, which does change something, so it may take more than one go.
func (c *client) unchanged(path string) (etag string) {
	c.t.Helper()
	eventually(c.t, path+" is unchanged", func() bool {
		etag = c.get(path).want(http.StatusOK).header.Get("ETag")
		if etag == "" {
			c.t.Fatalf("%s has no ETag", path)
		}
		again := c.get(path, "If-None-Match", etag)
		if again.status == http.StatusNotModified && (len(again.body) > 0 || again.header.Get("ETag") != etag) {
			c.t.Errorf("304 with %q and ETag %s, not %s", again.body, again.header.Get("ETag"), etag)
		}
		return again.status == http.StatusNotModified
	})
	return etag
}

func testProblems(t *testing.T, w *world) {
	me := w.as(t, "problems-learner")
	me.get("/v1/nothing").problem(http.StatusNotFound, "ROUTE_NOT_FOUND")
	me.get("/v1/modules/no-such-module").problem(http.StatusNotFound, "MODULE_NOT_FOUND").golden("problem_404")
	wrong := me.do(http.MethodDelete, "/v1/modules", nil).problem(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED")
	if allow := wrong.header.Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "POST") {
		t.Errorf("Allow is %q", allow)
	}
	given := me.get("/v1/modules/none", "X-Request-Id", "my-request").want(http.StatusNotFound)
	given.has("requestId", "my-request")
	me.get("/v1/modules?pageSize=1&pageToken=nonsense").problem(http.StatusBadRequest, "BAD_PAGE_TOKEN")
	me.get("/v1/modules?state=ASLEEP").problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("state", "UNKNOWN_VALUE")
	me.get("/v1/modules?q=a%00b").problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("q", "NUL_CHARACTER")
	me.get("/v1/modules?q=%ff").problem(http.StatusBadRequest, "INVALID_ARGUMENT").violates("q", "INVALID_UTF8")
	me.get("/v1/modules?state=DRAFT").problem(http.StatusForbidden, "ROLE_REQUIRED")
}

// testBodies sends what no client should.
func testBodies(t *testing.T, w *world) {
	author := w.as(t, "author", "author")
	const at = "/v1/modules?moduleId=bodies"
	for name, body := range map[string]string{
		"truncated":      `{"title":"x","units":[{"id":`,
		"trailing":       `{"title":"x"} {}`,
		"wrong type":     `{"title":7}`,
		"unknown field":  `{"title":"x","colour":"blue"}`,
		"unknown enum":   `{"title":"x","units":[{"id":"a","title":"A","kind":"DANCE"}]}`,
		"NaN":            `{"title":"x","units":[{"id":"a","title":"A","kind":"QUIZ","masteryScore":"NaN"}]}`,
		"bare NaN":       `{"title":"x","units":[{"id":"a","title":"A","masteryScore":NaN}]}`,
		"NUL":            `{"title":"a\u0000b"}`,
		"invalid UTF-8":  "{\"title\":\"\xff\"}",
		"lone surrogate": `{"title":"\ud800"}`,
		"deep":           strings.Repeat(`{"units":[`, 20000),
		"twice":          `{"title":"x","title":"y"}`,
		"array":          `[]`,
		"number":         `7`,
	} {
		a := author.post(at, body).want(http.StatusBadRequest)
		if a.get("reason") != "INVALID_ARGUMENT" || len(a.list("violations")) == 0 {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	author.get("/v1/modules/bodies").want(http.StatusNotFound)
	author.post(at, `{"summary":"`+strings.Repeat("x", 1<<20)+`"}`).problem(http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE")
	huge := `{"files":[{"name":"a.yaml","content":"` + strings.Repeat("x", 16<<20) + `"}]}`
	author.post("/v1/catalog:import", huge).problem(http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE")
	author.patch("/v1/modules/bodies", `{"title":"x"`).want(http.StatusBadRequest)
}

// testRoles checks some of what cmd/preceptor/server checks of every RPC, over HTTP.
func testRoles(t *testing.T, w *world) {
	id := w.as(t, "roles-learner").id()
	everybody := []string{"", "learner", "manager", "author", "admin"}
	for _, c := range []struct {
		method, path string
		body         any
		allowed      []string
	}{
		{"GET", "/v1/modules", nil, []string{"learner", "manager", "author", "admin"}},
		{"GET", "/v1/topics", nil, []string{"learner", "manager", "author", "admin"}},
		{"POST", "/v1/modules/no-such:preview", map[string]any{}, []string{"author", "admin"}},
		{"POST", "/v1/catalog:import", map[string]any{}, []string{"author", "admin"}},
		{"GET", "/v1/catalog:export", nil, []string{"author", "admin"}},
		{"GET", "/v1/catalog/changes", nil, []string{"learner", "manager", "author", "admin"}},
		{"GET", "/v1/learners", nil, []string{"admin"}},
		{"GET", "/v1/learners/" + id, nil, []string{"admin"}},
		{"GET", "/v1/learners/" + id + "/progress", nil, []string{"admin"}},
		{"GET", "/v1/learners/" + id + "/events", nil, []string{"admin"}},
		{"GET", "/v1/learners/me/progress", nil, []string{"learner", "manager", "author", "admin"}},
	} {
		for _, role := range everybody {
			caller := &client{t: t, base: w.base}
			if role != "" {
				caller = w.as(t, "roles-"+role+"-caller", role)
			}
			a := caller.do(c.method, c.path, c.body)
			refused := a.status == http.StatusForbidden || a.status == http.StatusUnauthorized
			if allowed := strings.Contains(strings.Join(c.allowed, " "), role) && role != ""; allowed == refused {
				t.Errorf("%s %s as %q: status %d", c.method, c.path, role, a.status)
			}
			if role == "" && a.status != http.StatusUnauthorized {
				t.Errorf("%s %s without a token: status %d", c.method, c.path, a.status)
			}
		}
	}
}

// testPages walks all modules in pages, and finds each once.
func testPages(t *testing.T, w *world) {
	author, me := w.as(t, "author", "author"), w.as(t, "pages-learner")
	for i := range 5 {
		id := fmt.Sprintf("paged-%d", i)
		content := basicsContent("Paged")
		content["topic"] = "paging"
		author.post("/v1/modules?moduleId="+id, content).want(http.StatusCreated)
		author.post("/v1/modules/"+id+":publish", map[string]any{}).want(http.StatusOK)
	}
	var ids []string
	token := ""
	for range 10 {
		a := me.get("/v1/modules?topic=paging&pageSize=2&includeTotal=true&pageToken="+token).want(http.StatusOK).has("totalSize", 5)
		for _, m := range a.list("modules") {
			ids = append(ids, plain(dig(m, "id")))
		}
		if token = a.text("nextPageToken"); token == "" {
			break
		}
	}
	if got := strings.Join(ids, " "); got != "paged-0 paged-1 paged-2 paged-3 paged-4" {
		t.Errorf("pages hold %s", got)
	}
}

func testSite(t *testing.T, w *world) {
	anyone := &client{t: t, base: w.base}
	api := anyone.get("/openapi.json").want(http.StatusOK)
	if v := api.text("openapi"); !strings.HasPrefix(v, "3.") {
		t.Errorf("OpenAPI %s", v)
	}
	for _, path := range []string{"/v1/modules", "/v1/learners/{learner}/events:batch", "/v1/learners/{learner}/progress:watch"} {
		if paths, ok := api.get("paths").(map[string]any); !ok || paths[path] == nil {
			t.Errorf("openapi.json has no %s", path)
		}
	}
	docs := anyone.get("/docs").want(http.StatusOK)
	if !strings.HasPrefix(docs.header.Get("Content-Type"), "text/html") {
		t.Errorf("the docs are %s", docs.header.Get("Content-Type"))
	}
	if strings.Contains(string(docs.body), "https://cdn") || docs.header.Get("Content-Security-Policy") == "" {
		t.Error("the docs page loads from elsewhere, or could")
	}
	anyone.get("/").want(http.StatusFound)
	anyone.get("/healthz").want(http.StatusOK).has("status", "alive")
	if page := anyone.get("/readyz", "X-Forwarded-For", "192.0.2.1").want(http.StatusOK); string(page.body) != `{"status":"ready"}` {
		t.Errorf("anybody may read %s", page.body)
	}
}

func testWire(t *testing.T, w *world) {
	me := w.as(t, "wire-learner")
	zipped := me.get("/v1/modules?pageSize=50", "Accept-Encoding", "gzip").want(http.StatusOK)
	if zipped.header.Get("Content-Encoding") != "gzip" {
		t.Fatal("the response is not compressed")
	}
	reader, err := gzip.NewReader(bytes.NewReader(zipped.body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(reader)
	if err != nil || !json.Valid(text) {
		t.Errorf("the compressed response is not JSON: %v", err)
	}
	const one = "/v1/modules/hipaa-foundations" // which no test changes
	zipped = me.get(one, "Accept-Encoding", "gzip").want(http.StatusOK)
	me.get(one, "Accept-Encoding", "gzip", "If-None-Match", zipped.header.Get("ETag")).want(http.StatusNotModified)
	whole, head := me.get(one).want(http.StatusOK), me.do(http.MethodHead, one, nil).want(http.StatusOK)
	if len(head.body) > 0 || head.header.Get("Content-Length") != fmt.Sprint(len(whole.body)) || head.header.Get("ETag") != whole.header.Get("ETag") {
		t.Errorf("HEAD sends %d bytes and the header %v; GET %v", len(head.body), head.header, whole.header)
	}

	// A body that ends before its Content-Length says so.
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/learners/me/events:batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Content-Length: 100\r\nConnection: close\r\n\r\n{\"events\":[", me.token)
	half, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("a connection of type %T", conn)
	}
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if reply, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(reply), "HTTP/1.1 400 ") {
		t.Errorf("a body that was cut off is answered %q, %v", reply, err)
	}
}

func testCORS(t *testing.T, w *world) {
	me := w.as(t, "cors-learner")
	const ours = "https://learn.example.org"
	anyone := &client{t: t, base: w.base}
	pre := anyone.do(http.MethodOptions, "/v1/learners/me/events:batch", nil, "Origin", ours, "Access-Control-Request-Method", "POST").
		want(http.StatusNoContent)
	if pre.header.Get("Access-Control-Allow-Origin") != ours || !strings.Contains(pre.header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("the preflight response has %v", pre.header)
	}
	if got := me.get("/v1/learners/me", "Origin", ours).want(http.StatusOK).header.Get("Access-Control-Allow-Origin"); got != ours {
		t.Errorf("allowed origin %q", got)
	}
	if got := me.get("/v1/learners/me", "Origin", "https://evil.example.org").want(http.StatusOK).header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("a foreign origin gets %q", got)
	}
}
