package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxText is how much is shown of what a failing test prints.
const maxText = 4000

// verdict is what became of a mutant.
type verdict int

// The verdicts.
const (
	survived verdict = iota
	caught
	// unbuilt is of a mutant that does not compile, hung of one that tests do not end with: neither
	// says anything of the tests.
	unbuilt
	hung
)

func (v verdict) String() string {
	return [...]string{"survived", "caught", "does not compile", "ran out of time"}[v]
}

// outcome is a mutant with what became of it.
type outcome struct {
	mutant

	verdict verdict
	// by is the test that caught it; detail is what the compiler says.
	by, detail string
}

// runner runs tests on changed files.
type runner struct {
	root, temp string
	suites     []suite
	timeout    time.Duration
	// sound are the tests that were seen to pass on unchanged files.
	sound map[string]bool
}

// all runs the mutants, and says how far it is.
func (r *runner) all(ctx context.Context, mutants []mutant, progress io.Writer) ([]outcome, error) {
	var outcomes []outcome
	began := time.Now()
	for i, m := range mutants {
		start := time.Now()
		o, err := r.try(ctx, m)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		outcomes = append(outcomes, o)
		by := ""
		if o.by != "" {
			by = " by " + o.by
		}
		fmt.Fprintf(progress, "%d/%d %s: %s%s (%v)\n", i+1, len(mutants), m.name, o.verdict, by, time.Since(start).Round(time.Second))
	}
	fmt.Fprintf(progress, "%d mutants in %v\n", len(mutants), time.Since(began).Round(time.Second))
	return outcomes, nil
}

// try runs the tests with one mutant: first those that it names, then the suites one by one, until one fails.
func (r *runner) try(ctx context.Context, m mutant) (out outcome, err error) {
	out.mutant = m
	overlay, err := r.overlay(&m)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(filepath.Dir(overlay))) }()
	for _, step := range r.steps(&m) {
		binary, detail, err := r.build(ctx, &step.suite, overlay)
		if err != nil {
			return out, err
		}
		if detail != "" {
			out.verdict, out.detail = unbuilt, detail
			return out, nil
		}
		text, failed, err := r.execute(ctx, binary, &step.suite, step.pattern)
		switch {
		case err != nil:
			return out, err
		case !failed:
			continue
		case strings.Contains(text, "panic: test timed out after"):
			out.verdict = hung
			return out, nil
		}
		out.verdict, out.by = caught, culprit(text)
		return out, r.check(ctx, &step, out.by)
	}
	return out, nil
}

// step is some tests of a suite; an empty pattern is those that its flags name.
type step struct {
	suite   suite
	pattern string
}

// steps are what is run for a mutant, in order.
func (r *runner) steps(m *mutant) []step {
	var named []step
	whole := make([]step, 0, len(r.suites))
	for _, s := range r.suites {
		var mine []string
		for _, test := range m.tests {
			if slices.Contains(s.tests, test) {
				mine = append(mine, test)
			}
		}
		if len(mine) > 0 {
			named = append(named, step{s, "^(" + strings.Join(mine, "|") + ")$"})
		}
		whole = append(whole, step{s, ""})
	}
	return append(named, whole...)
}

// overlay writes the changed file, and returns the file that says so to the go command.
func (r *runner) overlay(m *mutant) (string, error) {
	code, err := m.apply(r.root)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(r.temp, m.name)
	changed := filepath.Join(dir, filepath.Base(m.file))
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(r.root, m.file): changed}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, errors.Join(os.Mkdir(dir, 0o750), os.WriteFile(changed, []byte(code), 0o600), os.WriteFile(overlay, replace, 0o600))
}

// build compiles the tests of a suite beside the overlay, and returns the program; where there is one
// already, that. detail is what the compiler says if they do not compile.
func (r *runner) build(ctx context.Context, s *suite, overlay string) (binary, detail string, err error) {
	binary = filepath.Join(filepath.Dir(overlay), strings.ReplaceAll(s.dir, "/", "_")+".test")
	if _, err := os.Stat(binary); err == nil {
		return binary, "", nil
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", binary, "./"+s.dir)
	cmd.Dir = r.root
	text, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); exited && ctx.Err() == nil {
		return "", string(text), nil
	}
	return binary, "", err
}

// execute runs tests until one fails, and returns what they print.
func (r *runner) execute(ctx context.Context, binary string, s *suite, pattern string) (text string, failed bool, err error) {
	args := append([]string{"-test.failfast", "-test.timeout", r.timeout.String()}, s.flags...)
	if pattern != "" {
		args = append(args, "-test.run", pattern)
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = filepath.Join(r.root, s.dir)
	out, err := cmd.CombinedOutput()
	exit, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		return "", false, ctx.Err()
	case exited && exit.ExitCode() < 0: // it says nothing of the tests
		return "", false, fmt.Errorf("the tests of %s were ended from outside: %w", s.dir, err)
	case exited:
		return string(out), true, nil
	}
	return string(out), false, err
}

var failure = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// culprit is the first test that failed, or "" where a panic ended them all.
func culprit(text string) string {
	if found := failure.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

// check returns an error if the test that caught a mutant fails on unchanged files too.
func (r *runner) check(ctx context.Context, s *step, test string) error {
	pattern := s.pattern
	if test != "" {
		pattern = "^" + test + "$"
	}
	key := s.suite.dir + " " + pattern
	if r.sound[key] {
		return nil
	}
	dir := filepath.Join(r.temp, "unchanged files") // no mutant has that name
	overlay := filepath.Join(dir, "overlay.json")
	if err := errors.Join(os.MkdirAll(dir, 0o750), os.WriteFile(overlay, []byte("{}"), 0o600)); err != nil {
		return err
	}
	binary, detail, err := r.build(ctx, &s.suite, overlay)
	if err != nil {
		return err
	}
	if detail != "" {
		return fmt.Errorf("the unchanged files do not compile: mend them first\n%s", detail)
	}
	text, failed, err := r.execute(ctx, binary, &s.suite, pattern)
	if err != nil {
		return err
	}
	if failed {
		return fmt.Errorf("%s fails on unchanged files, and so catches nothing: mend it first\n%s", key, text[:min(len(text), maxText)])
	}
	r.sound[key] = true
	return nil
}
