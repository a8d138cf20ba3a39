// Command preceptor runs Preceptor: a learning service that records what each
// learner does and reports how far they have come. `preceptor help` lists what it can do.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/cli"
)

// version is set by the linker; see the Makefile.
var version = "dev"

func main() {
	started := time.Now()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly stop; the second one is not caught any more.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, cli.Process{
		Args:    os.Args,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Version: version,
		Now:     time.Now,
		Started: started,
	}))
}
