package main

import (
	"strings"
	"testing"
)

const passing = `{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:3: a log line\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"--- PASS: TestX (0.00s)\n"}
{"Action":"pass","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"PASS\n"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.01s\n"}
{"Action":"pass","Package":"a"}
`

const untested = `{"Action":"output","Package":"b","Output":"?   \tb\t[no test files]\n"}
{"Action":"skip","Package":"b"}
`

const skipping = `{"Action":"output","Package":"c","Test":"TestS","Output":"=== RUN   TestS\n"}
{"Action":"output","Package":"c","Test":"TestS","Output":"    s_test.go:9: no database here\n"}
{"Action":"output","Package":"c","Test":"TestS","Output":"--- SKIP: TestS (0.00s)\n"}
{"Action":"skip","Package":"c","Test":"TestS"}
{"Action":"output","Package":"c","Output":"ok  \tc\t0.01s\n"}
{"Action":"pass","Package":"c"}
`

const skips = "ok  \tc\t0.01s\nskipped: c TestS: s_test.go:9: no database here\n0 tests passed, 1 skipped\n"

const failing = `{"Action":"output","Package":"d","Test":"TestGood","Output":"good says\n"}
{"Action":"pass","Package":"d","Test":"TestGood"}
{"Action":"output","Package":"d","Test":"TestBad","Output":"bad says\n"}
{"Action":"fail","Package":"d","Test":"TestBad"}
{"Action":"output","Package":"d","Output":"FAIL\td\t0.01s\n"}
{"Action":"fail","Package":"d"}
`

const panicking = `{"Action":"output","Package":"e","Test":"TestBoom","Output":"panic: boom\n"}
{"Action":"output","Package":"e","Output":"FAIL\te\t0.01s\n"}
{"Action":"fail","Package":"e"}
`

const unbuilt = `{"ImportPath":"f","Action":"build-output","Output":"f.go:1: undefined: x\n"}
{"ImportPath":"f","Action":"build-fail"}
{"Action":"output","Package":"f","Output":"FAIL\tf [build failed]\n"}
{"Action":"fail","Package":"f","FailedBuild":"f"}
`

func TestReport(t *testing.T) {
	cases := map[string]struct {
		input   string
		noSkips bool
		want    string
		wantErr string
	}{
		"passing":         {input: passing, want: "ok  \ta\t0.01s\n1 tests passed, 0 skipped\n"},
		"no tests":        {input: untested, noSkips: true, want: "?   \tb\t[no test files]\n0 tests passed, 0 skipped\n"},
		"skips named":     {input: skipping, want: skips},
		"skips forbidden": {input: skipping, noSkips: true, want: skips, wantErr: "1 tests were skipped"},
		"failing":         {input: failing, want: "bad says\nFAIL\td\t0.01s\n1 tests passed, 0 skipped\n", wantErr: "1 packages failed"},
		"panicking":       {input: panicking, want: "panic: boom\nFAIL\te\t0.01s\n0 tests passed, 0 skipped\n", wantErr: "1 packages failed"},
		"unbuilt":         {input: unbuilt, want: "f.go:1: undefined: x\nFAIL\tf [build failed]\n0 tests passed, 0 skipped\n", wantErr: "1 packages failed"},
		"cut short":       {input: passing[:300], wantErr: "1 packages began and never ended"},
		"plain text":      {input: "go: broken go.mod\n", want: "go: broken go.mod\n0 tests passed, 0 skipped\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			r := report{out: &out, packages: map[string]*suite{}}
			if err := r.read(strings.NewReader(c.input)); err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := r.verdict(c.noSkips); err != nil {
				got = err.Error()
			}
			if got != c.wantErr {
				t.Errorf("verdict %q, want %q", got, c.wantErr)
			}
			if c.want != "" && out.String() != c.want {
				t.Errorf("printed\n%swant\n%s", out.String(), c.want)
			}
		})
	}
}
