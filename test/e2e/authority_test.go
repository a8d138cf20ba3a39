package e2e

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// mounted is a folder for each service with what a Secret has: its certificate, its key, and the authorities.
type mounted struct {
	t   *testing.T
	dir string
}

func (m mounted) file(service, name string) string { return filepath.Join(m.dir, service, name) }

func (m mounted) flags(service string) []string {
	return []string{"--tls-cert", m.file(service, "tls.crt"), "--tls-key", m.file(service, "tls.key"), "--tls-ca", m.file(service, "ca.crt")}
}

// certify gives a service a certificate by an authority, which ends at a time.
func (m mounted) certify(service string, by *testenv.Authority, end time.Time) {
	m.t.Helper()
	certificate, key := by.Service(m.t, service, end)
	m.copy(m.file(service, "tls.key"), key)
	m.copy(m.file(service, "tls.crt"), certificate)
}

// trust has a service trust the authorities.
func (m mounted) trust(service string, authorities ...*testenv.Authority) {
	m.t.Helper()
	files := make([]string, 0, len(authorities))
	for _, a := range authorities {
		files = append(files, a.File)
	}
	m.copy(m.file(service, "ca.crt"), files...)
}

// copy makes one file of others, which nobody sees half written.
func (m mounted) copy(to string, from ...string) {
	m.t.Helper()
	var all bytes.Buffer
	for _, name := range from {
		text, err := os.ReadFile(name)
		if err != nil {
			m.t.Fatal(err)
		}
		all.Write(text)
	}
	err := os.MkdirAll(filepath.Dir(to), 0o700)
	if err == nil {
		err = os.WriteFile(to+".new", all.Bytes(), 0o600)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// TestTheAuthorityIsReplaced goes the way of docs/kubernetes.md from one authority of the services' certificates to
// another, one service after the other in each step, while somebody calls all of them. No process is started anew and
// no call fails; after each step, one that is new reaches the others.
func TestTheAuthorityIsReplaced(t *testing.T) {
	t.Parallel()
	older, newer := testenv.NewAuthority(t), testenv.NewAuthority(t)
	at, end := mounted{t, t.TempDir()}, testenv.Now().Add(time.Hour)
	services := []string{"profile", "catalog", "progress", "gateway"}
	for _, service := range services {
		at.certify(service, older, end)
		at.trust(service, older)
	}
	addrs, data := freeAddrs(t, 3), t.TempDir()
	run := func(service string, more ...string) *process {
		args := []string{"serve", service, "--data", data, "--profile-addr", addrs[0], "--catalog-addr", addrs[1], "--progress-addr", addrs[2]}
		return start(t, append(append(args, at.flags(service)...), more...)...)
	}
	running := map[string]*process{}
	for i, service := range services[:3] {
		running[service] = run(service, "--listen", addrs[i])
	}
	running["gateway"] = run("gateway", "--http", "127.0.0.1:0", "--drain-delay", "0s")
	w := &world{base: "http://" + running["gateway"].addr, data: data, tokens: map[string]string{}, front: running["gateway"]}
	w.awaitReady(t)
	me := w.as(t, "ada")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": "clinical-ai-engineer"}).want(http.StatusCreated)
	calls := callAll(t, me)

	const certified, trusted = "the certificate is a new one", "other authorities are trusted"
	for i, step := range []struct {
		name, logged string
		change       func(service string)
	}{
		{"both authorities are trusted", trusted, func(service string) { at.trust(service, older, newer) }},
		{"certificates are the new one's", certified, func(service string) { at.certify(service, newer, end.Add(time.Minute)) }},
		{"the new one alone is trusted", trusted, func(service string) { at.trust(service, newer) }},
	} {
		for _, service := range services {
			before := len(running[service].lines(step.logged))
			step.change(service)
			eventually(t, step.name+" by "+service, func() bool { return len(running[service].lines(step.logged)) > before })
		}
		late := run("gateway", "--http", "127.0.0.1:0", "--drain-delay", "0s")
		(&world{base: "http://" + late.addr, front: late}).awaitReady(t)
		late.kill()
		if n := calls.made(); n == 0 {
			t.Errorf("step %d: nobody called", i)
		}
	}
	calls.end()
	// The old one's certificates are refused: only the new one is trusted.
	at.dir = t.TempDir()
	at.certify("gateway", older, end)
	at.trust("gateway", older, newer)
	stranger := run("gateway", "--http", "127.0.0.1:0", "--drain-delay", "0s")
	them := *me
	them.base = "http://" + stranger.addr
	them.get("/v1/learners/me/progress").problem(http.StatusServiceUnavailable, "UPSTREAM_UNAVAILABLE")
}

// callers ask all services again and again, and report whatever fails.
type callers struct {
	all  sync.WaitGroup
	stop chan struct{}

	mu sync.Mutex
	n  int
}

func callAll(t *testing.T, as *client) *callers {
	t.Helper()
	c := &callers{stop: make(chan struct{})}
	for _, path := range []string{"/v1/learners/me", "/v1/modules", "/v1/learners/me/progress"} {
		c.all.Go(func() {
			for {
				select {
				case <-c.stop:
					return
				default:
				}
				if a, err := as.try(http.MethodGet, path, nil); err != nil || a.status != http.StatusOK {
					t.Errorf("%s: %+v %v", path, a, err)
					return
				}
				c.mu.Lock()
				c.n++
				c.mu.Unlock()
			}
		})
	}
	return c
}

// made returns how many calls were made since it was last asked.
func (c *callers) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = 0
	return n
}

func (c *callers) end() {
	close(c.stop)
	c.all.Wait()
}
