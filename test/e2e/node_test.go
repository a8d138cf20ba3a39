//go:build node

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDocsPage checks the page at /docs in a browser, on a server as it is when it is first started.
// Set SHOTS to a folder to get pictures of it.
func TestDocsPage(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	args := []string{"docs.mjs", w.base, w.token(t, "ada"), w.token(t, "root", "admin", "author")}
	if shots := os.Getenv("SHOTS"); shots != "" {
		args = append(args, shots)
	}
	if out, err := node(t, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
}

// node is a command in test/node, which ends with the test.
func node(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	dir, err := filepath.Abs("../node")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Dir, cmd.SysProcAttr = dir, dieWithUs()
	return cmd
}
