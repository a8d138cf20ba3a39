// Package backup holds the set of files that a backup of a data folder consists of, with their
// sizes and hashes. It knows no service: the names are passed.
package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/preceptor-dev/preceptor/internal/private"
)

const (
	// ManifestName is written last, so a folder without it holds no whole backup.
	ManifestName = "manifest.json"
	// Format rises when an older program could not restore what a newer one wrote.
	Format = 1
	// UnfinishedName is in a data folder for as long as it is not all there.
	UnfinishedName = "restore.unfinished"
)

// Manifest describes a backup.
type Manifest struct {
	Format int `json:"format"`
	// Version is the program's that made it.
	Version string `json:"version"`
	// Time is when it began: what was acknowledged before is in it.
	Time  time.Time `json:"time"`
	Files []File    `json:"files"`
}

// File is one file of a backup.
type File struct {
	// Name is its path in the backup, and in the data folder.
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Schema is a database's newest migration, and Service whose it is.
	Schema  int64  `json:"schema,omitempty"`
	Service string `json:"service,omitempty"`
}

// ReadManifest reads the manifest of a backup, and refuses one that names files elsewhere.
func ReadManifest(dir string) (m Manifest, err error) {
	var text bytes.Buffer
	_, err = ReadFrom(dir, ManifestName, &text)
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("there is no %s in %s: it is not a backup, or one that did not finish", ManifestName, dir)
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text.Bytes(), &m); err != nil {
		return m, fmt.Errorf("%s in %s cannot be read, so the backup is damaged: %w", ManifestName, dir, err)
	}
	if m.Format != Format {
		return m, fmt.Errorf("the backup in %s was made by version %s, in format %d: restore it with that program", dir, m.Version, m.Format)
	}
	for _, f := range m.Files {
		if !filepath.IsLocal(f.Name) || f.Name == UnfinishedName {
			return m, fmt.Errorf("%s in %s names a file %q, which no backup holds", ManifestName, dir, f.Name)
		}
	}
	return m, nil
}

// Write puts the manifest into a backup.
func (m Manifest) Write(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return CreateFile(filepath.Join(dir, ManifestName), func(out io.Writer) error {
		_, err := out.Write(append(text, '\n'))
		return err
	})
}

// Check compares the files of a backup with what its manifest lists.
func (m Manifest) Check(dir string) error {
	for _, want := range m.Files {
		found, err := ReadFrom(dir, want.Name, io.Discard)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the backup in %s is damaged: there is no %s", dir, want.Name)
		}
		if err != nil {
			return err
		}
		if err := want.Same(found, dir); err != nil {
			return err
		}
	}
	return nil
}

// Same returns an error when found, a file of the backup in dir, is not what the manifest lists.
func (f File) Same(found File, dir string) error {
	if found.Size != f.Size || found.SHA256 != f.SHA256 {
		return fmt.Errorf("the backup in %s is damaged: %s has %d bytes and sha256 %s, and had %d and %s when it was made",
			dir, f.Name, found.Size, found.SHA256, f.Size, f.SHA256)
	}
	return nil
}

// ReadFile copies a file to a writer, and returns its size and hash.
func ReadFile(path string, to io.Writer) (read File, err error) {
	in, err := os.Open(path) //nolint:gosec // the operator names the folder
	if err != nil {
		return read, err
	}
	return readAll(in, path, to)
}

// ReadFrom is ReadFile of a file of the backup in dir, by its name in the manifest.
func ReadFrom(dir, name string, to io.Writer) (read File, err error) {
	in, err := open(dir, name)
	if err != nil {
		return read, err
	}
	return readAll(in, filepath.Join(dir, name), to)
}

// open opens a file of the backup in dir, and refuses what is not there itself: a link may lead to any
// file of this machine, and to another one once its hash was compared.
func open(dir, name string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	name = filepath.FromSlash(name)
	for i := range len(name) + 1 { // from the first folder on: below a link everything would be elsewhere
		if i < len(name) && !os.IsPathSeparator(name[i]) {
			continue
		}
		part := name[:i]
		info, err := root.Lstat(part)
		switch {
		case err != nil:
			return nil, err
		case info.Mode().Type() == fs.ModeSymlink:
			return nil, fmt.Errorf(
				"%s in the backup in %s is a link, which no backup has: put the file itself in its place, as `cp -rL` does, if you trust where it leads", part, dir)
		case part == name && !info.Mode().IsRegular():
			return nil, fmt.Errorf("%s in the backup in %s is no file: the backup is damaged, so restore another one", part, dir)
		}
	}
	return root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
}

// readAll reads a file to its end, and closes it.
func readAll(in *os.File, path string, to io.Writer) (read File, err error) {
	defer in.Close()
	sum := sha256.New()
	if read.Size, err = io.Copy(io.MultiWriter(sum, to), in); err != nil {
		return read, fmt.Errorf("copying %s: %w", path, err)
	}
	read.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return read, nil
}

// CopyFile copies a file into a new one.
func CopyFile(from, to string) (copied File, err error) {
	err = CreateFile(to, func(out io.Writer) error {
		copied, err = ReadFile(from, out)
		return err
	})
	return copied, err
}

// CopyFrom copies a file of the backup in dir, by its name in the manifest, into a new one.
func CopyFrom(dir, name, to string) (copied File, err error) {
	err = CreateFile(to, func(out io.Writer) error {
		copied, err = ReadFrom(dir, name, out)
		return err
	})
	return copied, err
}

// CreateFile makes a file for its owner alone, which is on the disk when it returns.
func CreateFile(path string, fill func(io.Writer) error) (err error) {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, private.FileMode) //nolint:gosec // as in ReadFile; O_EXCL follows no link
	if err != nil {
		return err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
	}()
	if err := private.Set(out); err != nil {
		return err
	}
	if err := fill(out); err != nil {
		return err
	}
	return out.Sync()
}

// SyncFolder puts the names in a folder on the disk.
func SyncFolder(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // a folder that the operator names
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Contents are what a folder holds beside the locks of services, which are never removed; none
// when there is no folder.
func Contents(dir string) ([]string, error) {
	found, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, entry := range found {
		if !strings.HasSuffix(entry.Name(), ".lock") {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

// Empty removes what a command put into a folder that was empty, and failed; the mark of a
// restore only when all else is gone.
func Empty(dir string) error {
	found, err := Contents(dir)
	if err != nil {
		return err
	}
	for _, name := range found {
		if name == UnfinishedName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.RemoveAll(filepath.Join(dir, UnfinishedName))
}

// CheckWhole refuses a data folder that a restore did not finish: what is missing would be made
// anew, and empty.
func CheckWhole(dir string) error {
	_, err := os.Stat(filepath.Join(dir, UnfinishedName))
	if err != nil {
		return nil //nolint:nilerr // anything else that is wrong with the folder is an error of its next use
	}
	return fmt.Errorf("a restore into the folder %s is under way, or was cut off: empty the folder and restore again", dir)
}
