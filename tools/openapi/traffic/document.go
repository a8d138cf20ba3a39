package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is the part of an OpenAPI document that a request or a response can deviate from.
type document struct {
	Paths      map[string]map[string]*operation `json:"paths"`
	Components struct {
		Responses map[string]*response `json:"responses"`
		Headers   map[string]*header   `json:"headers"`
	} `json:"components"`
}

type operation struct {
	ID          string       `json:"operationId"`
	Parameters  []*parameter `json:"parameters"`
	RequestBody *struct {
		Required bool              `json:"required"`
		Content  map[string]*media `json:"content"`
	} `json:"requestBody"`
	Responses map[string]*response `json:"responses"`

	method, path string
	match        *regexp.Regexp
	succeeded    bool
}

type parameter struct {
	Name     string          `json:"name"`
	In       string          `json:"in"`
	Required bool            `json:"required"`
	Schema   json.RawMessage `json:"schema"`

	check *jsonschema.Schema
}

type response struct {
	Ref     string             `json:"$ref"`
	Headers map[string]*header `json:"headers"`
	Content map[string]*media  `json:"content"`
}

type header struct {
	Ref      string          `json:"$ref"`
	Required bool            `json:"required"`
	Schema   json.RawMessage `json:"schema"`

	check *jsonschema.Schema
}

// media is a body of one media type: a value, or a stream of lines or of events.
type media struct {
	Schema json.RawMessage `json:"schema"`
	Line   json.RawMessage `json:"x-line"` //nolint:tagliatelle // OpenAPI's names of extensions
	Data   json.RawMessage `json:"x-data"` //nolint:tagliatelle // the same

	schema, line, data *jsonschema.Schema
}

const address = "openapi.json"

// compiler compiles the schemas in a document, each at its place, so that its references lead where
// they do in the document.
type compiler struct{ schemas *jsonschema.Compiler }

func newCompiler(text []byte) (*compiler, error) {
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	return &compiler{c}, c.AddResource(address, tree)
}

// at compiles the schema at a place, a list of names, unless there is none.
func (c *compiler) at(schema json.RawMessage, place ...string) (*jsonschema.Schema, error) {
	if schema == nil {
		return nil, nil //nolint:nilnil // no schema, and no error
	}
	var pointer strings.Builder
	for _, name := range place {
		pointer.WriteByte('/')
		for _, b := range []byte(strings.NewReplacer("~", "~0", "/", "~1").Replace(name)) {
			if strings.IndexByte("{}:%^ ", b) >= 0 {
				fmt.Fprintf(&pointer, "%%%02X", b)
			} else {
				pointer.WriteByte(b)
			}
		}
	}
	return c.schemas.Compile(address + "#" + pointer.String())
}

// readDocument reads a document, follows its references and compiles its schemas. Operations come with
// those first whose path is matched more closely.
func readDocument(text []byte) ([]*operation, *document, error) {
	d := &document{}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, nil, err
	}
	c, err := newCompiler(text)
	if err != nil {
		return nil, nil, err
	}
	for name, h := range d.Components.Headers {
		if h.check, err = c.at(h.Schema, "components", "headers", name, "schema"); err != nil {
			return nil, nil, err
		}
	}
	for name, r := range d.Components.Responses {
		if err := d.complete(c, r, "components", "responses", name); err != nil {
			return nil, nil, err
		}
	}
	var all []*operation
	for path, methods := range d.Paths {
		for method, op := range methods {
			op.method, op.path = strings.ToUpper(method), path
			op.match = template(path)
			if err := d.compile(c, op, method); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", op.ID, err)
			}
			all = append(all, op)
		}
	}
	if len(all) == 0 {
		return nil, nil, errors.New("the document has no operation")
	}
	slices.SortFunc(all, func(a, b *operation) int {
		if verbs := strings.Count(b.path, ":") - strings.Count(a.path, ":"); verbs != 0 {
			return verbs
		}
		return strings.Compare(a.path+a.method, b.path+b.method)
	})
	return all, d, nil
}

// template matches the paths of a template, and captures the parameters by their names.
func template(path string) *regexp.Regexp {
	return regexp.MustCompile("^" + regexp.MustCompile(`\\\{(\w+)\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "(?P<$1>[^/]+)") + "$")
}

func (d *document) compile(c *compiler, op *operation, method string) error {
	var err error
	for i, p := range op.Parameters {
		if p.check, err = c.at(p.Schema, "paths", op.path, method, "parameters", fmt.Sprint(i), "schema"); err != nil {
			return err
		}
	}
	if op.RequestBody != nil {
		if err := compileContent(c, op.RequestBody.Content, "paths", op.path, method, "requestBody"); err != nil {
			return err
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
			if op.Responses[status] = d.Components.Responses[name]; op.Responses[status] == nil {
				return fmt.Errorf("no response %s", r.Ref)
			}
			continue
		}
		if err := d.complete(c, r, "paths", op.path, method, "responses", status); err != nil {
			return err
		}
	}
	return nil
}

// complete follows the references of a response's headers, and compiles its schemas.
func (d *document) complete(c *compiler, r *response, place ...string) error {
	for name, h := range r.Headers {
		referred := d.Components.Headers[strings.TrimPrefix(h.Ref, "#/components/headers/")]
		if referred == nil {
			return fmt.Errorf("header %s is not one of components", name)
		}
		r.Headers[name] = referred
	}
	return compileContent(c, r.Content, place...)
}

func compileContent(c *compiler, content map[string]*media, place ...string) error {
	for kind, m := range content {
		at := func(name string) []string { return slices.Concat(place, []string{"content", kind, name}) }
		var failed [3]error
		m.schema, failed[0] = c.at(m.Schema, at("schema")...)
		m.line, failed[1] = c.at(m.Line, at("x-line")...)
		m.data, failed[2] = c.at(m.Data, at("x-data")...)
		if err := errors.Join(failed[:]...); err != nil {
			return err
		}
	}
	return nil
}
