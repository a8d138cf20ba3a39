package gateway_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/gateway"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
)

const getModule = catalogv1.CatalogService_GetModule_FullMethodName

func TestProblemOfEachKind(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		code   codes.Code
		reason string
		status int
		name   string
	}{
		{codes.InvalidArgument, "INVALID_ARGUMENT", 400, "INVALID_ARGUMENT"},
		{codes.OutOfRange, "SEQUENCE_GONE", 400, "OUT_OF_RANGE"},
		{codes.Unauthenticated, "TOKEN_MISSING", 401, "UNAUTHENTICATED"},
		{codes.PermissionDenied, "NOT_YOUR_DATA", 403, "PERMISSION_DENIED"},
		{codes.NotFound, "NO_SUCH_MODULE", 404, "NOT_FOUND"},
		{codes.AlreadyExists, "ALREADY_ENROLLED", 409, "ALREADY_EXISTS"},
		{codes.Aborted, "IDEMPOTENCY_KEY_IN_FLIGHT", 409, "ABORTED"},
		{codes.FailedPrecondition, "ETAG_MISMATCH", 412, "FAILED_PRECONDITION"},
		{codes.FailedPrecondition, "IDEMPOTENCY_KEY_REUSED", 422, "FAILED_PRECONDITION"},
		{codes.FailedPrecondition, "NOTHING_TO_PUBLISH", 400, "FAILED_PRECONDITION"},
		{codes.ResourceExhausted, "RATE_LIMITED", 429, "RESOURCE_EXHAUSTED"},
		{codes.ResourceExhausted, "QUEUE_FULL", 429, "RESOURCE_EXHAUSTED"},
		{codes.ResourceExhausted, "MESSAGE_TOO_LARGE", 413, "RESOURCE_EXHAUSTED"},
		{codes.Unimplemented, "UNIMPLEMENTED", 501, "UNIMPLEMENTED"},
		{codes.Internal, "INTERNAL", 500, "INTERNAL"},
		{codes.Unavailable, "BUSY", 503, "UNAVAILABLE"},
		{codes.DeadlineExceeded, "DEADLINE_EXCEEDED", 504, "DEADLINE_EXCEEDED"},
	} {
		h.fails(getModule, fault(c.code, c.reason, "the message of the service"))
		a := h.get(t, "/v1/modules/hipaa")
		p := a.wantProblem(t, c.status, c.reason)
		if p.Code != c.name || p.Instance != "/v1/modules/hipaa" || p.Type != "/docs#reason-"+c.reason {
			t.Errorf("%s", a.body)
		}
		if says := p.Detail == "the message of the service"; says == (c.code == codes.Internal) {
			t.Errorf("%s: detail %q", c.reason, p.Detail)
		}
		if got := a.header.Get("Retry-After"); (got == "1") != (c.status == 429 || c.status == 503) {
			t.Errorf("%s: Retry-After %q", c.reason, got)
		}
		if got := a.header.Get("WWW-Authenticate"); (got == "Bearer") != (c.status == 401) {
			t.Errorf("%s: WWW-Authenticate %q", c.reason, got)
		}
		if a.header.Get("ETag") != "" {
			t.Errorf("%s: an error has an ETag", c.reason)
		}
	}
}

func TestProblemCarriesDetails(t *testing.T) {
	h := open(t)
	h.fails(getModule, fault(codes.InvalidArgument, "INVALID_ARGUMENT", "2 fields are not valid: units[0].id, title",
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "units[0].id", Description: "must be <a slug>", Reason: "PATTERN"},
			{Field: "title", Description: "is too long", Reason: "MAX_LEN"},
		}},
		&errdetails.RequestInfo{RequestId: "the service's"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(2500 * time.Millisecond)}))
	a := h.get(t, "/v1/modules/hipaa", "X-Request-Id", "mine-1")
	p := a.wantProblem(t, 400, "INVALID_ARGUMENT")
	if p.RequestID != "mine-1" || a.header.Get("Retry-After") != "3" || p.Title != "Invalid argument" {
		t.Errorf("%s %v", a.body, a.header)
	}
	if !slices.Equal(p.fields(), []string{"units[0].id", "title"}) || p.Violations[0].Reason != "PATTERN" || p.Violations[0].Description != "must be <a slug>" {
		t.Errorf("%s", a.body)
	}
	var raw map[string]any
	if err := json.Unmarshal([]byte(a.body), &raw); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"type", "title", "status", "detail", "instance", "code", "reason", "violations", "requestId"} {
		if raw[name] == nil {
			t.Errorf("no %s in %s", name, a.body)
		}
	}
}

func TestProblemKeepsInsidesInside(t *testing.T) {
	h := open(t)
	const secret = "dial tcp 10.1.2.3:5432"
	for code, want := range map[codes.Code]int{
		codes.Unknown: 500, codes.Internal: 500, codes.DataLoss: 500, codes.Unavailable: 503,
		codes.DeadlineExceeded: 504, codes.ResourceExhausted: 413, codes.Unimplemented: 501,
	} {
		h.fails(getModule, status.Error(code, secret))
		a := h.get(t, "/v1/modules/hipaa")
		if a.status != want || strings.Contains(a.body, "10.1.2.3") {
			t.Errorf("%v: %d %s", code, a.status, a.body)
		}
	}
	if !strings.Contains(h.log.String(), secret) {
		t.Error("the log does not say what went wrong")
	}
}

func TestServiceDown(t *testing.T) {
	h := open(t)
	conn := &brokenConn{err: errors.New("a plain error: secret")}
	h2 := open(t, func(c *gateway.Config) { c.Conns["catalog"] = conn })
	p := h2.get(t, "/v1/topics").wantProblem(t, 500, "UNKNOWN")
	if strings.Contains(p.Detail, "secret") {
		t.Error(p.Detail)
	}
	conn.panics = true
	h2.get(t, "/v1/topics", "Accept-Encoding", "gzip").wantProblem(t, 500, "INTERNAL")
	p = h2.get(t, "/v1/topics").wantProblem(t, 500, "INTERNAL")
	if strings.Contains(p.Detail, "boom") || !strings.Contains(h2.log.String(), "boom") || !strings.Contains(h2.log.String(), `"status":500`) {
		t.Error(p.Detail, h2.log.String())
	}
	conn.err, conn.panics = context.DeadlineExceeded, false
	h2.get(t, "/v1/topics").wantProblem(t, 504, "DEADLINE_EXCEEDED")
	h.get(t, "/v1/topics")
}

// brokenConn fails as no service does.
type brokenConn struct {
	grpc.ClientConnInterface
	err    error
	panics bool
}

func (c *brokenConn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	if c.panics {
		panic("boom")
	}
	return c.err
}

func TestBodiesThatCannotBeRead(t *testing.T) {
	h := open(t)
	deep := strings.Repeat(`{"units":[`, 60_000)
	for name, c := range map[string]struct {
		method, path, body string
		fields             []string
		reasons            []string
	}{
		"truncated":        {"POST", "/v1/modules?moduleId=a", `{"title":"x`, []string{"body"}, []string{"INVALID_JSON"}},
		"trailing garbage": {"POST", "/v1/modules?moduleId=a", `{"title":"x"} x`, []string{"body"}, []string{"INVALID_JSON"}},
		"two values":       {"POST", "/v1/modules?moduleId=a", `{"title":"x"}{}`, []string{"body"}, []string{"INVALID_JSON"}},
		"not UTF-8":        {"POST", "/v1/modules?moduleId=a", "{\"title\":\"\xff\"}", []string{"body"}, []string{"INVALID_UTF8"}},
		"a list":           {"POST", "/v1/modules?moduleId=a", `[]`, []string{"body"}, []string{"INVALID_TYPE"}},
		"null":             {"POST", "/v1/modules?moduleId=a", `null`, []string{"body"}, []string{"INVALID_TYPE"}},
		"deep":             {"POST", "/v1/modules?moduleId=a", deep, []string{"body"}, []string{"INVALID_JSON"}},
		"unknown field":    {"POST", "/v1/modules?moduleId=a", `{"titel":"x"}`, []string{"titel"}, []string{"UNKNOWN_FIELD"}},
		"all at once": {
			"POST", "/v1/modules?moduleId=a",
			`{"title":5,"roles":"x","units":[{"id":"a"},{"weight":"heavy","kind":"GAME","nope":1}],"currencyPolicy":[],"title":"y","publishTime":"soon"}`,
			[]string{"title", "roles", "units[1].weight", "units[1].kind", "units[1].nope", "currencyPolicy", "title", "publishTime"},
			[]string{"INVALID_TYPE", "INVALID_TYPE", "INVALID_TYPE", "UNKNOWN_VALUE", "UNKNOWN_FIELD", "INVALID_TYPE", "DUPLICATE_FIELD", "MALFORMED"},
		},
		"list element": {
			"POST", "/v1/modules?moduleId=a", `{"roles":["a",7,null]}`,
			[]string{"roles[1]", "roles[2]"},
			[]string{"INVALID_TYPE", "INVALID_TYPE"},
		},
		"NUL": {
			"POST", "/v1/modules?moduleId=a", `{"summary":"a\u0000b","roles":["\u0000"]}`,
			[]string{"summary", "roles[0]"},
			[]string{"NUL_CHARACTER", "NUL_CHARACTER"},
		},
		"not a number": {
			"POST", "/v1/modules?moduleId=a", `{"units":[{"weight":"NaN"},{"masteryScore":"-Infinity"}]}`,
			[]string{"units[0].weight", "units[1].masteryScore"},
			[]string{"NOT_FINITE", "NOT_FINITE"},
		},
		"in a PATCH": {"PATCH", "/v1/modules/a", `{"titel":"x"}`, []string{"titel"}, []string{"UNKNOWN_FIELD"}},
		"body of all": {
			"POST", "/v1/modules/a:publish", `{"changeClass":"HUGE","effectiveTime":"now"}`,
			[]string{"changeClass", "effectiveTime"},
			[]string{"UNKNOWN_VALUE", "MALFORMED"},
		},
		"an enum":         {"PATCH", "/v1/learners/me", `{"background":"WIZARD"}`, []string{"background"}, []string{"UNKNOWN_VALUE"}},
		"a path":          {"GET", "/v1/modules/a/versions/first", ``, []string{"number"}, []string{"INVALID_TYPE"}},
		"a query":         {"GET", "/v1/modules?pageSize=ten", ``, []string{"pageSize"}, []string{"INVALID_TYPE"}},
		"a query's enum":  {"GET", "/v1/modules?state=GONE", ``, []string{"state"}, []string{"UNKNOWN_VALUE"}},
		"an overflow":     {"GET", "/v1/modules?pageSize=4294967296", ``, []string{"pageSize"}, []string{"OUT_OF_RANGE"}},
		"a bool":          {"GET", "/v1/modules?includeTotal", ``, []string{"includeTotal"}, []string{"INVALID_TYPE"}},
		"a time":          {"POST", "/v1/modules/a:archive", `{"sunsetTime":1}`, []string{"sunsetTime"}, []string{"INVALID_TYPE"}},
		"query and body":  {"POST", "/v1/modules?moduleId=a&dryRun=true", `{"titel":"x"}`, []string{"dryRun", "titel"}, []string{"UNKNOWN_FIELD", "UNKNOWN_FIELD"}},
		"both names":      {"GET", "/v1/modules?pageSize=1&page_size=2", ``, []string{"pageSize"}, []string{"DUPLICATE_FIELD"}},
		"bad escape":      {"GET", "/v1/modules?q=%zz", ``, []string{"query"}, []string{"MALFORMED"}},
		"a surrogate":     {"POST", "/v1/modules?moduleId=a", `{"title":"\ud800"}`, []string{"title"}, []string{"INVALID_UTF8"}},
		"given twice":     {"GET", "/v1/modules?pageSize=1&pageSize=2", ``, []string{"pageSize"}, []string{"DUPLICATE_FIELD"}},
		"NUL in a query":  {"GET", "/v1/modules?q=a%00", ``, []string{"q"}, []string{"NUL_CHARACTER"}},
		"bytes in query":  {"GET", "/v1/modules?q=%ff", ``, []string{"q"}, []string{"INVALID_UTF8"}},
		"bytes in a path": {"GET", "/v1/modules/a%ff", ``, []string{"moduleId"}, []string{"INVALID_UTF8"}},
		"NUL in a path":   {"GET", "/v1/modules/a%00", ``, []string{"moduleId"}, []string{"NUL_CHARACTER"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.do(t, c.method, c.path, c.body).wantProblem(t, 400, "INVALID_ARGUMENT")
			var reasons []string
			for _, v := range p.Violations {
				reasons = append(reasons, v.Reason)
				if v.Description == "" {
					t.Errorf("%s: no description", v.Field)
				}
			}
			if !slices.Equal(p.fields(), c.fields) || !slices.Equal(reasons, c.reasons) {
				t.Errorf("%v %v\nwant %v %v", p.fields(), reasons, c.fields, c.reasons)
			}
		})
	}
	if h.count() != 0 {
		t.Errorf("%d calls reached a service", h.count())
	}
}

func TestPatchMaskNamesWhatTheBodyNames(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		query, body string
		want        []string
	}{
		{"", `{"displayName":"Ann","weeklyGoal":{"minutes":30},"targetRole":""}`, []string{"display_name", "target_role", "weekly_goal.minutes"}},
		{"", `{"id":"1","displayName":"Ann","etag":"e","createTime":"2026-01-01T00:00:00Z"}`, []string{"display_name"}},
		{"?updateMask=displayName,etag", `{}`, []string{"displayName", "etag"}},
		{"?update_mask=display_name", `{"email":"a@example.org"}`, []string{"display_name"}},
	} {
		h.do(t, "PATCH", "/v1/learners/me"+c.query, c.body)
		if got := h.mask(t); !slices.Equal(got, c.want) {
			t.Errorf("%s %s: mask %q, want %q", c.query, c.body, got, c.want)
		}
	}
}

// mask returns the paths of the last request's update mask, sorted.
func (h *harness) mask(t *testing.T) []string {
	t.Helper()
	req := h.last(t).req.ProtoReflect()
	mask := req.Get(req.Descriptor().Fields().ByName("update_mask")).Message()
	paths := mask.Get(mask.Descriptor().Fields().ByName("paths")).List()
	var got []string
	for i := range paths.Len() {
		got = append(got, paths.Get(i).String())
	}
	slices.Sort(got)
	return got
}

func TestBodiesOfOtherMediaTypes(t *testing.T) {
	h := open(t)
	const path, body = "/v1/modules?moduleId=a", `{"title":"x"}`
	for _, good := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON", ""} {
		if a := h.do(t, "POST", path, body, "Content-Type", good); a.status != 200 {
			t.Errorf("%q: %d %s", good, a.status, a.body)
		}
		if got, _ := h.last(t).req.(*catalogv1.CreateModuleRequest); got.GetContent().GetTitle() != "x" || got.GetModuleId() != "a" {
			t.Errorf("%q: %v", good, got)
		}
	}
	before := h.count()
	for _, bad := range []string{"text/plain", "application/x-www-form-urlencoded", "text/xml", "application/merge-patch+json", "application/yaml", ";;;", "\xff"} {
		a := h.do(t, "POST", path, body, "Content-Type", bad)
		if p := a.wantProblem(t, 415, "UNSUPPORTED_MEDIA_TYPE"); a.header.Get("Accept") != "application/json" || !strings.Contains(p.Detail, "application/json") {
			t.Errorf("%q: %v %s", bad, a.header, a.body)
		}
	}
	h.do(t, "POST", importPath, "a", "Content-Type", "text/csv").wantProblem(t, 415, "UNSUPPORTED_MEDIA_TYPE")
	h.do(t, "POST", importPath, "a: 1", "Content-Type", "application/json").wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, "body INVALID_JSON")
	if h.count() != before {
		t.Errorf("%d calls reached a service", h.count()-before)
	}
	if a := h.do(t, "POST", path, "", "Content-Type", "text/plain"); a.status != 200 {
		t.Errorf("without a body: %+v", a)
	}
	h.do(t, "POST", path, "  \n")
	if got := h.last(t).req; !proto.Equal(got, &catalogv1.CreateModuleRequest{ModuleId: "a"}) {
		t.Errorf("%v", got)
	}
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestCompressedBodies(t *testing.T) {
	h := open(t)
	const path = "/v1/modules?moduleId=a"
	for _, encoding := range []string{"gzip", "x-gzip", "GZIP"} {
		if a := h.do(t, "POST", path, zipped(t, `{"title":"x"}`), "Content-Encoding", encoding); a.status != 200 {
			t.Errorf("%s: %+v", encoding, a)
		}
	}
	if a := h.do(t, "POST", path, `{"title":"x"}`, "Content-Encoding", "identity"); a.status != 200 {
		t.Errorf("%+v", a)
	}
	h.records()
	if a := h.do(t, "POST", eventsPath, zipped(t, `{"events":[]}`), "Content-Encoding", "gzip"); a.status != 200 {
		t.Errorf("%+v", a)
	}
	before := h.count()
	bomb := `{"title":"` + strings.Repeat("x", 1<<20) + `"}`
	h.do(t, "POST", path, zipped(t, bomb), "Content-Encoding", "gzip").wantProblem(t, 413, "BODY_TOO_LARGE")
	h.do(t, "POST", path, `{"title":"x"}`, "Content-Encoding", "gzip").wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, "body MALFORMED")
	whole := zipped(t, bomb[:5000])
	h.do(t, "POST", path, whole[:len(whole)-9], "Content-Encoding", "gzip").wantProblem(t, 400, "BODY_INCOMPLETE")
	for _, encoding := range []string{"br", "deflate", "gzip, gzip", "\xff"} {
		a := h.do(t, "POST", path, `{"title":"x"}`, "Content-Encoding", encoding)
		a.wantProblem(t, 415, "UNSUPPORTED_ENCODING")
		if a.header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("%s: %v", encoding, a.header)
		}
	}
	if h.count() != before {
		t.Errorf("%d calls reached a service", h.count()-before)
	}
}
