package errs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// TestReasonsAreDocumented proves that docs/api.md has each reason that a client can
// receive, with the status and meaning of the table, and no other.
func TestReasonsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for use, before := range map[errs.Use]string{
		errs.UseError:      "| status | reason | meaning |",
		errs.UseRejected:   "Reasons of REJECTED:",
		errs.UseRetry:      "Reasons of RETRY:",
		errs.UseRequest:    "### Violations of a request",
		errs.UsePublishing: "### Violations of publishing",
		errs.UseWarning:    "### Warnings",
	} {
		var want []string
		for _, m := range errs.Meanings() {
			if m.Use == use {
				want = append(want, line(m.Status, m.Reason, m.Text))
			}
		}
		got := documented(t, string(text), before)
		for _, row := range got {
			if !slices.Contains(want, row) {
				t.Errorf("docs/api.md, after %q, has a row that the table does not have: %s", before, row)
			}
		}
		for _, row := range want {
			if !slices.Contains(got, row) {
				t.Errorf("docs/api.md, after %q, lacks: %s", before, row)
			}
		}
		if len(got) != len(want) {
			t.Errorf("after %q: %d reasons in docs/api.md, %d in the table", before, len(got), len(want))
		}
	}
}

func line(status int, reason, meaning string) string {
	return fmt.Sprintf("%d %s: %s", status, reason, meaning)
}

// documented returns the rows of the first table after a text, one for each reason.
func documented(t *testing.T, text, before string) []string {
	t.Helper()
	_, text, found := strings.Cut(text, before)
	_, text, ruled := strings.Cut(text, "| --- |\n")
	if !found || !ruled {
		t.Fatalf("there is no table after %q", before)
	}
	var rows []string
	for row := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), " | ")
		if !strings.HasPrefix(row, "| ") {
			break
		}
		status := 0
		if len(cells) == 3 {
			var err error
			if status, err = strconv.Atoi(strings.TrimSpace(cells[0])); err != nil {
				t.Fatalf("row %q: %v", row, err)
			}
			cells = cells[1:]
		}
		if len(cells) != 2 {
			t.Fatalf("row %q has %d cells", row, len(cells))
		}
		for reason := range strings.SplitSeq(strings.TrimSpace(cells[0]), ", ") {
			rows = append(rows, line(status, reason, strings.TrimSpace(cells[1])))
		}
	}
	return rows
}

// TestReasonsHaveInstructions proves that docs/clients.md says of each reason of a problem or of an
// event what a client does, with the status of the table, and of no other.
func TestReasonsHaveInstructions(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	for use, before := range map[errs.Use]string{
		errs.UseError:    "## What a problem asks for",
		errs.UseRejected: "\nREJECTED: ",
		errs.UseRetry:    "\nRETRY: ",
	} {
		want := map[string]int{}
		for _, m := range errs.Meanings() {
			if m.Use == use {
				want[fmt.Sprint(m.Status, " ", m.Reason)] = 1
			}
		}
		for _, row := range documented(t, string(text), before) {
			reason, instruction, _ := strings.Cut(row, ": ")
			if want[reason]--; want[reason] < 0 || instruction == "" {
				t.Errorf("docs/clients.md, after %q, has a row too many, or without an instruction: %s", before, row)
			}
		}
		for reason, missing := range want {
			if missing > 0 {
				t.Errorf("docs/clients.md, after %q, does not say what a client does with %s", before, reason)
			}
		}
	}
}

// TestReasonsHaveAMeaning proves that each constant is in the table, once for each use.
func TestReasonsHaveAMeaning(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "reasons.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Reason") {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil || constants[value] {
				t.Errorf("%s: a second %q, or %v", spec.Names[0].Name, value, err)
			}
			constants[value] = true
		}
		return true
	})
	uses := map[string][]errs.Use{}
	for _, m := range errs.Meanings() {
		if !constants[m.Reason] {
			t.Errorf("%s is in the table and has no constant", m.Reason)
		}
		if slices.Contains(uses[m.Reason], m.Use) {
			t.Errorf("%s is in the table twice", m.Reason)
		}
		if m.Text == "" || (m.Status == 0) != (m.Use != errs.UseError) {
			t.Errorf("%+v", m)
		}
		if m.Use == errs.UseError && errs.StatusOf(m.Reason) != m.Status {
			t.Errorf("%s: status %d", m.Reason, errs.StatusOf(m.Reason))
		}
		uses[m.Reason] = append(uses[m.Reason], m.Use)
	}
	if len(constants) < 100 || len(uses) != len(constants) {
		t.Errorf("%d constants, %d of them in the table", len(constants), len(uses))
	}
}
