package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	accessv1 "github.com/preceptor-dev/preceptor/gen/preceptor/access/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// restRoute is a route of the REST API, as its RPC's options have it.
type restRoute struct {
	service, rpc, method, path string
	body                       string // "", "*" or a field
	input                      protoreflect.MessageDescriptor
	access                     *accessv1.Access
}

func restRoutes(t testing.TB) []restRoute {
	t.Helper()
	var all []restRoute
	for _, rule := range auth.Rules(protoregistry.GlobalFiles) {
		h, _ := proto.GetExtension(rule.Descriptor.Options(), annotations.E_Http).(*annotations.HttpRule)
		if h == nil {
			continue // called by services only
		}
		r := restRoute{service: serviceOf(rule), rpc: rule.Method, body: h.GetBody(), input: rule.Descriptor.Input(), access: rule.Access}
		for method, path := range map[string]string{
			http.MethodGet: h.GetGet(), http.MethodPost: h.GetPost(), http.MethodPatch: h.GetPatch(), http.MethodDelete: h.GetDelete(),
		} {
			if path != "" {
				r.method, r.path = method, path
			}
		}
		all = append(all, r)
	}
	if len(all) < 35 {
		t.Fatalf("only %d routes", len(all))
	}
	return all
}

// The routes whose bodies have readers of their own: a batch's events are judged one by one, and an
// import's body may be a document. A cohort is not made of nothing.
const (
	cohortRPC = "/preceptor.profile.v1.CohortService/CreateCohort"
	batchRPC  = "/preceptor.progress.v1.ProgressService/BatchRecordEvents"
	importRPC = "/preceptor.catalog.v1.CatalogService/ImportCatalog"
)

func (r restRoute) fields() []protoreflect.FieldDescriptor { return fieldsOf(r.input) }

func fieldsOf(md protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	var all []protoreflect.FieldDescriptor
	for i := range md.Fields().Len() {
		all = append(all, md.Fields().Get(i))
	}
	return all
}

func (r restRoute) inPath(fd protoreflect.FieldDescriptor) bool {
	return strings.Contains(r.path, "{"+string(fd.Name())+"}")
}

// parameters are the fields that the query may set.
func (r restRoute) parameters() []protoreflect.FieldDescriptor {
	return slices.DeleteFunc(r.fields(), func(fd protoreflect.FieldDescriptor) bool {
		return r.inPath(fd) || r.body == string(fd.Name()) || r.body == "*" && fd.Name() != "etag"
	})
}

// members are the fields that the body may set.
func (r restRoute) members() []protoreflect.FieldDescriptor {
	switch r.body {
	case "":
		return nil
	case "*":
		return slices.DeleteFunc(r.fields(), r.inPath)
	default:
		return fieldsOf(r.input.Fields().ByName(protoreflect.Name(r.body)).Message())
	}
}

func rulesOf(fd protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, _ := proto.GetExtension(fd.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

// base is a request without a mistake, but for what it is about.
func (m *mistakes) base(r restRoute) request {
	out := request{method: r.method, path: r.path}
	for _, fd := range r.fields() {
		if r.inPath(fd) {
			out.path = strings.ReplaceAll(out.path, "{"+string(fd.Name())+"}", m.ids[string(fd.Name())])
		}
	}
	var query, members []string
	for _, fd := range r.parameters() {
		if value := sample(fd); value != "" {
			query = append(query, fd.JSONName()+"="+value)
		}
	}
	for _, fd := range r.members() {
		switch value := sample(fd); {
		case r.body == "*" && value != "":
			members = append(members, fmt.Sprintf("%q:%q", fd.JSONName(), value))
		case r.body == "*" && r.rpc != importRPC && rulesOf(fd).GetRepeated().GetMinItems() > 0:
			members = append(members, fmt.Sprintf("%q:[%q]", fd.JSONName(), item(fd)))
		}
	}
	if r.rpc == cohortRPC {
		members = append(members, `"title":"some-thing"`, `"kind":"STATIC"`)
	}
	out.query = strings.Join(query, "&")
	if r.body != "" {
		out.body = "{" + strings.Join(members, ",") + "}"
	}
	return out
}

// sample is a value of a text that must not be empty; "" where it may be.
func sample(fd protoreflect.FieldDescriptor) string {
	rules := rulesOf(fd).GetString()
	switch {
	case fd.Kind() != protoreflect.StringKind || fd.IsList():
		return ""
	case len(rules.GetIn()) > 0:
		return rules.GetIn()[0]
	case rules.GetUuid():
		return noID
	case rules.GetMinLen() > 0 || rules.GetPattern() != "" && !strings.HasSuffix(rules.GetPattern(), ")?$"):
		return "some-thing"
	case strings.HasPrefix(rules.GetPattern(), "^[a-z0-9]"), fd.Name() == "module_id" || fd.Name() == "path_id" || fd.Name() == "cohort_id":
		return "some-thing"
	}
	return ""
}

// item is an element of a list of texts.
func item(fd protoreflect.FieldDescriptor) string {
	if rulesOf(fd).GetRepeated().GetItems().GetString().GetUuid() {
		return noID
	}
	return "a"
}

// with returns the request with another query parameter.
func (r request) with(parameter string) request {
	r.query = strings.TrimPrefix(r.query+"&"+parameter, "&")
	return r
}

// without returns the request without a parameter of its query.
func (r request) without(name string) request {
	r.query = strings.Join(slices.DeleteFunc(strings.Split(r.query, "&"), func(p string) bool { return strings.HasPrefix(p, name+"=") }), "&")
	return r
}

// member returns the request with another member of its body, in place of one of that name.
func (r request) member(name, value string) request {
	inside := strings.TrimSuffix(strings.TrimPrefix(r.body, "{"), "}")
	members := slices.DeleteFunc(strings.Split(inside, ","), func(m string) bool { return m == "" || strings.HasPrefix(m, `"`+name+`":`) })
	r.body = "{" + strings.Join(append(members, fmt.Sprintf("%q:%s", name, value)), ",") + "}"
	return r
}

func (r request) headed(name, value string) request {
	r.header = map[string]string{name: value}
	return r
}

func (r request) as(token string) request {
	r.token = token
	return r
}

func (r request) at(path string) request {
	r.path = path
	return r
}

func (m *mistakes) mistakesOn(r restRoute) []mistake {
	base := m.base(r)
	all := slices.Concat(ofAddress(base), m.ofPath(r, base), m.ofCaller(r, base), m.ofMissing(r), ofPreconditions(r, base))
	for _, fd := range r.parameters() {
		all = append(all, ofParameter(fd, base)...)
	}
	if r.body == "" {
		wrong := base
		wrong.body = "{}"
		return append(all, mistake{"body of nothing", "body", wrong})
	}
	all = append(all, ofBody(r, base)...)
	for _, fd := range r.members() {
		if r.rpc != importRPC && !(r.rpc == batchRPC && fd.Name() != "events" && fd.Name() != "sent_at") && !rpc.IsFixed(fd) {
			all = append(all, ofMember(r, fd, base)...)
		}
	}
	return all
}

func ofAddress(base request) []mistake {
	all := []mistake{
		{"unknown parameter", "nope", base.with("nope=1")},
		{"unknown parameter", "nope", base.with("nope")},
		{"escapes of the query", "query", base.with("%zz=1")},
		{"trailing slash", "", base.at(base.path + "/")},
		{"custom method", "", base.at(strings.Split(base.path, ":")[0] + ":nope")},
		{"escaped slash", "", base.at(strings.Replace(base.path, "/v1/", "/v1%2F", 1))},
	}
	put := base
	put.method, put.body, put.query = http.MethodPut, "", ""
	return append(all, mistake{"method", "", put})
}

func (m *mistakes) ofPath(r restRoute, base request) []mistake {
	var all []mistake
	for _, fd := range r.fields() {
		if !r.inPath(fd) {
			continue
		}
		name := string(fd.Name())
		put := func(value string) request { return base.at(m.filled(r.path, name, value)) }
		field, rules := fd.JSONName(), rulesOf(fd)
		if fd.Kind() == protoreflect.Int32Kind {
			all = append(all, mistake{"number in the path", field, put("first")}, mistake{"range in the path", field, put("0")})
			continue
		}
		all = append(all, mistake{"NUL in the path", field, put("a%00")}, mistake{"UTF-8 of the path", field, put("a%ff")})
		switch {
		case name == "learner_id" || rules.GetString().GetUuid():
			all = append(all, mistake{"UUID in the path", field, put("seven")})
		case rules.GetString().GetPattern() != "":
			all = append(all, mistake{"slug in the path", field, put("No_Slug")})
		}
	}
	return all
}

// filled returns a path with one of its parameters, and things that exist for the others.
func (m *mistakes) filled(path, name, value string) string {
	path = strings.ReplaceAll(path, "{"+name+"}", value)
	for other, id := range m.ids {
		path = strings.ReplaceAll(path, "{"+other+"}", id)
	}
	return path
}

func (m *mistakes) ofCaller(r restRoute, base request) []mistake {
	all := []mistake{{"no token", "", base.as("none")}, {"another's token", "", base.as("another's")}}
	learner := slices.Contains(r.access.GetRoles(), accessv1.Access_LEARNER)
	switch {
	case r.access.GetSelf():
		return append(all, mistake{"other learner", "", base.at(m.filled(r.path, "learner_id", noID)).as("learner")})
	case !learner:
		return append(all, mistake{"role", "", base.as("learner")})
	}
	return all
}

// ofMissing is about things that are not there. What a path's last parameter names is looked up last.
func (m *mistakes) ofMissing(r restRoute) []mistake {
	var all []mistake
	base := m.base(r)
	about := func(kind, name, value string) {
		all = append(all, mistake{kind, "", base.at(m.filled(r.path, name, value))})
	}
	if strings.Contains(r.path, "{cohort_id}") {
		about("missing cohort", "cohort_id", "no-such-cohort")
	}
	switch {
	case strings.Contains(r.path, "{learner_id}"):
		about("missing learner", "learner_id", noID)
		m.ofLearners(r, about)
		if strings.Contains(r.path, "{award_id}") { // nobody commands about themselves
			about("missing award", "learner_id", m.other)
		}
	case strings.Contains(r.path, "/modules/{module_id}"):
		about("missing module", "module_id", "no-such-module")
	case strings.Contains(r.path, "/paths/{path_id}"):
		about("missing path", "path_id", "no-such-path")
	}
	if strings.HasSuffix(r.path, "/versions/{number}") {
		about("missing version", "number", "99")
	}
	return all
}

func (m *mistakes) ofLearners(r restRoute, about func(kind, name, value string)) {
	switch {
	case strings.Contains(r.path, "{enrollment_id}"):
		about("missing enrollment", "enrollment_id", noID)
	case strings.Contains(r.path, "{module_id}"):
		about("missing module", "module_id", "no-such-module")
	case strings.Contains(r.path, "{path_id}"):
		about("path without enrolling", "path_id", "no-such-path")
	}
}

func ofParameter(fd protoreflect.FieldDescriptor, base request) []mistake {
	name := fd.JSONName()
	base = base.without(name)
	of := func(kind, value string) mistake { return mistake{kind, name, base.with(name + "=" + value)} }
	var all []mistake
	good := map[protoreflect.Kind]string{protoreflect.StringKind: "a", protoreflect.BoolKind: "true", protoreflect.Int32Kind: "1", protoreflect.Int64Kind: "1"}
	if value := good[fd.Kind()]; value != "" && !fd.IsList() {
		if s := sample(fd); s != "" {
			value = s
		}
		all = append(all, of("repeated parameter", value+"&"+name+"="+value))
		if snake := string(fd.Name()); snake != name {
			all = append(all, of("repeated parameter", value+"&"+snake+"="+value))
		}
	}
	rules := rulesOf(fd)
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return append(all, of("parameter's type", "maybe"))
	case protoreflect.EnumKind:
		return append(all, of("parameter's enum", "NOPE"), of("parameter's enum", "99"))
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return append(all, of("parameter's type", "ten"), of("parameter's range", "-1"), of("parameter's range", "99999999999999999999"))
	case protoreflect.StringKind:
		if fd.IsList() {
			return all
		}
		all = append(all, of("NUL in a parameter", "a%00"), of("UTF-8 of a parameter", "a%ff"))
		if n := rules.GetString().GetMaxLen(); n > 0 && name != "etag" {
			all = append(all, of("long parameter", strings.Repeat("a", int(n)+1)))
		}
		if name == "pageToken" {
			all = append(all, of("page token", "nonsense"), of("page token", "bm9uc2Vuc2U"), of("page token", url.QueryEscape("{}")))
		}
		return all
	default:
		return all
	}
}

func ofBody(r restRoute, base request) []mistake {
	zipped := base.headed("Content-Encoding", "gzip")
	zipped.body = "these words are not compressed with gzip"
	of := func(kind, field, body string) mistake {
		wrong := base
		wrong.body = body
		return mistake{kind, field, wrong}
	}
	large := 1<<20 + 1
	if r.rpc == importRPC {
		large = 16<<20 + 1
	}
	all := []mistake{
		of("truncated body", "body", `{"a`),
		of("UTF-8 of the body", "body", "{\"a\":\"\xff\"}"),
		of("large body", "", strings.Repeat(" ", large)),
		{"media type", "", base.headed("Content-Type", "text/xml")},
		{"media type", "", base.headed("Content-Type", "application/x-www-form-urlencoded")},
		{"encoding", "", base.headed("Content-Encoding", "br")},
		{"gzip", "body", zipped},
	}
	if r.rpc == importRPC {
		return all
	}
	all = append(all, of("body's type", "body", "[]"), mistake{"unknown field", "nope", base.member("nope", "1")})
	for _, fd := range r.fields() {
		if r.body == "*" && r.inPath(fd) {
			all = append(all, mistake{"field of the path", fd.JSONName(), base.member(fd.JSONName(), `"x"`)})
		}
	}
	return all
}

// otherType is a JSON value that no field of a kind has.
func otherType(fd protoreflect.FieldDescriptor) string {
	switch {
	case fd.IsList():
		return "{}"
	case fd.Kind() == protoreflect.StringKind:
		return "7"
	case fd.Kind() == protoreflect.EnumKind || fd.Message() != nil:
		return "true"
	default:
		return `"x"`
	}
}

func ofMember(r restRoute, fd protoreflect.FieldDescriptor, base request) []mistake {
	name, rules := fd.JSONName(), rulesOf(fd)
	of := func(kind, value string) mistake { return mistake{kind, name, base.member(name, value)} }
	twice := base.member(name, "null")
	twice.body = strings.TrimSuffix(twice.body, "}") + `,"` + name + `":null}`
	all := []mistake{of("field's type", otherType(fd)), {"repeated field", name, twice}}
	switch {
	case fd.IsList():
		if n := rules.GetRepeated().GetMaxItems(); n > 0 && fd.Message() == nil {
			all = append(all, of("many items", "["+strings.TrimSuffix(strings.Repeat(`"`+item(fd)+`",`, int(n)+1), ",")+"]"))
		}
	case fd.Kind() == protoreflect.StringKind:
		all = append(all, of("NUL in a field", `"a\u0000"`))
		if n := rules.GetString().GetMaxLen(); n > 0 && name != "etag" && name != "learnerId" {
			all = append(all, of("long field", `"`+strings.Repeat("a", int(n)+1)+`"`))
		}
		if r.body == "*" && sample(fd) != "" {
			all = append(all, of("missing field", `""`), of("missing field", "null"))
		}
	case fd.Kind() == protoreflect.EnumKind:
		all = append(all, of("field's enum", `"NOPE"`), of("enum without a name", "99"))
	case fd.Message() != nil && fd.Message().FullName() == "google.protobuf.Timestamp":
		all = append(all, of("field's time", `"now"`))
	}
	return all
}

func ofPreconditions(r restRoute, base request) []mistake {
	var all []mistake
	if r.access.GetIdempotentCreate() {
		for _, key := range []string{strings.Repeat("k", 256), "", "k k", "\u00e9"} {
			all = append(all, mistake{"idempotency key", "Idempotency-Key", base.headed("Idempotency-Key", key)})
		}
	}
	all = append(all, mistake{"no precondition", "If-Unmodified-Since", base.headed("If-Unmodified-Since", "Mon, 01 Jan 2024 00:00:00 GMT")})
	if r.method == http.MethodGet || r.input.Fields().ByName("etag") == nil {
		return append(all, mistake{"no precondition", "If-Match", base.headed("If-Match", `"e"`)})
	}
	all = append(
		all, mistake{"no precondition", "If-None-Match", base.headed("If-None-Match", "*")},
		mistake{"no etag", "If-Match", base.headed("If-Match", "")}, mistake{"no etag", "If-Match", base.headed("If-Match", "\u00fc")},
		mistake{"no etag", "etag", base.with("etag=")},
		mistake{"stale etag", "", base.headed("If-Match", `"stale"`)}, mistake{"stale etag", "", base.with("etag=stale")},
		mistake{"long etag", "etag", base.with("etag=" + strings.Repeat("e", 129))},
		mistake{"two etags", "If-Match", base.with("etag=e").headed("If-Match", `"f"`)},
	)
	if r.input.Fields().ByName("update_mask") == nil {
		return all
	}
	all = append(all, mistake{"mask of no field", "updateMask", base.with("updateMask=nope")}, mistake{"mask of no field", "updateMask", base.with("updateMask=nope.nope")})
	name := r.members()[len(r.members())-1]
	for _, fd := range r.members() {
		if !rpc.IsFixed(fd) {
			name = fd
		}
	}
	all = append(all, mistake{"mask of a field twice", "updateMask", base.with("updateMask=" + name.JSONName() + "," + string(name.Name()))})
	for _, fd := range r.members() {
		if rpc.IsFixed(fd) {
			all = append(all, mistake{"mask of a fixed field", "updateMask", base.with("updateMask=" + fd.JSONName())},
				mistake{"mask of a fixed field", "updateMask", base.with("update_mask=" + string(fd.Name()))})
		}
	}
	return all
}
