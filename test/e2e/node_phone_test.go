//go:build node

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// nodePhone is the client of docs/clients/phone.ts in a process of its own.
type nodePhone struct {
	t      *testing.T
	config map[string]any
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	// good and bad are the ids of what was recorded, and is to be stored or to be rejected.
	good, bad []string
}

// startNodePhone starts a phone of a learner behind a network, on a folder of its own. Its first
// token is not accepted.
func startNodePhone(t *testing.T, network *faultyProxy, name, token string, seed uint64) *nodePhone {
	t.Helper()
	p := &nodePhone{t: t, config: map[string]any{
		"base": network.base, "folder": filepath.Join(t.TempDir(), name), "deviceId": name, "seed": seed, "tokens": []string{"stale", token},
	}}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *nodePhone) start() {
	p.t.Helper()
	config, err := json.Marshal(p.config)
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = node(p.t, "build/test/node/phone_run.js", string(config))
	p.cmd.Stderr = p.t.Output()
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// kill ends the phone as an empty battery does.
func (p *nodePhone) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// phoneAnswer is what the phone writes.
type phoneAnswer struct {
	Fault     string            `json:"fault"`
	IDs       []string          `json:"ids"`
	Log       []json.RawMessage `json:"log"`
	Results   map[string]string `json:"results"`
	ServerNow time.Time         `json:"serverNow"`
	Document  struct {
		AsOfSequence string `json:"asOfSequence"`
	} `json:"document"`
}

// do carries out a command, and returns what the phone writes.
func (p *nodePhone) do(command map[string]any) phoneAnswer {
	p.t.Helper()
	line, err := json.Marshal(command)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(p.stdin, "%s\n", line); err != nil {
		p.t.Fatal(err)
	}
	answer, err := p.stdout.ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("%s: the phone ended: %v", line, err)
	}
	var a phoneAnswer
	if err := json.Unmarshal(answer, &a); err != nil || a.Fault != "" {
		p.t.Fatalf("%s: %v %s", line, err, a.Fault)
	}
	return a
}

// learn records events, a tenth of which are to be rejected.
func (p *nodePhone) learn(dice *rand.Rand, n int) {
	p.t.Helper()
	var events []map[string]any
	var bad []bool
	for range n {
		e := map[string]any{"moduleId": "hipaa-foundations", "moduleVersion": 1, "verb": "COMPLETED"}
		e["unitId"] = []string{"phi", "covered-entities", "permitted-uses", "individual-rights"}[dice.IntN(4)]
		switch dice.IntN(10) {
		case 0:
			e["unitId"] = "nothing"
		case 1:
			e["unitId"], e["verb"], e["score"] = "quiz", "PASSED", 0.9
		case 2:
			e["unitId"], e["verb"], e["score"] = "quiz", "FAILED", 0.4
		case 3:
			e["verb"], e["progress"] = "PROGRESSED", 0.5
		}
		events, bad = append(events, e), append(bad, e["unitId"] == "nothing")
	}
	for i, id := range p.do(map[string]any{"do": "learn", "events": events}).IDs {
		if bad[i] {
			p.bad = append(p.bad, id)
		} else {
			p.good = append(p.good, id)
		}
	}
}

// sync lets the phone send and read all there is, and holds it to the log that the server has.
func (p *nodePhone) sync(server *client) []logged {
	p.t.Helper()
	p.do(map[string]any{"do": "sync"})
	log := wholeLog(p.t, server)
	a := p.do(map[string]any{"do": "sync"})
	var copied []logged
	for _, raw := range a.Log {
		var e logged
		if err := json.Unmarshal(raw, &e); err != nil {
			p.t.Fatal(err)
		}
		copied = append(copied, e)
	}
	if fmt.Sprint(copied) != fmt.Sprint(log) {
		p.t.Errorf("%s has %d entries, and the server %d, or others", p.config["deviceId"], len(copied), len(log))
	}
	count := map[string]int{}
	for _, e := range log {
		count[e.Event.EventID]++
	}
	for _, id := range p.good {
		if result := a.Results[id]; count[id] != 1 || result != "" && result != "ACCEPTED" && result != "DUPLICATE" {
			p.t.Errorf("%s: event %s is in the log %d times, with the result %q", p.config["deviceId"], id, count[id], result)
		}
	}
	for _, id := range p.bad {
		if result := a.Results[id]; count[id] != 0 || result != "" && result != "REJECTED UNKNOWN_UNIT" {
			p.t.Errorf("%s: bad event %s is in the log %d times, with the result %q", p.config["deviceId"], id, count[id], result)
		}
	}
	if off := a.ServerNow.Sub(testenv.Now()).Abs(); off > 30*time.Second {
		p.t.Errorf("%s believes that the server's clock is off by %v", p.config["deviceId"], off)
	}
	return log
}

// logged is a log entry, as far as phones and server are compared.
type logged struct {
	Sequence    string    `json:"sequence"`
	Type        string    `json:"type"`
	ReceivedAt  string    `json:"receivedAt"`
	EffectiveAt time.Time `json:"effectiveAt"`
	Event       struct {
		EventID    string    `json:"eventId"`
		OccurredAt time.Time `json:"occurredAt"`
		DeviceID   string    `json:"deviceId"`
	} `json:"event"`
}

// wholeLog reads a learner's log without any fault.
func wholeLog(t *testing.T, c *client) []logged {
	t.Helper()
	var log []logged
	for {
		page := c.get(fmt.Sprintf("/v1/learners/me/events?pageSize=500&afterSequence=%d", len(log))).want(http.StatusOK)
		var decoded struct {
			Events []logged `json:"events"`
		}
		if err := json.Unmarshal(page.body, &decoded); err != nil {
			t.Fatal(err)
		}
		if len(decoded.Events) == 0 {
			return log
		}
		log = append(log, decoded.Events...)
	}
}

// TestPhoneClient plays learners with two phones each, by the client of docs/clients.md, over a
// network that loses, delays and repeats. A phone is killed in between, and clocks are wrong.
func TestPhoneClient(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	for seed := uint64(1); seed <= 3; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			playNodePhones(t, w, seed)
		})
	}
}

func playNodePhones(t *testing.T, w *world, seed uint64) {
	t.Helper()
	subject, dice := fmt.Sprintf("node-%d", seed), rand.New(rand.NewPCG(seed, 2))
	server, token := w.as(t, subject), w.token(t, subject)
	server.id()
	network := startFaultyProxy(t, w.base, seed)
	phones := []*nodePhone{startNodePhone(t, network, "phone-a", token, seed), startNodePhone(t, network, "phone-b", token, seed+100)}

	// Before anything is sent, a clock is set: what waits is moved with it.
	hours := []time.Duration{-4 * time.Hour, -time.Hour, time.Hour, 7 * time.Hour}[dice.IntN(4)]
	phones[0].learn(dice, 5)
	phones[0].do(map[string]any{"do": "setClock", "millis": hours.Milliseconds()})
	for _, p := range phones {
		p.do(map[string]any{"do": "watch"})
	}
	for round := range 5 {
		for _, p := range phones {
			p.learn(dice, 1+dice.IntN(20))
			p.do(map[string]any{"do": "flush"})
		}
		if round == 1 {
			phones[0].learn(dice, 520) // more than a batch
		}
		if round == 3 {
			phones[1].kill()
			phones[1].start()
			phones[1].do(map[string]any{"do": "watch"})
		}
	}
	for _, p := range phones {
		p.do(map[string]any{"do": "sync"})
	}
	network.calm.Store(true)
	for _, p := range phones {
		for _, e := range p.sync(server) {
			if off := testenv.Since(e.EffectiveAt).Abs(); off > 6*time.Minute {
				t.Errorf("entry %s counts from %v before now, by a clock that is off by %v", e.Sequence, off, hours)
			}
			// All of the first phone's events are by the clock that it has now, also the older ones.
			if off := testenv.Since(e.Event.OccurredAt) + hours; e.Event.DeviceID == "phone-a" && off.Abs() > 6*time.Minute {
				t.Errorf("entry %s has a time %v from that of the phone's clock", e.Sequence, off)
			}
		}
		document := p.do(map[string]any{"do": "read", "path": "/v1/learners/me/progress"}).Document
		if again := p.do(map[string]any{"do": "read", "path": "/v1/learners/me/progress"}).Document; again != document || document.AsOfSequence == "" {
			t.Errorf("progress is %+v, and read again %+v", document, again)
		}
	}
	t.Logf("%d events; the network: %s", len(wholeLog(t, server)), strings.Join(network.drawn(), ", "))
}

// TestPhoneClientAfterRestore restores a backup behind a phone's back, and lets the log grow past
// what the phone has seen, so that neither its length nor a reset of the stream shows it.
func TestPhoneClientAfterRestore(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(4, 2))
	w := oneProcess(t)
	server, token := w.as(t, "restored"), w.token(t, "restored")
	server.id()
	network := startFaultyProxy(t, w.base, 4)
	named := startFaultyProxy(t, w.base, 5)
	named.logID.Store("log-1")
	reads, sends := startNodePhone(t, network, "reads", token, 4), startNodePhone(t, named, "sends", token, 5)
	reads.learn(dice, 20)
	reads.do(map[string]any{"do": "sync"})
	sends.sync(server)
	saved, folder := filepath.Join(t.TempDir(), "saved"), filepath.Join(t.TempDir(), "restored")
	for _, args := range [][]string{{"backup", "--data", w.data, "--to", saved, "--with-keys"}, {"restore", "--from", saved, "--data", folder}} {
		if stdout, stderr, code := command(t, args...); code != 0 {
			t.Fatalf("%v: %d\n%s\n%s", args, code, stdout, stderr)
		}
	}
	reads.learn(dice, 30)
	reads.do(map[string]any{"do": "sync"})
	sends.learn(dice, 30)
	seen := len(sends.sync(server))
	w.front.stop(t)

	restored := oneProcessOn(t, folder)
	other := restored.as(t, "restored")
	growLog(t, other, seen)
	network.target.Store(restored.base)
	named.target.Store(restored.base)
	named.logID.Store("log-2")
	named.calm.Store(true) // what is awaited below has an end

	// One phone only sends: the id of the log in the answer makes it read, and send what was lost.
	sends.learn(dice, 5)
	sends.do(map[string]any{"do": "flush"})
	eventually(t, "the phone that only sends has sent what was lost", func() bool {
		have := map[string]bool{}
		for _, e := range wholeLog(t, other) {
			have[e.Event.EventID] = true
		}
		return !slices.ContainsFunc(sends.good, func(id string) bool { return !have[id] })
	})
	// The other one reads, and meets another entry than the last one that it has.
	reads.do(map[string]any{"do": "sync"})
	sends.sync(other)
	reads.sync(other)
}

// growLog lets another device write until a log has more entries than a number.
func growLog(t *testing.T, c *client, seen int) {
	t.Helper()
	for i := range seen {
		c.post("/v1/learners/me/events:batch", fmt.Sprintf(`{"events": [{"eventId": "0190a5c0-7e1d-7c3b-9f6e-%012d",
			"moduleId": "hipaa-foundations", "unitId": "phi", "verb": "PROGRESSED", "progress": 0.3, "occurredAt": %q}]}`,
			i, testenv.Now().Format(time.RFC3339))).want(http.StatusOK)
	}
	if grown := len(wholeLog(t, c)); grown <= seen {
		t.Fatalf("the log has %d entries, and %d were seen", grown, seen)
	}
}
