package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReasonsAreDocumented finds the reasons that clients can meet in the sources, and
// wants each in docs/api.md; and none there that no source has.
func TestReasonsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile(`\b[A-Z]{2,}(_[A-Z0-9]+)*\b`).FindAllString(string(text), -1)
	inSources := map[string]bool{}
	for _, dir := range []string{"services", "gateway", "internal/audit", "internal/auth", "internal/rpc", "internal/idem", "internal/period", "internal/errs", "internal/sqldb"} {
		reasonsBelow(t, filepath.Join("../..", dir), inSources)
	}
	// What only operators and programmers meet, and what is no fault but a value in a response.
	inside := []string{
		"BAD_GUARD", "BAD_ACCESS_RULE", "BAD_ISSUER", "BAD_SUBJECT", "BAD_TTL", "UNKNOWN_ROLE", "SCHEMA_NEWER", "FOLDER_LOCKED", "DATABASE_URL_INVALID",
		"DATABASE_NOT_A_DATABASE", "DATABASE_CANNOT_OPEN", "DATABASE_READ_ONLY", "DATABASE_DRIVER", "MIGRATION_FAILED", "LEASE_LOST", "SCHEMA_FORMAT",
		"DATABASE_REFUSED", "DATABASE_MISSING", "SCHEMA_OLD", "SCHEMA_DIFFERS", "SEARCH_PATH", "NOT_EMPTY",
		"RANDOM", "LINK_NOT_FOUND", "SUBJECT_UNKNOWN", "EVENT_NOT_FOUND",
		"TARGET_ROLE", "BACKGROUND", "GENERAL", "START", "CONTINUE", "RENEW",
	}
	// Named after rules of proto/, as docs/api.md says of all of them.
	rule := regexp.MustCompile(`^(STRING|INT32|INT64|DOUBLE|REPEATED|ENUM|TIMESTAMP|UUID)(_|$)`)
	for reason := range inSources {
		if rule.MatchString(reason) {
			continue
		}
		if !slices.Contains(documented, reason) && !slices.Contains(inside, reason) {
			t.Errorf("docs/api.md does not say what %s means", reason)
		}
	}
	if len(inSources) < 60 {
		t.Fatalf("only %d reasons found: the sources are written otherwise now", len(inSources))
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, cell := range cells[1 : len(cells)-2] {
			for _, reason := range regexp.MustCompile(`\b[A-Z]+_[A-Z_]+\b`).FindAllString(cell, -1) {
				if !inSources[reason] {
					t.Errorf("docs/api.md explains %s, which no source has", reason)
				}
			}
		}
	}
}

// reasonsBelow collects, in a folder's sources, constants whose names begin with "reason", with
// "rule" or with "uncounted" (the codes of an explanation), the values of fields named Reason, and what is given to errs.New and errs.Wrap as a reason.
func reasonsBelow(t *testing.T, root string, found map[string]bool) {
	t.Helper()
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if reason := strings.Trim(lit.Value, `"`); regexp.MustCompile(`^[A-Z][A-Z0-9_]{2,}$`).MatchString(reason) {
				found[reason] = true
			}
		}
	}
	named := regexp.MustCompile(`^([Rr]eason|Rule|Uncounted)`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if i < len(n.Values) && named.MatchString(name.Name) {
						add(n.Values[i])
					}
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Reason" {
					add(n.Value)
				}
			case *ast.CallExpr:
				if fn, ok := n.Fun.(*ast.SelectorExpr); ok && (fn.Sel.Name == "New" || fn.Sel.Name == "Wrap") {
					for _, arg := range n.Args {
						add(arg)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
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
	for _, document := range []string{"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/tutorial.md", "docs/operations.md", "docs/scale.md", "docs/benchmarks.md", "docs/faults.md"} {
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
