// Package openapi_test checks gateway/openapi.json: that it is a valid document, that it describes
// what a client needs, and that its examples and the responses of a running server fit its schemas.
package openapi_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// document loads the document, and returns its text too.
func document(t *testing.T) (*openapi3.T, string) {
	t.Helper()
	text, err := os.ReadFile("../../gateway/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	return doc, string(text)
}

func TestValid(t *testing.T) {
	doc, _ := document(t)
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			checkOperation(t, method, path, op)
		}
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

func TestParticulars(t *testing.T) {
	doc, text := document(t)
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
		t.Errorf("the response of a module is %s", ref)
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
		t.Error("the catalog is not YAML")
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
			t.Errorf("the document mentions %s", inside)
		}
	}
	if doc.Security == nil || doc.Components.SecuritySchemes["bearer"] == nil {
		t.Error("no bearer tokens")
	}
}

func TestExamplesFitTheirSchemas(t *testing.T) {
	doc, _ := document(t)
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
}

// response is the response of an operation.
type response struct{ method, path, status string }

// responses are those that the black-box suite holds, by the names of their files: a running server
// gives exactly these.
func responses() map[string]response {
	const learner = "/v1/learners/{learner}"
	return map[string]response{
		"archive_preview":     {"POST", "/v1/modules/{module}:previewArchive", "200"},
		"awards":              {"GET", learner + "/awards", "200"},
		"batch_award":         {"POST", learner + "/events:batch", "200"},
		"batch_results":       {"POST", learner + "/events:batch", "200"},
		"enrollment":          {"POST", learner + "/enrollments", "201"},
		"explanation":         {"GET", learner + "/paths/{path}/progress:explain", "200"},
		"history":             {"GET", learner + "/events", "200"},
		"learner":             {"GET", learner, "200"},
		"module":              {"GET", "/v1/modules/{module}", "200"},
		"module_draft":        {"POST", "/v1/modules", "201"},
		"module_preview":      {"POST", "/v1/modules/{module}:preview", "200"},
		"module_progress":     {"GET", learner + "/modules/{module}/progress", "200"},
		"module_version":      {"GET", "/v1/modules/{module}/versions/{number}", "200"},
		"overview":            {"GET", learner + "/progress", "200"},
		"path":                {"GET", "/v1/paths/{path}", "200"},
		"path_preview":        {"POST", "/v1/paths/{path}:preview", "200"},
		"path_progress_begun": {"GET", learner + "/paths/{path}/progress", "200"},
		"path_progress_half":  {"GET", learner + "/paths/{path}/progress", "200"},
		"problem_404":         {"GET", "/v1/modules/{module}", "404"},
		"publish_violations":  {"POST", "/v1/modules/{module}:publish", "400"},
	}
}

// unmasked puts values back where the suite has masked what differs from run to run.
func unmasked(text string) string {
	text = regexp.MustCompile(`<id \d+>`).ReplaceAllString(text, "01930000-0000-7000-8000-000000000000")
	return strings.NewReplacer("<time>", "2026-11-20T08:00:00Z", "<day>", "2026-11-20", "<date>", "20 November 2026",
		"<revision>", "7", "<etag>", "0123456789abcdef").Replace(text)
}

func TestResponsesFitTheirSchemas(t *testing.T) {
	doc, _ := document(t)
	files, err := filepath.Glob("../../test/e2e/testdata/*.json")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		r, ok := responses()[name]
		if !ok {
			t.Errorf("%s is the response of which operation? Add it to responses()", file)
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := fits(doc, r, unmasked(string(text))); err != nil {
			t.Errorf("%s %s: %s: %v", r.method, r.path, name, err)
		}
	}
}

// fits returns why a text is not such a response.
func fits(doc *openapi3.T, r response, text string) error {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return err
	}
	media := "application/json"
	if r.status[0] == '4' {
		media = "application/problem+json"
	}
	item := doc.Paths.Value(r.path)
	if item == nil || item.GetOperation(r.method) == nil || item.GetOperation(r.method).Responses.Value(r.status) == nil {
		return errors.New("the document has no such response")
	}
	return item.GetOperation(r.method).Responses.Value(r.status).Value.Content.Get(media).Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020())
}

// TestMisfits checks that a response that does not fit is found.
func TestMisfits(t *testing.T) {
	doc, _ := document(t)
	for _, text := range []string{`[]`, `{"id":7}`, `{"id":"x","createTime":12}`, `{"subjects":{}}`} {
		if fits(doc, responses()["learner"], text) == nil {
			t.Errorf("%s is taken for a learner", text)
		}
	}
}
