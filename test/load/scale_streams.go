package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// streams are what is known of open streams, each one's share.
type streams struct {
	count int
	// cpu is in seconds a second, received in bytes a second, while nothing happens.
	cpu      [parts]float64
	received float64
	// event is the bytes that bring one event.
	event float64
}

// watching opens streams, each a learner's, and measures what opening one costs, what it costs
// while nothing happens, and an event that its sender hears of.
func (s *school) watching(ctx context.Context, o scaleOptions, m *measured) error {
	f := s.fleet
	if err := f.renew(ctx); err != nil {
		return err
	}
	same := s.again(workPathSame, pathProgress) // connections stand, and the first collections are over
	if err := same.before(ctx); err != nil {
		return err
	}
	if _, err := f.repeat(ctx, same, 0, o.connections, 2*time.Second); err != nil {
		return err
	}
	say(fmt.Sprintf("opening %d streams …", o.streams))
	crowd := &listeners{address: f.gateway.address}
	defer crowd.close()
	w := &work{name: workStream, next: func(_, n int) request {
		return deviceRequest(http.MethodGet, homeProgress+":watch", s.pupils[n].token, "", "Accept", "text/event-stream")
	}}
	if err := s.open(ctx, crowd, w, o, m); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	m.streams.count = o.streams
	begun, began := crowd.received.Load(), time.Now()
	used, err := f.idle(ctx, 20*time.Second)
	if err != nil {
		return err
	}
	m.streams.received = float64(crowd.received.Load()-begun) / time.Since(began).Seconds() / float64(o.streams)
	for p := range parts {
		m.streams.cpu[p] = max(0, (used[p]-m.idle[p]).Seconds()) / float64(o.streams)
	}
	return s.delivery(ctx, crowd, o, m)
}

// delivery measures an event that its sender receives on a stream.
func (s *school) delivery(ctx context.Context, crowd *listeners, o scaleOptions, m *measured) error {
	f := s.fleet
	var turn atomic.Int64
	w := &work{name: workWatchedEvent, events: 1, before: f.checkpoint, next: func(_, _ int) request {
		return s.post(s.pupils[int(turn.Add(1))%o.streams], 1)
	}}
	// The first ones make connections to Postgres, which each learn what tables there are.
	if _, err := f.repeat(ctx, w, 0, o.connections, 2*time.Second); err != nil {
		return err
	}
	before := crowd.received.Load()
	if err := f.all(ctx, []*work{w}, o, m); err != nil {
		return err
	}
	m.streams.event = float64(crowd.received.Load()-before) / float64(max(m.figures[workWatchedEvent].requests, 1))
	return crowd.failure()
}

// open opens the streams, as one round of work.
func (s *school) open(ctx context.Context, crowd *listeners, w *work, o scaleOptions, m *measured) error {
	f := s.fleet
	was, err := f.spent()
	if err != nil {
		return err
	}
	began := time.Now()
	var next atomic.Int64
	var all sync.WaitGroup
	for range o.connections {
		all.Go(func() {
			for n := int(next.Add(1) - 1); n < o.streams; n = int(next.Add(1) - 1) {
				crowd.open(ctx, w.next(0, n))
			}
		})
	}
	all.Wait()
	elapsed := time.Since(began).Seconds()
	now, err := f.spent()
	if err = errors.Join(err, crowd.failure()); err != nil {
		return err
	}
	used, n := now.since(was), float64(o.streams)
	one := figure{requests: o.streams, perSecond: n / elapsed, sent: float64(crowd.sent.Load()) / n, received: float64(crowd.received.Load()) / n}
	for p := range used {
		one.cpu[p] = max(0, used[p].Seconds()-m.idle[p].Seconds()*elapsed) / n
	}
	m.figures[w.name] = one
	m.order = append(m.order, w)
	return nil
}
