package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// watchOptions are the flags of watchers.
type watchOptions struct {
	// each is how many events a post has.
	watchers, each int
	rate           float64
	length         time.Duration
}

// watchersMemory is the gateway's container in MiB: deploy/k8s's takes 8,800 streams.
const watchersMemory = 512

// benchWatchers holds streams open at one gateway, and measures how long an event takes to its learner's stream.
func benchWatchers(ctx context.Context, args []string) error {
	var o watchOptions
	flags := newFlags("watchers", `Opens streams of server-sent events at one gateway of four processes, each a learner's, posts events at a constant rate, and
measures memory and the time from each post to its arrival at the stream. Needs Debian's postgresql and redis-server.`,
		"watchers -write", "watchers -each 10", "watchers -watchers 500 -rate 200 -for 5s")
	flags.IntVar(&o.watchers, "watchers", 10_000, "streams")
	flags.Float64Var(&o.rate, "rate", 1000, "events a second")
	flags.IntVar(&o.each, "each", 1, "events in each post")
	flags.DurationVar(&o.length, "for", 20*time.Second, "how long events are posted")
	write := writeFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := errors.Join(linuxOnly(), raiseFiles(o.watchers)); err != nil {
		return err
	}
	return withFleet(ctx, "", shape{gatewayMemory: watchersMemory}, func(f *fleet) error {
		at := begin(f.versions(ctx)...)
		w, err := f.watch(ctx, o)
		if err != nil {
			return err
		}
		about := fmt.Sprintf("%d streams, %.0f events a second for %s, %d in each post", o.watchers, o.rate, o.length, o.each)
		return publish(*write, performanceFile, "watchers", at.text(ctx, about)+w.text(o))
	})
}

// raiseFiles allows as many open files as the streams take, here and in the processes that are started.
func raiseFiles(streams int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	want := uint64(streams + 2000)
	if limit.Cur >= want {
		return nil
	}
	raised := syscall.Rlimit{Cur: want, Max: max(limit.Max, want)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		return fmt.Errorf("%d streams take %d open files, and %d are allowed (ulimit -Hn): %w", streams, want, limit.Max, err)
	}
	return nil
}

// watched is what was measured.
type watched struct {
	// before and open are the gateway's memory without streams and with them, progress the same of the service behind it, in MB.
	before, open, progress [2]float64
	// rates, and how many events were posted and arrived.
	perSecond       float64
	posted, arrived int
	// took is from when each should have been posted to its arrival, sorted.
	took []time.Duration
}

// watch opens the streams and posts.
func (f *fleet) watch(ctx context.Context, o watchOptions) (*watched, error) {
	c, err := newClass(ctx, f.gateway, dataFolder(f.dir), o.watchers)
	if err != nil {
		return nil, err
	}
	if err := c.each(ctx, fmt.Sprintf("the first event of %d learners", o.watchers), c.pupils, func(p *pupil) request { return c.post(p, 1) }); err != nil {
		return nil, err
	}
	if err := f.renew(ctx, "--max-streams", fmt.Sprint(2*o.watchers)); err != nil {
		return nil, err
	}
	c.server = f.gateway
	out, calls := new(watched), &callbook{at: map[string]time.Time{}}
	out.before[0], out.progress[0] = f.megabytes(atGateway), f.megabytes(atProgress)
	crowd := &listeners{address: f.gateway.address, heard: calls.hear}
	defer crowd.close()
	c.openAll(ctx, crowd)
	time.Sleep(3 * time.Second)
	if err := crowd.failure(); err != nil {
		return nil, err
	}
	out.open[0] = f.megabytes(atGateway)
	say("posting …")
	t, err := calls.job(c, o.each).open(ctx, o.rate/float64(o.each), o.length)
	if err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second)
	out.open[1], out.progress[1] = f.megabytes(atGateway), f.megabytes(atProgress)
	out.before[1] = f.memory(atGateway, "VmHWM:") / (1 << 20)
	out.perSecond, out.posted = float64(o.each)*t.perSecond(), o.each*t.requests()
	out.took = calls.sorted()
	out.arrived = len(out.took)
	return out, crowd.failure()
}

func (f *fleet) megabytes(p part) float64 { return f.memory(p, "VmRSS:") / (1 << 20) }

// openAll opens a stream of each learner.
func (c *class) openAll(ctx context.Context, crowd *listeners) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for n := int(next.Add(1) - 1); n < len(c.pupils) && ctx.Err() == nil; n = int(next.Add(1) - 1) {
				if n%1000 == 0 {
					say(fmt.Sprintf("%d of %d streams …", n, len(c.pupils)))
				}
				crowd.open(ctx, deviceRequest(http.MethodGet, homeProgress+":watch", c.pupils[n].token, "", "Accept", "text/event-stream"))
			}
		})
	}
	all.Wait()
}

// callbook notes when events should have been posted, and when they arrive.
type callbook struct {
	mu   sync.Mutex
	at   map[string]time.Time // by event; of those that have not arrived
	took []time.Duration
	// starts are the moments of requests, by number.
	starts sync.Map
}

// job posts events of each learner in turn.
func (b *callbook) job(c *class, each int) *job {
	return &job{
		name: "post", address: c.server.address, connections: 64,
		begun: func(n int, at time.Time) { b.starts.Store(n, at) },
		next: func(n int) request {
			p := c.pupils[n%len(c.pupils)]
			at, _ := b.starts.LoadAndDelete(n)
			start, _ := at.(time.Time)
			events := make([]string, each)
			for i := range events {
				id := uuid.NewString()
				b.mu.Lock()
				b.at[id] = start
				b.mu.Unlock()
				events[i] = event(id, c.targets[int(p.sent.Add(1))%len(c.targets)], `"COMPLETED"`, time.Now())
			}
			return deviceRequest(http.MethodPost, sendEvents, p.token, `{"events":[`+strings.Join(events, ",")+`]}`)
		},
	}
}

// hear reads a line of a stream.
func (b *callbook) hear(line []byte) {
	_, rest, ok := bytes.Cut(line, []byte(`"eventId":"`))
	if !ok || len(rest) < len(uuid.Nil.String()) {
		return
	}
	now, id := time.Now(), string(rest[:len(uuid.Nil.String())])
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.at[id]; ok {
		delete(b.at, id)
		b.took = append(b.took, now.Sub(at))
	}
}

func (b *callbook) sorted() []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(slices.Values(b.took))
}

// text is the table and the bars.
func (w *watched) text(o watchOptions) string {
	var b strings.Builder
	t := tally{took: w.took}
	fmt.Fprintf(&b, "%.0f events a second were posted, %d in all, of which %d arrived.\n\n", w.perSecond, w.posted, w.arrived)
	b.WriteString("| | without streams | with them | after the events | at most |\n| --- | ---: | ---: | ---: | ---: |\n")
	fmt.Fprintf(&b, "| gateway, memory | %.0f MB | %.0f MB | %.0f MB | %.0f MB |\n", w.before[0], w.open[0], w.open[1], w.before[1])
	fmt.Fprintf(&b, "| progress, memory | %.0f MB | | %.0f MB | |\n\n", w.progress[0], w.progress[1])
	if w.arrived == 0 {
		return b.String() + "No event arrived.\n"
	}
	fmt.Fprintf(&b, "| from the post to the stream | p50 | p99 | at most |\n| --- | ---: | ---: | ---: |\n| | %s | %s | %s |\n\n",
		ms(t.share(0.5)), ms(t.share(0.99)), ms(t.share(1)))
	return b.String() + barTable([]bar{
		{fmt.Sprintf("the gateway's memory with %d streams", o.watchers), "MB", w.before[1], 300, true},
		{"p99 from the post to the stream", "ms", t.share(0.99).Seconds() * 1000, 50, true},
		{"events that arrived", "%", 100 * float64(w.arrived) / float64(w.posted), 100, false},
	})
}
