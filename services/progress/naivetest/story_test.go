package naivetest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/services/progress/naivetest"
)

// lines is a value as lines of JSON, to be compared.
func lines(v any) []string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		panic(err)
	}
	return strings.Split(string(b), "\n")
}

// context is how many lines difference shows before those that differ.
const context = 14

// difference shows the lines that differ, and the few before them.
func difference(a, b []string) string {
	common := make([][]int, len(a)+1) // lengths of the longest common sequences of the rests
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := range slices.Backward(a) {
		for j := range slices.Backward(b) {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out []string
	same := 0
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			same, i, j = same+1, i+1, j+1
			if same > context {
				out = slices.Delete(out, len(out)-context-1, len(out)-context)
			}
			continue
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
		same = 0
	}
	return strings.Join(out[:len(out)-min(same, context)], "\n")
}

// story is what happened: the catalog, what is stored, and the log, a line of JSON each.
func (l *life) story(in *naivetest.Input) string {
	var b strings.Builder
	line := func(what string, v any) {
		text, err := json.Marshal(v)
		if err != nil {
			l.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s\n", what, text)
	}
	for _, m := range l.stage.Modules {
		line("module", m)
	}
	for _, p := range l.stage.Paths {
		line("path", p)
	}
	for _, e := range in.Enrollments {
		line("enrollment", e)
	}
	for _, a := range in.Awards {
		line("award", a)
	}
	for i := range in.Log {
		in.Log[i].PayloadHash = [32]byte{}
		line("entry", in.Log[i])
	}
	return b.String()
}
