package document

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/services/catalog"
)

// both reads a text entry by entry, where that can be done, and as one tree. Each line is an
// entry with its place, or a violation.
func both(text string) (pieces, whole []string, split bool) {
	f := newSource(catalog.File{Name: "f.yaml", Content: text})
	byPieces := newReader()
	p := byPieces.plan(f)
	if p.whole != nil {
		return nil, nil, false
	}
	index := 0
	for _, piece := range p.pieces {
		if index++; piece.first {
			index = 0
		}
		if why := byPieces.piece(piece, &index); why != nil {
			return nil, nil, false
		}
	}
	tree := newReader()
	tree.wholeFile(f)
	return byPieces.lines(), tree.lines(), !byPieces.refused && !tree.refused
}

func (r *reader) lines() []string {
	var all []string
	for _, m := range r.doc.Modules {
		at, faulty := m.Place("units[0].title")
		all = append(all, fmt.Sprintf("%s at %s %t: %s %v", m.ID, at, faulty, m.JSON, m.Publication))
	}
	for _, p := range r.doc.Paths {
		at, faulty := p.Place("milestones")
		all = append(all, fmt.Sprintf("%s at %s %t: %s", p.ID, at, faulty, p.JSON))
	}
	for _, v := range r.violations.Named {
		all = append(all, v.Field+" "+v.Reason+" "+v.Description)
	}
	return append(all, fmt.Sprint(r.unreadable))
}

// TestSplit proves that texts as people and programs write them are read entry by entry, and that
// others are not.
func TestSplit(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		split bool
	}{
		"a list":                   {"modules:\n- id: a\n  title: A\n- id: b\npaths:\n- id: p\n", true},
		"indented":                 {"# ours\nmodules:\n  # the first\n  - id: a\n    title: A\n\n  - id: b\n", true},
		"no last line end":         {"modules:\n- id: a\n- id: b", true},
		"carriage returns":         {"modules:\r\n- id: a\r\n  title: A\r\n- id: b\r\n", true},
		"a block of text":          {"modules:\n- id: a\n  summary: |\n    - id: x\n\n    modules:\n- id: b\n", true},
		"a folded text":            {"modules:\n- id: a\n  title: one\n    two\n  summary: >-\n   x\n- id: b\n", true},
		"a quote over lines":       {"modules:\n- id: a\n  title: \"one\n    two\"\n- id: b\n", true},
		"documents":                {"modules:\n- id: a\n---\nmodules:\n- id: b\n...\n", true},
		"a document after an end":  {"modules:\n- id: a\n...\n# c\n---\nmodules:\n- id: b\n", true},
		"empty lists":              {"modules: []\npaths: ~ # none\n---\npaths:\n", true},
		"lists in an entry":        {"modules:\n- id: a\n  units:\n  - id: u\n    required: no\n  - id: v\n", true},
		"faults":                   {"modules:\n- id: 5\n  titel: A\n- 7\n-\n- - id: x\n", true},
		"flow style":               {"modules:\n- {id: a, roles: [x,\n   y]}\n- {id: b}\n", true},
		"a tag":                    {"modules:\n- !!map {id: a}\n", true},
		"a line end of old":        {"modules:\n- id: a\r- id: b\n- id: c\n", true},
		"JSON":                     {"{\n  \"modules\": [\n    {\"id\": \"a\", \"title\": \"]}\\\"\\\\\"},\n    {\"id\": \"\\u00e9\"}\n  ],\n  \"paths\": null\n}\n", true},
		"JSON on a line":           {`{"modules":[{"id":"é"},{"id":"b","weight":1},5,"x",[]],"paths":[{"id":"p","titel":1}]}`, true},
		"JSON after a tab":         {"\t{\"modules\":[{\"id\":\t\"a\"}]}", true},
		"JSON with old lines":      {"{\"modules\":[\r{\"id\":\"a\"},\r\n{\"id\":\r\"b\"}]}\r", true},
		"JSON with a colon below":  {"{\"modules\"\n:[{\"id\":\"a\"}]}", false},
		"a dash in a quote":        {"modules:\n- id: a\n  title: \"one\n- two\"\n- id: b\n", false},
		"an alias":                 {"modules:\n- id: a\n  roles: &r [x]\n- id: b\n  roles: *r\n", false},
		"all in a line":            {"modules: [{id: a}, {id: b}]\n", false},
		"a key besides":            {"modules:\n- id: a\nothers: 1\n", false},
		"a key twice":              {"modules:\n- id: a\nmodules:\n- id: b\n", false},
		"a dash too far left":      {"modules:\n  - id: a\n - id: b\n", false},
		"a hidden entry":           {"modules:\n# c\r- id: a\n- id: b\n", false},
		"an end without a start":   {"modules:\n- id: a\n...\nmodules:\n- id: b\n", false},
		"two ends":                 {"modules:\n- id: a\n...\n...\n", false},
		"an end of old":            {"modules:\n- id: a\r...\n- id: b\n", false},
		"an end after two of old":  {"modules:\n- id: a\u2028\r... # c\n- id: b\n", false},
		"a start of old":           {"modules:\n- id: a\r---\n- id: b\n", false},
		"a directive":              {"%YAML 1.1\n---\nmodules:\n- id: a\n", false},
		"a text":                   {"modules: |\n- id: a\n", false},
		"JSON with a key besides":  {`{"modules":[],"x":1}`, false},
		"JSON with a missing part": {`{"modules":[{"id":"a"},]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			pieces, whole, split := both(test.text)
			if split != test.split || !slices.Equal(pieces, whole) {
				t.Errorf("split %t\n  %s\nwhole\n  %s", split, strings.Join(pieces, "\n  "), strings.Join(whole, "\n  "))
			}
		})
	}
}

// FuzzSplit holds what is read entry by entry to what a parser of YAML reads, places included.
func FuzzSplit(f *testing.F) {
	f.Add("modules:\n- id: a\n  title: \"a\n- id: b\"\n- id: c\n  summary: |\n    - x\n\n- id: d\r\npaths:\n- id: p\n")
	f.Add("modules:\n  - id: a\n    roles: &r [x]\n  - id: b\n    roles: *r\n# c\r- id: e\n")
	f.Add("modules:\n- id: a\n  title: x\n\n---\n# y\npaths: # z\n - id: p\n\n   title: 'it''s\n\n     so'\n - {id: q}\n...\n")
	f.Add(`{"modules":[{"id":"é"},{"id":"b","weight":1e3},5,"x",[]],"paths":[{"id":"p","titel":1}]}`)
	f.Add("modules:\n- id: a\n...\nmodules:\n- id: b\r...\n- id: c\n... # z\n---\npaths: []\n")
	f.Add("modules:\n- ? id\n  : a\n- !!str b\n- &x {id: c}\n- *x\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4<<10 || !newReader().isText(catalog.File{Content: text}) {
			t.Skip()
		}
		if strings.HasPrefix(strings.TrimSpace(text), "{") && strings.ContainsAny(text, "\\\u0085\u2028\u2029") {
			t.Skip() // the columns behind an escape are those of the whole text as YAML
		}
		pieces, whole, split := both(text)
		if split && !slices.Equal(pieces, whole) {
			t.Errorf("%q by pieces\n  %s\nwhole\n  %s", text, strings.Join(pieces, "\n  "), strings.Join(whole, "\n  "))
		}
	})
}

// TestMutatedFiles changes files that the program wrote, and reads them as an import does and as a
// parser of YAML does: what one accepts or refuses, the other does, at the same line and column.
func TestMutatedFiles(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		text := mutated(r, written(r))
		f := catalog.File{Name: "f.yaml", Content: text}
		if newSource(f).json && strings.ContainsAny(text, "\u0085\u2028\u2029") {
			r.SkipNow() // the columns behind them are those of the whole text as YAML
		}
		doc, violations, readable := Codec{}.Read([]catalog.File{f})
		imported := reader{doc: doc, violations: violations, unreadable: !readable}
		tree := newReader()
		if tree.isText(f) {
			tree.wholeFile(newSource(f))
		}
		if got, want := imported.lines(), tree.lines(); !slices.Equal(got, want) {
			r.Fatalf("%q is imported as\n  %s\nwhole\n  %s", text, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	})
}

// written is an export.
func written(r *rapid.T) string {
	var doc catalog.Document
	for i := range rapid.IntRange(0, 4).Draw(r, "modules") {
		m := catalog.ModuleContent{Title: words(r, "title"), Summary: words(r, "summary"), Roles: []string{words(r, "role")}}
		if rapid.Bool().Draw(r, "unit") {
			m.Units = []catalog.Unit{{ID: "u", ContentURI: words(r, "uri")}}
		}
		doc.Modules = append(doc.Modules, catalog.Entry[catalog.ModuleContent]{ID: fmt.Sprint("m", i), Content: m})
	}
	for i := range rapid.IntRange(0, 2).Draw(r, "paths") {
		doc.Paths = append(doc.Paths, catalog.Entry[catalog.PathContent]{ID: fmt.Sprint("p", i), Content: catalog.PathContent{Title: words(r, "title")}})
	}
	text, err := Codec{}.Write(doc, rapid.SampledFrom([]catalog.Format{catalog.FormatYAML, catalog.FormatYAML, catalog.FormatJSON}).Draw(r, "format"))
	if err != nil {
		r.Fatal(err)
	}
	return string(text)
}

func words(r *rapid.T, name string) string {
	return rapid.SampledFrom([]string{"", "a", "a: b", "one\ntwo\n", "\n\nthree", "- x", "...", "---\n...", "#", "\"", "it's", "a\r\nb", "\u2028", "é"}).Draw(r, name)
}

// mutated changes a text in a few places, by what means something to YAML, or by its own parts.
func mutated(r *rapid.T, text string) string {
	marks := []string{
		"\r", "\n", "\r\n", "\n\r", "\u0085", "\u2028", "\t", " ", "  ", "- ", "\n- ", "\n...\n", "\n---\n", "\r...\n", "\n... \n", "--- # x\n", "\r---\r", "\n# c\n", " #",
		"\"", "'", "{", "}", "[", "]", ",", ": ", "? ", "|\n", ">-\n", "&a ", "*a", "!!str ", "%YAML 1.1\n", "\uFEFF", "\x00", "\x01", "\xff", "\nmodules:\n", "\npaths:\n", "\nmodules: []\n", "\nothers: 1\n",
	}
	for range rapid.IntRange(1, 4).Draw(r, "changes") {
		at := rapid.IntRange(0, len(text)).Draw(r, "at")
		switch rapid.IntRange(0, 4).Draw(r, "how") {
		case 0: // something goes
			text = text[:at] + text[rapid.IntRange(at, min(at+12, len(text))).Draw(r, "to"):]
		case 1: // a part is there twice
			from := rapid.IntRange(0, len(text)).Draw(r, "from")
			text = text[:at] + text[from:rapid.IntRange(from, min(from+40, len(text))).Draw(r, "to")] + text[at:]
		case 2: // at the beginning of a line
			at = strings.LastIndexByte(text[:at], '\n') + 1
			fallthrough
		default:
			text = text[:at] + rapid.SampledFrom(marks).Draw(r, "mark") + text[at:]
		}
	}
	return text
}
