package main

import (
	_ "embed" // for examples.json
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// example is a request and a response of one operation, as JSON.
type example struct {
	Request  json.RawMessage `json:"request"`
	Response json.RawMessage `json:"response"`
}

const exampleYAML = `modules:
  - id: hipaa-foundations
    topic: hipaa
    title: HIPAA foundations
    level: FOUNDATION
    roles: [clinical-ai-engineer]
    units:
      - id: phi
        title: What counts as PHI
        kind: READING
        duration: PT15M
paths:
  - id: clinical-ai-engineer
    title: Clinical AI engineer
    roles: [clinical-ai-engineer]
    milestones:
      - id: foundations
        title: Foundations
        groups:
          - moduleIds: [hipaa-foundations]
`

const exampleStream = `retry: 3000
: open

id: 42
data: {"kind":"ENTRY","sequence":"42","entry":{"sequence":"42","type":"EVENT"},"awards":[],"logId":"8f0f8a52-4f0c-5b21-9c0d-3f6a7c1e2b94"}

: ping

`

//go:embed examples.json
var examplesJSON []byte

// readExamples gives those of the routes that a developer meets first, by operation id.
func readExamples() (map[string]example, error) {
	all := map[string]example{}
	if err := json.Unmarshal(examplesJSON, &all); err != nil {
		return nil, fmt.Errorf("examples.json: %w", err)
	}
	return all, nil
}

// unused are the examples whose operation is not among names.
func unused(examples map[string]example, names map[string]bool) []string {
	var found []string
	for id := range examples {
		if !names[id] {
			found = append(found, id)
		}
	}
	slices.Sort(found)
	return found
}

// checked gives an example back, compact, and refuses one that the services would
// not understand; nil stays nil.
func checked(md protoreflect.MessageDescriptor, text json.RawMessage) (json.RawMessage, error) {
	if text == nil {
		return nil, nil
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(text, kind.New().Interface()); err != nil {
		return nil, fmt.Errorf("example of %s: %w", md.FullName(), err)
	}
	return text, nil
}
