package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// readme is the file whose lines a newcomer copies.
const readme = "../../README.md"

var (
	blockShape = regexp.MustCompile("(?ms)^```(sh|json|text)\n(.*?)^```$")
	dateShape  = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
)

// step is a block of lines to copy, with the answer that stands below it.
type step struct {
	script   string
	language string // of the answer: json, text, or "" for none
	answer   string
	at       [2]int // where the answer stands in the file
}

// TestReadme runs the README: each of its lines, against a server of its own, and compares
// what comes back with what it shows, but for ids and times.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	steps := stepsOf(string(text))
	if len(steps) < 9 || strings.TrimSpace(steps[0].script) != "make run" {
		t.Fatalf("the README has %d steps, and begins with %v", len(steps), steps)
	}
	dir := t.TempDir()
	w := oneProcessOn(t, filepath.Join(dir, "data"))

	me := w.as(t, "counter")
	total := func(of string) any {
		return me.get("/v1/" + of + "?pageSize=1&includeTotal=true").want(http.StatusOK).get("totalSize")
	}
	says := fmt.Sprintf("%v modules and %v paths", total("modules"), total("paths"))
	if !strings.Contains(string(text), says) {
		t.Errorf("the starter catalog has %s, and the README does not say so", says)
	}

	const mark = "--- end of step ---"
	var script strings.Builder
	script.WriteString("set -e\n")
	for _, s := range steps[1:] {
		fmt.Fprintf(&script, "%s\necho; echo '%s'\n", s.script, mark)
	}
	lines := strings.ReplaceAll(script.String(), "go run ./cmd/preceptor", "preceptor")
	lines = strings.ReplaceAll(lines, "http://127.0.0.1:8080", w.base)
	outputs := strings.Split(bash(t, dir, lines), mark+"\n")

	if *update {
		writeReadme(t, string(text), steps[1:], outputs)
		return
	}
	for i, s := range steps[1:] {
		got, want := strings.TrimSpace(outputs[i]), strings.TrimSpace(s.answer)
		if s.language == "json" {
			got, want = settled(t, got), settled(t, want)
		}
		if got != want {
			t.Errorf("%s\nanswers\n%s\nand the README says\n%s", s.script, got, want)
		}
	}
}

func stepsOf(text string) []step {
	var steps []step
	for _, at := range blockShape.FindAllStringSubmatchIndex(text, -1) {
		language, body := text[at[2]:at[3]], text[at[4]:at[5]]
		if language == "sh" {
			steps = append(steps, step{script: body})
			continue
		}
		last := &steps[len(steps)-1]
		last.language, last.answer, last.at = language, body, [2]int{at[4], at[5]}
	}
	return steps
}

// settled is a JSON text without what differs from run to run.
func settled(t *testing.T, text string) string {
	t.Helper()
	var tree any
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	plain, err := json.MarshalIndent(tree, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = string(normalized(plain))
	return dateShape.ReplaceAllString(text, "<time>")
}

// writeReadme puts the answers of today into the file.
func writeReadme(t *testing.T, text string, steps []step, outputs []string) {
	t.Helper()
	for i, s := range slices.Backward(steps) {
		if s.language == "" {
			continue
		}
		answer := strings.TrimSpace(outputs[i]) + "\n"
		if s.language == "json" {
			if s.answer != "{}\n" && settled(t, s.answer) == settled(t, answer) {
				continue // only ids and times differ
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, []byte(strings.TrimSpace(answer)), "", "  "); err != nil {
				t.Fatal(err)
			}
			answer = pretty.String() + "\n"
		}
		text = text[:s.at[0]] + answer + text[s.at[1]:]
	}
	if err := os.WriteFile(readme, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
