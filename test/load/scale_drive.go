package main

import (
	"context"
	"slices"
	"time"
)

// work is one kind of request, made again and again.
type work struct {
	name string
	// events are those that one request brings.
	events int
	// connections are how many ask at once; 0 for what the options say.
	connections int
	// whole means that a round ends with its requests and not with its time.
	whole bool
	// before is run once a round, and not measured.
	before func(context.Context) error
	// next is the round's n-th request; nil for no more.
	next func(round, n int) request
}

// figure is what one request of a work costs, as a round found it.
type figure struct {
	requests  int
	perSecond float64
	// cpu is by part, in seconds.
	cpu [parts]float64
	// sent and received are bytes between the client and the gateway.
	sent, received float64
	// logged is in Postgres's log; commits are its writing transactions.
	logged

	commits float64
	// grown is the bytes that tables and indexes of progress and profile grew by.
	grown float64

	redisBytes, redisCommands float64
}

// round makes a work's requests for a while, or until there are no more, and returns what they cost
// beside what the processes do by themselves.
func (f *fleet) round(ctx context.Context, w *work, round, connections int, length time.Duration, idle spent) (figure, error) {
	if w.before != nil {
		if err := w.before(ctx); err != nil {
			return figure{}, err
		}
	}
	at, err := f.position(ctx)
	if err != nil {
		return figure{}, err
	}
	was, err := f.spent()
	if err != nil {
		return figure{}, err
	}
	began := time.Now()
	t, err := f.repeat(ctx, w, round, connections, length)
	if err != nil {
		return figure{}, err
	}
	elapsed := time.Since(began)
	now, err := f.spent()
	if err != nil {
		return figure{}, err
	}
	to, err := f.position(ctx)
	if err != nil {
		return figure{}, err
	}
	n := float64(t.requests())
	out := figure{
		requests: t.requests(), perSecond: n / elapsed.Seconds(), sent: float64(t.sent) / n, received: float64(t.received) / n,
	}
	used := now.since(was)
	for p := range used {
		out.cpu[p] = max(0, used[p].Seconds()-idle[p].Seconds()*elapsed.Seconds()) / n
	}
	return out, f.storedBy(ctx, &out, at, to)
}

// storedBy fills what the requests left in the stores.
func (f *fleet) storedBy(ctx context.Context, out *figure, at, to position) error {
	l, err := f.logged(ctx, at.wal, to.wal)
	n := float64(out.requests)
	out.logged, out.commits, out.grown = logged{l.records / n, l.images / n, l.pages / n}, float64(to.commits-at.commits)/n, (to.tables-at.tables)/n
	out.redisBytes, out.redisCommands = float64(to.redisBytes-at.redisBytes)/n, float64(to.redisCommands-at.redisCommands)/n
	return err
}

// repeat keeps every connection busy with one request at a time.
func (f *fleet) repeat(ctx context.Context, w *work, round, connections int, length time.Duration) (tally, error) {
	if w.connections > 0 {
		connections = w.connections
	}
	if w.whole {
		length = time.Hour
	}
	j := &job{name: w.name, address: f.gateway.address, connections: connections, next: func(n int) request { return w.next(round, n) }}
	return j.closed(ctx, length)
}

// middle is the median of what the rounds found, field by field.
func middle(rounds []figure) figure {
	of := func(get func(*figure) float64) float64 {
		values := make([]float64, len(rounds))
		for i := range rounds {
			values[i] = get(&rounds[i])
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	var out figure
	for _, r := range rounds {
		out.requests += r.requests
	}
	for p := range out.cpu {
		out.cpu[p] = of(func(f *figure) float64 { return f.cpu[p] })
	}
	out.perSecond = of(func(f *figure) float64 { return f.perSecond })
	out.sent, out.received = of(func(f *figure) float64 { return f.sent }), of(func(f *figure) float64 { return f.received })
	out.records, out.images = of(func(f *figure) float64 { return f.records }), of(func(f *figure) float64 { return f.images })
	out.pages, out.commits = of(func(f *figure) float64 { return f.pages }), of(func(f *figure) float64 { return f.commits })
	out.grown = of(func(f *figure) float64 { return f.grown })
	out.redisBytes = of(func(f *figure) float64 { return f.redisBytes })
	out.redisCommands = of(func(f *figure) float64 { return f.redisCommands })
	return out
}
