// Command jumpingclock is preceptor with a clock that can be moved while it runs. The file clock in
// the folder of --data holds how far it is ahead of the machine's, as a duration; SIGUSR1 has it read
// again, and then the file clock.taken holds the same.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/cli"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func main() {
	var ahead atomic.Int64
	now := func() time.Time { return testenv.Now().Add(time.Duration(ahead.Load())) }
	if i := slices.Index(os.Args, "--data"); i >= 0 && i+1 < len(os.Args) {
		follow(filepath.Join(os.Args[i+1], "clock"), &ahead)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, cli.Process{
		Args: os.Args, Stdout: os.Stdout, Stderr: os.Stderr, Version: "dev", Now: now, Started: now(),
	}))
}

// follow reads the file now, if there is one, and whenever a signal asks for it.
func follow(file string, ahead *atomic.Int64) {
	read := func() {
		text, err := os.ReadFile(file)
		if err != nil {
			return
		}
		d, err := time.ParseDuration(strings.TrimSpace(string(text)))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		ahead.Store(int64(d))
		if err := os.WriteFile(file+".taken", text, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	read()
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGUSR1)
	go func() {
		for range again {
			read()
		}
	}()
}
