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
	// sent are all events by their ids, for a log that has fallen back; gone are those that it lacked, and
	// losses is how many all such logs lacked.
	sent   map[string]any
	gone   map[string]bool
	losses int

	mu    sync.Mutex
	acked []storedEvent
	// logID identifies the log that acked is of; safe is how many of acked no fault may lose.
	logID string
	safe  int
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
	for _, e := range events {
		h.sent[plain(dig(e, "eventId"))] = e
	}
	return events
}

// send reports whether every event of a batch is stored.
func (h *sender) send(events []any) bool {
	stored, logID, ok := h.record(events)
	switch {
	case !ok:
		return false
	case h.moved(logID):
		return h.follow(events)
	}
	h.acknowledge(stored)
	return true
}

// record sends events once, and returns their places and the log that these are of.
func (h *sender) record(events []any) (stored []storedEvent, logID string, ok bool) {
	a, err := h.ask(http.MethodPost, "/v1/learners/me/events:batch", map[string]any{"events": events})
	if err != nil {
		return nil, "", false
	}
	var decoded struct {
		LogID   string `json:"logId"`
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
		return nil, "", false
	}
	for i, r := range decoded.Results {
		switch {
		case r.EventID != plain(dig(events[i], "eventId")) || r.Status == "REJECTED":
			count.wrong.Add(1)
			count.notef("%s: event %d of %v is answered %+v", h.name, i, events, r)
			return nil, "", false
		case r.Status == "RETRY":
			count.repeated.Add(1)
			return nil, "", false
		}
		stored = append(stored, storedEvent{sequence: r.Sequence, id: r.EventID})
	}
	return stored, decoded.LogID, true
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

// is reports whether a module's progress is what events of these units give.
func (d *progressDocument) is(furthest [faultUnits]float64, done [faultUnits]bool) bool {
	complete := 0
	for _, is := range done {
		if is {
			complete++
		}
	}
	right := len(d.Units) == faultUnits && d.Percent == 100*complete/faultUnits
	for i, u := range d.Units {
		right = right && u.UnitID == fmt.Sprintf("u%d", i) && u.Done == done[i] && (u.Done || u.Progress == furthest[i])
	}
	return right
}

// read asks for the module's and the path's progress, and compares them with what was sent.
func (h *sender) read() bool {
	module, ok := h.look("/v1/learners/me/modules/" + faultModule + "/progress")
	if !ok {
		return false
	}
	var done [faultUnits]bool
	for i := range h.done {
		done[i] = true
	}
	right := module.is(h.furthest, done)
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
	if decoded, ok = h.decode(a, path); !ok {
		return decoded, false
	}
	count := h.count.Load()
	count.reads.Add(1)
	switch want := int64(len(h.promised())) + 1; {
	case decoded.AsOfSequence < want:
		if had := h.losses; h.fellBack() && (!h.follow(nil) || h.losses > had) {
			return decoded, false // it was right: the log is shorter
		}
		count.stale.Add(1)
		count.notef("%s: GET %s is as of %d, and %d is acknowledged", h.name, path, decoded.AsOfSequence, want)
		return decoded, false
	case decoded.AsOfSequence > want:
		count.wrong.Add(1)
		count.notef("%s: GET %s is as of %d, and only %d was sent", h.name, path, decoded.AsOfSequence, want)
	}
	return decoded, true
}

// decode reads a document of progress.
func (h *sender) decode(a *response, what string) (decoded progressDocument, ok bool) {
	if err := json.Unmarshal(a.body, &decoded); err != nil || a.status != http.StatusOK {
		count := h.count.Load()
		count.wrong.Add(1)
		count.notef("%s: %s is answered %d %s", h.name, what, a.status, a.body)
		return decoded, false
	}
	if asOf := a.header.Get(asOfHeader); asOf != "" { // the body does not say it
		_, _ = fmt.Sscan(asOf, &decoded.AsOfSequence)
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

// log reads the log after a sequence, up to another one at least, and returns which log it is.
func (h *sender) log(after, upTo int64) (found []storedEvent, logID string, err error) {
	for after < upTo {
		a, err := h.ask(http.MethodGet, fmt.Sprintf("/v1/learners/me/events?pageSize=500&afterSequence=%d", after), nil)
		if err != nil {
			return nil, "", err
		}
		var page struct {
			LogID  string `json:"logId"`
			Events []struct {
				Sequence int64 `json:"sequence,string"`
				Event    struct {
					EventID string `json:"eventId"`
				} `json:"event"`
			} `json:"events"`
			Next int64 `json:"nextAfterSequence,string"`
		}
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK {
			return nil, "", fmt.Errorf("the log is answered %d %s", a.status, a.body)
		}
		if logID != "" && page.LogID != logID {
			return nil, "", fmt.Errorf("the log was %s and is %s", logID, page.LogID)
		}
		logID = page.LogID
		for _, e := range page.Events {
			found = append(found, storedEvent{sequence: e.Sequence, id: e.Event.EventID})
		}
		if page.Next <= after {
			break // it ends here
		}
		after = page.Next
	}
	return found, logID, nil
}

// listener reads one learner's stream through any gateway that responds, and goes on from where
// a broken one ended.
type listener struct {
	h *sender

	mu       sync.Mutex
	received []storedEvent
	// logID identifies the log that they are of.
	logID string
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

// hear takes what the stream brings: each entry of a log once, in order.
func (e *listener) hear(sent serverSent) bool {
	if sent.data == nil || sent.name == "error" {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	logID := plain(dig(sent.data, "logId"))
	if was := e.logID; logID != was {
		e.logID = logID
		if was != "" {
			e.received = nil // another log, which is read from its beginning
			return false
		}
	}
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
