package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestCertificateFailures meets what can be wrong with the files of a certificate.
func TestCertificateFailures(t *testing.T) {
	t.Parallel()
	ours, foreign := newAuthority(t), newAuthority(t)
	good, late := ours.flags("catalog"), newAuthority(t).flagsUntil("catalog", testenv.Now().Add(-time.Minute))
	other := foreign.flags("catalog")
	const cert, key, ca = 1, 3, 5
	with := func(at int, file string) []string {
		changed := slices.Clone(good)
		changed[at] = file
		return changed
	}
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		service string
		files   []string
		words   []string
	}{
		{"catalog", with(cert, "/nowhere/tls.crt"), []string{"/nowhere/tls.crt", "no such file"}},
		{"catalog", with(key, "/nowhere/tls.key"), []string{"/nowhere/tls.key", "no such file"}},
		{"catalog", with(ca, "/nowhere/ca.crt"), []string{"/nowhere/ca.crt", "no such file"}},
		{"catalog", with(cert, write("no.crt", "no secret")), []string{"no.crt"}},
		{"catalog", with(key, write("no.key", "no secret")), []string{"no.key"}},
		{"catalog", with(ca, write("no.ca", "no secret")), []string{"no.ca holds no certificate"}},
		{"catalog", with(key, other[key]), []string{good[cert], other[key], "does not match"}},
		{"catalog", with(ca, other[ca]), []string{good[cert] + " is by no authority in " + other[ca]}},
		{"catalog", late, []string{late[cert] + " expired on 20"}},
		{"profile", good, []string{good[cert], "preceptor-catalog", "not for preceptor-profile"}},
		{"gateway", good, []string{good[cert], "not for preceptor-gateway"}},
	} {
		args := append([]string{"serve", c.service, "--data", t.TempDir()}, c.files...)
		refused(t, 1, args, append(c.words, "see --tls-cert")...)
	}
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(data, "pki", "ca.pem")
	if err := os.WriteFile(authority, []byte("no secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, 1, []string{"serve", "catalog", "--data", data}, authority, "holds no certificate", "remove it")
}

// TestIssuerFailures starts with an issuer that is not there, or not what it should be. That is no
// reason not to serve: it is said once, in the log and on /readyz, until it comes right.
func TestIssuerFailures(t *testing.T) {
	t.Parallel()
	text := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(body))
		}
	}
	discovery := func(issuer func(asked string) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			text("application/json", `{"issuer":"`+issuer("http://"+r.Host)+`","jwks_uri":"http://`+r.Host+`/keys"}`)(w, r)
		}
	}
	type met struct {
		*world
		provider *provider
		says     string
	}
	var all []met
	for says, answers := range map[string]http.HandlerFunc{
		"404 Not Found": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>\n"+strings.Repeat("a page\n", 1000), http.StatusNotFound)
		},
		"text/html":                 text("text/html", "<html>\n"+strings.Repeat("a page\n", 1000)),
		"https://other.example.org": discovery(func(string) string { return "https://other.example.org" }),
		"holds no key":              discovery(func(asked string) string { return asked }),
		"EOF":                       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		p := newProvider(t)
		p.instead.Store(&answers)
		w := oneProcess(t, "--oidc-issuer", p.url, "--oidc-audience", "preceptor-test", "--oidc-roles-claim", "realm.roles")
		all = append(all, met{w, p, says})
	}
	ask := func(m met) *answer {
		return (&client{t: t, base: m.base, token: m.provider.token("oidc-learner", "learner")}).get("/v1/learners/me")
	}
	state := func(m met, field string) any {
		return (&client{t: t, base: m.base}).get("/readyz").want(http.StatusOK).get(field)
	}
	for range 2 {
		for _, m := range all {
			degraded := "the token issuer " + m.provider.url + " gives no keys"
			eventually(t, degraded, func() bool { return state(m, "degraded.0") == degraded })
			ask(m).problem(http.StatusServiceUnavailable, "ISSUER_UNREACHABLE")
		}
		time.Sleep(1100 * time.Millisecond) // what failed a moment ago is not asked anew
	}
	for _, m := range all {
		m.provider.instead.Store(nil)
	}
	for _, m := range all {
		eventually(t, "it comes right", func() bool { return state(m, "status") == "ready" })
		ask(m).want(http.StatusOK)
		told, right := m.front.lines("the token issuer gives no keys"), m.front.lines("the token issuer gives its keys again")
		if len(told) != 1 || len(right) != 1 || !strings.Contains(told[0], m.says) || !strings.Contains(told[0], m.provider.url) || len(told[0]) > 800 {
			t.Errorf("it says %q and %q, want %q", told, right, m.says)
		}
	}
}

// TestSchemas serves from a folder that an older program left, and not from one of a newer one.
func TestSchemas(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	id := w.as(t, "schema-learner").id()
	w.front.stop(t)
	db := w.database(t)
	harm(t, db, "DELETE FROM schema_migrations WHERE version_id = 5") // as before there was an audit
	harm(t, db, "DROP TABLE audit_entry")
	harm(t, db, "DROP TABLE audit_head")
	again := oneProcessOn(t, w.data)
	if got := again.as(t, "schema-learner").id(); got != id {
		t.Errorf("the learner was %s and is %s", id, got)
	}
	again.as(t, "admin", "admin").get("/v1/audit?service=progress").want(http.StatusOK)
	again.front.stop(t)
	harm(t, db, "UPDATE schema_info SET min_binary = 999")
	harm(t, db, "INSERT INTO schema_migrations (version_id, is_applied) VALUES (999, true)")
	refused(t, 1, []string{"serve", "--http", "127.0.0.1:0", "--data", w.data}, "the schema of progress is at 999", "run a newer program")
}

// lines are what the program said with a text in them.
func (p *process) lines(text string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for _, line := range p.stderr {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}
