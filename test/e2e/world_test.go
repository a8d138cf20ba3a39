package e2e

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// world is a running Preceptor.
type world struct {
	// base is the REST API's URL.
	base string
	data string
	// front is the process that serves HTTP; all are all of them.
	front *process
	all   []*process

	// sticky is whether what one test sends goes over connections of its own: to one of several gateways,
	// of which each promises only that its callers read what was written through itself.
	sticky bool

	mu     sync.Mutex
	tokens map[string]string
	pins   map[*testing.T]*http.Client
}

// oneProcess runs everything in one process.
func oneProcess(t *testing.T, args ...string) *world {
	t.Helper()
	return oneProcessOn(t, t.TempDir(), args...)
}

func oneProcessOn(t *testing.T, data string, args ...string) *world {
	t.Helper()
	p := start(t, append([]string{"serve", "--http", "127.0.0.1:0", "--data", data}, args...)...)
	return &world{base: "http://" + p.addr, data: data, front: p, all: []*process{p}, tokens: map[string]string{}}
}

// fourProcesses runs each service by itself, and the gateway before them.
func fourProcesses(t *testing.T, args ...string) *world {
	t.Helper()
	return fourProcessesOn(t, t.TempDir(), nil, args...)
}

// fourProcessesWith is fourProcesses with arguments for all of them, and for the gateway.
func fourProcessesWith(t *testing.T, all []string, args ...string) *world {
	t.Helper()
	return fourProcessesOn(t, t.TempDir(), map[string][]string{"profile": all, "catalog": all, "progress": all, "gateway": all}, args...)
}

// fourProcessesOn is fourProcesses on a folder, with further arguments for each service.
func fourProcessesOn(t *testing.T, data string, own map[string][]string, args ...string) *world {
	t.Helper()
	w := startFour(t, data, own, args...)
	w.awaitReady(t)
	return w
}

// startFour is fourProcessesOn that does not wait until nothing is degraded.
func startFour(t *testing.T, data string, own map[string][]string, args ...string) *world {
	t.Helper()
	serve := func(name string, more ...string) *process {
		return start(t, slices.Concat([]string{"serve", name, "--data", data, "--drain-delay", "0s"}, more, own[name])...)
	}
	// The catalog and progress call each other, so the address of one of them is chosen beforehand.
	progressAddr := freeAddrs(t, 1)[0]
	catalog := serve("catalog", "--listen", "127.0.0.1:0", "--progress-addr", progressAddr)
	profile := serve("profile", "--listen", "127.0.0.1:0", "--catalog-addr", catalog.addr)
	progress := serve("progress", "--listen", progressAddr, "--catalog-addr", catalog.addr, "--profile-addr", profile.addr)
	gateway := serve("gateway", append([]string{
		"--http", "127.0.0.1:0",
		"--profile-addr", profile.addr, "--catalog-addr", catalog.addr, "--progress-addr", progress.addr,
	}, args...)...)
	return &world{base: "http://" + gateway.addr, data: data, front: gateway, all: []*process{gateway, progress, profile, catalog}, tokens: map[string]string{}}
}

// awaitReady waits until nothing is degraded.
func (w *world) awaitReady(t *testing.T) {
	t.Helper()
	operator := w.operator(t)
	eventually(t, "everything is ready", func() bool {
		a := operator.get("/readyz")
		return a.status == 200 && a.get("status") == "ready"
	})
}

// operator reads the health pages of the process in front, which are not for everybody.
func (w *world) operator(t *testing.T) *client {
	t.Helper()
	if w.front.health == "" {
		t.Fatal("the process in front has no health pages")
	}
	return &client{t: t, base: "http://" + w.front.health}
}

// as is a client for a subject with roles; none stands for learner.
func (w *world) as(t *testing.T, subject string, roles ...string) *client {
	t.Helper()
	return &client{t: t, base: w.base, token: w.token(t, subject, roles...), via: w.pin(t)}
}

// pin returns what a test's requests are sent by; nil: what those of all are.
func (w *world) pin(t *testing.T) *http.Client {
	t.Helper()
	if !w.sticky {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pins[t] == nil {
		if w.pins == nil {
			w.pins = map[*testing.T]*http.Client{}
		}
		own := *httpClient
		own.Transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
		w.pins[t] = &own
		t.Cleanup(own.CloseIdleConnections)
	}
	return w.pins[t]
}

// token asks the program for a token, once.
func (w *world) token(t *testing.T, subject string, roles ...string) string {
	t.Helper()
	key := subject + " " + strings.Join(roles, " ")
	w.mu.Lock()
	defer w.mu.Unlock()
	if token, ok := w.tokens[key]; ok {
		return token
	}
	args := []string{"token", "--data", w.data, "--subject", subject}
	for _, role := range roles {
		args = append(args, "--role", role)
	}
	stdout, stderr, code := command(t, args...)
	if code != 0 {
		t.Fatalf("token: exit code %d: %s", code, stderr)
	}
	w.tokens[key] = strings.TrimSpace(stdout)
	return w.tokens[key]
}
