// Command mutants checks that tests notice a broken rule. It reads a list of mutants, each of which is a
// rule in a sentence and a change of one file that breaks it; makes each change in turn, outside of the
// repository, by an overlay of the go command; and runs the tests. A mutant that no test fails on survives,
// and shows that its rule is not tested. The list describes its own format, in its first lines.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are what the flags say.
type options struct {
	root, list string
	only       string
	some, turn int
	names      bool
	table      bool
	timeout    time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", "..", "the repository")
	flag.StringVar(&o.list, "mutants", "services/progress/testdata/mutants.txt", "the list of mutants, from the repository's root")
	flag.StringVar(&o.only, "only", "", "run the mutants of these names alone, separated by commas")
	flag.IntVar(&o.some, "some", 0, "run this many mutants alone, which ones depends on -turn: as it rises by one, all have their turn")
	flag.IntVar(&o.turn, "turn", 0, "any number for -some, as that of the day")
	flag.BoolVar(&o.names, "list", false, "list the mutants, and run none")
	flag.BoolVar(&o.table, "table", false, "print a table in Markdown when all have run")
	flag.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long the tests of one package may run")
	flag.Parse()
	// Interrupted, it stops what it started, and removes what it made.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		os.Exit(1)
	}
}

// run does what the options say. What was asked for goes to out, how far it is to progress.
func run(ctx context.Context, o options, out, progress io.Writer) error {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, o.list))
	if err != nil {
		return err
	}
	l, err := parse(string(text))
	if err == nil {
		err = l.fit(root)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.list, err)
	}
	chosen, err := l.choose(o.only, o.some, o.turn)
	if err != nil {
		return err
	}
	if o.names {
		return printList(out, chosen)
	}
	temp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	r := &runner{root: root, temp: temp, suites: l.suites, timeout: o.timeout, sound: map[string]bool{}}
	outcomes, err := r.all(ctx, chosen, progress)
	if err := errors.Join(err, os.RemoveAll(temp)); err != nil {
		return err
	}
	if o.table {
		if err := printTable(out, outcomes); err != nil {
			return err
		}
	}
	return judge(outcomes)
}

// printList prints names, files and rules.
func printList(out io.Writer, mutants []mutant) error {
	w := bufio.NewWriter(out)
	for _, m := range mutants {
		fmt.Fprintf(w, "%s (%s)\n\t%s\n", m.name, m.file, m.rule)
	}
	return w.Flush()
}

// printTable prints a table in Markdown.
func printTable(out io.Writer, outcomes []outcome) error {
	w := bufio.NewWriter(out)
	fmt.Fprintln(w, "| rule that is broken | mutant | file | caught by |\n| --- | --- | --- | --- |")
	for _, o := range outcomes {
		by := o.by
		if o.verdict != caught {
			by = "**" + o.verdict.String() + "**"
		}
		fmt.Fprintf(w, "%s | %s |\n", o.row(), by)
	}
	return w.Flush()
}

// row is the mutant's row of the table, without what caught it.
func (m *mutant) row() string {
	return fmt.Sprintf("| %s | %s | %s", strings.ReplaceAll(m.rule, "|", `\|`), m.name, filepath.Base(m.file))
}

// judge returns an error that names what was not caught; nil where all was.
func judge(outcomes []outcome) error {
	var bad []error
	for _, o := range outcomes {
		switch o.verdict {
		case caught:
		case survived:
			bad = append(bad, fmt.Errorf("%s survived: no test fails when this rule is broken: %s", o.name, o.rule))
		case unbuilt:
			bad = append(bad, fmt.Errorf("%s does not compile: mend it in the list\n%s", o.name, o.detail))
		case hung:
			bad = append(bad, fmt.Errorf("%s had the tests run out of time: break the rule in another way", o.name))
		}
	}
	return errors.Join(bad...)
}
