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
	// What only operators and programmers meet, and what is no fault but a word of an answer.
	inside := []string{
		"BAD_GUARD", "BAD_ACCESS_RULE", "BAD_ISSUER", "BAD_SUBJECT", "BAD_TTL", "UNKNOWN_ROLE", "SCHEMA_NEWER", "FOLDER_LOCKED", "DATABASE_URL_INVALID",
		"DATABASE_NOT_A_DATABASE", "DATABASE_CANNOT_OPEN", "DATABASE_READ_ONLY", "DATABASE_DRIVER", "MIGRATION_FAILED", "LEASE_LOST",
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
	for _, entry := range documents {
		if name := filepath.Base(entry); strings.HasPrefix(name, "00") {
			index, err := os.ReadFile("../../docs/adr/README.md")
			if err != nil || !strings.Contains(string(index), name) {
				t.Errorf("docs/adr/README.md does not list %s", name)
			}
		}
	}
}
