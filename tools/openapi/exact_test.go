package openapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// TestResponsesHaveTheirHeaders checks what each response says beside its body.
func TestResponsesHaveTheirHeaders(t *testing.T) {
	doc, _ := document(t)
	always := map[string]string{"304": "ETag", "401": "WWW-Authenticate", "405": "Allow", "429": "Retry-After", "503": "Retry-After", "201": "Location"}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status, r := range op.Responses.Map() {
				for _, name := range []string{"X-Request-Id", always[status]} {
					if h := r.Value.Headers[name]; name != "" && (h == nil || !h.Value.Required) {
						t.Errorf("%s %s: %s: no %s", method, path, status, name)
					}
				}
			}
			for status, wanted := range map[string]bool{"405": true, "413": op.RequestBody != nil, "415": op.RequestBody != nil} {
				if has := op.Responses.Value(status) != nil; has != wanted {
					t.Errorf("%s %s: %s is there: %t", method, path, status, has)
				}
			}
		}
	}
}

// TestRequestsAreClosed checks that no body, nor anything in it, may hold other members: the server
// refuses them. What comes back may hold more in time.
func TestRequestsAreClosed(t *testing.T) {
	doc, _ := document(t)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.RequestBody != nil {
				closed(t, method+" "+path, op.RequestBody.Value.Content.Get("application/json").Schema, map[string]bool{})
			}
		}
	}
	for name, schema := range doc.Components.Schemas {
		if !strings.HasSuffix(name, "Input") && !strings.Contains(name, "Request") && schema.Value.AdditionalProperties.Has != nil {
			t.Errorf("%s comes back, and is closed", name)
		}
	}
}

func closed(t *testing.T, where string, ref *openapi3.SchemaRef, seen map[string]bool) {
	t.Helper()
	if ref == nil || ref.Ref != "" && seen[ref.Ref] {
		return
	}
	seen[ref.Ref] = true
	s := ref.Value
	if has := s.AdditionalProperties.Has; s.Properties != nil && (has == nil || *has) {
		t.Errorf("%s %s: takes unknown members", where, ref.Ref)
	}
	for name, property := range s.Properties {
		closed(t, where+"/"+name, property, seen)
	}
	for _, one := range s.OneOf {
		closed(t, where, one, seen)
	}
	if s.Items != nil && s.Items.Value.Properties != nil {
		closed(t, where, s.Items, seen)
	}
}

// TestAnswersSayWhatIsAlwaysThere checks members that clients cannot do without, of messages that are
// sent as well, and that what is optional stays so.
func TestAnswersSayWhatIsAlwaysThere(t *testing.T) {
	doc, _ := document(t)
	for name, members := range map[string]string{
		"Enrollment":      "id pathId pathVersion state enrollTime updateTime etag",
		"Learner":         "id subjects displayName timeZone etag createTime updateTime -weeklyGoal",
		"Module":          "id topic state latestVersion etag -version -draft -archiveTime",
		"ModuleVersion":   "title units prerequisites credits -number -contentHash",
		"PathVersion":     "title milestones roles -number -mandateTime",
		"ProgressEvent":   "eventId moduleId unitId verb occurredAt deviceId -score",
		"LogEntry":        "sequence type receivedAt effectiveAt actor awards -event",
		"PathProgress":    "enrollment milestones next asOfSequence -percent",
		"AuditEntry":      "sequence time actor hash",
		"EnrollmentInput": "-id -state -pathVersion -etag", "LearnerInput": "-id -displayName", "ProgressEventInput": "eventId verb occurredAt -moduleId",
	} {
		schema := doc.Components.Schemas[name].Value
		for member := range strings.FieldsSeq(members) {
			bare, optional := strings.CutPrefix(member, "-")
			if schema.Properties[bare] == nil {
				t.Errorf("%s has no %s", name, bare)
			}
			if required := slices.Contains(schema.Required, bare); required == optional {
				t.Errorf("%s: %s is required: %t", name, bare, required)
			}
		}
	}
}

// TestLimits checks limits that services hold requests to by themselves.
func TestLimits(t *testing.T) {
	doc, _ := document(t)
	event := doc.Components.Schemas["ProgressEventInput"].Value.Properties
	for _, name := range []string{"score", "progress"} {
		if s := event[name].Value; s.Min == nil || *s.Min != 0 || s.Max == nil || *s.Max != 1 {
			t.Errorf("%s is not 0..1", name)
		}
	}
	for name, most := range map[string]uint64{"moduleId": 128, "unitId": 128, "deviceId": 128, "timeZone": 128, "reason": 2000} {
		if s := event[name].Value; s.MaxLength == nil || *s.MaxLength != most {
			t.Errorf("%s is not at most %d long", name, most)
		}
	}
	for path, item := range doc.Paths.Map() {
		if op := item.Get; op != nil {
			if p := op.Parameters.GetByInAndName("query", "pageSize"); p != nil && (p.Schema.Value.Default == nil || p.Schema.Value.Min == nil) {
				t.Errorf("GET %s: pageSize has no limits", path)
			}
		}
	}
	for _, path := range []string{"/v1/modules", "/v1/paths"} {
		for _, p := range doc.Paths.Value(path).Post.Parameters {
			if p.Value.In == "query" && p.Value.Schema.Value.Pattern == "" {
				t.Errorf("POST %s: %s has no pattern", path, p.Value.Name)
			}
		}
	}
}

// TestStreams checks that what is not one value of JSON does not say that it is.
func TestStreams(t *testing.T) {
	doc, _ := document(t)
	for _, path := range []string{"/v1/progress:verify", "/v1/progress:rebuild", "/v1/learners/{learner}/progress:watch"} {
		item := doc.Paths.Value(path)
		op := item.Post
		if op == nil {
			op = item.Get
		}
		content := op.Responses.Value("200").Value.Content
		lines := content.Get("application/x-ndjson")
		if content.Get("application/json") != nil || lines == nil || lines.Extensions["x-line"] == nil || !lines.Schema.Value.Type.Is("string") {
			t.Errorf("%s: %v", path, content)
		}
	}
}
