// Command testreport reads the output of `go test -json` and prints what plain
// `go test` would: a line for each package, and the output of what failed. It
// then names the tests that were skipped, which plain `go test` does not;
// with -no-skips they are failures.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	noSkips := flag.Bool("no-skips", false, "fail when a test was skipped")
	flag.Parse()
	out := bufio.NewWriter(os.Stdout)
	r := report{out: out, packages: map[string]*suite{}}
	err := r.read(os.Stdin)
	if err == nil {
		err = r.verdict(*noSkips)
	}
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		os.Exit(1)
	}
}

// event is one line of `go test -json`, as `go doc test2json` describes it.
type event struct {
	Action string `json:"Action"`
	// Package is set on the events of a test binary, never on those of a build.
	Package string `json:"Package"`
	Test    string `json:"Test"`
	Output  string `json:"Output"`
}

// suite is what is known so far of one package.
type suite struct {
	// output holds everything that the package printed, in order.
	output []event
	// done holds how each finished test ended; one that is missing crashed.
	done map[string]string
}

type report struct {
	out      io.Writer
	packages map[string]*suite
	skipped  []string
	passed   int
	failed   int
}

// read takes all events, and prints each package when it ends.
func (r *report) read(in io.Reader) error {
	// A decoder has no longest line, and a failing test may print a long one.
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			if werr := r.line(line); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) line(line string) error {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		// The go command itself may speak plainly, for example of a broken go.mod.
		_, err := io.WriteString(r.out, line)
		return err
	}
	switch e.Action {
	case "build-output":
		_, err := io.WriteString(r.out, e.Output)
		return err
	case "build-fail":
		return nil
	}
	s := r.packages[e.Package]
	if s == nil {
		s = &suite{done: map[string]string{}}
		r.packages[e.Package] = s
	}
	switch e.Action {
	case "output":
		s.output = append(s.output, e)
	case "pass", "fail", "skip":
		if e.Test == "" {
			return r.endPackage(e, s)
		}
		r.endTest(e, s)
	}
	return nil
}

func (r *report) endTest(e event, s *suite) {
	s.done[e.Test] = e.Action
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped = append(r.skipped, e.Package+" "+e.Test+": "+s.reason(e.Test))
	}
}

// reason is the last output of a skipped test before its result line.
func (s *suite) reason(test string) string {
	last := "no reason given"
	for _, e := range s.output {
		text := strings.TrimSpace(e.Output)
		if e.Test == test && text != "" && !strings.HasPrefix(text, "=== ") && !strings.HasPrefix(text, "--- ") {
			last = text
		}
	}
	return last
}

// endPackage prints the package's closing line, and before it the output of the
// tests that failed or never ended.
func (r *report) endPackage(e event, s *suite) error {
	delete(r.packages, e.Package)
	if e.Action == "fail" {
		r.failed++
	}
	for _, o := range s.output {
		show := strings.HasPrefix(o.Output, "ok  \t") || strings.HasPrefix(o.Output, "?   \t")
		if e.Action == "fail" {
			ended := s.done[o.Test]
			show = o.Test == "" || ended != "pass" && ended != "skip"
		}
		if !show {
			continue
		}
		if _, err := io.WriteString(r.out, o.Output); err != nil {
			return err
		}
	}
	return nil
}

// verdict prints the sum, and returns an error unless the run is a good one.
func (r *report) verdict(noSkips bool) error {
	for _, s := range r.skipped {
		if _, err := fmt.Fprintln(r.out, "skipped:", s); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(r.out, "%d tests passed, %d skipped\n", r.passed, len(r.skipped)); err != nil {
		return err
	}
	switch {
	case len(r.packages) > 0:
		return fmt.Errorf("%d packages began and never ended", len(r.packages))
	case r.failed > 0:
		return fmt.Errorf("%d packages failed", r.failed)
	case noSkips && len(r.skipped) > 0:
		return fmt.Errorf("%d tests were skipped", len(r.skipped))
	}
	return nil
}
