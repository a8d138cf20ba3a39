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
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", strings.Repeat(" ", indent))
	if err := encoder.Encode(out); err != nil || format == catalog.FormatJSON {
		return text.Bytes(), err
	}
	return toYAML(text.Bytes())
}

// toYAML writes JSON as YAML for people: its fields stay in their order.
func toYAML(text []byte) ([]byte, error) {
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
	err := encoder.Close()
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
