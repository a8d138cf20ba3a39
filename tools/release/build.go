package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
)

// platform is what a binary runs on.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// platforms are what the program is built for: servers, and a Mac to try it on.
func platforms() []platform {
	return []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "arm64"}}
}

// build has `make build` make the binary, as it does for an image, and checks that the machine's
// settings did not change it.
func (r release) build(ctx context.Context, p platform, binary string) error {
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "build", "BINARY="+binary)
	cmd.Dir = r.root
	// The variable comes by the environment, where make and the shell take it as it is.
	cmd.Env = append(cmd.Environ(), "GOOS="+p.os, "GOARCH="+p.arch, "VERSION="+r.version)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make build: %w", err)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	return checkBuild(info, p)
}

// published is a version of Go that everybody can get, and one without experiments.
var published = regexp.MustCompile(`^go1\.\d+(\.\d+|rc\d+)?$`)

// checkBuild returns an error when a binary was made by other settings than `make build` has:
// nobody who rebuilds it could know them.
func checkBuild(info *debug.BuildInfo, p platform) error {
	if !published.MatchString(info.GoVersion) {
		return fmt.Errorf("built by %s, which is no published version of Go", info.GoVersion)
	}
	want := map[string]string{"-buildmode": "exe", "-compiler": "gc", "-trimpath": "true", "CGO_ENABLED": "0", "GOOS": p.os, "GOARCH": p.arch}
	switch p.arch {
	case "amd64":
		want["GOAMD64"] = "v1"
	case "arm64":
		want["GOARM64"] = "v8.0"
	}
	got := map[string]string{}
	for _, s := range info.Settings {
		// This one follows from go.mod and the version of Go.
		if s.Key != "DefaultGODEBUG" {
			got[s.Key] = s.Value
		}
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("built with the settings %v instead of %v: look for them in the environment and in `go env`", got, want)
	}
	for _, m := range info.Deps {
		if m.Replace != nil || m.Sum == "" {
			return fmt.Errorf("%s %s is replaced or has no hash", m.Path, m.Version)
		}
	}
	return nil
}
