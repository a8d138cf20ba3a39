package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// A folder's files are read with links within it, and nothing outside of it is.
func TestCatalogFilesStayInTheirFolder(t *testing.T) {
	dir := t.TempDir()
	folder, secret := filepath.Join(dir, "catalog"), filepath.Join(dir, "secret.yaml")
	for name, text := range map[string]string{
		"a.yaml": "a", "..data/b.yml": "b", "deep/c.json": "c", "notes.txt": "no", ".git/d.yaml": "no", "../secret.yaml": "secret",
	} {
		path := filepath.Join(folder, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	must(t, os.Symlink("..data/b.yml", filepath.Join(folder, "b.yml"))) // as in a mounted ConfigMap
	want := []catalogFile{
		{Name: folder + "/a.yaml", Content: "a"}, {Name: folder + "/b.yml", Content: "b"}, {Name: folder + "/deep/c.json", Content: "c"},
	}
	if got, err := readFiles([]string{folder, filepath.Join(folder, "a.yaml")}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	named := filepath.Join(dir, "link")
	must(t, os.Symlink(secret, named))
	if got, err := readFiles([]string{named}); err != nil || len(got) != 1 || got[0].Content != "secret" {
		t.Errorf("a link that is named itself: %q, %v", got, err)
	}
	for name, plant := range map[string]func(string) error{
		"an absolute link":     func(path string) error { return os.Symlink(secret, path) },
		"a relative link":      func(path string) error { return os.Symlink("../secret.yaml", path) },
		"a link to nothing":    func(path string) error { return os.Symlink("none", path) },
		"a link to a folder":   func(path string) error { return os.Symlink("deep", path) },
		"a pipe":               func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link to the device": func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		path := filepath.Join(folder, "x.yaml")
		must(t, plant(path))
		if got, err := readFiles([]string{folder}); err == nil || !strings.Contains(err.Error(), "x.yaml") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		must(t, os.Remove(path))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
