package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/private"
)

// Backup copies the SQLite database in file, as it is at one moment, into the new file to, and
// returns the newest migration that the copy has. Another process may be writing meanwhile: neither
// waits for the other. When it returns, the copy is on the disk, for its owner alone, in one file
// without a log beside it. It returns FailedPrecondition when the database cannot be read or has
// another format than the migrations of fsys, or when there is a file to already, and Unavailable
// when the disk is full. A copy that failed stays as far as it came.
func Backup(ctx context.Context, file, to string, fsys fs.FS) (version int64, err error) {
	if err := CheckFile(ctx, file, fsys); err != nil {
		return 0, err
	}
	to, err = filepath.Abs(to) // SQLite takes what begins with "file:" for more than a name
	if err != nil {
		return 0, internal(err)
	}
	made, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, private.FileMode) //nolint:gosec // the operator names it; O_EXCL follows no link
	if errors.Is(err, fs.ErrExist) {
		return 0, errs.Wrap(err, errs.FailedPrecondition, errs.ReasonNotEmpty, "there is a file %s already", to)
	}
	if err != nil {
		return 0, errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseCannotOpen, "the file %s cannot be made", to)
	}
	defer func() {
		if cerr := made.Close(); err == nil && cerr != nil {
			err = errs.Wrap(cerr, errs.Unavailable, errs.ReasonDatabaseUnreachable, "the copy %s cannot be written", to)
		}
	}()
	if err := private.Set(made); err != nil {
		return 0, errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseCannotOpen, "the file %s cannot be made for its owner alone", to)
	}
	if err := copyInto(ctx, file, to); err != nil {
		return 0, err
	}
	if err := made.Sync(); err != nil {
		return 0, errs.Wrap(err, errs.Unavailable, errs.ReasonDatabaseUnreachable, "the copy %s cannot be written", to)
	}
	return versionOf(ctx, to)
}

// copyInto has SQLite write what one read transaction sees. A copy page by page would have to
// begin anew whenever somebody writes, and reading the file past SQLite misses its log.
func copyInto(ctx context.Context, file, to string) error {
	db, err := readSQLite(file, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Ping(ctx); err != nil {
		return explainOpen(err, file)
	}
	if _, err := db.read.ExecContext(ctx, "VACUUM INTO $1", to); err != nil {
		if code, _ := sqliteCode(err); code&0xff == codeFull {
			return errs.Wrap(err, errs.Unavailable, errs.ReasonDatabaseFull, "the disk of %s is full", to)
		}
		return explainOpen(err, file)
	}
	return nil
}

func versionOf(ctx context.Context, file string) (int64, error) {
	db, err := readSQLite(file, false)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return db.Version(ctx)
}

// readSQLite opens a file that must exist, changing nothing in it, not even its journal mode. Others
// may be writing to it, unless it is atRest, closed by all: then it makes no files beside it either.
func readSQLite(path string, atRest bool) (*DB, error) {
	path, err := sqlitePath(path)
	if err != nil {
		return nil, err
	}
	if err := refuseEmpty(path); err != nil {
		return nil, err
	}
	query := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)"}}
	if atRest {
		query.Set("immutable", "1")
	}
	connector, err := sqlite.NewConnector("file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode())
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, errs.ReasonDatabaseURLInvalid, "the SQLite path %s is not usable", path)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	return &DB{dialect: SQLite, path: path, read: pool, write: pool, pause: sleep}, nil
}
