package progress_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/progress-rules.md names is there.
func TestTheDocumentedRulesHaveTheirTests(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../..")
	text, err := fs.ReadFile(root, "docs/progress-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ([Tt]est[A-Z]\w+)\(`)
	for _, dir := range []string{"services", "internal", "test"} {
		err := fs.WalkDir(root, dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			code, err := fs.ReadFile(root, path)
			for _, m := range declared.FindAllSubmatch(code, -1) {
				there[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	names := regexp.MustCompile(`\b[Tt]est[A-Z]\w+`).FindAllString(string(text), -1)
	if len(names) < 120 {
		t.Errorf("only %d tests are named", len(names))
	}
	for _, name := range names {
		if !there[name] {
			t.Errorf("%s is named, and not there", name)
		}
	}
}
