package document_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/canonical"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/document"
)

var update = flag.Bool("update", false, "rewrite testdata/faults.golden")

func read(content string) (catalog.Sources, []string, bool) {
	doc, violations, readable := document.Codec{}.Read([]catalog.File{{Name: "f.yaml", Content: content}})
	var lines []string
	for _, v := range violations.Named {
		lines = append(lines, fmt.Sprintf("%s %s: %s", v.Field, v.Reason, v.Description))
	}
	return doc, lines, readable
}

func content[C catalog.Content[C]](t interface{ Fatal(args ...any) }, source catalog.Source[C]) C {
	c, err := source.Content()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFaults proves that every fault of a text is named at once, with its place.
func TestFaults(t *testing.T) {
	text, err := os.ReadFile("testdata/faults.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, lines, readable := read(string(text))
	got := fmt.Sprintf("%s\nreadable: %t\n", strings.Join(lines, "\n"), readable)
	if *update {
		if err := os.WriteFile("testdata/faults.golden", []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/faults.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestUnreadable(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"no YAML":         {"modules:\n  - id: a\n bad", "f.yaml:2:1 SYNTAX"},
		"a tab":           {"modules:\n\t- id: a\n", "f.yaml:2:1 SYNTAX"},
		"NUL":             {"modules: []\nab\x00", "f.yaml:2:3 NUL_CHARACTER"},
		"no UTF-8":        {"modules: []\né\xff", "f.yaml:2:2 INVALID_UTF8"},
		"a list":          {"\n- a", "f.yaml:2:1 INVALID_TYPE"},
		"too many parts":  {"modules: [" + strings.Repeat("a,", 600_000) + "]", "f.yaml:1:1 TOO_DEEP_OR_LARGE"},
		"too deep":        {"modules: " + strings.Repeat("[", 20_000), "f.yaml:1:1 TOO_DEEP_OR_LARGE"},
		"unknown alias":   {"modules: *a", "f.yaml:1:1 SYNTAX"},
		"aliases of many": {bomb(), "f.yaml:4:17938 modules[17].units[1991].id TOO_DEEP_OR_LARGE"},
	} {
		t.Run(name, func(t *testing.T) {
			_, lines, readable := read(test.content)
			if readable || len(lines) != 1 || !strings.HasPrefix(lines[0], test.want+":") {
				t.Errorf("readable %t, %q, want %s", readable, lines, test.want)
			}
		})
	}
}

// bomb unfolds to nine million units: where reading it ends shows that most never are.
func bomb() string {
	many := func(n int, what string) string { return "[" + strings.Repeat(what+", ", n-1) + what + "]" }
	return "modules:\n- id: a\n  prerequisites: []\n  units: &u " + many(3000, "{id: u}") + "\n" + strings.Repeat("- {id: b, units: *u}\n", 3000)
}

// TestLimits proves that what exceeds a limit is refused with the limit and its place, and
// nothing else; and that what is just within it is read.
func TestLimits(t *testing.T) {
	stubs := func(n int) string { return "modules:\n" + strings.Repeat("- {id: a}\n", n) }
	json := func(n int) string { return `{"modules": [` + strings.Repeat(`{"id": "a"},`, n-1) + `{"id": "a"}]}` }
	long := func(n int) string { return "modules:\n- id: a\n- title: " + strings.Repeat("x", n) + "\n" }
	parts := func(n int) string { return "modules:\n- roles:\n" + strings.Repeat("  - a\n", n) }
	for name, test := range map[string]struct{ within, beyond, want string }{
		"entries":            {stubs(20_000), stubs(20_001), "f.yaml:20002:1"},
		"entries in JSON":    {json(20_000), json(20_001), "f.yaml:1:240014"},
		"documents":          {strings.Repeat("---\n", 1000), strings.Repeat("---\n", 1001), "f.yaml:1001:1"},
		"a long entry":       {long(1<<20 - 12), long(1 << 20), "f.yaml:3:1"},
		"many parts":         {parts(12_490), parts(12_500), "f.yaml:2:1"},
		"depth":              {"modules: " + deep(99), "modules: " + deep(101), "f.yaml:1:1"},
		"depth by dashes":    {"modules:\n" + strings.Repeat("- ", 100) + "a", "modules:\n" + strings.Repeat("- ", 102) + "a", "f.yaml:2:1"},
		"not entry by entry": {"modules: [{id: a}]\n#" + strings.Repeat(" ", 1<<20-30), "modules: [{id: a}]\n#" + strings.Repeat(" ", 1<<20), "f.yaml:1:1"},
		"one scalar":         {"#", "modules: " + strings.Repeat("x", 15<<20), "f.yaml:1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, lines, _ := read(test.within)
			for _, line := range lines {
				if strings.Contains(line, "TOO_DEEP_OR_LARGE") {
					t.Errorf("what is within: %s", line)
				}
			}
			doc, lines, readable := read(test.beyond)
			if readable || len(doc.Modules) > 0 || len(lines) == 0 || !strings.HasPrefix(lines[len(lines)-1], test.want+" TOO_DEEP_OR_LARGE: ") {
				t.Errorf("readable %t, %d modules, %q, want %s", readable, len(doc.Modules), lines, test.want)
			}
		})
	}
}

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// TestLimitsAreOfAllFiles proves that a limit is not per file.
func TestLimitsAreOfAllFiles(t *testing.T) {
	half := "modules:\n" + strings.Repeat("- {id: a}\n", 10_001)
	_, violations, _ := document.Codec{}.Read([]catalog.File{{Name: "a.yaml", Content: half}, {Name: "b.yaml", Content: half}})
	if len(violations.Named) != 1 || violations.Named[0].Field != "b.yaml:10001:1" {
		t.Errorf("%+v", violations)
	}
	whole := "modules: [{id: a}]\n#" + strings.Repeat(" ", 600<<10)
	_, violations, _ = document.Codec{}.Read([]catalog.File{{Name: "a.yaml", Content: whole}, {Name: "b.yaml", Content: whole}})
	if len(violations.Named) != 1 || violations.Named[0].Field != "b.yaml:1:1" {
		t.Errorf("%+v", violations)
	}
}

// TestAliases proves that what is within bounds may be said once and used twice.
func TestAliases(t *testing.T) {
	doc, lines, readable := read("modules:\n- {id: a, roles: &r [x, y], title: T}\n- {id: b, roles: *r, title: T}\n")
	if !readable || len(lines) > 0 || len(doc.Modules) != 2 || len(content(t, doc.Modules[1]).Roles) != 2 {
		t.Errorf("read %+v, %q", doc, lines)
	}
	_, lines, _ = read("modules: &m\n- id: a\n  units: *m\n")
	if len(lines) == 0 || !strings.Contains(lines[0], "UNKNOWN_FIELD") {
		t.Errorf("an alias within itself: %q", lines)
	}
}

// TestJSON proves that JSON is read as JSON, where YAML reads it otherwise.
func TestJSON(t *testing.T) {
	doc, lines, readable := read("{\n\t\"modules\":\t[\n" +
		"\t\t{\"id\": \"a\", \"title\": \"\\ud83d\\ude00 \\\\ud83d \\u00e9 \u2028\\/ \\\"\",\n\t\t\"units\": null}\n\t]\n}\n")
	if !readable || len(lines) > 0 || len(doc.Modules) != 1 {
		t.Fatalf("read %+v, %q", doc, lines)
	}
	if title := content(t, doc.Modules[0]).Title; title != "😀 \\ud83d é \u2028/ \"" {
		t.Errorf("title %q", title)
	}
}

func TestPlace(t *testing.T) {
	doc, _, _ := read("modules:\n- id: a\n  units:\n  - id: u\n    weight: x\n")
	place := doc.Modules[0].Place
	for field, want := range map[string]string{
		"id":                    "f.yaml:2:3 modules[0].id false",
		"title":                 "f.yaml:2:3 modules[0].title false",
		"units":                 "f.yaml:3:3 modules[0].units true",
		"units[0]":              "f.yaml:4:5 modules[0].units[0] true",
		"units[0].id":           "f.yaml:4:5 modules[0].units[0].id false",
		"units[0].weight":       "f.yaml:5:5 modules[0].units[0].weight true",
		"units[0].masteryScore": "f.yaml:4:5 modules[0].units[0].masteryScore false",
		"currencyPolicy.period": "f.yaml:2:3 modules[0].currencyPolicy.period false",
	} {
		at, faulty := place(field)
		if got := fmt.Sprintf("%s %t", at, faulty); got != want {
			t.Errorf("%s is at %q, want %q", field, got, want)
		}
	}
}

// TestRoundTrip proves that whatever is written is read as it was.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		doc := catalog.Document{
			Modules: rapid.SliceOfN(entry(anyModule()), 0, 3).Draw(r, "modules"),
			Paths:   rapid.SliceOfN(entry(anyPath()), 0, 2).Draw(r, "paths"),
		}
		for _, format := range []catalog.Format{catalog.FormatYAML, catalog.FormatJSON} {
			text, err := document.Codec{}.Write(doc, format)
			if err != nil {
				r.Fatal(err)
			}
			got, lines, _ := read(string(text))
			if len(lines) > 0 || len(got.Modules) != len(doc.Modules) || len(got.Paths) != len(doc.Paths) {
				r.Fatalf("%d modules, %d paths, %q of\n%s", len(got.Modules), len(got.Paths), lines, text)
			}
			for i, m := range doc.Modules {
				wantSame(r, m.ID, m.Content, got.Modules[i].ID, content(r, got.Modules[i]), text)
			}
			for i, p := range doc.Paths {
				wantSame(r, p.ID, p.Content, got.Paths[i].ID, content(r, got.Paths[i]), text)
			}
		}
	})
}

func wantSame(r *rapid.T, id string, content any, gotID string, got any, text []byte) {
	want, err := canonical.JSON(content)
	if err != nil {
		r.Fatal(err)
	}
	is, err := canonical.JSON(got)
	if err != nil {
		r.Fatal(err)
	}
	if id != gotID || string(want) != string(is) {
		r.Fatalf("%s %s became %s %s by\n%s", id, want, gotID, is, text)
	}
}

func entry[C catalog.Content[C]](content *rapid.Generator[C]) *rapid.Generator[catalog.Entry[C]] {
	return rapid.Custom(func(r *rapid.T) catalog.Entry[C] {
		id := rapid.SampledFrom([]string{"a", "1", "true", "1e3", "null", "0x1f", "2026-01-01"}).Draw(r, "id")
		return catalog.Entry[C]{ID: id, Content: content.Draw(r, "content")}
	})
}

// words are what may stand in a file, odd things most of all.
func words() *rapid.Generator[string] {
	odd := []string{
		"", "yes", "null", "~", "1.0", "2026-01-01", "- a", "a: b", "#no", "'", `"`, " lead", "trail ", "two\nlines", "\nlead", "tail\n\n", "\ttab",
		"a\r\nb", "é", "😀", "\u2028", "\u200b", "\u00a0",
		"!tag", "&anchor", "*alias", "{}", "[]", "%", "@", "`", "|", ">", "? x", "<<", "\\", "\\n", "a #b", "=", "…", "---", "...",
	}
	return rapid.Custom(func(r *rapid.T) string {
		return rapid.SampledFrom(odd).Draw(r, "odd") + rapid.StringOfN(rapid.RuneFrom([]rune("aé \n:#-'\"\t\\\u2028")), 0, 12, -1).Draw(r, "rest")
	})
}

func some(r *rapid.T, name string, of *rapid.Generator[string]) []string {
	return rapid.SliceOfN(of, 0, 3).Draw(r, name)
}

func anyModule() *rapid.Generator[catalog.ModuleContent] {
	return rapid.Custom(func(r *rapid.T) catalog.ModuleContent {
		m := catalog.ModuleContent{
			Topic: words().Draw(r, "topic"), Title: words().Draw(r, "title"), Summary: words().Draw(r, "summary"), Level: words().Draw(r, "level"),
			Roles: some(r, "roles", words()), Objectives: some(r, "objectives", words()), Prerequisites: some(r, "prerequisites", words()),
			Duration: words().Draw(r, "duration"),
		}
		if rapid.Bool().Draw(r, "policy") {
			m.CurrencyPolicy = &catalog.CurrencyPolicy{Period: words().Draw(r, "period"), Basis: catalog.BasisFixedDate, FixedDate: "01-31"}
			m.Credits = []catalog.Credit{{ModuleIDs: some(r, "credit", words())}}
		}
		for range rapid.IntRange(0, 3).Draw(r, "units") {
			m.Units = append(m.Units, catalog.Unit{
				ID: words().Draw(r, "unit"), Kind: catalog.UnitKind(words().Draw(r, "kind")), ContentURI: words().Draw(r, "uri"),
				Required:     rapid.SampledFrom([]*bool{nil, new(true), new(false)}).Draw(r, "required"),
				Weight:       rapid.SampledFrom([]*float64{nil, new(1.0), new(0.1), new(1e-9), new(1e30)}).Draw(r, "weight"),
				MasteryScore: new(rapid.Float64().Draw(r, "score")),
			})
		}
		return m
	})
}

func anyPath() *rapid.Generator[catalog.PathContent] {
	return rapid.Custom(func(r *rapid.T) catalog.PathContent {
		p := catalog.PathContent{Title: words().Draw(r, "title"), Backgrounds: some(r, "backgrounds", words())}
		for range rapid.IntRange(0, 2).Draw(r, "milestones") {
			p.Milestones = append(p.Milestones, catalog.Milestone{ID: words().Draw(r, "milestone"), Groups: []catalog.Group{
				{ModuleIDs: some(r, "modules", words()), RequiredCount: rapid.SampledFrom([]*int{nil, new(0), new(7)}).Draw(r, "k")},
			}})
		}
		return p
	})
}

// FuzzRead proves that no text harms the reader, and that what it reads it can write.
func FuzzRead(f *testing.F) {
	f.Add("modules:\n- id: a\n  title: \"A\"\n  units:\n  - {id: u, required: no, weight: 1.5}\n  currencyPolicy: {period: P1Y}\n")
	f.Add("paths:\n- id: p\n  milestones: [{id: m, groups: [{moduleIds: [a], requiredCount: 1}]}]\n---\nmodules: ~\n")
	f.Add("modules: &a [{id: a, units: *a}]")
	f.Add(`{"modules":[{"id":"\ud83d\ude00"}]}`)
	f.Add("modules:\n- id: a\n  title: \"a\n- id: b\"\n- id: c\n  summary: |\n    - x\n\n- id: d\r\npaths:\n- id: p\n")
	f.Add("modules:\n  - id: a\n    roles: &r [x]\n  - id: b\n    roles: *r\n# c\r- id: e\n")
	f.Add("modules:\n- {id: a, prerequisites: [b]}\n- {id: b, prerequisites: [a]}\n- {id: c, prerequisites: [c]}\n")
	f.Add("a: &a [x, x, x]\nb: &b [*a, *a, *a]\nmodules: [*b, *b, *b]\n")
	f.Add("modules:\n" + strings.Repeat("- {id: a}\n", 300) + "--- # next\nmodules: ~\npaths: []\n")
	f.Add("{\"paths\": null, \"modules\": [{\"id\": \"a]\\\"}\"}, 5, []]}")
	f.Add("--- \n...\n--- !!binary x\n%YAML 1.1\n")
	f.Fuzz(func(t *testing.T, text string) {
		doc, lines, readable := read(text)
		if !readable && len(lines) == 0 {
			t.Error("not readable, and no word why")
		}
		if len(lines) > 100 || len(doc.Modules)+len(doc.Paths) > 20_000 {
			t.Errorf("%d violations, %d modules", len(lines), len(doc.Modules))
		}
		for _, m := range doc.Modules {
			if at, _ := m.Place("units[0].title"); !strings.HasPrefix(at, "f.yaml:") || strings.HasPrefix(at, "f.yaml:0:") {
				t.Errorf("a place is %q", at)
			}
		}
		if len(lines) > 0 {
			return
		}
		var written catalog.Document
		for _, m := range doc.Modules {
			written.Modules = append(written.Modules, catalog.Entry[catalog.ModuleContent]{ID: m.ID, Content: content(t, m), Publication: m.Publication})
		}
		for _, p := range doc.Paths {
			written.Paths = append(written.Paths, catalog.Entry[catalog.PathContent]{ID: p.ID, Content: content(t, p)})
		}
		again, err := document.Codec{}.Write(written, catalog.FormatYAML)
		if err != nil {
			t.Fatal(err)
		}
		if reread, lines, _ := read(string(again)); len(lines) > 0 || len(reread.Modules) != len(doc.Modules) {
			t.Errorf("written as\n%s\nwhich is read with %q", again, lines)
		}
	})
}
