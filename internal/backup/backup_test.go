package backup_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/backup"
)

// TestReadFromFollowsNoLink: what a backup holds is in its folder, which may be a link itself.
func TestReadFromFollowsNoLink(t *testing.T) {
	elsewhere, dir := t.TempDir(), t.TempDir()
	for _, err := range []error{
		os.WriteFile(filepath.Join(elsewhere, "ca.pem"), []byte("another's"), 0o600),
		os.Mkdir(filepath.Join(dir, "pki"), 0o700),
		os.WriteFile(filepath.Join(dir, "pki", "ca.pem"), []byte("ours"), 0o600),
		os.Symlink(filepath.Join(elsewhere, "ca.pem"), filepath.Join(dir, "absolute.pem")),
		os.Symlink("pki/ca.pem", filepath.Join(dir, "within.pem")),
		os.Symlink("nothing", filepath.Join(dir, "dangling.pem")),
		os.Symlink(elsewhere, filepath.Join(dir, "linked")),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
		os.Symlink(dir, filepath.Join(elsewhere, "latest")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var text bytes.Buffer
	if read, err := backup.ReadFrom(filepath.Join(elsewhere, "latest"), "pki/ca.pem", &text); err != nil || read.Size != 4 || text.String() != "ours" {
		t.Errorf("a file: %+v, %v, %q", read, err, &text)
	}
	text.Reset()
	for name, want := range map[string]string{
		"absolute.pem": "absolute.pem in the backup in " + dir + " is a link", "within.pem": "is a link", "dangling.pem": "is a link",
		"linked/ca.pem": "linked in the backup in " + dir + " is a link", "pki": "is no file", "pipe": "is no file",
	} {
		if _, err := backup.ReadFrom(dir, name, &text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		copied := filepath.Join(t.TempDir(), "copy")
		if _, err := backup.CopyFrom(dir, name, copied); err == nil {
			t.Errorf("%s was copied", name)
		}
	}
	if _, err := backup.ReadFrom(dir, "missing", &text); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is missing: %v", err)
	}
	if text.Len() > 0 {
		t.Errorf("what was read: %q", &text)
	}
}
