package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// scaleOptions are the flags of the argument scale.
type scaleOptions struct {
	learners, neighbours, streams, connections, rounds int
	length                                             time.Duration
	postgres, parameters                               string
	simulate, write                                    bool
}

// benchScale measures what each kind of request costs each process and store, and reckons from it
// what a million and ten million daily learners need.
func benchScale(ctx context.Context, args []string) error {
	var o scaleOptions
	flags := newFlags("scale", `Measures what each kind of request costs each process and store, and what a million and ten million daily learners need.
Needs Debian's postgresql and redis-server.`,
		"scale", "scale -simulate", "scale -learners 1000 -neighbours 5 -rounds 1", "scale -postgres wal_compression=lz4,shared_buffers=2GB")
	flags.IntVar(&o.learners, "learners", 1800, "learners who are measured")
	flags.IntVar(&o.neighbours, "neighbours", 20, "learners more in the tables for each who is measured")
	flags.IntVar(&o.streams, "streams", 1000, "streams that are open at once")
	flags.IntVar(&o.connections, "connections", 8, "connections, each with one request at a time")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds; medians are printed")
	flags.DurationVar(&o.length, "for", 2*time.Second, "length of one round")
	flags.StringVar(&o.postgres, "postgres", "", "further settings of Postgres, as wal_compression=lz4,shared_buffers=2GB")
	flags.StringVar(&o.parameters, "parameters", "", "further parameters of the services' database urls, as default_query_exec_mode=cache_statement")
	flags.BoolVar(&o.simulate, "simulate", false, "only draw the day of the learners, and say what its peaks are")
	write := writeFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.write = *write
	if o.simulate {
		return publish(o.write, scaleFile, "days", dayTable())
	}
	if err := linuxOnly(); err != nil {
		return err
	}
	if o.learners/o.rounds < few || o.streams > o.learners {
		return fmt.Errorf("it takes at least %d learners for each round, and one for each stream", few)
	}
	return withFleet(ctx, "", shape{settings: strings.FieldsFunc(o.postgres, func(r rune) bool { return r == ',' }), parameters: o.parameters},
		func(f *fleet) error { return f.measure(ctx, o) })
}

// withFleet starts a fleet of the program, which is built unless it is named, and ends it after f.
func withFleet(ctx context.Context, bin string, with shape, f func(*fleet) error) error {
	dir, err := os.MkdirTemp("", "preceptor-load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if bin == "" {
		if bin, err = buildProgram(ctx, dir); err != nil {
			return err
		}
	}
	started, err := newFleet(ctx, dir, bin, with)
	if err != nil {
		return err
	}
	defer started.stop()
	return f(started)
}

// measure runs every work, and prints what it found.
func (f *fleet) measure(ctx context.Context, o scaleOptions) error {
	s, err := newSchool(ctx, f, o.learners, o.rounds)
	if err != nil {
		return err
	}
	m := &measured{figures: map[string]figure{}, at: begin(f.versions(ctx)...)}
	if m.idle, err = f.idle(ctx, 5*time.Second); err != nil {
		return err
	}
	for p := range parts {
		m.quiet[p] = f.memory(p, "VmRSS:")
	}
	if err := f.all(ctx, s.newcomers(), o, m); err != nil {
		return err
	}
	say("the learners' first 20 events …")
	begin := &work{name: "begin", events: 10, next: func(_, n int) request {
		if n >= 2*len(s.pupils) {
			return nil
		}
		return s.post(s.pupils[n%len(s.pupils)], 10)
	}}
	if _, err := f.repeat(ctx, begin, 0, 64, time.Hour); err != nil {
		return err
	}
	if err := s.neighbours(ctx, o.neighbours); err != nil {
		return err
	}
	if err := f.all(ctx, s.writing(), o, m); err != nil {
		return err
	}
	if m.rows, err = f.rows(ctx); err != nil {
		return err
	}
	if err := f.all(ctx, s.reading(), o, m); err != nil {
		return err
	}
	for p := range parts {
		m.busy[p], m.peak[p] = f.memory(p, "VmRSS:"), f.memory(p, "VmHWM:")
	}
	if err := s.watching(ctx, o, m); err != nil {
		return err
	}
	return m.publish(ctx, o)
}

// all measures works, one at a time.
func (f *fleet) all(ctx context.Context, works []*work, o scaleOptions, m *measured) error {
	for _, w := range works {
		var rounds []figure
		for r := range o.rounds {
			say(fmt.Sprintf("%s, round %d of %d …", w.name, r+1, o.rounds))
			one, err := f.round(ctx, w, r, o.connections, o.length, m.idle)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			rounds = append(rounds, one)
		}
		m.figures[w.name] = middle(rounds)
		m.order = append(m.order, w)
	}
	return nil
}

// idle is what the parts use in a second when there are no requests.
func (f *fleet) idle(ctx context.Context, length time.Duration) (spent, error) {
	say("nothing …")
	was, err := f.spent()
	if err != nil {
		return was, err
	}
	select {
	case <-time.After(length):
	case <-ctx.Done():
		return was, ctx.Err()
	}
	now, err := f.spent()
	used := now.since(was)
	for p := range used {
		used[p] = time.Duration(float64(used[p]) / length.Seconds())
	}
	return used, err
}

// rows are how many bytes a row of progress's takes with its share of the indexes, by table.
func (f *fleet) rows(ctx context.Context) (map[string]float64, error) {
	out := map[string]float64{}
	for _, table := range []string{"progress.learner_log", "progress.module_facts", "progress.learner_head", "progress.enrollment", "profile.learners"} {
		var bytes, n float64
		err := f.admin.QueryRowContext(ctx, `SELECT (SELECT coalesce(sum(pg_total_relation_size(relid)), pg_total_relation_size($1::regclass))::float8
			FROM pg_partition_tree($1::regclass) WHERE isleaf),
			(SELECT count(*)::float8 FROM `+table+`)`, table).Scan(&bytes, &n)
		if err != nil {
			return nil, err
		}
		out[table], out[table+" rows"] = bytes/n, n
	}
	return out, nil
}
