package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// comments are the comments of proto/, from the files of protoc-gen-openapiv3.
type comments struct {
	types      map[protoreflect.FullName]string
	fields     map[protoreflect.FullName]map[string]string // by JSON name
	operations map[string]string                           // by raw operation id
	inputs     map[string]map[string]string                // parameters and inline bodies, by raw operation id and JSON name
}

// raw is the part of a raw OpenAPI file that holds comments.
type raw struct {
	Paths      map[string]map[string]rawOperation `json:"paths"`
	Components struct {
		Schemas map[string]rawSchema `json:"schemas"`
	} `json:"components"`
}

type rawOperation struct {
	OperationID string `json:"operationId"`
	Summary     string `json:"summary"`
	Parameters  []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"parameters"`
	RequestBody struct {
		Content map[string]struct {
			Schema rawSchema `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
}

type rawSchema struct {
	Description string               `json:"description"`
	Properties  map[string]rawSchema `json:"properties"`
}

// readComments reads all files below dir.
func readComments(dir string) (*comments, error) {
	w := &comments{
		types: map[protoreflect.FullName]string{}, fields: map[protoreflect.FullName]map[string]string{},
		operations: map[string]string{}, inputs: map[string]map[string]string{},
	}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".json" {
			return err
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		var file raw
		if err := json.Unmarshal(text, &file); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		w.add(file)
		return nil
	})
	if err == nil && len(w.operations) == 0 {
		err = fmt.Errorf("no raw descriptions in %s: run buf first", dir)
	}
	return w, err
}

func (w *comments) add(file raw) {
	for name, schema := range file.Components.Schemas {
		full := protoreflect.FullName(name)
		w.types[full] = schema.Description
		w.fields[full] = descriptions(schema)
	}
	for _, methods := range file.Paths {
		for _, op := range methods {
			w.operations[op.OperationID] = op.Summary
			inputs := map[string]string{}
			for _, p := range op.Parameters {
				inputs[p.Name] = p.Description
			}
			for _, content := range op.RequestBody.Content {
				maps.Copy(inputs, descriptions(content.Schema))
			}
			w.inputs[op.OperationID] = inputs
		}
	}
}

func descriptions(s rawSchema) map[string]string {
	all := map[string]string{}
	for name, property := range s.Properties {
		all[name] = property.Description
	}
	return all
}

// snake finds names as proto spells them.
var snake = regexp.MustCompile(`\b[a-z]+(_[a-z]+)+\b`)

// rest rewrites a comment for readers of JSON: names in lowerCamelCase, and its lines as
// one paragraph.
func rest(comment string) string {
	comment = strings.Join(strings.Fields(comment), " ")
	return snake.ReplaceAllStringFunc(comment, func(name string) string {
		parts := strings.Split(name, "_")
		for i, p := range parts[1:] {
			parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
		}
		return strings.Join(parts, "")
	})
}

// typeWords describes a message or an enum: "Module is a thing to learn" reads "A
// thing to learn" under the heading Module.
func (w *comments) typeWords(full protoreflect.FullName) string {
	text := rest(w.types[full])
	if cut, found := strings.CutPrefix(text, string(full.Name())+" is "); found {
		return sentence(cut)
	}
	return text
}

// operationWords returns a heading made of the RPC's name, "Get path progress", and
// its comment without the name.
func (w *comments) operationWords(m protoreflect.MethodDescriptor) (summary, description string) {
	name := string(m.Name())
	var heading strings.Builder
	for i, r := range strings.TrimPrefix(name, "Batch") { // the path has it already
		if i > 0 && unicode.IsUpper(r) {
			heading.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		heading.WriteRune(r)
	}
	return heading.String(), sentence(strings.TrimPrefix(rest(w.operations[rawID(m)]), name+" "))
}

func rawID(m protoreflect.MethodDescriptor) string {
	return string(m.Parent().Name()) + "_" + string(m.Name())
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
