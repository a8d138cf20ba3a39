package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
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
		{"catalog", with(cert, write("empty.crt", "")), []string{"empty.crt is empty"}},
		{"catalog", with(key, write("empty.key", "\n")), []string{"empty.key is empty"}},
		{"catalog", with(ca, write("empty.ca", "")), []string{"empty.ca is empty"}},
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
	if err := os.WriteFile(authority, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, 1, []string{"serve", "catalog", "--data", data}, authority+" is empty", "remove it")
}

// TestIssuerFailures starts with an issuer that is not there, or not what it should be. That is no
// reason not to serve: it is reported once, in the log and on /readyz, until it comes right.
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
		want     string
	}
	var all []met
	for want, answers := range map[string]http.HandlerFunc{
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
		all = append(all, met{w, p, want})
	}
	ask := func(m met) *response {
		return (&client{t: t, base: m.base, token: m.provider.token("oidc-learner", "learner")}).get("/v1/learners/me")
	}
	state := func(m met, field string) any {
		return m.operator(t).get("/readyz").want(http.StatusOK).get(field)
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
		lost, right := m.front.lines("the token issuer gives no keys"), m.front.lines("the token issuer gives its keys again")
		if len(lost) != 1 || len(right) != 1 || !strings.Contains(lost[0], m.want) || !strings.Contains(lost[0], m.provider.url) || len(lost[0]) > 800 {
			t.Errorf("it logs %q and %q, want %q", lost, right, m.want)
		}
	}
}

// TestIssuerEmptiesItsKeys: an issuer that publishes no keys any more signs nobody out, and is named on
// /readyz with the end of those that are known.
func TestIssuerEmptiesItsKeys(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	unknown, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := oneProcess(t, "--oidc-issuer", p.url, "--oidc-audience", "preceptor-test", "--oidc-roles-claim", "realm.roles")
	operator := w.operator(t)
	before := &client{t: t, base: w.base, token: p.token("empty-learner", "learner")}
	before.get("/v1/learners/me").want(http.StatusOK)

	empty := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(rw, `{"issuer":%q,"jwks_uri":"%s/keys","keys":[]}`, p.url, p.url)
	})
	p.instead.Store(&empty)
	stranger := &client{t: t, base: w.base, token: p.signed(signerOf(t, unknown, "2"), "empty-learner", "learner")}
	want := "the token issuer " + p.url + " gives no keys; those known of it are accepted until 20"
	eventually(t, want, func() bool {
		stranger.get("/v1/learners/me") // names a key that nobody knows, so the issuer is asked
		text, _ := operator.get("/readyz").want(http.StatusOK).get("degraded.0").(string)
		return strings.HasPrefix(text, want)
	})
	(&client{t: t, base: w.base, token: p.token("empty-other", "learner")}).get("/v1/learners/me").want(http.StatusOK)
	stranger.get("/v1/learners/me").problem(http.StatusServiceUnavailable, "ISSUER_UNREACHABLE")
	if lines := w.front.lines("the token issuer gives no keys"); len(lines) != 1 || !strings.Contains(lines[0], "ERROR") || !strings.Contains(lines[0], "known_until") {
		t.Errorf("it logs %q", lines)
	}
}

// TestSchemas refuses folders whose schema is not this program's: a newer one's, and one of another
// format, which every command leaves as it is.
func TestSchemas(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	w.as(t, "schema-learner").id()
	copied := filepath.Join(t.TempDir(), "backup")
	if _, stderr, code := command(t, "backup", "--data", w.data, "--to", copied); code != 0 {
		t.Fatal(stderr)
	}
	w.front.stop(t)
	serve := []string{"serve", "--http", "127.0.0.1:0", "--data", w.data}
	change := func(folder, statement string) {
		t.Helper()
		db := (&world{data: folder}).database(t)
		harm(t, db, statement)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var format int
	db := w.database(t)
	if err := db.QueryRowContext(t.Context(), "SELECT format FROM schema_info").Scan(&format); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(" and this program reads format %d: before the first release formats are not converted; "+
		"move the folder away and start with an empty one, or run the program that made it", format)
	const older, newer = "UPDATE schema_info SET format = format - 1", "UPDATE schema_info SET format = format + 1"
	for _, c := range []struct{ change, undo, has string }{
		{older, newer, fmt.Sprintf("has format %d", format-1)},
		{newer, older, fmt.Sprintf("has format %d", format+1)},
		{"ALTER TABLE schema_info RENAME format TO f", "ALTER TABLE schema_info RENAME f TO format", "has no format number, as older programs left it,"},
	} {
		change(w.data, c.change)
		before := databaseFiles(t, w.data)
		for _, args := range [][]string{
			serve,
			{"backup", "--data", w.data, "--to", filepath.Join(t.TempDir(), "refused")},
			{"progress", "verify", "--data", w.data},
			{"progress", "rebuild", "--data", w.data},
			{"migrate", "progress", "--from", "sqlite:" + w.data, "--to", "postgres://u:secret@127.0.0.1:1/x"},
		} {
			refused(t, 1, args, filepath.Join(w.data, "progress.db")+" "+c.has+want)
		}
		if !maps.Equal(before, databaseFiles(t, w.data)) {
			t.Errorf("%s: the folder was written to", c.has)
		}
		change(w.data, c.undo)
	}
	oneProcessOn(t, w.data).front.stop(t)
	change(copied, older)
	correctManifest(t, copied, "progress.db")
	into := filepath.Join(t.TempDir(), "restored")
	refused(t, 1, []string{"restore", "--from", copied, "--data", into}, "the backup cannot be restored", fmt.Sprintf("progress.db has format %d", format-1)+want)
	if _, err := os.Stat(into); err == nil {
		t.Error("a folder was made of a backup that cannot be restored")
	}
	change(w.data, "UPDATE schema_info SET min_binary = 999")
	change(w.data, "INSERT INTO schema_migrations (version_id, is_applied) VALUES (999, true)")
	refused(t, 1, serve, "the schema of progress is at 999", "run a newer program")
}

// databaseFiles are the contents of a folder's databases and their logs.
func databaseFiles(t *testing.T, folder string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.db*"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = string(text)
	}
	return found
}

// correctManifest has a backup's manifest agree with a file that was changed.
func correctManifest(t *testing.T, folder, name string) {
	t.Helper()
	file := filepath.Join(folder, "manifest.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range manifest["files"].([]any) {
		if entry := each.(map[string]any); entry["name"] == name {
			entry["size"], entry["sha256"] = len(content), fmt.Sprintf("%x", sha256.Sum256(content))
		}
	}
	if text, err = json.Marshal(manifest); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// lines returns the lines of the program's output that contain a text.
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
