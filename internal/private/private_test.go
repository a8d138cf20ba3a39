package private_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/private"
)

// made makes a file or a folder with exactly that mode, whatever the umask.
func made(t *testing.T, path string, mode fs.FileMode) string {
	t.Helper()
	if mode.IsDir() {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	} else if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode.Perm()); err != nil {
		t.Fatal(err)
	}
	return path
}

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestNarrow(t *testing.T) {
	dir := t.TempDir()
	for mode, want := range map[fs.FileMode]fs.FileMode{0o644: 0o600, 0o660: 0o600, 0o777: 0o700, 0o600: 0o600, 0o400: 0o400, 0o444: 0o400} {
		for name, narrow := range map[string]func(string) error{"narrow": private.Narrow, "make": private.Make} {
			path := made(t, filepath.Join(dir, name), mode)
			if err := narrow(path); err != nil || modeOf(t, path) != want {
				t.Errorf("%s: %o became %o, %v; want %o", name, mode, modeOf(t, path), err, want)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	folder := made(t, filepath.Join(dir, "folder"), fs.ModeDir|0o755)
	if err := private.Narrow(folder); err != nil || modeOf(t, folder) != 0o755 {
		t.Errorf("a folder became %o, %v", modeOf(t, folder), err)
	}
	if err := private.Narrow(filepath.Join(dir, "missing")); err != nil {
		t.Error(err)
	}
	if err := private.Make(filepath.Join(dir, "new")); err != nil || modeOf(t, filepath.Join(dir, "new")) != 0o600 {
		t.Error(err)
	}
}

func TestSet(t *testing.T) {
	path := made(t, filepath.Join(t.TempDir(), "x"), 0o644)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, mode := range []fs.FileMode{0o644, 0o400, 0o600} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := private.Set(f); err != nil || modeOf(t, path) != 0o600 {
			t.Errorf("%o became %o, %v", mode, modeOf(t, path), err)
		}
	}
}

func TestExposed(t *testing.T) {
	dir := t.TempDir()
	made(t, filepath.Join(dir, "pki"), fs.ModeDir|0o755)
	for path, mode := range map[string]fs.FileMode{
		"catalog.db": 0o644, "catalog.db-wal": 0o640, "catalog.db-shm": 0o600, "catalog.lock": 0o604, "issuer.key": 0o644, "profile.db": 0o700,
		"notes.txt": 0o644, "folder.db": fs.ModeDir | 0o755, "pki/ca.pem": 0o640,
	} {
		made(t, filepath.Join(dir, path), mode)
	}
	want := []string{"catalog.db", "catalog.db-wal", "catalog.lock", "issuer.key", "pki/ca.pem"}
	if got := private.Exposed(dir); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := private.Exposed(filepath.Join(dir, "missing")); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	for mode, want := range map[fs.FileMode]bool{0o700: false, 0o500: false, 0o755: true, 0o701: true, 0o770: true} {
		folder := made(t, filepath.Join(dir, "pki"), fs.ModeDir|mode)
		if got, open := private.Open(folder); open != want || got != mode {
			t.Errorf("%o: %o, open %t", mode, got, open)
		}
	}
}
