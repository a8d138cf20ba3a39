package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// attackClock moves the program's clock while it runs, and back again.
func attackClock(ctx context.Context, w *world) error {
	const day = 24 * time.Hour
	jumps := []time.Duration{-time.Hour, 0, day, 0, 10 * 365 * day, 0}
	for range w.dose(0, 1) {
		jumps = append(jumps, -day, day, time.Hour, -30*day, 10*365*day, 0)
	}
	forever := w.issuer.token("jumper", "learner")
	for n, ahead := range jumps {
		seen, end := w.follow(ctx, forever)
		flooder := w.useUp(ctx)
		if err := w.jump(ctx, ahead); err != nil {
			return err
		}
		w.admittedAgain(ctx, flooder, n, ahead)
		if err := w.afterJump(ctx, n, ahead, forever, seen); err != nil {
			return err
		}
		end()
	}
	return nil
}

// jump has the program's clock be ahead of the machine's by a duration.
func (w *world) jump(ctx context.Context, ahead time.Duration) error {
	file := filepath.Join(w.data, "clock")
	_ = os.Remove(file + ".taken")
	if err := os.WriteFile(file, []byte(ahead.String()), 0o600); err != nil {
		return err
	}
	if err := w.life.Load().cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	return eventually(ctx, "the clock jumps", func() bool {
		taken, err := os.ReadFile(file + ".taken")
		return err == nil && string(taken) == ahead.String()
	})
}

// afterJump uses tokens, writes and reads, and looks whether a stream from before goes on.
func (w *world) afterJump(ctx context.Context, n int, ahead time.Duration, forever string, seen *atomic.Int64) error {
	there := testenv.Now().Add(ahead)
	get := func(what, token, path string, want int) {
		if a := w.sendAndCount(ctx, request{method: http.MethodGet, path: path, token: token}); a != nil && a.status != want {
			w.tally.faultf("at %s, %s: %d %.200q", ahead, what, a.status, a.body)
		}
	}
	sign := func(from, to time.Duration) string {
		return w.issuer.sign(w.issuer.header().json(), w.issuer.claims("jumper", "learner").with(
			"iat", there.Add(from).Unix(), "nbf", there.Add(from).Unix(), "exp", there.Add(to).Unix(), "jti", fmt.Sprint(n)).json())
	}
	get("a token of now", sign(-time.Minute, time.Hour), "/v1/topics", http.StatusOK)
	get("a token that is over", sign(-2*time.Hour, -time.Hour), "/v1/topics", http.StatusUnauthorized)
	get("a token that is not valid yet", sign(time.Hour, 2*time.Hour), "/v1/topics", http.StatusUnauthorized)
	get("a token that is always valid", forever, "/v1/learners/me", http.StatusOK)
	get("a list", forever, "/v1/learners/me/enrollments", http.StatusOK)
	before := seen.Load()
	g := &generator{dice: w.dice}
	a := w.sendAndCount(ctx, request{method: http.MethodPost, path: "/v1/learners/me/events:batch", token: forever}.asJSON(map[string]any{"events": []any{w.progressed(g.uuid(), ahead)}}))
	if a != nil && (a.status != http.StatusOK || !strings.Contains(string(a.body), "ACCEPTED")) {
		w.tally.faultf("at %s, an event: %d %.200q", ahead, a.status, a.body)
	}
	// A stream from before the jump shows the event; one that has ended is opened again.
	err := eventually(ctx, "the event in a stream", func() bool {
		switch got := seen.Load(); {
		case got > before:
			return true
		case got < 0:
			w.tally.add("stream ended by the jump")
			return w.seenAnew(ctx, forever)
		}
		return false
	})
	if err != nil {
		w.tally.faultf("at %s: %v", ahead, err)
	}
	// The watch's tickets live for a minute of the clock.
	w.ticket(ctx, ahead, forever)
	return nil
}

// floodAddr is where junk comes from while the clock jumps: whoever is refused for it is at no other address.
const floodAddr = "127.0.0.77"

// useUp sends junk from an address until it is refused, and returns the address's client.
func (w *world) useUp(ctx context.Context) *http.Client {
	flooder := newHTTPClient(floodAddr)
	for n := range 10_000 {
		a, err := send(ctx, flooder, w.httpAddr(), request{method: http.MethodGet, path: "/v1/topics", token: fmt.Sprint("junk-", n)})
		if err != nil {
			w.tally.faultf("junk: %s", withoutPorts(err))
			return flooder
		}
		if w.tally.http("junk", a); a.status == http.StatusTooManyRequests {
			return flooder
		}
	}
	w.tally.faultf("10,000 junk tokens of one address, and it is not refused")
	return flooder
}

// admittedAgain signs in at an address that was refused before a jump: seconds later it is not, whatever the clock
// showed before.
func (w *world) admittedAgain(ctx context.Context, flooder *http.Client, n int, ahead time.Duration) {
	there := testenv.Now().Add(ahead)
	tries := 0
	err := eventually(ctx, "the address is admitted again", func() bool {
		tries++ // a token that was valid before is admitted whatever its address did
		token := w.issuer.sign(w.issuer.header().json(), w.issuer.claims("flooded", "learner").with(
			"iat", there.Unix(), "nbf", there.Unix(), "exp", there.Add(time.Hour).Unix(), "jti", fmt.Sprint("flooded-", n, "-", tries)).json())
		a, err := send(ctx, flooder, w.httpAddr(), request{method: http.MethodGet, path: "/v1/topics", token: token})
		if err == nil {
			w.tally.http("GET /v1/topics", a)
		}
		return err == nil && a.status == http.StatusOK
	})
	if err != nil {
		w.tally.faultf("at %s: %v", ahead, err)
	}
}

// progressed is an event that changes little, by the clock of the program.
func (w *world) progressed(id string, ahead time.Duration) map[string]any {
	return map[string]any{
		"eventId": id, "moduleId": honestModule, "unitId": "u1", "verb": "PROGRESSED", "progress": 0.25,
		"occurredAt": testenv.Now().Add(ahead).UTC().Format(time.RFC3339Nano), "deviceId": "phone-2",
	}
}

// follow counts the events of a stream until it is ended; the count is negative once the server has ended it.
func (w *world) follow(ctx context.Context, token string) (seen *atomic.Int64, end func()) {
	seen = &atomic.Int64{}
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if ctx.Err() == nil {
				seen.Store(-1 << 40)
			}
		}()
		resp, err := w.watch(ctx, "/v1/learners/me/progress:watch", token)
		close(ready)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data:") {
				seen.Add(1)
			}
		}
	}()
	<-ready
	return seen, func() {
		cancel()
		<-done
	}
}

// watch opens a stream of server-sent events.
func (w *world) watch(ctx context.Context, path, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.httpAddr()+path, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Accept", "text/event-stream")
	client := newHTTPClient(attackerAddr)
	client.Timeout = 0
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if w.tally.add(fmt.Sprint(resp.StatusCode)); resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("a watch: %d", resp.StatusCode) //nolint:err113 // for a person
	}
	return resp, nil
}

// seenAnew reports whether a new stream from the beginning of the log has entries.
func (w *world) seenAnew(ctx context.Context, token string) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	resp, err := w.watch(ctx, "/v1/learners/me/progress:watch?afterSequence=0", token)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			return true
		}
	}
	return false
}

// ticket gets a ticket and uses it, twice: it stands for a token once.
func (w *world) ticket(ctx context.Context, ahead time.Duration, token string) {
	a := w.sendAndCount(ctx, request{method: http.MethodPost, path: "/v1/learners/me/progress:watchTicket", token: token}.asJSON(map[string]any{}))
	ticket := field(a, "ticket")
	if ticket == "" {
		w.tally.faultf("at %s, no ticket", ahead)
		return
	}
	path := "/v1/learners/me/progress:watch?ticket=" + ticket
	for i, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		if a := w.sendHeadAndCount(ctx, request{method: http.MethodGet, path: path}); a != nil && a.status != want {
			w.tally.faultf("at %s, use %d of a ticket: %d %.200q", ahead, i+1, a.status, a.body)
		}
	}
}
