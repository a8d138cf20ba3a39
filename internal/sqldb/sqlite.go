package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/private"
)

// Page caches are per connection, in KiB.
const (
	sqliteReaders       = 4
	sqliteWriterCacheKB = 8 << 10
	sqliteReaderCacheKB = 2 << 10
)

func openSQLite(ctx context.Context, path string, opts Options) (*DB, error) {
	path, err := sqlitePath(path)
	if err != nil {
		return nil, err
	}
	if err := makeSQLite(ctx, path); err != nil {
		return nil, err
	}
	keepPrivate(path)
	write, err := sqlitePool(path, 1, true)
	if err != nil {
		return nil, err
	}
	read, err := sqlitePool(path, sqliteReaders, false)
	if err != nil {
		_ = write.Close()
		return nil, err
	}
	beside, err := sqlitePool(path, 1, true)
	if err != nil {
		_, _ = read.Close(), write.Close()
		return nil, err
	}
	db := &DB{dialect: SQLite, path: path, opts: opts, read: read, write: write, pause: sleep}
	db.checkpoints = startCheckpoints(beside, sleep) //nolint:contextcheck // they outlive the opening
	db.migrateDB = func() (*sql.DB, func() error, error) {
		return write, func() error { return nil }, nil
	}
	if err := proveSQLite(ctx, db, path); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// Shrink gives the memory of pages that nobody is using back to the system; on Postgres it does nothing. SQLite is
// built so that the page caches of all connections of a process are one pool, so one statement is enough.
func (db *DB) Shrink(ctx context.Context) error {
	if db.dialect != SQLite {
		return nil
	}
	_, err := db.read.ExecContext(ctx, "PRAGMA shrink_memory")
	return Classify(err)
}

// keepPrivate takes the files of a database away from others than their owner. SQLite gives those beside
// a database its mode. What cannot be narrowed has another owner: whether it can be used is for the
// opening to find out.
func keepPrivate(path string) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		_ = private.Narrow(path + suffix)
	}
}

func sqlitePath(path string) (string, error) {
	path = strings.TrimPrefix(path, "//")
	if path == "" || strings.HasPrefix(path, ":memory:") || strings.ContainsRune(path, 0) {
		return "", errs.New(errs.Invalid, errs.ReasonDatabaseURLInvalid, "a SQLite url names a file: sqlite:/path/file.db")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", errs.Wrap(err, errs.Invalid, errs.ReasonDatabaseURLInvalid, "cannot make %s an absolute path", path)
	}
	info, err := os.Stat(filepath.Dir(abs))
	switch {
	case err != nil:
		return "", errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseCannotOpen, "the folder of the database %s cannot be used", abs)
	case !info.IsDir():
		return "", errs.New(errs.FailedPrecondition, errs.ReasonDatabaseCannotOpen, "the folder of the database %s is not a folder", abs)
	}
	return abs, nil
}

func sqlitePool(path string, conns int, writer bool) (*sql.DB, error) {
	base, err := sqlite.NewConnector(sqliteDSN(path, writer))
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, errs.ReasonDatabaseURLInvalid, "the SQLite path %s is not usable", path)
	}
	pool := sql.OpenDB(cachingConnector{Connector: base, path: path, detach: writer})
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns) // A reopened connection would begin with cold caches.
	return pool, nil
}

func sqliteDSN(path string, writer bool) string {
	pragmas := []string{
		"busy_timeout(5000)",
		"journal_mode(WAL)",
		"synchronous(FULL)",            // A commit that was answered survives a power cut.
		"journal_size_limit(67108864)", // A log that one large transaction blew up shrinks again.
		"foreign_keys(1)",              // As on Postgres.
		"temp_store(MEMORY)",           // Large sorts must not need a writable /tmp.
	}
	if writer {
		pragmas = append(pragmas, fmt.Sprintf("cache_size(-%d)", sqliteWriterCacheKB), fmt.Sprintf("wal_autocheckpoint(%d)", writerCheckpointAt))
	} else {
		pragmas = append(pragmas, fmt.Sprintf("cache_size(-%d)", sqliteReaderCacheKB), "query_only(1)")
	}
	query := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	// The path is escaped, for a '?' or '%' in a folder's name is legal.
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// proveSQLite opens the writer first, which makes the file and turns it to WAL, and then
// a reader. It reads the header, and takes the write lock, since opening alone succeeds
// on a folder where nothing can be written.
func proveSQLite(ctx context.Context, db *DB, path string) error {
	err := db.once(ctx, db.write, &sql.TxOptions{}, func(ctx context.Context, tx Tx) error {
		var n int
		return tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&n)
	})
	if err == nil {
		err = db.read.PingContext(ctx)
	}
	if err == nil {
		return nil
	}
	return explainOpen(err, path)
}

// damagedAdvice is what to do with a damaged database. What SQLite's own error adds is its number only.
const damagedAdvice = "restore it from a backup, or move it away to start anew (sqlite3's PRAGMA integrity_check lists what is damaged)"

func explainOpen(err error, path string) error {
	switch code, _ := sqliteCode(err); code & 0xff {
	case codeNotADB:
		return errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseNotADatabase,
			"%s is not a SQLite database, or its beginning is damaged: %s", path, damagedAdvice)
	case codeCorrupt:
		return errs.Wrap(err, errs.FailedPrecondition, errs.ReasonDatabaseNotADatabase, "the database %s is damaged: %s", path, damagedAdvice)
	case codeCantOpen, codePerm, codeReadonly:
		return errs.Wrap(
			err,
			errs.FailedPrecondition,
			errs.ReasonDatabaseCannotOpen,
			"the database %s cannot be opened for writing: check the owner of the file and of its folder",
			path,
		)
	case codeFull:
		return errs.Wrap(err, errs.Unavailable, errs.ReasonDatabaseFull, "the disk of %s is full", path)
	default:
		return Classify(err)
	}
}

// cachingConnector gives each connection of a SQLite pool its cache of prepared statements.
type cachingConnector struct {
	driver.Connector
	path   string
	detach bool
}

// Connect opens one connection.
func (c cachingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(sqliteConn)
	if !ok {
		_ = conn.Close()
		return nil, errs.New(errs.Internal, errs.ReasonDatabaseDriver, "the SQLite driver lacks what the statement cache needs")
	}
	return newCachedConn(full, c.path, c.detach), nil
}
