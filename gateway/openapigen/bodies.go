package main

import (
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	mediaJSON    = "application/json"
	mediaYAML    = "application/yaml"
	mediaEvents  = "text/event-stream"
	mediaProblem = "application/problem+json"
)

// requestBody describes what is sent.
func (op *operation) requestBody(s *schemas) (*object, error) {
	var schema *object
	var err error
	required := true
	if op.body == "*" {
		fields := op.bodyFields()
		schema, err = s.object("", fields, s.comments.inputs[rawID(op.method)], true)
		required = schema != nil && schema.has("required") || op.id() == "batchRecordEvents"
	} else {
		schema, err = s.ref(op.method.Input().Fields().ByName(protoreflect.Name(op.body)).Message())
	}
	if err != nil {
		return nil, err
	}
	media := of("schema", schema)
	sent := op.method.Input()
	if op.body != "*" {
		sent = sent.Fields().ByName(protoreflect.Name(op.body)).Message()
	}
	request, err := checked(sent, s.examples[op.id()].Request)
	if err != nil {
		return nil, err
	}
	if request != nil {
		media.set("example", request)
	}
	content := of(mediaJSON, media)
	if op.id() == "importCatalog" {
		media.set("schema", of("anyOf", []any{schema, documentSchema()}))
		content.set(mediaYAML, of("schema", of("type", "string", "description", "One document with modules and paths."), "example", exampleYAML))
	}
	return of("required", required, "content", content), nil
}

// documentSchema is the catalog as a document of JSON.
func documentSchema() *object {
	list := of("type", "array", "items", of("type", "object"))
	return of("type", "object", "description", "One document with modules and paths.", "properties", of("modules", list, "paths", list))
}

// responses describes what comes back.
func (op *operation) responses(s *schemas) (*object, error) {
	content, description, err := op.content(s)
	if err != nil {
		return nil, err
	}
	success := of("description", description)
	headers := &object{}
	text := func(description string) *object {
		return of("description", description, "schema", of("type", "string"))
	}
	if op.verb == "get" && op.id() != "watchProgress" {
		headers.set("ETag", text("Identifies this response, for If-None-Match."))
	}
	if op.successStatus() == http.StatusCreated {
		headers.set("Location", text("Where the new resource is.")).set("ETag", text("The new resource's etag."))
	}
	if op.id() == "exportCatalog" {
		headers.set("Content-Disposition", text("A name to save the document under."))
	}
	if len(headers.members) > 0 {
		success.set("headers", headers)
	}
	success.set("content", content)
	all := of(strconv.Itoa(op.successStatus()), success)
	if op.verb == "get" && op.id() != "watchProgress" {
		all.set("304", of("description", "The response that If-None-Match names is current."))
	}
	for _, status := range op.errors() {
		all.set(strconv.Itoa(status), of("$ref", "#/components/responses/"+problemName(status)))
	}
	return all, nil
}

// content returns the body of success by media type, and its description.
func (op *operation) content(s *schemas) (*object, string, error) {
	output := op.method.Output()
	if op.id() == "exportCatalog" { // its message is a chunk, which no client sees
		return of(mediaYAML, of("schema", of("type", "string"), "example", exampleYAML), mediaJSON, of("schema", documentSchema())),
			"The catalog as one document.", nil
	}
	description := sentence(strings.TrimSuffix(rest(s.comments.types[output.FullName()]), "."))
	if op.response != "" {
		output = output.Fields().ByName(protoreflect.Name(op.response)).Message()
		description = s.comments.typeWords(output.FullName())
	}
	if before, _, found := strings.Cut(description, " is the response of "); found && before == string(output.Name()) {
		description = "The result"
	}
	ref, err := s.ref(output)
	if err != nil {
		return nil, "", err
	}
	if op.id() == "watchProgress" {
		lines := of("type", "object", "description", "One line of many.", "properties",
			of("result", ref, "error", of("$ref", "#/components/schemas/Problem")))
		return of(
			mediaEvents, of("schema", of("type", "string", "description",
				"Each event's data is a WatchProgressResponse as JSON, its id the log's sequence. `event: reset` asks the client to read everything again; "+
					"`event: error` carries a Problem and ends the stream; comments are heartbeats."), "example", exampleStream),
			mediaJSON, of("schema", lines)), "A stream that goes on until either side ends it.", nil
	}
	if op.streams {
		lines := of("type", "object", "description", "One line of many.", "properties",
			of("result", ref, "error", of("$ref", "#/components/schemas/Problem")))
		return of(mediaJSON, of("schema", lines)),
			"A line of JSON for each message, as it comes, until the work is done; a line with `error` ends the stream early.", nil
	}
	media := of("schema", ref)
	response, err := checked(output, s.examples[op.id()].Response)
	if err != nil {
		return nil, "", err
	}
	if response != nil {
		media.set("example", response)
	}
	return of(mediaJSON, media), strings.TrimSuffix(description, ".") + ".", nil
}

// errors returns the statuses that the operation can fail with.
func (op *operation) errors() []int {
	statuses := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}
	if len(op.params) > 0 {
		statuses = append(statuses, http.StatusNotFound)
	}
	if op.access.GetIdempotentCreate() || strings.Contains(op.path, ":") && op.verb == "post" && op.id() != "batchRecordEvents" {
		statuses = append(statuses, http.StatusConflict)
	}
	if op.method.Input().Fields().ByName("etag") != nil {
		statuses = append(statuses, http.StatusPreconditionFailed)
	}
	if op.body != "" {
		statuses = append(statuses, http.StatusRequestEntityTooLarge)
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
	}{
		{http.StatusBadRequest, "The request is not valid; violations name every bad field."},
		{http.StatusUnauthorized, "The token is missing, expired or not valid."},
		{http.StatusForbidden, "The caller may not do this, or not to this learner."},
		{http.StatusNotFound, "What the path names does not exist."},
		{http.StatusConflict, "It exists already, or something else is happening to it."},
		{http.StatusPreconditionFailed, "The etag is not the present one: read again, then decide."},
		{http.StatusRequestEntityTooLarge, "The body is larger than 1 MiB; 16 MiB for an import."},
		{http.StatusUnprocessableEntity, "The Idempotency-Key was used for another request."},
		{http.StatusTooManyRequests, "Too much at once; Retry-After says when to try again."},
		{http.StatusInternalServerError, "A fault of the server; its log knows the requestId."},
		{http.StatusServiceUnavailable, "Something that the request needs is away; Retry-After says when to try again."},
		{http.StatusGatewayTimeout, "It took too long, and may have happened: send it again with the same ids."},
	} {
		response := of("description", p.description)
		if p.status == http.StatusTooManyRequests || p.status == http.StatusServiceUnavailable {
			response.set("headers", of("Retry-After", of("description", "Seconds to wait.", "schema", of("type", "integer"))))
		}
		if p.status == http.StatusUnauthorized {
			response.set("headers", of("WWW-Authenticate", of("description", "Bearer.", "schema", of("type", "string"))))
		}
		response.set("content", of(mediaProblem, of("schema", of("$ref", "#/components/schemas/Problem"))))
		all.set(problemName(p.status), response)
	}
	return all
}

// addProblem adds the schemas of errors, which are not proto messages.
func addProblem(components *object) {
	text := func(description string) *object { return of("type", "string", "description", description) }
	components.set("Problem", of("type", "object", "description", "An error, in the form of RFC 9457.", "properties", of(
		"type", text("A link to the explanation of the reason.").set("format", "uri-reference"),
		"title", text("The reason as text."),
		"status", of("type", "integer", "description", "The HTTP status."),
		"detail", text("What happened, for people."),
		"instance", text("The path of the request."),
		"code", text("The gRPC code's name: NOT_FOUND."),
		"reason", text("What happened, for programs: ETAG_MISMATCH."),
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
		"reason", text("What is wrong, for programs."),
	), "required", []string{"field", "description"}))
}
