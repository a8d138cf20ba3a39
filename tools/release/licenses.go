package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/licensedetect"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/licensedetect/local"
	"github.com/rs/zerolog"
)

// known returns licenses that were read by a person, by the beginning of the module's path: detection
// takes the first for a variant of itself, and finds none in the second.
func known(path string) (id string) {
	for _, k := range []struct{ prefix, id string }{
		{"golang.org/x/", "BSD-3-Clause"},
		{"github.com/pressly/goose/", "MIT"},
	} {
		if strings.HasPrefix(path, k.prefix) {
			return k.id
		}
	}
	return ""
}

// noticeName is a file that has to come with a binary that contains the module.
var noticeName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-._].*)?$`)

// notices detects the licenses of modules, and keeps their texts.
type notices struct {
	detector licensedetect.Detector
	modules  []notice
}

type notice struct {
	// title is the module and its version.
	title string
	texts [][]byte
}

// Detect returns the license of a module that lies in dir; the SBOM's generator calls it.
func (n *notices) Detect(path, version, dir string) ([]cdx.License, error) {
	if err := n.add(path+" "+version, dir); err != nil {
		return nil, err
	}
	if id := known(path); id != "" {
		return []cdx.License{{ID: id}}, nil
	}
	if n.detector == nil {
		n.detector = local.NewDetector(zerolog.Nop())
	}
	return n.detector.Detect(path, version, dir)
}

// add keeps the texts of the license of what lies in dir.
func (n *notices) add(title, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var texts [][]byte
	for _, e := range entries {
		if !e.Type().IsRegular() || !noticeName.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		texts = append(texts, bytes.TrimSpace(text))
	}
	if len(texts) == 0 {
		return fmt.Errorf("%s has no text of a license", title)
	}
	n.modules = append(n.modules, notice{title: title, texts: texts})
	return nil
}

// addStd keeps the license of the standard library, which lies in goroot.
func (n *notices) addStd(version, goroot string) error {
	text, err := os.ReadFile(filepath.Join(goroot, "LICENSE"))
	if err != nil {
		return fmt.Errorf("the license of Go: %w", err)
	}
	n.modules = append(n.modules, notice{title: "The standard library of " + version, texts: [][]byte{bytes.TrimSpace(text)}})
	return nil
}

// text returns all of them, as a file that comes with the binary.
func (n *notices) text() []byte {
	slices.SortFunc(n.modules, func(a, b notice) int { return cmp.Compare(a.title, b.title) })
	var b bytes.Buffer
	b.WriteString("Preceptor contains the following software, under these licenses.\n")
	for _, m := range n.modules {
		fmt.Fprintf(&b, "\n%s\n%s\n", strings.Repeat("=", 80), m.title)
		for _, text := range m.texts {
			fmt.Fprintf(&b, "%s\n%s\n", strings.Repeat("-", 80), text)
		}
	}
	return b.Bytes()
}
