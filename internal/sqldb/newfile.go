package sqldb

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/private"
)

// makeSQLite makes the file of a database where there is none and none was, for its owner alone. The
// file gets its name when SQLite's first page is in it and on the disk, whenever the process is killed:
// so a file without a byte is one that has lost them. The caller has locked the folder.
func makeSQLite(ctx context.Context, path string) error {
	_, err := os.Stat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return refuseEmpty(path)
	}
	if _, err := os.Lstat(path); err == nil {
		return errs.New(errs.FailedPrecondition, errs.ReasonDatabaseCannotOpen,
			"%s is a link to a file that is not there: mount what it leads to, or remove the link to start anew", path)
	}
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return errs.New(errs.FailedPrecondition, errs.ReasonDatabaseNotADatabase,
			"there is no %s, and its log %s-wal is there: put the database back beside it, or restore both from a backup, or move the log away to start anew",
			path, path)
	}
	made := path + ".new"
	if err := firstPage(ctx, made); err != nil {
		removeSQLite(made)
		return explainOpen(err, path)
	}
	if err := os.Rename(made, path); err != nil {
		return errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseCannotOpen, "the database %s cannot be made", path)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return errs.Wrap(err, errs.Unavailable, errs.ReasonDatabaseUnreachable, "the folder of the database %s cannot be written", path)
	}
	return nil
}

// firstPage makes a database without tables. Turning it to WAL is what writes its first page.
func firstPage(ctx context.Context, path string) (err error) {
	removeSQLite(path)     // of a process that was killed
	_ = private.Make(path) // SQLite finds out what is wrong with the folder
	pool, err := sqlitePool(path, 1, true)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := pool.Close(); err == nil {
			err = cerr
		}
	}()
	return pool.PingContext(ctx)
}

// removeSQLite removes a database that nobody has open.
func removeSQLite(path string) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		_ = os.Remove(path + suffix)
	}
}

// refuseEmpty returns an error for a file without a byte, which SQLite takes for a new database.
func refuseEmpty(path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
		return nil //nolint:nilerr // whatever else is wrong, the opening finds out
	}
	return errs.New(errs.FailedPrecondition, errs.ReasonDatabaseNotADatabase,
		"the database %s is an empty file, which this program leaves nowhere, so its records were lost: restore it from a backup, or move it away to start anew",
		path)
}

// syncFolder puts the names in a folder on the disk.
func syncFolder(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the folder of a database
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
