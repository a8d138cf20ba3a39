package arch_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dependencyRules keep what others wrote known, fixed and hashed: who gets one of these packages to
// change does not change what is built here.
func dependencyRules() []dependencyRule {
	const adr = "| `a.org/a` | why |\n\n| `a.org/t` | tests |\n\n| `a.org/tool` | tool |\n\n| `npm-a` | npm |\n"
	const goMod = "module m\n\nrequire (\n\ta.org/a/v2 v2.0.0\n\ta.org/t v1.0.0\n\tb.org/b v1.0.0 // indirect\n)\n"
	const lock = `{"packages": {"": {}, "node_modules/npm-a": {"version": "1.0.0", "integrity": "sha512-x"}}}`
	const npmrc = "ignore-scripts=true\n"
	good := map[string]string{
		adrOfDependencies: adr, "go.mod": goMod, "tools/go.mod": "module m/tools\n\ntool a.org/tool/cmd/x\n", "package-lock.json": lock, ".npmrc": npmrc,
		"package.json": `{"devDependencies": {"npm-a": "1.0.0"}}`, "Makefile": "x:\n\tnpm --prefix a ci --ignore-scripts\n",
	}
	with := func(name, text string) map[string]string {
		files := maps.Clone(good)
		files[name] = text
		return files
	}
	return []dependencyRule{{
		name: "every dependency has a reason", check: reasonless, good: good,
		bad: []map[string]string{
			with("go.mod", goMod+"require c.org/c v1.0.0\n"),
			with("go.mod", strings.Replace(goMod, "b.org/b v1.0.0 // indirect", "b.org/b v1.0.0", 1)),
			with("tools/go.mod", "module m/tools\n\ntool (\n\ta.org/tool/cmd/x\n\ta.org/toolbox/cmd\n)\n"),
			with("package.json", `{"dependencies": {"npm-a": "1.0.0", "npm-b": "1.0.0"}}`),
			with(adrOfDependencies, strings.Replace(adr, "| tests", "| tests |\n| `a.org/gone` | tests", 1)),
			with(adrOfDependencies, strings.Replace(adr, "| npm |", "| npm |\n| `npm-gone` | npm |", 1)),
		},
	}, {
		name: "nothing stands in for a module", check: replaced,
		good: with("go.mod", goMod+"replace a.org/a => a.org/a v1.0.0\n"),
		bad: []map[string]string{
			with("go.mod", goMod+"replace a.org/a => fork.org/a v1.0.0\n"), with("go.mod", goMod+"replace (\n\ta.org/a v1.0.0 => ../a\n)\n"),
		},
	}, {
		name: "npm's packages are hashed, exact and run nothing", check: looseNPM, good: good,
		bad: []map[string]string{
			with("package-lock.json", strings.Replace(lock, "sha512", "sha1", 1)),
			with("package-lock.json", strings.Replace(lock, `, "integrity": "sha512-x"`, "", 1)),
			with("package-lock.json", strings.Replace(lock, `"version"`, `"resolved": "https://mirror.org/a.tgz", "version"`, 1)),
			with("package.json", `{"devDependencies": {"npm-a": "^1.0.0"}}`),
			with("package.json", `{"optionalDependencies": {"npm-a": "https://a.org/a.tgz"}}`),
			with("package.json", `{"scripts": {"postinstall": "make"}}`),
			with(".npmrc", "save-exact=true\n"),
			with("Makefile", "x:\n\tnpm --prefix a ci\n"),
			with("Makefile", "x:\n\tnpm install --ignore-scripts\n"),
			with("a/run.sh", "npx tsc\n"),
			with("a/run.sh", "npm exec -- tsc\n"),
		},
	}}
}

// dependencyRule is as a rule, of the files that name dependencies.
type dependencyRule struct {
	name  string
	check func(map[string]string) []string
	good  map[string]string
	bad   []map[string]string
}

const adrOfDependencies = "docs/adr/0009-what-we-depend-on.md"

func TestDependencies(t *testing.T) {
	files := dependencyFiles(t)
	if len(namedLike(files, "go.mod")) < 5 || len(namedLike(files, "package.json")) < 3 {
		t.Fatalf("too few files were found: %q", slices.Sorted(maps.Keys(files)))
	}
	for _, r := range dependencyRules() {
		t.Run(r.name, func(t *testing.T) {
			for _, offence := range r.check(files) {
				t.Error(offence)
			}
			if found := r.check(r.good); len(found) != 0 {
				t.Errorf("no offence in %v, found %q", r.good, found)
			}
			for _, bad := range r.bad {
				if found := r.check(bad); len(found) != 1 {
					t.Errorf("one offence in %v, found %q", bad, found)
				}
			}
		})
	}
}

// dependencyFiles reads what the rules are about, by the paths from the root.
func dependencyFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	root := os.DirFS(".")
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "node_modules", "bin", "data"}, name):
			return fs.SkipDir
		case d.IsDir():
		case slices.Contains([]string{"go.mod", "package.json", "package-lock.json", ".npmrc", "Makefile", ".ci/run", adrOfDependencies}, name),
			path.Ext(name) == ".sh", p == ".ci/run", p == adrOfDependencies:
			text, err := fs.ReadFile(root, p)
			files[p] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// namedLike are the paths of the files of one name, in order.
func namedLike(files map[string]string, name string) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for p := range files {
			if path.Base(p) == name && !yield(p) {
				return
			}
		}
	})
}

var (
	majorVersion = regexp.MustCompile(`/v\d+$`)
	required     = regexp.MustCompile(`(?m)^(?:require)?\s+(\S+\.\S+) v\S+$`)
	tool         = regexp.MustCompile(`(?m)^(?:tool|)\s+(\S+\.\S+/\S+)$`)
	replacement  = regexp.MustCompile(`(?m)^(?:replace)?\s+(\S+)(?: v\S+)? => (\S+)`)
	named        = regexp.MustCompile("(?m)^\\| `([^|]*)` \\|")
)

// reasonless compares what is required with the tables of the ADR: the program's dependencies, those
// of its tests, the tools' and npm's.
func reasonless(files map[string]string) (offences []string) {
	tables := tablesOf(files[adrOfDependencies])
	if len(tables) != 4 {
		return []string{fmt.Sprintf("%s has %d tables, want 4", adrOfDependencies, len(tables))}
	}
	program, tools, npm := slices.Concat(tables[0], tables[1]), slices.Concat(tables[0], tables[1], tables[2]), tables[3]
	used := map[string]bool{}
	for _, p := range namedLike(files, "go.mod") {
		known := tools
		if p == "go.mod" {
			known = program
		}
		for _, dependency := range dependenciesOf(files[p]) {
			i := slices.IndexFunc(known, dependency.is)
			if i < 0 {
				offences = append(offences, fmt.Sprintf("%s requires %s, and %s does not say why", p, dependency.path, adrOfDependencies))
				continue
			}
			used[known[i]] = true
		}
	}
	for _, p := range namedLike(files, "package.json") {
		for name := range packageOf(files[p]).all() {
			if !slices.Contains(npm, name) {
				offences = append(offences, fmt.Sprintf("%s requires %s, and %s does not say why", p, name, adrOfDependencies))
			}
			used[name] = true
		}
	}
	for _, name := range slices.Concat(tools, npm) {
		if !used[name] {
			offences = append(offences, fmt.Sprintf("%s has a reason for %s, which nothing requires", adrOfDependencies, name))
		}
	}
	return offences
}

// tablesOf returns the names in the first column of each table; one row may have several.
func tablesOf(text string) (tables [][]string) {
	for block := range strings.SplitSeq(text, "\n\n") {
		var names []string
		for _, row := range named.FindAllStringSubmatch(block, -1) {
			names = append(names, strings.Split(row[1], "`, `")...)
		}
		if names != nil {
			tables = append(tables, names)
		}
	}
	return tables
}

// dependency is a module, without its major version, or the package of a tool.
type dependency struct {
	path string
	tool bool
}

// is reports whether the dependency is a module or, for a tool, in that module.
func (d dependency) is(module string) bool {
	return d.path == module || d.tool && within(d.path, module)
}

// dependenciesOf are the modules and tools that a go.mod requires directly. Modules of ours are none.
func dependenciesOf(goMod string) (found []dependency) {
	for _, m := range required.FindAllStringSubmatch(goMod, -1) {
		if !within(m[1], module) {
			found = append(found, dependency{path: majorVersion.ReplaceAllString(m[1], "")})
		}
	}
	for _, m := range tool.FindAllStringSubmatch(goMod, -1) {
		found = append(found, dependency{path: m[1], tool: true})
	}
	return found
}

// replaced finds modules that are not what their path says; ours stands for itself, and a version is one.
func replaced(files map[string]string) (offences []string) {
	for _, p := range namedLike(files, "go.mod") {
		for _, m := range replacement.FindAllStringSubmatch(files[p], -1) {
			if m[1] != m[2] && m[1] != module {
				offences = append(offences, fmt.Sprintf("%s replaces %s by %s", p, m[1], m[2]))
			}
		}
	}
	return offences
}

// npmPackage is a package.json.
type npmPackage struct {
	Scripts              map[string]string
	Dependencies         map[string]string
	DevDependencies      map[string]string
	OptionalDependencies map[string]string
	PeerDependencies     map[string]string
}

func packageOf(text string) (p npmPackage) {
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		p.Scripts = map[string]string{"unreadable": err.Error()}
	}
	return p
}

// all are the versions of all packages that are required, by name.
func (p npmPackage) all() map[string]string {
	all := map[string]string{}
	for _, some := range []map[string]string{p.Dependencies, p.DevDependencies, p.OptionalDependencies, p.PeerDependencies} {
		maps.Copy(all, some)
	}
	return all
}

var (
	exactVersion = regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	npmCommand   = regexp.MustCompile(`(?m)^[^#\n]*\b(?:npm .*\b(?:ci|i|install|add|exec|update)|npx)\b.*$`)
	cleanInstall = regexp.MustCompile(`\bnpm (?:--prefix \S+ )?ci --ignore-scripts\b`)
)

// looseNPM finds what could become another package's code, or runs it at once.
func looseNPM(files map[string]string) (offences []string) {
	for _, p := range namedLike(files, "package.json") {
		found := packageOf(files[p])
		for name, version := range found.all() {
			if !exactVersion.MatchString(version) {
				offences = append(offences, fmt.Sprintf("%s: %s has the version %q, which is not exact", p, name, version))
			}
		}
		if len(found.Scripts) > 0 {
			offences = append(offences, fmt.Sprintf("%s has scripts: %v", p, found.Scripts))
		}
		dir := path.Dir(p)
		if !strings.Contains(files[path.Join(dir, ".npmrc")], "ignore-scripts=true\n") {
			offences = append(offences, dir+"/.npmrc does not have ignore-scripts=true")
		}
		if _, ok := files[path.Join(dir, "package-lock.json")]; !ok {
			offences = append(offences, dir+" has no package-lock.json")
		}
	}
	for _, p := range namedLike(files, "package-lock.json") {
		offences = append(offences, looseLock(p, files[p])...)
	}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if path.Base(p) != "Makefile" && path.Ext(p) != ".sh" && p != ".ci/run" {
			continue
		}
		for _, line := range npmCommand.FindAllString(files[p], -1) {
			if !cleanInstall.MatchString(line) {
				offences = append(offences, fmt.Sprintf("%s: %q (want npm ci --ignore-scripts)", p, strings.TrimSpace(line)))
			}
		}
	}
	return offences
}

// looseLock finds packages of a lock without a hash, and those that a lock ties to one registry.
func looseLock(p, text string) (offences []string) {
	var lock struct {
		Packages map[string]struct{ Resolved, Integrity string }
	}
	if err := json.Unmarshal([]byte(text), &lock); err != nil || len(lock.Packages) < 2 {
		return []string{fmt.Sprintf("%s has no packages: %v", p, err)}
	}
	for _, name := range slices.Sorted(maps.Keys(lock.Packages)) {
		entry := lock.Packages[name]
		if name != "" && (!strings.HasPrefix(entry.Integrity, "sha512-") || entry.Resolved != "") {
			offences = append(offences, fmt.Sprintf("%s: %s has the hash %q and is fetched from %q", p, name, entry.Integrity, entry.Resolved))
		}
	}
	return offences
}
