package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestClientCredentials has commands get their tokens from an issuer by themselves, as the Jobs of
// deploy/k8s/components/verify do.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	w := oneProcess(t, "--oidc-issuer", p.url, "--oidc-audience", "preceptor-test", "--oidc-roles-claim", "realm.roles")
	file := filepath.Join(t.TempDir(), "secret")
	save := func(secret string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save("s+e c%ret")
	role := "admin"
	p.grant = func(out http.ResponseWriter, r *http.Request) string {
		id, secret, _ := r.BasicAuth()
		if id != "night%2Fwatch" || secret != "s%2Be+c%25ret" || r.PostFormValue("grant_type") != "client_credentials" {
			out.WriteHeader(http.StatusUnauthorized)
			return `{"error": "invalid_client", "error_description": "no such client"}`
		}
		if r.PostFormValue("scope") != "preceptor" || r.PostFormValue("audience") != "preceptor-test" {
			t.Errorf("it asks for %v", r.PostForm)
		}
		return `{"access_token": "` + p.token("night-watch", role) + `", "token_type": "Bearer", "expires_in": 300}`
	}
	flags := []string{
		"--server", w.base, "--data", t.TempDir(), "--oidc-issuer", p.url, "--oidc-client-id", "night/watch", "--oidc-client-secret-file", file,
		"--oidc-scope", "preceptor", "--oidc-audience", "preceptor-test",
	}
	for _, args := range [][]string{{"progress", "verify"}, {"audit", "verify"}} {
		if stdout, stderr, code := command(t, append(args, flags...)...); code != 0 || stdout+stderr == "" {
			t.Errorf("%v: exit code %d: %s%s", args, code, stdout, stderr)
		}
	}
	fails := func(want int, words string, args ...string) {
		t.Helper()
		_, stderr, code := command(t, append([]string{"audit", "verify"}, args...)...)
		if code != want || !strings.Contains(stderr, words) || strings.Contains(stderr, "s+e c") {
			t.Errorf("exit code %d, want %d with %q: %s", code, want, words, stderr)
		}
	}
	role = "learner"
	fails(1, "admin", flags...)
	fails(1, "says that it is", append(flags, "--oidc-issuer", strings.Replace(p.url, "127.0.0.1", "localhost", 1))...)
	fails(2, "--oidc-client-id needs --oidc-issuer and --oidc-client-secret-file", flags[:8]...)
	save("another")
	fails(1, "responded 401 Unauthorized to /token: invalid_client no such client", flags...)
	save("")
	fails(1, "is empty", flags...)
}
