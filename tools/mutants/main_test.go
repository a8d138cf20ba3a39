package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// files is a module with two rules, one of which no test knows.
var files = map[string]string{
	"go.mod": "module example.com/rules\n\ngo 1.26\n",
	"rules/rules.go": `package rules

func Percent(done, of int) int { return 100 * done / of }

func Small(n int) bool { return n < 10 }

func Sum(n int) (sum int) {
	for i := 1; i <= n; i++ {
		sum += i
	}
	return sum
}
`,
	"rules/rules_test.go": `package rules

import "testing"

func TestPercent(t *testing.T) {
	if Percent(1, 2) != 50 {
		t.Fatal("a half")
	}
}

func TestNone(t *testing.T) { Percent(0, 1) }
`,
	"more/more_test.go": `package more

import (
	"testing"

	"example.com/rules/rules"
)

func TestSum(t *testing.T) {
	if rules.Sum(3) != 6 {
		t.Fatal("1 + 2 + 3")
	}
}

func TestBroken(t *testing.T) {
	if rules.Small(12) {
		t.Log("small")
	}
	t.Fatal("always")
}
`,
}

const suites = `# A list.
suite rules
suite more -test.run=^TestSum$

`

// A mutant each of what may become of one.
const (
	halved = `mutant halved
rule A percent is of a hundred.
file rules/rules.go
test TestNone TestPercent
-{ return 100 * done / of }
+{ return 50 * done / of }

`
	bySuite = `mutant last-left-out
rule A sum has its last number.
file rules/rules.go
-i <= n
+i < n

`
	panics = `mutant no-division
rule Nothing is divided by 0.
file rules/rules.go
- done / of }
+ done / (of - 2) }

`
	surviving = `mutant ten-is-small
rule Small | below ten.
file rules/rules.go
-n < 10
+n <= 10

`
	broken = `mutant no-go
rule There is a rule.
file rules/rules.go
-		sum += i
-	}
+		sum += "i"
+	}

`
	endless = `mutant endless
rule A sum ends.
file rules/rules.go
test TestSum
-i++
+i += 0

`
)

// run runs the tool on the module with a list.
func play(t *testing.T, list string, change func(*options)) (out, progress string, err error) {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		write(name, text)
	}
	write("list.txt", list)
	o := options{root: root, list: "list.txt", table: true, timeout: 10 * time.Second}
	if change != nil {
		change(&o)
	}
	var b, p strings.Builder
	err = run(context.Background(), o, &b, &p)
	return b.String(), p.String(), err
}

func TestCaught(t *testing.T) {
	out, progress, err := play(t, suites+halved+bySuite+panics, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = `| rule that is broken | mutant | file | caught by |
| --- | --- | --- | --- |
| A percent is of a hundred. | halved | rules.go | TestPercent |
| A sum has its last number. | last-left-out | rules.go | TestSum |
| Nothing is divided by 0. | no-division | rules.go | TestPercent |
`
	if out != want {
		t.Errorf("printed\n%swant\n%s", out, want)
	}
	if !strings.HasPrefix(progress, "1/3 halved: caught by TestPercent (") {
		t.Errorf("progress\n%s", progress)
	}
}

func TestNotCaught(t *testing.T) {
	out, _, err := play(t, suites+surviving+broken+endless, func(o *options) { o.timeout = 2 * time.Second })
	if err == nil {
		t.Fatal("all is well")
	}
	for _, want := range []string{
		"ten-is-small survived: no test fails when this rule is broken: Small | below ten.",
		"no-go does not compile: mend it in the list\n", "mismatched types",
		"endless had the tests run out of time",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	for _, want := range []string{
		"| Small \\| below ten. | ten-is-small | rules.go | **survived** |", "**does not compile**", "**ran out of time**",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("table lacks %q:\n%s", want, out)
		}
	}
}

// A test that fails anyway catches nothing.
func TestFailingAnyway(t *testing.T) {
	_, _, err := play(t, "suite more\n"+bySuite, func(o *options) { o.only = "last-left-out" })
	if err != nil {
		t.Errorf("TestSum fails first, and passes on unchanged files: %v", err)
	}
	_, _, err = play(t, "suite more\n"+surviving, nil)
	if err == nil || !strings.Contains(err.Error(), "^TestBroken$ fails on unchanged files, and so catches nothing") {
		t.Error(err)
	}
}

func TestList(t *testing.T) {
	out, _, err := play(t, suites+surviving, func(o *options) { o.names = true })
	if want := "ten-is-small (rules/rules.go)\n\tSmall | below ten.\n"; err != nil || out != want {
		t.Errorf("%v, printed\n%s", err, out)
	}
	for name, c := range map[string]struct{ list, only, want string }{
		"unknown name":      {suites + halved, "other", "there is no mutant other"},
		"text is not there": {suites + strings.Replace(halved, "-{", "-[", 1), "", "has the text to replace 0 times"},
		"text is there twice": {
			suites + "mutant a\nrule A.\nfile rules/rules.go\n-return\n+panic\n", "", "has the text to replace 3 times",
		},
		"no such file":    {suites + strings.Replace(halved, "file rules/", "file ", 1), "", "no such file"},
		"no such test":    {suites + strings.Replace(halved, "TestNone", "TestOther", 1), "", "halved names TestOther, which no suite has"},
		"no such suite":   {"suite other\n" + surviving, "", "suite other has no tests"},
		"no suite":        {surviving, "", "no suite is named"},
		"same name":       {suites + halved + halved, "", "line 12: there is a mutant halved before this one"},
		"no rule":         {suites + strings.Replace(halved, "rule A", "# A", 1), "", "line 5: halved needs a rule"},
		"no change":       {suites + strings.Replace(halved, "+{ return 50", "+{ return 100", 1), "", "halved changes nothing"},
		"unknown word":    {suites + halved + "why not\n", "", "line 12: a line begins with"},
		"before a mutant": {"rule A.\n" + suites, "", "line 1: what stands before the first mutant must be a suite"},
	} {
		if _, _, err := play(t, c.list, func(o *options) { o.only = c.only }); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// The mutants of this repository fit its files, and docs/mutants.md has a row for each.
func TestOurList(t *testing.T) {
	text, err := os.ReadFile("../../services/progress/testdata/mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	l, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.fit("../.."); err != nil {
		t.Error(err)
	}
	doc, err := os.ReadFile("../../docs/mutants.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		if cells := strings.Split(line, " | "); len(cells) == 4 {
			rows[strings.Join(cells[:3], " | ")] = true
		}
	}
	rows["| rule that is broken | mutant | file"], rows["| --- | --- | ---"] = false, false
	for _, m := range l.mutants {
		row := m.row()
		if !rows[row] {
			t.Errorf("docs/mutants.md has no row %q: see there how to add it", row)
		}
		delete(rows, row)
	}
	for row, is := range rows {
		if is {
			t.Errorf("docs/mutants.md has the row %q, and there is no such mutant", row)
		}
	}
}

func TestAllHaveTheirTurn(t *testing.T) {
	l := &list{mutants: []mutant{{name: "a"}, {name: "b"}, {name: "c"}, {name: "d"}, {name: "e"}, {name: "f"}, {name: "g"}}}
	for _, c := range []struct{ some, first, turns int }{{3, 0, 3}, {3, 20_789, 3}, {3, -2, 3}, {2, 1_000_000, 4}, {1, 3, 7}, {7, 5, 1}, {9, 1, 1}, {0, 1, 1}} {
		seen := map[string]bool{}
		for turn := range c.turns {
			chosen, err := l.choose("", c.some, c.first+turn)
			if err != nil || (c.some > 0 && len(chosen) != min(c.some, len(l.mutants))) {
				t.Errorf("%+v: %d chosen, %v", c, len(chosen), err)
			}
			for _, m := range chosen {
				seen[m.name] = true
			}
		}
		if len(seen) != len(l.mutants) {
			t.Errorf("%+v: only %v had their turn", c, seen)
		}
	}
}
