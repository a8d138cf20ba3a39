// Package arch_test holds the rules of the repository as tests: who may import whom,
// and what no file may contain. docs/architecture.md draws the same rules. They
// read source files rather than compiled packages, so a broken package elsewhere
// does not hide them.
package arch_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module        = "github.com/preceptor-dev/preceptor"
	longestFunc   = 60
	uuidPackage   = "github.com/google/uuid"
	textPackages  = "golang.org/x/text/" // Unicode folding and language tags: pure, and the Go team's
	domainImports = "standard library, " + uuidPackage + ", " + textPackages + ", internal/{canonical,errs,idem,page,period,tagged,zone}"
)

// file is a parsed Go file or, with a nil tree, the lines of any other source.
type file struct {
	path string // slash-separated, from the repository's root
	text string
	fset *token.FileSet
	tree *ast.File
}

// rule judges the whole tree, and names each offence with its place.
type rule struct {
	name  string
	check func([]file) []string
	// bad breaks the rule once, and good is as close as one may come to it: both
	// prove that the rule can fail and that it fails for nothing else.
	bad, good map[string]string
}

func (f file) dir() string     { return path.Dir(f.path) }
func (f file) isTest() bool    { return strings.HasSuffix(f.path, "_test.go") }
func (f file) generated() bool { return f.under("gen") }

// under reports whether the file lies in a folder of that path, at any depth.
func (f file) under(dir string) bool { return within(f.path, dir) }

// at names a place in the file.
func (f file) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", f.path, f.fset.Position(pos).Line)
}

// service is the name of the service that a path belongs to, or "".
func service(p string) string {
	if parts := strings.Split(p, "/"); len(parts) > 1 && parts[0] == "services" {
		return parts[1]
	}
	return ""
}

// serviceRoot reports whether the file lies directly in a service's folder.
func (f file) serviceRoot() bool {
	return path.Dir(f.dir()) == "services" && f.tree != nil
}

// domain reports whether the file holds pure rules of a service: its root, tests aside.
func (f file) domain() bool { return f.serviceRoot() && !f.isTest() }

// part is the package below a service that a path belongs to: "engine" of services/progress/engine; "" for the root.
func part(p string) string {
	if parts := strings.Split(p, "/"); len(parts) > 2 && parts[0] == "services" {
		return parts[2]
	}
	return ""
}

// isSuite reports whether a package is for tests alone: internal/testenv, or one named for it, as progresstest.
func isSuite(dir string) bool {
	return dir == "internal/testenv" || strings.HasSuffix(dir, "test") && dir != "test"
}

// imported is one import: where it stands, and what it names. Ours go by their
// folder: "internal/errs".
type imported struct {
	file

	pos  token.Pos
	path string
	ours bool
}

func (i imported) std() bool {
	first, _, _ := strings.Cut(i.path, "/")
	return !i.ours && !strings.Contains(first, ".")
}

func imports(files []file) []imported {
	var all []imported
	for _, f := range files {
		if f.tree == nil {
			continue
		}
		for _, spec := range f.tree.Imports {
			full := strings.Trim(spec.Path.Value, "`\"")
			short, ours := strings.CutPrefix(full, module+"/")
			all = append(all, imported{file: f, pos: spec.Pos(), path: short, ours: ours})
		}
	}
	return all
}

// importRule forbids the imports that it returns a reason for.
func importRule(forbid func(imported) string) func([]file) []string {
	return func(files []file) []string {
		var found []string
		for _, i := range imports(files) {
			if why := forbid(i); why != "" {
				found = append(found, fmt.Sprintf("%s: imports %s: %s", i.at(i.pos), i.path, why))
			}
		}
		return found
	}
}

// within reports whether a path is one of the folders, or below one.
func within(p string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool {
		return p == dir || strings.HasPrefix(p, dir+"/")
	})
}

// source writes a small Go file that imports the given packages.
func source(imports ...string) string {
	var b strings.Builder
	b.WriteString("// Package x is an example.\npackage x\n")
	for _, i := range imports {
		fmt.Fprintf(&b, "import _ %q\n", i)
	}
	return b.String()
}

func one(path, text string) map[string]string { return map[string]string{path: text} }

func rules() []rule {
	return slices.Concat(importRules(), packageRules(), textRules(), clockRules(), logRules())
}

// importRules forbid imports.
func importRules() []rule {
	return []rule{{
		name: "gen imports nothing of ours",
		check: importRule(func(i imported) string {
			if i.generated() && i.ours && !within(i.path, "gen") {
				return "generated code stands alone"
			}
			return ""
		}),
		bad:  one("gen/a/a.go", source(module+"/internal/errs")),
		good: one("gen/a/a.go", source(module+"/gen/preceptor/access/v1", "google.golang.org/protobuf/proto")),
	}, {
		name: "services never import each other",
		check: importRule(func(i imported) string {
			if here := service(i.file.path); here != "" && i.ours && service(i.path) != "" && service(i.path) != here {
				return "call it through its generated client"
			}
			return ""
		}),
		bad:  one("services/progress/sqlstore/s.go", source(module+"/services/catalog")),
		good: one("services/progress/sqlstore/s.go", source(module+"/services/progress", module+"/gen/preceptor/catalog/v1")),
	}, {
		name: "services and the gateway do not know who runs them",
		check: importRule(func(i imported) string {
			if i.under("services") && i.ours && within(i.path, "cmd", "gateway", "test") {
				return "cmd/preceptor wires services, never the other way round"
			}
			if i.under("gateway") && i.ours && within(i.path, "cmd", "services", "test") {
				return "the gateway speaks to services through generated clients"
			}
			return ""
		}),
		bad:  one("gateway/g.go", source(module+"/services/progress")),
		good: one("gateway/g.go", source(module+"/internal/rpc", module+"/gen/preceptor/progress/v1")),
	}, {
		name: "only translations know the API",
		check: importRule(func(i imported) string {
			if !i.ours || !within(i.path, "gen") || i.isTest() || i.generated() || within(i.dir(), "cmd", "gateway", "test", "tools") ||
				within(i.dir(), "internal/rpc", "internal/auth", "internal/audit") || service(i.file.path) != "" && slices.Contains([]string{"grpcapi", "clients"}, part(i.file.path)) {
				return ""
			}
			return "domain types here; grpcapi and clients translate"
		}),
		bad: one("services/progress/engine/e.go", source(module+"/gen/preceptor/progress/v1")),
		good: map[string]string{
			"services/progress/grpcapi/g.go": source(module + "/gen/preceptor/progress/v1"),
			"services/progress/clients/c.go": source(module + "/gen/preceptor/catalog/v1"),
			"internal/rpc/r.go":              source(module + "/gen/preceptor/access/v1"),
		},
	}, {
		name: "only tests import tests",
		check: importRule(func(i imported) string {
			if i.ours && isSuite(i.path) && !i.isTest() && !isSuite(i.dir()) && !within(i.dir(), "test") {
				return "what a test needs is no part of the program"
			}
			return ""
		}),
		bad: one("services/progress/grpcapi/g.go", source(module+"/services/progress/progresstest")),
		good: map[string]string{
			"services/progress/progresstest/p.go": source(module + "/internal/testenv"),
			"services/progress/p_test.go":         source(module + "/services/progress/rigtest"),
			"test/load/main.go":                   source(module + "/internal/testenv"),
		},
	}, {
		name: "the packages below the gateway stand alone",
		check: importRule(func(i imported) string {
			if dir := i.dir(); dir != "gateway" && within(dir, "gateway") && i.ours && i.path != dir && within(i.path, "gateway") {
				return "the gateway puts wire and stream together; they do not know it, nor each other"
			}
			return ""
		}),
		bad: one("gateway/stream/s.go", source(module+"/gateway/wire")),
		good: map[string]string{
			"gateway/g.go":        source(module+"/gateway/wire", module+"/gateway/stream"),
			"gateway/wire/w.go":   source(module+"/internal/errs", module+"/gen/preceptor/progress/v1"),
			"gateway/stream/s.go": source(module + "/internal/errs"),
		},
	}, {
		name: "internal imports no service, no gateway and no command",
		check: importRule(func(i imported) string {
			if i.under("internal") && i.ours && within(i.path, "cmd", "gateway", "services", "test") {
				return "internal packages serve all services and know none"
			}
			return ""
		}),
		bad:  one("internal/rpc/r.go", source(module+"/services/profile")),
		good: one("internal/rpc/r.go", source(module+"/internal/auth", module+"/gen/preceptor/profile/v1")),
	}, {
		name: "main calls the command line and nothing else",
		check: importRule(func(i imported) string {
			if i.file.path == "cmd/preceptor/main.go" && !i.std() && !(i.ours && i.path == "cmd/preceptor/cli") {
				return "main parses nothing and opens nothing: cli does"
			}
			return ""
		}),
		bad:  one("cmd/preceptor/main.go", source(module+"/cmd/preceptor/server")),
		good: one("cmd/preceptor/main.go", source("os", module+"/cmd/preceptor/cli")),
	}, {
		name: "the command line reaches services through the server",
		check: importRule(func(i imported) string {
			switch {
			case i.under("cmd/preceptor/cli") && i.ours && within(i.path, "services", "gateway"):
				return "cmd/preceptor/server opens services"
			case i.under("cmd/preceptor/server") && i.ours && within(i.path, "cmd/preceptor/cli"):
				return "the server knows no command"
			}
			return ""
		}),
		bad:  one("cmd/preceptor/cli/c.go", source(module+"/services/profile")),
		good: one("cmd/preceptor/server/s.go", source(module+"/services/profile", module+"/gateway")),
	}}
}

// packageRules are about what packages consist of.
func packageRules() []rule {
	return []rule{{
		name: "service roots are pure",
		check: importRule(func(i imported) string {
			switch {
			case !i.domain() || i.path == uuidPackage || strings.HasPrefix(i.path, textPackages):
				return ""
			case i.std() && !slices.Contains([]string{"database/sql", "log/slog", "net/http", "sync", "sync/atomic"}, i.path):
				return ""
			case i.ours && slices.Contains([]string{"internal/canonical", "internal/errs", "internal/idem", "internal/page", "internal/period", "internal/tagged", "internal/zone"}, i.path):
				return ""
			}
			return "the domain knows only " + domainImports
		}),
		bad:  one("services/progress/record.go", source("log/slog")),
		good: one("services/progress/record.go", source("time", uuidPackage, module+"/internal/period", module+"/internal/zone")),
	}, {
		name:  "service roots run nothing",
		check: background,
		bad:   one("services/progress/a.go", "package a\nfunc f() { go f() }\n"),
		good:  one("services/progress/engine/a.go", "package a\nimport \"time\"\nfunc f() { go f(); time.NewTicker(1) }\n"),
	}, {
		name: "packages below a service do not import each other",
		check: importRule(func(i imported) string {
			here, there := part(i.dir()+"/"), part(i.path)
			if i.isTest() || strings.HasSuffix(here, "test") || !i.ours || service(i.path) != service(i.file.path) || there == "" || here == there {
				return ""
			}
			// The translations of messages stand in grpcapi, which may know the whole service.
			if here == "grpcapi" || here == "clients" && there == "grpcapi" || here == "" {
				return ""
			}
			return "only grpcapi knows its siblings; the server puts them together"
		}),
		bad: one("services/progress/engine/a.go", source(module+"/services/progress/report")),
		good: map[string]string{
			"services/progress/grpcapi/a.go":           source(module + "/services/progress/engine"),
			"services/progress/progresstest/a.go":      source(module + "/services/progress/engine"),
			"services/progress/engine/a_test.go":       source(module + "/services/progress/sqlstore"),
			"services/progress/engine/sub/a.go":        source(module+"/services/progress", module+"/services/progress/engine"),
			"services/catalog/sqlstore/catalog_sql.go": source(module + "/services/catalog"),
		},
	}, {
		name: "logs are structured",
		check: importRule(func(i imported) string {
			if !i.generated() && i.path == "log" {
				return "use log/slog"
			}
			return ""
		}),
		bad:  one("internal/rpc/r.go", source("log")),
		good: one("internal/rpc/r.go", source("log/slog")),
	}, {
		name:  "packages are named for what they provide",
		check: vagueNames,
		bad:   one("internal/util/u.go", source()),
		good:  one("internal/errs/e.go", source()),
	}, {
		name:  "every package says what it is for",
		check: undocumented,
		bad:   map[string]string{"internal/a/a.go": "package a", "internal/a/a_test.go": "// Package a is.\npackage a"},
		good:  map[string]string{"internal/a/a.go": "package a", "internal/a/doc.go": "// Package a is.\npackage a"},
	}}
}

// textRules say what no file may contain.
func textRules() []rule {
	return []rule{{
		name:  "reasons are constants of one table",
		check: literalReasons,
		bad:   one("services/a/a.go", "package a\nvar err = errs.New(errs.Invalid, \"BAD_PAGE_TOKEN\", \"BAD\")\n"),
		good: one("services/a/a.go", "package a\nvar err = errs.Wrap(cause, errs.Invalid, errs.ReasonBadPageToken, \"BAD\")\n"+
			"var v = errs.Violation{Field: \"a\", Reason: errs.ReasonRequired}\n"),
	}, {
		name:  "functions fit on a page",
		check: longFuncs,
		bad:   one("services/a/atest/a.go", "package atest\nfunc f() {\n"+strings.Repeat("\n", longestFunc-1)+"}\n"),
		good:  one("internal/a/a.go", "package a\nfunc f() {\n"+strings.Repeat("\n", longestFunc-2)+"}\n"),
	}, {
		name:  "only the program reads the environment",
		check: environment,
		bad:   one("gateway/g.go", "package g\nimport \"os\"\nvar home = os.Getenv(\"HOME\")\n"),
		good:  one("cmd/preceptor/server/a.go", "package a\nimport \"os\"\nvar home = os.Getenv(\"HOME\")\n"),
	}, {
		name:  "nothing runs before main",
		check: initFuncs,
		bad:   one("internal/a/a.go", "package a\nfunc init() {}\n"),
		good:  one("internal/a/a.go", "package a\ntype t struct{}\nfunc (t) init() {}\n"),
	}, {
		name:  "nothing is left for later",
		check: markers,
		bad:   one("services/a/sqlstore/migrations/sqlite/1.sql", "-- TO"+"DO: an index\n"),
		good:  one("internal/a/a.go", "package a\n// Autodoc is a word.\nconst a = \"TO"+"DO\"\n"),
	}, {
		name:  "comments use plain words",
		check: metaphors,
		bad:   one("internal/a/a_test.go", "package a\n// f closes the Door.\nfunc f() {}\n"),
		good:  one("internal/a/a.go", "package a\n// f makes room in the queue: not indoors.\nconst f = \"door\"\n"),
	}, {
		name:  "godoc returns and reports",
		check: talkingDocs,
		bad:   one("internal/a/a.go", "package a\ntype t interface {\n\t// Get answers the item.\n\tGet() int\n}\n"),
		good: one("internal/a/a.go", "package a\n// Answers tells nothing of T.\ntype T struct {\n\t// A is what f tells.\n\tA int\n}\n"+
			"\n// f returns what T says.\nfunc f() {}\n"),
	}}
}

// background finds what a service's root sets going by itself.
func background(files []file) []string {
	timers := []string{"NewTicker", "Tick", "NewTimer", "AfterFunc", "After"}
	var found []string
	for _, f := range files {
		if !f.domain() {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				found = append(found, f.at(n.Pos())+": a goroutine in a service's root")
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains(timers, n.Sel.Name) {
					found = append(found, f.at(n.Pos())+": time."+n.Sel.Name+" in a service's root")
				}
			}
			return true
		})
	}
	return found
}

// literalReasons finds reasons that are written as text where an error or a violation
// is made.
func literalReasons(files []file) []string {
	code := regexp.MustCompile(`^"[A-Z0-9_]*"$`)
	var found []string
	for _, f := range files {
		if f.tree == nil || f.generated() || f.isTest() {
			continue
		}
		reason := func(e ast.Expr) {
			if lit, ok := e.(*ast.BasicLit); ok && code.MatchString(lit.Value) {
				found = append(found, f.at(lit.Pos())+": the reason "+lit.Value+" is a constant of internal/errs")
			}
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				at, ok := map[string]int{"New": 1, "Wrap": 2}[errsFunc(n.Fun)]
				if ok && len(n.Args) > at {
					reason(n.Args[at])
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Reason" {
					reason(n.Value)
				}
			}
			return true
		})
	}
	return found
}

// errsFunc returns the name of a function of internal/errs; "" for any other.
func errsFunc(e ast.Expr) string {
	if sel, ok := e.(*ast.SelectorExpr); ok {
		if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "errs" {
			return sel.Sel.Name
		}
	}
	return ""
}

// vagueNames finds folders whose names say nothing.
func vagueNames(files []file) []string {
	vague := []string{"util", "utils", "common", "helper", "helpers", "pkg", "manager", "base", "misc", "shared"}
	found := map[string]bool{}
	for _, f := range files {
		for part := range strings.SplitSeq(f.dir(), "/") {
			if slices.Contains(vague, part) {
				found[f.dir()+": a package named "+part] = true
			}
		}
	}
	return sorted(found)
}

// undocumented finds packages without a package comment. One that is only tests
// may say it in a test file.
func undocumented(files []file) []string {
	type pkg struct{ code, codeDoc, testDoc bool }
	pkgs := map[string]pkg{}
	for _, f := range files {
		if f.tree == nil || f.generated() {
			continue
		}
		r := pkgs[f.dir()]
		doc := f.tree.Doc != nil && strings.TrimSpace(f.tree.Doc.Text()) != ""
		if f.isTest() {
			r.testDoc = r.testDoc || doc
		} else {
			r.code, r.codeDoc = true, r.codeDoc || doc
		}
		pkgs[f.dir()] = r
	}
	found := map[string]bool{}
	for dir, r := range pkgs {
		if !r.codeDoc && (r.code || !r.testDoc) {
			found[dir+": no package comment"] = true
		}
	}
	return sorted(found)
}

// longFuncs finds functions over the limit, first line and last included; those of suites that other
// packages run, and of the programs in test, too.
func longFuncs(files []file) []string {
	return eachFunc(files, func(f file, fn *ast.FuncDecl) string {
		lines := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1
		if lines <= longestFunc {
			return ""
		}
		return fmt.Sprintf("%s has %d lines, more than %d", fn.Name.Name, lines, longestFunc)
	})
}

// initFuncs finds functions that the runtime calls by itself.
func initFuncs(files []file) []string {
	return eachFunc(files, func(f file, fn *ast.FuncDecl) string {
		if f.path == "internal/rpc/affinity.go" { // gRPC takes a balancer at no other time
			return ""
		}
		if fn.Name.Name == "init" && fn.Recv == nil {
			return "func init hides an order of events"
		}
		return ""
	})
}

// eachFunc checks every function that is not generated, tests aside.
func eachFunc(files []file, fault func(file, *ast.FuncDecl) string) []string {
	var found []string
	for _, f := range files {
		if f.tree == nil || f.generated() || f.isTest() {
			continue
		}
		for _, d := range f.tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if why := fault(f, fn); why != "" {
				found = append(found, f.at(fn.Pos())+": "+why)
			}
		}
	}
	return found
}

// environment finds reads of environment variables outside the one struct that holds
// them; the clock of the tests is moved by one.
func environment(files []file) []string {
	reads := []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}
	var found []string
	for _, f := range files {
		if f.tree == nil || f.generated() || f.isTest() || f.under("cmd/preceptor") || f.under("internal/testenv") {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "os" && slices.Contains(reads, sel.Sel.Name) {
				found = append(found, f.at(sel.Pos())+": os."+sel.Sel.Name+" outside cmd/preceptor")
			}
			return true
		})
	}
	return found
}

// metaphors finds words in comments that need a key to be understood.
func metaphors(files []file) []string {
	word := regexp.MustCompile(`(?i)\b(house|rooms|doors?|nudges?|handsets?|keepers?|strangers?|bad apple)\b`)
	var found []string
	for _, f := range files {
		if f.tree == nil || f.generated() {
			continue
		}
		for _, group := range f.tree.Comments {
			for _, c := range group.List {
				if m := word.FindString(c.Text); m != "" {
					found = append(found, fmt.Sprintf("%s: %q in a comment: use the plain word", f.at(c.Pos()), m))
				}
			}
		}
	}
	return found
}

// talkingDocs finds doc comments whose verb personifies the declaration.
func talkingDocs(files []file) []string {
	var found []string
	for _, f := range files {
		if f.tree == nil || f.generated() {
			continue
		}
		check := func(doc *ast.CommentGroup, names ...*ast.Ident) {
			name, rest, _ := strings.Cut(doc.Text(), " ")
			verb, _, _ := strings.Cut(rest, " ")
			named := slices.ContainsFunc(names, func(id *ast.Ident) bool { return id.Name == name })
			if named && slices.Contains([]string{"answers", "tells", "says"}, verb) {
				found = append(found, f.at(doc.Pos())+": "+name+" "+verb+": returns, reports whether, is")
			}
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				check(n.Doc, n.Name)
			case *ast.GenDecl:
				if len(n.Specs) == 1 && n.Doc != nil {
					check(n.Doc, declared(n.Specs[0])...)
				}
			case *ast.TypeSpec:
				check(n.Doc, n.Name)
			case *ast.ValueSpec:
				check(n.Doc, n.Names...)
			case *ast.Field:
				check(n.Doc, n.Names...)
			}
			return true
		})
	}
	return found
}

// declared returns the names that a declaration declares.
func declared(spec ast.Spec) []*ast.Ident {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return []*ast.Ident{s.Name}
	case *ast.ValueSpec:
		return s.Names
	}
	return nil
}

// markers finds notes of unfinished work: in the comments of Go files, anywhere
// in other sources.
func markers(files []file) []string {
	marker := regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	var found []string
	for _, f := range files {
		if f.tree == nil {
			for n, line := range strings.Split(f.text, "\n") {
				if marker.MatchString(line) {
					found = append(found, fmt.Sprintf("%s:%d: %s", f.path, n+1, strings.TrimSpace(line)))
				}
			}
			continue
		}
		if f.generated() {
			continue
		}
		for _, group := range f.tree.Comments {
			for _, c := range group.List {
				if marker.MatchString(c.Text) {
					found = append(found, f.at(c.Pos())+": "+c.Text)
				}
			}
		}
	}
	return found
}

func sorted(set map[string]bool) []string {
	return slices.Sorted(maps.Keys(set))
}

// parse makes a file of a source text.
func parse(name, text string) (file, error) {
	f := file{path: name, text: text}
	if path.Ext(name) != ".go" {
		return f, nil
	}
	f.fset = token.NewFileSet()
	tree, err := parser.ParseFile(f.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	f.tree = tree
	return f, err
}

// skipped reports whether a folder holds nothing that is a source of ours.
func skipped(dir string) bool {
	name := path.Base(dir)
	return name != "." && name[0] == '.' ||
		slices.Contains([]string{"dist", "node_modules", "testdata"}, name) ||
		slices.Contains([]string{"bin", "data", "tools/apiclients/generated"}, dir)
}

// tree reads every source file below root that somebody wrote or generated here.
func tree(root fs.FS) ([]file, error) {
	kinds := []string{".go", ".proto", ".sql", ".sh", ".ts", ".tsx", ".css"}
	var files []file
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipped(p) {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(kinds, path.Ext(p)) {
			return nil
		}
		text, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		f, err := parse(p, string(text))
		files = append(files, f)
		return err
	})
	return files, err
}

// TestRules holds the repository to the rules.
func TestRules(t *testing.T) {
	files, err := tree(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(files, func(f file) bool { return f.generated() }) {
		t.Fatal("no generated code found: is this the repository's root?")
	}
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, offence := range r.check(files) {
				t.Error(offence)
			}
		})
	}
}

// TestRulesCanFail proves of each rule that it finds an offence, and only that.
func TestRulesCanFail(t *testing.T) {
	parsed := func(t *testing.T, texts map[string]string) []file {
		t.Helper()
		files := make([]file, 0, len(texts))
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			f, err := parse(name, texts[name])
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		return files
	}
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			if found := r.check(parsed(t, r.bad)); len(found) != 1 {
				t.Errorf("one offence in %v, found %q", r.bad, found)
			}
			if found := r.check(parsed(t, r.good)); len(found) != 0 {
				t.Errorf("no offence in %v, found %q", r.good, found)
			}
		})
	}
}

// TestGeneratorsMatchLibraries holds the generators to the versions of the
// libraries that their output is compiled with.
func TestGeneratorsMatchLibraries(t *testing.T) {
	libraries, generators := requirements(t, "go.mod"), requirements(t, "tools/go.mod")
	for _, name := range []string{
		"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go",
		"github.com/grpc-ecosystem/grpc-gateway/v2",
		"google.golang.org/genproto/googleapis/api",
		"google.golang.org/genproto/googleapis/rpc",
		"google.golang.org/grpc",
		"google.golang.org/protobuf",
	} {
		if libraries[name] == "" || libraries[name] != generators[name] {
			t.Errorf("%s: go.mod has %q, tools/go.mod %q", name, libraries[name], generators[name])
		}
	}
}

// requirements reads the versions that a go.mod requires, by module.
func requirements(t *testing.T, name string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(?:require)?\s+(\S+) (v\S+)`).FindAllStringSubmatch(string(text), -1) {
		versions[m[1]] = m[2]
	}
	return versions
}
