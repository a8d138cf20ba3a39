package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// memoryLimit is nine tenths of a container of 384 MiB: the most that a process in one keeps to.
	memoryLimit = "345MiB"
	// patience bounds every wait for something that does come.
	patience = 60 * time.Second
)

// target is the program that is attacked. It may live several times, on one folder.
type target struct {
	program, data string
	args          []string
	// wrap comes before the program, and ends by replacing itself with it.
	wrap  []string
	group *cgroup

	life atomic.Pointer[life]
	peak atomic.Int64 // KiB, of all lives

	mu     sync.Mutex
	errors []string // log lines of level ERROR, and what is no log line
}

// life is one process of it.
type life struct {
	cmd        *exec.Cmd
	http, grpc string
	health     string // where its health pages are
	exited     chan struct{}
}

// logLine is what the harness reads of the program's log.
type logLine struct {
	Level string `json:"level"`
	Msg   string `json:"msg"`
	HTTP  string `json:"http"`
	GRPC  string `json:"grpc"`

	Health string `json:"health"`

	Error string `json:"error"`
}

// start runs the program until it is ready.
func (t *target) start(ctx context.Context) error {
	argv := slices.Concat(t.group.wrap(), t.wrap, []string{
		t.program, "serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--health-addr", "127.0.0.1:0", "--data", t.data, "--log-format", "json",
	}, t.args)
	l := &life{cmd: exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...), exited: make(chan struct{})}
	dieWithUs(l.cmd)
	for _, v := range l.cmd.Environ() {
		if !strings.HasPrefix(v, "PRECEPTOR_") && !strings.HasPrefix(v, "GOGC=") {
			l.cmd.Env = append(l.cmd.Env, v)
		}
	}
	l.cmd.Env = append(l.cmd.Env, "GOMEMLIMIT="+memoryLimit)
	pipe, err := l.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := l.cmd.Start(); err != nil {
		return err
	}
	ready := make(chan logLine, 1)
	go func() {
		t.readLog(bufio.NewScanner(pipe), ready)
		_ = l.cmd.Wait()
		close(l.exited)
	}()
	select {
	case line := <-ready:
		l.http, l.grpc, l.health = line.HTTP, line.GRPC, line.Health
		t.life.Store(l)
		go t.sample(l)
		return nil
	case <-l.exited:
		return fmt.Errorf("the program ended before it was ready: %s", strings.Join(t.complaints(), "; "))
	case <-time.After(patience):
		_ = l.cmd.Process.Kill()
		return errors.New("the program is not ready")
	}
}

// readLog reads the program's standard error to its end.
func (t *target) readLog(lines *bufio.Scanner, ready chan<- logLine) {
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var line logLine
		err := json.Unmarshal(lines.Bytes(), &line)
		if err != nil || line.Level == "ERROR" {
			t.mu.Lock()
			if len(t.errors) < 1000 {
				t.errors = append(t.errors, fmt.Sprintf("%.300s", lines.Text()))
			}
			t.mu.Unlock()
		}
		if line.Msg == "ready" {
			select {
			case ready <- line:
			default:
			}
		}
	}
}

// complaints are the ERROR lines of the log.
func (t *target) complaints() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.errors)
}

// sample keeps the peak of the process's memory until it ends.
func (t *target) sample(l *life) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		t.notePeak(l)
		select {
		case <-l.exited:
			return
		case <-tick.C:
		}
	}
}

func (t *target) notePeak(l *life) {
	high := memory(l.cmd.Process.Pid, "VmHWM")
	for {
		old := t.peak.Load()
		if high <= old || t.peak.CompareAndSwap(old, high) {
			return
		}
	}
}

// memory reads a line of /proc/PID/status in KiB; 0 for a process that is gone.
func memory(pid int, name string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib
		}
	}
	return 0
}

// sockets returns how many sockets the program has open.
func (t *target) sockets() int {
	dir := fmt.Sprintf("/proc/%d/fd", t.life.Load().cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// alive reports whether the program runs, though nobody ended it.
func (t *target) alive() bool {
	l := t.life.Load()
	select {
	case <-l.exited:
		return false
	default:
		return true
	}
}

// kill ends the program at once, as a power cut would.
func (t *target) kill() {
	l := t.life.Load()
	if l == nil {
		return
	}
	t.notePeak(l)
	_ = l.cmd.Process.Signal(syscall.SIGKILL)
	<-l.exited
}

func (t *target) httpAddr() string   { return t.life.Load().http }
func (t *target) healthAddr() string { return t.life.Load().health }
func (t *target) grpcAddr() string   { return t.life.Load().grpc }

// tool runs another command of the program to its end, and returns what it printed.
func (t *target) tool(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, t.program, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args[:2], " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// cgroup bounds the memory of a program where a cgroup can be made; elsewhere the peak is asserted alone.
type cgroup struct{ dir string }

// newCgroup makes a cgroup of 384 MiB, by the first or the second version of cgroups. Its directory is
// empty where none can be made.
func newCgroup(name string) *cgroup {
	for _, version := range [][2]string{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}} {
		dir := filepath.Join(version[0], fmt.Sprintf("preceptor-attack-%d-%s", os.Getpid(), name))
		if os.Mkdir(dir, 0o750) != nil {
			continue
		}
		if os.WriteFile(filepath.Join(dir, version[1]), []byte(strconv.Itoa(maxRSS<<10)), 0o600) == nil {
			return &cgroup{dir}
		}
		_ = os.Remove(dir)
	}
	return &cgroup{}
}

// wrap returns a command that enters the cgroup, and becomes what follows it.
func (g *cgroup) wrap() []string {
	if g.dir == "" {
		return nil
	}
	return []string{"/bin/sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, g.dir}
}

// remove removes the cgroup, whose processes have ended.
func (g *cgroup) remove() {
	if g.dir != "" {
		_ = os.Remove(g.dir)
	}
}
