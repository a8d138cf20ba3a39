package app

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

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	progressstore "github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// restoring makes a data folder out of a backup.
type restoring struct {
	out io.Writer

	// The flags.
	from, data string
}

func (p Process) restoreCommand() *cli.Command {
	r := &restoring{out: p.Stdout}
	return &cli.Command{
		Name:  "restore",
		Usage: "make a data folder out of a backup",
		Description: "Checks the backup against its manifest, and copies it into a new or empty folder, which can be served\n" +
			"from at once. Move the old folder away first, and keep it:\n\n" +
			"   preceptor restore --from /backups/2026-11-24 --data ./data\n\n" +
			"What was acknowledged after the backup is not there. Progress gets a new incarnation, so that devices\n" +
			"read anew instead of trusting answers from before. Exit codes: 0 done, 1 failed, 2 usage.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "the folder of the backup", Destination: &r.from},
			text("", "data", "the folder to make; there is none, or an empty one", "./data", &r.data),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if r.from == "" {
				return usagef("restore needs --from, the folder of a backup")
			}
			return r.run(ctx)
		},
	}
}

func (r *restoring) run(ctx context.Context) (err error) {
	m, err := readManifest(r.from)
	if err != nil {
		return err
	}
	if err := m.check(r.from); err != nil {
		return err
	}
	release, err := r.claim()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := r.fill(ctx, m); err != nil {
		return errors.Join(err, emptyFolder(r.data))
	}
	fmt.Fprintf(r.out, "%s holds what the backup of %s does; serve from it with --data\n", r.data, m.Time.Format(time.RFC3339))
	for _, service := range keepers() {
		if !slices.ContainsFunc(m.Files, func(f backupFile) bool { return f.Service == service }) {
			fmt.Fprintf(r.out, "%s: its records are not in the backup, and so not in %s\n", service, r.data)
		}
	}
	return nil
}

// claim makes the data folder, and holds it. It refuses one that is in use, and says so first, or
// that holds anything.
func (r *restoring) claim() (release func() error, err error) {
	if err := makeFolder(r.data); err != nil {
		return nil, err
	}
	found, err := strangers(r.data)
	if err != nil {
		return nil, folderFault(r.data, err)
	}
	var locks []func() error
	release = func() error {
		var all []error
		for _, unlock := range slices.Backward(locks) {
			all = append(all, unlock())
		}
		return errors.Join(all...)
	}
	for _, service := range keepers() {
		if _, err := os.Stat(filepath.Join(r.data, service+".lock")); err != nil && len(found) > 0 {
			continue // it is somebody else's folder: nothing is left there
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

// fill puts everything into the folder. A mark says until the end that it is not all there.
func (r *restoring) fill(ctx context.Context, m manifest) error {
	mark := filepath.Join(r.data, unfinishedName)
	if err := createFile(mark, func(io.Writer) error { return nil }); err != nil {
		return folderFault(r.data, err)
	}
	if err := syncFolder(r.data); err != nil {
		return err
	}
	for _, f := range m.Files {
		to := filepath.Join(r.data, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		copied, err := copyFile(filepath.Join(r.from, filepath.FromSlash(f.Name)), to)
		if err != nil {
			return err
		}
		if err := f.same(copied, r.from); err != nil {
			return err
		}
		if f.Service != "" {
			if err := r.open(ctx, f); err != nil {
				return err
			}
		}
		if err := syncFolder(filepath.Dir(to)); err != nil {
			return err
		}
	}
	if err := os.Remove(mark); err != nil {
		return err
	}
	return syncFolder(r.data)
}

// open sees whether this program can serve from a database, and makes progress's another one than
// it was.
func (r *restoring) open(ctx context.Context, f backupFile) (err error) {
	if !slices.Contains(keepers(), f.Service) || f.Name != f.Service+".db" {
		return fmt.Errorf("%s in %s names records of %q, which this program does not know", manifestName, r.from, f.Service)
	}
	db, err := sqldb.Open(ctx, sqliteURL(r.data, f.Service), sqldb.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// An old schema is no fault: serving brings it up to date.
	if err := db.Check(ctx, migrationsOf(f.Service)); err != nil && errs.ReasonOf(err) != sqldb.ReasonSchemaOld {
		return fmt.Errorf("%s: %w", f.Service, err)
	}
	if f.Service == progressName {
		if err := progressstore.New(db).Renew(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(r.out, "%s: restored, schema %d\n", f.Service, f.Schema)
	return nil
}
