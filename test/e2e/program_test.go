package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

var (
	update = flag.Bool("update", false, "write testdata/*.json anew")
	// binary is the program, built by TestMain.
	binary string
)

// patience bounds every wait. A test never sleeps: it waits for something.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "preceptor-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "preceptor")
	program := "github.com/preceptor-dev/preceptor/cmd/preceptor"
	if testenv.ClockMoved() {
		program = "github.com/preceptor-dev/preceptor/test/e2e/movedclock"
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, program)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
		return 1
	}
	testenv.StartClock()
	return m.Run()
}

// process is the program, running.
type process struct {
	cmd *exec.Cmd
	// addr is where it serves, HTTP or else gRPC.
	addr string
	// metrics is where it shows its metrics, if a flag asked for it.
	metrics string
	// health is where its health pages are.
	health string

	mu     sync.Mutex
	stderr []string
	exited chan struct{}
	err    error // of the exit; read after exited
}

// readyLine is the log record that a started program writes.
type readyLine struct {
	Msg  string        `json:"msg"`
	HTTP string        `json:"http"`
	GRPC string        `json:"grpc"`
	Took time.Duration `json:"took"`

	Metrics string `json:"metrics"`
	Health  string `json:"health"`
}

// launch starts the program without waiting until it is ready. It is killed when
// the test ends, should it still run.
func launch(t *testing.T, args ...string) (*process, <-chan readyLine) {
	t.Helper()
	return launchWith(t, nil, args...)
}

// launchWith is launch with more variables in the environment.
func launchWith(t *testing.T, env []string, args ...string) (*process, <-chan readyLine) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(environment(), env...)
	return launchCommand(t, cmd)
}

// launchCommand is launch for a command that runs the program.
func launchCommand(t *testing.T, cmd *exec.Cmd) (*process, <-chan readyLine) {
	t.Helper()
	p := &process{cmd: cmd, exited: make(chan struct{})}
	p.cmd.SysProcAttr = dieWithUs()
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan readyLine, 1)
	go func() {
		lines := bufio.NewScanner(pipe)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			p.stderr = append(p.stderr, lines.Text())
			p.mu.Unlock()
			var line readyLine
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
				ready <- line
			}
		}
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("output of %s:\n%s", strings.Join(cmd.Args[1:], " "), p.output())
		}
	})
	return p, ready
}

// start runs the program until it is ready, with health pages.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	if args[0] == "serve" && !slices.Contains(args, "--health-addr") {
		args = append(slices.Clone(args), "--health-addr", "127.0.0.1:0")
	}
	cmd := exec.Command(binary, append(args, "--log-format", "json")...)
	cmd.Env = environment()
	return startCommand(t, cmd)
}

// startCommand is start for a command that runs the program with --log-format json.
func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p, ready := launchCommand(t, cmd)
	select {
	case line := <-ready:
		p.addr, p.metrics, p.health = line.HTTP, line.Metrics, line.Health
		if p.addr == "" {
			p.addr = line.GRPC
		}
	case <-p.exited:
		t.Fatalf("%v ended before it was ready: %v\n%s", cmd.Args, p.err, p.output())
	case <-time.After(patience):
		t.Fatalf("%v is not ready\n%s", cmd.Args, p.output())
	}
	return p
}

// environment is ours without what would set the program's flags, and with our clock.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PRECEPTOR_") {
			env = append(env, v)
		}
	}
	return append(env, testenv.ClockEnv()...)
}

// output returns the last lines of the program's standard error.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.stderr[max(0, len(p.stderr)-40):], "\n")
}

// kill ends the program at once, as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.exited
}

// stop asks the program to end, and returns its exit code.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	return p.wait(t)
}

func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("the program does not stop\n%s", p.output())
		return -1
	}
}

// command runs the program to its end.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// freeAddrs returns addresses on which nothing listens but what the test starts there.
func freeAddrs(t *testing.T, n int) []string {
	t.Helper()
	var addrs []string
	for _, port := range testenv.Ports(t, n) {
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return addrs
}
