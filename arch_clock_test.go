package arch_test

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
)

// clockRules keep one clock: main passes it to all of the program, and the tests have one that can
// be moved to any day.
func clockRules() []rule {
	return []rule{{
		name:  "main passes the clock",
		check: machineClock,
		bad:   one("services/a/a_test.go", "package a\nimport \"time\"\nvar begun = time.Now()\n"),
		good:  one("services/a/a.go", "package a\nimport \"time\"\nfunc f(now func() time.Time) time.Time { return now() }\n"),
	}, {
		name:  "deadlines are durations",
		check: wallDeadlines,
		bad:   one("services/a/a.go", "package a\nimport \"context\"\nvar f = context.WithDeadline\n"),
		good:  one("services/a/a.go", "package a\nimport \"context\"\nvar f = context.WithTimeout\n"),
	}, {
		name:  "certificates are valid by the clock that is passed",
		check: machineCertificates,
		bad:   one("internal/a/a.go", "package a\nimport \"crypto/tls\"\nvar c = tls.Config{ServerName: \"x\"}\n"),
		good: one("internal/a/a.go", "package a\nimport (\n\"crypto/tls\"\n\"crypto/x509\"\n)\nvar c = tls.Config{Time: now}\n"+
			"var v = x509.VerifyOptions{CurrentTime: now()}\n"),
	}, {
		name:  "databases are told the time",
		check: databaseClock,
		bad:   one("services/a/sqlstore/s.go", "package a\nconst q = `UPDATE t SET at = now()`\n"),
		good: map[string]string{
			"services/a/sqlstore/s.go": "package a\nfunc f() { at := s.now() }\nconst q = `UPDATE t SET at = $1`\n",
			"internal/a/a.go":          "package a\nconst file = \"localtime\"\n",
		},
	}}
}

// machineClock finds reads of the machine's clock.
func machineClock(files []file) []string {
	return eachSelector(files, "time", []string{"Now", "Since", "Until"}, func(f file) bool {
		return f.path == "cmd/preceptor/main.go" || f.path == "internal/testenv/clock.go"
	})
}

// wallDeadlines finds deadlines that are compared with the machine's clock.
func wallDeadlines(files []file) []string {
	return eachSelector(files, "context", []string{"WithDeadline", "WithDeadlineCause"}, func(file) bool { return false })
}

// measures reports whether a file measures the program, by a clock that nobody moves.
func (f file) measures() bool { return f.under("test/load") || f.under("tools") }

// eachSelector finds uses of a package's names, but for allowed files.
func eachSelector(files []file, pkg string, names []string, allowed func(file) bool) []string {
	return eachNode(files, func(f file, n ast.Node) string {
		sel, ok := n.(*ast.SelectorExpr)
		if ok && !allowed(f) && isName(sel.X, pkg) && slices.Contains(names, sel.Sel.Name) {
			return pkg + "." + sel.Sel.Name
		}
		return ""
	})
}

// machineCertificates finds settings of TLS, and verifications of certificates, that name no clock.
func machineCertificates(files []file) []string {
	return eachNode(files, func(_ file, n ast.Node) string {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return ""
		}
		typ, ok := lit.Type.(*ast.SelectorExpr)
		switch {
		case !ok:
		case isName(typ.X, "tls") && typ.Sel.Name == "Config" && !hasKey(lit, "Time"):
			return "tls.Config without Time"
		case isName(typ.X, "x509") && typ.Sel.Name == "VerifyOptions" && !hasKey(lit, "CurrentTime"):
			return "x509.VerifyOptions without CurrentTime"
		}
		return ""
	})
}

// databaseClock finds SQL that asks the database's machine for the time.
func databaseClock(files []file) []string {
	asks := regexp.MustCompile(`(?i)\bCURRENT_(TIMESTAMP|DATE|TIME)\b|\bLOCALTIME(STAMP)?\b|\b(now|(clock|statement|transaction)_timestamp)\(\)|'now'`)
	found := eachNode(files, func(_ file, n ast.Node) string {
		lit, ok := n.(*ast.BasicLit)
		// A text of that word alone is no statement: it names the file of a machine's time zone.
		if !ok || lit.Kind != token.STRING || lit.Value == `"localtime"` {
			return ""
		}
		return asks.FindString(lit.Value)
	})
	for _, f := range files {
		if at := asks.FindString(f.text); path.Ext(f.path) == ".sql" && at != "" {
			found = append(found, f.path+": "+at)
		}
	}
	return found
}

// eachNode looks at each node of the files that somebody wrote, but for measurements, this folder's
// own examples and what is generated.
func eachNode(files []file, fault func(file, ast.Node) string) []string {
	var found []string
	for _, f := range files {
		if f.tree == nil || f.generated() || f.measures() || f.dir() == "." {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if n == nil {
				return true
			}
			if why := fault(f, n); why != "" {
				found = append(found, f.at(n.Pos())+": "+why)
			}
			return true
		})
	}
	return found
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func hasKey(lit *ast.CompositeLit, key string) bool {
	return slices.ContainsFunc(lit.Elts, func(e ast.Expr) bool {
		kv, ok := e.(*ast.KeyValueExpr)
		return ok && isName(kv.Key, key)
	})
}
