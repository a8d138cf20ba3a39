//go:build node

package e2e

import (
	"bytes"
	"context"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// faultyProxy is a network between a phone and a server, for a client in another process: it
// loses, delays and repeats requests and answers, and cuts connections.
type faultyProxy struct {
	base string
	calm atomic.Bool
	// logID, if set, is put into answers that have none.
	logID atomic.Value
	// target is the server's URL; another one after a restore.
	target atomic.Value

	mu    sync.Mutex
	dice  *rand.Rand
	fates map[string]int
	// valid is for how many requests tokens stay valid after one was refused: two refusals of one request
	// are the client's to report.
	valid int
}

// startFaultyProxy starts a network whose faults come from a seed.
func startFaultyProxy(t *testing.T, target string, seed uint64) *faultyProxy {
	t.Helper()
	p := &faultyProxy{dice: rand.New(rand.NewPCG(seed, 1)), fates: map[string]int{}}
	p.target.Store(target)
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	p.base = server.URL
	return p
}

// draw decides what happens to a request.
func (p *faultyProxy) draw() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	fate := arrives
	if n := p.dice.IntN(100); !p.calm.Load() && n < 48 {
		fate = []string{requestLost, answerLost, answerCut, delayed, twice, atOnce, "put off", "renew"}[n/6]
	}
	if p.valid--; fate == "renew" && p.valid > 0 {
		fate = arrives
	}
	p.fates[fate]++
	return fate
}

func (p *faultyProxy) luck(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dice.IntN(n)
}

// drawn lists what the network did.
func (p *faultyProxy) drawn() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.fates))
}

// ServeHTTP passes a request on, or does to it what the dice say.
func (p *faultyProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if r.Header.Get("Accept") == "text/event-stream" {
		p.stream(w, r)
		return
	}
	fate := p.draw()
	switch fate {
	case requestLost:
		panic(http.ErrAbortHandler)
	case answerLost:
		_, _ = p.carry(r.Context(), r, body)
		panic(http.ErrAbortHandler)
	case delayed:
		select {
		case <-time.After(time.Duration(p.luck(150)) * time.Millisecond):
		case <-r.Context().Done():
		}
	case twice:
		_, _ = p.carry(r.Context(), r, body)
	case atOnce:
		go func() { _, _ = p.carry(context.WithoutCancel(r.Context()), r, body) }()
	case "put off":
		w.Header().Set("Retry-After", "1")
		http.Error(w, "", http.StatusServiceUnavailable)
		return
	case "renew": // a token that the server does not accept any more
		r.Header.Set("Authorization", "Bearer none")
	}
	came, err := p.carry(r.Context(), r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range came.header {
		if name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(came.status)
	if fate == answerCut {
		_, _ = w.Write(came.body[:p.luck(len(came.body)+1)])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(came.body)
}

// carry sends a request to the server.
func (p *faultyProxy) carry(ctx context.Context, r *http.Request, body []byte) (reply, error) {
	resp, err := p.forward(ctx, r, body)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, p.named(r.URL.Path, content)}, err
}

// named puts the log's id into a page or a batch's answer of a server that does not send it.
func (p *faultyProxy) named(path string, content []byte) []byte {
	id, _ := p.logID.Load().(string)
	ofLog := strings.HasSuffix(path, "/events") || strings.HasSuffix(path, "/events:batch")
	rest, isObject := bytes.CutPrefix(content, []byte("{"))
	if id == "" || !ofLog || !isObject || bytes.Contains(content, []byte(`"logId"`)) {
		return content
	}
	return append([]byte(`{"logId":"`+id+`",`), rest...)
}

func (p *faultyProxy) forward(ctx context.Context, r *http.Request, body []byte) (*http.Response, error) {
	target, _ := p.target.Load().(string)
	req, err := http.NewRequestWithContext(ctx, r.Method, target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		if !strings.HasPrefix(name, "Accept-") {
			req.Header[name] = values
		}
	}
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		p.mu.Lock()
		p.valid = 20
		p.mu.Unlock()
	}
	return resp, err
}

// stream passes a stream on, which may break at any byte.
func (p *faultyProxy) stream(w http.ResponseWriter, r *http.Request) {
	resp, err := p.forward(r.Context(), r, nil)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	left := 1 << 30
	if !p.calm.Load() {
		left = p.luck(6000)
	}
	controller, part := http.NewResponseController(w), make([]byte, 4096)
	for left > 0 {
		n, err := resp.Body.Read(part[:min(len(part), left)])
		if left -= n; n > 0 {
			_, _ = w.Write(part[:n])
			_ = controller.Flush()
		}
		if err != nil {
			break
		}
	}
	panic(http.ErrAbortHandler)
}
