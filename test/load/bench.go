package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// benchOptions are the flags of bench.
type benchOptions struct {
	connections, rounds, learners int
	length                        time.Duration
	alone, peers, write           bool
}

// bench measures one process and four beside what else would do the same.
func bench(ctx context.Context, args []string) error {
	var o benchOptions
	flags := newFlags("bench", `Measures Preceptor in one process and as four, in turns with a bare handler, a bare pair REST → gRPC → Postgres and,
if asked for, PocketBase. Needs Debian's postgresql and redis-server.`,
		"bench", "bench -peers -write", "bench -alone -rounds 1 -for 2s")
	flags.IntVar(&o.connections, "connections", 32, "connections, each with one request at a time")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds, in which all take turns; medians are printed")
	flags.IntVar(&o.learners, "learners", 1000, "learners")
	flags.DurationVar(&o.length, "for", 4*time.Second, "length of one measurement")
	flags.BoolVar(&o.alone, "alone", false, "only what needs no Postgres and no Redis")
	flags.BoolVar(&o.peers, "peers", false, "measure PocketBase too, which is built from its Go module")
	write := writeFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.write = *write
	if err := linuxOnly(); err != nil {
		return err
	}
	if o.learners < 2*readers || o.rounds < 1 {
		return fmt.Errorf("it takes at least %d learners and one round", 2*readers)
	}
	dir, err := os.MkdirTemp("", "preceptor-load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	at := begin()
	f := &field{dir: dir, self: self, ports: &scope{dir: dir}}
	defer f.stop()
	if err := f.start(ctx, o); err != nil {
		return err
	}
	r := &results{closed: map[string]map[string][]figures{}, open: map[string]map[string][]figures{}, field: f, warmUp: time.Second / 2}
	if err := r.measure(ctx, o); err != nil {
		return err
	}
	at.others = f.versions
	text := at.text(ctx, fmt.Sprintf("%d connections, %d learners, %d rounds of %s, in turns; medians", o.connections, o.learners, o.rounds, o.length))
	return publish(o.write, performanceFile, "bench", text+r.text())
}

// linuxOnly is an error where /proc has no processor times.
func linuxOnly() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("processor times come from /proc, which %s does not have", runtime.GOOS)
	}
	return nil
}

// start starts every contestant.
func (f *field) start(ctx context.Context, o benchOptions) (err error) {
	if f.bin, err = buildProgram(ctx, f.dir); err != nil {
		return err
	}
	c, err := f.single(ctx, o.learners)
	if err == nil && !o.alone {
		err = f.distributed(ctx, o.learners)
	}
	if err == nil && o.peers {
		err = f.peer(ctx, c)
	}
	return err
}

// figures are what one measurement gives.
type figures struct {
	perSecond float64
	p50, p99  time.Duration
	// memory is that of the contestant's processes afterwards, in MB.
	memory float64
	// cpu is processor time a request by process, in microseconds.
	cpu map[string]float64
}

func (f *figures) total() float64 {
	sum := 0.0
	for _, c := range f.cpu {
		sum += c
	}
	return sum
}

// results are the figures of all rounds, by what was asked and of whom.
type results struct {
	closed, open map[string]map[string][]figures
	field        *field
	// warmUp is how long a contestant is asked before each measurement.
	warmUp time.Duration
}

// order is the order of the tables.
func order() []string {
	return []string{askWrite, askMany, askRead, askReadSame, askList, askListSame}
}

// measure has all take turns: first with all connections busy, then at half the rate that each reached.
func (r *results) measure(ctx context.Context, o benchOptions) error {
	for round := range o.rounds {
		for _, ask := range order() {
			say(fmt.Sprintf("round %d of %d: %s …", round+1, o.rounds, ask))
			err := r.turn(ctx, ask, o.connections, r.closed, func(j *job) (tally, error) { return j.closed(ctx, o.length) })
			if err != nil {
				return err
			}
		}
	}
	for round := range o.rounds {
		for _, ask := range []string{askWrite, askRead} {
			say(fmt.Sprintf("round %d of %d at half the rate: %s …", round+1, o.rounds, ask))
			err := r.turn(ctx, ask, 4*o.connections, r.open, func(j *job) (tally, error) {
				return j.open(ctx, r.median(ask, j.name, perSecond)/2, o.length)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// turn measures each contestant once.
func (r *results) turn(ctx context.Context, ask string, connections int, to map[string]map[string][]figures, run func(*job) (tally, error)) error {
	if to[ask] == nil {
		to[ask] = map[string][]figures{}
	}
	for _, c := range r.field.all {
		if c.asks[ask] == nil {
			continue
		}
		var other atomic.Int64 // answers that are no 304
		j := &job{name: c.name, address: c.address, connections: connections, next: c.asks[ask], received: func(_ int, a answer) {
			if a.status != http.StatusNotModified {
				other.Add(1)
			}
		}}
		one, err := c.measure(ctx, j, r.warmUp, run)
		if err == nil && other.Load() > 0 && slices.Contains(c.same, ask) {
			err = fmt.Errorf("%s: %d answers were no 304", c.name, other.Load())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", ask, err)
		}
		if ask == askMany { // counted by events
			one.perSecond *= many
			for name := range one.cpu {
				one.cpu[name] /= many
			}
		}
		to[ask][c.name] = append(to[ask][c.name], one)
	}
	return nil
}

// measure runs a job on a contestant after a time that does not count.
func (c *contestant) measure(ctx context.Context, j *job, warmUp time.Duration, run func(*job) (tally, error)) (figures, error) {
	if _, err := j.closed(ctx, warmUp); err != nil {
		return figures{}, err
	}
	was, err := usage(c.processes)
	if err != nil {
		return figures{}, err
	}
	t, err := run(j)
	if err != nil {
		return figures{}, err
	}
	now, err := usage(c.processes)
	if err != nil {
		return figures{}, err
	}
	cpu := map[string]float64{}
	for name := range now {
		cpu[name] = float64((now[name] - was[name]).Microseconds()) / float64(t.requests())
	}
	return figures{t.perSecond(), t.share(0.5), t.share(0.99), memory(c.processes), cpu}, nil
}

// What a median is taken of.
func perSecond(f *figures) float64 { return f.perSecond }
func processor(f *figures) float64 { return f.total() }

// medianOf is the median of the rounds.
func medianOf(rounds []figures, of func(*figures) float64) float64 {
	values := make([]float64, 0, len(rounds))
	for i := range rounds {
		values = append(values, of(&rounds[i]))
	}
	return median(values)
}

func (r *results) median(ask, who string, of func(*figures) float64) float64 {
	return medianOf(r.closed[ask][who], of)
}

// ratio is how many times as much of something one contestant has as another: the median of the rounds' ratios.
// It is 0 if either was not measured.
func (r *results) ratio(ask, who, asksOther, other string, of func(*figures) float64) float64 {
	mine, its := r.closed[ask][who], r.closed[asksOther][other]
	var all []float64
	for i := range min(len(mine), len(its)) {
		all = append(all, of(&mine[i])/of(&its[i]))
	}
	return median(all)
}

// measured reports whether a contestant took part.
func (r *results) measured(who string) bool { return len(r.closed[askWrite][who]) > 0 }

// text is all tables.
func (r *results) text() string {
	var w strings.Builder
	fmt.Fprintf(&w, "One process started in %d ms on an existing folder, and used %.0f MB before the first request.\n\n",
		r.field.startup.Milliseconds(), r.field.idle)
	w.WriteString("| request | | requests/s | p50 | p99 | memory | µs | of them |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n")
	for _, ask := range order() {
		title := ask
		for _, c := range r.field.all {
			if f := r.closed[ask][c.name]; len(f) > 0 {
				w.WriteString(row(title, c, f))
				title = ""
			}
		}
	}
	w.WriteString("\nµs is processor time a request, of all processes and stores together. " +
		"Memory is the resident set of all processes afterwards, Postgres' aside.\n\n")
	r.ratios(&w)
	w.WriteString("\nAt half of the rate that each reached above, which is kept to whether answers come or not. Times are counted from when each request " +
		"should have begun.\n\n")
	w.WriteString("| request | | requests/s | p50 | p99 |\n| --- | --- | ---: | ---: | ---: |\n")
	for _, ask := range []string{askWrite, askRead} {
		for _, c := range r.field.all {
			f := r.open[ask][c.name]
			if len(f) > 0 {
				fmt.Fprintf(&w, "| %s | %s | %.0f | %s | %s |\n", ask, c.name, medianOf(f, perSecond), msOf(f, 0.5), msOf(f, 0.99))
			}
		}
	}
	w.WriteString("\n" + barTable(r.bars()))
	return w.String()
}

func msOf(f []figures, share float64) string {
	return ms(time.Duration(medianOf(f, func(f *figures) float64 {
		if share == 0.5 {
			return float64(f.p50)
		}
		return float64(f.p99)
	})))
}

func row(title string, c *contestant, f []figures) string {
	return fmt.Sprintf("| %s | %s | %.0f | %s | %s | %.0f MB | **%.0f** | %s |\n", title, c.name, medianOf(f, perSecond), msOf(f, 0.5), msOf(f, 0.99),
		medianOf(f, func(f *figures) float64 { return f.memory }), medianOf(f, processor), shares(f))
}

// shares is what each process takes of a request, where there are several.
func shares(f []figures) string {
	names := slices.Sorted(maps.Keys(f[0].cpu))
	if len(names) == 1 {
		return ""
	}
	var parts []string
	for _, name := range names {
		if used := medianOf(f, func(f *figures) float64 { return f.cpu[name] }); used >= 0.5 {
			parts = append(parts, fmt.Sprintf("%s %.0f", name, used))
		}
	}
	return strings.Join(parts, ", ")
}

// ratios is the table of who is how many times as fast, and takes what share of the other's processor time.
func (r *results) ratios(w *strings.Builder) {
	w.WriteString("| | | requests/s | processor time |\n| --- | --- | ---: | ---: |\n")
	for _, two := range [][2]string{{oneProcess, bareHandlers}, {oneProcess, pocketBase}, {fourProcesses, barePair}} {
		for _, ask := range []string{askWrite, askMany, askRead} {
			if len(r.closed[ask][two[0]]) > 0 && len(r.closed[ask][two[1]]) > 0 {
				fmt.Fprintf(w, "| %s / %s | %s | **%.2f** | %.2f |\n", two[0], two[1], ask, r.ratio(ask, two[0], ask, two[1], perSecond),
					r.ratio(ask, two[0], ask, two[1], processor))
			}
		}
	}
}
