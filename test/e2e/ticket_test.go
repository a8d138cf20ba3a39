package e2e

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

const (
	ownWatch   = "/v1/learners/me/progress:watch"
	ownTicket  = "/v1/learners/me/progress:watchTicket"
	siteOrigin = "https://learn.example.org"
)

// eventSource opens a watch as a browser's EventSource does from another origin: by an address alone.
// It returns which origin may read the stream.
func (c *client) eventSource(path string) (allowed string, sent <-chan serverSent) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	c.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Origin", siteOrigin)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := (&http.Client{}).Do(req) //nolint:bodyclose // closed by the goroutine that reads it
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: status %d", path, resp.StatusCode)
	}
	events := make(chan serverSent)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		readServerSent(resp.Body, func(e serverSent) bool {
			select {
			case events <- e:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	return resp.Header.Get("Access-Control-Allow-Origin"), events
}

func testWatchTicket(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "ticket")
	me, nobody := w.as(t, "ticket-learner"), &client{t: t, base: w.base}
	id := me.id()
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)

	given := me.post(ownTicket, map[string]any{}, "Origin", siteOrigin).want(http.StatusOK)
	ticket := given.text("ticket")
	expire, err := time.Parse(time.RFC3339, given.text("expireTime"))
	if left := expire.Sub(testenv.Now()); err != nil || len(ticket) != 43 || left < 30*time.Second || left > 61*time.Second {
		t.Errorf("%s in %s, %v", given.body, left, err)
	}
	allowed, live := nobody.eventSource("/v1/learners/" + id + "/progress:watch?afterSequence=0&ticket=" + ticket)
	if allowed != siteOrigin {
		t.Errorf("%q may read the stream", allowed)
	}
	if e := next(t, live); e.id != "1" || dig(e.data, "entry.type") != "ENROLLED" {
		t.Errorf("first came %+v", e)
	}
	me.record(c.basicsDone()...)
	if e := next(t, live); e.id != "2" {
		t.Errorf("second came %+v", e)
	}

	// Once, for a watch, of this learner.
	nobody.get(ownWatch+"?ticket="+ticket).problem(http.StatusUnauthorized, "TICKET_INVALID")
	ticket = me.post(ownTicket, map[string]any{}).want(http.StatusOK).text("ticket")
	nobody.get("/v1/learners/me/progress", "Authorization", "Ticket "+ticket).problem(http.StatusUnauthorized, "TICKET_INVALID")
	me.get(ownWatch+"?ticket="+ticket).problem(http.StatusUnauthorized, "TOKEN_INVALID")
	if _, live := nobody.eventSource(ownWatch + "?afterSequence=1&ticket=" + ticket); next(t, live).id != "2" {
		t.Error("a ticket that was refused elsewhere does not open a watch")
	}

	admin, other := w.as(t, "ticket-admin", "admin"), w.as(t, "ticket-other")
	otherID := other.id()
	other.post("/v1/learners/"+id+"/progress:watchTicket", map[string]any{}).problem(http.StatusForbidden, "NOT_YOUR_DATA")
	nobody.post(ownTicket, map[string]any{}).problem(http.StatusUnauthorized, "TOKEN_MISSING")
	about := func() string {
		return admin.post("/v1/learners/"+id+"/progress:watchTicket", map[string]any{}).want(http.StatusOK).text("ticket")
	}
	if _, live := nobody.eventSource("/v1/learners/" + id + "/progress:watch?afterSequence=2&ticket=" + about()); next(t, live).id != "3" {
		t.Error("an admin's ticket does not open the watch")
	}
	nobody.get("/v1/learners/"+otherID+"/progress:watch?ticket="+about()).problem(http.StatusUnauthorized, "TICKET_INVALID")

	for range 25 {
		given = other.post(ownTicket, map[string]any{})
		if given.status != http.StatusOK {
			break
		}
	}
	given.problem(http.StatusTooManyRequests, "RATE_LIMITED")
	if wait, err := strconv.Atoi(given.header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 {
		t.Errorf("Retry-After %q", given.header.Get("Retry-After"))
	}
}
