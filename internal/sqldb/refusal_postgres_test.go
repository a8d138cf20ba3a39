//go:build realservers

package sqldb_test

import (
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestPostgresReadOnly has all sessions refuse writes, as those of a primary do that became a standby.
func TestPostgresReadOnly(t *testing.T) {
	t.Parallel()
	server := testenv.NewPostgres(t, "fsync=off")
	db, reports := watched(t, server.As(t, "postgres", "", "postgres"))
	write := writer(t, db)
	set := func(value string) {
		server.Exec(t, "ALTER SYSTEM SET default_transaction_read_only = "+value)
		server.Exec(t, "SELECT pg_reload_conf()")
	}
	set("on")
	refuses(t, db, reports, errs.ReasonDatabaseReadOnly, write, func() { set("off") })

	server.Exec(t, "CREATE ROLE u LOGIN", "REVOKE ALL ON DATABASE postgres FROM PUBLIC", "GRANT CONNECT ON DATABASE postgres TO u",
		"CREATE SCHEMA u AUTHORIZATION u")
	db, reports = watched(t, server.As(t, "u", "", "postgres")) // who may make no temporary tables
	if err := db.Migrate(t.Context(), migrations(stepOne)); err != nil {
		t.Fatal(err)
	}
	write = writer(t, db)
	set("on")
	refuses(t, db, reports, errs.ReasonDatabaseReadOnly, write, func() { set("off") })
}

// TestPostgresDiskFull fills the disk that a database is on, where this user may make a small one.
func TestPostgresDiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 24<<20)
	if dir == "" {
		return // TestPostgresReadOnly meets the same code, but for the SQLSTATE
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := osexec.Command("chown", owner.Uid, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := testenv.NewPostgres(t, "fsync=off")
	server.Exec(t, "CREATE TABLESPACE small LOCATION '"+dir+"'", "CREATE DATABASE small TABLESPACE small")
	db, reports := watched(t, server.As(t, "postgres", "", "small"))
	write := writer(t, db)
	exec(t, db, "ALTER TABLE large ALTER a SET STORAGE EXTERNAL") // or it is compressed to nothing
	other := filepath.Join(dir, "other")                          // somebody else's
	if err := os.WriteFile(other, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, db, reports, errs.ReasonDatabaseFull, write, func() {
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
	})
}
