package gateway_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

func describedAPI(tb testing.TB) (*openapi3.T, string) {
	tb.Helper()
	a := open(tb).get(tb, "/openapi.json")
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" || a.header.Get("ETag") == "" {
		tb.Fatalf("%d %v", a.status, a.header)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(a.body))
	if err != nil {
		tb.Fatal(err)
	}
	return doc, a.body
}

func TestOpenAPIIsValid(t *testing.T) {
	doc, _ := describedAPI(t)
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Info.Version != "1.2.3" {
		t.Errorf("OpenAPI %s, version %s", doc.OpenAPI, doc.Info.Version)
	}
}

// TestOpenAPIIsUpToDate generates the description again: what is embedded is what
// proto/ says today.
func TestOpenAPIIsUpToDate(t *testing.T) {
	before, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", "./openapigen", "-stdout").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, out) {
		t.Error("openapi.json is not what openapigen makes: run make generate")
	}
}

func TestOpenAPIHasEveryRouteAndNoOther(t *testing.T) {
	doc, _ := describedAPI(t)
	anonymous := func(method, path string) string { return method + " " + pathParameterName.ReplaceAllString(path, "{}") }
	var want, got []string
	for _, r := range restRoutes(t) {
		want = append(want, anonymous(r.method, r.path))
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			got = append(got, anonymous(method, path))
			checkOperation(t, method, path, op)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func checkOperation(t *testing.T, method, path string, op *openapi3.Operation) {
	t.Helper()
	if op.OperationID == "" || op.Summary == "" || op.Description == "" || len(op.Tags) != 1 {
		t.Errorf("%s %s is not well described: %q %q %q %v", method, path, op.OperationID, op.Summary, op.Description, op.Tags)
	}
	if strings.Contains(path, ".") {
		t.Errorf("%s: a path that another conflicts with", path)
	}
	for _, status := range []string{"400", "401", "403", "429", "500", "503"} {
		r := op.Responses.Value(status)
		if r == nil || r.Value.Content.Get("application/problem+json") == nil {
			t.Errorf("%s %s: no problem for %s", method, path, status)
		}
	}
	if op.Responses.Value("default") != nil {
		t.Errorf("%s %s: an error without a status", method, path)
	}
	for _, p := range op.Parameters {
		if p.Value.Description == "" || p.Value.Schema == nil {
			t.Errorf("%s %s: parameter %s is not described", method, path, p.Value.Name)
		}
		if strings.Contains(p.Value.Name, "_") {
			t.Errorf("%s %s: parameter %s", method, path, p.Value.Name)
		}
	}
}

func TestOpenAPIParticulars(t *testing.T) {
	doc, text := describedAPI(t)
	op := func(method, path string) *openapi3.Operation {
		o := doc.Paths.Value(path).GetOperation(method)
		if o == nil {
			t.Fatalf("no %s %s", method, path)
		}
		return o
	}
	create := op("POST", "/v1/modules")
	if create.Responses.Value("201") == nil || create.Responses.Value("200") != nil || create.Responses.Value("422") == nil ||
		create.Parameters.GetByInAndName("header", "Idempotency-Key") == nil || !create.Parameters.GetByInAndName("query", "moduleId").Required {
		t.Error("POST /v1/modules")
	}
	if !op("POST", "/v1/paths").Parameters.GetByInAndName("query", "pathId").Required {
		t.Error("POST /v1/paths needs no pathId")
	}
	update := op("PATCH", "/v1/modules/{module}")
	if update.Parameters.GetByInAndName("header", "If-Match") == nil || update.Responses.Value("412") == nil {
		t.Error("PATCH /v1/modules/{module}")
	}
	get := op("GET", "/v1/modules/{module}")
	if get.Parameters.GetByInAndName("header", "If-None-Match") == nil || get.Responses.Value("304") == nil ||
		get.Responses.Value("200").Value.Headers["ETag"] == nil {
		t.Error("GET /v1/modules/{module}")
	}
	if ref := get.Responses.Value("200").Value.Content.Get("application/json").Schema.Ref; ref != "#/components/schemas/Module" {
		t.Errorf("a module is answered as %s", ref)
	}
	if p := get.Parameters.GetByInAndName("path", "module").Schema.Value.Pattern; p == "" {
		t.Error("a module's id has no pattern")
	}
	watch := op("GET", "/v1/learners/{learner}/progress:watch")
	if watch.Responses.Value("200").Value.Content.Get("text/event-stream") == nil || watch.Parameters.GetByInAndName("header", "Last-Event-ID") == nil {
		t.Error("progress:watch")
	}
	if op("POST", "/v1/catalog:import").RequestBody.Value.Content.Get("application/yaml") == nil ||
		op("GET", "/v1/catalog:export").Responses.Value("200").Value.Content.Get("application/yaml") == nil {
		t.Error("the catalog is no YAML")
	}
	events := op("POST", "/v1/learners/{learner}/events:batch").RequestBody.Value.Content.Get("application/json")
	if n := events.Schema.Value.Properties["events"].Value.MaxItems; n == nil || *n != 500 {
		t.Error("a batch has no limit")
	}
	unit := doc.Components.Schemas["Unit"].Value
	if unit.Properties["masteryScore"].Value.Max == nil || unit.Properties["title"].Value.MaxLength == nil {
		t.Error("a unit has no limits")
	}
	for _, inside := range []string{"SyncCatalog", "ResolveSubject", "google.rpc"} {
		if strings.Contains(text, inside) {
			t.Errorf("the description tells of %s", inside)
		}
	}
	if doc.Security == nil || doc.Components.SecuritySchemes["bearer"] == nil {
		t.Error("no bearer tokens")
	}
}

// TestAnswersFitTheirSchemas holds what the gateway writes, and the examples, to
// the schemas that it publishes.
func TestAnswersFitTheirSchemas(t *testing.T) {
	doc, _ := describedAPI(t)
	examples := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			media := []*openapi3.MediaType{}
			if op.RequestBody != nil {
				media = append(media, op.RequestBody.Value.Content.Get("application/json"))
			}
			for _, status := range []string{"200", "201"} {
				if r := op.Responses.Value(status); r != nil {
					media = append(media, r.Value.Content.Get("application/json"))
				}
			}
			for _, m := range media {
				if m == nil || m.Example == nil {
					continue
				}
				examples++
				if err := m.Schema.Value.VisitJSON(m.Example, openapi3.EnableJSONSchema2020()); err != nil {
					t.Errorf("%s %s: example: %v", method, path, err)
				}
			}
		}
	}
	if examples < 15 {
		t.Errorf("only %d examples", examples)
	}
	h := open(t)
	h.fails(getModule, fault(5, "NO_SUCH_MODULE", "none"))
	h.answers(progressv1.ProgressService_GetPathProgress_FullMethodName, &progressv1.GetPathProgressResponse{Progress: &progressv1.PathProgress{
		Percent: proto.Int32(3), Milestones: []*progressv1.MilestoneProgress{{Modules: []*progressv1.ModuleProgress{{}}}},
	}})
	for path, schema := range map[string]string{
		"/v1/modules/hipaa":                "Problem",
		"/v1/learners/me/paths/p/progress": "PathProgress",
		"/v1/modules":                      "ListModulesResponse",
		"/v1/learners/me":                  "Learner",
	} {
		var value any
		if err := json.Unmarshal([]byte(h.get(t, path).body), &value); err != nil {
			t.Fatal(err)
		}
		if err := doc.Components.Schemas[schema].Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
