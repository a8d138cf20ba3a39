package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// registry knows the images of deploy/ by tags, and gives each the digest that is named by a letter. It
// wants a token, as Docker Hub does.
func registry(t *testing.T, letter string, unknown string) string {
	t.Helper()
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && regexp.MustCompile(`^repository:(library/[a-z]+|prom/prometheus):pull$`).MatchString(r.FormValue("scope")):
			fmt.Fprintf(w, `{"token":"%s","expires_in":300}`, r.FormValue("service"))
		case r.Header.Get("Authorization") != "Bearer registry.test":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+server.URL+`/token",service="registry.test",scope="repository:x:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
		case unknown != "" && strings.Contains(r.URL.Path, unknown) || !regexp.MustCompile(`^/v2/(library/[a-z]+|prom/prometheus)/manifests/`).MatchString(r.URL.Path) || r.Method != http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat(letter, 64))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestPin writes digests, writes others over them, and leaves everything as it is when one is unknown.
func TestPin(t *testing.T) {
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "deploy"), os.DirFS("../../deploy")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "Dockerfile"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	pin := func(registry string) (string, error) {
		cmd := exec.CommandContext(t.Context(), filepath.Join(root, "deploy", "pin.sh"))
		cmd.Env = append(os.Environ(), "REGISTRY="+registry)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	pinned := func(digest string) (found int) {
		for _, name := range []string{"Dockerfile", "deploy/compose.yaml", "deploy/k8s/overlays/dev/postgres.yaml", "deploy/k8s/overlays/dev/redis.yaml"} {
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			found += strings.Count(string(text), digest)
		}
		return found
	}
	const images = 6 // one in the Dockerfile, Postgres and Redis in two places, and Prometheus
	for _, letter := range []string{"a", "b", "b"} {
		out, err := pin(registry(t, letter, ""))
		if digest := "@sha256:" + strings.Repeat(letter, 64); err != nil || strings.Count(out, digest) != 4 || pinned(digest) != images || pinned("@sha256:") != images {
			t.Fatalf("%v, %d of %d images are pinned, of %d:\n%s", err, pinned(digest), images, pinned("@sha256:"), out)
		}
	}
	if faults, err := dockerfileFaults(filepath.Join(root, "Dockerfile")); err != nil || len(faults) > 0 {
		t.Errorf("the pinned Dockerfile: %q, %v", faults, err)
	}
	if _, faults, err := loadCompose(t.Context(), filepath.Join(root, "deploy")); err != nil || len(faults) > 0 {
		t.Errorf("the pinned compose file: %q, %v", faults, err)
	}
	for _, at := range []string{registry(t, "c", "redis"), "http://127.0.0.1:1"} {
		out, err := pin(at)
		if err == nil || !strings.Contains(out, "nothing was changed") || pinned("@sha256:"+strings.Repeat("b", 64)) != images {
			t.Errorf("with a registry that lacks an image: %v\n%s", err, out)
		}
	}
}
