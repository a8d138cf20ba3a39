package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// replicaOptions are the flags of replicas.
type replicaOptions struct {
	replicas []int
	rounds   int
	length   time.Duration
	plain    string
}

// benchReplicas measures writes with several processes of progress.
func benchReplicas(ctx context.Context, args []string) error {
	o := replicaOptions{replicas: []int{1, 2, 4}}
	flags := newFlags("replicas", `Measures writes and reads that follow them with several processes of progress behind one gateway: requests/s, processor time
by part, and how often progress found a learner in its memory. Needs Debian's postgresql and redis-server.`,
		"replicas -write", "replicas -replicas 1,2 -rounds 1 -for 2s")
	numbers(flags, &o.replicas, "replicas", "numbers of processes")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds, in which all take turns; medians are printed")
	flags.DurationVar(&o.length, "for", 4*time.Second, "length of one measurement")
	flags.StringVar(&o.plain, "plain", "", "arguments by which the gateway does not route by learner; measured beside, unless empty")
	write := writeFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := linuxOnly(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "preceptor-load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := buildProgram(ctx, dir)
	if err != nil {
		return err
	}
	at, all := begin(), []*replicated{}
	for _, n := range o.replicas {
		all = append(all, &replicated{replicas: n, how: "as it is"})
		if o.plain != "" {
			all = append(all, &replicated{replicas: n, how: "without routing", gateway: strings.Fields(o.plain)})
		}
	}
	for round := range o.rounds {
		for _, r := range all {
			say(fmt.Sprintf("round %d of %d: %d processes of progress, %s …", round+1, o.rounds, r.replicas, r.how))
			if err := withFleet(ctx, bin, shape{replicas: r.replicas}, func(f *fleet) error { return r.measure(ctx, f, o) }); err != nil {
				return err
			}
		}
	}
	about := fmt.Sprintf("32 connections, 1000 learners, %d rounds of %s; medians", o.rounds, o.length)
	return publish(*write, performanceFile, "replicas", at.text(ctx, about)+replicaTable(all))
}

// replicated is what was measured with a number of processes.
type replicated struct {
	replicas int
	how      string
	// gateway are further arguments of the gateway.
	gateway []string
	// writes and reads are the figures of the rounds, hits the shares of look-ups that found a learner; none if progress does
	// not count them.
	writes, reads []figures
	hits          []float64
}

// measure has each learner send events, and read after each.
func (r *replicated) measure(ctx context.Context, f *fleet, o replicaOptions) error {
	if len(r.gateway) > 0 {
		if err := f.renew(ctx, r.gateway...); err != nil {
			return err
		}
	}
	c, err := newClass(ctx, f.gateway, dataFolder(f.dir), 1000)
	if err != nil {
		return err
	}
	mine, err := ours(ctx, "progress", c, f.processes())
	if err != nil {
		return err
	}
	before, err := f.lookups(ctx)
	if err != nil {
		return err
	}
	for _, one := range []struct {
		name string
		ask  func(n int) request
		to   *[]figures
	}{
		{"writes", mine.asks[askWrite], &r.writes},
		{"reads after writes", func(n int) request {
			p := c.pupils[n%len(c.pupils)]
			return deviceRequest(http.MethodGet, pathProgress, p.token, "")
		}, &r.reads},
	} {
		j := &job{name: one.name, address: f.gateway.address, connections: 32, next: one.ask}
		got, err := mine.measure(ctx, j, func(j *job) (tally, error) { return j.closed(ctx, o.length) })
		if err != nil {
			return err
		}
		*one.to = append(*one.to, got)
	}
	after, err := f.lookups(ctx)
	if err != nil {
		return err
	}
	if all := after.hits + after.misses - before.hits - before.misses; all > 0 {
		r.hits = append(r.hits, (after.hits-before.hits)/all)
	}
	return nil
}

// lookups are how often progress looked for a learner in its memory, over all of its processes.
type lookups struct{ hits, misses float64 }

// learnerLookups is the metric that counts them, by the label result; a program may lack it.
const learnerLookups = "preceptor_learner_memory_requests_total"

func (f *fleet) lookups(ctx context.Context) (lookups, error) {
	var out lookups
	for _, address := range f.metrics[atProgress] {
		text, err := call(ctx, &server{address: address}, http.MethodGet, "/metrics", "", "")
		if err != nil {
			return out, err
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			rest, ok := strings.CutPrefix(lines.Text(), learnerLookups+"{")
			labels, value, found := strings.Cut(rest, "} ")
			if !ok || !found {
				continue
			}
			n, err := strconv.ParseFloat(value, 64)
			switch {
			case err != nil:
				return out, errors.Join(err, errors.New(lines.Text()))
			case strings.Contains(labels, `"hit"`):
				out.hits += n
			default:
				out.misses += n
			}
		}
	}
	return out, nil
}

// replicaTable is what was measured, a row for each number of processes.
func replicaTable(all []*replicated) string {
	var w strings.Builder
	w.WriteString("| processes of progress | | writes/s | µs a write | of them | reads/s | µs a read | learners found in memory |\n")
	w.WriteString("| ---: | --- | ---: | ---: | --- | ---: | ---: | ---: |\n")
	for _, r := range all {
		hits := "not counted"
		if len(r.hits) > 0 {
			hits = fmt.Sprintf("%.1f %%", 100*median(r.hits))
		}
		fmt.Fprintf(&w, "| %d | %s | %.0f | **%.0f** | %s | %.0f | %.0f | %s |\n", r.replicas, r.how, medianOf(r.writes, perSecond), medianOf(r.writes, processor),
			shares(r.writes), medianOf(r.reads, perSecond), medianOf(r.reads, processor), hits)
	}
	return w.String()
}
