package cli

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
)

func (p Process) serveCommand() *cli.Command {
	var flags serveFlags
	return &cli.Command{
		Name:      "serve",
		Usage:     "run everything in this process, or one service of it",
		ArgsUsage: "[profile|catalog|progress|gateway]",
		Description: "Without an argument all runs in this process, with its data in one folder.\n" +
			"With one, that service runs alone and speaks gRPC over mutual TLS with the others;\n" +
			"they may be started in any order. On one machine, in one folder:\n\n" +
			"   preceptor serve --http 127.0.0.1:8080 --data ./data\n\n" +
			"   preceptor serve profile & preceptor serve catalog & preceptor serve progress & preceptor serve gateway\n\n" +
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
			return server.Run(ctx, server.Options{
				Config: &flags.Config, Logger: logger, Now: p.Now, Version: p.Version,
				Ready: func(at server.Endpoints) { p.welcome(&flags.Config, logger, at) },
			})
		},
	}
}
