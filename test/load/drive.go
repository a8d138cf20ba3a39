package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// server is a process under measurement.
type server struct {
	address string
	cmd     *exec.Cmd
	startup time.Duration
}

func startOurs(ctx context.Context, address, bin, data string) (*server, error) {
	// The first start makes the data folder; the one that is timed is an ordinary one.
	first, err := start(ctx, address, exec.CommandContext(ctx, bin, "serve", "--http", address, "--data", data, "--log-level", "warn"), "/readyz")
	if err != nil {
		return nil, err
	}
	first.stop()
	return start(ctx, address, exec.CommandContext(ctx, bin, "serve", "--http", address, "--data", data, "--log-level", "warn"), "/readyz")
}

func startBare(ctx context.Context, address, self, file, pathFile string) (*server, error) {
	return start(ctx, address, exec.CommandContext(ctx, self, "bare", address, file, pathFile), "/unknown/progress")
}

// start runs the command until it responds 200 on the path.
func start(ctx context.Context, address string, cmd *exec.Cmd, path string) (*server, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{address: address, cmd: cmd}
	for time.Since(began) < 20*time.Second {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
		if err != nil {
			return nil, err
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				s.startup = time.Since(began)
				return s, nil
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("%s does not answer:\n%s", cmd.Path, out.String())
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
	}
}

// quiesce waits for what a start leaves to collect.
func (s *server) quiesce() { time.Sleep(3 * time.Second) }

// memory is the resident set, in MB.
func (s *server) memory() float64 { return memoryOf(s.cmd.Process.Pid) }

func memoryOf(pid int) float64 { return statusOf(pid, "VmRSS:") }

// peakOf is the largest that a process's resident set has been, in bytes.
func peakOf(pid int) float64 { return statusOf(pid, "VmHWM:") * (1 << 20) }

// statusOf is a line of what the kernel says of a process's memory, in MB.
func statusOf(pid int, name string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				return 0
			}
			return float64(kb) / 1024
		}
	}
	return 0
}

// request is one request as the bytes on the wire.
type request []byte

func httpRequest(method, path, token, body string) request {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path)
	if token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.WriteString(body)
	return b.Bytes()
}

// figures are what one measurement gives.
type figures struct {
	perSecond float64
	p50, p99  time.Duration
	memory    float64
}

// measure keeps every connection busy with one request at a time for the given length. An answer
// that is no success fails the measurement.
func measure(ctx context.Context, s *server, next func(int) request, connections int, length time.Duration) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var mu sync.Mutex
	var took []time.Duration
	var faults []error
	var wg sync.WaitGroup
	began := time.Now()
	for c := range connections {
		wg.Go(func() {
			mine, err := drive(ctx, s.address, func() request { return next(c) })
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if err != nil {
				faults = append(faults, err)
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	if len(faults) > 0 || len(took) == 0 {
		return figures{}, errors.Join(append(faults, errors.New("no answers"))...)
	}
	slices.Sort(took)
	return figures{float64(len(took)) / elapsed.Seconds(), took[len(took)/2], took[len(took)*99/100], s.memory()}, nil
}

// drive sends requests over one connection until ctx ends, and returns how long each took.
func drive(ctx context.Context, address string, next func() request) ([]time.Duration, error) {
	conn, err := (&net.Dialer{}).DialContext(context.WithoutCancel(ctx), "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var took []time.Duration
	for ctx.Err() == nil {
		r := next()
		t0 := time.Now()
		if _, err := conn.Write(r); err != nil {
			return took, err
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return took, err
		}
		body, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return took, err
		}
		took = append(took, time.Since(t0))
		if res.StatusCode != http.StatusOK || bytes.Contains(body, []byte(`"REJECTED"`)) {
			return took, fmt.Errorf("%s: %s", res.Status, body)
		}
	}
	return took, nil
}
