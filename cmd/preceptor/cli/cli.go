// Package cli is the command line of the program: its commands and flags, the exit codes,
// and what is written to the terminal.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// The exit codes, beside 0.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitDiffers = 3
)

// Process is how the program was started.
type Process struct {
	// Args are as os.Args: the program's name comes first.
	Args           []string
	Stdout, Stderr io.Writer
	Version        string
	// Services is the table of services; nil for the program's own.
	Services server.Table
	// Now is the clock that everything takes the time from.
	Now func() time.Time
	// Started is when, for saying how long the start took.
	Started time.Time
}

// Run does what the arguments ask, until it is done or ctx ends, and returns the
// exit code: 0, 1 when it failed, 2 when the arguments make no sense, and 3 when
// `catalog diff` or `progress verify` found differences. A failure is one line on Stderr.
func Run(ctx context.Context, p Process) int {
	if p.Services == nil {
		p.Services = server.Services()
	}
	root := p.commands()
	err := root.Run(ctx, helpOnly(root, p.Args))
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[exitError](err); ok {
		return int(code)
	}
	fmt.Fprintln(p.Stderr, "preceptor: "+errs.OneLine(err))
	if _, ok := errors.AsType[server.UsageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// commands are all that the program can do.
func (p Process) commands() *cli.Command {
	root := &cli.Command{
		Name:      "preceptor",
		Usage:     "learning paths, progress and milestones for people moving into healthcare AI",
		Version:   p.Version,
		Writer:    p.Stdout,
		ErrWriter: p.Stderr,
		Description: "Start with: preceptor serve\n" +
			"Every flag can also be set by a variable: --log-level by PRECEPTOR_LOG_LEVEL, and so on.",
		Commands: []*cli.Command{
			p.serveCommand(), p.tokenCommand(), p.catalogCommand(), p.progressCommand(), p.auditCommand(), p.migrateCommand(),
			p.backupCommand(), p.restoreCommand(),
			p.callerCommand(), p.healthcheckCommand(), p.versionCommand(),
		},
	}
	prepare(root)
	return root
}

// helpOnly is what is left of the arguments where help is asked for: the commands that it is about.
// The library would take another argument, as in `preceptor serve progress --help`, for one of those.
func helpOnly(root *cli.Command, args []string) []string {
	if !slices.Contains(args, "--help") && !slices.Contains(args, "-h") {
		return args
	}
	left := args[:1:1]
	for _, arg := range args[1:] {
		if sub := root.Command(arg); sub != nil {
			root, left = sub, append(left, arg)
		}
	}
	return append(left, "--help")
}

// prepare configures every command alike: what is wrong with the arguments is an error
// that Run prints, and help is written where it was asked for.
func prepare(c *cli.Command) {
	c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
		return server.Usagef("%s (see: %s --help)", lowerFirst(err.Error()), c.FullName())
	}
	c.ExitErrHandler = func(context.Context, *cli.Command, error) {}
	if c.Action == nil {
		c.Action = func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return server.Usagef("unknown command %q (see: %s --help)", c.Args().First(), c.FullName())
			}
			return cli.ShowSubcommandHelp(c)
		}
	}
	for _, sub := range c.Commands {
		prepare(sub)
	}
}

func (p Process) versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Action: func(_ context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			_, err := fmt.Fprintln(p.Stdout, p.Version)
			return err
		},
	}
}

// noArguments refuses arguments where a command takes none.
func noArguments(c *cli.Command) error {
	if c.Args().Present() {
		return server.Usagef("%s takes no argument %q", c.FullName(), c.Args().First())
	}
	return nil
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// exitError ends the program with a code and without a message.
type exitError int

func (c exitError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }
