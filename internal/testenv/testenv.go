// Package testenv starts real servers for tests: on free loopback ports, with their data
// in folders of their own, gone when the test that asked for them ends. A server that is
// not installed fails the test: what needs one is built with the tag realservers.
package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// T is what of a testing.TB the servers need. A program that measures has one of its own.
type T interface {
	Helper()
	// Cleanup has a function called at the end, the last one first.
	Cleanup(f func())
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Logf(format string, args ...any)
	// TempDir returns a new folder, gone at the end.
	TempDir() string
}

// patience is how long a server may take to respond for the first time.
const patience = 30 * time.Second

// server is a process that runs until its test ends.
type server struct {
	name    string
	process *os.Process
	out     output
	done    chan struct{}
	// end sends the signal that ends the process, and waits for it.
	end func()
}

// start runs cmd until the test ends, when it sends sig; the process dies with this one too.
func start(t T, cmd *exec.Cmd, sig syscall.Signal) *server {
	t.Helper()
	s := &server{name: filepath.Base(cmd.Path), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &s.out, &s.out
	dieWithParent(cmd, sig)
	started := make(chan error, 1)
	go func() {
		// On Linux the parent whose death is meant is the thread that forks: keep it. It is
		// given back in the end, and not left to end with this goroutine, for it may have
		// forked other processes before.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	must(t, <-started)
	s.process = cmd.Process
	s.end = func() {
		_ = s.process.Signal(sig)
		<-s.done
	}
	t.Cleanup(func() {
		s.end()
		if t.Failed() {
			t.Logf("output of %s:\n%s", s.name, s.out.String())
		}
	})
	return s
}

// wait asks until ready reports no error, the server has died, or patience ends.
func (s *server) wait(t T, ready func() error) {
	t.Helper()
	eventually(t, s.name, func() error {
		select {
		case <-s.done:
			t.Fatalf("%s ended:\n%s", s.name, s.out.String())
		default:
		}
		return ready()
	})
}

// signal sends the process a signal that does not end it.
func (s *server) signal(t T, sig syscall.Signal) {
	t.Helper()
	must(t, s.process.Signal(sig))
}

func eventually(t T, what string, ready func() error) {
	t.Helper()
	err := errors.New("never asked")
	for end := Now().Add(patience); Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = ready(); err == nil {
			return
		}
	}
	t.Fatalf("%s is not ready: %v", what, err)
}

func must(t T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lookPath is exec.LookPath with advice.
func lookPath(t T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(fmt.Errorf("install %s, or leave out the build tag realservers: %w", name, err))
	}
	return path
}

// output collects what a process prints while others may read it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to the output.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String gives the output so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
