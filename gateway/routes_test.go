package gateway_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// restRoute is one google.api.http option.
type restRoute struct {
	method, path, rpc string
	input             protoreflect.MessageDescriptor
	body              string
}

func restRoutes(tb testing.TB) []restRoute {
	tb.Helper()
	var all []restRoute
	for _, file := range []protoreflect.FileDescriptor{
		profilev1.File_preceptor_profile_v1_profile_proto,
		profilev1.File_preceptor_profile_v1_cohorts_proto,
		catalogv1.File_preceptor_catalog_v1_catalog_proto,
		progressv1.File_preceptor_progress_v1_progress_proto,
		auditv1.File_preceptor_audit_v1_audit_proto,
	} {
		for i := range file.Services().Len() {
			s := file.Services().Get(i)
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
				if rule == nil {
					continue
				}
				r := restRoute{rpc: "/" + string(s.FullName()) + "/" + string(m.Name()), input: m.Input(), body: rule.GetBody()}
				switch {
				case rule.GetGet() != "":
					r.method, r.path = http.MethodGet, rule.GetGet()
				case rule.GetPost() != "":
					r.method, r.path = http.MethodPost, rule.GetPost()
				case rule.GetPatch() != "":
					r.method, r.path = http.MethodPatch, rule.GetPatch()
				case rule.GetDelete() != "":
					r.method, r.path = http.MethodDelete, rule.GetDelete()
				case rule.GetPut() != "":
					r.method, r.path = http.MethodPut, rule.GetPut()
				}
				all = append(all, r)
			}
		}
	}
	if len(all) < 30 {
		tb.Fatalf("only %d routes found", len(all))
	}
	return all
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

var pathParameterName = regexp.MustCompile(`\{\w+\}`)

// filled gives the path with a value for each parameter, and the values by name.
func (r restRoute) filled() (string, map[string]string) {
	values := map[string]string{}
	path := pathParameter.ReplaceAllStringFunc(r.path, func(p string) string {
		name := strings.Trim(p, "{}")
		values[name] = "the-" + strings.TrimSuffix(name, "_id")
		if r.input.Fields().ByName(protoreflect.Name(name)).Kind() != protoreflect.StringKind {
			values[name] = "7"
		}
		return values[name]
	})
	return path, values
}

func TestEveryRouteReachesItsRPC(t *testing.T) {
	h := open(t)
	for _, r := range restRoutes(t) {
		path, values := r.filled()
		body := ""
		if r.body != "" {
			body = "{}"
		}
		before := h.count()
		if a := h.do(t, r.method, path, body); a.status != http.StatusOK {
			t.Errorf("%s %s: %d %s", r.method, path, a.status, a.body)
			continue
		}
		if h.count() != before+1 {
			t.Errorf("%s %s: %d calls", r.method, path, h.count()-before)
		}
		c := h.last(t)
		if c.method != r.rpc {
			t.Errorf("%s %s reached %s, want %s", r.method, path, c.method, r.rpc)
		}
		for name, want := range values {
			got := c.req.ProtoReflect().Get(r.input.Fields().ByName(protoreflect.Name(name))).String()
			if got != want {
				t.Errorf("%s %s: %s is %q, want %q", r.method, path, name, got, want)
			}
		}
		if got := c.md.Get("authorization"); !slices.Equal(got, []string{token}) {
			t.Errorf("%s %s: authorization %q", r.method, path, got)
		}
		if got := c.md.Get("x-request-id"); len(got) != 1 {
			t.Errorf("%s %s: request id %q", r.method, path, got)
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	h := open(t)
	h.get(t, "/v1/nothing").wantProblem(t, 404, "ROUTE_NOT_FOUND")
	h.get(t, "/v1/modules/a/b/c/d").wantProblem(t, 404, "ROUTE_NOT_FOUND")
	h.get(t, "/favicon.ico").wantProblem(t, 404, "ROUTE_NOT_FOUND")
	for _, path := range []string{
		"/v1/modules/", "/v1/modules//", "/v1/modules/hipaa/", "/v1//modules", "//v1/modules", "/v1/modules/:publish", "/v1/modules/hipaa:",
		"/v1/modules/hipaa%2Fversions", "/v1/modules%2Fhipaa", "/v1/modules/hipaa%2fx", "/v1/modules/hipaa%3Apublish", "/v1/modules/a:b:publish",
	} {
		h.get(t, path).wantProblem(t, 404, "ROUTE_NOT_FOUND")
		h.do(t, http.MethodPost, path, "{}").wantProblem(t, 404, "ROUTE_NOT_FOUND")
	}
	for _, c := range []struct{ method, path, allow string }{
		{http.MethodDelete, "/v1/modules", "GET, HEAD, POST"},
		{http.MethodPut, "/v1/modules/hipaa", "DELETE, GET, HEAD, PATCH"},
		{http.MethodGet, "/v1/modules/hipaa:publish", "POST"},
		{http.MethodPost, "/v1/topics", "GET, HEAD"},
		{http.MethodPost, "/healthz", "GET, HEAD"},
		{http.MethodPost, "/docs", "GET, HEAD"},
		{http.MethodPost, "/openapi.json", "GET, HEAD"},
	} {
		a := h.do(t, c.method, c.path, "")
		p := a.wantProblem(t, 405, "METHOD_NOT_ALLOWED")
		if got := a.header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.path, got, c.allow)
		}
		if p.Instance != c.path {
			t.Errorf("instance %q", p.Instance)
		}
	}
	// An override by header, and a form, change no method.
	h.do(t, http.MethodPost, "/v1/topics", "a=b", "X-Http-Method-Override", "GET", "Content-Type", "application/x-www-form-urlencoded").
		wantProblem(t, 405, "METHOD_NOT_ALLOWED")
	if h.count() != 0 {
		t.Errorf("%d calls reached a service", h.count())
	}
}

func TestUnknownCustomMethods(t *testing.T) {
	h := open(t)
	for path, want := range map[string]string{
		"/v1/modules/hipaa:publsh":             "there is no custom method :publsh here; there are :archive, :preview, :previewArchive, :publish, :restore",
		"/v1/catalog:imprt":                    "there is no custom method :imprt here; there are :export, :import",
		"/v1/learners/me/paths/p/progress:why": "there is no custom method :why here; there are :explain",
		"/v1/topics:list":                      "there is no custom method :list here; there are none here",
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			if p := h.do(t, method, path, "").wantProblem(t, 404, "ROUTE_NOT_FOUND"); p.Detail != want {
				t.Errorf("%s %s: %q, want %q", method, path, p.Detail, want)
			}
		}
	}
	if h.count() != 0 {
		t.Errorf("%d calls reached a service", h.count())
	}
}

// Every route refuses by name what its query cannot set.
func TestUnknownParameters(t *testing.T) {
	h := open(t)
	for _, r := range restRoutes(t) {
		path, values := r.filled()
		for name := range values {
			h.do(t, r.method, path+"?"+name+"=x", "").wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, name+" UNKNOWN_FIELD")
		}
		for _, name := range []string{"etg", "dry_rum", "x.y", "%ff"} {
			shown := strings.ReplaceAll(name, "%ff", "\uFFFD")
			h.do(t, r.method, path+"?"+name+"=", "").wantProblem(t, 400, "INVALID_ARGUMENT").violates(t, shown+" UNKNOWN_FIELD")
		}
	}
	if h.count() != 0 {
		t.Errorf("%d calls reached a service", h.count())
	}
	for path, want := range map[string]string{
		"/v1/modules?topics=hipaa": "is not a parameter of this route; did you mean topic?",
		"/v1/modules/hipaa?x=1":    "is not a parameter of this route; there are none here",
	} {
		if p := h.get(t, path).wantProblem(t, 400, "INVALID_ARGUMENT"); p.Violations[0].Description != want {
			t.Errorf("%s: %q, want %q", path, p.Violations[0].Description, want)
		}
	}
}

func TestHeadIsGetWithoutBody(t *testing.T) {
	h := open(t)
	h.responds(catalogv1.CatalogService_GetModule_FullMethodName,
		&catalogv1.GetModuleResponse{Module: &catalogv1.Module{Id: "hipaa"}}, "etag", `"e1"`)
	get := h.get(t, "/v1/modules/hipaa")
	head := h.do(t, http.MethodHead, "/v1/modules/hipaa", "")
	if head.status != 200 || head.body != "" || head.header.Get("ETag") != `"e1"` {
		t.Errorf("%+v", head)
	}
	if got := head.header.Get("Content-Length"); got != get.header.Get("Content-Length") || got == "" {
		t.Errorf("Content-Length %q", got)
	}
}
