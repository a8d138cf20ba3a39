package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// server is a process under measurement.
type server struct {
	address string
	cmd     *exec.Cmd
	startup time.Duration
}

// buildProgram builds the program into the folder, and returns its path.
func buildProgram(ctx context.Context, dir string) (string, error) {
	say("building …")
	bin := filepath.Join(dir, "preceptor")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/preceptor").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
}

// workFolder makes a folder for a measurement, and builds the program into it. remove deletes the folder.
func workFolder(ctx context.Context) (dir, bin string, remove func(), err error) {
	if dir, err = os.MkdirTemp("", "preceptor-load"); err != nil {
		return "", "", nil, err
	}
	if bin, err = buildProgram(ctx, dir); err != nil {
		return "", "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, bin, func() { _ = os.RemoveAll(dir) }, nil
}

// startOne starts everything in one process on a data folder.
func startOne(ctx context.Context, address, bin, data string) (*server, error) {
	return start(ctx, address, exec.CommandContext(ctx, bin, "serve", "--http", address, "--data", data, "--log-level", "warn"), "/readyz")
}

// startAgain starts everything in one process twice: the first start makes the data folder, and the second,
// which stays, is timed as an ordinary one.
func startAgain(ctx context.Context, address, bin, data string) (*server, error) {
	first, err := startOne(ctx, address, bin, data)
	if err != nil {
		return nil, err
	}
	first.stop()
	return startOne(ctx, address, bin, data)
}

// start runs the command until it responds 200 on the path; with the path "", until it accepts connections.
func start(ctx context.Context, address string, cmd *exec.Cmd, path string) (*server, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{address: address, cmd: cmd}
	err := ctx.Err()
	for time.Since(began) < 20*time.Second && ctx.Err() == nil {
		if err = s.probe(ctx, path); err == nil {
			s.startup = time.Since(began)
			return s, nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("%s does not answer: %w\n%s", strings.Join(cmd.Args, " "), err, out.String())
}

// probe makes one request without a token, or only connects where the path is "".
func (s *server) probe(ctx context.Context, path string) error {
	l, err := dial(ctx, s.address)
	if err != nil {
		return err
	}
	defer l.conn.Close()
	if path == "" {
		return nil
	}
	_, err = l.ask(httpRequest(http.MethodGet, path, "", ""))
	return err
}

// stop ends the process, at once if it does not end by itself in ten seconds.
func (s *server) stop() {
	if s == nil || s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
	}
}

// process is the server as something whose processor time and memory are looked at.
func (s *server) process(name string) process { return process{name: name, pid: s.cmd.Process.Pid} }

// call makes one request and returns the body of a success.
func call(ctx context.Context, s *server, method, path, token, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.address+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	a := answer{status: res.StatusCode, body: out}
	if err := a.fault(); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return out, nil
}
