package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// vulndb makes a database as https://go.dev/doc/security/vuln/database describes it: of one
// vulnerability, in all versions of a package of a module, or of none.
func vulndb(t *testing.T, module, pkg string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("index/db.json", `{"modified": "2026-01-02T03:04:05Z"}`)
	if module == "" {
		write("index/modules.json", `[]`)
		write("index/vulns.json", `[]`)
		return dir
	}
	const id = "GO-2026-9999"
	write("index/modules.json", `[{"path": "`+module+`", "vulns": [{"id": "`+id+`", "modified": "2026-01-02T03:04:05Z"}]}]`)
	write("index/vulns.json", `[{"id": "`+id+`", "modified": "2026-01-02T03:04:05Z"}]`)
	write("ID/"+id+".json", `{"schema_version": "1.3.1", "id": "`+id+`", "modified": "2026-01-02T03:04:05Z", "published": "2026-01-02T03:04:05Z",
		"summary": "Made up by a test", "details": "Made up by a test.", "affected": [{"package": {"name": "`+module+`", "ecosystem": "Go"},
		"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}], "ecosystem_specific": {"imports": [{"path": "`+pkg+`"}]}}],
		"database_specific": {"url": "https://pkg.go.dev/vuln/`+id+`"}}`)
	return dir
}

// TestVulnerabilitiesAreFound checks one module that has packages, and one that only pins a tool.
func TestVulnerabilitiesAreFound(t *testing.T) {
	for _, c := range []struct{ name, module, vulnerable, pkg string }{
		{"called", "tools/openapi", "github.com/santhosh-tekuri/jsonschema/v6", "github.com/santhosh-tekuri/jsonschema/v6"},
		{"imported by a tool", "tools/vuln", "golang.org/x/mod", "golang.org/x/mod/semver"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			err := run(t.Context(), root, vulndb(t, c.vulnerable, c.pkg), []string{c.module}, &out)
			if err == nil || err.Error() != "known vulnerabilities in "+c.module {
				t.Errorf("%v\n%s", err, &out)
			}
			if text := out.String(); !strings.Contains(text, "GO-2026-9999") || !strings.Contains(text, "of 2026-01-02") {
				t.Errorf("the report lacks the vulnerability or the day of the database:\n%s", text)
			}
		})
	}
}

func TestNothingIsFound(t *testing.T) {
	for name, db := range map[string]string{
		"an empty database":          vulndb(t, "", ""),
		"a package that nobody uses": vulndb(t, "golang.org/x/mod", "golang.org/x/mod/zip"),
	} {
		var out strings.Builder
		if err := run(t.Context(), root, db, []string{"tools/openapi", "tools/vuln"}, &out); err != nil {
			t.Errorf("%s: %v\n%s", name, err, &out)
		}
		if text := out.String(); !strings.Contains(text, "tools/openapi: ./...\n") || !strings.Contains(text, "tools/vuln: tool\n") {
			t.Errorf("%s: not all was checked:\n%s", name, text)
		}
	}
}

func TestNoDatabaseIsNoPass(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	broken := vulndb(t, "", "")
	if err := os.WriteFile(filepath.Join(broken, "index", "db.json"), []byte("<html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, db := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none"), server.URL, "http://127.0.0.1:1", broken} {
		err := run(t.Context(), root, db, []string{"tools/vuln"}, &strings.Builder{})
		if err == nil || !strings.Contains(err.Error(), "there is no database of vulnerabilities at "+db) || !strings.Contains(err.Error(), "DB=/path") {
			t.Errorf("%s: %v", db, err)
		}
	}
}

func TestEveryModuleIsChecked(t *testing.T) {
	modules, err := modulesOf(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".", "tools", "tools/lint", "tools/release", "tools/vuln", "test/outside"} {
		if !slices.Contains(modules, want) {
			t.Errorf("%s is not among %q", want, modules)
		}
	}
}
