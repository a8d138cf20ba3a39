package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// migration prepares Postgres for the services.
type migration struct {
	out io.Writer
	now func() time.Time
	// table are all services, and services those to prepare.
	table, services server.Table

	// The flags.
	url, from, to string
}

func (p Process) migrateCommand() *cli.Command {
	m := &migration{out: p.Stdout, now: p.Now, table: p.Services}
	return &cli.Command{
		Name:      "migrate",
		Usage:     "prepare a Postgres database for a service, or move the data of a folder into it",
		ArgsUsage: "[" + strings.Join(p.Services.Names(), "|") + "]",
		Description: "Makes the service's schema, or brings it up to date, and sets for the role what its sessions begin with.\n" +
			"Without an argument it does so for all of them. It connects as the role that will serve, and directly, not\n" +
			"through a pooler. Run it before the new program serves; the old one may still be running:\n\n" +
			"   preceptor migrate progress --database-url postgres://progress:secret@db.example.org:5432/preceptor\n\n" +
			"With --from and --to it then copies what a folder holds, of a server that is stopped, compares both sides,\n" +
			"and commits only when they are equal. The folder stays as it is:\n\n" +
			"   preceptor migrate progress --from sqlite:./data --to postgres://progress:secret@db.example.org:5432/preceptor\n\n" +
			"Exit codes: 0 done, 1 failed, 2 usage.",
		Flags: []cli.Flag{
			text("", "database-url", "the Postgres to prepare, as postgres://user:password@host:5432/database", "", &m.url),
			&cli.StringFlag{Name: "from", Usage: "the data folder to move, as sqlite:./data", Destination: &m.from},
			&cli.StringFlag{Name: "to", Usage: "the Postgres to move it into, as --database-url", Destination: &m.to},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := m.complete(c); err != nil {
				return err
			}
			if m.from != "" {
				return m.move(ctx)
			}
			return m.each(ctx, m.url, "--database-url", func(string, *sqldb.DB) error { return nil })
		},
	}
}

// complete checks what the arguments say.
func (m *migration) complete(c *cli.Command) error {
	args := c.Args().Slice()
	switch {
	case len(args) > 1:
		return server.Usagef("migrate takes one service at most, not %q", strings.Join(args, " "))
	case len(args) == 1:
		row, known := m.table.Find(args[0])
		if !known {
			return server.Usagef("unknown service %q (want %s)", args[0], server.List(m.table.Names(), "or"))
		}
		m.services = server.Table{row}
	default:
		m.services = m.table
	}
	switch {
	case (m.from == "") != (m.to == ""):
		return server.Usagef("--from and --to go together")
	case m.from != "" && !strings.HasPrefix(m.from, "sqlite:"):
		return server.Usagef("--from names a data folder, as sqlite:./data")
	case m.from == "" && m.url == "":
		return server.Usagef("migrate needs --database-url, as postgres://user:password@host:5432/database")
	}
	return nil
}

// each prepares the services one after the other, and then does with each what is to be done.
func (m *migration) each(ctx context.Context, url, flag string, then func(service string, db *sqldb.DB) error) error {
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		return server.Usagef("%s begins with postgres://, since a SQLite file is migrated by serving it", flag)
	}
	for _, service := range m.services {
		if err := m.one(ctx, service, url, flag, then); err != nil {
			return err
		}
	}
	return nil
}

func (m *migration) one(ctx context.Context, service server.Service, url, flag string, then func(service string, db *sqldb.DB) error) error {
	db, err := sqldb.Open(ctx, url, sqldb.Options{
		Schema: service.Name, MaxConns: 2, Direct: true, Now: m.now, Notice: func(line string) { m.print(service.Name, line) },
	})
	if err != nil {
		return server.DatabaseError(err, flag)
	}
	defer db.Close()
	before, err := db.Version(ctx)
	if err != nil {
		return server.DatabaseError(err, flag)
	}
	if err := db.Migrate(ctx, service.Migrations()); err != nil {
		return err
	}
	after, err := db.Version(ctx)
	if err != nil {
		return err
	}
	if before == after {
		m.print(service.Name, fmt.Sprintf("the schema is at %d, nothing to do", after))
	} else {
		m.print(service.Name, fmt.Sprintf("the schema is at %d now, it was at %d", after, before))
	}
	if err := m.setSearchPath(ctx, service.Name, db); err != nil {
		return err
	}
	return then(service.Name, db)
}

// setSearchPath makes the role's sessions begin in the schema. A role that prepares several services
// cannot begin in each: then the advice is to use several roles or URLs.
func (m *migration) setSearchPath(ctx context.Context, service string, db *sqldb.DB) error {
	if len(m.services) > 1 {
		m.print(service, "serve it with a role whose search_path is "+service+", or with search_path="+service+" in its --database-url")
		return nil
	}
	advice, err := db.ConfigureRole(ctx)
	if err != nil {
		return err
	}
	for _, line := range advice {
		m.print(service, line)
	}
	return nil
}

func (m *migration) print(service, line string) { fmt.Fprintf(m.out, "%s: %s\n", service, line) }

// move copies what a folder holds into schemas that hold nothing yet.
func (m *migration) move(ctx context.Context) error {
	folder := strings.TrimPrefix(m.from, "sqlite:")
	source := &source{folder: folder}
	defer source.close()
	if err := source.open(ctx, m.services); err != nil {
		return err
	}
	err := m.each(ctx, m.to, "--to", func(service string, db *sqldb.DB) error {
		copied, err := sqldb.Copy(ctx, source.dbs[service], db, source.fresh[service])
		for _, t := range copied {
			m.print(service, fmt.Sprintf("%s: %d %s, sha256 %s", t.Name, t.Rows, plural(int(t.Rows), "row"), t.Hash))
		}
		if err != nil {
			return err
		}
		m.print(service, "moved; every table is equal on both sides")
		return nil
	})
	if errs.ReasonOf(err) == errs.ReasonNotEmpty {
		return fmt.Errorf("%w: move into a schema that nobody has served from", err)
	}
	return err
}
