package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// replicaOptions are the flags of replicas.
type replicaOptions struct {
	replicas []int
	rounds   int
	length   time.Duration
}

// benchReplicas measures writes with several processes of progress.
func benchReplicas(ctx context.Context, args []string) error {
	o := replicaOptions{replicas: []int{1, 2, 4}}
	flags := newFlags("replicas", `Measures writes, and reads that follow them, with several processes of progress behind one gateway, which routes by learner, and
in turns with one that is built not to: requests/s, processor time by part, and how often progress found a learner in its
memory. Needs Debian's postgresql and redis-server.`,
		"replicas -write", "replicas -replicas 1,2 -rounds 1 -for 2s")
	numbers(flags, &o.replicas, "replicas", "numbers of processes")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds, in which all take turns; medians are printed")
	flags.DurationVar(&o.length, "for", 4*time.Second, "length of one measurement")
	write := writeFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := linuxOnly(); err != nil {
		return err
	}
	dir, bin, remove, err := workFolder(ctx)
	if err != nil {
		return err
	}
	defer remove()
	plain, err := buildWithoutRouting(ctx, dir)
	if err != nil {
		return err
	}
	at, all := begin(), []*replicated{}
	for _, n := range o.replicas {
		all = append(all, &replicated{replicas: n, how: "by learner", bin: bin})
		if n > 1 {
			all = append(all, &replicated{replicas: n, how: "by turns", bin: plain})
		}
	}
	for round := range o.rounds {
		for _, r := range all {
			say(fmt.Sprintf("round %d of %d: %d processes of progress, %s …", round+1, o.rounds, r.replicas, r.how))
			if err := withFleet(ctx, r.bin, shape{replicas: r.replicas}, func(f *fleet) error { return r.measure(ctx, f, o) }); err != nil {
				return err
			}
		}
	}
	about := fmt.Sprintf("32 connections, 1000 learners, %d rounds of %s; medians", o.rounds, o.length)
	return publish(*write, performanceFile, "replicas", at.text(ctx, about)+replicaTable(all))
}

// routingFile is where the gateway says which learner a call is about, and unrouted the same without an answer.
const (
	routingFile = "gateway/affinity.go"
	unrouted    = "package gateway\n\nimport \"context\"\n\n// LearnerOf names nobody.\nfunc LearnerOf(context.Context) string { return \"\" }\n"
)

// buildWithoutRouting builds the program as it would be without routing by learner, and returns its path.
func buildWithoutRouting(ctx context.Context, dir string) (string, error) {
	say("building without routing …")
	file, err := filepath.Abs(routingFile)
	if err != nil {
		return "", err
	}
	source, overlay, bin := filepath.Join(dir, "unrouted.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "unrouted")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {file: source}})
	if err = errors.Join(err, os.WriteFile(source, []byte(unrouted), 0o600), os.WriteFile(overlay, text, 0o600)); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", bin, "./cmd/preceptor").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
}

// replicated is what was measured with a number of processes.
type replicated struct {
	replicas int
	// how calls are routed, and the program that does it.
	how, bin string
	// writes and reads are the figures of the rounds, hits the shares of look-ups that found a learner; none if progress does
	// not count them.
	writes, reads []figures
	hits          []float64
}

// measure has each learner send events, and read after each.
func (r *replicated) measure(ctx context.Context, f *fleet, o replicaOptions) error {
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
		got, err := mine.measure(ctx, j, time.Second/2, func(j *job) (tally, error) { return j.closed(ctx, o.length) })
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

// learnerLookups is a line of the metric that counts them.
var learnerLookups = regexp.MustCompile(`(?m)^preceptor_\w*learner\w*_total\{[^}]*result="(hit|miss)"[^}]*\} (\S+)$`)

func (f *fleet) lookups(ctx context.Context) (lookups, error) {
	var out lookups
	for _, address := range f.metrics[atProgress] {
		text, err := call(ctx, &server{address: address}, http.MethodGet, "/metrics", "", "")
		if err != nil {
			return out, err
		}
		if err := out.add(string(text)); err != nil {
			return out, err
		}
	}
	return out, nil
}

// add adds what a process's metrics have.
func (l *lookups) add(metrics string) error {
	for _, m := range learnerLookups.FindAllStringSubmatch(metrics, -1) {
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return err
		}
		if m[1] == "hit" {
			l.hits += n
		} else {
			l.misses += n
		}
	}
	return nil
}

// replicaTable is what was measured, a row for each number of processes.
func replicaTable(all []*replicated) string {
	var w strings.Builder
	w.WriteString("| processes of progress | calls go | writes/s | µs a write | of them | reads/s | µs a read | learners found in memory |\n")
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
