package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// most is what a process may have used at its worst, what it has in production. On fast machines it comes near
// the 345 MiB of its GOMEMLIMIT, the most that a process keeps to in a container of that size.
const most = 384 << 20

// TestBodiesCostNoMemory holds the memory of a process in its production limits while callers without a
// token announce large bodies, and one with a token sends as much at once as it can. All are answered, and somebody
// else beside them is served.
func TestBodiesCostNoMemory(t *testing.T) {
	t.Parallel()
	w := limited(t)
	honest, greedy := w.as(t, "honest"), w.as(t, "greedy")
	honest.post("/v1/learners/me/enrollments", map[string]any{"pathId": "clinical-ai-engineer"}).want(http.StatusCreated)
	before := honest.latencies(t, func() {})
	announced := func() {
		for range 30 {
			if got := w.announce(t, ""); got != http.StatusUnauthorized {
				t.Errorf("a stranger's body is answered %d", got)
			}
		}
	}
	announced()
	var statuses [600]atomic.Int64
	greedy.via = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	body := largeBatch()
	beside := honest.latencies(t, func() {
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				if a, err := greedy.try(http.MethodPost, "/v1/learners/me/events:batch", body); err != nil {
					t.Error(err)
				} else {
					statuses[a.status].Add(1)
				}
			})
		}
		announced()
		all.Wait()
	})
	served, limited := statuses[http.StatusOK].Load(), statuses[http.StatusTooManyRequests].Load()+statuses[http.StatusServiceUnavailable].Load()
	// On a slow machine some do not arrive, or are not recorded, in time.
	limited += statuses[http.StatusRequestTimeout].Load() + statuses[http.StatusGatewayTimeout].Load()
	if served == 0 || served+limited != 500 {
		t.Errorf("of 500 bodies %d were served, and %d refused for the time being", served, limited)
	}
	peak := w.front.peakMemory(t)
	if peak > most {
		t.Errorf("the process had %d MiB", peak>>20)
	}
	t.Logf("%d served, %d refused for the time being; at most %d MiB; a path's progress %s, beside it %s", served, limited, peak>>20, before, beside)
}

// TestStrangersCostNoTime reports how long an honest client waits beside thirty connections without a token that
// announce large bodies again and again, and 300 tokens a second that are none.
func TestStrangersCostNoTime(t *testing.T) {
	t.Parallel()
	w := limited(t, "--rate-limit", "50", "--rate-burst", "1000")
	honest := w.as(t, "honest")
	honest.post("/v1/learners/me/enrollments", map[string]any{"pathId": "clinical-ai-engineer"}).want(http.StatusCreated)
	before := honest.latencies(t, func() {})
	var refused, limited atomic.Int64
	beside := honest.latencies(t, func() {
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				for range 5 {
					w.announce(t, "")
				}
			})
		}
		tick := time.NewTicker(time.Second / 300)
		defer tick.Stop()
		for i := range 900 {
			<-tick.C
			all.Go(func() {
				a, err := (&client{t: t, base: w.base, token: fmt.Sprintf("junk.%d.token", i)}).try(http.MethodGet, "/v1/topics", nil)
				switch {
				case err != nil:
					t.Error(err)
				case a.status == http.StatusUnauthorized:
					refused.Add(1)
				case a.status == http.StatusTooManyRequests:
					limited.Add(1)
				}
			})
		}
		all.Wait()
	})
	if refused.Load() == 0 || limited.Load() == 0 || refused.Load()+limited.Load() != 900 {
		t.Errorf("of 900 junk tokens %d were refused, and %d not looked at", refused.Load(), limited.Load())
	}
	t.Logf("%d junk tokens refused, %d not looked at; a path's progress %s, beside it %s", refused.Load(), limited.Load(), before, beside)
}

// limited is oneProcess with the memory that a pod has.
func limited(t *testing.T, args ...string) *world {
	t.Helper()
	data := t.TempDir()
	p, ready := launchWith(t, []string{"GOMEMLIMIT=345MiB"}, append([]string{"serve", "--http", "127.0.0.1:0", "--data", data, "--log-format", "json"}, args...)...)
	select {
	case line := <-ready:
		p.addr = line.HTTP
	case <-p.exited:
		t.Fatalf("the program ended before it was ready: %v\n%s", p.err, p.output())
	case <-time.After(patience):
		t.Fatalf("the program is not ready\n%s", p.output())
	}
	return &world{base: "http://" + p.addr, data: data, front: p, all: []*process{p}, tokens: map[string]string{}}
}

// announce begins an import of 16 MiB, of which no byte is sent, and returns the status of the response.
func (w *world) announce(t *testing.T, authorization string) int {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.base, "http://"))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/catalog:import HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n", 16<<20, authorization)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// largeBatch is a batch of one event in a body of a MiB.
func largeBatch() string {
	body := fmt.Sprintf(`{"events":[{"eventId":%q,"moduleId":"hipaa-foundations","unitId":"phi","verb":"COMPLETED","occurredAt":"2026-01-01T00:00:00Z"}]`,
		uuid.NewString())
	return body + strings.Repeat(" ", 1<<20-len(body)-1) + "}"
}

// waits are how long requests took.
type waits []time.Duration

func (w waits) String() string {
	return fmt.Sprintf("p50 %s, p99 %s of %d", w[len(w)/2].Round(time.Microsecond), w[len(w)*99/100].Round(time.Microsecond), len(w))
}

// latencies reads a path's progress while something else happens, and at least 200 times.
func (c *client) latencies(t *testing.T, beside func()) waits {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		beside()
	}()
	var all waits
	for {
		begun := testenv.Now()
		if a := c.get("/v1/learners/me/paths/clinical-ai-engineer/progress"); a.status != http.StatusOK && a.status != http.StatusTooManyRequests {
			t.Errorf("an honest client gets %d %s", a.status, a.body)
		}
		all = append(all, testenv.Since(begun))
		if len(all) < 200 {
			continue
		}
		select {
		case <-done:
			slices.Sort(all)
			return all
		case <-time.After(20 * time.Millisecond): // within the rate limit
		}
	}
}

// peakMemory returns the most memory that a process has had, in bytes.
func (p *process) peakMemory(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatalf("no VmHWM in %s", text)
	return 0
}
