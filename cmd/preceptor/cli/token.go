package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

func (p Process) tokenCommand() *cli.Command {
	var (
		data, subject, name string
		roles               []string
		ttl                 time.Duration
	)
	return &cli.Command{
		Name:  "token",
		Usage: "print a token of the local issuer",
		Description: "The token is signed with the key in the data folder, which is made when there is none.\n" +
			"Servers on that folder accept it. Standard output has the token alone, standard error says when a key was made. Example:\n\n" +
			"   preceptor token --data ./data --subject ada --role learner",
		Flags: []cli.Flag{
			text("", "data", "the folder that holds the issuer's key", "./data", &data),
			&cli.StringFlag{
				Name: "subject", Required: true, Destination: &subject, Sources: variable("subject"),
				Usage: "whom the token is for; the same subject is the same person",
			},
			&cli.StringSliceFlag{
				Name: "role", Value: []string{string(auth.RoleLearner)}, Destination: &roles, Sources: variable("role"),
				Usage: "learner, manager, author or admin; may be repeated",
			},
			text("", "name", "the person's name, for a profile made at first sign-in", "", &name),
			&cli.DurationFlag{Name: "ttl", Usage: "how long it is valid", Value: 24 * time.Hour, Destination: &ttl, Sources: variable("ttl")},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			token, isNew, err := mint(p.Now, data, subject, roles, name, ttl)
			if err != nil {
				return err
			}
			if isNew {
				fmt.Fprintf(p.Stderr, "preceptor: made a new key, %s; only a server that is started on that folder, with --data %s, accepts the token\n",
					filepath.Join(data, auth.LocalKeyFile), data)
			}
			_, err = fmt.Fprintln(p.Stdout, token)
			return err
		},
	}
}

// mint makes a token with the key of a data folder. isNew reports whether there was no key before.
func mint(now func() time.Time, dir, subject string, roles []string, name string, ttl time.Duration) (token string, isNew bool, err error) {
	parsed := make([]auth.Role, len(roles))
	for i, text := range roles {
		role, err := auth.ParseRole(text)
		if err != nil {
			return "", false, server.Usagef("%s", errs.OneLine(err))
		}
		parsed[i] = role
	}
	issuer, err := openIssuer(dir, now)
	if err != nil {
		return "", false, err
	}
	if token, err = issuer.Mint(subject, parsed, name, ttl); err != nil {
		return "", false, server.Usagef("%s", errs.OneLine(err))
	}
	return token, issuer.IsNew(), nil
}

// openIssuer opens the local issuer of a data folder; both are made when there are none.
func openIssuer(dir string, now func() time.Time) (*auth.LocalIssuer, error) {
	if err := server.MakeFolder(dir); err != nil {
		return nil, err
	}
	issuer, err := auth.OpenLocalIssuer(dir, now)
	if err != nil {
		return nil, server.FolderError(dir, err)
	}
	return issuer, nil
}
