package document

import (
	"fmt"
	"iter"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/nfc"
)

// entry reads one module or path, and remembers the place of everything.
type entry struct {
	*reader
	file string
	// at is the entry's place in the file: "modules[0]"; "" for the file itself.
	at    string
	spots map[string]spot
	// bad are the fields whose text is faulty.
	bad []string
	// unfolding is true within what an alias repeats.
	unfolding bool
}

type spot struct{ line, column int }

func (r *reader) entry(file, at string) *entry {
	return &entry{reader: r, file: file, at: at, spots: map[string]spot{}}
}

// place is catalog.Entry's: where the field is, or the nearest thing around it.
func (e *entry) place(field string) (place string, faulty bool) {
	path := e.at + "." + field
	for _, b := range e.bad {
		faulty = faulty || within(path, b) || within(b, path)
	}
	near := path
	at, ok := e.spots[near]
	for !ok && near != "" {
		near = near[:max(0, strings.LastIndexAny(near, ".["))]
		at, ok = e.spots[near]
	}
	return fmt.Sprintf("%s:%d:%d %s", e.file, at.line, at.column, path), faulty
}

// within reports whether a field is the other or a part of it.
func within(path, whole string) bool {
	rest, ok := strings.CutPrefix(path, whole)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// faultf notes that the text of a field is faulty.
func (e *entry) faultf(node *yaml.Node, path, reason, format string, args ...any) {
	e.bad = append(e.bad, path)
	e.violations.Add(errs.Violation{
		Field:       strings.TrimSuffix(fmt.Sprintf("%s:%d:%d %s", e.file, node.Line, node.Column, path), " "),
		Reason:      reason,
		Description: fmt.Sprintf(format, args...),
	})
}

// read fills the struct that into points to; false when the node is no mapping, and
// nothing can be said about what it would be.
func (e *entry) read(node *yaml.Node, into any) bool {
	e.spots[e.at] = spot{node.Line, node.Column}
	if node.Kind == yaml.AliasNode {
		e.unfolding = true
		node = unalias(node)
	}
	if node.Kind != yaml.MappingNode {
		e.unreadable = true
		e.faultf(node, e.at, errs.ReasonInvalidType, "must be a mapping")
		return false
	}
	e.value(node, e.at, reflect.ValueOf(into).Elem())
	return true
}

// value reads a node that is not null.
func (e *entry) value(node *yaml.Node, path string, into reflect.Value) {
	if e.refused {
		return
	}
	if node.Kind == yaml.AliasNode && !e.unfolding {
		e.unfolding = true
		defer func() { e.unfolding = false }()
	}
	node = unalias(node)
	if e.unfolding && !e.unfold(node, path) {
		return
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	if at, ok := reflect.TypeAssert[*moment](into.Addr()); ok {
		e.time(node, path, at)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		e.object(node, path, into)
	case reflect.Slice:
		e.list(node, path, into)
	case reflect.String:
		e.text(node, path, into)
	default:
		e.scalar(node, path, into)
	}
}

// unfold counts a node that an alias repeats, and reports whether the import may have it.
func (e *entry) unfold(node *yaml.Node, path string) bool {
	e.unfolded++
	e.unfoldedText += len(node.Value)
	e.refused = e.unfolded > maxUnfolded || e.unfoldedText > maxUnfoldedText
	if e.refused {
		e.unreadable = true
		e.faultf(node, path, errs.ReasonTooDeepOrLarge, "the aliases of an import unfold to at most %d parts and %d bytes of text", maxUnfolded, maxUnfoldedText)
	}
	return !e.refused
}

func (e *entry) object(node *yaml.Node, path string, into reflect.Value) {
	if node.Kind != yaml.MappingNode {
		e.faultf(node, path, errs.ReasonInvalidType, "must be a mapping")
		return
	}
	known := e.fields.of(into.Interface())
	for name, pair := range e.pairs(node, path, known) {
		field := path + "." + name
		e.spots[field] = spot{pair.key.Line, pair.key.Column}
		if !isNull(unalias(pair.value)) {
			e.value(pair.value, field, into.FieldByIndex(known[name]))
		}
	}
}

func (e *entry) list(node *yaml.Node, path string, into reflect.Value) {
	if node.Kind != yaml.SequenceNode {
		e.faultf(node, path, errs.ReasonInvalidType, "must be a list")
		return
	}
	list := reflect.MakeSlice(into.Type(), len(node.Content), len(node.Content))
	for i, element := range node.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		e.spots[at] = spot{element.Line, element.Column}
		if isNull(unalias(element)) {
			e.faultf(element, at, errs.ReasonInvalidType, "must not be empty")
			continue
		}
		e.value(element, at, list.Index(i))
	}
	into.Set(list)
}

func (e *entry) text(node *yaml.Node, path string, into reflect.Value) {
	switch {
	case node.Kind != yaml.ScalarNode:
		e.faultf(node, path, errs.ReasonInvalidType, "must be text")
	case node.ShortTag() != "!!str":
		e.faultf(node, path, errs.ReasonInvalidType, "must be text; put it in quotes")
	default:
		into.SetString(nfc.String(node.Value)) // here, since an escape may be a part of a character
	}
}

func (e *entry) scalar(node *yaml.Node, path string, into reflect.Value) {
	wants, tags := "a whole number", []string{"!!int"}
	switch into.Kind() {
	case reflect.Bool:
		wants, tags = "true or false", []string{"!!bool"}
	case reflect.Float64:
		wants, tags = "a number", []string{"!!int", "!!float"}
	default: // an int
	}
	ok := node.Kind == yaml.ScalarNode && slices.Contains(tags, node.ShortTag()) && node.Decode(into.Addr().Interface()) == nil
	if ok && into.Kind() == reflect.Float64 {
		ok = !math.IsInf(into.Float(), 0) && !math.IsNaN(into.Float())
	}
	if !ok {
		into.SetZero()
		e.faultf(node, path, errs.ReasonInvalidType, "must be %s", wants)
	}
}

func (e *entry) time(node *yaml.Node, path string, into *moment) {
	at, err := time.Parse(time.RFC3339, node.Value)
	tag := node.ShortTag()
	if node.Kind != yaml.ScalarNode || tag != "!!str" && tag != "!!timestamp" || err != nil {
		e.faultf(node, path, errs.ReasonInvalidType, "must be a time such as 2026-01-31T09:00:00Z")
		return
	}
	into.Time = at
}

// pair is a key of a mapping with its value.
type pair struct{ key, value *yaml.Node }

// pairs goes over the fields of the mapping at the path that are known, and faults
// all others.
func (e *entry) pairs(node *yaml.Node, at string, known fields) iter.Seq2[string, pair] {
	return func(yield func(string, pair) bool) {
		seen := map[string]bool{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			p := pair{node.Content[i], node.Content[i+1]}
			name := p.key.Value
			path := strings.TrimPrefix(at+"."+name, ".")
			switch {
			case p.key.Kind != yaml.ScalarNode:
				e.faultf(p.key, at, errs.ReasonInvalidType, "a field's name must be text")
			case known[name] == nil:
				e.faultf(p.key, path, errs.ReasonUnknownField, "there is no such field here; there are %s", known)
			case seen[name]:
				e.faultf(p.key, path, errs.ReasonDuplicateField, "is said twice")
			default:
				seen[name] = true
				if !yield(name, p) {
					return
				}
			}
			if e.violations.Len() >= maxFaults {
				e.unreadable = true
				return
			}
		}
	}
}

func unalias(node *yaml.Node) *yaml.Node {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// fields are a struct's, by their JSON names.
type fields map[string][]int

// String lists the names in the order of the struct.
func (f fields) String() string {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	sortByIndex(names, f)
	return strings.Join(names, ", ")
}

// fieldsByType caches the fields of each type.
type fieldsByType map[reflect.Type]fields

func (k fieldsByType) of(value any) fields {
	t := reflect.TypeOf(value)
	if known, ok := k[t]; ok {
		return known
	}
	found := fields{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			found[name] = f.Index
		}
	}
	k[t] = found
	return found
}
