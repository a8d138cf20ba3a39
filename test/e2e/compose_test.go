//go:build realservers

package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// composition is deploy/compose.yaml, run without containers: its addresses and paths are replaced
// by those of the test.
type composition struct {
	Services map[string]struct {
		Command     []string          `yaml:"command"`
		Environment map[string]string `yaml:"environment"`
		HealthCheck struct {
			Test []string `yaml:"test"`
		} `yaml:"healthcheck"`
	} `yaml:"services"`

	replace []string
}

// readComposition reads the file with a password for each service, and the defaults of all else.
func readComposition(t *testing.T) *composition {
	t.Helper()
	text := regexp.MustCompile(`\$\{([A-Z]+)_PASSWORD:\?[^}]*\}`).ReplaceAllString(repoFile(t, "deploy/compose.yaml"), "secret-$1")
	text = regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`).ReplaceAllString(text, "$1")
	c := &composition{}
	if err := yaml.Unmarshal([]byte(text), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// here are words of the file with what replaces them.
func (c *composition) here(words []string) []string {
	replacer := strings.NewReplacer(c.replace...)
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = replacer.Replace(word)
	}
	return out
}

// env are a service's variables.
func (c *composition) env(service string) (env []string) {
	for name, value := range c.Services[service].Environment {
		env = append(env, c.here([]string{name + "=" + value})...)
	}
	return env
}

// certificates runs the script that makes them, as it is run in a folder for each volume.
func (c *composition) certificates(t *testing.T, tls string) {
	t.Helper()
	for _, volume := range []string{"authority", "postgres", "redis"} {
		if err := os.MkdirAll(filepath.Join(tls, volume), 0o755); err != nil { //nolint:gosec // for the user postgres to read
			t.Fatal(err)
		}
	}
	// openssl makes them by the machine's clock.
	script := strings.Replace(repoFile(t, "deploy/certificates.sh"), "-days 3650 ", fmt.Sprintf("-days %d ", 3650+testenv.DaysAhead()), 1)
	run := func() string {
		bash(t, tls, "export TLS='"+tls+"' SERVERS="+testenv.PostgresUser(t)+"\nsh <<'EOF'\n"+script+"\nEOF")
		text, err := os.ReadFile(filepath.Join(tls, "authority", "ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if first := run(); run() != first {
		t.Error("a second run replaces the certificates")
	}
	for _, server := range []string{"postgres", "redis"} {
		verified(t, filepath.Join(tls, "authority", "ca.crt"), filepath.Join(tls, server, "server.crt"), server)
	}
}

// verified fails the test unless a certificate is the authority's, and for a server of that name.
func verified(t *testing.T, authority, certificate, name string) {
	t.Helper()
	roots := x509.NewCertPool()
	ca, cerr := os.ReadFile(authority)
	text, err := os.ReadFile(certificate)
	if err != nil || cerr != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatal(err, cerr)
	}
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: testenv.Now()}); err != nil {
		t.Errorf("%s: %v", certificate, err)
	}
}

// TestCompose runs what deploy/compose.yaml runs: its certificates, Postgres and Redis by their commands
// and settings, the migrations and the services by their arguments and variables.
func TestCompose(t *testing.T) {
	t.Parallel()
	c := readComposition(t)
	dir, data := testenv.PostgresDir(t), t.TempDir()
	tls := filepath.Join(dir, "tls")
	c.certificates(t, tls)
	postgres := c.postgres(t, dir, tls)
	redis := c.redis(t, tls)
	addrs := freeAddrs(t, 4)
	c.replace = []string{
		"@postgres:5432", "@" + postgres.Addr(), "@redis:6379", "@" + redis, "/tls/", filepath.Join(tls, "authority") + "/", "=/data", "=" + data,
		"profile:7001", addrs[0], "catalog:7002", addrs[1], "progress:7003", addrs[2],
		"=:7001", "=" + addrs[0], "=:7002", "=" + addrs[1], "=:7003", "=" + addrs[2], "=:8080", "=" + addrs[3], "=:8081", "=127.0.0.1:0", "=:9090", "=127.0.0.1:0",
	}
	for _, service := range storeServices() {
		migration, _ := launchWith(t, c.env("migrate-"+service), c.here(c.Services["migrate-"+service].Command)...)
		if code := migration.wait(t); code != 0 {
			t.Fatalf("migrate %s: exit code %d\n%s", service, code, migration.output())
		}
	}
	w := &world{base: "http://" + addrs[3], data: data, tokens: map[string]string{}}
	for _, service := range append(storeServices(), "gateway") {
		p, ready := launchWith(t, c.env(service), c.here(c.Services[service].Command)...)
		w.front = p
		select {
		case line := <-ready:
			p.health = line.Health
		case <-p.exited:
			t.Fatalf("%s ended: %v\n%s", service, p.err, p.output())
		case <-time.After(patience):
			t.Fatalf("%s is not ready\n%s", service, p.output())
		}
	}
	w.awaitReady(t) // which it is with a Redis alone that it can use
	me := w.as(t, "ada")
	me.id()
	eventually(t, "the starter catalog is known", func() bool {
		return me.post("/v1/learners/me/enrollments", map[string]any{"pathId": "clinical-ai-engineer"}).status == http.StatusCreated
	})
	me.get("/v1/learners/me/progress").want(http.StatusOK)
	onlyByTLS(t, postgres, dir, redis)
}

// postgres starts the server as the image does: by the command, and with the script of a new folder.
func (c *composition) postgres(t *testing.T, dir, tls string) *testenv.PostgresProcess {
	t.Helper()
	s := c.Services["postgres"]
	rules := filepath.Join(dir, "pg_hba.conf")
	if err := os.WriteFile(rules, []byte(repoFile(t, "deploy/postgres/pg_hba.conf")), 0o644); err != nil { //nolint:gosec // for the user postgres to read
		t.Fatal(err)
	}
	c.replace = []string{"/tls/", filepath.Join(tls, "postgres") + "/", "/etc/postgresql/pg_hba.conf", rules}
	p := testenv.PostgresByCommand(t, dir, c.here(s.Command), s.Environment["POSTGRES_PASSWORD"],
		"sslmode=verify-full&sslrootcert="+filepath.Join(tls, "authority", "ca.crt"))
	env := append(c.env("postgres"), "PGHOST="+dir, "POSTGRES_USER=postgres")
	p.Shell(t, `createdb "$POSTGRES_DB"`, env...)
	p.Shell(t, repoFile(t, "deploy/postgres/roles.sh"), env...)
	p.Shell(t, strings.Join(s.HealthCheck.Test[1:], " "), env...)
	return p
}

// redis starts the server by its command, and checks it as the file says.
func (c *composition) redis(t *testing.T, tls string) (addr string) {
	t.Helper()
	s := c.Services["redis"]
	addr = freeAddrs(t, 1)[0]
	_, port, _ := strings.Cut(addr, ":")
	c.replace = []string{"/tls/", filepath.Join(tls, "redis") + "/", "/tls-authority/", filepath.Join(tls, "authority") + "/", "6379", port}
	check := append(c.here(s.HealthCheck.Test[1:2]), "-p", port)
	testenv.RedisByCommand(t, c.here(s.Command), append(check, c.here(s.HealthCheck.Test[2:])...), c.env("redis")...)
	return addr
}

// onlyByTLS tries what the servers must refuse, and looks at the connections that there are.
func onlyByTLS(t *testing.T, postgres *testenv.PostgresProcess, dir, redis string) {
	t.Helper()
	plain := "postgres://profile:secret-PROFILE@" + postgres.Addr() + "/preceptor?sslmode=disable"
	refused(t, 1, []string{"migrate", "profile", "--database-url", plain}, "does not admit the user profile")
	foreign := testenv.NewAuthority(t).File
	refused(t, 1, []string{"migrate", "profile", "--database-url", strings.Replace(plain, "disable", "verify-full&sslrootcert="+foreign, 1)}, "cannot be reached")
	counted := postgres.Shell(t, `psql --no-align --tuples-only --command="SELECT count(*) FILTER (WHERE NOT ssl), count(*) > 2
		FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename IN ('profile', 'catalog', 'progress')"`, "PGHOST="+dir)
	if strings.TrimSpace(counted) != "0|t" {
		t.Errorf("connections without TLS, and whether there are any: %s", counted)
	}
	_, port, _ := strings.Cut(redis, ":")
	cmd := exec.Command("redis-cli", "-p", port, "ping")
	cmd.Env = append(os.Environ(), "REDISCLI_AUTH=secret-REDIS")
	if out, err := cmd.CombinedOutput(); err == nil && strings.Contains(string(out), "PONG") {
		t.Errorf("Redis answers in the clear: %s", out)
	}
}
