package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// PatroniPackages are the Debian packages that Patroni needs.
const PatroniPackages = "postgresql patroni etcd-server"

// Patroni is a Postgres primary with standbys. A Patroni beside each, and an etcd, see to it that one
// of them is the primary. Servers are numbered from 0.
type Patroni struct {
	// Addrs are where clients reach the servers.
	Addrs []string

	bin   string
	nodes []*patroniNode
	// Synchronous reports whether a commit waits for a standby.
	synchronous bool
}

// patroniNode is a machine of the cluster: a Patroni, and the Postgres that it has started.
type patroniNode struct {
	name, dir, addr, api string
	patroni              *server
	// away is whether it is dead or paused: nobody asks it.
	away bool
}

const (
	// patroniTTL is how long a primary may be silent before another takes over.
	patroniTTL = 20
	// patroniTick is how often each Patroni looks around.
	patroniTick = 2
	// promotableLag is how many bytes a standby may lack and still take over.
	promotableLag = 256 << 20
)

// NewPatroni starts three servers, of which commits need two. peer returns the address by which the
// others reach the server of an address: it may be that of a network that fails.
func NewPatroni(t T, peer func(addr string) string) *Patroni {
	t.Helper()
	for _, program := range []string{"patroni", "patronictl", "etcd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: apt-get install --no-install-recommends %s", program, PatroniPackages)
		}
	}
	// Patroni needs more of Postgres's programs than the PATH may have links to.
	initdb, err := filepath.EvalSymlinks(filepath.Join(postgresBin(t), "initdb"))
	must(t, err)
	c := &Patroni{bin: filepath.Dir(initdb), synchronous: true}
	store := startEtcd(t)
	for i := range 3 {
		ports := Ports(t, 2)
		n := &patroniNode{name: fmt.Sprintf("node%d", i), dir: postgresDir(t), addr: loopback(ports[0]), api: loopback(ports[1]), away: true}
		c.nodes, c.Addrs = append(c.nodes, n), append(c.Addrs, n.addr)
		n.configure(t, c.bin, store, peer(n.addr))
		c.Start(t, i)
		if i == 0 { // it makes the database of which the others begin as copies
			c.eventually(t, "a primary", func() error {
				_, err := c.Primary()
				return err
			})
		}
	}
	c.eventually(t, "a whole cluster", c.Whole)
	return c
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// startEtcd starts one server, and returns its address.
func startEtcd(t T) string {
	t.Helper()
	ports := Ports(t, 2)
	addr, peers := "http://"+loopback(ports[0]), "http://"+loopback(ports[1])
	cmd := exec.Command(lookPath(t, "etcd"), "--name", "one", "--data-dir", t.TempDir(), "--log-level", "error", //nolint:gosec // our own arguments
		"--listen-client-urls", addr, "--advertise-client-urls", addr,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "one="+peers)
	etcd := start(t, cmd, syscall.SIGKILL)
	etcd.wait(t, func() error {
		resp, err := http.Get(addr + "/health")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	return loopback(ports[0])
}

// configure writes the settings of a Patroni. A commit that waits for no other server, which a plain
// synchronous_mode allows when no standby is left, is not allowed.
func (n *patroniNode) configure(t T, bin, etcd, peer string) {
	t.Helper()
	text := fmt.Sprintf(`scope: preceptor
name: %[1]s
restapi: {listen: "%[2]s", connect_address: "%[2]s"}
etcd3: {host: "%[3]s"}
bootstrap:
  dcs:
    ttl: %[4]d
    loop_wait: %[5]d
    retry_timeout: 5
    maximum_lag_on_failover: %[6]d
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      parameters: {max_connections: 200}
  initdb: [encoding: UTF8, locale: C, no-sync]
postgresql:
  listen: "%[7]s"
  connect_address: "%[8]s"
  data_dir: "%[9]s/data"
  bin_dir: "%[10]s"
  pgpass: "%[9]s/pgpass"
  authentication:
    superuser: {username: postgres}
    replication: {username: standby, password: standby}
  parameters:
    unix_socket_directories: "%[9]s"
    fsync: "off"
    autovacuum: "off"
    shared_buffers: 64MB
    dynamic_shared_memory_type: mmap
    wal_retrieve_retry_interval: 500ms
    logging_collector: "off"
  pg_hba: [local all postgres trust, "host all,replication all 127.0.0.1/32 trust"]
`, n.name, n.api, etcd, patroniTTL, patroniTick, promotableLag, n.addr, peer, n.dir, bin)
	must(t, os.WriteFile(n.config(), []byte(text), 0o644)) //nolint:gosec // for the user postgres to read
}

func (n *patroniNode) config() string { return filepath.Join(n.dir, "patroni.yml") }

// Start starts a machine, which then does what its Patroni finds right: in the end it is a standby, or
// the primary where there is none.
func (c *Patroni) Start(t T, node int) {
	t.Helper()
	n := c.nodes[node]
	cmd := postgresCommand(t, n.dir, lookPath(t, "patroni"), n.config())
	cmd.WaitDelay = patience // for what it has started and left behind
	n.patroni = start(t, cmd, syscall.SIGTERM)
	n.away = false
	t.Cleanup(func() { c.Kill(t, node) }) // quicker than to stop it, and one that is paused never stops
}

// Kill ends machines at once: Patroni, and Postgres with all of its processes.
func (c *Patroni) Kill(t T, nodes ...int) {
	t.Helper()
	for _, i := range nodes {
		n := c.nodes[i]
		n.away = true
		_ = n.patroni.process.Kill()
		n.killPostgres()
		<-n.patroni.done // which its Postgres holds open, too
	}
}

// KillPostgres ends the Postgres of a machine whose Patroni goes on.
func (c *Patroni) KillPostgres(node int) { c.nodes[node].killPostgres() }

// Pause has a machine take connections and never respond.
func (c *Patroni) Pause(t T, node int) {
	t.Helper()
	n := c.nodes[node]
	n.away = true
	n.patroni.signal(t, syscall.SIGSTOP)
	for _, pid := range n.postgres() {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
}

// killPostgres ends a Postgres so that none of its processes outlives the first one, not even for as
// long as it takes to notice.
func (n *patroniNode) killPostgres() {
	for _, pid := range n.postgres() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// postgres stops a Postgres in its tracks, and returns its processes, the first one last.
func (n *patroniNode) postgres() []int {
	text, err := os.ReadFile(filepath.Join(n.dir, "data", "postmaster.pid"))
	if err != nil {
		return nil // it does not run
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || !n.owns(pid) {
		return nil
	}
	_ = syscall.Kill(pid, syscall.SIGSTOP) // it makes no more processes
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var found []int
	for child := range strings.FieldsSeq(string(children)) {
		if id, err := strconv.Atoi(child); err == nil {
			found = append(found, id)
		}
	}
	return append(found, pid)
}

// owns reports whether a process works in the data folder: the number of a dead one may be another's.
func (n *patroniNode) owns(pid int) bool {
	at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && at == filepath.Join(n.dir, "data")
}

// URL returns the url by which a client finds the primary, whichever it is.
func (c *Patroni) URL(user, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(user), Host: strings.Join(c.Addrs, ","), Path: "/" + database}
	return u.String() + "?sslmode=disable&target_session_attrs=read-write"
}

// Exec runs statements on the primary in the database "postgres", as superuser.
func (c *Patroni) Exec(t T, statements ...string) {
	t.Helper()
	execute(t, c.URL("postgres", "postgres"), statements...)
}

func (c *Patroni) living() (nodes []int) {
	for i, n := range c.nodes {
		if !n.away {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// query reads a row of one server.
func (n *patroniNode) query(sql string, into ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, "postgres://postgres@"+n.addr+"/postgres?sslmode=disable")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.QueryRow(ctx, sql).Scan(into...)
}

// Primary returns the one living server that accepts writes.
func (c *Patroni) Primary() (int, error) {
	primary, err := -1, errors.New("there is no primary")
	for _, i := range c.living() {
		var standby bool
		if c.nodes[i].query("SELECT pg_is_in_recovery()", &standby) != nil || standby {
			continue
		}
		if primary >= 0 {
			return -1, errors.New("there are two primaries")
		}
		primary, err = i, nil
	}
	return primary, err
}

// Whole returns nil where all living servers but the primary receive what it writes, and Patroni knows
// one of them to be what commits wait for, if they are to: it lets no other take over.
func (c *Patroni) Whole() error {
	primary, err := c.Primary()
	if err != nil {
		return err
	}
	var streaming, synchronous int
	if err := c.nodes[primary].query(`SELECT count(*), count(*) FILTER (WHERE sync_state <> 'async') FROM pg_stat_replication
		WHERE state = 'streaming' AND application_name LIKE 'node%'`, &streaming, &synchronous); err != nil {
		return err
	}
	promotable, err := c.nodes[primary].synchronous()
	if err != nil {
		return err
	}
	if want := len(c.living()) - 1; streaming != want || c.synchronous != (synchronous > 0) || c.synchronous != promotable {
		return fmt.Errorf("%d of %d standbys are there, %d of them synchronous", streaming, want, synchronous)
	}
	return nil
}

// synchronous reports whether a Patroni knows of a standby that commits wait for.
func (n *patroniNode) synchronous() (bool, error) {
	resp, err := (&http.Client{Timeout: patience}).Get("http://" + n.api + "/cluster")
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return bytes.Contains(body, []byte("sync_standby")), err
}

// Received returns nil where all standbys have everything that the primary has written by now.
func (c *Patroni) Received() error {
	primary, err := c.Primary()
	if err != nil {
		return err
	}
	var at string
	if err := c.nodes[primary].query("SELECT pg_current_wal_lsn()::text", &at); err != nil {
		return err
	}
	for _, i := range c.living() {
		var has bool
		if i == primary {
			continue
		}
		for end := Now().Add(patience); !has; time.Sleep(5 * time.Millisecond) {
			if err := c.nodes[i].query("SELECT pg_last_wal_replay_lsn() >= '"+at+"'", &has); err != nil || Now().After(end) {
				return fmt.Errorf("%s has not received %s: %w", c.nodes[i].name, at, err)
			}
		}
	}
	return nil
}

// Settle sets whether commits wait for a standby.
func (c *Patroni) Settle(t T, synchronous bool) {
	t.Helper()
	body := fmt.Sprintf(`{"synchronous_mode": %[1]t, "synchronous_mode_strict": %[1]t}`, synchronous)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, "http://"+c.nodes[c.living()[0]].api+"/config", bytes.NewBufferString(body))
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("Patroni does not take %s: %s", body, resp.Status)
	}
	c.synchronous = synchronous
	c.eventually(t, "standbys of the other kind", c.Whole)
}

// Switchover has another server become the primary, in an orderly way.
func (c *Patroni) Switchover(t T) {
	t.Helper()
	primary, err := c.Primary()
	must(t, err)
	n := c.nodes[primary]
	cmd := postgresCommand(t, n.dir, lookPath(t, "patronictl"), "-c", n.config(), "switchover", "--force", "--master", n.name)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Successfully switched over") {
		t.Fatalf("patronictl switchover: %v\n%s", err, out)
	}
}

// eventually is for what takes a cluster longer than a server.
func (c *Patroni) eventually(t T, what string, so func() error) {
	t.Helper()
	var err error
	for end := Now().Add(3 * patience); Now().Before(end) && !c.ended(); time.Sleep(50 * time.Millisecond) {
		if err = so(); err == nil {
			return
		}
	}
	for _, n := range c.nodes {
		t.Logf("output of %s at %s:\n%s", n.name, n.addr, n.patroni.out.String())
	}
	t.Fatalf("there never was %s: %v", what, err)
}

// ended reports whether a Patroni has ended by itself.
func (c *Patroni) ended() bool {
	for _, i := range c.living() {
		select {
		case <-c.nodes[i].patroni.done:
			return true
		default:
		}
	}
	return false
}
