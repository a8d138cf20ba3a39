// Command load measures Preceptor over HTTP, beside what else would do the same job, in the same run on the same
// machine, and writes what it finds as Markdown: to standard output, and into docs/performance.md when that is named.
//
//	go run ./test/load bench          # one process and four, beside bare handlers and PocketBase
//	go run ./test/load scale          # what each request costs each process and store, and what a day takes
//	go run ./test/load growth         # processor time as the data grows
//	go run ./test/load watchers       # many streams on one gateway
//	go run ./test/load soak           # memory over a long time, and starting with a million events
//	go run ./test/load replicas       # several processes of progress
//	go run ./test/load rebuild        # how fast logs are replayed
//	go run ./test/load paired         # what a change gains: two builds in turns
//
// Each has -h. How far a run is goes to standard error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// command is what the first argument names.
type command struct {
	name string
	run  func(ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"bench", bench},
		{"scale", benchScale},
		{"growth", benchGrowth},
		{"watchers", benchWatchers},
		{"soak", benchSoak},
		{"replicas", benchReplicas},
		{"rebuild", benchRebuild},
		{"paired", benchPaired},
		{"bare", runBare},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		say("load: " + err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	all := commands()
	if len(args) > 0 {
		if i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] }); i >= 0 {
			return all[i].run(ctx, args[1:])
		}
	}
	return errors.New("want one of bench, scale, growth, watchers, soak, replicas, rebuild and paired; each has -h")
}

// say prints how far the run is, beside the tables.
func say(text string) { fmt.Fprintln(os.Stderr, text) }

// newFlags returns the flags of a command, whose -h prints what it measures, and examples.
func newFlags(name, about string, examples ...string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.Usage = func() {
		w := flags.Output()
		fmt.Fprintf(w, "%s\n\nExamples:\n\n", about)
		for _, e := range examples {
			fmt.Fprintf(w, "  go run ./test/load %s\n", e)
		}
		fmt.Fprint(w, "\nFlags:\n\n")
		flags.PrintDefaults()
	}
	return flags
}

// runBare serves one of the bare handlers: the processes that bench starts of this very program.
func runBare(ctx context.Context, args []string) error {
	switch {
	case len(args) == 4 && args[0] == "sqlite":
		return serveBare(ctx, args[1], args[2], args[3])
	case len(args) == 6 && args[0] == "gateway":
		return serveBareGateway(args[1], args[2], keyFiles{args[3], args[4], args[5]})
	case len(args) == 7 && args[0] == "service":
		return serveBareService(ctx, args[1], args[2], args[3], keyFiles{args[4], args[5], args[6]})
	default:
		return errors.New("bare is started by bench alone")
	}
}
