package document

import (
	"fmt"
	"slices"
	"strings"
	"testing"

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
		"empty lists":              {"modules: []\npaths: ~ # none\n---\npaths:\n", true},
		"lists in an entry":        {"modules:\n- id: a\n  units:\n  - id: u\n    required: no\n  - id: v\n", true},
		"faults":                   {"modules:\n- id: 5\n  titel: A\n- 7\n-\n- - id: x\n", true},
		"flow style":               {"modules:\n- {id: a, roles: [x,\n   y]}\n- {id: b}\n", true},
		"a tag":                    {"modules:\n- !!map {id: a}\n", true},
		"a line end of old":        {"modules:\n- id: a\r- id: b\n- id: c\n", true},
		"JSON":                     {"{\n  \"modules\": [\n    {\"id\": \"a\", \"title\": \"]}\\\"\\\\\"},\n    {\"id\": \"\\u00e9\"}\n  ],\n  \"paths\": null\n}\n", true},
		"JSON on a line":           {`{"modules":[{"id":"é"},{"id":"b","weight":1},5,"x",[]],"paths":[{"id":"p","titel":1}]}`, true},
		"a dash in a quote":        {"modules:\n- id: a\n  title: \"one\n- two\"\n- id: b\n", false},
		"an alias":                 {"modules:\n- id: a\n  roles: &r [x]\n- id: b\n  roles: *r\n", false},
		"all in a line":            {"modules: [{id: a}, {id: b}]\n", false},
		"a key besides":            {"modules:\n- id: a\nothers: 1\n", false},
		"a key twice":              {"modules:\n- id: a\nmodules:\n- id: b\n", false},
		"a dash too far left":      {"modules:\n  - id: a\n - id: b\n", false},
		"a hidden entry":           {"modules:\n# c\r- id: a\n- id: b\n", false},
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
