//go:build realservers

package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

var faultLoad = flag.Duration("faults.load", 2*time.Second, "how long each scenario of TestFaults and TestFaultsOnCluster lasts at least")

const (
	// senders is how many devices send; every second one has its stream open.
	senders = 8
	// enoughRefused is how many tries must have failed before Postgres comes back.
	enoughRefused = 10
	// enoughCut is how many connections a lossy network must have lost before it is whole again.
	enoughCut = 3
)

// trial plays faults on a fleet while senders use it.
type trial struct {
	t     *testing.T
	fleet *fleet
	count atomic.Pointer[counts]
	// senders and listeners are those of the same learners, by index; listeners are fewer.
	senders   []*sender
	listeners []*listener
	// audited is how much of each learner's log was compared, and logs is which log that was.
	audited []int
	logs    []string
	rows    []row
}

// row is a line of the table.
type row struct {
	name   string
	counts *counts
	// repaired is when the fault was over: a process that is gone is started again then. It is when
	// the fault began, if nothing repairs it.
	repaired time.Time
	// onward is the longest that a sender waited to be served while the fault lasted, where
	// others stand in; recovered is how long after its end all were served as before.
	onward, recovered time.Duration
}

// scenario is something that goes wrong. When play returns nothing is wrong any more.
type scenario struct {
	name string
	play func(*trial, *row)
	// flawless means that no request may fail for a client that tries again.
	flawless bool
	// loses means that acknowledged events must have been lost, or the fault was none.
	loses bool
}

// TestFaults breaks each part of the fleet while learners' phones use it. Whatever happens,
// nothing that was acknowledged is lost, and no response is wrong or stale.
func TestFaults(t *testing.T) {
	server := testenv.NewMortalRedis(t)
	f := newFleet(t, migrated(t), directly, "redis://"+server.Addr)
	try(t, f, slices.Concat(f.faults(), redisFaults(server)))
}

// try plays scenarios on a fleet in use.
func try(t *testing.T, f *fleet, scenarios []scenario) {
	t.Helper()
	tr := &trial{t: t, fleet: f}
	tr.count.Store(&counts{})
	tr.enlist()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	stop := make(chan struct{})
	var living, listening sync.WaitGroup
	for _, h := range tr.senders {
		living.Go(func() { h.live(ctx, stop) })
	}
	for _, e := range tr.listeners {
		listening.Go(func() { e.listen(ctx) })
	}
	defer listening.Wait()
	defer cancel()
	for _, s := range scenarios {
		tr.run(s)
	}
	close(stop)
	ended := make(chan struct{})
	go func() {
		living.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(slowStart):
		cancel()
		t.Fatal("a batch was never acknowledged")
	}
	tr.finish()
	t.Log("\n" + tr.table())
}

// enlist publishes what is learned, and signs everybody in.
func (tr *trial) enlist() {
	tr.t.Helper()
	w := tr.fleet.world
	author := w.as(tr.t, "author", "author")
	content := basicsContent("Faults")
	delete(content, "currencyPolicy")
	var units []any
	for i := range faultUnits {
		units = append(units, map[string]any{"id": fmt.Sprintf("u%d", i), "title": "Unit", "kind": "READING"})
	}
	content["units"] = units
	author.post("/v1/modules?moduleId="+faultModule, content).want(http.StatusCreated)
	author.post("/v1/modules/"+faultModule+":publish", map[string]any{}).want(http.StatusOK)
	author.post("/v1/paths?pathId="+faultID, map[string]any{
		"title": "Faults", "summary": "One step.", "roles": []string{"clinical-ai-engineer"},
		"milestones": []any{map[string]any{"id": "all", "title": "All", "groups": []any{map[string]any{"moduleIds": []string{faultModule}}}}},
	}).want(http.StatusCreated)
	author.post("/v1/paths/"+faultID+":publish", map[string]any{}).want(http.StatusOK)
	var bases []string
	for _, g := range tr.fleet.gateways {
		bases = append(bases, "http://"+g.addr)
	}
	for i := range senders {
		name := fmt.Sprintf("sender-%d", i)
		me := w.as(tr.t, name)
		// The other replica may hear of the path two seconds later.
		within(tr.t, name+" enrolls", func() bool {
			return me.post("/v1/learners/me/enrollments", map[string]any{"pathId": faultID}).status == http.StatusCreated
		})
		h := &sender{name: name, token: me.token, bases: bases, count: &tr.count, dice: rand.New(rand.NewPCG(1, uint64(i))), sent: map[string]any{}, gone: map[string]bool{}}
		tr.senders = append(tr.senders, h)
		if i%2 == 0 {
			tr.listeners = append(tr.listeners, &listener{h: h})
		}
	}
	tr.audited, tr.logs = make([]int, senders), make([]string, senders)
}

// nothing is the scenario that the others are measured by.
func nothing() scenario {
	return scenario{name: "nothing", play: func(*trial, *row) {}, flawless: true}
}

// faults are those of every part but Redis, in the order in which they are played.
func (f *fleet) faults() []scenario {
	all := []scenario{nothing()}
	for _, m := range []*member{f.profile, f.catalog, f.progress[0], f.progress[1], f.gateways[0], f.gateways[1]} {
		all = append(all, scenario{name: "kill -9 " + m.name, play: func(tr *trial, r *row) { tr.kill(m, r) }})
	}
	everybody := slices.Concat(f.progress, f.gateways, []*member{f.catalog, f.profile})
	return append(
		all,
		scenario{name: "Postgres crashes", play: (*trial).crash},
		scenario{name: "rolling restart", play: func(tr *trial, r *row) { tr.roll(everybody, r) }, flawless: true},
		scenario{name: "slow, lossy network", play: (*trial).slow},
		scenario{name: "certificates rotated", play: func(tr *trial, _ *row) { tr.fleet.rotate(tr.t) }},
	)
}

// run plays one scenario, waits until everybody is served as before, and judges.
func (tr *trial) run(s scenario) {
	tr.t.Helper()
	began, c := testenv.Now(), &counts{}
	tr.count.Store(c)
	r := row{name: s.name, counts: c}
	s.play(tr, &r)
	if r.repaired.IsZero() {
		r.repaired = testenv.Now()
	}
	tr.await(s.name+": everybody is served as before", func(since time.Time) bool { return tr.served(since, true) && tr.fleet.ready() })
	r.recovered = testenv.Since(r.repaired)
	if left := *faultLoad - testenv.Since(began); left > 0 {
		time.Sleep(left) // more of the load, for nothing waits for this to be long enough
	}
	tr.audit(c)
	tr.rows = append(tr.rows, r)
	tr.judge(s, c)
}

// judge fails the test for what may not happen.
func (tr *trial) judge(s scenario, c *counts) {
	tr.t.Helper()
	bad := c.wrong.Load() + c.stale.Load()
	if s.flawless {
		bad += c.failed.Load()
	}
	if s.loses != (c.lost.Load() > 0) {
		bad++
	}
	if bad > 0 {
		tr.t.Errorf("%s: %d lost, %d wrong, %d stale, %d failed:\n%s", s.name, c.lost.Load(), c.wrong.Load(), c.stale.Load(), c.failed.Load(),
			strings.Join(c.noted(), "\n"))
	}
}

// served reports whether every sender has had a whole round that began after a moment.
func (tr *trial) served(since time.Time, smoothly bool) bool {
	return !slices.ContainsFunc(tr.senders, func(h *sender) bool { return !h.since(since, smoothly) })
}

// await waits until something is so, and returns how long it took.
func (tr *trial) await(what string, so func(since time.Time) bool) time.Duration {
	tr.t.Helper()
	now := testenv.Now()
	within(tr.t, what, func() bool { return so(now) })
	return testenv.Since(now)
}

// goOn waits until everybody is served in spite of the fault.
func (tr *trial) goOn(r *row) {
	tr.t.Helper()
	r.onward = max(r.onward, tr.await(r.name+": everybody is served meanwhile", func(since time.Time) bool { return tr.served(since, false) }))
}

// lasts has a fault go on for as long as a scenario does at least, while everybody is served.
func (tr *trial) lasts(r *row) {
	tr.t.Helper()
	for end := testenv.Now().Add(*faultLoad); testenv.Now().Before(end); {
		tr.goOn(r)
	}
}

// kill ends a member, and starts it anew once the others do its work.
func (tr *trial) kill(m *member, r *row) {
	tr.t.Helper()
	m.process.kill()
	tr.goOn(r)
	r.repaired = testenv.Now()
	m.start(tr.t)
}

// crash ends Postgres for a while, which nothing can make up for.
func (tr *trial) crash(r *row) {
	tr.t.Helper()
	tr.fleet.store.Crash(tr.t)
	within(tr.t, "tries are refused", func() bool { return r.counts.repeated.Load() >= enoughRefused })
	r.repaired = testenv.Now()
	tr.fleet.store.Start(tr.t)
}

// roll restarts members in an orderly way, one after the other.
func (tr *trial) roll(members []*member, r *row) {
	tr.t.Helper()
	for _, m := range members {
		asked := testenv.Now()
		if code := m.process.stop(tr.t); code != 0 {
			tr.t.Errorf("%s: exit code %d\n%s", m.name, code, m.process.output())
		}
		tr.t.Logf("%s stopped within %.1f s", m.name, testenv.Since(asked).Seconds())
		tr.goOn(r)
		m.start(tr.t)
		within(tr.t, m.name+" is back", tr.fleet.ready)
	}
}

// slow has the network before progress be late and lose connections.
func (tr *trial) slow(r *row) {
	tr.t.Helper()
	for _, front := range tr.fleet.fronts {
		front.late.Store(int64(100 * time.Millisecond))
		front.lossy.Store(true)
	}
	tr.lasts(r)
	for tr.fleet.cuts() < enoughCut {
		tr.goOn(r)
	}
	for _, front := range tr.fleet.fronts {
		front.late.Store(0)
		front.lossy.Store(false)
	}
}

// audit compares what each log has since the last audit with what was acknowledged.
func (tr *trial) audit(c *counts) {
	tr.t.Helper()
	for i, h := range tr.senders {
		promised, logID := h.promised(), h.ofLog()
		if logID != tr.logs[i] {
			tr.audited[i], tr.logs[i] = 0, logID
		}
		fresh := promised[tr.audited[i]:]
		reader := &sender{name: h.name, token: h.token, bases: h.bases, count: h.count}
		found, _, err := reader.log(int64(tr.audited[i])+1, int64(len(promised))+1)
		if err != nil {
			tr.t.Errorf("%s: %v", h.name, err)
			continue
		}
		for at, want := range fresh {
			if at >= len(found) || found[at] != want {
				c.lost.Add(1)
				c.notef("%s: %+v was acknowledged and is not in its place", h.name, want)
			}
		}
		tr.audited[i] = len(promised)
	}
}

// finish compares every whole log with all that was acknowledged, and with what the streams
// brought; and has the program replay them.
func (tr *trial) finish() {
	tr.t.Helper()
	for i, h := range tr.senders {
		promised := slices.Concat([]storedEvent{{sequence: 1}}, h.promised())
		found, _, err := h.log(0, int64(len(promised))+1) // one more, if there is one
		if err != nil || !slices.Equal(found, promised) {
			tr.t.Errorf("%s: the log has %d entries, %d were acknowledged, and they are not the same: %v", h.name, len(found), len(promised), err)
		}
		if i%2 != 0 {
			continue
		}
		e := tr.listeners[i/2]
		within(tr.t, h.name+" receives everything", func() bool { return e.reached() >= int64(len(promised)) })
		e.mu.Lock()
		if !slices.Equal(e.received, promised) {
			tr.t.Errorf("%s: the stream brought %d entries, and they are not those of the log", h.name, len(e.received))
		}
		e.mu.Unlock()
	}
	stdout, stderr, code := command(tr.t, "progress", "verify", "--server", tr.fleet.world.base, "--data", tr.fleet.world.data)
	if code != 0 {
		tr.t.Errorf("progress verify: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// table prints the rows as docs/faults.md shows them.
func (tr *trial) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	line := func(cells ...any) {
		for _, cell := range cells {
			fmt.Fprintf(w, "| %v\t", cell)
		}
		fmt.Fprintln(w, "|")
	}
	line("scenario", "events", "reads", "tries repeated", "requests failed", "lost", "wrong or stale", "served meanwhile after", "as before after")
	line("---", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:")
	for _, r := range tr.rows {
		c := r.counts
		onward := ""
		if r.onward > 0 {
			onward = fmt.Sprintf("%.1f s", r.onward.Seconds())
		}
		line(r.name, c.events.Load(), c.reads.Load(), c.repeated.Load(), c.failed.Load(), c.lost.Load(), c.wrong.Load()+c.stale.Load(),
			onward, fmt.Sprintf("%.1f s", r.recovered.Seconds()))
	}
	_ = w.Flush()
	return b.String()
}
