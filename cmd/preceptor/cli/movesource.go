package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/backup"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// source is a data folder whose records are moved: locked, so that no server uses it.
type source struct {
	folder string
	// dbs are the services' databases; fresh are what their migrations alone make.
	dbs, fresh map[string]*sqldb.DB

	undo []func() error
}

// open locks the folder and opens the databases of the services, with schemas up to date.
func (s *source) open(ctx context.Context, services server.Table) error {
	s.dbs, s.fresh = map[string]*sqldb.DB{}, map[string]*sqldb.DB{}
	if err := backup.CheckWhole(s.folder); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "preceptor-migrate-")
	if err != nil {
		return fmt.Errorf("a temporary folder cannot be made: %w", err)
	}
	s.undo = append(s.undo, func() error { return os.RemoveAll(scratch) })
	for _, row := range services {
		service := row.Name
		file := filepath.Join(s.folder, service+".db")
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no %s: name the data folder with --from, as sqlite:./data", file)
		}
		release, err := sqldb.LockFolder(s.folder, service)
		if errs.ReasonOf(err) == errs.ReasonFolderLocked {
			return fmt.Errorf("%w: stop that process first", err)
		}
		if err != nil {
			return err
		}
		s.undo = append(s.undo, release)
		if s.dbs[service], err = s.openFile(ctx, s.folder, row); err != nil {
			return err
		}
		if s.fresh[service], err = s.openFile(ctx, scratch, row); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) openFile(ctx context.Context, folder string, row server.Service) (*sqldb.DB, error) {
	db, err := sqldb.OpenMigrated(ctx, server.SQLiteURL(folder, row.Name), sqldb.Options{Schema: row.Name}, row.Migrations())
	if err != nil {
		return nil, err
	}
	s.undo = append(s.undo, db.Close)
	return db, nil
}

// close unlocks the folder.
func (s *source) close() {
	for _, undo := range slices.Backward(s.undo) {
		_ = undo() // it was only read
	}
}
