package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The axes along which data grows, one at a time.
const (
	axisLearners = "learners"
	axisEvents   = "events of each learner"
	axisLate     = "events in the log of a late event"
)

// growthMeasured is how many learners make requests, whatever number there is.
const growthMeasured = 1000

// growth is a run of benchGrowth.
type growth struct {
	learners, events, late []int
	rounds                 int
	dir                    string
	write                  bool

	bin string
	// points are what is measured by now.
	points []point
}

// point is what was measured at one place of an axis: microseconds of processor time by request.
type point struct {
	Axis  string             `json:"axis"`
	At    int                `json:"at"`
	Costs map[string]float64 `json:"costs"`
}

// benchGrowth measures the processor time of requests while the data grows, in one process.
func benchGrowth(ctx context.Context, args []string) error {
	g := growth{learners: []int{1000, 10_000, 100_000, 1_000_000}, events: []int{10, 100, 1000, 10_000}, late: []int{100, 1000, 5000, 20_000}}
	flags := newFlags("growth", `Measures the processor time of requests to one process on SQLite as the data grows, one axis at a time, up to ten
million log entries, and draws it. What is measured is kept in the folder, and a run that was interrupted goes on where it
was; another build of the program begins anew. Wants 8 GB of disk.`,
		"growth -write", "growth -learners 1000,2000 -events 10,20 -late 100,200 -rounds 1 -dir /tmp/growth")
	numbers(flags, &g.learners, "learners", "numbers of learners, each with 10 events")
	numbers(flags, &g.events, "events", "numbers of events that each of 1000 learners has")
	numbers(flags, &g.late, "late", "lengths of the logs that late events come to, after a MATERIAL version")
	flags.IntVar(&g.rounds, "rounds", 3, "measurements of each kind at each point; the median counts")
	flags.StringVar(&g.dir, "dir", "bin/growth", "folder of the data and of what is measured by now; only the latter stays")
	write := writeFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	g.write = *write
	if err := errors.Join(linuxOnly(), g.check()); err != nil {
		return err
	}
	return g.run(ctx)
}

// numbers is a flag of numbers with commas between.
func numbers(flags *flag.FlagSet, to *[]int, name, usage string) {
	flags.Func(name, fmt.Sprintf("%s (default %s)", usage, strings.Trim(strings.ReplaceAll(fmt.Sprint(*to), " ", ","), "[]")), func(text string) error {
		*to = nil
		for part := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(part)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is no number above 0", part)
			}
			*to = append(*to, n)
		}
		slices.Sort(*to)
		return nil
	})
}

// check refuses what is too much.
func (g *growth) check() error {
	const most = 10_000_000
	switch {
	case slices.Max(g.learners)*10 > most || slices.Max(g.events)*growthMeasured > most || slices.Max(g.late)*lateLearners > most:
		return errors.New("more than ten million log entries")
	case g.learners[0] < growthMeasured:
		return fmt.Errorf("want at least the %d learners who make requests", growthMeasured)
	}
	for i, n := range g.learners[1:] {
		if n%g.learners[i] != 0 {
			return errors.New("each number of learners must be a multiple of the one before, whose learners are copied")
		}
	}
	return nil
}

func (g *growth) run(ctx context.Context) error {
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return err
	}
	work, err := os.MkdirTemp(g.dir, "run")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if g.bin, err = buildProgram(ctx, work); err != nil {
		return err
	}
	at := begin()
	if err := g.load(); err != nil {
		return err
	}
	for _, axis := range []func(context.Context, string) error{g.alongLearners, g.alongEvents, g.alongLate} {
		if err := axis(ctx, work); err != nil {
			return err
		}
	}
	slices.SortStableFunc(g.points, func(a, b point) int { return cmp.Compare(a.At, b.At) }) // an interrupted run goes on anywhere
	text := at.text(ctx, fmt.Sprintf("one process on SQLite with synchronous=FULL, %d rounds; medians", g.rounds)) + g.text()
	if g.write {
		if err := g.draw("docs"); err != nil {
			return err
		}
	}
	return publish(g.write, performanceFile, "growth", text)
}

// pointsFile has what was measured, by the hash of the program.
type pointsFile struct {
	Program string  `json:"program"`
	Points  []point `json:"points"`
}

func (g *growth) file() string { return filepath.Join(g.dir, "points.json") }

// program is the hash of the program's bytes.
func (g *growth) program() (string, error) {
	text, err := os.ReadFile(g.bin)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// load reads what an earlier run of the same program measured.
func (g *growth) load() error {
	text, err := os.ReadFile(g.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	program, hashErr := g.program()
	var saved pointsFile
	if err = errors.Join(err, hashErr, json.Unmarshal(text, &saved)); err != nil {
		return err
	}
	if saved.Program == program {
		g.points = saved.Points
		say(fmt.Sprintf("%d points are measured already; remove %s to measure them again", len(g.points), g.file()))
	}
	return nil
}

// save adds a point.
func (g *growth) save(p point) error {
	g.points = append(g.points, p)
	program, err := g.program()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(pointsFile{program, g.points}, "", "  ")
	if err != nil {
		return err
	}
	say(fmt.Sprintf("%s %d: %v µs", p.Axis, p.At, p.Costs))
	return os.WriteFile(g.file(), text, 0o600)
}

// has reports whether a point is measured.
func (g *growth) has(axis string, at int) bool {
	return slices.ContainsFunc(g.points, func(p point) bool { return p.Axis == axis && p.At == at })
}

// missing reports whether any point of an axis is not measured.
func (g *growth) missing(axis string, all []int) bool {
	return slices.ContainsFunc(all, func(n int) bool { return !g.has(axis, n) })
}

// The costs of a point.
const (
	costWrite    = "write"
	costRead     = "read, changed since"
	costReadSame = "read, 304"
	costLate     = "late event"
	costLateAll  = "late event, all of one module"
)

// text is the tables and the bars.
func (g *growth) text() string {
	var w strings.Builder
	for _, axis := range axes() {
		fmt.Fprintf(&w, "| %s | %s |\n| ---: |%s\n", axis.name, strings.Join(axis.costs, " | "), strings.Repeat(" ---: |", len(axis.costs)))
		for _, p := range g.points {
			if p.Axis == axis.name {
				fmt.Fprintf(&w, "| %d |", p.At)
				for _, cost := range axis.costs {
					fmt.Fprintf(&w, " %.0f |", p.Costs[cost])
				}
				w.WriteString("\n")
			}
		}
		fmt.Fprintf(&w, "\n![Microseconds by %s](%s)\n\n", axis.name, axis.file)
	}
	return w.String() + barTable(g.bars())
}

// axis is one of the three, with what it costs and its picture.
type axis struct {
	name, title, file string
	costs             []string
}

func axes() []axis {
	return []axis{
		{axisLearners, "Processor time by learners", "growth-learners.svg", []string{costWrite, costRead, costReadSame}},
		{axisEvents, "Processor time by events of each learner", "growth-events.svg", []string{costWrite, costRead, costReadSame}},
		{axisLate, "Processor time after a MATERIAL version, by the log", "growth-late.svg", []string{costWrite, costLate, costLateAll}},
	}
}

// draw writes the pictures.
func (g *growth) draw(dir string) error {
	for _, axis := range axes() {
		p := plot{title: axis.title, x: axis.name, y: "µs a request", logarithmic: true}
		for _, cost := range axis.costs {
			line := series{name: cost}
			for _, at := range g.points {
				if at.Axis == axis.name {
					line.x, line.y = append(line.x, float64(at.At)), append(line.y, at.Costs[cost])
				}
			}
			p.lines = append(p.lines, line)
		}
		if err := p.write(filepath.Join(dir, axis.file)); err != nil {
			return err
		}
	}
	return nil
}

// bars are how flat the axes are: the greatest cost against the first.
func (g *growth) bars() []bar {
	var out []bar
	for _, axis := range axes()[:2] {
		for _, cost := range axis.costs {
			values := g.costs(axis.name, cost)
			out = append(out, bar{axis.name + ": " + cost + ", most / first", "×", slices.Max(values) / values[0], 1.2, true})
		}
	}
	for _, cost := range []string{costLate, costLateAll} {
		writes, late := g.costs(axisLate, costWrite), g.costs(axisLate, cost)
		out = append(out, bar{"longest log: " + cost + " / write", "×", late[len(late)-1] / writes[len(writes)-1], 3, true})
	}
	return out
}

// costs are those of an axis, in the order of its points.
func (g *growth) costs(axis, cost string) []float64 {
	var out []float64
	for _, p := range g.points {
		if p.Axis == axis {
			out = append(out, p.Costs[cost])
		}
	}
	return out
}
