// Command openapigen writes gateway/openapi.json, the description of the REST
// face that the gateway serves. Its shape comes from the services' descriptors:
// routes, fields, the limits of protovalidate, who may call. Its words come from
// gen/openapi, where the comments of proto/ are. What neither can say, such as
// headers, error documents, streams and examples, is written here. With -stdout
// it prints the description and writes nothing.
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
	words, err := readWords(filepath.Join(root, "gen", "openapi"))
	if err != nil {
		return err
	}
	document, err := describe(words)
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
