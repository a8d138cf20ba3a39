package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/backup"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// restoring makes a data folder out of a backup.
type restoring struct {
	out      io.Writer
	services server.Table

	// The flags.
	from, data string
}

func (p Process) restoreCommand() *cli.Command {
	r := &restoring{out: p.Stdout, services: p.Services}
	return &cli.Command{
		Name:  "restore",
		Usage: "make a data folder out of a backup",
		Description: "Checks the backup against its manifest, and copies it into a new or empty folder, which can be served\n" +
			"from at once. Move the old folder away first, and do not delete it:\n\n" +
			"   preceptor restore --from /backups/2026-11-24 --data ./data\n\n" +
			"What was acknowledged after the backup is not there. Progress gets a new incarnation, so that devices\n" +
			"read anew instead of trusting what was cached before. Exit codes: 0 done, 1 failed, 2 usage.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "the folder of the backup", Destination: &r.from},
			text("", "data", "the folder to make; there is none, or an empty one", "./data", &r.data),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if r.from == "" {
				return server.Usagef("restore needs --from, the folder of a backup")
			}
			return r.run(ctx)
		},
	}
}

func (r *restoring) run(ctx context.Context) (err error) {
	m, err := backup.ReadManifest(r.from)
	if err != nil {
		return err
	}
	if err := m.Check(r.from); err != nil {
		return err
	}
	for _, f := range m.Files {
		row, known := r.services.Find(f.Service)
		if !known {
			continue
		}
		if err := sqldb.CheckFile(ctx, filepath.Join(r.from, filepath.FromSlash(f.Name)), row.Migrations()); err != nil {
			return fmt.Errorf("the backup cannot be restored: %w", err)
		}
	}
	release, err := r.claim()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := r.fill(ctx, m); err != nil {
		return errors.Join(err, backup.Empty(r.data))
	}
	if advice := server.OpenFolderAdvice(r.data); advice != "" {
		fmt.Fprintln(r.out, advice)
	}
	fmt.Fprintf(r.out, "%s holds what the backup of %s does; serve from it with --data\n", r.data, m.Time.Format(time.RFC3339))
	for _, service := range r.services.Names() {
		if !slices.ContainsFunc(m.Files, func(f backup.File) bool { return f.Service == service }) {
			fmt.Fprintf(r.out, "%s: its records are not in the backup, and so not in %s\n", service, r.data)
		}
	}
	return nil
}

// claim makes the data folder, and locks it. It refuses one that is in use, which is
// checked first, or that holds anything.
func (r *restoring) claim() (release func() error, err error) {
	if err := server.MakeFolder(r.data); err != nil {
		return nil, err
	}
	found, err := backup.Contents(r.data)
	if err != nil {
		return nil, server.FolderError(r.data, err)
	}
	var locks []func() error
	release = func() error {
		var all []error
		for _, unlock := range slices.Backward(locks) {
			all = append(all, unlock())
		}
		return errors.Join(all...)
	}
	for _, service := range r.services.Names() {
		if _, err := os.Stat(filepath.Join(r.data, service+".lock")); err != nil && len(found) > 0 {
			continue // it is another program's folder: nothing is left there
		}
		unlock, err := sqldb.LockFolder(r.data, service)
		if err != nil {
			_ = release()
			return nil, fmt.Errorf("%w: restore into another folder, or stop that process and move its folder away", err)
		}
		locks = append(locks, unlock)
	}
	if len(found) > 0 {
		_ = release()
		return nil, fmt.Errorf("the folder %s is not empty, it holds %s: move it away, or choose another one with --data", r.data, strings.Join(found, ", "))
	}
	return release, nil
}

// fill puts everything into the folder. A mark shows until the end that it is incomplete.
func (r *restoring) fill(ctx context.Context, m backup.Manifest) error {
	mark := filepath.Join(r.data, backup.UnfinishedName)
	if err := backup.CreateFile(mark, func(io.Writer) error { return nil }); err != nil {
		return server.FolderError(r.data, err)
	}
	if err := backup.SyncFolder(r.data); err != nil {
		return err
	}
	for _, f := range m.Files {
		to := filepath.Join(r.data, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		copied, err := backup.CopyFrom(r.from, f.Name, to)
		if err != nil {
			return err
		}
		if err := f.Same(copied, r.from); err != nil {
			return err
		}
		if f.Service != "" {
			if err := r.open(ctx, f); err != nil {
				return err
			}
		}
		if err := backup.SyncFolder(filepath.Dir(to)); err != nil {
			return err
		}
	}
	if err := os.Remove(mark); err != nil {
		return err
	}
	return backup.SyncFolder(r.data)
}

// open checks that this program can serve from a restored database, and changes in it what its service wants changed.
func (r *restoring) open(ctx context.Context, f backup.File) (err error) {
	row, known := r.services.Find(f.Service)
	if !known || f.Name != f.Service+".db" {
		return fmt.Errorf("%s in %s names records of %q, which this program does not know", backup.ManifestName, r.from, f.Service)
	}
	db, err := sqldb.Open(ctx, server.SQLiteURL(r.data, f.Service), sqldb.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// An old schema is no fault: serving brings it up to date.
	if err := db.Check(ctx, row.Migrations()); err != nil && errs.ReasonOf(err) != errs.ReasonSchemaOld {
		return fmt.Errorf("%s: %w", f.Service, err)
	}
	if row.Restored != nil {
		if err := row.Restored(ctx, db); err != nil {
			return err
		}
	}
	fmt.Fprintf(r.out, "%s: restored, schema %d\n", f.Service, f.Schema)
	return nil
}
