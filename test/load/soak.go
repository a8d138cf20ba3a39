package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// soakOptions are the flags of soak.
type soakOptions struct {
	length, rest time.Duration
	events       int
	write        bool
}

// benchSoak watches the memory of one process under full load, and times its start with many events.
func benchSoak(ctx context.Context, args []string) error {
	var o soakOptions
	flags := newFlags("soak", `Keeps one process busy with writes, reads, lists and batches on 32 connections, notes its memory, and again when it has
rested. Then it is started several times on its data, which is filled up to a number of events.`,
		"soak -write", "soak -for 30s -rest 10s -events 20000")
	flags.DurationVar(&o.length, "for", 20*time.Minute, "how long the load lasts")
	flags.DurationVar(&o.rest, "rest", time.Minute, "how long it rests afterwards")
	flags.IntVar(&o.events, "events", 1_000_000, "events that it is started with")
	write := writeFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.write = *write
	if err := linuxOnly(); err != nil {
		return err
	}
	dir, bin, remove, err := workFolder(ctx)
	if err != nil {
		return err
	}
	defer remove()
	ports := &scope{dir: dir}
	defer ports.end()
	addresses, err := ports.addresses(1)
	if err != nil {
		return err
	}
	at, s := begin(), &soak{options: o, address: addresses[0], bin: bin, data: dataFolder(dir)}
	if err := s.load(ctx); err != nil {
		return err
	}
	if err := s.starts(ctx); err != nil {
		return err
	}
	if o.write {
		if err := s.plot().write(filepath.Join("docs", "soak.svg")); err != nil {
			return err
		}
	}
	return publish(o.write, performanceFile, "soak", at.text(ctx, fmt.Sprintf("one process, 32 connections for %s", o.length))+s.text())
}

// soak is a run of benchSoak.
type soak struct {
	options            soakOptions
	address, bin, data string

	samples []sample
	// loaded are those under load, rested is the last one.
	loaded   []sample
	rested   sample
	requests tally
	// events are how many there were when it was started, and startups how long that took.
	events   int
	startups []time.Duration
}

// sample is the memory at a moment, in MB; files are the pages of files within.
type sample struct {
	at            time.Duration
	memory, files float64
}

// load makes the load and notes the memory.
func (s *soak) load(ctx context.Context) error {
	one, err := startAgain(ctx, s.address, s.bin, s.data)
	if err != nil {
		return err
	}
	defer one.stop()
	c, err := newClass(ctx, one, s.data, 1000)
	if err != nil {
		return err
	}
	mine, err := ours(ctx, oneProcess, c, nil)
	if err != nil {
		return err
	}
	stop, noted := make(chan struct{}), make(chan struct{})
	began := time.Now()
	go func() {
		defer close(noted)
		s.note(one, began, stop)
	}()
	j := &job{name: "soak", address: one.address, connections: 32, next: mine.mix}
	s.requests, err = j.closed(ctx, s.options.length)
	until := time.Since(began)
	if err == nil {
		say("resting …")
		err = rest(ctx, s.options.rest)
	}
	close(stop)
	<-noted
	if err != nil {
		return err
	}
	after := slices.IndexFunc(s.samples, func(x sample) bool { return x.at > until })
	if after < 4 {
		return errors.New("there are too few samples: use a longer -for")
	}
	s.loaded, s.rested = s.samples[:after], s.samples[len(s.samples)-1]
	return nil
}

func rest(ctx context.Context, length time.Duration) error {
	select {
	case <-time.After(length):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mix is the n-th request of a mixture: mostly events and progress.
func (c *contestant) mix(n int) request {
	kinds := []string{askWrite, askRead, askWrite, askReadSame, askWrite, askRead, askMany, askWrite, askRead, askList}
	return c.asks[kinds[n%len(kinds)]](n)
}

// note samples until it is stopped, and once more then.
func (s *soak) note(one *server, began time.Time, stop <-chan struct{}) {
	every := time.NewTicker(max(s.options.length/240, 200*time.Millisecond))
	defer every.Stop()
	for last := false; !last; {
		select {
		case <-every.C:
		case <-stop:
			last = true
		}
		pid := one.cmd.Process.Pid
		s.samples = append(s.samples, sample{time.Since(began), statusOf(pid, "VmRSS:"), statusOf(pid, "RssFile:")})
		if n := len(s.samples); n%12 == 0 {
			say(fmt.Sprintf("%s: %.0f MB", s.samples[n-1].at.Round(time.Second), s.samples[n-1].memory))
		}
	}
}

// starts fills the data up to the number of events, and starts the process on it.
func (s *soak) starts(ctx context.Context) error {
	var err error
	if s.events, err = countEvents(ctx, s.data); err != nil {
		return err
	}
	if missing := s.options.events - s.events; missing > 0 {
		if err := copyLearners(ctx, s.data, twins(missing/s.events+1)); err != nil {
			return err
		}
		if s.events, err = countEvents(ctx, s.data); err != nil {
			return err
		}
	}
	for range 5 {
		one, err := startOne(ctx, s.address, s.bin, s.data)
		if err != nil {
			return err
		}
		s.startups = append(s.startups, one.startup)
		one.stop()
	}
	return nil
}

// countEvents counts the log entries of a folder.
func countEvents(ctx context.Context, data string) (n int, err error) {
	db, err := openData(data)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return n, db.QueryRowContext(ctx, `SELECT count(*) FROM learner_log`).Scan(&n)
}

// plot draws the memory.
func (s *soak) plot() *plot {
	all, anonymous := series{name: "resident"}, series{name: "without files"}
	for _, x := range s.samples {
		all.x, all.y = append(all.x, x.at.Minutes()), append(all.y, x.memory)
		anonymous.x, anonymous.y = append(anonymous.x, x.at.Minutes()), append(anonymous.y, x.memory-x.files)
	}
	return &plot{title: "Memory under load, and at rest", x: "minutes", y: "MB", lines: []series{all, anonymous}}
}

// text is the table and the bars.
func (s *soak) text() string {
	memory := func(of []sample) float64 {
		var all []float64
		for _, x := range of {
			all = append(all, x.memory)
		}
		return median(all)
	}
	quarter := len(s.loaded) / 4
	early, late := memory(s.loaded[quarter:2*quarter]), memory(s.loaded[len(s.loaded)-quarter:])
	most := slices.MaxFunc(s.loaded, func(a, b sample) int { return int(1000 * (a.memory - b.memory)) })
	var w strings.Builder
	fmt.Fprintf(&w, "%d requests, %.0f a second: of ten, four single events, one batch of 50, three reads of a path's progress, one 304 and one list "+
		"of 50 modules.\n\n", s.requests.requests(), s.requests.perSecond())
	w.WriteString("| memory | | of files |\n| --- | ---: | ---: |\n")
	fmt.Fprintf(&w, "| second quarter, median | %.0f MB | |\n| last quarter, median | %.0f MB | |\n", early, late)
	fmt.Fprintf(&w, "| at most | %.0f MB | %.0f MB |\n", most.memory, most.files)
	fmt.Fprintf(&w, "| %s after the load | %.0f MB | %.0f MB |\n\n", s.options.rest, s.rested.memory, s.rested.files)
	w.WriteString("![Memory under load, and at rest](soak.svg)\n\n")
	fmt.Fprintf(&w, "With %d log entries in the folder it started in %s, median of %d.\n\n", s.events, ms(median(s.startups)), len(s.startups))
	return w.String() + barTable([]bar{
		{"memory under load, at most", "MB", most.memory, 160, true},
		{"growth from the second quarter to the last", "%", 100 * (late/early - 1), 10, true},
		{"memory a minute after the load", "MB", s.rested.memory, 80, true},
		{fmt.Sprintf("start with %s events", short(float64(s.options.events))), "ms", median(s.startups).Seconds() * 1000, 300, true},
	})
}
