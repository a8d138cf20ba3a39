//go:build realservers

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

const (
	// maxTries bounds how often a sender sends one request; it waits longer each time.
	maxTries             = 12
	firstWait, longWait  = 50 * time.Millisecond, 2 * time.Second
	betweenRounds        = 25 * time.Millisecond
	faultModule, faultID = "fault", "fault-path"
	faultUnits           = 24
	// roundsPerUnit is after how many rounds a sender completes the next unit.
	roundsPerUnit = 20
)

// storedEvent is an event that was acknowledged, by the place in the log that it was given.
type storedEvent struct {
	sequence int64
	id       string
}

// sender is a learner's device: it sends batches through any gateway that responds, keeps a batch
// until it is acknowledged, and reads its progress after each. Nothing else writes of its learner,
// so it knows what every response must be.
type sender struct {
	name, token string
	bases       []string
	count       *atomic.Pointer[counts]
	dice        *rand.Rand

	// furthest is what was sent of each unit, and done how many of them are complete.
	furthest [faultUnits]float64
	done     int
	rounds   int

	mu    sync.Mutex
	acked []storedEvent
	// smooth is when the last round began that needed no second try; whole is that of any round.
	smooth, whole time.Time
}

// counts are what happened to all senders in one scenario.
type counts struct {
	batches, events, reads, repeated, failed, lost, wrong, stale atomic.Int64

	mu    sync.Mutex
	notes []string
}

// notef records the first notes of what should not have happened.
func (c *counts) notef(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.notes) < 20 {
		c.notes = append(c.notes, fmt.Sprintf(format, args...))
	}
}

func (c *counts) noted() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.notes...)
}

var errGaveUp = errors.New("every try failed")

// ask sends a request, to the gateways in turns, until the response is more than "try again".
func (h *sender) ask(method, path string, body any) (*response, error) {
	last := ""
	wait := firstWait
	for try := range maxTries {
		c := &client{base: h.bases[(h.rounds+try)%len(h.bases)], token: h.token}
		a, err := c.try(method, path, body)
		switch {
		case err != nil:
			last = err.Error()
		case a.status == http.StatusTooManyRequests || a.status >= http.StatusBadGateway && a.status <= http.StatusGatewayTimeout:
			last = fmt.Sprintf("%d %s", a.status, a.body)
		default:
			return a, nil
		}
		h.count.Load().repeated.Add(1)
		time.Sleep(wait/2 + rand.N(wait/2))
		wait = min(2*wait, longWait)
	}
	c := h.count.Load()
	c.failed.Add(1)
	c.notef("%s: %s %s failed for good: %s", h.name, method, path, last)
	return nil, errGaveUp
}

// live does rounds until stop is closed. The last batch is acknowledged by then, or ctx has ended.
func (h *sender) live(ctx context.Context, stop <-chan struct{}) {
	for {
		began, tries := testenv.Now(), h.count.Load().repeated.Load()
		batch := h.batch()
		for !h.send(batch) {
			if ctx.Err() != nil {
				return
			}
		}
		if h.read() {
			h.mu.Lock()
			h.whole = began
			if h.count.Load().repeated.Load() == tries {
				h.smooth = began
			}
			h.mu.Unlock()
		}
		select {
		case <-stop:
			return
		case <-time.After(betweenRounds):
		}
	}
}

// batch makes some events, and notes what progress must show once they are stored.
func (h *sender) batch() []any {
	h.rounds++
	var events []any
	for range 1 + h.dice.IntN(4) {
		unit, progress := h.dice.IntN(faultUnits), float64(h.dice.IntN(1000))/1000
		h.furthest[unit] = max(h.furthest[unit], progress)
		events = append(events, event(faultModule, fmt.Sprintf("u%d", unit), "PROGRESSED", "progress", progress))
	}
	if h.rounds%roundsPerUnit == 0 && h.done < faultUnits {
		events = append(events, event(faultModule, fmt.Sprintf("u%d", h.done), "COMPLETED"))
		h.done++
	}
	return events
}

// send reports whether every event of a batch is stored.
func (h *sender) send(events []any) bool {
	a, err := h.ask(http.MethodPost, "/v1/learners/me/events:batch", map[string]any{"events": events})
	if err != nil {
		return false
	}
	var decoded struct {
		Results []struct {
			EventID  string `json:"eventId"`
			Status   string `json:"status"`
			Sequence int64  `json:"sequence,string"`
		} `json:"results"`
	}
	count := h.count.Load()
	if err := json.Unmarshal(a.body, &decoded); err != nil || a.status != http.StatusOK || len(decoded.Results) != len(events) {
		count.wrong.Add(1)
		count.notef("%s: a batch is answered %d %s", h.name, a.status, a.body)
		return false
	}
	var stored []storedEvent
	for i, r := range decoded.Results {
		switch {
		case r.EventID != plain(dig(events[i], "eventId")) || r.Status == "REJECTED":
			count.wrong.Add(1)
			count.notef("%s: event %d of %v is answered %+v", h.name, i, events, r)
			return false
		case r.Status == "RETRY":
			count.repeated.Add(1)
			return false
		}
		stored = append(stored, storedEvent{sequence: r.Sequence, id: r.EventID})
	}
	h.acknowledge(stored)
	return true
}

// acknowledge records what the server has promised: this batch has the next places in the log, in
// whatever order its events arrived.
func (h *sender) acknowledge(stored []storedEvent) {
	count := h.count.Load()
	h.mu.Lock()
	defer h.mu.Unlock()
	next := int64(len(h.acked)) + 2 // the enrollment is first
	placed := make([]storedEvent, len(stored))
	for _, e := range stored {
		i := e.sequence - next
		if i < 0 || i >= int64(len(stored)) || placed[i].id != "" {
			count.wrong.Add(1)
			count.notef("%s: a batch of %d after %d has the sequences %+v", h.name, len(stored), next-1, stored)
			continue
		}
		placed[i] = e
	}
	h.acked = append(h.acked, placed...)
	count.batches.Add(1)
	count.events.Add(int64(len(stored)))
}

// promised are the events that were acknowledged so far.
func (h *sender) promised() []storedEvent {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clip(h.acked)
}

// progressDocument is what a sender looks at in the progress of a module or a path.
type progressDocument struct {
	AsOfSequence int64  `json:"asOfSequence,string"`
	Percent      int    `json:"percent"`
	State        string `json:"state"`
	Units        []struct {
		UnitID   string  `json:"unitId"`
		Progress float64 `json:"progress"`
		Done     bool    `json:"done"`
	} `json:"units"`
}

// read asks for the module's and the path's progress, and compares them with what was sent.
func (h *sender) read() bool {
	module, ok := h.look("/v1/learners/me/modules/" + faultModule + "/progress")
	if !ok {
		return false
	}
	right := len(module.Units) == faultUnits && module.Percent == 100*h.done/faultUnits
	for i, u := range module.Units {
		right = right && u.UnitID == fmt.Sprintf("u%d", i) && u.Done == (i < h.done) && (u.Done || u.Progress == h.furthest[i])
	}
	path, ok := h.look("/v1/learners/me/paths/" + faultID + "/progress")
	if !ok {
		return false
	}
	right = right && path.Percent == 100*h.done/faultUnits/100*100
	if !right {
		count := h.count.Load()
		count.wrong.Add(1)
		count.notef("%s: with %d units done and %v, the module is %+v and the path %+v", h.name, h.done, h.furthest, module, path)
	}
	return right
}

// look reads one document, which must be of everything that was acknowledged.
func (h *sender) look(path string) (decoded progressDocument, ok bool) {
	a, err := h.ask(http.MethodGet, path, nil)
	if err != nil {
		return decoded, false
	}
	count := h.count.Load()
	if err := json.Unmarshal(a.body, &decoded); err != nil || a.status != http.StatusOK {
		count.wrong.Add(1)
		count.notef("%s: GET %s is answered %d %s", h.name, path, a.status, a.body)
		return decoded, false
	}
	count.reads.Add(1)
	if asOf := a.header.Get(asOfHeader); asOf != "" { // the body does not say it
		_, _ = fmt.Sscan(asOf, &decoded.AsOfSequence)
	}
	switch want := int64(len(h.promised())) + 1; {
	case decoded.AsOfSequence < want:
		count.stale.Add(1)
		count.notef("%s: GET %s is as of %d, and %d is acknowledged", h.name, path, decoded.AsOfSequence, want)
		return decoded, false
	case decoded.AsOfSequence > want:
		count.wrong.Add(1)
		count.notef("%s: GET %s is as of %d, and only %d was sent", h.name, path, decoded.AsOfSequence, want)
	}
	return decoded, true
}

// since reports whether a whole round has begun after a moment; a smooth one, if asked for.
func (h *sender) since(moment time.Time, smoothly bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if smoothly {
		return h.smooth.After(moment)
	}
	return h.whole.After(moment)
}

// log reads the log after a sequence, up to another one at least.
func (h *sender) log(after, upTo int64) ([]storedEvent, error) {
	var found []storedEvent
	for after < upTo {
		a, err := h.ask(http.MethodGet, fmt.Sprintf("/v1/learners/me/events?pageSize=500&afterSequence=%d", after), nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Events []struct {
				Sequence int64 `json:"sequence,string"`
				Event    struct {
					EventID string `json:"eventId"`
				} `json:"event"`
			} `json:"events"`
			Next int64 `json:"nextAfterSequence,string"`
		}
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK {
			return nil, fmt.Errorf("the log is answered %d %s", a.status, a.body)
		}
		for _, e := range page.Events {
			found = append(found, storedEvent{sequence: e.Sequence, id: e.Event.EventID})
		}
		if page.Next <= after {
			break // it ends here
		}
		after = page.Next
	}
	return found, nil
}

// listener reads one learner's stream through any gateway that responds, and goes on from where
// a broken one ended.
type listener struct {
	h *sender

	mu       sync.Mutex
	received []storedEvent
}

func (e *listener) listen(ctx context.Context) {
	for try := 0; ctx.Err() == nil; try++ {
		e.once(ctx, e.h.bases[try%len(e.h.bases)])
		select {
		case <-ctx.Done():
		case <-time.After(betweenRounds):
		}
	}
}

// once listens until the stream ends.
func (e *listener) once(ctx context.Context, base string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/learners/me/progress:watch", nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+e.h.token)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Last-Event-ID", fmt.Sprint(e.reached()))
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		readServerSent(resp.Body, e.hear)
	}
}

func (e *listener) reached() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int64(len(e.received))
}

// hear takes what the stream brings: each entry once, in order.
func (e *listener) hear(sent serverSent) bool {
	if sent.data == nil || sent.name == "error" {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	next := int64(len(e.received)) + 1
	if sent.name != "" || sent.id != fmt.Sprint(next) {
		count := e.h.count.Load()
		count.wrong.Add(1)
		count.notef("%s: the stream brings %s %s, expected was %d", e.h.name, sent.name, sent.id, next)
		return false
	}
	id, _ := dig(sent.data, "entry.event.eventId").(string) // none where the entry is the enrollment
	e.received = append(e.received, storedEvent{sequence: next, id: id})
	return true
}
