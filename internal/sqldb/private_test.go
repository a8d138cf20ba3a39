package sqldb_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// exposed are the files in a folder that others than their owner have.
func exposed(t *testing.T, dir string) (names []string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range found {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			names = append(names, entry.Name()+" "+info.Mode().String())
		}
	}
	return names
}

// TestSQLiteFilesArePrivate: in a folder that everybody may enter, no file that is written is anybody
// else's, and one that was is not any more once it is opened.
func TestSQLiteFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wide")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // what the program must narrow
		t.Fatal(err)
	}
	file := filepath.Join(dir, "x.db")
	for _, when := range []string{"new", "wide", "left open"} {
		if when != "new" {
			for _, name := range []string{file, filepath.Join(dir, "x.lock")} {
				if err := os.Chmod(name, 0o644); err != nil { //nolint:gosec // what the program must narrow
					t.Fatal(err)
				}
			}
		}
		if when == "left open" { // by a process that was killed
			for _, suffix := range []string{"-wal", "-shm"} {
				if err := os.WriteFile(file+suffix, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(file+suffix, 0o666); err != nil { //nolint:gosec // what the program must narrow
					t.Fatal(err)
				}
			}
		}
		release, err := sqldb.LockFolder(dir, "x")
		if err != nil {
			t.Fatal(err)
		}
		db, err := sqldb.OpenMigrated(t.Context(), "sqlite:"+file, sqldb.Options{}, migrations(stepOne))
		if err != nil {
			t.Fatal(err)
		}
		if names := exposed(t, dir); len(names) > 0 {
			t.Errorf("%s: others have %s", when, strings.Join(names, ", "))
		}
		if _, err := os.Stat(file + "-wal"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		_ = release()
	}
}
