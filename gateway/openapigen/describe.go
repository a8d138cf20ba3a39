package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	accessv1 "github.com/preceptor-dev/preceptor/gen/preceptor/access/v1"
	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

const about = "Preceptor tracks how people learn healthcare AI engineering: what there is to learn, what each learner has done, " +
	"and how far that brings them.\n\n" +
	"Every request under /v1 carries a bearer token. Times are RFC 3339 in UTC, durations and periods ISO 8601, 64-bit integers strings. " +
	"Members that have no value are left out where they are optional; lists are never null. " +
	"Errors are application/problem+json with a reason that a program can read, and name every bad field at once. " +
	"Every response to a GET has an ETag; send it as If-None-Match. Every response has an X-Request-Id: yours, if you sent one. " +
	"A request's body may be compressed with gzip. " +
	"Where a rate limit is set, every response of a route of the API has RateLimit and RateLimit-Policy, which say what is left of it."

// operation is one route with the options of its RPC.
type operation struct {
	method   protoreflect.MethodDescriptor
	verb     string // get
	path     string // /v1/modules/{module}:publish
	params   []protoreflect.FieldDescriptor
	body     string
	response string // response_body
	access   *accessv1.Access
	tag      string
	streams  bool
}

// describe returns the whole document.
func describe(w *comments) (*object, error) {
	operations, err := readOperations()
	if err != nil {
		return nil, err
	}
	examples, err := readExamples()
	if err != nil {
		return nil, err
	}
	s := newSchemas(w, examples)
	paths, names := &object{}, map[string]bool{}
	for _, op := range operations {
		described, err := op.describe(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op.method.FullName(), err)
		}
		if names[op.id()] || paths.get(op.path).has(op.verb) {
			return nil, fmt.Errorf("%s: its name or its route is taken", op.method.FullName())
		}
		names[op.id()] = true
		paths.get(op.path).set(op.verb, described)
	}
	if left := unused(examples, names); len(left) > 0 {
		return nil, fmt.Errorf("examples of operations that do not exist: %v", left)
	}
	components := s.components()
	addProblem(components)
	addLines(components, operations)
	return of(
		"openapi", "3.1.0",
		"info", of("title", "Preceptor", "version", "0.0.0", "summary", "Learning progress for healthcare AI engineers", "description", about,
			"license", of("name", "Apache 2.0", "identifier", "Apache-2.0")),
		"servers", []any{of("url", "/")},
		"security", []any{of("bearer", []string{})},
		"tags", tags(operations),
		"paths", paths,
		"components", of(
			"schemas", components,
			"responses", problems(),
			"headers", responseHeaders(),
			"securitySchemes", of("bearer", of("type", "http", "scheme", "bearer", "bearerFormat", "JWT",
				"description", "A token of the OIDC issuer that the server trusts; locally, what `preceptor token` prints."))),
	), nil
}

// readOperations reads the routes, in the order in which a reader meets them.
func readOperations() ([]*operation, error) {
	var all []*operation
	for _, file := range []protoreflect.FileDescriptor{
		progressv1.File_preceptor_progress_v1_progress_proto,
		catalogv1.File_preceptor_catalog_v1_catalog_proto,
		profilev1.File_preceptor_profile_v1_profile_proto,
		profilev1.File_preceptor_profile_v1_cohorts_proto,
		auditv1.File_preceptor_audit_v1_audit_proto,
	} {
		for i := range file.Services().Len() {
			for j := range file.Services().Get(i).Methods().Len() {
				m := file.Services().Get(i).Methods().Get(j)
				rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
				if rule == nil {
					continue
				}
				op, err := newOperation(m, rule)
				if err != nil {
					return nil, err
				}
				all = append(all, op)
			}
		}
	}
	order := tagOrder()
	slices.SortStableFunc(all, func(a, b *operation) int { return rank(order, a.tag) - rank(order, b.tag) })
	return all, nil
}

func rank(order []string, tag string) int {
	if i := slices.Index(order, tag); i >= 0 {
		return i
	}
	return len(order)
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

func newOperation(m protoreflect.MethodDescriptor, rule *annotations.HttpRule) (*operation, error) {
	op := &operation{method: m, body: rule.GetBody(), response: rule.GetResponseBody(), streams: m.IsStreamingServer()}
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		op.verb, op.path = "get", p.Get
	case *annotations.HttpRule_Post:
		op.verb, op.path = "post", p.Post
	case *annotations.HttpRule_Put:
		op.verb, op.path = "put", p.Put
	case *annotations.HttpRule_Patch:
		op.verb, op.path = "patch", p.Patch
	case *annotations.HttpRule_Delete:
		op.verb, op.path = "delete", p.Delete
	default:
		return nil, fmt.Errorf("%s: an HTTP rule of an unknown kind", m.FullName())
	}
	for _, match := range parameter.FindAllStringSubmatch(op.path, -1) {
		fd := m.Input().Fields().ByName(protoreflect.Name(match[1]))
		if fd == nil {
			return nil, fmt.Errorf("%s: no field %s", m.FullName(), match[1])
		}
		op.params = append(op.params, fd)
	}
	// {learner_id} reads better as {learner}; it is not seen on the wire.
	op.path = parameter.ReplaceAllStringFunc(op.path, func(p string) string { return "{" + parameterName(strings.Trim(p, "{}")) + "}" })
	op.tag = tagOf(op.path)
	op.access, _ = proto.GetExtension(m.Options(), accessv1.E_Access).(*accessv1.Access)
	return op, nil
}

func parameterName(field string) string { return strings.TrimSuffix(field, "_id") }

func (op *operation) id() string {
	name := string(op.method.Name())
	return strings.ToLower(name[:1]) + name[1:]
}

func (op *operation) inPath(fd protoreflect.FieldDescriptor) bool {
	return slices.Contains(op.params, fd)
}

// bodyFields are the request's fields that the body carries.
func (op *operation) bodyFields() []protoreflect.FieldDescriptor {
	return op.fields(func(fd protoreflect.FieldDescriptor) bool {
		return op.body == string(fd.Name()) || op.body == "*" && !op.inPath(fd)
	})
}

// queryFields are those that the query carries. The etag of a write may be in either, and whether an
// import is a dry run, since a document has no place for it.
func (op *operation) queryFields() []protoreflect.FieldDescriptor {
	return op.fields(func(fd protoreflect.FieldDescriptor) bool {
		if op.body == "*" {
			return fd.Name() == "etag" || op.id() == "importCatalog" && fd.Name() == "dry_run"
		}
		return op.body != string(fd.Name()) && !op.inPath(fd)
	})
}

// writes reports whether the operation can change something.
func (op *operation) writes() bool {
	options, _ := op.method.Options().(*descriptorpb.MethodOptions)
	return op.verb != "get" && options.GetIdempotencyLevel() != descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

// document reports whether the operation returns a file instead of its message.
func (op *operation) document() bool { return op.id() == "exportCatalog" }

// lines reports whether the response is a stream of lines of JSON, or can be.
func (op *operation) lines() bool { return op.streams && !op.document() }

func (op *operation) fields(wanted func(protoreflect.FieldDescriptor) bool) []protoreflect.FieldDescriptor {
	var found []protoreflect.FieldDescriptor
	for i := range op.method.Input().Fields().Len() {
		if fd := op.method.Input().Fields().Get(i); wanted(fd) {
			found = append(found, fd)
		}
	}
	return found
}

// describe returns the Operation Object.
func (op *operation) describe(s *schemas) (*object, error) {
	summary, description := s.comments.operationWords(op.method)
	described := of("operationId", op.id(), "tags", []string{op.tag}, "summary", summary)
	described.set("description", strings.TrimSpace(description+"\n\n"+op.admits()))
	parameters, err := op.parameters(s)
	if err != nil {
		return nil, err
	}
	if len(parameters) > 0 {
		described.set("parameters", parameters)
	}
	if op.access.GetTicket() {
		described.set("security", []any{of("bearer", []string{}), &object{}}) // the ticket is a parameter
	}
	if op.body != "" {
		body, err := op.requestBody(s)
		if err != nil {
			return nil, err
		}
		described.set("requestBody", body)
	}
	responses, err := op.responses(s)
	if err != nil {
		return nil, err
	}
	return described.set("responses", responses), nil
}

// admits describes the callers that the RPC's access option admits.
func (op *operation) admits() string {
	var who []string
	if op.access.GetSelf() {
		who = append(who, "the learner themself")
	}
	for _, role := range op.access.GetRoles() {
		who = append(who, "role "+strings.ToLower(role.String()))
	}
	if op.access.GetManager() {
		who = append(who, "role manager, for what they manage")
	}
	if len(op.access.GetRoles()) == 4 {
		return "Open to everyone who is signed in."
	}
	return "Open to " + strings.Join(who, ", ") + "."
}

// namesNew reports whether the field is the id that a create gives to the new resource.
// The services refuse a create without one, whether or not the proto requires it.
func (op *operation) namesNew(fd protoreflect.FieldDescriptor) bool {
	return op.access.GetIdempotentCreate() && strings.HasSuffix(string(fd.Name()), "_id")
}

// rulesOfNamesake returns the rules of a field of the same name in another message of the file: a
// create leaves those of the new id to the service, which names all faults at once.
func rulesOfNamesake(fd protoreflect.FieldDescriptor) *validate.FieldRules {
	messages := fd.ParentFile().Messages()
	for i := range messages.Len() {
		if same := messages.Get(i).Fields().ByName(fd.Name()); same != nil && rulesOf(same).GetString().HasPattern() {
			return rulesOf(same)
		}
	}
	return rulesOf(fd)
}

func (op *operation) parameters(s *schemas) ([]any, error) {
	var all []any
	comments := s.comments.inputs[rawID(op.method)]
	for _, fd := range op.params {
		schema, err := s.field(fd, sent)
		if err != nil {
			return nil, err
		}
		p := of("name", parameterName(string(fd.Name())), "in", "path", "required", true, "schema", schema)
		if text := rest(comments[string(fd.Name())]); text != "" {
			p.set("description", text)
		}
		if fd.Name() == "learner_id" {
			p.set("example", "me")
		}
		all = append(all, p)
	}
	for _, fd := range op.queryFields() {
		schema, err := s.field(fd, sent)
		if err == nil && fd.Name() == "page_size" {
			err = limitPage(schema, comments[fd.JSONName()])
		}
		if err != nil {
			return nil, err
		}
		p := of("name", fd.JSONName(), "in", "query")
		if op.namesNew(fd) {
			schema = stringSchema(rulesOfNamesake(fd).GetString())
		}
		if mustBeSent(fd) || op.namesNew(fd) {
			p.set("required", true)
		}
		if text := rest(comments[fd.JSONName()]); text != "" {
			p.set("description", text)
		}
		all = append(all, p.set("schema", schema))
	}
	return append(all, op.headers()...), nil
}

// pageWords are how proto/ describes a page's size.
var pageWords = regexp.MustCompile(`^At most this many, 1 to (\d+); (\d+) when unset\.$`)

// limitPage adds the default to a page's size. More than the most is taken for the most, so that is no
// maximum.
func limitPage(schema *object, comment string) error {
	match := pageWords.FindStringSubmatch(strings.TrimSpace(comment))
	if match == nil {
		return fmt.Errorf("a page_size is described as %q, not as %q", comment, pageWords)
	}
	size, err := strconv.Atoi(match[2])
	schema.set("default", size)
	return err
}

// headers returns the parameters that are sent as headers.
func (op *operation) headers() []any {
	header := func(name, description string, schema *object) any {
		return of("name", name, "in", "header", "description", description, "schema", schema)
	}
	var all []any
	if op.access.GetIdempotentCreate() {
		all = append(all, header("Idempotency-Key",
			"Makes it safe to repeat a create within 24 hours: the same key with the same body gets the same response; with another body, 422.",
			of("type", "string", "minLength", 1, "maxLength", 255, "pattern", "^[!-~]+$")))
	}
	if op.method.Input().Fields().ByName("etag") != nil {
		all = append(all, header("If-Match",
			"The resource's etag, in quotes: the request fails with 412 if the resource has another etag by now.", of("type", "string")))
	}
	switch {
	case op.verb == "get" && op.lines():
		all = append(all, header("Last-Event-ID", "The id of the last event received; browsers send it when they reconnect.", of("type", "string")))
	case op.verb == "get":
		all = append(all, header("If-None-Match", "ETags of responses that you have: the response is 304 if one of them is current.", of("type", "string")))
	}
	return all
}

// tagOrder returns the order of the resources in the document.
func tagOrder() []string {
	return []string{"Enrollments", "Events", "Progress", "Awards", "Learning paths", "Modules", "Catalog", "Learners", "Cohorts", "Audit"}
}

func tagOf(path string) string {
	segments := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")
	first, _, _ := strings.Cut(segments[0], ":")
	if first == "learners" && len(segments) > 2 {
		switch next, _, _ := strings.Cut(segments[2], ":"); next {
		case "enrollments", "events", "awards", "assignments":
			return strings.ToUpper(next[:1]) + next[1:]
		case "progress", "paths", "modules":
			return "Progress"
		default:
			return "Learners"
		}
	}
	switch first {
	case "paths":
		return "Learning paths"
	case "topics":
		return "Modules"
	}
	return strings.ToUpper(first[:1]) + first[1:]
}

func tags(operations []*operation) []any {
	texts := map[string]string{
		"Enrollments":    "A learner's choice of a learning path, pinned to one version of it.",
		"Events":         "What a learner did, recorded once however often it is sent.",
		"Progress":       "How far a learner has come, and what to go on with.",
		"Awards":         "Milestones of a path that a learner has reached.",
		"Learning paths": "Milestones on the way to a role. Published versions never change.",
		"Modules":        "What there is to learn. Published versions never change.",
		"Catalog":        "All modules and paths as one document, and what changed.",
		"Learners":       "Who learns, what they bring, and where they are going.",
		"Cohorts":        "Groups of learners, by lists and by rules, and who manages them.",
		"Audit":          "Who did what in whose name, in chains that cannot be changed unseen.",
	}
	var all []any
	seen := map[string]bool{}
	for _, op := range operations {
		if seen[op.tag] {
			continue
		}
		seen[op.tag] = true
		tag := of("name", op.tag)
		if text := texts[op.tag]; text != "" {
			tag.set("description", text)
		}
		all = append(all, tag)
	}
	return all
}
