package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
)

// readFiles reads the named files, and the catalog's files below the named folders.
func readFiles(paths []string) ([]catalogFile, error) {
	if len(paths) == 0 {
		return nil, server.Usagef("name at least one file or folder")
	}
	contents := map[string][]byte{}
	for _, name := range paths {
		found, err := below(name)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", name, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s holds no .yaml, .yml or .json file", name)
		}
		maps.Copy(contents, found)
	}
	files := make([]catalogFile, 0, len(contents))
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if !utf8.Valid(contents[name]) {
			return nil, fmt.Errorf("%s is not UTF-8 text", name)
		}
		files = append(files, catalogFile{Name: filepath.ToSlash(name), Content: string(contents[name])})
	}
	return files, nil
}

// below reads a file itself, or a folder's files that a catalog may be written in. A folder may come
// from somebody else: a link in it that leads out of it would send a file of this machine to the server.
func below(name string) (map[string][]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		content, err := os.ReadFile(name) //nolint:gosec // who runs the command names it
		return map[string][]byte{filepath.Clean(name): content}, err
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	found := map[string][]byte{}
	err = fs.WalkDir(root.FS(), ".", func(inside string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && inside != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(inside)):
			return nil
		}
		if found[filepath.Join(name, inside)], err = regularFile(root, inside); err != nil {
			return fmt.Errorf("%s: %w", inside, err)
		}
		return nil
	})
	return found, err
}

// regularFile reads a file, also by a link that stays in root, as those of a mounted ConfigMap do.
// Opening a pipe would wait for a writer.
func regularFile(root *os.Root, name string) ([]byte, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	return root.ReadFile(name)
}
