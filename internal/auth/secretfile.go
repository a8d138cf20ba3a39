package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/preceptor-dev/preceptor/internal/private"
)

// SecretFile returns what the file at path holds, and first makes the file,
// readable by its owner only, from generate when there is none. Processes that
// do so at the same moment all return the same bytes: the content is written in
// full under another name, and only the first may take the real one. Folders on
// the way are made. A file that others may read is narrowed, and an empty one is
// an error: it was never made so.
func SecretFile(path string, generate func() ([]byte, error)) ([]byte, error) {
	content, err := os.ReadFile(path) //nolint:gosec // the operator's setting, or a fixed name in the data folder
	switch {
	case err == nil && len(bytes.TrimSpace(content)) == 0:
		return nil, UnusableSecret(path, "is empty")
	case err == nil:
		_ = private.Narrow(path) // fails on a file of another owner, which can be read all the same
		return content, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if content, err = generate(); err != nil {
		return nil, fmt.Errorf("making %s: %w", path, err)
	}
	if err := publishOnce(path, content); err != nil {
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return os.ReadFile(path) //nolint:gosec // the same file
}

// UnusableSecret is the error of a secret file that is there and does not hold what it must. It never
// quotes the content.
func UnusableSecret(path, fault string) error {
	return fmt.Errorf("%s %s: put a copy of it back, or remove it to have a new one made; what the old one signed is then refused", path, fault)
}

// publishOnce returns the content its name by link(2), which, unlike rename,
// fails when the name is taken: the loser of a race keeps the winner's file.
func publishOnce(path string, content []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	if err = private.Set(tmp); err == nil {
		_, err = tmp.Write(content)
	}
	if err == nil {
		err = tmp.Sync() // or a crash could leave the name with nothing behind it
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err = os.Link(tmp.Name(), path); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
