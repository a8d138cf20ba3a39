package cli

import (
	"context"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
)

func (p Process) serveCommand() *cli.Command {
	flags := serveFlags{services: p.Services}
	each := append(p.Services.Names(), server.Gateway)
	split := make([]string, len(each))
	for i, name := range each {
		split[i] = "preceptor serve " + name
	}
	return &cli.Command{
		Name:      "serve",
		Usage:     "run everything in this process, or one service of it",
		ArgsUsage: "[" + strings.Join(each, "|") + "]",
		Description: "Without an argument everything runs in this process, with its data in one folder.\n" +
			"With one, that service runs by itself and calls the others by gRPC over mutual TLS;\n" +
			"they may be started in any order. On one machine, in one folder:\n\n" +
			"   preceptor serve --http 127.0.0.1:8080 --data ./data\n\n" +
			"   " + strings.Join(split, " & ") + "\n\n" +
			"A service by itself may keep its records in Postgres, which `preceptor migrate` has prepared:\n\n" +
			"   preceptor serve progress --database-url postgres://progress:secret@db.example.org:5432/preceptor",
		Flags: flags.flags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := flags.complete(c, p.Args); err != nil {
				return err
			}
			logger, err := newLogger(p.Stderr, flags.LogLevel, flags.LogFormat)
			if err != nil {
				return err
			}
			if flags.Only != "" {
				logger = logger.With("service", flags.Only)
			}
			logOfGRPC(logger)
			return server.Run(ctx, server.Options{
				Config: &flags.Config, Services: p.Services, Logger: logger, Now: p.Now, Version: p.Version,
				Ready: func(at server.Endpoints) { p.welcome(&flags.Config, logger, at) },
			})
		},
	}
}
