package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// pairedOptions are the flags of paired.
type pairedOptions struct {
	connections, turns, learners int
	length                       time.Duration
	four                         bool
	asks                         string
	old, other                   string
}

// askNames are what paired calls the requests.
func askNames() map[string]string {
	return map[string]string{"write": askWrite, "batch": askMany, "read": askRead, "304": askReadSame, "list": askList, "list-304": askListSame}
}

// benchPaired compares two builds of the program: what a change gains.
func benchPaired(ctx context.Context, args []string) error {
	o := pairedOptions{}
	flags := newFlags("paired", `Compares the processor time a request of another build of the program with that of the one in this folder. Both run at once and
are asked in short turns, so that what else the machine does meets both alike: 2 % can be told apart where whole runs differ by 30 %.`,
		"paired -old /tmp/preceptor-before", "paired -old /tmp/preceptor-before -four -asks write,304 -turns 100")
	flags.StringVar(&o.old, "old", "", "the program to compare with, built from another commit")
	flags.StringVar(&o.other, "new", "", "the program to compare; empty for one that is built of this folder")
	flags.StringVar(&o.asks, "asks", "write,read", "what to ask: "+strings.Join(slices.Sorted(maps.Keys(askNames())), ", "))
	flags.BoolVar(&o.four, "four", false, "measure four processes with Postgres and Redis, instead of one")
	flags.IntVar(&o.connections, "connections", 32, "connections, each with one request at a time")
	flags.IntVar(&o.turns, "turns", 60, "turns")
	flags.IntVar(&o.learners, "learners", 1000, "learners")
	flags.DurationVar(&o.length, "for", time.Second/2, "length of a turn")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := linuxOnly(); err != nil {
		return err
	}
	if o.old == "" || o.learners < 2*readers || o.turns < 1 {
		return fmt.Errorf("it takes -old, at least %d learners and one turn", 2*readers)
	}
	dir, err := os.MkdirTemp("", "preceptor-load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.other == "" {
		if o.other, err = buildProgram(ctx, dir); err != nil {
			return err
		}
	}
	f := &field{dir: dir, ports: &scope{dir: dir}}
	defer f.stop()
	for i, bin := range []string{o.old, o.other} {
		if err := f.build(ctx, &o, []string{"old", "new"}[i], bin); err != nil {
			return err
		}
	}
	return f.compare(ctx, &o)
}

// build starts one build of the program.
func (f *field) build(ctx context.Context, o *pairedOptions, name, bin string) (err error) {
	dir := filepath.Join(f.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var s *server
	var processes []process
	if o.four {
		fleet, err := newFleet(ctx, dir, bin, shape{})
		if err != nil {
			return err
		}
		f.ends = append(f.ends, fleet.stop)
		s, processes = fleet.gateway, fleet.processes()
	} else {
		addresses, err := f.ports.addresses(1)
		if err != nil {
			return err
		}
		if s, err = f.keep(startAgain(ctx, addresses[0], bin, dataFolder(dir))); err != nil {
			return err
		}
		processes = []process{s.process("preceptor")}
	}
	c, err := newClass(ctx, s, dataFolder(dir), o.learners)
	if err != nil {
		return err
	}
	mine, err := ours(ctx, name, c, processes)
	f.all = append(f.all, mine)
	return err
}

// compare asks both in turns, and prints the medians and those of the ratios.
func (f *field) compare(ctx context.Context, o *pairedOptions) error {
	fmt.Println("| request | part | old | new | new / old | quartiles |\n| --- | --- | ---: | ---: | ---: | --- |")
	for name := range strings.SplitSeq(o.asks, ",") {
		ask, ok := askNames()[name]
		if !ok {
			return fmt.Errorf("-asks has %q, which is none of %s", name, strings.Join(slices.Sorted(maps.Keys(askNames())), ", "))
		}
		say(ask + " …")
		r := &results{field: f, closed: map[string]map[string][]figures{}, warmUp: o.length / 10}
		for range o.turns {
			if err := r.turn(ctx, ask, o.connections, r.closed, func(j *job) (tally, error) { return j.closed(ctx, o.length) }); err != nil {
				return err
			}
		}
		old, other := r.closed[ask]["old"], r.closed[ask]["new"]
		title := ask
		for _, part := range append([]string{""}, slices.Sorted(maps.Keys(old[0].cpu))...) {
			if part == "" || len(old[0].cpu) > 1 {
				fmt.Printf("| %s | %s | %s |\n", title, cmp.Or(part, "all"), pairedRow(old, other, part))
				title = ""
			}
		}
	}
	return nil
}

// pairedRow is the medians of the processor time a request of two builds, in microseconds, and of the turns' ratios
// with their quartiles: of one process, or of all for "".
func pairedRow(old, other []figures, part string) string {
	of := func(f *figures) float64 {
		if part == "" {
			return f.total()
		}
		return f.cpu[part]
	}
	var ratios []float64
	for i := range old {
		if before := of(&old[i]); before > 0 {
			ratios = append(ratios, of(&other[i])/before)
		}
	}
	slices.Sort(ratios)
	if len(ratios) == 0 {
		ratios = []float64{0}
	}
	return fmt.Sprintf("%.1f | %.1f | **%.3f** | %.3f, %.3f", medianOf(old, of), medianOf(other, of), median(ratios),
		ratios[len(ratios)/4], ratios[len(ratios)*3/4])
}
