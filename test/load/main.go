// Command load measures Preceptor over HTTP beside a bare handler that does the least possible
// for the same job, in the same run on the same machine, and prints a table in Markdown.
//
// The bare handler is net/http and SQLite alone: no token, no validation, no log, no milestones;
// a row inserted and committed for each event, a learner's rows read and added up into the same
// document for each question. It shows what the machine can do, and the ratio what Preceptor costs on top.
//
//	go run ./test/load                 # both jobs, three rounds of five seconds
//	go run ./test/load -rounds 1 -for 2s
//
// The argument rebuild measures how fast logs are replayed; see rebuild.go.
//
//	go run ./test/load rebuild -events 1000000
//
// The argument scale measures what requests cost each process and store; see scale.go.
//
//	go run ./test/load scale
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// options are the command's flags.
type options struct {
	connections int
	rounds      int
	length      time.Duration
	completions int
}

func main() {
	if len(os.Args) > 4 && os.Args[1] == "bare" {
		exit(serveBare(context.Background(), os.Args[2], os.Args[3], os.Args[4]))
	}
	if len(os.Args) > 1 && os.Args[1] == "rebuild" {
		exit(benchRebuild(context.Background(), os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "scale" {
		exit(benchScale(context.Background(), os.Args[2:]))
	}
	var o options
	flag.IntVar(&o.connections, "connections", 32, "connections, each with one request at a time")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; ours and the bare handler take turns, medians are printed")
	flag.DurationVar(&o.length, "for", 5*time.Second, "length of one measurement")
	flag.IntVar(&o.completions, "completions", 50, "completed units of the learner who is asked about")
	flag.Parse()
	exit(run(context.Background(), o))
}

func exit(err error) {
	if err != nil {
		say("load: " + err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

// say prints how far the run is, beside the table.
func say(text string) { fmt.Fprintln(os.Stderr, text) }

// job is one thing to measure: the requests of each connection, for ours and for the bare handler.
type job struct {
	name       string
	ours, bare func(connection int) request
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "preceptor-load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	say("building …")
	bin := filepath.Join(dir, "preceptor")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/preceptor").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	ports := &scope{dir: dir}
	defer ports.end()
	addresses, err := ports.addresses(2)
	if err != nil {
		return err
	}
	ours, err := startOurs(ctx, addresses[0], bin, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer ours.stop()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	pathFile, err := writeOutline(ctx, bin, ours, dir)
	if err != nil {
		return err
	}
	bare, err := startBare(ctx, addresses[1], self, filepath.Join(dir, "bare.db"), pathFile)
	if err != nil {
		return err
	}
	defer bare.stop()
	ours.quiesce()
	fmt.Printf("Start-up %d ms; idle memory %.0f MB (bare handler %.0f MB).\n\n", ours.startup.Milliseconds(), ours.memory(), bare.memory())

	jobs, err := prepare(ctx, bin, ours, bare, o)
	if err != nil {
		return err
	}
	fmt.Printf("%d connections, %d rounds of %s each, in turns; medians.\n\n", o.connections, o.rounds, o.length)
	fmt.Println("| job | | requests/s | p50 | p99 | memory |")
	fmt.Println("| --- | --- | ---: | ---: | ---: | ---: |")
	for _, j := range jobs {
		if err := measureJob(ctx, j, ours, bare, o); err != nil {
			return err
		}
	}
	return nil
}

// measureJob runs one job in turns on both, and prints its rows.
func measureJob(ctx context.Context, j job, ours, bare *server, o options) error {
	var a, b []figures
	for round := range o.rounds {
		say(fmt.Sprintf("%s, round %d of %d …", j.name, round+1, o.rounds))
		for _, side := range []struct {
			s    *server
			next func(int) request
			to   *[]figures
		}{{bare, j.bare, &b}, {ours, j.ours, &a}} {
			if _, err := measure(ctx, side.s, side.next, o.connections, time.Second); err != nil { // warm up
				return fmt.Errorf("%s: %w", j.name, err)
			}
			f, err := measure(ctx, side.s, side.next, o.connections, o.length)
			if err != nil {
				return fmt.Errorf("%s: %w", j.name, err)
			}
			*side.to = append(*side.to, f)
		}
	}
	row := func(name, who string, f []figures) {
		fmt.Printf("| %s | %s | %.0f | %s | %s | %.0f MB |\n", name, who, median(f, func(f figures) float64 { return f.perSecond }),
			ms(median(f, func(f figures) float64 { return f.p50.Seconds() })), ms(median(f, func(f figures) float64 { return f.p99.Seconds() })),
			median(f, func(f figures) float64 { return f.memory }))
	}
	row(j.name, "Preceptor", a)
	row("", "bare handler", b)
	var ratios []figures
	for i := range a {
		ratios = append(ratios, figures{perSecond: a[i].perSecond / b[i].perSecond})
	}
	fmt.Printf("| | ratio | **%.2f** | | | |\n", median(ratios, func(f figures) float64 { return f.perSecond }))
	return nil
}

func median(f []figures, of func(figures) float64) float64 {
	values := make([]float64, 0, len(f))
	for _, x := range f {
		values = append(values, of(x))
	}
	slices.SortFunc(values, cmp.Compare)
	return values[len(values)/2]
}

func ms(seconds float64) string { return fmt.Sprintf("%.2f ms", seconds*1000) }
