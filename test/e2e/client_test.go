package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// client is a caller with a token, or an unauthenticated one.
type client struct {
	t     *testing.T
	base  string
	token string
	// via is what requests are sent by; nil: httpClient.
	via *http.Client
}

// response is what came back.
type response struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   []byte
	tree   any
}

// httpClient takes responses as they are sent.
var httpClient = &http.Client{
	Timeout:       patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     recording(&http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}),
}

// do sends a request. A body that is no string or bytes is sent as JSON; headers come in pairs.
func (c *client) do(method, path string, body any, headers ...string) *response {
	c.t.Helper()
	a, err := c.try(method, path, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// try is do for a server that may be gone.
func (c *client) try(method, path string, body any, headers ...string) (*response, error) {
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	case []byte:
		text = b
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequest(method, c.base+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := cmp.Or(c.via, httpClient).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &response{t: c.t, what: method + " " + path, status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	if kind := resp.Header.Get("Content-Type"); strings.Contains(kind, "json") && !strings.Contains(kind, "ndjson") && resp.Header.Get("Content-Encoding") == "" && len(a.body) > 0 {
		if err := json.Unmarshal(a.body, &a.tree); err != nil {
			return nil, fmt.Errorf("%s: not JSON: %w: %s", a.what, err, a.body)
		}
		if odd := otherTimes.FindString(string(a.body)); odd != "" && strings.HasPrefix(path, "/v1/") && a.status < http.StatusBadRequest {
			c.t.Errorf("%s: the time %s has not six digits of a second", a.what, odd)
		}
	}
	return a, nil
}

func (c *client) get(path string, headers ...string) *response {
	c.t.Helper()
	return c.do(http.MethodGet, path, nil, headers...)
}

func (c *client) post(path string, body any, headers ...string) *response {
	c.t.Helper()
	return c.do(http.MethodPost, path, body, headers...)
}

func (c *client) patch(path string, body any, headers ...string) *response {
	c.t.Helper()
	return c.do(http.MethodPatch, path, body, headers...)
}

// id is the client's own learner id; the first call signs in.
func (c *client) id() string {
	c.t.Helper()
	return c.get("/v1/learners/me").want(http.StatusOK).text("id")
}

// want fails the test unless the status is this one.
func (a *response) want(status int) *response {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d: %s", a.what, a.status, status, a.body)
	}
	return a
}

// get is a value in the response: "milestones.0.percent"; nil where there is none.
func (a *response) get(path string) any { return dig(a.tree, path) }

func dig(tree any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch node := tree.(type) {
		case map[string]any:
			tree = node[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(node) {
				return nil
			}
			tree = node[i]
		default:
			return nil
		}
	}
	return tree
}

func (a *response) text(path string) string {
	a.t.Helper()
	s, ok := a.get(path).(string)
	if !ok {
		a.t.Fatalf("%s: %s is no text: %s", a.what, path, a.body)
	}
	return s
}

func (a *response) list(path string) []any {
	a.t.Helper()
	l, ok := a.get(path).([]any)
	if !ok {
		a.t.Fatalf("%s: %s is no list: %s", a.what, path, a.body)
	}
	return l
}

// has fails the test unless each path holds the value that follows it, compared as texts;
// "<none>" asks that there is none.
func (a *response) has(pairs ...any) *response {
	a.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		path := fmt.Sprint(pairs[i])
		got := "<none>"
		if v := a.get(path); v != nil {
			got = plain(v)
		}
		if want := plain(pairs[i+1]); got != want {
			a.t.Errorf("%s: %s is %s, want %s\n%s", a.what, path, got, want, a.body)
		}
	}
	return a
}

// plain is a value as one text: what is a list or an object, as JSON.
func plain(v any) string {
	switch v.(type) {
	case []any, map[string]any, []string:
		text, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	return strings.Replace(fmt.Sprint(v), ".000000Z", "Z", 1) // as tests spell whole seconds
}

// otherTimes finds times in JSON that have not six digits of a second.
var otherTimes = regexp.MustCompile(`"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,5}|\.[0-9]{7,})?Z"`)

// problem fails the test unless the response is a problem document with this status and reason.
func (a *response) problem(status int, reason string) *response {
	a.t.Helper()
	a.want(status)
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		a.t.Errorf("%s: content type %s", a.what, ct)
	}
	a.has("status", status, "reason", reason, "instance", strings.SplitN(strings.SplitN(a.what, " ", 2)[1], "?", 2)[0])
	for _, field := range []string{"type", "title", "detail", "code", "requestId"} {
		if a.text(field) == "" {
			a.t.Errorf("%s: no %s in %s", a.what, field, a.body)
		}
	}
	if a.header.Get("X-Request-ID") != a.text("requestId") {
		a.t.Errorf("%s: the request has two ids", a.what)
	}
	return a
}

// violates fails the test unless each pair of field and reason is among the violations.
func (a *response) violates(pairs ...string) {
	a.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		found := false
		for _, v := range a.list("violations") {
			found = found || dig(v, "field") == pairs[i] && dig(v, "reason") == pairs[i+1]
		}
		if !found {
			a.t.Errorf("%s: no violation %s %s in %s", a.what, pairs[i], pairs[i+1], a.body)
		}
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never came: %s", what)
		}
	}
}

// newID is a fresh UUIDv7, as a device makes it.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// event is one element of events:batch; more come in pairs.
func event(module, unit, verb string, more ...any) map[string]any {
	e := map[string]any{
		"eventId": newID(), "moduleId": module, "unitId": unit, "verb": verb,
		"occurredAt": testenv.Now().UTC().Format(time.RFC3339Nano), "deviceId": "phone-1",
	}
	for i := 0; i < len(more); i += 2 {
		e[fmt.Sprint(more[i])] = more[i+1]
	}
	return e
}

// voidOf takes an event back; an admin sends it.
func voidOf(e map[string]any, reason string) map[string]any {
	void := event("", "", "VOIDED", "reason", reason, "voidsEventId", e["eventId"])
	delete(void, "moduleId")
	delete(void, "unitId")
	return void
}

// oneDay makes the events of one learner occur on one day, whatever the hour: today in UTC, one
// after the other from its beginning. It returns that day.
func oneDay(events ...map[string]any) string {
	day := testenv.Now().UTC().Truncate(24 * time.Hour)
	for i, e := range events {
		e["occurredAt"] = day.Add(time.Duration(i) * time.Millisecond).Format(time.RFC3339Nano)
	}
	return day.Format(time.DateOnly)
}

// record sends events.
func (c *client) record(events ...any) *response {
	c.t.Helper()
	return c.post("/v1/learners/me/events:batch", map[string]any{"events": events}).want(http.StatusOK)
}
