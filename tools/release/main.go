// Command release builds the program for every platform, reproducibly: each commit gives the same
// bytes on every machine that has the same version of Go. It writes, into one folder, an archive
// and a CycloneDX SBOM for each platform, and SHA256SUMS over all of them. `make release` runs it.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// sumsName is the file that lists the hashes of all others, as sha256sum -c reads it.
const sumsName = "SHA256SUMS"

// release is what `make release` makes of one commit.
type release struct {
	// root is the folder of the repository, and out the one that is filled.
	root, out string
	// version is in the names of files and in the program.
	version string
	// time is the commit's, and that of everything in an archive.
	time time.Time
}

func main() {
	r := release{}
	var seconds int64
	flag.StringVar(&r.root, "root", ".", "the folder of the repository")
	flag.StringVar(&r.out, "out", "", "the folder to fill; what is in it is removed")
	flag.StringVar(&r.version, "version", "", "the version, as in the tag")
	flag.Int64Var(&seconds, "time", 0, "the time of the commit, in seconds since 1970")
	flag.Parse()
	r.time = time.Unix(seconds, 0).UTC()
	if err := r.run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r release) run(ctx context.Context, out io.Writer) (err error) {
	if err := r.check(); err != nil {
		return err
	}
	if r.root, err = filepath.Abs(r.root); err != nil {
		return err
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	// Modules are looked up where the go.mod of the program is.
	if err := os.Chdir(r.root); err != nil {
		return err
	}
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o750); err != nil {
		return err
	}
	for _, p := range platforms() {
		if err := r.platform(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		fmt.Fprintf(out, "%s is done\n", p)
	}
	sums, err := sumsOf(r.out)
	if err != nil {
		return err
	}
	fmt.Fprint(out, sums)
	return os.WriteFile(filepath.Join(r.out, sumsName), []byte(sums), 0o600)
}

// versionForm is what a version may be: it becomes a part of the names of files.
var versionForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+-]*$`)

func (r release) check() error {
	switch {
	case !versionForm.MatchString(r.version):
		return fmt.Errorf("%q is no version (want letters, digits, dots, plus and minus signs)", r.version)
	case r.time.Unix() <= 0:
		return errors.New("the time of the commit is missing")
	case r.out == "":
		return errors.New("the folder to fill is missing")
	}
	return nil
}

// platform writes the archive and the SBOM of one platform.
func (r release) platform(ctx context.Context, p platform) (err error) {
	name := fmt.Sprintf("preceptor_%s_%s_%s", r.version, p.os, p.arch)
	binary := filepath.Join(r.out, "preceptor")
	if err := r.build(ctx, p, binary); err != nil {
		return err
	}
	defer func() {
		if rerr := os.Remove(binary); err == nil {
			err = rerr
		}
	}()
	notices := &notices{}
	bom, err := r.bom(ctx, binary, notices)
	if err != nil {
		return err
	}
	if err := writeBOM(filepath.Join(r.out, name+".cdx.json"), bom); err != nil {
		return err
	}
	files := []file{{name: "preceptor", from: binary, mode: 0o755}}
	for _, text := range []string{"CHANGELOG.md", "LICENSE", "README.md"} {
		files = append(files, file{name: text, from: filepath.Join(r.root, text), mode: 0o644})
	}
	files = append(files, file{name: "THIRD-PARTY-LICENSES.txt", content: notices.text(), mode: 0o644})
	return writeArchive(filepath.Join(r.out, name+".tar.gz"), name, r.time, files)
}

// sumsOf returns a line for each file of a folder.
func sumsOf(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var lines []string
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		sum := sha256.Sum256(content)
		lines = append(lines, hex.EncodeToString(sum[:])+"  "+e.Name()+"\n")
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[2*sha256.Size:], b[2*sha256.Size:]) })
	return strings.Join(lines, ""), nil
}
