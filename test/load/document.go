package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// performanceFile has every measurement, scaleFile what is reckoned from them.
const (
	performanceFile = "docs/performance.md"
	scaleFile       = "docs/scale.md"
)

// writeFlag is the flag by which tables go into the documents.
func writeFlag(flags *flag.FlagSet) *bool {
	return flags.Bool("write", false, "write the tables into "+performanceFile+", between their marks")
}

// publish prints a section, and writes it between its marks in a file, where it replaces what an earlier run wrote.
func publish(write bool, file, section, text string) error {
	fmt.Println(text)
	if !write {
		return nil
	}
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	changed, err := replaceSection(string(old), section, text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(changed), 0o600)
}

// replaceSection returns the document with another text between a section's marks.
func replaceSection(document, section, text string) (string, error) {
	begin, end := "<!-- "+section+": begin -->\n", "<!-- "+section+": end -->\n"
	before, rest, ok := strings.Cut(document, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("it lacks the marks %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + after, nil
}

// conditions are when and on what a run began.
type conditions struct {
	date, load string
	others     []string
}

// begin notes them, with the versions of what else takes part.
func begin(others ...string) conditions {
	return conditions{time.Now().UTC().Format(time.DateOnly), load(), others}
}

// text is the line above a section's tables.
func (c conditions) text(ctx context.Context, about string) string {
	parts := []string{
		c.date, commit(ctx), runtime.Version(), fmt.Sprintf("%d cores of %s, which the load generator shares", runtime.NumCPU(), processorModel()),
		"load " + c.load + " before and " + load() + " after",
	}
	return strings.Join(slices.Concat(parts[:3], c.others, parts[3:], []string{about}), "; ") + ".\n\n"
}

// commit is the one that is measured. What earlier sections changed in the documents does not count.
func commit(ctx context.Context) string {
	name, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "no commit"
	}
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", ".", ":!docs").Output()
	if err != nil || len(changed) > 0 {
		return "commit " + strings.TrimSpace(string(name)) + " with changes"
	}
	return "commit " + strings.TrimSpace(string(name))
}

// processorModel is what the kernel calls the processor.
func processorModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}

// bar is a number that Preceptor is held to.
type bar struct {
	name, unit string
	measured   float64
	limit      float64
	atMost     bool
}

func (b bar) met() bool {
	if b.atMost {
		return b.measured <= b.limit
	}
	return b.measured >= b.limit
}

// barTable is the bars as a table.
func barTable(bars []bar) string {
	var w strings.Builder
	w.WriteString("| bar | wanted | measured | |\n| --- | ---: | ---: | --- |\n")
	for _, b := range bars {
		sign, verdict := "≥", "**missed**"
		if b.atMost {
			sign = "≤"
		}
		if b.met() {
			verdict = "met"
		}
		unit := ""
		if b.unit != "" {
			unit = " " + b.unit
		}
		fmt.Fprintf(&w, "| %s | %s %s%s | %s%s | %s |\n", b.name, sign, number(b.limit), unit, number(b.measured), unit, verdict)
	}
	return w.String() + "\n"
}

// number is a number with as many digits as matter.
func number(x float64) string {
	switch {
	case x >= 100 || x == float64(int(x)):
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

// median returns the middle of values, 0 of none.
func median[T cmp.Ordered](values []T) T {
	if len(values) == 0 {
		return *new(T)
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
