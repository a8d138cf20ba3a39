package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// sentBatch is one request of a writer: all of its events are one transaction.
type sentBatch struct {
	ids          []string
	acknowledged bool
}

// TestKillDuringWrites kills the program while learners write. What was acknowledged is
// there afterwards; what was not is there as a whole or not at all; and what is derived
// fits the log.
func TestKillDuringWrites(t *testing.T) {
	t.Parallel()
	const writers, units = 6, 12
	w := oneProcess(t)
	author := w.as(t, "author", "author")
	content := basicsContent("Crash")
	var all []any
	for i := range units {
		all = append(all, map[string]any{"id": fmt.Sprintf("u%d", i), "title": "Unit", "kind": "READING"})
	}
	content["units"] = all
	author.post("/v1/modules?moduleId=crash", content).want(http.StatusCreated)
	author.post("/v1/modules/crash:publish", map[string]any{}).want(http.StatusOK)
	for i := range writers {
		w.as(t, fmt.Sprintf("crash-%d", i)).id()
	}

	for round := range 3 {
		batches := make([][]sentBatch, writers)
		var writing sync.WaitGroup
		enough := make(chan struct{}, writers*1000)
		for i := range writers {
			me := w.as(t, fmt.Sprintf("crash-%d", i))
			writing.Go(func() { batches[i] = writeUntilGone(me, units, enough) })
		}
		for range 40 * (round + 1) {
			<-enough
		}
		w.front.kill()
		writing.Wait()
		w = oneProcessOn(t, w.data)
		for i := range writers {
			checkLog(t, w.as(t, fmt.Sprintf("crash-%d", i)), batches[i])
		}
	}
}

// writeUntilGone sends batches until the server is gone, and passes on each that was acknowledged.
func writeUntilGone(me *client, units int, enough chan<- struct{}) []sentBatch {
	var sent []sentBatch
	for n := 0; ; n++ {
		var b sentBatch
		var events []any
		for i := range 1 + n%units {
			e := event("crash", fmt.Sprintf("u%d", i), "PROGRESSED", "progress", 0.5)
			b.ids = append(b.ids, plain(e["eventId"]))
			events = append(events, e)
		}
		a, err := me.try(http.MethodPost, "/v1/learners/me/events:batch", map[string]any{"events": events})
		b.acknowledged = err == nil && a.status == http.StatusOK
		sent = append(sent, b)
		if err != nil {
			return sent
		}
		if b.acknowledged {
			select {
			case enough <- struct{}{}:
			default:
			}
		}
	}
}

// checkLog compares a learner's log with what they sent.
func checkLog(t *testing.T, me *client, sent []sentBatch) {
	t.Helper()
	stored, after := map[string]bool{}, "0"
	for last := 0.0; ; {
		page := me.get("/v1/learners/me/events?pageSize=500&afterSequence=" + after).want(http.StatusOK)
		for _, e := range page.list("events") {
			last++
			if plain(dig(e, "sequence")) != fmt.Sprint(after) && plain(dig(e, "event.eventId")) == "" {
				t.Fatalf("an entry without an event: %v", e)
			}
			stored[plain(dig(e, "event.eventId"))] = true
		}
		after = page.text("nextAfterSequence")
		if after == page.text("asOfSequence") {
			if after != fmt.Sprint(len(stored)) {
				t.Errorf("the log ends at %s and has %d entries", after, len(stored))
			}
			break
		}
	}
	units := 0
	for i, b := range sent {
		there := 0
		for _, id := range b.ids {
			if stored[id] {
				there++
			}
		}
		switch {
		case b.acknowledged && there != len(b.ids):
			t.Errorf("batch %d was acknowledged, and %d of its %d events are there", i, there, len(b.ids))
		case there != 0 && there != len(b.ids):
			t.Errorf("batch %d is there by %d of %d events", i, there, len(b.ids))
		case there > 0:
			units = max(units, there)
		}
	}
	progress := me.get("/v1/learners/me/modules/crash/progress").want(http.StatusOK)
	begun := 0
	for _, u := range progress.list("units") {
		if dig(u, "progress") != nil {
			begun++
		}
	}
	if begun < units {
		t.Errorf("the log has begun %d units, the progress %d", units, begun)
	}
}

// TestKillDuringFirstStart kills the program at moments of its very first start. The next
// start makes everything whole.
func TestKillDuringFirstStart(t *testing.T) {
	t.Parallel()
	reference := oneProcess(t)
	want := reference.as(t, "author", "author").get("/v1/catalog:export").want(http.StatusOK)
	for _, after := range []int{2, 20, 35, 50, 65, 80, 100, 130} {
		data := t.TempDir()
		p, ready := launch(t, "serve", "--http", "127.0.0.1:0", "--data", data, "--log-format", "json")
		select {
		case <-time.After(time.Duration(after) * time.Millisecond):
		case <-ready:
		}
		p.kill()
		w := oneProcessOn(t, data)
		got := w.as(t, "author", "author").get("/v1/catalog:export").want(http.StatusOK)
		if string(got.body) != string(want.body) {
			t.Errorf("killed after %v ms, the catalog is another one afterwards", after)
		}
		w.as(t, "ada").get("/v1/learners/me/recommendedPaths").want(http.StatusOK)
		w.front.kill()
	}
}
