package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// scope is a testenv.T for servers that live as long as a measurement, and not as a test.
type scope struct {
	dir      string
	cleanups []func()
	failed   bool
}

var _ testenv.T = (*scope)(nil)

// fault is what ends a run.
type fault struct{ error }

// run calls f, and returns what f failed with.
func (s *scope) run(f func(t testenv.T)) (err error) {
	defer func() {
		switch failure := recover().(type) {
		case nil:
		case fault:
			err = failure.error
		default:
			panic(failure)
		}
	}()
	f(s)
	return nil
}

// addresses returns n loopback addresses that nothing else is given until the end.
func (s *scope) addresses(n int) (addresses []string, err error) {
	err = s.run(func(t testenv.T) {
		for _, port := range testenv.Ports(t, n) {
			addresses = append(addresses, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		}
	})
	return addresses, err
}

// end ends what runs.
func (s *scope) end() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
	s.cleanups = nil
}

// Helper is of use to a test only.
func (s *scope) Helper() {}

// Cleanup has f called at the end.
func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Fatal ends the run.
func (s *scope) Fatal(args ...any) {
	s.failed = true
	panic(fault{errors.New(fmt.Sprint(args...))})
}

// Fatalf ends the run.
func (s *scope) Fatalf(format string, args ...any) { s.Fatal(fmt.Sprintf(format, args...)) }

// Failed reports whether a run failed.
func (s *scope) Failed() bool { return s.failed }

// Logf prints a line.
func (s *scope) Logf(format string, args ...any) { say(fmt.Sprintf(format, args...)) }

// TempDir makes a folder in the measurement's own, which goes with it.
func (s *scope) TempDir() string {
	dir, err := os.MkdirTemp(s.dir, "")
	if err != nil {
		s.Fatal(err)
	}
	return dir
}
