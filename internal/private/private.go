// Package private keeps the files that the program writes for their owner alone: learners' records
// and keys are nobody else's on the machine, whatever the umask, the folder, or an older program did.
package private

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// FileMode is the mode of every file that is written.
	FileMode fs.FileMode = 0o600
	// others are the bits by which anybody but the owner has a file.
	others fs.FileMode = 0o077
)

// Set gives an open file exactly FileMode, which the umask may have cut.
func Set(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Mode().Perm() == FileMode {
		return err
	}
	return f.Chmod(FileMode)
}

// Narrow takes a file away from others than its owner; a file that is not there is no error. One of
// another owner stays as it is, with an error: it may still be usable.
func Narrow(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&others == 0 {
		return err
	}
	return os.Chmod(path, info.Mode().Perm()&^others)
}

// Make makes an empty file for its owner alone where there is none, and narrows one that is there.
func Make(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, FileMode) //nolint:gosec // a name in the data folder; O_EXCL follows no link
	if errors.Is(err, fs.ErrExist) {
		return Narrow(path)
	}
	if err != nil {
		return err
	}
	return errors.Join(Set(f), f.Close())
}

// Open reports whether others than its owner may enter, list or change a folder, with its mode.
func Open(dir string) (mode fs.FileMode, open bool) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, false // whoever uses the folder finds out
	}
	return info.Mode().Perm(), info.Mode().Perm()&others != 0
}

// Exposed are the names of the program's own files in a folder, and in those below it, that others than
// their owner may read or write. What is not its own, as lost+found on a volume, is passed over.
func Exposed(dir string) []string {
	var names []string
	for _, pattern := range []string{"*.db", "*.db-wal", "*.db-shm", "*.lock", "*.key", "pki/*.pem"} {
		found, _ := fs.Glob(os.DirFS(dir), pattern) // the patterns are good, and a folder that cannot be read is found out by whoever uses it
		for _, name := range found {
			info, err := os.Stat(filepath.Join(dir, name))
			if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&others != 0 {
				names = append(names, name)
			}
		}
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
