package rule_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/rule"
)

func newCompiler(t testing.TB) *rule.Compiler {
	t.Helper()
	c, err := rule.NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ana() profile.Facts {
	return profile.Facts{State: profile.StateActive, Attributes: map[string]string{
		"department": "radiology", "location": "Basel", "level": "12", "hireDate": "2026-03-01",
	}}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	nobody := profile.Facts{State: profile.StateSuspended}
	for _, test := range []struct {
		rule          string
		ana, nobody   bool
		reads, failed string
	}{
		{`attributes.department == "radiology"`, true, false, "attributes.department", ""},
		{`attributes["department"] == "radiology"`, true, false, "attributes.department", ""},
		{`attributes.ward == ""`, true, true, "attributes.ward", ""},
		{`state == "ACTIVE"`, true, false, "state", ""},
		{`hireDate >= "2026-01-01" && hireDate < "2027-01-01"`, true, false, "hireDate", ""},
		{`hireDate == attributes.hireDate`, true, true, "attributes.hireDate hireDate", ""},
		{`hireDate == ""`, false, true, "hireDate", ""},
		{`attributes.department in ["radiology", "oncology"]`, true, false, "attributes.department", ""},
		{`["radiology", "oncology"].exists(d, d == attributes.department)`, true, false, "attributes.department", ""},
		{`attributes.exists(name, attributes[name] == "Basel")`, true, false, "", ""},
		{`"ward" in attributes`, false, false, "", ""},
		{`"location" in attributes`, true, false, "", ""},
		{`size(attributes) == 4`, true, false, "", ""},
		{`attributes.location.startsWith("Ba") && attributes.department.matches("^radio.*$")`, true, false, "attributes.department attributes.location", ""},
		{`attributes == {}`, false, true, "", ""},
		{`true`, true, true, "", ""},
		{`int(attributes.level) > 10`, true, false, "attributes.level", "nobody"},
		{`timestamp(hireDate + "T00:00:00Z").getFullYear() == 2026`, true, false, "hireDate", "nobody"},
		{`state == "SUSPENDED" || int(attributes.level) > 10`, true, true, "attributes.level state", ""},
	} {
		r, err := c.Compile(test.rule)
		if err != nil {
			t.Errorf("%s: %v", test.rule, err)
			continue
		}
		if got := strings.Join(r.Reads(), " "); got != test.reads {
			t.Errorf("%s reads %q, want %q", test.rule, got, test.reads)
		}
		if got, err := r.Holds(ana()); got != test.ana || err != nil {
			t.Errorf("%s of ana: %t, %v", test.rule, got, err)
		}
		got, err := r.Holds(nobody)
		if failed := err != nil; failed != (test.failed == "nobody") || !failed && got != test.nobody {
			t.Errorf("%s of nobody: %t, %v", test.rule, got, err)
		}
	}
}

var update = flag.Bool("update", false, "write the golden file")

// faulty are rules that are refused.
func faulty() []string {
	nested := "true"
	for range 60 {
		nested = "(" + nested + ")"
	}
	product := "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"
	loops := "true"
	for i := range 5 {
		loops = fmt.Sprintf("%s.all(v%d, %s)", product, i, loops)
	}
	return []string{
		``, ` `, `attributes.`, `department == "radiology"`, `attributes.department`, `attributes.department = "radiology"`,
		"attributes.department == \"radiology\" &&\n  stat == \"ACTIVE\" &&\n  name == \"Ana\"",
		`displayName == "Ana"`, `email.endsWith("@example.org")`, `timestamp(now) > timestamp("2026-01-01T00:00:00Z")`, `now > 1`,
		`has(attributes.department)`, `attributes.department > 3`, `attributes.department.size()`, `hireDate.year == 2026`,
		`attributes.department.matches("(")`, `"unclosed`, `state == "ACTIVE" ? 1 : 2`, `1`, `null`, `dyn(1)`,
		loops, nested, `attributes.all(a, attributes.all(b, attributes.all(c, attributes[a] + b == c)))`,
		strings.Repeat("true && ", 600) + "true",
	}
}

// TestFaults: each fault is named with its place, and the texts are those of the golden file.
func TestFaults(t *testing.T) {
	t.Parallel()
	c := newCompiler(t)
	var got strings.Builder
	for _, text := range faulty() {
		_, err := c.Compile(text)
		own, ok := errors.AsType[*errs.Error](err)
		if !ok || own.Kind != errs.Invalid || len(own.Violations) == 0 {
			t.Errorf("%.60q: %v", text, err)
			continue
		}
		fmt.Fprintf(&got, "%.100q\n", text)
		for _, v := range own.Violations {
			if v.Field != "rule" {
				t.Errorf("%.60q: a violation of %s", text, v.Field)
			}
			fmt.Fprintf(&got, "    %s: %.300s\n", v.Reason, v.Description)
		}
	}
	const golden = "testdata/faults.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s%v", got.String(), want, err)
	}
}

// FuzzCompile: no text makes the compiler panic or take long, nor what it makes of the text.
func FuzzCompile(f *testing.F) {
	for _, text := range faulty() {
		f.Add(text)
	}
	f.Add(`attributes.department in ["radiology"] && ["a"].exists(d, attributes[d].matches("^x"))`)
	c := newCompiler(f)
	large := profile.Facts{State: profile.StateActive, Attributes: map[string]string{}}
	for i := range 50 {
		large.Attributes[fmt.Sprintf("name%d", i)] = strings.Repeat("é", 200)
	}
	f.Fuzz(func(t *testing.T, text string) {
		began := testenv.Now()
		r, err := c.Compile(text)
		if err != nil {
			if errs.KindOf(err) != errs.Invalid {
				t.Errorf("%q: %v", text, err)
			}
		} else {
			_, _ = r.Holds(large)
			_, _ = r.Holds(profile.Facts{})
		}
		if took := testenv.Since(began); took > 5*time.Second {
			t.Errorf("%q took %v", text, took)
		}
	})
}

func BenchmarkHolds(b *testing.B) {
	r, err := newCompiler(b).Compile(`state == "ACTIVE" && attributes.department in ["radiology", "oncology"] && hireDate >= "2026-01-01"`)
	if err != nil {
		b.Fatal(err)
	}
	facts := ana()
	for b.Loop() {
		if holds, err := r.Holds(facts); !holds || err != nil {
			b.Fatal(err)
		}
	}
}
