package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What the network does to a request of a device.
const (
	arrives     = "arrives"
	requestLost = "request lost"
	answerLost  = "answer lost"
	answerCut   = "answer cut"
	hangsUp     = "hung up"
	delayed     = "delayed"
	twice       = "sent twice"
	atOnce      = "sent at once"
	late        = "sent again late"
	heldBack    = "tail held back"
)

var (
	errLost    = errors.New("lost in the network")
	errOffline = errors.New("offline")
)

// lossyNetwork is the network between one device and the server: a transport that loses, doubles, delays and cuts.
type lossyNetwork struct {
	s    *story
	wire http.RoundTripper
	calm atomic.Bool

	mu   sync.Mutex
	dice *rand.Rand
}

func newLossyNetwork(s *story, name string) *lossyNetwork {
	return &lossyNetwork{s: s, wire: s.course.wire, dice: s.dice("network of " + name)}
}

// luck draws a number below n.
func (a *lossyNetwork) luck(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dice.IntN(n)
}

// draw decides what happens to a request.
func (a *lossyNetwork) draw(batch []*sentEvent) string {
	if a.calm.Load() {
		return arrives
	}
	fate := a.luck(100)
	if len(batch) > 100 && fate%3 == 0 {
		a.s.total.add(atOnce, 1)
		return atOnce // what a server may be too busy for
	}
	for _, f := range []struct {
		kind   string
		weight int
	}{
		{requestLost, 7}, {answerLost, 9}, {answerCut, 4}, {hangsUp, 5}, {delayed, 6}, {twice, 5}, {atOnce, 5}, {late, 5}, {heldBack, 5},
	} {
		if fate -= f.weight; fate < 0 {
			if f.kind == heldBack && len(batch) < 2 {
				return arrives
			}
			a.s.total.add(f.kind, 1)
			return f.kind
		}
	}
	return arrives
}

// carriedKey finds in a request's context the events that it carries.
type carriedKey struct{}

func carried(ctx context.Context) []*sentEvent {
	batch, _ := ctx.Value(carriedKey{}).([]*sentEvent)
	return batch
}

// RoundTrip sends the request, or does to it what the dice say.
func (a *lossyNetwork) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body.Close()
	}
	if req.Header.Get("Accept") == "text/event-stream" {
		return a.stream(req)
	}
	kind := a.draw(carried(req.Context()))
	r, err := a.treat(kind, req, body)
	if err != nil {
		return nil, err
	}
	came := io.NopCloser(bytes.NewReader(r.body))
	if kind == answerCut {
		came = &cutBody{ReadCloser: came, left: a.luck(200)}
	}
	return &http.Response{StatusCode: r.status, Header: r.header, Body: came, ContentLength: -1, Request: req}, nil
}

// treat does to a request what was drawn.
func (a *lossyNetwork) treat(kind string, req *http.Request, body []byte) (reply, error) {
	ctx := req.Context()
	switch kind {
	case requestLost:
		return reply{}, errLost
	case answerLost:
		_, _ = a.carry(ctx, req, body)
		return reply{}, errLost
	case hangsUp:
		ctx, cancel := context.WithTimeout(ctx, time.Duration(a.luck(4000))*time.Microsecond)
		defer cancel()
		return a.carry(ctx, req, body)
	case delayed:
		if err := a.hold(ctx); err != nil {
			return reply{}, err
		}
	case twice:
		_, _ = a.carry(ctx, req, body)
	case atOnce:
		return a.carryAtOnce(ctx, req, body)
	case late:
		a.s.late.Go(func() {
			if ctx := context.WithoutCancel(ctx); a.hold(ctx) == nil {
				_, _ = a.carry(ctx, req, body)
			}
		})
	case heldBack:
		return a.carryHead(ctx, req, body)
	}
	return a.carry(ctx, req, body)
}

// carry sends the request to the server, and passes the response to the ledger.
func (a *lossyNetwork) carry(ctx context.Context, req *http.Request, body []byte) (reply, error) {
	sent := req.Clone(ctx)
	sent.Body, sent.ContentLength, sent.GetBody = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	a.s.total.add("requests", 1)
	batch := carried(ctx)
	resp, err := a.wire.RoundTrip(sent)
	if err != nil {
		a.s.book.lost(batch)
		return reply{}, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	r := reply{resp.StatusCode, resp.Header, content}
	switch {
	case err != nil || r.status != http.StatusOK:
		a.s.book.lost(batch)
		if batch != nil && err == nil {
			a.s.tolerable(r)
		}
	case batch != nil:
		a.s.book.received(batch, content)
	}
	return r, err
}

// carryAtOnce sends copies of the request at the same time, so many of a long one that the server
// has too much to do. Any of the responses comes back.
func (a *lossyNetwork) carryAtOnce(ctx context.Context, req *http.Request, body []byte) (reply, error) {
	copies := 2 + a.luck(2)
	if len(carried(ctx)) > 100 {
		copies = 10
	}
	replies, faults := make([]reply, copies), make([]error, copies)
	var sending sync.WaitGroup
	for i := range copies {
		sending.Go(func() { replies[i], faults[i] = a.carry(ctx, req, body) })
	}
	sending.Wait()
	came := a.luck(copies)
	return replies[came], faults[came]
}

// carryHead sends the first events of a batch, and returns RETRY for the others in the place of
// a server that is busy, as it does for a client that sends too much.
func (a *lossyNetwork) carryHead(ctx context.Context, req *http.Request, body []byte) (reply, error) {
	batch := carried(ctx)
	var whole struct {
		Events []json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(body, &whole); err != nil {
		return reply{}, err
	}
	n := 1 + a.luck(len(batch)-1)
	whole.Events = whole.Events[:n]
	head, err := json.Marshal(whole)
	if err != nil {
		return reply{}, err
	}
	r, err := a.carry(context.WithValue(ctx, carriedKey{}, batch[:n]), req, head)
	if err != nil || r.status != http.StatusOK {
		return r, err
	}
	var decoded recorded
	if err := json.Unmarshal(r.body, &decoded); err != nil {
		return reply{}, err
	}
	for _, e := range batch[n:] {
		decoded.Results = append(decoded.Results, recordedResult{EventID: e.id, Status: "RETRY", Reason: "LEARNER_BUSY"})
	}
	r.body, err = json.Marshal(decoded)
	return r, err
}

// hold delays a request for a moment, as a slow network does.
func (a *lossyNetwork) hold(ctx context.Context) error {
	moment := time.NewTimer(time.Duration(a.luck(8000)) * time.Microsecond)
	defer moment.Stop()
	select {
	case <-moment.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stream opens a stream, which may break at any byte.
func (a *lossyNetwork) stream(req *http.Request) (*http.Response, error) {
	a.s.total.add("streams", 1)
	resp, err := a.wire.RoundTrip(req)
	if err == nil && !a.calm.Load() && a.luck(2) == 0 {
		a.s.total.add("streams cut", 1)
		resp.Body = &cutBody{ReadCloser: resp.Body, left: a.luck(6000)}
	}
	return resp, err
}

// cutBody is a body whose connection breaks after some bytes.
type cutBody struct {
	io.ReadCloser

	left int
}

// Read reads until the connection breaks.
func (b *cutBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// reply is a response that came whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// String is the reply in a message of the test.
func (r reply) String() string { return strings.TrimSpace(fmt.Sprint(r.status, " ", string(r.body))) }

// tolerable reports whether a server may respond so when it has too much to do, and counts it.
func (s *story) tolerable(r reply) bool {
	switch r.status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		s.total.add("put off", 1)
		return true
	}
	s.faultf("a request was answered %s", r)
	return false
}

// call sends a request with a token, by a client. Headers come in pairs.
func (s *story) call(client *http.Client, token, method, path, body string, batch []*sentEvent, headers ...string) (reply, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), carriedKey{}, batch), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, text}, err
}

// batchBody returns the body of a batch. way is how to spell each event.
func batchBody(batch []*sentEvent, way func() int) string {
	texts := make([]string, 0, len(batch))
	for _, e := range batch {
		texts = append(texts, e.spell(way()))
	}
	return `{"events":[` + strings.Join(texts, ",") + `]}`
}
