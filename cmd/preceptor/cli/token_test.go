package cli

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
)

// TestTokenOfAnotherFolder takes a token from a folder that no server uses: the command says that it made a
// key, and the server that the key is another one.
func TestTokenOfAnotherFolder(t *testing.T) {
	t.Parallel()
	p := program{server.Services()}
	data, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
	at, _ := p.start(t, "--data", data, "--http", "127.0.0.1:0")

	own, quiet, code := p.run(t, "token", "--data", data, "--subject", "ada")
	if code != 0 || quiet != "" || strings.Count(own, "\n") != 1 {
		t.Errorf("of the server's folder: exit code %d, %q, %q", code, own, quiet)
	}
	foreign, said, code := p.run(t, "token", "--data", other, "--subject", "ada")
	if code != 0 || strings.Count(foreign, ".") != 2 || strings.Count(foreign, "\n") != 1 {
		t.Errorf("of another folder: exit code %d, %q", code, foreign)
	}
	contains(t, "standard error", said, "made a new key, "+filepath.Join(other, "issuer.key"), "--data "+other)
	if _, said, _ := p.run(t, "token", "--data", other, "--subject", "ada"); said != "" {
		t.Errorf("the second time it says %q", said)
	}

	ask := func(token string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at["http"]+"/v1/learners/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Status + " " + string(text)
	}
	contains(t, "its own token", ask(own), "200 OK")
	contains(t, "another folder's token", ask(foreign), "401", "TOKEN_INVALID", "signed with another key than this server's", "preceptor token --data DIR")
	if got := ask(own[:len(own)-8] + "AAAAAAA"); !strings.Contains(got, "TOKEN_INVALID") || strings.Contains(got, "another key") {
		t.Errorf("a changed token: %s", got)
	}
}
