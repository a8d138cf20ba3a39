package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

const (
	// maxNodes bounds how much a parsed import takes: a node is some 200 bytes, which
	// two bytes of text can make.
	maxNodes = 500_000
	// maxVisits bounds what aliases unfold to.
	maxVisits = 1_000_000
	// maxFaults ends the reading of text that is something else altogether.
	maxFaults = 1000
)

// moment is a time as RFC 3339 writes it.
type moment struct{ time.Time }

// reader reads the files of one import.
type reader struct {
	doc        catalog.Document
	violations []errs.Violation
	unreadable bool
	nodes      int
	visits     int
	fields     fieldsByType
}

// Read implements catalog.Documents.
func (Codec) Read(files []catalog.File) (catalog.Document, []errs.Violation, bool) {
	r := &reader{fields: fieldsByType{}}
	for _, f := range files {
		r.file(f)
	}
	return r.doc, r.violations, !r.unreadable
}

// lose notes a fault because of which a part of a file is not read.
func (r *reader) lose(file string, line, column int, reason, description string) {
	r.unreadable = true
	r.violations = append(r.violations, errs.Violation{
		Field: fmt.Sprintf("%s:%d:%d", file, line, column), Reason: reason, Description: description,
	})
}

func (r *reader) file(f catalog.File) {
	text := []byte(f.Content)
	if at := invalidUTF8(text); at >= 0 {
		line, column := position(text, at)
		r.lose(f.Name, line, column, errs.ReasonInvalidUTF8, "must be UTF-8 text")
		return
	}
	if at := bytes.IndexByte(text, 0); at >= 0 {
		line, column := position(text, at)
		r.lose(f.Name, line, column, errs.ReasonNULCharacter, "must not contain the character NUL")
		return
	}
	if r.nodes += countNodes(text); r.nodes > maxNodes {
		r.lose(f.Name, 1, 1, errs.ReasonTooDeepOrLarge, "the files hold too many parts to be read")
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(asYAML(text)))
	for len(r.violations) < maxFaults {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			line, problem := syntax(err)
			r.lose(f.Name, line, 1, errs.ReasonSyntax, problem)
			return
		}
		r.document(f.Name, node.Content[0])
	}
}

// document reads one document of a file.
func (r *reader) document(file string, root *yaml.Node) {
	if isNull(root) {
		return
	}
	if root.Kind != yaml.MappingNode {
		r.lose(file, root.Line, root.Column, errs.ReasonInvalidType, "must be a mapping with modules, paths or both")
		return
	}
	top := r.entry(file, "")
	for name, pair := range top.pairs(root, "", r.fields.of(fileDoc{})) {
		list := unalias(pair.value)
		if isNull(list) {
			continue
		}
		if list.Kind != yaml.SequenceNode {
			r.unreadable = true
			top.faultf(pair.key, name, errs.ReasonInvalidType, "must be a list")
			continue
		}
		for i, element := range list.Content {
			at := fmt.Sprintf("%s[%d]", name, i)
			if name == "modules" {
				r.module(file, at, element)
			} else {
				r.path(file, at, element)
			}
		}
	}
}

func (r *reader) module(file, at string, node *yaml.Node) {
	e := r.entry(file, at)
	var doc moduleDoc
	if !e.read(node, &doc) {
		return
	}
	r.doc.Modules = append(r.doc.Modules, catalog.Entry[catalog.ModuleContent]{
		ID: doc.ID, Content: doc.ModuleContent, Place: e.place,
		Publication: catalog.Publication{ChangeClass: doc.ChangeClass, Retake: doc.Retake, EffectiveTime: doc.EffectiveTime.Time},
	})
}

func (r *reader) path(file, at string, node *yaml.Node) {
	e := r.entry(file, at)
	var doc pathDoc
	if e.read(node, &doc) {
		r.doc.Paths = append(r.doc.Paths, catalog.Entry[catalog.PathContent]{ID: doc.ID, Content: doc.PathContent, Place: e.place})
	}
}

// invalidUTF8 is where the first byte is that is none of UTF-8; -1 for none.
func invalidUTF8(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
}

// position counts lines and columns from 1, columns in characters.
func position(text []byte, at int) (line, column int) {
	before := text[:at]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(before[start:]) + 1
}

// countNodes is about how many nodes the text has, before it is parsed: a node that is
// neither on a line of its own nor after one of these marks there cannot be.
func countNodes(text []byte) int {
	n := bytes.Count(text, []byte("- "))
	for _, mark := range []byte("\n,[{?") {
		n += bytes.Count(text, []byte{mark})
	}
	return n
}

// asYAML makes JSON what YAML reads the same: of escapes that YAML has not comes their
// character, and of the characters that it takes for line ends their escape. What is no
// JSON stays as it is.
func asYAML(text []byte) []byte {
	trimmed := bytes.TrimLeft(text, " \t\r\n\uFEFF")
	if !bytes.HasPrefix(trimmed, []byte("{")) || !json.Valid(trimmed) {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == '\u0085' || r == '\u2028' || r == '\u2029':
			out = fmt.Appendf(out, `\u%04x`, r)
		case r == '\\' && text[i+1] == '/':
			out, size = append(out, '/'), len(`\/`)
		case r == '\\' && text[i+1] == 'u':
			size = len(`\uD83D`)
			if pair, ok := surrogates(text[i:]); ok {
				out, size = utf8.AppendRune(out, pair), len(`\uD83D\uDE00`)
			} else {
				out = append(out, text[i:i+size]...)
			}
		case r == '\\':
			out, size = append(out, text[i], text[i+1]), 2
		default:
			out = append(out, text[i:i+size]...)
		}
		i += size
	}
	return out
}

// surrogates reads \uD83D\uDE00 and its like.
func surrogates(text []byte) (rune, bool) {
	if len(text) < 12 || text[1] != 'u' || text[6] != '\\' || text[7] != 'u' {
		return 0, false
	}
	high, err1 := strconv.ParseUint(string(text[2:6]), 16, 16)
	low, err2 := strconv.ParseUint(string(text[8:12]), 16, 16)
	r := utf16.DecodeRune(rune(high), rune(low))
	return r, err1 == nil && err2 == nil && r != utf8.RuneError
}

var lineOf = regexp.MustCompile(`^line (\d+): `)

// syntax reads the line out of the parser's message, which is the only place it is in.
func syntax(err error) (line int, problem string) {
	problem = strings.TrimPrefix(err.Error(), "yaml: ")
	found := lineOf.FindStringSubmatch(problem)
	if found == nil {
		return 1, problem
	}
	line, convErr := strconv.Atoi(found[1])
	if convErr != nil {
		line = 1
	}
	return line, strings.TrimPrefix(problem, found[0])
}
