package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// attack is one way to harm the program.
type attack struct {
	name string
	run  func(ctx context.Context, w *world) error
	// args are further ones of the program.
	args []string
	// pace of the honest clients; 20 ms when 0.
	pace time.Duration
	// busy is whether refusing with 503 and Retry-After is as it should be.
	busy bool
	// tolerant is whether the attack takes the program away for a while: then honest clients try again
	// whatever happens, and the program may complain in its log.
	tolerant bool
	// smallDisk is whether the program's folder is a file system of a few megabytes.
	smallDisk bool
	// jumping is whether the program is the one whose clock can be moved.
	jumping bool
	// issuer is whether tokens of an OpenID Connect provider are accepted too.
	issuer bool
}

func attacks() []attack {
	return []attack{
		{name: "access", run: attackAccess},
		{name: "tokens", run: attackTokens, issuer: true},
		{name: "bodies", run: attackBodies},
		{name: "odd", run: attackOdd},
		{name: "announce", run: attackAnnounce},
		{name: "inflight", run: attackInflight, busy: true},
		{name: "imports", run: attackImports, busy: true},
		{name: "health", run: attackHealth},
		{name: "watches", run: attackWatches},
		{name: "flood", run: attackFlood},
		{name: "slow", run: attackSlow, busy: true},
		{name: "rate", run: attackRate, args: []string{"--rate-limit", "5", "--rate-burst", "10"}, pace: 250 * time.Millisecond},
		{name: "disk", run: attackDisk, busy: true, tolerant: true, smallDisk: true},
		{name: "clock", run: attackClock, args: []string{"--rate-limit", "100", "--rate-burst", "200"}, jumping: true},
		{name: "kills", run: attackKills, busy: true, tolerant: true},
		{name: "roles", run: attackRoles},
		{name: "idle", run: attackIdle},
	}
}

func attackNames() []string {
	var names []string
	for _, a := range attacks() {
		names = append(names, a.name)
	}
	return names
}

// world is one attack with all that it needs.
type world struct {
	*target

	row    row
	tally  *tally
	what   attack
	short  bool
	dice   *rand.Rand
	dir    string
	issuer *issuer
	oidc   *provider
	honest *honest
	client *http.Client
	began  time.Time
}

func newWorld(a attack, o options, p programs, dir string, number uint64) *world {
	w := &world{
		target: &target{program: p.preceptor, data: filepath.Join(dir, "data"), args: a.args, group: newCgroup(a.name)},
		tally:  &tally{outcomes: map[string]int{}, busy: a.busy},
		what:   a, short: o.short, dice: rand.New(rand.NewPCG(o.seed, number)), dir: dir, client: newHTTPClient(attackerAddr),
	}
	w.began = testenv.Now()
	w.row = row{name: a.name, tally: w.tally}
	if a.jumping {
		w.program = p.jumping
	}
	w.honest = &honest{w: w, pace: max(a.pace, 20*time.Millisecond), tolerant: a.tolerant}
	return w
}

// dose returns how much of something there is to do.
func (w *world) dose(short, whole int) int {
	if w.short {
		return short
	}
	return whole
}

// attack starts the program, attacks it with honest clients beside, and checks what they have.
func (w *world) attack(ctx context.Context) {
	if err := w.begin(ctx); err != nil {
		if w.short && errors.Is(err, errNoSmallDisk) { // a container of CI may not mount; internal/sqldb's tests fill disks anywhere
			w.tally.add("not run: " + err.Error())
			return
		}
		w.tally.summaryf("harness: %v", err)
		return
	}
	w.honest.start(ctx)
	if err := w.what.run(ctx, w); err != nil && ctx.Err() == nil {
		w.tally.summaryf("harness: %s", withoutPorts(err))
	}
	w.honest.stop()
	w.client.CloseIdleConnections()
	w.honest.mu.Lock()
	w.row.honest, w.row.retried = w.honest.took, w.honest.retried
	w.honest.mu.Unlock()
	if len(w.row.honest) == 0 {
		w.tally.summaryf("honest: no request succeeded")
	}
	if !w.survived(ctx) {
		w.tally.summaryf("the program ended: %s", w.life.Load().cmd.ProcessState)
		if err := w.start(ctx); err != nil {
			w.tally.summaryf("and does not start again: %v", err)
			return
		}
	}
	w.honest.check(ctx)
	w.checkAudit(ctx)
	w.notePeak(w.life.Load())
	if w.row.peak = w.peak.Load(); w.row.peak > maxRSS {
		w.tally.summaryf("its memory was %s at its peak, more than %s", megabytes(w.row.peak), megabytes(maxRSS))
	}
	lines := slices.DeleteFunc(w.complaints(), func(line string) bool { return w.what.busy && strings.Contains(line, "DeadlineExceeded") })
	if len(lines) > 0 && !w.what.tolerant {
		w.tally.summaryf("the log has %d ERROR lines, as %s", len(lines), lines[0])
	}
}

// survived reports whether the program runs still: one that does not respond may be about to end.
func (w *world) survived(ctx context.Context) bool {
	_ = eventually(ctx, "a sign of life", func() bool {
		if !w.alive() {
			return true
		}
		_, err := send(ctx, w.client, w.httpAddr(), request{method: http.MethodGet, path: "/healthz"})
		return err == nil
	})
	return w.alive()
}

// checkAudit has the program's own command read the chains, as often as a limit of rates refuses that.
func (w *world) checkAudit(ctx context.Context) {
	var out string
	var err error
	_ = eventually(ctx, "the audit", func() bool {
		out, err = w.tool(ctx, "audit", "verify", "--server", "http://"+w.httpAddr(), "--data", w.data)
		return err == nil || !strings.Contains(err.Error(), "too many requests")
	})
	if err != nil || !strings.Contains(out, "chain whole") {
		w.tally.summaryf("audit: %v %s", err, out)
	}
}

// begin makes the folder with its keys, starts the program, and prepares the honest clients.
func (w *world) begin(ctx context.Context) error {
	keys := w.data
	var err error
	if w.what.smallDisk {
		keys = filepath.Join(w.dir, "keys")
		if err := os.Mkdir(w.data, 0o700); err != nil {
			return err
		}
		if w.wrap, err = smallDisk(ctx, keys, w.data); err != nil {
			return err
		}
	}
	if w.issuer, err = openIssuer(ctx, w.target, keys); err != nil {
		return err
	}
	if w.what.smallDisk {
		// Commands of the harness find the key in the folder that the small disk covers.
		if err := os.Link(filepath.Join(keys, keyFile), filepath.Join(w.data, keyFile)); err != nil {
			return err
		}
	}
	if w.what.issuer {
		if w.oidc, err = newProvider(); err != nil {
			return err
		}
		w.args = append(w.args, "--local-issuer", "--oidc-issuer", w.oidc.url, "--oidc-audience", oidcAudience)
	}
	if err := w.start(ctx); err != nil {
		return err
	}
	if err := w.awaitReady(ctx); err != nil {
		return err
	}
	return w.honest.prepare(ctx)
}

var (
	errNeverCame = errors.New("never came")
	errEnded     = errors.New("the program has ended, and the attack with it")
)

// eventually waits until something is so.
func eventually(ctx context.Context, what string, so func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !so() {
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %s", errNeverCame, what)
		}
		pause(ctx, 50*time.Millisecond)
	}
	return nil
}

// awaitReady waits until nothing is degraded.
func (w *world) awaitReady(ctx context.Context) error {
	return eventually(ctx, "the program is ready", func() bool {
		a, err := send(ctx, w.client, w.healthAddr(), request{method: http.MethodGet, path: "/readyz"})
		return err == nil && a.status == http.StatusOK && strings.Contains(string(a.body), `"degraded":[]`)
	})
}

// finish reads the memory once more after the program was left alone, and ends it.
func (w *world) finish(ctx context.Context, rest time.Duration) {
	if rest > 0 && w.life.Load() != nil {
		pause(ctx, rest)
		w.row.after = memory(w.life.Load().cmd.Process.Pid, "VmRSS")
	}
	w.kill()
	w.oidc.close()
	w.group.remove()
}

// line is how far the run is.
func (w *world) line() string {
	line := fmt.Sprintf("%-8s %6d sent in %.1f s, peak %s", w.row.name, w.tally.sent, testenv.Since(w.began).Seconds(), megabytes(w.row.peak))
	if faults := w.row.faults(); len(faults) > 0 {
		line += ", FAILED:\n  " + strings.Join(faults, "\n  ")
	}
	return line
}

// sendAndCount sends a request of the attack, and counts what comes back. It returns nil where nothing does.
func (w *world) sendAndCount(ctx context.Context, r request) *answer {
	a, err := send(ctx, w.client, w.httpAddr(), r)
	if err != nil {
		w.tally.add("no answer")
		w.tally.faultf("%s %s: %s", r.method, r.path, withoutPorts(err))
		return nil
	}
	w.tally.http(r.method+" "+r.path, a)
	return a
}

var port = regexp.MustCompile(`(127\.[0-9.]+):[0-9]+`)

// withoutPorts is an error's text, the same for every connection.
func withoutPorts(err error) string { return port.ReplaceAllString(err.Error(), "$1") }
