package main

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/feed"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// The headers of responses, by which components name them.
const (
	headerRequestID  = "X-Request-Id"
	headerETag       = "ETag"
	headerLocation   = "Location"
	headerRetryAfter = "Retry-After"
	headerAllow      = "Allow"
	headerRateLimit  = "RateLimit"
	headerRatePolicy = "RateLimit-Policy"
	headerAccept     = "Accept"

	headerAcceptEncoding = "Accept-Encoding"

	headerChallenge = "WWW-Authenticate"
	headerFileName  = "Content-Disposition"
	headerSequence  = "Preceptor-As-Of-Sequence"
	headerReplayed  = "Idempotency-Replayed"
)

// responseHeaders are those that responses have, for components. The required ones are in every response
// that names them.
func responseHeaders() *object {
	header := func(description string, required bool, schema *object) *object {
		return of("description", description, "required", required, "schema", schema)
	}
	text := func() *object { return of("type", "string") }
	revision := of("type", "string", "pattern", "^[0-9]+$")
	all := of(
		headerRequestID, header("Identifies the request in the server's log: the request's own id if it has one.", true, of("type", "string", "maxLength", 128)),
		headerETag, header("Identifies this response, for If-None-Match; of a write, the new state of the resource.", true, text()),
		headerLocation, header("Where the new resource is.", true, of("type", "string", "format", "uri-reference")),
		headerRetryAfter, header("Seconds to wait.", true, of("type", "integer", "minimum", 1)),
		headerAllow, header("The methods that the path takes.", true, text()),
		headerRateLimit, header("How many requests are left, as `r`, and in how many seconds the bucket is full, as `t`.", false, text()),
		headerRatePolicy, header("How many requests a full bucket has, as `q`, and in how many seconds it fills up, as `w`.", false, text()),
		headerAccept, header("The media types that the route takes, where the body's is none of them.", false, text()),
		headerAcceptEncoding, header("gzip, where the body's encoding is another.", false, text()),
		headerChallenge, header("Bearer; with `error=\"invalid_token\"` where there was a token.", true, text()),
		headerReplayed, header("true where an earlier request with the same Idempotency-Key got this response.", false, of("type", "string", "const", "true")),
		headerFileName, header("A name to save the document under.", true, text()),
	)
	all.set(headerSequence, header("The sequence of the last log entry that is counted.", true, revision))
	for _, name := range []string{feed.CatalogRevision, feed.ProfileRevision} {
		all.set(http.CanonicalHeaderKey(name), header("The revision that the change made, for programs that wait until other services have it.", false, revision))
	}
	return all
}

// headersOf refers to headers by their names.
func headersOf(names ...string) *object {
	all := &object{}
	for _, name := range names {
		all.set(name, of("$ref", "#/components/headers/"+name))
	}
	return all
}

// responses describes what comes back.
func (op *operation) responses(s *schemas) (*object, error) {
	content, description, err := op.content(s)
	if err != nil {
		return nil, err
	}
	all := of(strconv.Itoa(op.successStatus()), of("description", description, "headers", headersOf(op.successHeaders()...), "content", content))
	if op.cached() {
		all.set("304", of("description", "The response that If-None-Match names is current.", "headers", headersOf(op.unchangedHeaders()...)))
	}
	for _, status := range op.errors() {
		all.set(strconv.Itoa(status), of("$ref", "#/components/responses/"+problemName(status)))
	}
	return all, nil
}

// cached reports whether the response can be had conditionally: that of every GET but a stream.
func (op *operation) cached() bool { return op.verb == "get" && !op.lines() }

// unchangedHeaders are the names of the headers of a 304.
func (op *operation) unchangedHeaders() []string {
	names := []string{headerRequestID, headerETag}
	if op.countsApart() {
		names = append(names, headerSequence)
	}
	return names
}

// countsApart reports whether a header, and not the body, has the sequence that the response is as of.
func (op *operation) countsApart() bool { return op.id() == "getModuleProgress" }

// successHeaders are the names of the headers that a success has. A write of a resource with an etag
// returns that as ETag.
func (op *operation) successHeaders() []string {
	names := []string{headerRequestID}
	output := op.method.Output()
	if op.response != "" {
		output = output.Fields().ByName(protoreflect.Name(op.response)).Message()
	}
	if op.cached() || op.writes() && output.Fields().ByName("etag") != nil {
		names = append(names, headerETag)
	}
	if op.successStatus() == http.StatusCreated {
		names = append(names, headerLocation, headerReplayed)
	}
	if op.countsApart() {
		names = append(names, headerSequence)
	}
	if op.document() {
		names = append(names, headerFileName)
	}
	if op.writes() {
		switch op.method.ParentFile().Package() {
		case catalogv1.File_preceptor_catalog_v1_catalog_proto.Package():
			names = append(names, http.CanonicalHeaderKey(feed.CatalogRevision))
		case profilev1.File_preceptor_profile_v1_profile_proto.Package():
			names = append(names, http.CanonicalHeaderKey(feed.ProfileRevision))
		}
	}
	return names
}

// successStatus is 201 for what creates.
func (op *operation) successStatus() int {
	if op.access.GetIdempotentCreate() {
		return http.StatusCreated
	}
	return http.StatusOK
}

// errors returns the statuses that the operation can fail with.
func (op *operation) errors() []int {
	statuses := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}
	if len(op.params) > 0 {
		statuses = append(statuses, http.StatusNotFound)
	}
	statuses = append(statuses, http.StatusMethodNotAllowed)
	if op.writes() && op.id() != "batchRecordEvents" {
		statuses = append(statuses, http.StatusConflict)
	}
	if op.method.Input().Fields().ByName("etag") != nil {
		statuses = append(statuses, http.StatusPreconditionFailed)
	}
	if op.body != "" {
		statuses = append(statuses, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if op.access.GetIdempotentCreate() {
		statuses = append(statuses, http.StatusUnprocessableEntity)
	}
	return append(statuses, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusGatewayTimeout)
}

func problemName(status int) string {
	return strings.ReplaceAll(http.StatusText(status), " ", "")
}

// problems are the error responses, one for each status.
func problems() *object {
	all := &object{}
	for _, p := range []struct {
		status      int
		description string
		header      string
	}{
		{http.StatusBadRequest, "The request is not valid; violations name every bad field.", ""},
		{http.StatusUnauthorized, "The token is missing, expired or not valid.", headerChallenge},
		{http.StatusForbidden, "The caller may not do this, or not to this learner.", ""},
		{http.StatusNotFound, "What the path names does not exist.", ""},
		{http.StatusMethodNotAllowed, "The path does not take this method.", headerAllow},
		{http.StatusRequestTimeout, "The body arrived at less than 2 KiB a second, after 20 seconds.", ""},
		{http.StatusConflict, "It exists already, or something else is happening to it.", ""},
		{http.StatusPreconditionFailed, "The etag is not the present one: read again, then decide.", ""},
		{http.StatusRequestEntityTooLarge, "The body is larger than 1 MiB; 16 MiB for an import.", ""},
		{http.StatusUnsupportedMediaType, "The body's media type is none that this operation takes, or its Content-Encoding is not gzip.", ""},
		{http.StatusUnprocessableEntity, "The Idempotency-Key was used for another request.", ""},
		{http.StatusTooManyRequests, "Too much at once; Retry-After says when to try again.", headerRetryAfter},
		{http.StatusInternalServerError, "A fault of the server; its log knows the requestId.", ""},
		{http.StatusServiceUnavailable, "Something that the request needs is away, or has no room; Retry-After says when to try again.", headerRetryAfter},
		{http.StatusGatewayTimeout, "It took too long, and may have happened: send it again with the same ids.", ""},
	} {
		names := []string{headerRequestID}
		if p.header != "" {
			names = append(names, p.header)
		}
		switch p.status {
		case http.StatusTooManyRequests:
			names = append(names, headerRateLimit, headerRatePolicy)
		case http.StatusUnsupportedMediaType:
			names = append(names, headerAccept, headerAcceptEncoding)
		}
		all.set(problemName(p.status), of("description", p.description, "headers", headersOf(names...),
			"content", of(mediaProblem, of("schema", of("$ref", "#/components/schemas/Problem")))))
	}
	return all
}

// addProblem adds the schemas of errors, which are not proto messages. Reasons are open: x-extensible-enum
// has those that there are now.
func addProblem(components *object) {
	text := func(description string) *object { return of("type", "string", "description", description) }
	components.set("Problem", of("type", "object", "description", "An error, in the form of RFC 9457.", "properties", of(
		"type", text("A link to the explanation of the reason.").set("format", "uri-reference"),
		"title", text("The reason as text."),
		"status", of("type", "integer", "description", "The HTTP status.", "minimum", 400, "maximum", 599),
		"detail", text("What happened, for people."),
		"instance", text("The path of the request."),
		"code", text("The gRPC code's name.").set("enum", codeNames()),
		"reason", text("What happened, for programs. There may be others in time: then the status says what to do.").
			set("x-extensible-enum", reasons(errs.UseError)),
		"violations", of("type", "array", "description", "Every bad field.", "items", of("$ref", "#/components/schemas/FieldViolation")),
		"requestId", text("Identifies the request in the server's log."),
	), "required", []string{"type", "title", "status", "code", "reason", "requestId"},
		"example", of("type", "/docs#reason-INVALID_ARGUMENT", "title", "Invalid argument", "status", 400, "detail", "pathId: must be a string",
			"instance", "/v1/learners/me/enrollments", "code", "INVALID_ARGUMENT", "reason", "INVALID_ARGUMENT",
			"violations", []any{of("field", "pathId", "description", "must be a string", "reason", "INVALID_TYPE")},
			"requestId", "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9fa0b1")))
	components.set("FieldViolation", of("type", "object", "description", "What is wrong with one field.", "properties", of(
		"field", text("Where: units[2].moveOn."),
		"description", text("What is wrong, and what would be right."),
		"reason", text("What is wrong, for programs. There may be others in time.").
			set("x-extensible-enum", reasons(errs.UseRequest, errs.UsePublishing)),
	), "required", []string{"field", "description"}))
}

// reasons are those of some uses, in alphabetical order.
func reasons(uses ...errs.Use) []string {
	var all []string
	for _, m := range errs.Meanings() {
		if slices.Contains(uses, m.Use) {
			all = append(all, m.Reason)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// codeNames are the names of gRPC's codes but OK.
func codeNames() []string {
	var all []string
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		all = append(all, rpc.CodeName(code))
	}
	return all
}
