package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// bash runs a script, line by line as it would be copied, with the program on the PATH.
func bash(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(environment(), "PATH="+filepath.Dir(binary)+":/usr/local/bin:/usr/bin:/bin")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return string(out)
}
