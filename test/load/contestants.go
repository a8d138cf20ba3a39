package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// The contestants.
const (
	oneProcess    = "one process"
	fourProcesses = "four processes"
	bareHandlers  = "bare handler"
	barePair      = "bare pair"
	pocketBase    = "PocketBase"
)

// What they are measured by.
const (
	askWrite    = "record one event"
	askMany     = "record 50 events a request, counted by events"
	askRead     = "read a path's progress, 50 units done"
	askReadSame = "the same with its ETag, 304"
	askList     = "list 50 modules"
	askListSame = "the list with its ETag, 304"
)

// many is how many events a request of askMany has.
const many = 50

// readers are the learners that have completed units and whose progress is read, done how many each has.
const readers, done = 32, 50

// contestant is a server, or several, under measurement.
type contestant struct {
	name, address string
	processes     []process
	asks          map[string]func(n int) request
	// same are the asks that must be answered by a 304.
	same []string
}

// ours is Preceptor as a contestant: every learner is enrolled, and the readers have completed units.
func ours(ctx context.Context, name string, c *class, processes []process) (*contestant, error) {
	if err := c.enroll(ctx, c.pupils); err != nil {
		return nil, err
	}
	reading, writing := c.pupils[:readers], c.pupils[readers:]
	if err := c.send(ctx, reading, 2*done); err != nil { // each unit is begun, and then completed
		return nil, err
	}
	read := func(path string, tags []string) func(int) request {
		return func(n int) request {
			var headers []string
			if tags != nil {
				headers = []string{"If-None-Match", tags[n%readers]}
			}
			return httpRequest(http.MethodGet, path, reading[n%readers].token, "", headers...)
		}
	}
	write := func(events int) func(int) request {
		return func(n int) request {
			p := writing[n%len(writing)]
			return httpRequest(http.MethodPost, sendEvents, p.token, c.events(p, events))
		}
	}
	pathTags, err := c.plainTags(ctx, reading, pathProgress)
	if err != nil {
		return nil, err
	}
	listTags, err := c.plainTags(ctx, reading, someModules)
	if err != nil {
		return nil, err
	}
	return &contestant{name: name, address: c.server.address, processes: processes, asks: map[string]func(int) request{
		askWrite: write(1), askMany: write(many),
		askRead: read(pathProgress, nil), askReadSame: read(pathProgress, pathTags),
		askList: read(someModules, nil), askListSame: read(someModules, listTags),
	}, same: []string{askReadSame, askListSame}}, nil
}

// plainTags are the ETags of answers that are not compressed.
func (c *class) plainTags(ctx context.Context, pupils []*pupil, path string) ([]string, error) {
	tags, err := c.etags(ctx, pupils, path)
	for i := range tags {
		tags[i] = strings.Replace(tags[i], "-gzip", "", 1)
	}
	return tags, err
}

// bareContestant is a bare handler, with the same learners.
func bareContestant(ctx context.Context, name, address string, processes []process, c *class) (*contestant, error) {
	send := func(learner string, n int) request {
		body := event(uuid.NewString(), c.targets[n%len(c.targets)], `"COMPLETED"`, time.Now())
		return httpRequest(http.MethodPost, "/"+learner+"/events", "", `{"events":[`+body+`]}`)
	}
	seed := &job{name: name, address: address, connections: 8, next: func(n int) request {
		if n >= readers*done {
			return nil
		}
		return send(fmt.Sprintf("reader-%d", n%readers), n/readers)
	}}
	if _, err := seed.closed(ctx, time.Hour); err != nil {
		return nil, err
	}
	writers := len(c.pupils) - readers
	return &contestant{name: name, address: address, processes: processes, asks: map[string]func(int) request{
		askWrite: func(n int) request { return send(fmt.Sprintf("writer-%d", n%writers), n/writers) },
		askRead: func(n int) request {
			return httpRequest(http.MethodGet, fmt.Sprintf("/reader-%d/progress", n%readers), "", "")
		},
	}}, nil
}

// field is what a run of bench has started.
type field struct {
	dir, bin, self string
	ports          *scope
	ends           []func()
	all            []*contestant
	versions       []string
	// idle is what one process uses before the first request, in MB, startup how long it took to start.
	idle    float64
	startup time.Duration
}

func (f *field) stop() {
	for _, end := range f.ends {
		end()
	}
	f.ports.end()
}

// keep stops a server with the field.
func (f *field) keep(s *server, err error) (*server, error) {
	if err == nil {
		f.ends = append(f.ends, s.stop)
	}
	return s, err
}

// single starts one process, and the bare handler beside it.
func (f *field) single(ctx context.Context, learners int) (*class, error) {
	addresses, err := f.ports.addresses(2)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(f.dir, "single")
	s, err := f.keep(startAgain(ctx, addresses[0], f.bin, data))
	if err != nil {
		return nil, err
	}
	time.Sleep(3 * time.Second) // what a start leaves is collected
	f.idle, f.startup = memory([]process{s.process("")}), s.startup
	c, err := newClass(ctx, s, data, learners)
	if err != nil {
		return nil, err
	}
	mine, err := ours(ctx, oneProcess, c, []process{s.process("preceptor")})
	if err != nil {
		return nil, err
	}
	outline, err := c.outline.write(f.dir)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, f.self, "bare", "sqlite", addresses[1], filepath.Join(f.dir, "bare.db"), outline)
	bare, err := f.keep(start(ctx, addresses[1], cmd, "/unknown/progress"))
	if err != nil {
		return nil, err
	}
	its, err := bareContestant(ctx, bareHandlers, addresses[1], []process{bare.process("handler")}, c)
	f.all = append(f.all, mine, its)
	return c, err
}

// distributed starts four processes, with Postgres and Redis, and the bare pair with a Postgres of its own.
func (f *field) distributed(ctx context.Context, learners int) error {
	fleet, err := newFleet(ctx, f.dir, f.bin, shape{})
	if err != nil {
		return err
	}
	f.ends = append(f.ends, fleet.stop)
	f.versions = append(f.versions, fleet.versions(ctx)...)
	c, err := newClass(ctx, fleet.gateway, dataFolder(f.dir), learners)
	if err != nil {
		return err
	}
	mine, err := ours(ctx, fourProcesses, c, fleet.processes())
	if err != nil {
		return err
	}
	its, err := f.pair(ctx, c)
	f.all = append(f.all, mine, its)
	return err
}

// pair starts the bare pair.
func (f *field) pair(ctx context.Context, c *class) (*contestant, error) {
	addresses, err := f.ports.addresses(2)
	if err != nil {
		return nil, err
	}
	outline, err := c.outline.write(f.dir)
	if err != nil {
		return nil, err
	}
	var postgres *testenv.PostgresProcess
	var gateway, service keyFiles
	if err := f.ports.run(func(t testenv.T) { //nolint:contextcheck // the server ends with its scope
		postgres = testenv.NewPostgres(t, postgresSettings()...)
		authority, end := testenv.NewAuthority(t), time.Now().Add(time.Hour) // it is valid for two
		gateway, service = keyFiles{authority: authority.File}, keyFiles{authority: authority.File}
		gateway.certificate, gateway.key = authority.Service(t, "gateway", end)
		service.certificate, service.key = authority.Service(t, "progress", end)
	}); err != nil {
		return nil, err
	}
	below, err := f.keep(start(ctx, addresses[1], exec.CommandContext(ctx, f.self, "bare", "service", addresses[1], postgres.URL, outline,
		service.authority, service.certificate, service.key), ""))
	if err != nil {
		return nil, err
	}
	above, err := f.keep(start(ctx, addresses[0], exec.CommandContext(ctx, f.self, "bare", "gateway", addresses[0], addresses[1],
		gateway.authority, gateway.certificate, gateway.key), "/unknown/progress"))
	if err != nil {
		return nil, err
	}
	return bareContestant(ctx, barePair, addresses[0], []process{
		above.process("gateway"), below.process("service"), {partName(atPostgres), postgres.PID(), true},
	}, c)
}

// peer builds PocketBase and starts it.
func (f *field) peer(ctx context.Context, c *class) error {
	say("building PocketBase, some minutes the first time …")
	bin, tokens := filepath.Join(f.dir, "peers"), filepath.Join(f.dir, "tokens")
	if out, err := exec.CommandContext(ctx, "go", "-C", "test/peers", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	version, err := exec.CommandContext(ctx, "go", "-C", "test/peers", "list", "-m", "-f", "{{.Version}}", "github.com/pocketbase/pocketbase").Output()
	if err != nil {
		return err
	}
	f.versions = append(f.versions, "PocketBase "+strings.TrimSpace(string(version))+" with synchronous=FULL")
	addresses, err := f.ports.addresses(1)
	if err != nil {
		return err
	}
	s, err := f.keep(start(ctx, addresses[0], exec.CommandContext(ctx, bin, "-http", addresses[0], "-dir", filepath.Join(f.dir, "pocketbase"),
		"-learners", fmt.Sprint(len(c.pupils)), "-tokens", tokens), "/api/health"))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(tokens)
	if err != nil {
		return err
	}
	p := &peer{learners: strings.Split(strings.TrimSpace(string(text)), "\n"), targets: c.targets}
	its := &contestant{name: pocketBase, address: addresses[0], processes: []process{s.process("pocketbase")}, asks: map[string]func(int) request{
		askWrite: p.write, askRead: p.read,
	}}
	f.all = append(f.all, its)
	return p.seed(ctx, addresses[0])
}

// peer makes PocketBase's requests.
type peer struct {
	// learners are lines of an id and a token.
	learners []string
	targets  []target
}

// body is the record of an event.
func (p *peer) body(learner string, n int) string {
	t := p.targets[n%len(p.targets)]
	return fmt.Sprintf(`{"learner":%q,"eventId":%q,"moduleId":%q,"unitId":%q,"verb":"COMPLETED","occurredAt":%q,"deviceId":"phone-1"}`,
		learner, uuid.NewString(), t.module, t.unit, time.Now().UTC().Format("2006-01-02 15:04:05.000Z"))
}

const peerEvents = "/api/collections/events/records"

func (p *peer) record(line string, n int) request {
	learner, token, _ := strings.Cut(line, " ")
	return httpRequest(http.MethodPost, peerEvents, token, p.body(learner, n))
}

// seed gives the readers their events.
func (p *peer) seed(ctx context.Context, address string) error {
	j := &job{name: pocketBase, address: address, connections: 8, next: func(n int) request {
		if n >= readers*done {
			return nil
		}
		return p.record(p.learners[n%readers], n/readers)
	}}
	_, err := j.closed(ctx, time.Hour)
	return err
}

// writer is the n-th request's learner, none of the readers.
func (p *peer) writer(n int) string { return p.learners[readers+n%(len(p.learners)-readers)] }

func (p *peer) write(n int) request { return p.record(p.writer(n), n) }

// read lists a learner's 50 events, without counting them.
func (p *peer) read(n int) request {
	_, token, _ := strings.Cut(p.learners[n%readers], " ")
	return httpRequest(http.MethodGet, peerEvents+"?perPage=50&skipTotal=1&sort=-occurredAt", token, "")
}
