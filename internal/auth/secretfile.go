package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SecretFile returns what the file at path holds, and first makes the file,
// readable by its owner only, from generate when there is none. Processes that
// do so at the same moment all return the same bytes: the content is written in
// full under another name, and only the first may take the real one. Folders on
// the way are made.
func SecretFile(path string, generate func() ([]byte, error)) ([]byte, error) {
	content, err := os.ReadFile(path) //nolint:gosec // the operator's setting, or a fixed name in the data folder
	if !errors.Is(err, fs.ErrNotExist) {
		return content, err
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

// publishOnce returns the content its name by link(2), which, unlike rename,
// fails when the name is taken: the loser of a race keeps the winner's file.
func publishOnce(path string, content []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // made 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	_, err = tmp.Write(content)
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
