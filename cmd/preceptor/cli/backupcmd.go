package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/backup"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// pkiFolder is where, in a data folder, the certificates are made.
const pkiFolder = "pki"

// backupTool copies what a data folder holds.
type backupTool struct {
	out      io.Writer
	now      func() time.Time
	version  string
	services server.Table

	// The flags.
	data, to string
	withKeys bool

	manifest backup.Manifest
}

func (p Process) backupCommand() *cli.Command {
	b := &backupTool{out: p.Stdout, now: p.Now, version: p.Version, services: p.Services}
	return &cli.Command{
		Name:  "backup",
		Usage: "copy the records of a data folder, also while servers write to it",
		Description: "Copies the SQLite databases of the folder, each as it is at one moment, into a new or empty folder, and\n" +
			"writes a manifest with their hashes, which `preceptor restore` checks. What was acknowledged before it\n" +
			"began is in it. Servers need not stop, and do not wait:\n\n" +
			"   preceptor backup --data ./data --to /backups/2026-11-24\n\n" +
			"Records in Postgres are backed up with Postgres's own means. Exit codes: 0 done, 1 failed, 2 usage.",
		Flags: []cli.Flag{
			text("", "data", "the folder that holds the data", "./data", &b.data),
			&cli.StringFlag{Name: "to", Usage: "the folder to copy into; it is made, or empty", Destination: &b.to},
			&cli.BoolFlag{
				Name: "with-keys", Destination: &b.withKeys,
				Usage: "copy the issuer's key and the certificates' authority too: such a backup lets its reader sign in as anybody",
			},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if b.to == "" {
				return server.Usagef("backup needs --to, the folder to copy into")
			}
			return b.run(ctx)
		},
	}
}

func (b *backupTool) run(ctx context.Context) error {
	if err := backup.CheckWhole(b.data); err != nil {
		return err
	}
	present, err := b.present()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.to, 0o700); err != nil {
		return fmt.Errorf("the folder %s cannot be made: %w", b.to, err)
	}
	if found, err := os.ReadDir(b.to); err != nil || len(found) > 0 {
		return errors.Join(err, fmt.Errorf("the folder %s is not empty: choose another one with --to", b.to))
	}
	b.manifest = backup.Manifest{Format: backup.Format, Version: b.version, Time: b.now().UTC()}
	if err := b.copy(ctx, present); err != nil {
		// Without a manifest it is not a backup, and it would be in the way of the next try.
		return errors.Join(err, backup.Empty(b.to))
	}
	if advice := server.OpenFolderAdvice(b.to); advice != "" {
		fmt.Fprintln(b.out, advice)
	}
	fmt.Fprintf(b.out, "the backup in %s holds all that was acknowledged before %s\n", b.to, b.manifest.Time.Format(time.RFC3339))
	return nil
}

// present are the services whose records are in the folder, in the order in which they are copied.
func (b *backupTool) present() (services server.Table, err error) {
	var missing []string
	for _, row := range slices.Backward(b.services.InStartOrder()) {
		service := row.Name
		_, err := os.Stat(filepath.Join(b.data, service+".db"))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, service)
		case err != nil:
			return nil, err
		default:
			services = append(services, row)
		}
	}
	if len(services) == 0 {
		return nil, fmt.Errorf("there are no records in %s: name the data folder with --data", b.data)
	}
	for _, service := range missing {
		fmt.Fprintf(b.out, "%s: there is no %s.db in %s, so its records are NOT in this backup\n", service, service, b.data)
	}
	return services, nil
}

// copy copies all, and the manifest last.
func (b *backupTool) copy(ctx context.Context, services server.Table) error {
	for _, row := range services {
		service, name := row.Name, row.Name+".db"
		schema, err := sqldb.Backup(ctx, filepath.Join(b.data, name), filepath.Join(b.to, name), row.Migrations())
		if err != nil {
			return err
		}
		made, err := backup.ReadFile(filepath.Join(b.to, name), io.Discard)
		if err != nil {
			return err
		}
		made.Name, made.Service, made.Schema = name, service, schema
		b.manifest.Files = append(b.manifest.Files, made)
		fmt.Fprintf(b.out, "%s: %d bytes, schema %d, sha256 %s\n", service, made.Size, schema, made.SHA256)
	}
	if err := b.keys(); err != nil {
		return err
	}
	if err := b.manifest.Write(b.to); err != nil {
		return err
	}
	return errors.Join(backup.SyncFolder(b.to), backup.SyncFolder(filepath.Dir(filepath.Clean(b.to))))
}

// keys copies the secret keys, or reports that it does not.
func (b *backupTool) keys() error {
	var names []string
	for _, pattern := range []string{auth.LocalKeyFile, filepath.Join(pkiFolder, "*.pem")} {
		found, err := fs.Glob(os.DirFS(b.data), pattern)
		if err != nil {
			return err
		}
		names = append(names, found...)
	}
	switch {
	case len(names) == 0:
		return nil
	case !b.withKeys:
		fmt.Fprintf(b.out, "%s: not copied, since it lets its reader sign in as anybody; without it a restored server makes new ones,\n"+
			"  and tokens of the old issuer are refused. Keep it elsewhere, or copy it with --with-keys\n", strings.Join(names, ", "))
		return nil
	}
	for _, name := range names {
		to := filepath.Join(b.to, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		made, err := backup.CopyFile(filepath.Join(b.data, name), to)
		if err != nil {
			return err
		}
		if err := backup.SyncFolder(filepath.Dir(to)); err != nil {
			return err
		}
		made.Name = filepath.ToSlash(name)
		b.manifest.Files = append(b.manifest.Files, made)
		fmt.Fprintf(b.out, "%s: copied: this backup lets its reader sign in as anybody\n", name)
	}
	return nil
}
