package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// list is a list of mutants, and the tests that are to catch them.
type list struct {
	suites  []suite
	mutants []mutant
}

// suite is the tests of one package, with the flags that they run with.
type suite struct {
	// dir is from the repository's root.
	dir   string
	flags []string
	// tests are the names of the package's tests.
	tests []string
}

// mutant is a rule, and a change of one file that breaks it.
type mutant struct {
	name, rule string
	// file is from the repository's root.
	file string
	// tests are those that are most likely to catch it; they run first.
	tests []string
	// old is a text that the file has once, new what takes its place.
	old, new string
	line     int
}

// parse reads a list; its errors name all that is wrong.
func parse(text string) (*list, error) {
	l := &list{}
	var bad []error
	for i, line := range strings.Split(text, "\n") {
		if err := l.read(line, i+1); err != nil {
			bad = append(bad, fmt.Errorf("line %d: %w", i+1, err))
		}
	}
	names := map[string]bool{}
	for _, m := range l.mutants {
		switch {
		case names[m.name]:
			bad = append(bad, fmt.Errorf("line %d: there is a mutant %s before this one", m.line, m.name))
		case m.rule == "" || m.file == "" || m.old == "":
			bad = append(bad, fmt.Errorf("line %d: %s needs a rule, a file and a text to replace", m.line, m.name))
		case m.old == m.new:
			bad = append(bad, fmt.Errorf("line %d: %s changes nothing", m.line, m.name))
		}
		names[m.name] = true
	}
	if len(l.suites) == 0 {
		bad = append(bad, errors.New("no suite is named"))
	}
	return l, errors.Join(bad...)
}

// read reads one line.
func (l *list) read(line string, number int) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "suite":
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return errors.New("a suite is a folder and flags")
		}
		l.suites = append(l.suites, suite{dir: fields[0], flags: fields[1:]})
		return nil
	case "mutant":
		l.mutants = append(l.mutants, mutant{name: rest, line: number})
		return nil
	}
	if len(l.mutants) == 0 {
		return errors.New("what stands before the first mutant must be a suite")
	}
	m := &l.mutants[len(l.mutants)-1]
	switch {
	case line[0] == '-' && m.new == "":
		m.old = joined(m.old, line[1:])
	case line[0] == '+' && m.old != "":
		m.new = joined(m.new, line[1:])
	case word == "rule":
		m.rule = rest
	case word == "file":
		m.file = rest
	case word == "test":
		m.tests = strings.Fields(rest)
	default:
		return errors.New("a line begins with suite, mutant, rule, file, test, # or, where the file has it, -, and then + for what takes its place")
	}
	return nil
}

// joined adds a line to a text.
func joined(text, line string) string {
	if text == "" {
		return line
	}
	return text + "\n" + line
}

// fit checks that each mutant's text is in its file once, and that there are the tests that are named.
func (l *list) fit(root string) error {
	var bad []error
	for i := range l.suites {
		if err := l.suites[i].find(root); err != nil {
			bad = append(bad, err)
		}
	}
	for _, m := range l.mutants {
		if _, err := m.apply(root); err != nil {
			bad = append(bad, err)
		}
		for _, test := range m.tests {
			if !slices.ContainsFunc(l.suites, func(s suite) bool { return slices.Contains(s.tests, test) }) {
				bad = append(bad, fmt.Errorf("%s names %s, which no suite has", m.name, test))
			}
		}
	}
	return errors.Join(bad...)
}

var declared = regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(t \*testing\.T\)`)

// find finds the names of the suite's tests.
func (s *suite) find(root string) error {
	files, err := filepath.Glob(filepath.Join(root, s.dir, "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		code, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, found := range declared.FindAllSubmatch(code, -1) {
			s.tests = append(s.tests, string(found[1]))
		}
	}
	if len(s.tests) == 0 {
		return fmt.Errorf("suite %s has no tests", s.dir)
	}
	return nil
}

// apply returns the file with the mutant's change.
func (m *mutant) apply(root string) (string, error) {
	code, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", fmt.Errorf("%s: %w", m.name, err)
	}
	if n := strings.Count(string(code), m.old); n != 1 {
		return "", fmt.Errorf("%s: %s has the text to replace %d times, and must have it once: %q", m.name, m.file, n, m.old)
	}
	return strings.Replace(string(code), m.old, m.new, 1), nil
}

// choose returns the mutants to run: those named; or some of them; or all. As turn rises, each has its turn.
func (l *list) choose(only string, some, turn int) ([]mutant, error) {
	if only != "" {
		var chosen []mutant
		for name := range strings.SplitSeq(only, ",") {
			i := slices.IndexFunc(l.mutants, func(m mutant) bool { return m.name == name })
			if i < 0 {
				return nil, fmt.Errorf("there is no mutant %s: -list names them", name)
			}
			chosen = append(chosen, l.mutants[i])
		}
		return chosen, nil
	}
	n := len(l.mutants)
	if some <= 0 || some >= n {
		return l.mutants, nil
	}
	first := turn % n * some % n
	if first < 0 {
		first += n
	}
	return slices.Concat(l.mutants, l.mutants)[first : first+some], nil
}
