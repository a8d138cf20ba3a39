// Command attack starts Preceptor in its production limits, attacks it, and reports what happened.
//
// Each attack has a program of its own, on a folder of its own and on loopback: the command dials
// nothing else. Beside each one, honest clients record events, read progress and change a draft. An
// attack fails when it is admitted somewhere, when a response is 5xx that should not be, when the
// program ends or exceeds its memory, when an honest client is not answered, when an event that was
// acknowledged is not in its log, and when the chain of the audit is broken. How long anything takes is
// reported, and is no reason to fail.
//
//	go run ./test/attack                          # everything, in some minutes
//	go run ./test/attack -dose short              # a minute of it
//	go run ./test/attack -attacks tokens,bodies -seed 7
//
// Linux alone has what it reads: the memory and the sockets of a process in /proc, and namespaces with
// a small disk. The table that it prints, in Markdown, is docs/security.md's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// options are the command's flags.
type options struct {
	attacks []string
	short   bool
	seed    uint64
	binary  string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "attack: "+err.Error())
		os.Exit(1)
	}
}

// parse reads the flags. Without a seed the attacks are others in every run; the seed is printed.
func parse(args []string, help io.Writer) (options, error) {
	var o options
	var names, size string
	flags := flag.NewFlagSet("attack", flag.ContinueOnError)
	flags.SetOutput(help)
	flags.StringVar(&names, "attacks", "", "names with commas between; all of them when not given: "+strings.Join(attackNames(), ","))
	flags.StringVar(&size, "dose", "whole", "whole, or short: a minute in all")
	flags.Uint64Var(&o.seed, "seed", uint64(testenv.Now().UnixNano()), "what the random parts begin with")
	flags.StringVar(&o.binary, "binary", "", "the program; built when not given")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if size != "whole" && size != "short" || flags.NArg() > 0 {
		return o, fmt.Errorf("-dose is whole or short, and nothing comes after the flags: %q %q", size, flags.Args())
	}
	o.short = size == "short"
	for name := range strings.SplitSeq(names, ",") {
		switch {
		case name == "":
		case !slices.Contains(attackNames(), name):
			return o, fmt.Errorf("unknown attack %q (want %s)", name, strings.Join(attackNames(), ", "))
		default:
			o.attacks = append(o.attacks, name)
		}
	}
	return o, nil
}

// command runs the attacks, and prints their table. An error is what makes the exit code 1.
func command(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	raiseOpenFiles()
	dir, err := os.MkdirTemp("", "preceptor-attack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	programs, err := build(ctx, o, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "seed %d\n", o.seed)
	var rows []*row
	var later sync.WaitGroup
	for i, a := range attacks() {
		if len(o.attacks) > 0 && !slices.Contains(o.attacks, a.name) || ctx.Err() != nil {
			continue
		}
		own := filepath.Join(dir, a.name)
		if err := os.Mkdir(own, 0o700); err != nil {
			return err
		}
		w := newWorld(a, o, programs, own, uint64(i))
		w.attack(ctx)
		fmt.Fprintf(progress, "%s\n", w.line())
		rows = append(rows, &w.row)
		later.Go(func() { w.finish(ctx, restOf(o)) })
	}
	later.Wait()
	return printed(out, rows, o)
}

// restOf is how long a program is left alone before its memory is read once more.
func restOf(o options) time.Duration {
	if o.short {
		return 0
	}
	return time.Minute
}

// programs are the binaries that are attacked.
type programs struct {
	// preceptor is the program as it is shipped, jumping the one whose clock can be moved while it runs.
	preceptor, jumping string
}

// build makes the binaries, as `make build` does.
func build(ctx context.Context, o options, dir string) (programs, error) {
	p := programs{preceptor: o.binary, jumping: filepath.Join(dir, "jumpingclock")}
	made := map[string]string{p.jumping: "./test/attack/jumpingclock"}
	if p.preceptor == "" {
		p.preceptor = filepath.Join(dir, "preceptor")
		made[p.preceptor] = "./cmd/preceptor"
	}
	if len(o.attacks) > 0 && !slices.Contains(o.attacks, "clock") {
		delete(made, p.jumping)
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return p, fmt.Errorf("this is run in the repository: %w", err)
	}
	for file, pkg := range made {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", file, pkg)
		cmd.Dir = strings.TrimSpace(string(root))
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
		}
	}
	return p, nil
}

// printed writes the table, and every fault below it. An error says how many attacks failed.
func printed(out io.Writer, rows []*row, o options) error {
	fmt.Fprintf(out, "%s\n", header)
	failed := 0
	for _, r := range rows {
		fmt.Fprintln(out, r)
		if r.failed() {
			failed++
		}
	}
	fmt.Fprintf(out, "\nSeed %d.\n", o.seed)
	for _, r := range rows {
		for _, fault := range r.faults() {
			fmt.Fprintf(out, "- %s: %s\n", r.name, fault)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d attacks found faults; again with -seed %d", failed, len(rows), o.seed)
	}
	if len(rows) == 0 {
		return errors.New("interrupted before the first attack")
	}
	return nil
}
