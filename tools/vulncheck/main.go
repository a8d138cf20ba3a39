// Command vulncheck runs govulncheck on every module of the repository, and fails when one of them
// has a known vulnerability. The database is the public one, or a copy of it in a folder. Packages of ours,
// tests included, are searched for calls of what is vulnerable; tools that a go.mod pins, which are many and run
// on a developer's machine only, for imports of it. `make vulncheck` runs this.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// public is where the Go team publishes the database.
	public = "https://vuln.go.dev"
	// found is the exit code of govulncheck for vulnerabilities; others are failures.
	found = 3
	// tags are those of all tests, as in .golangci.yml.
	tags = "realservers,failover,node"
)

func main() {
	root := flag.String("root", ".", "the folder of the repository")
	db := flag.String("db", "", "the folder of a copy of the database, or an URL (default "+public+")")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: vulncheck [flags] [MODULE...], with the modules' folders; all of them without")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(context.Background(), *root, *db, flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1)
	}
}

// run checks the modules in these folders below root, or all when there are none.
func run(ctx context.Context, root, db string, modules []string, out io.Writer) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	url, modified, err := database(ctx, root, db)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the database is of %s\n", modified.Format(time.DateOnly))
	if len(modules) == 0 {
		if modules, err = modulesOf(ctx, root); err != nil {
			return err
		}
	}
	c := checker{pins: filepath.Join(root, "tools", "vuln", "go.mod"), url: url, out: out}
	var vulnerable []string
	for _, module := range modules {
		ok, err := c.module(ctx, filepath.Join(root, module), module)
		if err != nil {
			return fmt.Errorf("%s: %w", module, err)
		}
		if !ok {
			vulnerable = append(vulnerable, module)
		}
	}
	if len(vulnerable) > 0 {
		return fmt.Errorf("known vulnerabilities in %s", strings.Join(vulnerable, ", "))
	}
	return nil
}

// database returns the URL of the database that db names, and when it was last changed. A relative
// folder is one below root.
func database(ctx context.Context, root, db string) (url string, modified time.Time, err error) {
	if db == "" {
		db = public
	}
	const index = "index/db.json"
	var text []byte
	if strings.HasPrefix(db, "http://") || strings.HasPrefix(db, "https://") {
		url = strings.TrimSuffix(db, "/")
		text, err = fetch(ctx, url+"/"+index)
	} else {
		folder := strings.TrimPrefix(db, "file://")
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(root, folder)
		}
		url = "file://" + filepath.ToSlash(folder)
		text, err = os.ReadFile(filepath.Join(folder, filepath.FromSlash(index)))
	}
	var head struct {
		Modified time.Time `json:"modified"`
	}
	if err == nil {
		err = json.Unmarshal(text, &head)
	}
	if err != nil {
		return "", modified, fmt.Errorf("there is no database of vulnerabilities at %s: %w\n"+
			"download %s/vulndb.zip where it is in reach, unzip it, and name the folder with DB=/path", db, err, public)
	}
	return url, head.Modified, nil
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 1<<20))
}

// modulesOf returns the folders of all modules that git knows of.
func modulesOf(ctx context.Context, root string) ([]string, error) {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "go.mod", "*/go.mod")
	list.Dir = root
	text, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var modules []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(text), "\x00"), "\x00") {
		modules = append(modules, filepath.Dir(filepath.FromSlash(name)))
	}
	slices.Sort(modules)
	return slices.Compact(modules), nil
}

// checker runs govulncheck.
type checker struct {
	// pins is the go.mod that has its version.
	pins string
	// url is where the database is.
	url string
	out io.Writer
}

// module checks a module's packages and the tools that its go.mod pins.
func (c checker) module(ctx context.Context, dir, name string) (ok bool, err error) {
	ok = true
	for _, what := range []struct {
		pattern string
		flags   []string
	}{
		{"./...", []string{"-test", "-tags", tags}},
		{"tool", []string{"-scan", "package"}},
	} {
		some, err := c.any(ctx, dir, what.pattern)
		if err != nil {
			return false, err
		}
		if !some {
			continue
		}
		fmt.Fprintf(c.out, "\n%s: %s\n", name, what.pattern)
		args := slices.Concat([]string{"tool", "-modfile=" + c.pins, "govulncheck", "-db", c.url}, what.flags, []string{what.pattern})
		check := exec.CommandContext(ctx, "go", args...)
		check.Dir, check.Stdout, check.Stderr = dir, c.out, c.out
		err = check.Run()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.ExitCode() == found:
			ok = false
		case err != nil:
			return false, fmt.Errorf("govulncheck: %w", err)
		}
	}
	return ok, nil
}

// any reports whether a pattern matches any package of a module.
func (c checker) any(ctx context.Context, dir, pattern string) (bool, error) {
	var complaints bytes.Buffer
	list := exec.CommandContext(ctx, "go", "list", "-find", "-tags", tags, pattern)
	list.Dir, list.Stderr = dir, &complaints
	text, err := list.Output()
	if err != nil {
		return false, fmt.Errorf("go list %s: %w\n%s", pattern, err, complaints.Bytes())
	}
	return len(bytes.TrimSpace(text)) > 0, nil
}
