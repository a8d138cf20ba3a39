// Command movedclock is preceptor by the clock of the tests, which the environment moves to
// another day. The black-box suite runs it in place of the program when its own clock is moved.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/cli"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, cli.Process{
		Args: os.Args, Stdout: os.Stdout, Stderr: os.Stderr, Version: "dev", Now: testenv.Now, Started: testenv.Now(),
	}))
}
