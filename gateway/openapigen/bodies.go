package main

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	mediaJSON    = "application/json"
	mediaYAML    = "application/yaml"
	mediaLines   = "application/x-ndjson"
	mediaEvents  = "text/event-stream"
	mediaProblem = "application/problem+json"
)

// requestBody describes what is sent.
func (op *operation) requestBody(s *schemas) (*object, error) {
	schema, err := op.requestSchema(s)
	if err != nil {
		return nil, err
	}
	required := op.body != "*" || schema.has("required")
	media := of("schema", schema)
	request, err := checked(op.bodyMessage(), s.examples[op.id()].Request)
	if err != nil {
		return nil, err
	}
	if request != nil {
		media.set("example", request)
	}
	content := of(mediaJSON, media)
	if op.id() == "importCatalog" {
		media.set("schema", of("oneOf", []any{schema, documentSchema(sent)}))
		content.set(mediaYAML, of("schema", of("type", "string", "description", "One document with modules and paths."), "example", exampleYAML))
	}
	return of("required", required, "content", content), nil
}

// bodyMessage is the message that the body is, or is the rest of.
func (op *operation) bodyMessage() protoreflect.MessageDescriptor {
	if op.body == "*" {
		return op.method.Input()
	}
	return op.method.Input().Fields().ByName(protoreflect.Name(op.body)).Message()
}

// requestSchema is the schema of a body of JSON. A PATCH may leave out every field, so where the
// message requires some, it gets a schema of its own.
func (op *operation) requestSchema(s *schemas) (*object, error) {
	if op.body == "*" {
		return s.object("", op.bodyFields(), s.comments.inputs[rawID(op.method)], sent)
	}
	md := op.bodyMessage()
	ref, err := s.ref(md, sent)
	if err != nil || op.verb != "patch" || !s.made[componentName(md, sent)].has("required") {
		return ref, err
	}
	schema, err := s.component(md, sent)
	if err != nil {
		return nil, err
	}
	return schema.remove("required"), nil
}

// documentSchema is the catalog as a document of JSON.
func documentSchema(way direction) *object {
	list := func(text string) *object {
		return of("type", "array", "description", text, "items", of("type", "object", "additionalProperties", true))
	}
	schema := of("type", "object", "description", "One document with modules and paths.", "properties", of(
		"modules", list("Modules, as in a file of the catalog as code."),
		"paths", list("Learning paths, as in a file of the catalog as code.")))
	if way == sent {
		schema.set("additionalProperties", false)
	}
	return schema
}

// content returns the body of success by media type, and its description.
func (op *operation) content(s *schemas) (*object, string, error) {
	output := op.method.Output()
	if op.document() { // its message is a chunk, which no client sees
		return of(mediaYAML, of("schema", of("type", "string"), "example", exampleYAML), mediaJSON, of("schema", documentSchema(answered))),
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
	ref, err := s.ref(output, answered)
	if err != nil {
		return nil, "", err
	}
	if op.lines() {
		content, description := op.streamed()
		return content, description, nil
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

// streamed describes a stream, and what it is. A schema can only say that it is text: x-line names
// the schema of one line, and x-data that of one event's data.
func (op *operation) streamed() (*object, string) {
	message := componentName(op.method.Output(), answered)
	ref := func(name string) *object { return of("$ref", "#/components/schemas/"+name) }
	lines := of("schema", of("type", "string", "description",
		"Lines of JSON, each a "+lineName(op)+". An empty line is a heartbeat."), "x-line", ref(lineName(op)))
	if op.verb != "get" {
		return of(mediaLines, lines),
			"A line of JSON for each message, as it comes, until the work is done; a line with `error` ends the stream early."
	}
	events := of("schema", of("type", "string", "description",
		"Each event's data is a "+message+" as JSON, its id the log's sequence. `event: reset` asks the client to read everything again; "+
			"`event: error` carries a Problem and ends the stream; comments are heartbeats."), "x-data", ref(message), "example", exampleStream)
	return of(mediaEvents, events, mediaLines, lines), "A stream that goes on until either side ends it."
}

// lineName is the name of the schema of a stream's line: VerifyProgressLine.
func lineName(op *operation) string { return string(op.method.Name()) + "Line" }

// addLines adds the schemas of the lines of streams.
func addLines(components *object, operations []*operation) {
	for _, op := range operations {
		if op.lines() {
			components.set(lineName(op), of("type", "object", "description", "One line of the stream: a message, or the error that ends it.",
				"properties", of(
					"result", of("$ref", "#/components/schemas/"+componentName(op.method.Output(), answered)),
					"error", of("$ref", "#/components/schemas/Problem"))))
		}
	}
}
