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

// The documents whose lines a newcomer copies.
const (
	readme   = "../../README.md"
	tutorial = "../../docs/tutorial.md"
	byCurl   = "../../docs/curl.md"
)

var (
	blockShape = regexp.MustCompile("(?ms)^```(sh|json|text)\n(.*?)^```$")
	dateShape  = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
)

// step is a block of lines to copy, with the output that is shown below it.
type step struct {
	script   string
	language string // of the answer: json, text, or "" for none
	answer   string
	at       [2]int // where the answer is in the file
}

// TestReadme runs the commands of the README against a server of its own. The answers that it
// shows are shortened: what they have must be in what comes back, except for ids and times.
func TestReadme(t *testing.T) {
	t.Parallel()
	w := oneProcessOn(t, filepath.Join(t.TempDir(), "data"))
	text, steps, outputs := runDocument(t, w, readme)

	me := w.as(t, "counter")
	total := func(of string) any {
		return me.get("/v1/" + of + "?pageSize=1&includeTotal=true").want(http.StatusOK).get("totalSize")
	}
	catalog := fmt.Sprintf("%v modules and %v paths", total("modules"), total("paths"))
	if !strings.Contains(text, catalog) {
		t.Errorf("the starter catalog has %s, and the README differs", catalog)
	}
	if !strings.Contains(text, "\nmake test\n") {
		t.Error("the README does not name make test")
	}

	answers := 0
	for i, s := range steps {
		if s.language == "" {
			continue
		}
		answers++
		got, want := parsed(t, outputs[i]), parsed(t, s.answer)
		if path := missing(want, got, ""); path != "" {
			t.Errorf("%s\nreturns\n%s\nwhich differs from the README at %s", s.script, outputs[i], path)
		}
	}
	if answers == 0 {
		t.Error("the README shows no answer")
	}
}

// TestTutorial runs the commands of docs/tutorial.md and docs/curl.md, each against a server of its
// own, and compares whole answers, except for ids and times. With -update it writes those that differ.
func TestTutorial(t *testing.T) {
	t.Parallel()
	for _, document := range []string{tutorial, byCurl} {
		t.Run(filepath.Base(document), func(t *testing.T) {
			t.Parallel()
			playDocument(t, document)
		})
	}
}

func playDocument(t *testing.T, document string) {
	t.Helper()
	w := oneProcessOn(t, filepath.Join(t.TempDir(), "data"))
	text, steps, outputs := runDocument(t, w, document)
	if len(steps) < 10 {
		t.Fatalf("%s has %d steps", document, len(steps))
	}
	if *update {
		writeAnswers(t, document, text, steps, outputs)
		return
	}
	for i, s := range steps {
		got, want := strings.TrimSpace(outputs[i]), strings.TrimSpace(s.answer)
		if s.language == "json" {
			got, want = stable(t, got), stable(t, want)
		}
		if got != want {
			t.Errorf("%s\nreturns\n%s\nand %s shows\n%s", s.script, got, document, want)
		}
	}
}

// runDocument runs the steps of a document that come after "make run", and returns them with
// the output of each.
func runDocument(t *testing.T, w *world, file string) (text string, steps []step, outputs []string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	steps = stepsOf(string(raw))
	if len(steps) < 2 || strings.TrimSpace(steps[0].script) != "make run" {
		t.Fatalf("%s does not begin with make run: %v", file, steps)
	}
	steps = steps[1:]
	const mark = "--- end of step ---"
	var script strings.Builder
	script.WriteString("set -e\n")
	for _, s := range steps {
		fmt.Fprintf(&script, "%s\necho; echo '%s'\n", s.script, mark)
	}
	lines := strings.ReplaceAll(script.String(), "go run ./cmd/preceptor", "preceptor")
	lines = strings.ReplaceAll(lines, "http://127.0.0.1:8080", w.base)
	return string(raw), steps, strings.Split(bash(t, filepath.Dir(w.data), lines), mark+"\n")
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

// parsed returns a JSON text as a tree, without ids and times.
func parsed(t *testing.T, text string) any {
	t.Helper()
	var tree any
	if err := json.Unmarshal([]byte(stable(t, text)), &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// missing returns the path of a value of want that got lacks or has otherwise, or "". Members
// of objects and the last elements of arrays may be left out of want.
func missing(want, got any, path string) string {
	switch want := want.(type) {
	case map[string]any:
		members, ok := got.(map[string]any)
		if !ok {
			return path
		}
		for name, value := range want {
			if where := missing(value, members[name], path+"."+name); where != "" {
				return where
			}
		}
		return ""
	case []any:
		elements, ok := got.([]any)
		if !ok {
			return path
		}
		for i, value := range want {
			where := fmt.Sprintf("%s[%d]", path, i)
			if i >= len(elements) {
				return where
			}
			if where = missing(value, elements[i], where); where != "" {
				return where
			}
		}
		return ""
	default:
		if want != got {
			return path
		}
		return ""
	}
}

// TestMissing proves that the README's comparison can fail.
func TestMissing(t *testing.T) {
	t.Parallel()
	answer := `{"a": 1, "list": [{"b": "x", "c": 2}, {"b": "y"}]}`
	for shown, want := range map[string]string{
		`{"a": 1}`: "", `{"list": [{"c": 2}]}`: "", `{"list": []}`: "",
		`{"a": 2}`: ".a", `{"d": 1}`: ".d", `{"list": [{"b": "y"}]}`: ".list[0].b", `{"list": [{}, {}, {}]}`: ".list[2]", `{"d": {}}`: ".d", `{"a": []}`: ".a",
	} {
		if got := missing(parsed(t, shown), parsed(t, answer), ""); got != want {
			t.Errorf("missing(%s) = %q, want %q", shown, got, want)
		}
	}
}

// stable returns a JSON text, indented, without what differs from run to run.
func stable(t *testing.T, text string) string {
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

// writeAnswers writes the answers that differ into a document.
func writeAnswers(t *testing.T, document, text string, steps []step, outputs []string) {
	t.Helper()
	for i, s := range slices.Backward(steps) {
		if s.language == "" {
			continue
		}
		answer := strings.TrimSpace(outputs[i]) + "\n"
		if s.language == "json" {
			if s.answer != "{}\n" && stable(t, s.answer) == stable(t, answer) {
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
	if err := os.WriteFile(document, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
