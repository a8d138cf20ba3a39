package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/logs"
)

func (p Process) callerCommand() *cli.Command {
	var data, key, issuer, subject string
	return &cli.Command{
		Name:  "caller",
		Usage: "print the hash by which the log names somebody who is known there by no learner id",
		Description: "It needs the key that the servers have: of the data folder, or of --log-key. Example:\n\n" +
			"   grep \"$(preceptor caller --issuer https://id.example.org --subject ada@example.org)\" preceptor.log",
		Flags: []cli.Flag{
			text("", "data", "the folder that holds the servers' log.key", "./data", &data),
			text("", "log-key", "the servers' --log-key, best given by the variable; that of the data folder when not given", "", &key),
			text("", "issuer", "the issuer of the person's tokens, as their claim iss has it", auth.LocalIssuerName, &issuer),
			&cli.StringFlag{
				Name: "subject", Required: true, Destination: &subject, Sources: variable("subject"), Usage: "the person, as the claim sub has them",
			},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if key == "" {
				// Reading one is not making one: a new key finds nothing.
				if _, err := os.Stat(filepath.Join(data, logs.KeyFile)); errors.Is(err, fs.ErrNotExist) {
					return server.Usagef("there is no %s in %s: name the servers' folder with --data, or give their --log-key", logs.KeyFile, data)
				}
				var err error
				if key, err = logs.OpenKey(data); err != nil {
					return server.FolderError(data, err)
				}
			}
			callers, err := logs.NewCallers(logs.ByHash, key)
			if err != nil {
				return server.Usagef("--log-key: %s", err)
			}
			_, err = fmt.Fprintln(p.Stdout, callers.Hash(issuer, subject))
			return err
		},
	}
}
