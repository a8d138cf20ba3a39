package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/bin"
	"github.com/rs/zerolog"
)

const (
	// std is what an SBOM calls the standard library.
	std = "std"
	// generator is the module that makes the SBOM.
	generator = "github.com/CycloneDX/cyclonedx-gomod"
	// ownLicense is what the file LICENSE is.
	ownLicense = "Apache-2.0"
)

// bom returns the SBOM of a binary, by what the linker wrote into it: what is not in the binary is
// not in the SBOM. The texts of all licenses are added to n.
func (r release) bom(ctx context.Context, binary string, n *notices) (*cdx.BOM, error) {
	// What was built is in the cache of modules already, and the generator compares it with the hashes in
	// the binary. The program's own module need not be anywhere, and must not be asked for.
	for _, name := range []string{"GOPROXY", "GOSUMDB"} {
		if err := os.Setenv(name, "off"); err != nil {
			return nil, err
		}
	}
	var warnings bytes.Buffer
	g, err := bin.NewGenerator(binary, bin.WithLogger(zerolog.New(&warnings).Level(zerolog.WarnLevel)), bin.WithIncludeStdlib(true), bin.WithLicenseDetector(n),
		bin.WithVersionOverride(r.version), bin.WithShortPURLS(true))
	if err != nil {
		return nil, err
	}
	bom, err := g.Generate()
	if err != nil {
		return nil, err
	}
	if err := r.describe(bom, binary); err != nil {
		return nil, err
	}
	if err := addStd(ctx, bom, n); err != nil {
		return nil, err
	}
	if err := unlicensed(bom); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, &warnings)
	}
	return bom, nil
}

// describe adds what the generator leaves to its caller. There is no serial number, and the time is
// the commit's, so that the same binary always has the same SBOM.
func (r release) describe(bom *cdx.BOM, binary string) error {
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	main := bom.Metadata.Component
	main.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}}
	main.Licenses = &cdx.Licenses{{License: &cdx.License{ID: ownLicense}}}
	bom.Metadata.Timestamp = r.time.Format(time.RFC3339)
	bom.Metadata.Tools = &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: generator, Version: generatorVersion()}}}
	return nil
}

// generatorVersion is the version that go.mod pins.
func generatorVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == generator {
			return m.Version
		}
	}
	return ""
}

// addStd adds the license of the standard library, which is no module that could be looked up.
func addStd(ctx context.Context, bom *cdx.BOM, n *notices) error {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	for i, c := range *bom.Components {
		if c.Name == std {
			(*bom.Components)[i].Evidence = &cdx.Evidence{Licenses: &cdx.Licenses{{License: &cdx.License{ID: "BSD-3-Clause"}}}}
			return n.addStd(c.Version, strings.TrimSpace(string(goroot)))
		}
	}
	return errors.New("the SBOM has no standard library")
}

// unlicensed returns an error that names the components whose license is unknown.
func unlicensed(bom *cdx.BOM) error {
	var names []string
	for _, c := range *bom.Components {
		if c.Evidence == nil || c.Evidence.Licenses == nil {
			names = append(names, c.Name+" "+c.Version)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("no license was found for %s: read it, and list it in licenses.go", strings.Join(names, ", "))
	}
	return nil
}

// writeBOM writes an SBOM as JSON of CycloneDX 1.6.
func writeBOM(path string, bom *cdx.BOM) error {
	return writeNew(path, func(out io.Writer) error {
		return cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	})
}
