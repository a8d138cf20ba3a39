package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
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
	// maxUnfolded is how many nodes, and maxUnfoldedText how many bytes of their text, aliases
	// may repeat in one import.
	maxUnfolded     = 100_000
	maxUnfoldedText = 1 << 20
	// maxFaults ends the reading of text that is something else altogether.
	maxFaults = 1000
)

const (
	listModules   = "modules"
	listPaths     = "paths"
	byteOrderMark = "\uFEFF"
)

// moment is a time as RFC 3339 writes it.
type moment struct{ time.Time }

// source is a file. Its content is never copied as a whole: what is parsed at once is a piece.
type source struct {
	name, content string
	// json is true of what begins as JSON does.
	json bool
}

// reader reads the files of one import.
type reader struct {
	doc        catalog.Sources
	violations errs.List
	unreadable bool
	// refused ends the reading: a limit is exceeded.
	refused bool
	// entries, documents, whole (bytes of files that are read whole, and wholeParts of their
	// nodes), unfolded and unfoldedText are what the limits are of.
	entries, documents, whole, wholeParts, unfolded, unfoldedText int
	fields                                                        fieldsByType
	// texts are ids of modules, each once.
	texts map[string]string
	// parsed are the elements of the piece, and reread the entry, whose places were asked for last.
	parsed   []*yaml.Node
	parsedOf piece
	reread   *entry
	rereadOf where
}

func newReader() *reader { return &reader{fields: fieldsByType{}, texts: map[string]string{}} }

// Read implements catalog.Documents. It parses one entry after another, and keeps their contents
// as JSON.
func (Codec) Read(files []catalog.File) (catalog.Sources, errs.List, bool) {
	r := newReader()
	plans := make([]plan, 0, len(files))
	for _, f := range files {
		if !r.refused && r.isText(f) {
			plans = append(plans, r.plan(newSource(f)))
		}
	}
	for _, p := range plans {
		if !r.refused {
			r.file(p)
		}
	}
	if r.refused {
		r.doc = catalog.Sources{}
	}
	return r.doc, r.violations, !r.unreadable
}

func newSource(f catalog.File) *source {
	start := strings.TrimLeft(f.Content, " \t\r\n"+byteOrderMark)
	return &source{name: f.Name, content: f.Content, json: strings.HasPrefix(start, "{")}
}

// lose notes a fault because of which a part of a file is not read.
func (r *reader) lose(file string, line, column int, reason, description string) {
	r.unreadable = true
	r.violations.Add(errs.Violation{
		Field: fmt.Sprintf("%s:%d:%d", file, line, column), Reason: reason, Description: description,
	})
}

// refuse is lose of all: a limit is exceeded.
func (r *reader) refuse(file string, line, column int, description string) {
	r.refused = true
	r.lose(file, line, column, errs.ReasonTooDeepOrLarge, description)
}

// isText reports whether a file holds text, and faults it if not.
func (r *reader) isText(f catalog.File) bool {
	at, reason, what := invalidUTF8(f.Content), errs.ReasonInvalidUTF8, "must be UTF-8 text"
	if at < 0 {
		at, reason, what = strings.IndexByte(f.Content, 0), errs.ReasonNULCharacter, "must not contain the character NUL"
	}
	if at < 0 {
		return true
	}
	line, column := position(f.Content, at)
	r.lose(f.Name, line, column, reason, what)
	return false
}

// plan is how a file is read: by its pieces, or whole, because of a problem.
type plan struct {
	file      *source
	pieces    []piece
	documents int // of the pieces
	whole     *problem
}

func (r *reader) plan(f *source) plan {
	entries, documents := r.entries, r.documents
	pieces, why := r.split(f)
	switch {
	case why == nil:
		return plan{file: f, pieces: pieces, documents: r.documents - documents}
	case why.final:
		r.refuse(f.name, why.line, why.column, why.what)
	default:
		r.entries, r.documents = entries, documents // they are counted when they are read
	}
	return plan{file: f, whole: why}
}

func (r *reader) file(p plan) {
	before := *r
	why := p.whole
	index := 0
	for _, piece := range p.pieces {
		if index++; piece.first {
			index = 0
		}
		if r.violations.Len() >= maxFaults || r.refused {
			return
		}
		if why = r.piece(piece, &index); why != nil {
			break
		}
	}
	if why == nil || r.refused {
		return
	}
	if len(p.file.content) > maxPiece {
		r.unsplit(p, why)
		return
	}
	// What was read of the pieces is read again.
	r.doc, r.violations, r.unreadable, r.entries = before.doc, before.violations, before.unreadable, before.entries-len(p.pieces)
	r.documents -= p.documents
	r.wholeFile(p.file)
}

// unsplit faults a file that is too large to be read whole, and cannot be read otherwise.
func (r *reader) unsplit(p plan, why *problem) {
	if p.whole == nil { // a piece cannot be parsed
		r.lose(p.file.name, why.line, why.column, errs.ReasonSyntax, why.what)
		return
	}
	r.refuse(p.file.name, why.line, why.column, fmt.Sprintf(
		"%s; a file of more than %d bytes has its modules and paths in lists whose entries begin with a dash on a line of their own, or is JSON", why.what, maxPiece))
}

// piece reads one entry; index is its place in its list. It returns what is wrong with the text,
// which may be that it is a part of something else.
func (r *reader) piece(p piece, index *int) *problem {
	if !r.admits(p) {
		return nil
	}
	roots, why := parse(p)
	if why != nil {
		return why
	}
	for i, element := range roots {
		if i > 0 { // their line ends with a character that only YAML takes for an end
			*index++
		}
		r.element(where{p, i}, fmt.Sprintf("%s[%d]", p.list, *index), element)
	}
	return nil
}

// admits reports whether a piece is within the limits, and refuses it if not.
func (r *reader) admits(p piece) bool {
	text := p.text()
	switch parts, depth := countParts(text), deepest(text); {
	case parts > maxParts:
		r.refuse(p.file.name, p.line+1, p.column+1, fmt.Sprintf(
			"a module or path, or a file that is read whole, has at most %d parts, and this has some %d", maxParts, parts))
	case depth > maxDepth:
		r.refuse(p.file.name, p.line+1, p.column+1, fmt.Sprintf("lists and mappings are at most %d deep in each other", maxDepth))
	default:
		return true
	}
	return false
}

// parse returns the entries of a piece, with their places in the file.
func parse(p piece) ([]*yaml.Node, *problem) {
	text := p.text()
	if p.file.json {
		if !json.Valid([]byte(text)) {
			return nil, &problem{line: p.line + 1, column: p.column + 1, what: "the entry that begins here is not valid JSON"}
		}
		text = string(asYAML([]byte(text)))
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	var node yaml.Node
	err := decoder.Decode(&node)
	if err == nil {
		if err = decoder.Decode(&yaml.Node{}); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			err = errors.New("a second document begins in it")
		}
	}
	if err != nil {
		line, what := syntax(err)
		return nil, &problem{line: p.line + line, column: 1, what: what}
	}
	move(&node, p.line, p.column)
	root := node.Content[0]
	switch {
	case p.file.json:
		return []*yaml.Node{root}, nil
	case root.Kind != yaml.SequenceNode:
		return nil, &problem{line: p.line + 1, column: 1, what: "the entry that begins here is not one of a list"}
	}
	return root.Content, nil
}

// move puts nodes where they are in the file.
func move(node *yaml.Node, lines, columns int) {
	if node.Line == 1 {
		node.Column += columns
	}
	node.Line += lines
	for _, child := range node.Content {
		move(child, lines, columns)
	}
}

// where is an entry in a piece: the position among its elements, or in a file that is read whole
// the position among all of its entries.
type where struct {
	piece piece
	nr    int
}

// wholeFile reads a file as a tree: aliases may go from one entry to another.
func (r *reader) wholeFile(f *source) {
	p := piece{file: f, end: len(f.content)}
	if !r.admits(p) {
		return
	}
	r.whole += len(f.content)
	r.wholeParts += countParts(f.content)
	if r.whole > maxPiece || r.wholeParts > maxParts {
		r.refuse(f.name, 1, 1, fmt.Sprintf("files that are read whole have together at most %d bytes and %d parts", maxPiece, maxParts))
		return
	}
	nr := 0
	for root, err := range documents(f) {
		if err != nil {
			line, what := syntax(err)
			r.lose(f.name, line, 1, errs.ReasonSyntax, what)
			return
		}
		if r.documents++; r.documents > maxDocuments {
			r.refuse(f.name, root.Line, root.Column, fmt.Sprintf("an import has at most %d documents", maxDocuments))
		}
		if r.refused || r.violations.Len() >= maxFaults {
			return
		}
		r.document(f.name, root, func(at string, element *yaml.Node) {
			r.element(where{piece: p, nr: nr}, at, element)
			nr++
		})
	}
}

// documents goes over the roots of a file's documents.
func documents(f *source) iter.Seq2[*yaml.Node, error] {
	return func(yield func(*yaml.Node, error) bool) {
		decoder := yaml.NewDecoder(bytes.NewReader(asYAML([]byte(f.content))))
		for {
			var node yaml.Node
			err := decoder.Decode(&node)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(node.Content[0], nil) {
				return
			}
		}
	}
}

// document visits the entries of one document of a file that is read whole.
func (r *reader) document(file string, root *yaml.Node, visit func(at string, element *yaml.Node)) {
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
			if r.entries++; r.entries > maxEntries {
				r.refuse(file, element.Line, element.Column, fmt.Sprintf("an import has at most %d modules and paths; send the others in another", maxEntries))
			}
			if r.refused {
				return
			}
			if pair.value.Kind == yaml.AliasNode {
				element = &yaml.Node{Kind: yaml.AliasNode, Alias: element, Line: element.Line, Column: element.Column}
			}
			visit(fmt.Sprintf("%s[%d]", name, i), element)
		}
	}
}

// element reads a module or path.
func (r *reader) element(w where, at string, node *yaml.Node) {
	e := r.entry(w.piece.file.name, at)
	place := func(field string) (string, bool) { return r.again(w, at).place(field) }
	if strings.HasPrefix(at, listModules) {
		var doc moduleDoc
		if e.read(node, &doc) {
			source := pack(e, doc.ID, doc.ModuleContent, place)
			source.Publication = catalog.Publication{ChangeClass: doc.ChangeClass, Retake: doc.Retake, EffectiveTime: doc.EffectiveTime.Time}
			source.References = r.each(doc.References())
			r.doc.Modules = append(r.doc.Modules, source)
		}
		return
	}
	var doc pathDoc
	if e.read(node, &doc) {
		r.doc.Paths = append(r.doc.Paths, pack(e, doc.ID, doc.PathContent, place))
	}
}

// pack keeps an entry's content as JSON.
func pack[C catalog.Content[C]](e *entry, id string, content C, place func(string) (string, bool)) catalog.Source[C] {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(content); err != nil { // texts and finite numbers: cannot happen
		panic(err)
	}
	return catalog.Source[C]{ID: strings.Clone(id), JSON: bytes.Clone(bytes.TrimSpace(text.Bytes())), Faulty: len(e.bad) > 0, Place: place}
}

// each returns the same texts as were given before for the same ids.
func (r *reader) each(ids []string) []string {
	for i, id := range ids {
		if known, ok := r.texts[id]; ok {
			ids[i] = known
		} else {
			r.texts[id] = id
		}
	}
	return slices.Clip(ids)
}

// again reads an entry once more, for the places of its fields: to keep those of all entries
// would cost more than the text.
func (r *reader) again(w where, at string) *entry {
	if r.reread != nil && r.rereadOf == w {
		return r.reread
	}
	if r.parsed == nil || r.parsedOf != w.piece {
		r.parsed, r.parsedOf = elements(w.piece), w.piece
	}
	e := newReader().entry(w.piece.file.name, at)
	if w.nr < len(r.parsed) {
		if node := r.parsed[w.nr]; strings.HasPrefix(at, listModules) {
			e.read(node, &moduleDoc{})
		} else {
			e.read(node, &pathDoc{})
		}
	}
	r.reread, r.rereadOf = e, w
	return e
}

// elements are the entries of a piece that was read before.
func elements(p piece) []*yaml.Node {
	if p.list != "" {
		found, _ := parse(p)
		return found
	}
	var found []*yaml.Node
	again := newReader()
	for root, err := range documents(p.file) {
		if err != nil {
			break
		}
		again.document(p.file.name, root, func(_ string, element *yaml.Node) { found = append(found, element) })
	}
	return found
}

// invalidUTF8 is where the first byte is that is none of UTF-8; -1 for none.
func invalidUTF8(text string) int {
	if utf8.ValidString(text) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRuneInString(text[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
}

// position counts lines and columns from 1, columns in characters.
func position(text string, at int) (line, column int) {
	before := text[:at]
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1
}

// countParts is about how many nodes the text has, before it is parsed: a node that is
// neither on a line of its own nor after one of these marks, or a key's value, there cannot be.
func countParts(text string) int {
	n := strings.Count(text, "- ")
	for _, mark := range []string{"\n", ",", "[", "{", "?"} {
		n += strings.Count(text, mark)
	}
	return n
}

// deepest is at least how deep lists and mappings are in each other where they can be so at little
// cost: by brackets, and by dashes and question marks on one line.
func deepest(text string) int {
	most, brackets, marks := 0, 0, 0
	for i := range len(text) {
		switch text[i] {
		case '[', '{':
			brackets++
		case ']', '}':
			brackets = max(0, brackets-1)
		case ' ':
			if i > 0 && (text[i-1] == '-' || text[i-1] == '?') {
				marks++
			}
		case '-', '?':
		default:
			marks = 0
		}
		most = max(most, brackets, marks)
	}
	return most
}

// asYAML makes JSON what YAML reads the same: of escapes that YAML has not comes their
// character, of the characters that it takes for line ends their escape, and of tabs a space. What is
// no JSON stays as it is.
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
		case r == '\t': // between tokens alone, and not everywhere allowed there
			out = append(out, ' ')
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
