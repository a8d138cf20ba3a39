package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

const (
	honestModule, honestPath = "honest-module", "honest-path"
	honestUnits              = 4
	honestLearners           = 2
	// maxTries bounds how often an honest client sends what was refused with the request to try again.
	maxTries = 200
)

// honest are the clients that only use the program, while it is attacked.
type honest struct {
	w *world
	// pace is how long each one waits between two requests.
	pace time.Duration
	// tolerant is whether the attack takes the program away: then they try again whatever happens.
	tolerant bool

	learners []*learner
	working  sync.WaitGroup
	cancel   context.CancelFunc

	mu      sync.Mutex
	took    []time.Duration
	retried int
}

// learner is an honest client with what the program acknowledged to it.
type learner struct {
	token  string
	client *http.Client

	acked []string
}

// prepare publishes a course, and enrolls the learners in it.
func (h *honest) prepare(ctx context.Context) error {
	author := h.w.issuer.token("honest-author", "author")
	var units []any
	for i := range honestUnits {
		units = append(units, map[string]any{"id": fmt.Sprintf("u%d", i), "title": "Unit", "kind": "READING"})
	}
	steps := []request{
		request{method: http.MethodPost, path: "/v1/modules?moduleId=" + honestModule, token: author}.asJSON(map[string]any{
			"topic": "honesty", "title": "Honest work", "units": units,
		}),
		request{method: http.MethodPost, path: "/v1/modules/" + honestModule + ":publish", token: author}.asJSON(map[string]any{}),
		request{method: http.MethodPost, path: "/v1/paths?pathId=" + honestPath, token: author}.asJSON(map[string]any{
			"title": "Honest path", "milestones": []any{
				map[string]any{"id": "all", "title": "All", "groups": []any{map[string]any{"moduleIds": []string{honestModule}}}},
			},
		}),
		request{method: http.MethodPost, path: "/v1/paths/" + honestPath + ":publish", token: author}.asJSON(map[string]any{}),
	}
	for i := range honestLearners {
		l := &learner{token: h.w.issuer.token(fmt.Sprintf("honest-%d", i), "learner"), client: newHTTPClient(fmt.Sprintf("127.0.1.%d", i+1))}
		h.learners = append(h.learners, l)
		steps = append(steps, request{method: http.MethodPost, path: "/v1/learners/me/enrollments", token: l.token}.asJSON(map[string]any{"pathId": honestPath}))
	}
	client := newHTTPClient("127.0.1.100")
	for _, r := range steps {
		a, err := h.ask(ctx, client, r)
		if err != nil {
			return fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		if a.status >= http.StatusBadRequest {
			return fmt.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.body)
		}
	}
	return h.command(ctx)
}

// command is one of an admin's, so that the audit has a chain.
func (h *honest) command(ctx context.Context) error {
	client := newHTTPClient("127.0.1.102")
	a, err := h.ask(ctx, client, request{method: http.MethodGet, path: "/v1/learners/me", token: h.learners[0].token})
	if err != nil {
		return err
	}
	var me struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(a.body, &me); err != nil {
		return fmt.Errorf("%d %s: %w", a.status, a.body, err)
	}
	a, err = h.ask(ctx, client, request{
		method: http.MethodPost, path: "/v1/learners/" + me.ID + "/events:batch", token: h.w.issuer.token("honest-admin", "admin"),
	}.asJSON(map[string]any{"events": []any{map[string]any{
		"eventId": uuid.Must(uuid.NewV7()).String(), "moduleId": honestModule, "unitId": "u0", "verb": "WAIVED", "reason": "known already",
		"occurredAt": testenv.Now().UTC().Format(time.RFC3339Nano), "deviceId": "console",
	}}}))
	if err != nil {
		return err
	}
	if a.status != http.StatusOK || !strings.Contains(string(a.body), "ACCEPTED") {
		return fmt.Errorf("an admin's command: %d %s", a.status, a.body)
	}
	return nil
}

// start has them all work until stop.
func (h *honest) start(ctx context.Context) {
	h.took, h.retried = nil, 0
	ctx, h.cancel = context.WithCancel(ctx)
	for _, l := range h.learners {
		h.working.Go(func() { h.learn(ctx, l) })
	}
	h.working.Go(func() { h.write(ctx) })
}

// stop waits until the last request of each is answered.
func (h *honest) stop() {
	h.cancel()
	h.working.Wait()
}

// learn records events, and reads the progress after each batch.
func (h *honest) learn(ctx context.Context, l *learner) {
	whole := context.WithoutCancel(ctx)
	for n := 0; ctx.Err() == nil; n++ {
		var ids []string
		var events []any
		for i := range 1 + n%honestUnits {
			id := uuid.Must(uuid.NewV7()).String()
			ids = append(ids, id)
			events = append(events, map[string]any{
				"eventId": id, "moduleId": honestModule, "unitId": fmt.Sprintf("u%d", i), "verb": "PROGRESSED", "progress": 0.5,
				"occurredAt": testenv.Now().UTC().Format(time.RFC3339Nano), "deviceId": "phone-1",
			})
		}
		a := h.must(whole, l.client, request{method: http.MethodPost, path: "/v1/learners/me/events:batch", token: l.token}.asJSON(map[string]any{"events": events}))
		if a != nil {
			h.acknowledge(l, ids, a)
		}
		pause(ctx, h.pace)
		h.must(whole, l.client, request{method: http.MethodGet, path: "/v1/learners/me/paths/" + honestPath + "/progress", token: l.token})
		pause(ctx, h.pace)
	}
}

// acknowledge keeps the ids of events that the program said it had stored.
func (h *honest) acknowledge(l *learner, ids []string, a *answer) {
	var batch struct {
		Results []struct {
			EventID string `json:"eventId"`
			Status  string `json:"status"`
		} `json:"results"`
	}
	if err := json.Unmarshal(a.body, &batch); err != nil || len(batch.Results) != len(ids) {
		h.w.tally.faultf("honest: %d events, answered with %.200q", len(ids), a.body)
		return
	}
	for i, r := range batch.Results {
		if r.EventID == ids[i] && (r.Status == "ACCEPTED" || r.Status == "DUPLICATE") {
			l.acked = append(l.acked, r.EventID)
		} else if r.Status != "RETRY" {
			h.w.tally.faultf("honest: an event is %s", r.Status)
		}
	}
}

// write changes a draft, over and over.
func (h *honest) write(ctx context.Context) {
	whole := context.WithoutCancel(ctx)
	client := newHTTPClient("127.0.1.101")
	token := h.w.issuer.token("honest-author", "author")
	for n := 0; ctx.Err() == nil; n++ {
		h.must(whole, client, request{method: http.MethodPatch, path: "/v1/modules/" + honestModule, token: token}.asJSON(map[string]any{
			"title": fmt.Sprintf("Honest work %d", n),
		}))
		pause(ctx, 2*h.pace)
	}
}

// must sends a request that has to succeed in the end, and measures how long that takes. It returns nil
// when it did not.
func (h *honest) must(ctx context.Context, client *http.Client, r request) *answer {
	began := testenv.Now()
	a, err := h.ask(ctx, client, r)
	if err == nil && a.status >= http.StatusBadRequest {
		err = fmt.Errorf("%d %.200q", a.status, a.body)
	}
	if err != nil {
		h.w.tally.faultf("honest: %s %s: %s", r.method, r.path, withoutPorts(err))
		return nil
	}
	h.mu.Lock()
	h.took = append(h.took, testenv.Since(began))
	h.mu.Unlock()
	return a
}

var errGaveUp = errors.New("refused over and over")

// ask sends a request again as long as the response asks for that and, of a tolerant client, as long as
// there is no response.
func (h *honest) ask(ctx context.Context, client *http.Client, r request) (*answer, error) {
	last := errGaveUp
	for range maxTries {
		a, err := send(ctx, client, h.w.httpAddr(), r)
		wait := 50 * time.Millisecond
		switch {
		case err != nil && !h.tolerant:
			return nil, err
		case err != nil:
			last = err
		case a.status == http.StatusGatewayTimeout && h.w.tally.busy:
			// A server that has much to do may need longer than its own deadline: all of this may be sent again.
			last = fmt.Errorf("%d %.200q", a.status, a.body)
		case a.status != http.StatusTooManyRequests && a.status != http.StatusServiceUnavailable:
			return a, nil
		case a.header.Get("Retry-After") == "" && !h.tolerant:
			return nil, fmt.Errorf("%d without Retry-After: %.200q", a.status, a.body)
		default:
			last = fmt.Errorf("%d %.200q", a.status, a.body)
			if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil {
				wait = min(time.Duration(seconds)*time.Second, time.Second)
			}
		}
		h.mu.Lock()
		h.retried++
		h.mu.Unlock()
		pause(ctx, wait)
	}
	return nil, last
}

// check compares the log of each learner with what was acknowledged.
func (h *honest) check(ctx context.Context) {
	acked := 0
	for i, l := range h.learners {
		stored, err := h.log(ctx, l)
		if err != nil {
			h.w.tally.summaryf("honest: the log of learner %d: %v", i, err)
			continue
		}
		acked += len(l.acked)
		lost := 0
		for _, id := range l.acked {
			if stored[id] != 1 {
				lost++
			}
		}
		if lost > 0 {
			h.w.tally.summaryf("honest: of %d acknowledged events of learner %d, %d are not in the log once", len(l.acked), i, lost)
		}
	}
	if acked == 0 {
		h.w.tally.summaryf("honest: no event was acknowledged")
	}
}

// log reads a learner's whole log, and returns how often each event is in it.
func (h *honest) log(ctx context.Context, l *learner) (map[string]int, error) {
	stored := map[string]int{}
	for after, last := "0", 0; ; {
		a, err := h.ask(ctx, l.client, request{
			method: http.MethodGet, path: "/v1/learners/me/events?pageSize=500&afterSequence=" + after, token: l.token,
		})
		if err != nil {
			return nil, err
		}
		var page struct {
			Events []struct {
				Sequence string `json:"sequence"`
				Event    struct {
					EventID string `json:"eventId"`
				} `json:"event"`
			} `json:"events"`
			Next string `json:"nextAfterSequence"`
			AsOf string `json:"asOfSequence"`
		}
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK {
			return nil, fmt.Errorf("%d %.200q", a.status, a.body)
		}
		for _, e := range page.Events {
			if last++; e.Sequence != strconv.Itoa(last) {
				return nil, fmt.Errorf("entry %d has the sequence %s", last, e.Sequence)
			}
			stored[e.Event.EventID]++
		}
		if after = page.Next; after == page.AsOf || len(page.Events) == 0 {
			return stored, nil
		}
	}
}
