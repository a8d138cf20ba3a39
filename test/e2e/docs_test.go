package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestCodesAreDocumented finds the codes of explanations, of notes on events and of falls of a percent
// in the sources, and wants each in docs/api.md. The reasons of errors have a table of their own, in
// internal/errs.
func TestCodesAreDocumented(t *testing.T) {
	t.Parallel()
	text, clients := repoFile(t, "docs/api.md"), repoFile(t, "docs/clients.md")
	for source, c := range map[string]struct {
		names   string
		atLeast int
	}{
		"explain.go": {`^(Rule|Uncounted)`, 10}, "notes.go": {`^Note`, 4}, "progress.go": {`^Change`, 7},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "../../services/progress/"+source, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		codes, names := 0, regexp.MustCompile(c.names)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) == 0 || !names.MatchString(spec.Names[0].Name) {
				return true
			}
			codes++
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil || !strings.Contains(text, "\n| "+code+" |") {
				t.Errorf("docs/api.md does not explain %s (%v)", code, err)
			}
			if source == "notes.go" && !strings.Contains(clients, "\n| "+code+" |") {
				t.Errorf("docs/clients.md does not say what a client does with the note %s", code)
			}
			return true
		})
		if codes < c.atLeast {
			t.Errorf("only %d codes found in %s", codes, source)
		}
	}
}

// TestCurlNamesTheMediaType proves that every body that a document sends by curl has its media type:
// -d alone says that it is a form, which the server refuses.
func TestCurlNamesTheMediaType(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(documents) < 10 {
		t.Fatalf("%d documents: %v", len(documents), err)
	}
	sent, body := 0, regexp.MustCompile(`\bcurl .*(?: -d[ '"]| --data| --json )`)
	for _, document := range append(documents, "../../README.md") {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !body.MatchString(line) {
				continue
			}
			sent++
			if !strings.Contains(line, " --json ") && !strings.Contains(line, "'Content-Type: ") {
				t.Errorf("%s sends a body without its media type: %s", document, line)
			}
		}
	}
	if sent < 20 {
		t.Errorf("only %d bodies found", sent)
	}
}

// TestLinks follows the links of the documents to files here.
func TestLinks(t *testing.T) {
	t.Parallel()
	var documents []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/adr/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), link[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", document, link[1])
			}
		}
	}
}

// TestDecisions checks that each decision has the form of docs/adr/template.md, and its row in the
// index with its title.
func TestDecisions(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`(?s)\A# (\d{4})\. ([^\n]+)\n\nStatus: [^\n]+\n\n## Context\n.+\n\n## Decision\n.+\n\n## Consequences\n.+\n\z`)
	pages, err := filepath.Glob("../../docs/adr/[0-9]*.md")
	if err != nil || len(pages) < 30 {
		t.Fatalf("%d decisions: %v", len(pages), err)
	}
	index := repoFile(t, "docs/adr/README.md")
	for _, page := range pages {
		name := filepath.Base(page)
		m := form.FindStringSubmatch(repoFile(t, "docs/adr/"+name))
		if m == nil || m[1] != name[:4] {
			t.Errorf("docs/adr/%s differs from the form of template.md", name)
			continue
		}
		if row := "| [" + m[1] + "](" + name + ") | " + m[2] + " |\n"; !strings.Contains(index, row) {
			t.Errorf("docs/adr/README.md lacks the row %s", row)
		}
	}
}

// TestPathsInDocuments looks for the files and folders that the tour of the code names.
func TestPathsInDocuments(t *testing.T) {
	t.Parallel()
	count := 0
	for _, document := range []string{"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/tutorial.md", "docs/clients.md", "docs/operations.md", "docs/scale.md", "docs/performance.md", "docs/faults.md"} {
		for _, path := range pathsIn(repoFile(t, document)) {
			count++
			if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
				t.Errorf("%s names %s, which does not exist", document, path)
			}
		}
	}
	if count < 40 {
		t.Fatalf("only %d paths found: the documents are written in another form now", count)
	}
}

var (
	inlinePath = regexp.MustCompile("`(?:\\./)?((?:cmd|deploy|docs|gateway|gen|internal|proto|services|test|tools)(?:/[a-z0-9_.-]+)*)/?`")
	treePath   = regexp.MustCompile(`^( *)([a-z_./]+/|[a-z_]+\.go)(, |  +|$)(.*)$`)
)

// pathsIn returns the paths that a document has in backticks, and those of the trees that it
// draws: "name/, name/   what they are", with four more spaces for what is within a folder.
func pathsIn(text string) []string {
	var paths []string
	for _, m := range inlinePath.FindAllStringSubmatch(text, -1) {
		paths = append(paths, m[1])
	}
	folder := ""
	for line := range strings.Lines(text) {
		m := treePath.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		above := folder
		if m[1] == "" {
			above, folder = "", m[2]
		}
		paths = append(paths, filepath.Join(above, m[2]))
		for rest := m[4]; m[3] == ", "; {
			name, after, _ := strings.Cut(rest, " ")
			if !strings.HasSuffix(strings.TrimSuffix(name, ","), "/") {
				break
			}
			paths = append(paths, filepath.Join(above, strings.TrimSuffix(name, ",")))
			rest = after
		}
	}
	return paths
}

// TestPathsIn proves that the search for paths finds them.
func TestPathsIn(t *testing.T) {
	t.Parallel()
	text := "see `services/x` and `go test ./services/x`, `internal/y.go`\n```\na/          text\n    b/, c/  text\nmain.go     text\n```\nno/ tree\n"
	want := []string{"services/x", "internal/y.go", "a", "a/b", "a/c", "main.go"}
	if got := pathsIn(text); !slices.Equal(got, want) {
		t.Errorf("pathsIn = %q, want %q", got, want)
	}
}
