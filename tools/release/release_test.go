package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// aTime is when the commits of these tests were made.
var aTime = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

func TestArchivesDependOnTheirContentAlone(t *testing.T) {
	dir := t.TempDir()
	var archives [][]byte
	for i, at := range []time.Time{aTime, aTime.Add(time.Hour)} {
		from := filepath.Join(dir, "from"+string(rune('a'+i)))
		must(t, os.WriteFile(from, []byte("the program"), []os.FileMode{0o600, 0o700}[i]))
		must(t, os.Chtimes(from, at, at))
		files := []file{{name: "preceptor", from: from, mode: 0o755}, {name: "LICENSE", content: []byte("free"), mode: 0o644}}
		if i == 1 {
			slices.Reverse(files)
		}
		path := filepath.Join(dir, "archive"+string(rune('a'+i))+".tar.gz")
		must(t, writeArchive(path, "preceptor_v1", aTime, files))
		content, err := os.ReadFile(path)
		must(t, err)
		archives = append(archives, content)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the same content gives two archives")
	}

	unzipped, err := gzip.NewReader(bytes.NewReader(archives[0]))
	must(t, err)
	var names []string
	for in := tar.NewReader(unzipped); ; {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		names = append(names, head.Name)
		if !head.ModTime.Equal(aTime) || head.Uid != 0 || head.Gid != 0 || head.Uname != "" || head.Gname != "" {
			t.Errorf("%s depends on who packed it, and when: %+v", head.Name, head)
		}
		if want := map[string]int64{"preceptor_v1/": 0o755, "preceptor_v1/preceptor": 0o755, "preceptor_v1/LICENSE": 0o644}[head.Name]; head.Mode != want {
			t.Errorf("%s has the mode %o, want %o", head.Name, head.Mode, want)
		}
	}
	if want := []string{"preceptor_v1/", "preceptor_v1/LICENSE", "preceptor_v1/preceptor"}; !slices.Equal(names, want) {
		t.Errorf("the archive holds %q, want %q", names, want)
	}
}

func TestWhatIsThereIsNotWrittenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sums")
	full := errors.New("the disk is full")
	if err := writeNew(path, func(io.Writer) error { return full }); !errors.Is(err, full) {
		t.Errorf("a file that cannot be written: %v", err)
	}
	if err := writeNew(path, func(io.Writer) error { return nil }); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file that is there: %v", err)
	}
}

// TestSBOM makes an SBOM of this test's own binary, which is a program with modules like the other.
func TestSBOM(t *testing.T) {
	binary, err := os.Executable()
	must(t, err)
	r := release{version: "v1.2.3", time: aTime}
	var texts []string
	for i := range 2 {
		n := &notices{}
		bom, err := r.bom(t.Context(), binary, n)
		must(t, err)
		path := filepath.Join(t.TempDir(), "sbom.json")
		must(t, writeBOM(path, bom))
		text, err := os.ReadFile(path)
		must(t, err)
		texts = append(texts, string(text))
		if i == 0 {
			checkSBOM(t, text)
			checkNotices(t, string(n.text()))
		}
	}
	if texts[0] != texts[1] {
		t.Error("the same binary has two SBOMs")
	}
}

func checkSBOM(t *testing.T, text []byte) {
	t.Helper()
	var document any
	must(t, json.Unmarshal(text, &document))
	if err := schema(t).Validate(document); err != nil {
		t.Errorf("no valid CycloneDX 1.6: %v", err)
	}
	var bom cdx.BOM
	must(t, cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(&bom))
	if bom.SerialNumber != "" || bom.Metadata.Timestamp != "2026-05-04T03:02:01Z" || bom.Metadata.Component.Version != "v1.2.3" {
		t.Errorf("serial number %q, time %q, version %q", bom.SerialNumber, bom.Metadata.Timestamp, bom.Metadata.Component.Version)
	}
	if tool := (*bom.Metadata.Tools.Components)[0]; tool.Name != generator || !strings.HasPrefix(tool.Version, "v") {
		t.Errorf("made by %s %s", tool.Name, tool.Version)
	}
	licenses := map[string]string{}
	for _, c := range *bom.Components {
		licenses[c.Name] = (*c.Evidence.Licenses)[0].License.ID
		if c.Version == "" || c.PackageURL == "" || c.Name != std && c.Hashes == nil {
			t.Errorf("%s has the version %q, the URL %q and the hashes %v", c.Name, c.Version, c.PackageURL, c.Hashes)
		}
	}
	for name, want := range map[string]string{
		"std": "BSD-3-Clause", "golang.org/x/mod": "BSD-3-Clause", "github.com/CycloneDX/cyclonedx-go": "Apache-2.0", "github.com/rs/zerolog": "MIT",
	} {
		if licenses[name] != want {
			t.Errorf("the license of %s is %q, want %q", name, licenses[name], want)
		}
	}
}

func checkNotices(t *testing.T, text string) {
	t.Helper()
	for _, want := range []string{
		"The standard library of go1.", "Copyright 2009 The Go Authors", "github.com/rs/zerolog v", "Copyright (c) 2017 Olivier Poitrey",
		"github.com/CycloneDX/cyclonedx-go v", "Copyright (c) OWASP Foundation",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the notices do not have %q", want)
		}
	}
}

// schema returns CycloneDX' own schema, which lies in the module of its library.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	must(t, err)
	c := jsonschema.NewCompiler()
	for id, file := range map[string]string{
		"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "schema", file))
		must(t, err)
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		must(t, err)
		must(t, c.AddResource("http://cyclonedx.org/schema/"+id, document))
	}
	s, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	must(t, err)
	return s
}

func TestComponentsWithoutLicenseAreRefused(t *testing.T) {
	bom := &cdx.BOM{Components: &[]cdx.Component{
		{Name: "example.org/free", Version: "v1", Evidence: &cdx.Evidence{Licenses: &cdx.Licenses{}}}, {Name: "example.org/unknown", Version: "v2"},
	}}
	if err := unlicensed(bom); err == nil || !strings.Contains(err.Error(), "example.org/unknown v2") || strings.Contains(err.Error(), "free") {
		t.Error(err)
	}
	if err := (&notices{}).add("example.org/unknown v2", t.TempDir()); err == nil {
		t.Error("a module without any text of a license is accepted")
	}
}

func TestBuildsByOtherSettingsAreRefused(t *testing.T) {
	build := func(change func(*debug.BuildInfo)) error {
		info := &debug.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{{Path: "example.org/a", Version: "v1", Sum: "h1:x"}}}
		for _, s := range [][2]string{
			{"-buildmode", "exe"},
			{"-compiler", "gc"},
			{"-trimpath", "true"},
			{"DefaultGODEBUG", "x=1"},
			{"CGO_ENABLED", "0"},
			{"GOARCH", "amd64"},
			{"GOOS", "linux"},
			{"GOAMD64", "v1"},
		} {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: s[0], Value: s[1]})
		}
		change(info)
		return checkBuild(info, platform{"linux", "amd64"})
	}
	set := func(key, value string) func(*debug.BuildInfo) {
		return func(info *debug.BuildInfo) {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: key, Value: value})
		}
	}
	if err := build(func(*debug.BuildInfo) {}); err != nil {
		t.Errorf("what make build makes is refused: %v", err)
	}
	for name, change := range map[string]func(*debug.BuildInfo){
		"tags":              set("-tags", "debug"),
		"race":              set("-race", "true"),
		"a newer processor": set("GOAMD64", "v3"),
		"cgo":               set("CGO_ENABLED", "1"),
		"a commit":          set("vcs.revision", "abc"),
		"an experiment":     func(info *debug.BuildInfo) { info.GoVersion = "go1.26.8 X:jsonv2" },
		"Go's own main":     func(info *debug.BuildInfo) { info.GoVersion = "devel go1.27-abc" },
		"a replacement":     func(info *debug.BuildInfo) { info.Deps[0].Replace = &debug.Module{Path: "../a"} },
		"no hash":           func(info *debug.BuildInfo) { info.Deps[0].Sum = "" },
	} {
		if err := build(change); err == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}

func TestVersionsAreParts(t *testing.T) {
	for version, want := range map[string]bool{
		"v1.2.3": true, "v1.2.3-rc.1+x": true, "0123456789ab-dirty": true, "": false, "../v1": false, "v1/2": false, "-v1": false, "v1 2": false, "v1'": false,
	} {
		if err := (release{out: "out", version: version, time: aTime}).check(); (err == nil) != want {
			t.Errorf("%q: %v", version, err)
		}
	}
	if err := (release{out: "out", version: "v1", time: time.Unix(0, 0)}).check(); err == nil {
		t.Error("a release without a time is accepted")
	}
}

func TestSums(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "b"), []byte("bravo"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "a"), nil, 0o600))
	sums, err := sumsOf(dir)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, sumsName), []byte(sums), 0o600))
	check := exec.Command("sha256sum", "-c", "--strict", sumsName)
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil || string(out) != "a: OK\nb: OK\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
