//go:build generated

package apiclients

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// server is the program, running in one process on a folder of its own.
type server struct{ binary, data, url string }

// start builds the program and runs it until the test ends.
func start(t *testing.T) *server {
	t.Helper()
	s := &server{binary: filepath.Join(t.TempDir(), "preceptor"), data: t.TempDir()}
	build := exec.Command("go", "build", "-C", "../..", "-buildvcs=false", "-o", s.binary, "./cmd/preceptor")
	build.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOFLAGS=-mod") })
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	run := exec.Command(s.binary, "serve", "--http", "127.0.0.1:0", "--data", s.data, "--log-format", "json")
	stderr, err := run.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = run.Wait()
	})
	ready := make(chan string, 1)
	go func() {
		defer close(ready)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var line struct{ Msg, HTTP string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
				ready <- line.HTTP
			}
		}
	}()
	select {
	case addr := <-ready:
		if addr == "" {
			t.Fatal("the program ended before it was ready")
		}
		s.url = "http://" + addr
	case <-time.After(time.Minute):
		t.Fatal("the program is not ready after a minute")
	}
	return s
}

// token has the program make a token.
func (s *server) token(t *testing.T, subject string, roles ...string) string {
	t.Helper()
	args := []string{"token", "--data", s.data, "--subject", subject}
	for _, role := range roles {
		args = append(args, "--role", role)
	}
	out, err := exec.Command(s.binary, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
