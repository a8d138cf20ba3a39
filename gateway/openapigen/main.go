// Command openapigen writes gateway/openapi.json, the OpenAPI document of the REST
// API. Routes, fields, the limits of protovalidate and who may call come from the
// services' descriptors; descriptions from gen/openapi, which has the comments of
// proto/. Everything else, such as headers, error documents, streams and examples,
// is in this package. With -stdout it prints the document and writes no file.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "openapigen:", err)
		os.Exit(1)
	}
}

// run works from any folder of the repository.
func run() error {
	root, err := repository()
	if err != nil {
		return err
	}
	comments, err := readComments(filepath.Join(root, "gen", "openapi"))
	if err != nil {
		return err
	}
	document, err := describe(comments)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(document); err != nil {
		return err
	}
	if slices.Contains(os.Args[1:], "-stdout") {
		_, err := out.WriteTo(os.Stdout)
		return err
	}
	return os.WriteFile(filepath.Join(root, "gateway", "openapi.json"), out.Bytes(), 0o644) //nolint:gosec // a source file like the others
}

// repository finds the folder of go.mod.
func repository() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the current folder")
		}
	}
	return "", err
}
