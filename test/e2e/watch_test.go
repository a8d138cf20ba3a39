package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serverSent is one server-sent event, or the end of the stream.
type serverSent struct {
	id, name string
	// data is raw, the text, as JSON.
	data  any
	raw   string
	retry string
}

// watch opens the stream of a learner's progress.
func (c *client) watch(headers ...string) <-chan serverSent {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	c.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/learners/me/progress:watch", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Client{Transport: recording(http.DefaultTransport)}).Do(req) //nolint:bodyclose // closed by the goroutine that reads it
	if err != nil {
		c.t.Fatal(err)
	}
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || ct != "text/event-stream" {
		c.t.Fatalf("watch: status %d, content type %s", resp.StatusCode, ct)
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
	return events
}

// readServerSent reads a stream to its end, or until hear has enough. An event whose end did not
// come is none.
func readServerSent(stream io.Reader, hear func(serverSent) bool) {
	var e serverSent
	for lines := bufio.NewScanner(stream); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "retry":
			e.retry = value
		case "data":
			e.raw = value
			_ = json.Unmarshal([]byte(value), &e.data)
		case "":
			if (e.data != nil || e.retry != "") && !hear(e) {
				return
			}
			e = serverSent{}
		}
	}
}

// next is the next event with data.
func next(t *testing.T, events <-chan serverSent) serverSent {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatal("the stream ended")
			}
			if e.data != nil {
				return e
			}
		case <-limit:
			t.Fatal("nothing came by the stream")
		}
	}
}

func testWatch(t *testing.T, w *world) {
	c := publishCourse(t, w.as(t, "author", "author"), "watch")
	me := w.as(t, "watch-learner")
	me.id()
	live := me.watch()
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	e := next(t, live)
	if e.id != "1" || dig(e.data, "kind") != "ENTRY" || dig(e.data, "entry.type") != "ENROLLED" || dig(e.data, "entry.enrollment.pathId") != c.path {
		t.Errorf("first came %+v", e)
	}
	me.record(c.basicsDone()...)
	if e = next(t, live); e.id != "2" || dig(e.data, "entry.event.unitId") != "phi" {
		t.Errorf("second came %+v", e)
	}
	if e = next(t, live); e.id != "3" || dig(e.data, "awards.0.milestoneId") != "begin" {
		t.Errorf("third came %+v", e)
	}

	resumed := me.watch("Last-Event-ID", "1")
	if e = next(t, resumed); e.id != "2" {
		t.Errorf("after 1 came %+v", e)
	}
	if e = next(t, resumed); e.id != "3" {
		t.Errorf("after 2 came %+v", e)
	}
	for _, lost := range []string{"99", "what"} {
		if e = next(t, me.watch("Last-Event-ID", lost)); e.name != "reset" || e.id != "3" {
			t.Errorf("after %s came %+v, want a reset that goes on after 3", lost, e)
		}
	}
	(&client{t: t, base: w.base}).get("/v1/learners/me/progress:watch").problem(http.StatusUnauthorized, "TOKEN_MISSING")
}
