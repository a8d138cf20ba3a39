package e2e

import (
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// anybodys runs the program with an umask that forbids nothing.
func anybodys(args ...string) *exec.Cmd {
	cmd := exec.Command("sh", append([]string{"-c", `umask 000; exec "$0" "$@"`, binary}, args...)...)
	cmd.Env = environment()
	return cmd
}

// wideFolder makes a folder that anybody may enter.
func wideFolder(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // what the program must narrow
		t.Fatal(err)
	}
	return dir
}

// exposedIn are the files below a folder that others than their owner have, and how many there are in all.
func exposedIn(t *testing.T, dir string) (exposed []string, all int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		all++
		if info.Mode().Perm()&0o077 != 0 {
			exposed = append(exposed, path+" "+info.Mode().String())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return exposed, all
}

// TestFilesArePrivate serves, backs up and restores in folders that anybody may enter, with an umask that
// forbids nothing: every file is its owner's alone, also those that an older program left wider, and
// the folders are named once.
func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	data, to, restored := wideFolder(t, "data"), wideFolder(t, "backup"), wideFolder(t, "restored")
	look := func(dir string, least int) {
		t.Helper()
		if exposed, all := exposedIn(t, dir); len(exposed) > 0 || all < least {
			t.Errorf("others have %v, of %d files", exposed, all)
		}
	}
	for range 2 {
		p := startCommand(t, anybodys("serve", "--http", "127.0.0.1:0", "--data", data, "--log-format", "json"))
		(&client{t: t, base: "http://" + p.addr}).get("/readyz").want(http.StatusOK)
		look(data, 3*4+1)
		warned := p.lines("others on this machine")
		if len(warned) != 1 || !strings.Contains(warned[0], "WARN") || !strings.Contains(warned[0], "chmod 700 "+data) || !strings.Contains(warned[0], "0777") {
			t.Errorf("the log has %q", warned)
		}
		p.stop(t)
		for _, name := range []string{"catalog.db", "progress.db", "profile.db", "catalog.lock", "issuer.key"} { // as older programs made them
			if err := os.Chmod(filepath.Join(data, name), 0o644); err != nil { //nolint:gosec // what the program must narrow
				t.Fatal(err)
			}
		}
	}
	for _, args := range [][]string{
		{"backup", "--with-keys", "--data", data, "--to", to},
		{"restore", "--from", to, "--data", restored},
	} {
		out, err := anybodys(args...).CombinedOutput()
		if dir := args[len(args)-1]; err != nil || !strings.Contains(string(out), "chmod 700 "+dir) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	look(to, 3+1+1)
	look(restored, 3+1)

	narrow := filepath.Join(t.TempDir(), "made") // the program makes it, for its owner alone
	p := startCommand(t, anybodys("serve", "--http", "127.0.0.1:0", "--data", narrow, "--log-format", "json"))
	look(filepath.Dir(narrow), 3*4+2)
	if warned := p.lines("others on this machine"); len(warned) > 0 {
		t.Errorf("the log has %q", warned)
	}
}
