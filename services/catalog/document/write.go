package document

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/preceptor-dev/preceptor/services/catalog"
)

const indent = 2

// Write implements catalog.Documents.
func (Codec) Write(doc catalog.Document, format catalog.Format) ([]byte, error) {
	var out fileDoc
	for _, m := range doc.Modules {
		out.Modules = append(out.Modules, moduleDoc{ID: m.ID, ModuleContent: m.Content, publicationDoc: publicationDoc{
			ChangeClass: m.Publication.ChangeClass, Retake: m.Publication.Retake,
			EffectiveTime: moment{m.Publication.EffectiveTime},
		}})
	}
	for _, p := range doc.Paths {
		out.Paths = append(out.Paths, pathDoc{ID: p.ID, PathContent: p.Content})
	}
	if format == catalog.FormatJSON {
		return toJSON(out)
	}
	return toYAML(out)
}

func toJSON(doc fileDoc) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", strings.Repeat(" ", indent))
	err := encoder.Encode(doc)
	return text.Bytes(), err
}

// toYAML writes one entry after another: the nodes of all would take twenty times their text.
func toYAML(doc fileDoc) ([]byte, error) {
	if len(doc.Modules)+len(doc.Paths) == 0 {
		return entryYAML(doc)
	}
	var out bytes.Buffer
	for i := range doc.Modules {
		if err := appendYAML(&out, i, fileDoc{Modules: doc.Modules[i : i+1]}); err != nil {
			return nil, err
		}
	}
	for i := range doc.Paths {
		if err := appendYAML(&out, i, fileDoc{Paths: doc.Paths[i : i+1]}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// appendYAML writes an entry, and before the first of a list the list's name.
func appendYAML(out *bytes.Buffer, i int, one fileDoc) error {
	text, err := entryYAML(one)
	if err != nil {
		return err
	}
	if i > 0 {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	out.Write(text)
	return nil
}

// entryYAML writes JSON as YAML for people: its fields stay in their order.
func entryYAML(doc fileDoc) ([]byte, error) {
	text, err := toJSON(doc)
	if err != nil {
		return nil, err
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	loosen(&root)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(indent)
	if err := encoder.Encode(&root); err != nil {
		return nil, err
	}
	err = encoder.Close()
	return out.Bytes(), err
}

// loosen takes JSON's quotes and brackets away where YAML reads the same without.
func loosen(node *yaml.Node) {
	if node.Kind != yaml.ScalarNode {
		node.Style = 0
	} else if isPlainText(node.Value) {
		node.Style = 0 // The encoder quotes what would be no text.
	}
	for _, child := range node.Content {
		loosen(child)
	}
}

// isPlainText leaves in quotes whatever a YAML reader may fold, trim or escape.
func isPlainText(text string) bool {
	if text != strings.TrimSpace(text) {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// sortByIndex puts names of fields in the order of their struct.
func sortByIndex(names []string, f fields) {
	slices.SortFunc(names, func(a, b string) int { return slices.Compare(f[a], f[b]) })
}
