package gateway_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/gateway"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func TestConditionalGet(t *testing.T) {
	h := open(t)
	module := &catalogv1.GetModuleResponse{Module: &catalogv1.Module{Id: "hipaa", Etag: "e1"}}
	const path = "/v1/modules/hipaa"
	for _, given := range []string{`"e1"`, ""} {
		if given == "" {
			h.responds(getModule, module)
		} else {
			h.responds(getModule, module, "etag", given)
		}
		a := h.get(t, path)
		tag := a.header.Get("ETag")
		if len(tag) < 4 || tag[0] != '"' || given != "" && tag != given || a.header.Get("Cache-Control") != "private, no-cache" {
			t.Fatalf("%v", a.header)
		}
		for _, known := range []string{tag, "W/" + tag, `"x", ` + tag, `"x",W/` + tag + ` , "y"`, "*"} {
			again := h.get(t, path, "If-None-Match", known)
			if again.status != 304 || again.body != "" || again.header.Get("ETag") == "" ||
				again.header.Get("Content-Type") != "" || again.header.Get("Content-Length") != "" {
				t.Errorf("%s: %+v", known, again)
			}
		}
		for _, known := range []string{`"x"`, "", `""`, "garbage", strings.Trim(tag, `"`) + "x", `,,`} {
			if again := h.get(t, path, "If-None-Match", known); again.status != 200 || again.header.Get("ETag") != tag {
				t.Errorf("%s: %+v", known, again)
			}
		}
	}
	// Another body has another ETag; an error and a POST have none.
	before := h.get(t, path).header.Get("ETag")
	module.Module.Topic = "privacy"
	if after := h.get(t, path).header.Get("ETag"); after == before {
		t.Error("the ETag stayed")
	}
	h.fails(getModule, fault(codes.NotFound, "NO_SUCH_MODULE", "none"))
	if a := h.get(t, path, "If-None-Match", "*"); a.status != 404 || a.header.Get("ETag") != "" {
		t.Errorf("%+v", a)
	}
	if a := h.do(t, "POST", path+":archive", "{}"); a.status != 200 || a.header.Get("ETag") != "" {
		t.Errorf("%+v", a)
	}
}

func TestCompression(t *testing.T) {
	h := open(t)
	module := &catalogv1.GetModuleResponse{Module: &catalogv1.Module{Id: "hipaa", Topic: strings.Repeat("privacy ", 500)}}
	h.responds(getModule, module, "etag", `"e1"`)
	const path = "/v1/modules/hipaa"
	plain := h.get(t, path)
	a := h.get(t, path, "Accept-Encoding", "gzip")
	if a.header.Get("Content-Encoding") != "gzip" || a.header.Get("ETag") != `"e1-gzip"` || !slices.Contains(a.header.Values("Vary"), "Accept-Encoding") {
		t.Fatalf("%v", a.header)
	}
	unzip, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unzip)
	if err != nil || string(text) != plain.body {
		t.Errorf("%s, %v", text, err)
	}
	if !slices.Contains(plain.header.Values("Vary"), "Accept-Encoding") || plain.header.Get("ETag") != `"e1"` {
		t.Errorf("%v", plain.header)
	}
	again := h.get(t, path, "Accept-Encoding", "gzip", "If-None-Match", a.header.Get("ETag"))
	if again.status != 304 || again.header.Get("ETag") != `"e1-gzip"` || again.body != "" {
		t.Errorf("%+v", again)
	}
	head := h.do(t, http.MethodHead, path, "", "Accept-Encoding", "gzip")
	if head.header.Get("ETag") != `"e1-gzip"` || head.header.Get("Content-Encoding") != "gzip" || head.body != "" {
		t.Errorf("%+v", head)
	}
	module.Module.Topic = "short"
	if a := h.get(t, path, "Accept-Encoding", "gzip"); a.header.Get("Content-Encoding") != "" || a.header.Get("ETag") != `"e1"` {
		t.Errorf("%v", a.header)
	}
}

func TestBodyLimits(t *testing.T) {
	h := open(t)
	body := func(size int) string { return `{"title":"` + strings.Repeat("x", size-12) + `"}` }
	const path = "/v1/modules?moduleId=a"
	if a := h.do(t, "POST", path, body(1<<20)); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	h.do(t, "POST", path, body(1<<20+1)).wantProblem(t, 413, "BODY_TOO_LARGE")
	h.do(t, "PATCH", "/v1/modules/a", body(1<<20+1)).wantProblem(t, 413, "BODY_TOO_LARGE")
	h.do(t, "POST", eventsPath, strings.Repeat(" ", 1<<20+1)).wantProblem(t, 413, "BODY_TOO_LARGE")
	if a := h.do(t, "POST", importPath, strings.Repeat("#", 16<<20), "Content-Type", "application/yaml"); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	h.do(t, "POST", importPath, strings.Repeat("#", 16<<20+1), "Content-Type", "application/yaml").wantProblem(t, 413, "BODY_TOO_LARGE")
	if h.count() != 2 {
		t.Errorf("%d calls", h.count())
	}
}

// raw sends bytes as they are and reads the response.
func (h *harness) raw(t *testing.T, text string, half bool) response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && half {
		_ = tcp.CloseWrite()
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := readAll(res)
	if err != nil {
		t.Fatal(err)
	}
	return response{res.StatusCode, res.Header, body}
}

func TestBodiesWithoutALength(t *testing.T) {
	h := open(t)
	const head = "POST /v1/modules?moduleId=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<16, strings.Repeat(" ", 1<<16))
	h.raw(t, head+strings.Repeat(chunk, 17)+"0\r\n\r\n", false).wantProblem(t, 413, "BODY_TOO_LARGE")
	h.raw(t, head+"5\r\n{\"tit", true).wantProblem(t, 400, "BODY_INCOMPLETE")
	if a := h.raw(t, head+"d\r\n{\"title\":\"x\"}\r\n0\r\n\r\n", false); a.status != 200 {
		t.Errorf("%+v", a)
	}
	h.do(t, "GET", "/v1/topics", strings.Repeat("x", 100<<10)).wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, "body UNKNOWN_FIELD")
}

const archiveModule = catalogv1.CatalogService_ArchiveModule_FullMethodName

func TestCreatedStatusAndHeaders(t *testing.T) {
	h := open(t)
	h.responds(catalogv1.CatalogService_CreateModule_FullMethodName,
		&catalogv1.CreateModuleResponse{Module: &catalogv1.Module{Id: "a", State: catalogv1.Module_DRAFT}},
		"http-status", "201", "location", "/v1/modules/a", "etag", `"e1"`, "secret", "inside", "preceptor-catalog-revision", "12")
	a := h.do(t, "POST", "/v1/modules?moduleId=a", `{"title":"x"}`, "Idempotency-Key", "k-1", "Grpc-Metadata-Admin", "yes", "TE", "trailers")
	a.wantJSON(t, 201, `{"id":"a","topic":"","state":"DRAFT","latestVersion":0,"etag":""}`)
	for name, want := range map[string]string{
		"Location": "/v1/modules/a", "Etag": `"e1"`, "Secret": "", "Grpc-Metadata-Secret": "",
		"Http-Status": "", "Preceptor-Catalog-Revision": "12", "X-Content-Type-Options": "nosniff",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := h.last(t).md; !slices.Equal(got.Get("idempotency-key"), []string{"k-1"}) || got.Get("admin") != nil {
		t.Errorf("%v", got)
	}
	for _, odd := range []string{"500", "199", "x", "99999"} {
		h.responds(archiveModule, &catalogv1.ArchiveModuleResponse{}, "http-status", odd)
		if a := h.do(t, "POST", "/v1/modules/a:archive", "{}"); a.status != 200 {
			t.Errorf("%s: %d", odd, a.status)
		}
	}
	h.responds(archiveModule, &catalogv1.ArchiveModuleResponse{}, "http-status", "204")
	if a := h.do(t, "POST", "/v1/modules/a:archive", "{}"); a.status != 204 || a.body != "" || a.header.Get("Content-Type") != "" {
		t.Errorf("%+v", a)
	}
}

func TestProgressHearsOfTheNewestCatalog(t *testing.T) {
	h := open(t)
	const key = "preceptor-min-catalog-revision"
	revision := func(r string) {
		h.responds(catalogv1.CatalogService_PublishModule_FullMethodName, &catalogv1.PublishModuleResponse{}, "preceptor-catalog-revision", r)
		h.do(t, "POST", "/v1/modules/a:publish", "{}")
	}
	h.get(t, "/v1/learners/me/progress")
	if got := h.last(t).md.Get(key); got != nil {
		t.Errorf("%v", got)
	}
	for _, r := range []string{"7", "5", "x", "-1"} {
		revision(r)
	}
	h.get(t, "/v1/learners/me/progress")
	if got := h.last(t).md.Get(key); !slices.Equal(got, []string{"7"}) {
		t.Errorf("%v", got)
	}
	h.get(t, "/v1/topics")
	if got := h.last(t).md.Get(key); got != nil {
		t.Errorf("catalog got %v", got)
	}
	h.responds(importRPC, &catalogv1.ImportCatalogResponse{}, "preceptor-catalog-revision", "8")
	h.do(t, "POST", importPath, "a: 1")
	h.records()
	h.do(t, "POST", eventsPath, "{}")
	if got := h.last(t).md.Get(key); !slices.Equal(got, []string{"8"}) {
		t.Errorf("%v", got)
	}
	h.get(t, watchPath, "Accept", "application/json")
	if got := h.last(t).md.Get(key); !slices.Equal(got, []string{"9"}) { // the response of records has 9
		t.Errorf("%v", got)
	}
}

func TestProgressHearsOfTheNewestProfile(t *testing.T) {
	h := open(t)
	const update, create = profilev1.ProfileService_UpdateLearner_FullMethodName, profilev1.ProfileService_CreateLearner_FullMethodName
	reached := func(want ...string) {
		t.Helper()
		h.get(t, "/v1/learners/me/progress")
		if got := h.last(t).md.Get("preceptor-min-profile-revision"); !slices.Equal(got, want) {
			t.Errorf("progress got %v, want %v", got, want)
		}
		if got := h.last(t).md.Get("preceptor-min-catalog-revision"); got != nil {
			t.Errorf("progress got, of catalog, %v", got)
		}
	}
	reached()
	for _, r := range []string{"7", "5", "x", "-1"} {
		h.responds(update, &profilev1.UpdateLearnerResponse{}, "preceptor-profile-revision", r)
		if a := h.do(t, "PATCH", "/v1/learners/me", "{}"); a.header.Get("Preceptor-Profile-Revision") != r {
			t.Errorf("the client sees %v, want %s", a.header, r)
		}
	}
	reached("7")
	h.responds(create, &profilev1.CreateLearnerResponse{}, "preceptor-profile-revision", "8")
	h.do(t, "POST", "/v1/learners", "{}")
	if got := h.last(t).md.Get("preceptor-min-profile-revision"); got != nil {
		t.Errorf("profile got %v", got)
	}
	reached("8")
}

func TestIfMatchIsThePrecondition(t *testing.T) {
	h := open(t)
	etag := func() string {
		m := h.last(t).req.ProtoReflect()
		return m.Get(m.Descriptor().Fields().ByName("etag")).String()
	}
	for header, want := range map[string]string{`"e1"`: "e1", `W/"e1"`: "e1", `"e1-gzip"`: "e1", "e1": "e1", "*": "", `"e1", "e2"`: `"e1", "e2"`} {
		h.do(t, "PATCH", "/v1/modules/a", `{"title":"x"}`, "If-Match", header)
		if got := etag(); got != want {
			t.Errorf("PATCH with %s: %q", header, got)
		}
		h.do(t, "POST", "/v1/modules/a:publish", `{}`, "If-Match", header)
		if got := etag(); got != want {
			t.Errorf(":publish with %s: %q", header, got)
		}
		if got := h.last(t).md.Get("if-match"); !slices.Equal(got, []string{header}) {
			t.Errorf("%v", got)
		}
	}
	h.do(t, "PATCH", "/v1/learners/me?etag=e9", `{"displayName":"x"}`)
	if got := etag(); got != "e9" {
		t.Errorf("%q", got)
	}
	for _, path := range []string{"/v1/learners/me", "/v1/modules/a:publish"} {
		method := map[bool]string{true: "POST", false: "PATCH"}[strings.Contains(path, ":")]
		h.do(t, method, path+"?etag=e9", `{}`, "If-Match", `"e9"`)
		if got := etag(); got != "e9" {
			t.Errorf("%s: %q", path, got)
		}
		h.do(t, method, path+"?etag=e", `{}`, "If-Match", `"f"`).wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, "If-Match ETAGS_DIFFER")
	}
	h.do(t, "POST", "/v1/modules/a:publish?etag=e9", `{"etag":"e8"}`).wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, "etag ETAGS_DIFFER")
	h.do(t, "POST", "/v1/modules/a:publish", `{"etag":"e1"}`, "If-Match", `"e1"`)
	if got := etag(); got != "e1" {
		t.Errorf("%q", got)
	}
	p := h.do(t, "POST", "/v1/modules/a:publish", `{"etag":"e1"}`, "If-Match", `"e2"`).wantProblem(t, 400, "INVALID_ARGUMENT")
	if f := p.fields(); len(f) != 1 || f[0] != "If-Match" {
		t.Errorf("%v", f)
	}
	h.do(t, "POST", eventsPath, `{"events":[]}`, "If-Match", `"e2"`).wantProblem(t, 400, "INVALID_ARGUMENT").
		violates(t, "If-Match UNKNOWN_FIELD")
	h.get(t, "/v1/modules/a", "If-Match", `"e2"`).wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, "If-Match UNKNOWN_FIELD")
	for _, none := range []string{"", "\"\u00fc\""} {
		h.do(t, "PATCH", "/v1/modules/a", `{"title":"x"}`, "If-Match", none).wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, "If-Match MALFORMED")
	}
	h.do(t, "PATCH", "/v1/learners/me", `{"etag":"e1","locale":"de"}`, "If-Match", `"e2"`).wantProblem(t, 400, "INVALID_ARGUMENT").
		violates(t, "If-Match ETAGS_DIFFER")
	h.get(t, "/v1/topics", "Authorization", "Bearer \u00e9").wantProblem(t, 401, "TOKEN_INVALID")
}

func TestRequestIDs(t *testing.T) {
	h := open(t)
	for id, fit := range map[string]bool{
		"abc-123": true, "a/b+c=": true, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false, "a b": false, "": false, "a\tb": false,
	} {
		a := h.get(t, "/v1/topics", "X-Request-Id", id)
		got := a.header.Get("X-Request-ID")
		if (got == id) != fit || got == "" {
			t.Errorf("%q: %q", id, got)
		}
		if !fit && len(got) != 36 {
			t.Errorf("%q is no UUID", got)
		}
		if sent := h.last(t).md.Get("x-request-id"); !slices.Equal(sent, []string{got}) {
			t.Errorf("%q went on", sent)
		}
	}
	if a := h.get(t, "/healthz"); a.header.Get("X-Request-ID") == "" {
		t.Error("no id")
	}
}

func TestAccessLog(t *testing.T) {
	h := open(t)
	h.fails(getModule, fault(codes.NotFound, "NO_SUCH_MODULE", "none"))
	h.get(t, "/v1/modules/hipaa", "X-Request-Id", "r-1")
	h.get(t, "/healthz")
	h.get(t, "/nowhere?access_token=secret-query")
	h.get(t, "/nowhere/"+strings.Repeat("x", 1000))
	type line struct {
		Level     string   `json:"level"`
		Msg       string   `json:"msg"`
		Method    string   `json:"method"`
		Path      string   `json:"path"`
		Route     string   `json:"route"`
		Status    int      `json:"status"`
		Bytes     int      `json:"bytes"`
		Duration  *float64 `json:"duration_ms"` //nolint:tagliatelle // as the log spells it
		RequestID string   `json:"request_id"`  //nolint:tagliatelle // as the log spells it
	}
	var lines []line
	for text := range strings.Lines(h.log.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if l.Msg == "request" {
			lines = append(lines, l)
		}
	}
	if len(lines) != 4 {
		t.Fatalf("%+v", lines)
	}
	if l := lines[0]; l.Level != "INFO" || l.Method != http.MethodGet || l.Route != "/v1/modules/{module_id}" || l.Path != "/v1/modules/hipaa" ||
		l.Status != 404 || l.Bytes < 50 || l.Duration == nil || l.RequestID != "r-1" {
		t.Errorf("%+v", l)
	}
	if lines[1].Level != "DEBUG" || len(lines[3].Path) > 300 {
		t.Errorf("%+v", lines[1:])
	}
	if strings.Contains(h.log.String(), "secret") {
		t.Error("the log holds a secret")
	}
}

func TestCORS(t *testing.T) {
	ask := []string{"Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "authorization"}
	closed := open(t)
	a := closed.do(t, "OPTIONS", "/v1/modules/a", "", append(ask, "Origin", "https://a.example")...)
	a.wantProblem(t, 405, "METHOD_NOT_ALLOWED")
	if a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("open by default")
	}
	listed := open(t, func(c *gateway.Config) { c.AllowedOrigins = []string{"https://a.example/", "https://b.example"} })
	a = listed.do(t, "OPTIONS", "/v1/modules/a", "", append(ask, "Origin", "https://a.example")...)
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "https://a.example" || a.header.Get("Vary") != "Origin" ||
		!strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "PATCH") || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("%+v", a)
	}
	a = listed.get(t, "/v1/topics", "Origin", "https://b.example")
	if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "https://b.example" ||
		!strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "ETag") ||
		!strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "Preceptor-As-Of-Sequence") {
		t.Errorf("%+v", a)
	}
	for _, origin := range []string{"https://a.example.evil.org", "http://a.example", "null", ""} {
		a := listed.get(t, "/v1/topics", "Origin", origin)
		if a.header.Get("Access-Control-Allow-Origin") != "" || !slices.Contains(a.header.Values("Vary"), "Origin") {
			t.Errorf("%q: %v", origin, a.header)
		}
	}
	all := open(t, func(c *gateway.Config) { c.AllowedOrigins = []string{"*"} })
	a = all.get(t, "/v1/topics", "Origin", "https://x.example")
	if a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%v", a.header)
	}
}

// TestHealth reads what anybody may: one word, which is found out once a second at most, and at once when
// the process is about to stop.
func TestHealth(t *testing.T) {
	var at atomic.Int64
	var asked atomic.Int32
	var ready, draining atomic.Bool
	ready.Store(true)
	begun := testenv.Now()
	h := open(t, func(c *gateway.Config) {
		c.Now = func() time.Time { return begun.Add(time.Duration(at.Load())) }
		c.Ready = func(context.Context) bool { asked.Add(1); return ready.Load() }
		c.Draining = draining.Load
	})
	h.get(t, "/healthz").wantJSON(t, 200, `{"status":"alive","version":"1.2.3"}`)
	var flood sync.WaitGroup
	for range 50 {
		flood.Go(func() { h.get(t, "/readyz").wantJSON(t, 200, `{"status":"ready"}`) })
	}
	flood.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("it was found out %d times in a moment", n)
	}
	ready.Store(false)
	h.get(t, "/readyz").wantJSON(t, 200, `{"status":"ready"}`)
	at.Store(int64(time.Second))
	a := h.get(t, "/readyz")
	a.wantJSON(t, 503, `{"status":"unready"}`)
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", a.header)
	}
	if a := h.do(t, "HEAD", "/readyz", ""); a.status != 503 || a.body != "" {
		t.Errorf("%+v", a)
	}
	ready.Store(true)
	at.Store(0) // the clock is set back
	h.get(t, "/readyz").wantJSON(t, 200, `{"status":"ready"}`)
	draining.Store(true)
	h.get(t, "/readyz").wantJSON(t, 503, `{"status":"unready"}`)
	if n := asked.Load(); n != 3 {
		t.Errorf("it was found out %d times", n)
	}
	open(t).get(t, "/readyz").wantJSON(t, 200, `{"status":"ready"}`)
}

// TestHealthFromHere reads what is missing, as a program on the same machine may, and nobody through a proxy.
func TestHealthFromHere(t *testing.T) {
	h := open(t, func(c *gateway.Config) {
		c.State = func(context.Context) health.State {
			return health.State{Ready: true, Degraded: []health.Missing{{Text: "redis cannot be reached"}}}
		}
	})
	h.get(t, "/readyz").wantJSON(t, 200, `{"status":"degraded","degraded":["redis cannot be reached"]}`)
	for _, headers := range [][2]string{
		{"X-Forwarded-For", "192.0.2.1"},
		{"Forwarded", "for=192.0.2.1"},
		{"X-Real-IP", "192.0.2.1"},
		{"Via", "1.1 proxy"},
		{"X-Forwarded-Proto", "https"},
		{"X-Forwarded-Host", "learn.example"},
	} {
		h.get(t, "/readyz", headers[0], headers[1]).wantJSON(t, 200, `{"status":"ready"}`)
	}
	for host, here := range map[string]bool{"localhost:8080": true, "[::1]:8080": true, "127.0.0.1": true, "learn.example": false, "192.0.2.1:8080": false} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := h.server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := readAll(res); err != nil || strings.Contains(body, "redis") != here {
			t.Errorf("%s: %s %v", host, body, err)
		}
	}
}

func TestNewNeedsItsServices(t *testing.T) {
	if _, err := gateway.New(gateway.Config{}); err == nil {
		t.Error("made of nothing")
	}
}

// A header that says what the body does not comes with a 304, too.
func TestAsOfSequenceHeader(t *testing.T) {
	h := open(t)
	h.responds(progressv1.ProgressService_GetModuleProgress_FullMethodName,
		&progressv1.GetModuleProgressResponse{Progress: &progressv1.ModuleProgressDetail{ModuleId: "m"}}, "etag", `"e"`, "preceptor-as-of-sequence", "41")
	for etag, status := range map[string]int{`"e"`: 304, `"other"`: 200} {
		a := h.get(t, "/v1/learners/me/modules/m/progress", "If-None-Match", etag)
		if a.status != status || a.header.Get("Preceptor-As-Of-Sequence") != "41" || (a.body == "") != (status == 304) || strings.Contains(a.body, "asOf") {
			t.Errorf("%+v", a)
		}
		if got := h.last(t).md.Get(rpc.KnownKey); !slices.Contains(got, rpc.BareEtag(etag)) || len(h.last(t).md.Get("if-none-match")) > 0 {
			t.Errorf("the service gets %q", got)
		}
	}
}

func TestDefaultsAreEmitted(t *testing.T) {
	h := open(t)
	const path = "/v1/learners/me/paths/p/progress"
	respond := func(p *progressv1.PathProgress) {
		h.responds(progressv1.ProgressService_GetPathProgress_FullMethodName, &progressv1.GetPathProgressResponse{Progress: p})
	}
	respond(&progressv1.PathProgress{})
	h.get(t, path).wantJSON(t, 200, `{"pathId":"","pathVersion":0,"state":"STATE_UNSPECIFIED","completedCount":0,"requiredCount":0,`+
		`"asOfSequence":"0","milestones":[],"next":[],"title":""}`)
	respond(&progressv1.PathProgress{Percent: proto.Int32(0)})
	if a := h.get(t, path); !strings.Contains(a.body, `"percent":0,`) {
		t.Error(a.body)
	}
}

func TestRateLimitOverHTTP(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.Limiter = bounds.NewLimiter(bounds.RateLimit{PerSecond: 0.5, Burst: 3}) })
	h.responds(getModule, &catalogv1.GetModuleResponse{Module: &catalogv1.Module{Id: "hipaa"}})
	for i := range 3 {
		if a := h.get(t, "/v1/modules/hipaa"); a.status != 200 {
			t.Fatalf("request %d: %+v", i, a)
		}
	}
	a := h.get(t, "/v1/modules/hipaa")
	a.wantProblem(t, 429, "RATE_LIMITED")
	if after := a.header.Get("Retry-After"); after != "1" && after != "2" {
		t.Errorf("Retry-After: %s", after)
	}
	for _, path := range []string{"/healthz", "/readyz", "/docs"} {
		if a := h.get(t, path); a.status != 200 {
			t.Errorf("%s: %+v", path, a)
		}
	}
	if a := h.get(t, "/v1/modules/hipaa", "Authorization", "Bearer another"); a.status != 200 {
		t.Errorf("another caller: %+v", a)
	}
}
