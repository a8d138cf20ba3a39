package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// refused runs the program, which must fail with one line that contains all of the words. What is secret
// is called so in tests.
func refused(t *testing.T, code int, args []string, words ...string) {
	t.Helper()
	_, stderr, got := command(t, args...)
	if got != code {
		t.Errorf("%v: exit code %d, want %d", args, got, code)
	}
	if strings.Contains(stderr, "secret") {
		t.Errorf("%v: shows a secret: %s", args, stderr)
	}
	if strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "goroutine") {
		t.Errorf("%v: not one line:\n%s", args, stderr)
	}
	for _, part := range words {
		if !strings.Contains(stderr, part) {
			t.Errorf("%v: does not say %q: %s", args, part, stderr)
		}
	}
}

// TestFailures meets what goes wrong at the start, and what the operator reads then.
func TestFailures(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	serve := func(more ...string) []string { return append([]string{"serve", "--http", "127.0.0.1:0"}, more...) }

	refused(t, 1, []string{"serve", "--http", strings.TrimPrefix(w.base, "http://"), "--data", t.TempDir()}, "in use", "--http")
	refused(t, 1, serve("--data", w.data), "in use by process "+fmt.Sprint(w.front.cmd.Process.Pid), "--data")
	refused(t, 1, []string{"serve", "catalog", "--listen", "127.0.0.1:0", "--data", w.data}, "in use by process")

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, 1, serve("--data", file), file, "is not a folder", "--data")
	refused(t, 1, serve("--data", filepath.Join(file, "below")), "is not a folder", "--data")
	refused(t, 1, serve("--data", "/proc/preceptor"), "/proc/preceptor", "--data")

	for _, name := range []string{"profile", "catalog", "progress"} {
		data := t.TempDir()
		if err := os.WriteFile(filepath.Join(data, name+".db"), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, 1, serve("--data", data), name+".db", "backup")
	}
	badKey := t.TempDir()
	if err := os.WriteFile(filepath.Join(badKey, "issuer.key"), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, 1, serve("--data", badKey), "issuer.key")
	refused(t, 1, []string{"token", "--data", badKey, "--subject", "x"}, "issuer.key")
	refused(t, 1, []string{"token", "--data", file, "--subject", "x"}, "is not a folder")
	for content, fault := range map[string]string{"": "is empty", " \n": "is empty", "no key": "holds no PEM block"} {
		key := filepath.Join(badKey, "issuer.key")
		if err := os.WriteFile(key, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{serve("--data", badKey), {"token", "--data", badKey, "--subject", "x"}, {"audit", "verify", "--data", badKey}} {
			refused(t, 1, args, "cannot be used", key+" "+fault, "put a copy of it back, or remove it")
		}
	}
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "issuer.key"), 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, 1, serve("--data", folder), "has a folder where a file must be", filepath.Join(folder, "issuer.key"))
	refused(t, 1, []string{"audit", "verify", "--token-file", os.DevNull}, "the token file "+os.DevNull+" is empty")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for _, c := range []struct {
		args  []string
		words string
	}{
		{[]string{"serv"}, `unknown command "serv"`},
		{[]string{"serve", "--port", "80"}, "--help"},
		{[]string{"serve", "everything"}, `unknown service "everything"`},
		{[]string{"serve", "profile", "catalog"}, "one service at most"},
		{[]string{"serve", "profile", "--http", "127.0.0.1:0", "--data", data}, "--http means nothing"},
		{[]string{"serve", "--profile-addr", "127.0.0.1:1", "--data", data}, "--profile-addr means nothing"},
		{[]string{"serve", "--http", "nowhere", "--data", data}, "not an address"},
		{[]string{"serve", "--log-level", "loud", "--data", data}, "unknown log level"},
		{[]string{"serve", "--log-format", "xml", "--data", data}, "unknown log format"},
		{[]string{"serve", "--oidc-issuer", "https://id.example.org", "--data", data}, "--oidc-audience"},
		{[]string{"serve", "--oidc-issuer", "id.example.org", "--oidc-audience", "x", "--data", data}, "--oidc-issuer is not a URL"},
		{[]string{"serve", "--oidc-issuer", "https://u:secret@id.example.org", "--oidc-audience", "x", "--data", data}, "--oidc-issuer is not a URL"},
		{[]string{"serve", "progress", "--redis-url", "redis://u:secret@h:port", "--data", data}, "--redis-url: the Redis url has the port"},
		{[]string{"serve", "progress", "--redis-url", "http://u:secret@h", "--data", data}, "redis://HOST:6379/0"},
		{[]string{"serve", "progress", "--redis-url", "redis://u:secret?@h", "--data", data}, "--redis-url: the Redis url has a user or password that is not properly escaped"},
		{[]string{"serve", "gateway", "--tls-cert", "x", "--data", data}, "go together"},
		{[]string{"serve", "--drain-delay", "soon", "--data", data}, "drain-delay"},
		{[]string{"serve", "gateway", "--profile-addr", "127.0.0.1:1,somewhere", "--data", data}, "--profile-addr"},
		{[]string{"token", "--data", data}, "subject"},
		{[]string{"token", "--data", data, "--subject", "x", "--role", "king"}, "no role"},
		{[]string{"token", "--data", data, "--subject", "x", "--ttl", "1ns"}, "a second"},
		{[]string{"catalog", "apply", "--data", data}, "at least one file"},
		{[]string{"catalog", "aply"}, `unknown command "aply"`},
		{[]string{"audit", "verify", "--service", "gateway", "--data", data}, "profile, catalog or progress"},
		{[]string{"audit", "verify", "progress"}, "takes no argument"},
		{[]string{"audit", "verify", "--expect", "progress:1", "--data", data}, "service:sequence:hash"},
		{[]string{"audit", "verify", "--expect", "progress:01:" + strings.Repeat("a", 64), "--data", data}, `1 or more, not "01"`},
		{[]string{"audit", "verify", "--expect", "progress:1:" + strings.Repeat("A", 64), "--data", data}, "64 hexadecimal digits"},
		{[]string{"audit", "verify", "--expect", "gateway:1:" + strings.Repeat("a", 64), "--data", data}, "want profile, catalog or progress"},
		{[]string{"audit", "verify", "--service", "catalog", "--expect", "progress:1:" + strings.Repeat("a", 64), "--data", data}, "want catalog"},
		{[]string{"version", "now"}, "takes no argument"},
		{[]string{"serve", "--database-url", "postgres://h/x", "--data", data}, "--database-url means nothing"},
		{[]string{"serve", "catalog", "--database-url", "mysql://u:secret@h/x", "--data", data}, "begins with"},
		{[]string{"serve", "catalog", "--database-url", "postgres://h/x", "--database-max-conns", "1", "--data", data}, "at least 2"},
		{[]string{"backup", "--data", data}, "--to"},
		{[]string{"backup", "here", "--data", data, "--to", data}, "takes no argument"},
		{[]string{"restore", "--data", data}, "--from"},
		{[]string{"migrate"}, "--database-url"},
		{[]string{"migrate", "gateway"}, `unknown service "gateway"`},
		{[]string{"migrate", "profile", "catalog"}, "one service at most"},
		{[]string{"migrate", "--from", "sqlite:" + data}, "go together"},
		{[]string{"migrate", "--from", data, "--to", "postgres://h/x"}, "sqlite:./data"},
		{[]string{"migrate", "--database-url", "sqlite:x.db"}, "begins with postgres://"},
	} {
		refused(t, 2, c.args, c.words)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "--help", "serve --help", "serve progress --help", "serve --data x progress -h", "token --help", "catalog --help", "catalog apply --help", "progress --help", "progress rebuild --help",
		"audit verify --help", "migrate --help", "backup --help", "restore --help", "healthcheck --help",
	} {
		args := strings.Fields(line)
		stdout, stderr, code := command(t, args...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "USAGE") {
			t.Errorf("%v: exit code %d, stderr %q\n%s", args, code, stderr, stdout)
		}
	}
	help, _, _ := command(t, "serve", "progress", "--help")
	for _, part := range []string{"PRECEPTOR_HTTP", "PRECEPTOR_DATA", "--oidc-issuer", "127.0.0.1:8080", "preceptor serve"} {
		if !strings.Contains(help, part) {
			t.Errorf("the help of serve does not say %s", part)
		}
	}
	secretive := exec.Command(binary, "serve", "--help")
	secretive.Env = append(environment(), "PRECEPTOR_DATABASE_URL=postgres://u:secret@h/x")
	if out, err := secretive.CombinedOutput(); err != nil || strings.Contains(string(out), "u:secret") {
		t.Errorf("the help shows the password of a database url, or %v:\n%s", err, out)
	}
	if stdout, _, code := command(t, "version"); code != 0 || strings.TrimSpace(stdout) != "dev" {
		t.Errorf("version prints %q", stdout)
	}
}

// TestFirstScreen checks what a person sees, and that the commands on it work as they stand.
func TestFirstScreen(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "a folder's name")
	p, _ := launch(t, "serve", "--http", "127.0.0.1:0", "--data", data)
	eventually(t, "the first screen", func() bool { return strings.Contains(p.output(), "Ctrl-C") })
	screen := p.output()
	for _, part := range []string{"Preceptor is ready", "API    http://127.0.0.1:", "/docs", data} {
		if !strings.Contains(screen, part) {
			t.Errorf("the first screen does not say %q:\n%s", part, screen)
		}
	}
	var script []string
	for line := range strings.Lines(screen) {
		if strings.HasPrefix(line, "  LEARNER=") || strings.HasPrefix(line, "  AUTHOR=") || strings.HasPrefix(line, "  curl ") {
			script = append(script, strings.TrimSpace(line))
		}
	}
	out := bash(t, t.TempDir(), strings.Join(append(script, `echo; test -n "$AUTHOR" && echo author`), "\n"))
	if !strings.Contains(out, `"recommendedPaths":[{"pathId"`) || !strings.Contains(out, "\nauthor\n") {
		t.Errorf("the commands of the first screen say:\n%s", out)
	}
	if code := p.stop(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// TestServiceScreen starts one of the four by itself, which prints where it is looked after.
func TestServiceScreen(t *testing.T) {
	t.Parallel()
	addrs := freeAddrs(t, 2)
	p, _ := launch(t, "serve", "progress", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--health-addr", addrs[0], "--metrics-addr", addrs[1])
	eventually(t, "the screen", func() bool { return strings.Contains(p.output(), "/metrics") })
	for _, part := range []string{"Preceptor progress is ready", "mutual TLS", "http://" + addrs[0] + "/readyz\n", "http://" + addrs[1] + "/metrics\n"} {
		if !strings.Contains(p.output(), part) {
			t.Errorf("it does not print %q:\n%s", part, p.output())
		}
	}
}

// TestStop stops the program while a stream is open: the stream ends with a hint when to
// come back, and the program ends in good order.
func TestStop(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T, ...string) *world{"one": oneProcess, "four": fourProcesses} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := run(t, "--drain-delay", "300ms")
			me := w.as(t, "stop-learner")
			me.id()
			stream := me.watch()
			open := <-stream
			if open.retry == "" {
				t.Errorf("the stream opens with %+v", open)
			}
			stopped := make(chan int)
			go func() { stopped <- w.front.stop(t) }()
			anyone := &client{t: t, base: w.base}
			eventually(t, "readyz reports draining", func() bool {
				a, err := anyone.try(http.MethodGet, "/readyz", nil, "X-Forwarded-For", "192.0.2.1")
				return err != nil || a.status == http.StatusServiceUnavailable && a.get("status") == "unready" && a.get("reason") == nil
			})
			var last serverSent
			for e := range stream {
				last = e
			}
			if last.retry == "" {
				t.Errorf("the stream ended with %+v", last)
			}
			if code := <-stopped; code != 0 {
				t.Errorf("exit code %d", code)
			}
			for _, p := range w.all[1:] {
				if code := p.stop(t); code != 0 {
					t.Errorf("exit code %d", code)
				}
			}
		})
	}
}

// TestSecondSignal stops a program at once by a second signal, whatever it waits for.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "gateway", "--http", "127.0.0.1:0", "--data", t.TempDir(), "--drain-delay", "1h")
	anyone, operator := &client{t: t, base: "http://" + p.addr}, &client{t: t, base: "http://" + p.health}
	term := func() {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	term()
	eventually(t, "readyz reports draining", func() bool {
		a := anyone.get("/readyz", "X-Forwarded-For", "192.0.2.1")
		return a.status == http.StatusServiceUnavailable && a.get("reason") == nil && operator.get("/readyz").get("reason") == "draining"
	})
	term()
	p.wait(t)
}

// TestRestart finds everything again after an orderly stop.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	c := publishCourse(t, w.as(t, "author", "author"), "restart")
	me := w.as(t, "restart-learner")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": c.path}).want(http.StatusCreated)
	me.record(c.basicsDone()...)
	at := "/v1/learners/me/paths/" + c.path + "/progress"
	before := me.get(at).want(http.StatusOK)
	if code := w.front.stop(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	again := oneProcessOn(t, w.data)
	after := again.as(t, "restart-learner").get(at, "If-None-Match", before.header.Get("ETag"))
	after.want(http.StatusNotModified)
	again.as(t, "restart-learner").get(at).want(http.StatusOK).has("percent", 50)
}

// TestAnyOrder starts the four processes the wrong way round, and takes one away.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	data, addrs := t.TempDir(), freeAddrs(t, 3)
	args := func(name string, more ...string) []string {
		return append([]string{"serve", name, "--data", data, "--profile-addr", addrs[0], "--catalog-addr", addrs[1], "--progress-addr", addrs[2]}, more...)
	}
	gateway := start(t, args("gateway", "--http", "127.0.0.1:0")...)
	w := &world{base: "http://" + gateway.addr, data: data, front: gateway, tokens: map[string]string{}}
	anyone := &client{t: t, base: w.base}
	operator := w.operator(t)
	operator.get("/readyz").want(http.StatusOK).has("status", "degraded", "degraded.0", "profile cannot be reached")
	anyone.get("/readyz").want(http.StatusOK).has("status", "degraded", "degraded.0", "profile cannot be reached") // on this machine
	anyone.get("/readyz", "X-Forwarded-For", "192.0.2.1").want(http.StatusOK).has("status", "ready")
	anyone.get("/healthz").want(http.StatusOK)
	w.as(t, "order").get("/v1/modules").want(http.StatusServiceUnavailable)

	start(t, args("progress", "--listen", addrs[2], "--health-addr", freeAddrs(t, 1)[0])...)
	start(t, args("profile", "--listen", addrs[0])...)
	catalog := start(t, args("catalog", "--listen", addrs[1])...)
	w.awaitReady(t)
	me := w.as(t, "order")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": "clinical-ai-engineer"}).want(http.StatusCreated)

	// Without the catalog, what is known of it is still served.
	catalog.kill()
	me.get("/v1/learners/me/paths/clinical-ai-engineer/progress").want(http.StatusOK)
	me.get("/v1/modules").want(http.StatusServiceUnavailable)
	eventually(t, "the catalog is missed", func() bool { return operator.get("/readyz").get("status") == "degraded" })
	me.record(event("no-such-module", "x", "COMPLETED")).has("results.0.status", "RETRY", "results.0.reason", "CATALOG_BEHIND")

	start(t, args("catalog", "--listen", addrs[1])...)
	w.awaitReady(t)
	eventually(t, "the catalog confirms that there is no such module", func() bool {
		return me.record(event("no-such-module", "x", "COMPLETED")).get("results.0.reason") == "UNKNOWN_MODULE"
	})
	// Each loss and return is logged once: of the start, and for the catalog of its end.
	for name, times := range map[string]int{"profile": 1, "catalog": 2, "progress": 1} {
		away, back := gateway.lines(name+" cannot be reached"), gateway.lines(name+" is reachable again")
		if len(away) != times || len(back) != times || !strings.Contains(away[0], `"service":"gateway"`) {
			t.Errorf("of %s the gateway logs %q and %q", name, away, back)
		}
	}
}

// TestServiceNeedsItsCertificate calls a service of the four with other certificates, and with none.
func TestServiceNeedsItsCertificate(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "catalog", "--data", t.TempDir(), "--listen", "127.0.0.1:0")
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	response := make([]byte, 64)
	n, _ := conn.Read(response)
	if n > 0 && response[0] != 0x15 { // a TLS alert
		t.Errorf("the service speaks in the clear: %q", response[:n])
	}
}

// TestCatalogCommands writes a catalog as files, and publishes it.
func TestCatalogCommands(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "catalog", "fhir.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, code int, more ...string) (stdout, stderr string) {
		t.Helper()
		args := append([]string{"catalog", name, "--server", w.base, "--data", w.data}, more...)
		stdout, stderr, got := command(t, args...)
		if got != code {
			t.Fatalf("%v: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
		}
		return stdout, stderr
	}
	write(twoDocuments)
	if out, _ := run("diff", 3, dir); !strings.Contains(out, "module import-a (version 1)\n    new\n") || !strings.Contains(out, "2 to publish, 0 unchanged") {
		t.Errorf("diff prints:\n%s", out)
	}
	if out, _ := run("apply", 0, dir); !strings.Contains(out, "2 published, 0 unchanged") {
		t.Errorf("apply prints:\n%s", out)
	}
	if out, _ := run("diff", 0, file); !strings.Contains(out, "0 to publish, 2 unchanged") {
		t.Errorf("diff prints:\n%s", out)
	}
	write(strings.Replace(twoDocuments, "title: First\n", "title: Second\n    changeClass: MINOR\n", 1))
	if out, _ := run("diff", 3, file); !strings.Contains(out, `title: "First" → "Second"`) || !strings.Contains(out, "version 2, MINOR") {
		t.Errorf("diff prints:\n%s", out)
	}
	write(strings.Replace(twoDocuments, "title: First\n", "titel: Second\n", 1))
	if _, stderr := run("apply", 1, file); !strings.Contains(stderr, file+":4:") || !strings.Contains(stderr, "nothing was changed") {
		t.Errorf("apply prints:\n%s", stderr)
	}
	write(strings.Replace(twoDocuments, "---\n", "  - {id: import-b, title: B, prerequisites: [import-a], units: [{id: one, title: One}]}\n---\n", 1) +
		"  - {id: import-warned, title: Warned, milestones: [{id: m, title: M, groups: [{moduleIds: [import-b]}]}]}\n")
	if out, _ := run("diff", 3, file); !strings.Contains(out, "warning: "+file+":17:93 paths[1].milestones[0].groups[0].moduleIds[0]: \"import-b\"") ||
		!strings.Contains(out, "(PREREQUISITE_OUTSIDE_PATH)\n") {
		t.Errorf("diff prints:\n%s", out)
	}
	if out, _ := run("export", 0); !strings.Contains(out, "import-a") {
		t.Error("the export lacks what was applied")
	}
	if out, _ := run("export", 0, "--json"); !strings.HasPrefix(out, "{") {
		t.Error("the export is no JSON")
	}
	exported := filepath.Join(dir, "all.yaml")
	out, _ := run("export", 0)
	if err := os.WriteFile(exported, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _ := run("diff", 0, exported); !strings.Contains(out, "0 to publish") {
		t.Errorf("an export differs from itself:\n%s", out)
	}
	// Other ways to a token, and to none.
	_, stderr, code := command(t, "catalog", "diff", "--server", w.base, "--token", w.token(t, "reader"), file)
	if code != 1 || !strings.Contains(stderr, "needs role author") {
		t.Errorf("as a learner: exit code %d: %s", code, stderr)
	}
	_, stderr, code = command(t, "catalog", "diff", "--server", w.base, "--data", t.TempDir(), file)
	if code != 1 || !strings.Contains(stderr, "--token") {
		t.Errorf("without a token: exit code %d: %s", code, stderr)
	}
	_, stderr, code = command(t, "catalog", "export", "--server", "http://127.0.0.1:1", "--data", w.data)
	if code != 1 || !strings.Contains(stderr, "--server") {
		t.Errorf("without a server: exit code %d: %s", code, stderr)
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	if stdout, stderr, code := command(t, "healthcheck", "--url", w.base+"/readyz"); code != 0 || stdout != `{"status":"ready","degraded":[]}`+"\n" {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if _, stderr, code := command(t, "healthcheck", "--url", "http://127.0.0.1:1/readyz"); code != 1 || !strings.Contains(stderr, "not ready") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
