// Package sqldbtest opens databases for tests, with a service's schema in them, until the test ends.
package sqldbtest

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// Open opens the database of a url.
func Open(t testing.TB, url string) *sqldb.DB {
	t.Helper()
	return OpenWith(t, url, sqldb.Options{})
}

// OpenWith is Open with options.
func OpenWith(t testing.TB, url string, opts sqldb.Options) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(context.Background(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Migrated opens the database of a url, and brings its schema up to date.
func Migrated(t testing.TB, url string, steps fs.FS) *sqldb.DB {
	t.Helper()
	db := Open(t, url)
	if err := db.Migrate(context.Background(), steps); err != nil {
		t.Fatal(err)
	}
	return db
}

// SQLite opens a file of t's own.
func SQLite(t testing.TB, steps fs.FS) *sqldb.DB {
	t.Helper()
	return Migrated(t, SQLiteURL(t), steps)
}

// SQLiteURL is the url of a file that is not there yet.
func SQLiteURL(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// Postgres starts a server that lives as long as t, and gives a function by which each subtest opens
// a database of its own in it.
func Postgres(t testing.TB, steps fs.FS) func(t testing.TB) *sqldb.DB {
	t.Helper()
	url := PostgresURLs(t, steps)
	return func(t testing.TB) *sqldb.DB {
		t.Helper()
		return Open(t, url(t))
	}
}

// PostgresURLs is Postgres for tests that need the urls of the databases.
func PostgresURLs(t testing.TB, steps fs.FS) func(t testing.TB) string {
	t.Helper()
	return testenv.Postgres(t, func(url string) error {
		db, err := sqldb.Open(context.Background(), url, sqldb.Options{})
		if err != nil {
			return err
		}
		if err := db.Migrate(context.Background(), steps); err != nil {
			return err
		}
		return db.Close()
	})
}
