package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
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
	// received gets each response.
	received func(round, n int, header http.Header)
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

// traffic is what a work's requests were.
type traffic struct {
	requests       int
	sent, received int64
}

// wire counts what goes over a connection.
type wire struct {
	net.Conn

	sent, received int64
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.received += int64(n)
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.sent += int64(n)
	return n, err
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
	n := float64(t.requests)
	out := figure{
		requests: t.requests, perSecond: n / elapsed.Seconds(), sent: float64(t.sent) / n, received: float64(t.received) / n,
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
func (f *fleet) repeat(ctx context.Context, w *work, round, connections int, length time.Duration) (traffic, error) {
	if w.connections > 0 {
		connections = w.connections
	}
	if w.whole {
		length = time.Hour
	}
	end := time.Now().Add(length)
	var next, done atomic.Int64
	var out traffic
	var mu sync.Mutex
	var faults []error
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.address)
			if err == nil {
				line := &wire{Conn: conn}
				err = line.talk(w, round, end, &next, &done)
				mu.Lock()
				out.sent, out.received = out.sent+line.sent, out.received+line.received
				mu.Unlock()
				_ = conn.Close()
			}
			if err != nil {
				mu.Lock()
				faults = append(faults, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if done.Load() == 0 && len(faults) == 0 {
		faults = append(faults, errors.New("no answers"))
	}
	out.requests = int(done.Load())
	return out, errors.Join(faults...)
}

// talk makes requests on one connection.
func (w *wire) talk(what *work, round int, end time.Time, next, done *atomic.Int64) error {
	in := bufio.NewReader(w)
	for time.Now().Before(end) {
		n := int(next.Add(1) - 1)
		r := what.next(round, n)
		if r == nil {
			return nil
		}
		if _, err := w.Write(r); err != nil {
			return err
		}
		header, err := readAnswer(in)
		if err != nil {
			return fmt.Errorf("%s: %w", what.name, err)
		}
		if what.received != nil {
			what.received(round, n, header)
		}
		done.Add(1)
	}
	return nil
}

// readAnswer reads an answer to its end; one that is no success is an error.
func readAnswer(in *bufio.Reader) (http.Header, error) {
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err == nil && res.Header.Get("Content-Encoding") == "gzip" && len(body) > 0 {
		var plain *gzip.Reader
		if plain, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(plain)
		}
	}
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusNotModified && res.StatusCode/100 != 2 || bytes.Contains(body, []byte(`"REJECTED"`)) {
		return nil, fmt.Errorf("%s: %s", res.Status, body)
	}
	return res.Header, nil
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
