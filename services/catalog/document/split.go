package document

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of one import. A catalog of a hospital network, 5,000 modules of 30 units, is
// within a quarter of the first and a hundredth of the others.
const (
	// maxEntries is how many modules and paths the files may have together.
	maxEntries = 20_000
	// maxDocuments is how many documents the files may have together.
	maxDocuments = 1000
	// maxPiece is how many bytes of text are parsed at once: a module, a path, or a file that
	// cannot be read entry by entry.
	maxPiece = 1 << 20
	// maxParts is about how many nodes a piece may have. A node takes some 200 bytes of
	// memory, which two bytes of text can make.
	maxParts = 25_000
	// maxDepth is how deep lists and mappings may be in each other; a path has five.
	maxDepth = 100
)

// piece is the text of an entry, or of a whole file.
type piece struct {
	file *source
	// list is "modules" or "paths", and "" of a whole file; first is true of its first entry.
	list  string
	first bool
	// start and end are where in the file it is.
	start, end int
	// line and column are how many come before it.
	line, column int
}

func (p piece) text() string { return p.file.content[p.start:p.end] }

// problem is why a text is refused, or cannot be taken apart.
type problem struct {
	line, column int
	what         string
	// final is true where the text is refused.
	final bool
}

// splitter takes a file apart without parsing it, so that only one entry at a time need be
// parsed. It knows what people and programs write: lists named modules and paths whose entries
// begin with a dash, each on a line of its own and all at one indentation; and JSON. What it
// finds there are the entries that a YAML parser finds, or else its pieces cannot be parsed: a
// quote or bracket that is open at the end of one is not closed in it.
type splitter struct {
	*source
	reader *reader
	at     int
	// line and column are those of at, from 0.
	line, column int
	pieces       []piece
	seen         map[string]bool
}

// split returns the pieces of a file, or why there are none.
func (r *reader) split(f *source) ([]piece, *problem) {
	s := &splitter{source: f, reader: r, seen: map[string]bool{}, at: len(f.content) - len(strings.TrimPrefix(f.content, byteOrderMark))}
	how := s.splitYAML
	if f.json {
		how = s.splitJSON
	}
	why := how()
	return s.pieces, why
}

// cannot is the problem of a text that has another form.
func (s *splitter) cannot(what string) *problem {
	return &problem{line: s.line + 1, column: s.column + 1, what: what}
}

// add notes a piece, unless there are too many or it is too long.
func (s *splitter) add(p piece) *problem {
	if s.reader.entries++; s.reader.entries > maxEntries {
		return &problem{p.line + 1, p.column + 1, fmt.Sprintf("an import has at most %d modules and paths; send the others in another", maxEntries), true}
	}
	if p.end-p.start > maxPiece {
		return &problem{p.line + 1, p.column + 1, fmt.Sprintf("a module or path has at most %d bytes of text", maxPiece), true}
	}
	p.file = s.source
	s.pieces = append(s.pieces, p)
	return nil
}

// blocks is where the splitter is in a text of YAML's block style.
type blocks struct {
	// list is the list that is open; "" outside of one, and in one that is empty.
	list string
	// indent is that of its entries; -1 before the first.
	indent int
	// open is the entry that was begun.
	open *piece
	// ended is true after "...": then only "---" begins something.
	ended bool
}

func (s *splitter) splitYAML() *problem {
	b := &blocks{indent: -1}
	for s.at < len(s.content) {
		end := len(s.content)
		if n := strings.IndexByte(s.content[s.at:], '\n'); n >= 0 {
			end = s.at + n + 1
		}
		line := s.content[s.at:end]
		if hidesMarker(line) {
			return s.cannot("a document ends or begins within a line, after a character that ends a line in YAML alone")
		}
		if why := s.readLine(b, strings.TrimRight(line, "\r\n")); why != nil {
			return why
		}
		if b.open == nil && strings.ContainsFunc(strings.TrimRight(line, "\r\n"), isOdd) { // a parser sees no more of the line
			return s.cannot("a line has a character that ends a line, or that YAML does not have")
		}
		s.line += breaks(line)
		s.at = end
	}
	return s.close(b)
}

func (s *splitter) readLine(b *blocks, line string) *problem {
	rest := strings.TrimLeft(line, " ")
	indent := len(line) - len(rest)
	switch {
	case isMarker(line):
		if why := s.close(b); why != nil {
			return why
		}
		*b = blocks{indent: -1, ended: line[0] == '.'}
		return s.nextDocument(line)
	case rest == "" || rest[0] == '#':
		return nil
	case b.ended:
		return s.cannot("a document that comes after ... begins with ---")
	case indent == 0 && rest[0] != '-':
		return s.readKey(b, line)
	case b.list != "" && (rest == "-" || strings.HasPrefix(rest, "- ")) && (b.indent < 0 || indent == b.indent):
		if why := s.close(b); why != nil {
			return why
		}
		b.open = &piece{list: b.list, first: b.indent < 0, start: s.at, line: s.line}
		b.indent = indent
		return nil
	case b.open != nil && indent > b.indent:
		return nil
	}
	return s.cannot("this line is neither an entry, at the indentation of the first one, nor a part of one")
}

// isOdd reports whether a character is a control character, or ends a line in YAML alone.
func isOdd(r rune) bool {
	return unicode.IsControl(r) && r != '\t' || r == '\u2028' || r == '\u2029' || r == '\uFEFF' || r == '\uFFFE' || r == '\uFFFF'
}

// hidesMarker reports whether a line of the file has a marker at the beginning of what is a line to
// YAML alone.
func hidesMarker(line string) bool {
	isBreak := func(r rune) bool { return r == '\r' || r == '\u0085' || r == '\u2028' || r == '\u2029' }
	for i := strings.IndexFunc(line, isBreak); i >= 0; i = strings.IndexFunc(line, isBreak) {
		_, size := utf8.DecodeRuneInString(line[i:])
		line = line[i+size:]
		end := strings.IndexFunc(line, unicode.IsSpace)
		if end == len("---") && isMarker(line[:end]) || isMarker(line) {
			return true
		}
	}
	return false
}

// isMarker reports whether a line ends a document, or begins one.
func isMarker(line string) bool {
	if !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "...") {
		return false
	}
	return len(line) == 3 || line[3] == ' ' || line[3] == '\t'
}

func (s *splitter) nextDocument(line string) *problem {
	if s.reader.documents++; s.reader.documents > maxDocuments {
		return &problem{s.line + 1, 1, fmt.Sprintf("an import has at most %d documents", maxDocuments), true}
	}
	if line[0] == '.' && len(s.seen) == 0 {
		return s.cannot("a document ends that has nothing in it")
	}
	clear(s.seen)
	if rest := strings.TrimSpace(line[3:]); rest != "" && rest[0] != '#' {
		return s.cannot("a document begins on the line of its marker")
	}
	return nil
}

// readKey reads "modules:" and its like.
func (s *splitter) readKey(b *blocks, line string) *problem {
	name, value, ok := strings.Cut(line, ":")
	if !ok || name != listModules && name != listPaths || s.seen[name] {
		return s.cannot("this line is neither modules: nor paths:, once each")
	}
	if why := s.close(b); why != nil {
		return why
	}
	if value != "" && value[0] != ' ' {
		return s.cannot("this line is neither modules: nor paths:, once each")
	}
	s.seen[name] = true
	*b = blocks{list: name, indent: -1}
	value, _, _ = strings.Cut(value+" ", " #")
	switch strings.TrimSpace(value) {
	case "":
	case "[]", "~", "null":
		b.list = ""
	default:
		return s.cannot("the entries of a list do not begin on lines of their own")
	}
	return nil
}

// close ends the entry that is open.
func (s *splitter) close(b *blocks) *problem {
	if b.open == nil {
		return nil
	}
	p := *b.open
	p.end, b.open = s.at, nil
	return s.add(p)
}

// breaks is how many lines end in a text, as YAML counts them.
func breaks(text string) int {
	n := strings.Count(text, "\n")
	if strings.IndexByte(text, '\r') >= 0 {
		n += strings.Count(text, "\r") - strings.Count(text, "\r\n")
	}
	for _, odd := range []string{"\u0085", "\u2028", "\u2029"} {
		n += strings.Count(text, odd)
	}
	return n
}

// splitJSON reads {"modules": […], "paths": […]}. Whether the entries are JSON is seen when
// they are parsed.
func (s *splitter) splitJSON() *problem {
	if !s.take('{') {
		return s.cannot("the text is no object")
	}
	for more := !s.take('}'); more; {
		s.space()
		name := s.value()
		if name != `"`+listModules+`"` && name != `"`+listPaths+`"` || s.seen[name] {
			return s.cannot("there is something beside modules and paths, once each")
		}
		s.seen[name] = true
		s.skip(s.at + len(name))
		if line := s.line; !s.take(':') || s.line > line { // YAML wants it there
			return s.cannot("a colon is missing on the line of its name")
		}
		if why := s.readList(name[1 : len(name)-1]); why != nil {
			return why
		}
		if more = s.take(','); !more && !s.take('}') {
			return s.cannot("a comma or bracket is missing")
		}
	}
	if s.space(); s.at < len(s.content) {
		return s.cannot("there is something after the object")
	}
	return nil
}

func (s *splitter) readList(name string) *problem {
	s.space()
	if value := s.value(); value == "null" {
		s.skip(s.at + len(value))
		return nil
	}
	if !s.take('[') {
		return s.cannot("what should be a list is none")
	}
	for more, first := !s.take(']'), true; more; first = false {
		s.space()
		value := s.value()
		if value == "" {
			return s.cannot("an entry is missing")
		}
		if why := s.add(piece{list: name, first: first, start: s.at, end: s.at + len(value), line: s.line, column: s.column}); why != nil {
			return why
		}
		s.skip(s.at + len(value))
		if more = s.take(','); !more && !s.take(']') {
			return s.cannot("a comma or bracket is missing")
		}
	}
	return nil
}

func (s *splitter) space() {
	rest := strings.TrimLeft(s.content[s.at:], " \t\r\n")
	s.skip(len(s.content) - len(rest))
}

// take takes one character after space, if it is there.
func (s *splitter) take(c byte) bool {
	s.space()
	if s.at == len(s.content) || s.content[s.at] != c {
		return false
	}
	s.skip(s.at + 1)
	return true
}

// value is the value that begins here, without a look at what is in it; "" for none.
func (s *splitter) value() string {
	text := s.content[s.at:]
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted:
			if c == '\\' {
				i++
			}
			quoted = c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
			continue
		case c == '}' || c == ']':
			depth--
		case depth == 0 && strings.IndexByte(", :\t\r\n", c) >= 0:
			return text[:i]
		}
		if depth < 0 {
			return text[:i]
		}
		if depth == 0 && !quoted && strings.IndexByte("\"}]", text[i]) >= 0 {
			return text[:i+1]
		}
	}
	return ""
}

// skip goes on to a place, and counts lines and columns on the way. A carriage return ends a line here
// too, as it does for the parser; other ends of lines of YAML become escapes before it sees them.
func (s *splitter) skip(to int) {
	passed := s.content[s.at:to]
	if last := strings.LastIndexAny(passed, "\r\n"); last >= 0 {
		s.line += strings.Count(passed, "\n") + strings.Count(passed, "\r") - strings.Count(passed, "\r\n")
		s.column = 0
		passed = passed[last+1:]
	}
	s.column += utf8.RuneCountInString(passed)
	s.at = to
}
