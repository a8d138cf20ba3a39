//go:build realservers

package e2e

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// slowStart is how long a process may take to be ready on a machine that does much else.
const slowStart = 60 * time.Second

// fleet is the four services as they are run for others: records in Postgres, a Redis, two
// replicas of what carries the load, mutual TLS between all, and networks that may fail.
type fleet struct {
	world *world
	store *records
	ca    *authority
	// fronts are the networks before the replicas of progress.
	fronts []*network

	profile, catalog   *member
	progress, gateways []*member
}

// member is a process with an address of its own, which it has again when it is started anew.
type member struct {
	name, service, addr string
	args                []string
	process             *process
	// program is what it runs; "" for the one under test.
	program string
}

// newFleet runs a fleet on a store, each service by the url that through makes of its own. The
// replicas of progress share the Redis of redisURL. The gateways get more arguments by edge.
func newFleet(t *testing.T, store *records, through func(string) string, redisURL string, edge ...string) *fleet {
	t.Helper()
	f := &fleet{ca: newAuthority(t), store: store}
	addrs := freeAddrs(t, 6)
	data := t.TempDir()
	flags := func(service string, more ...string) []string {
		return slices.Concat([]string{"serve", service, "--data", data, "--log-format", "json", "--metrics-addr", "127.0.0.1:0", "--health-addr", "127.0.0.1:0"}, f.ca.flags(service), more)
	}
	serve := func(service, addr string, more ...string) []string {
		return flags(service, append([]string{"--listen", addr, "--database-url", through(store.urls[service])}, more...)...)
	}
	f.fronts = []*network{newNetwork(t, addrs[2]), newNetwork(t, addrs[3])}
	where := []string{"--profile-addr", addrs[0], "--catalog-addr", addrs[1], "--progress-addr", f.fronts[0].addr + "," + f.fronts[1].addr}
	sharing := append(slices.Clone(where[:4]), "--redis-url", redisURL)
	f.profile = &member{name: "profile", service: "profile", addr: addrs[0], args: serve("profile", addrs[0], where[2:4]...)}
	f.catalog = &member{name: "catalog", service: "catalog", addr: addrs[1], args: serve("catalog", addrs[1], where[4:]...)}
	for i, letter := range []string{"a", "b"} {
		f.progress = append(f.progress, &member{
			name: "progress " + letter, service: "progress", addr: addrs[2+i], args: serve("progress", addrs[2+i], sharing...),
		})
		f.gateways = append(f.gateways, &member{
			name: "gateway " + letter, service: "gateway", addr: addrs[4+i], args: flags("gateway", slices.Concat(where, []string{"--http", addrs[4+i]}, edge)...),
		})
	}
	for _, m := range f.all() {
		m.start(t)
	}
	f.world = &world{base: "http://" + f.gateways[0].addr, data: data, tokens: map[string]string{}}
	within(t, "everything is ready", f.ready)
	return f
}

// directly is for services that have no pooler before their databases.
func directly(url string) string { return url }

// all are the members, those first that others need.
func (f *fleet) all() []*member {
	return slices.Concat([]*member{f.catalog, f.profile}, f.progress, f.gateways)
}

// start runs the member until it is ready.
func (m *member) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(cmp.Or(m.program, binary), m.args...)
	cmd.Env = environment()
	p, ready := launchCommand(t, cmd)
	m.process = p
	select {
	case line := <-ready:
		p.metrics, p.health = line.Metrics, line.Health
	case <-p.exited:
		t.Fatalf("%s ended before it was ready: %v\n%s", m.name, p.err, p.output())
	case <-time.After(slowStart):
		t.Fatalf("%s is not ready\n%s", m.name, p.output())
	}
}

// ready reports whether both gateways find nothing amiss.
func (f *fleet) ready() bool {
	for _, g := range f.gateways {
		a, err := (&client{base: "http://" + g.process.health}).try(http.MethodGet, "/readyz", nil)
		if err != nil || a.status != http.StatusOK || a.get("status") != "ready" {
			return false
		}
	}
	return true
}

// cuts are how many connections the networks before progress have lost.
func (f *fleet) cuts() int64 {
	var n int64
	for _, front := range f.fronts {
		n += front.lost.Load()
	}
	return n
}

// rotate gives every service a new certificate by the same authority, waits until all of them
// show it, and has the callers of progress shake hands anew.
func (f *fleet) rotate(t *testing.T) {
	t.Helper()
	since := big.NewInt(testenv.Now().UnixNano()) // serial numbers are times
	for _, m := range f.all() {
		f.ca.flags(m.service)
	}
	for _, m := range f.all() {
		if m.service != "gateway" {
			within(t, m.name+" shows its new certificate", func() bool { return f.shows(t, m).Cmp(since) > 0 })
		}
	}
	for _, front := range f.fronts {
		front.cut(func(*wire) bool { return true })
	}
}

// shows is the serial number of the certificate that a member shows to a gateway; 0 for none.
func (f *fleet) shows(t *testing.T, m *member) *big.Int {
	t.Helper()
	own, err := tls.LoadX509KeyPair(filepath.Join(filepath.Dir(f.ca.File), "gateway.crt"), filepath.Join(filepath.Dir(f.ca.File), "gateway.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(f.ca.Certificate)
	conn, err := tls.Dial("tcp", m.addr, &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: "preceptor-" + m.service, RootCAs: roots, NextProtos: []string{"h2"},
		Certificates: []tls.Certificate{own}, Time: testenv.Now,
	})
	if err != nil {
		return new(big.Int)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// within waits until something is so, longer than eventually does.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := testenv.Now().Add(slowStart); !so(); time.Sleep(10 * time.Millisecond) {
		if testenv.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
	}
}
