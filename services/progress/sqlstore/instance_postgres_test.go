//go:build realservers

package sqlstore_test

import (
	"context"
	"errors"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// place is a progress database, and a store that serves from it.
type place struct {
	url   string
	store *sqlstore.Store
	// renewed are the reasons of renewals.
	renewed []string
}

// openPlace serves from a database, as a process does that starts.
func openPlace(t *testing.T, at string, migrate bool) *place {
	t.Helper()
	db, err := sqldb.Open(t.Context(), at, sqldb.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if migrate {
		if err := db.Migrate(t.Context(), sqlstore.Migrations()); err != nil {
			t.Fatal(err)
		}
	}
	p := &place{url: at, store: sqlstore.New(db)}
	p.store.OnRenewal(func(why, _, _ string) { p.renewed = append(p.renewed, why) })
	return p
}

// line is the line of history that a read is on.
func (p *place) line(t *testing.T) string {
	t.Helper()
	head, err := p.store.Head(t.Context(), uuid.NewString())
	if err != nil || uuid.Validate(head.Timeline[:min(36, len(head.Timeline))]) != nil {
		t.Fatalf("the line is %q, %v", head.Timeline, err)
	}
	return head.Timeline
}

// wantRenewed fails unless the store was renewed for these reasons, each a part of one, since the last look.
func (p *place) wantRenewed(t *testing.T, reasons ...string) {
	t.Helper()
	if !slices.EqualFunc(p.renewed, reasons, strings.Contains) {
		t.Errorf("renewed because %q, want %q", p.renewed, reasons)
	}
	p.renewed = nil
}

// to is the url of another database or role on the same server.
func (p *place) to(t *testing.T, user, database string) string {
	t.Helper()
	u, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		u.User = url.User(user)
	}
	if database != "" {
		u.Path = "/" + database
	}
	return u.String()
}

// tool runs a program of Postgres, or of the system.
func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func statement(t *testing.T, at, text string) {
	t.Helper()
	tool(t, "psql", "--quiet", "--set=ON_ERROR_STOP=1", "--command="+text, "--dbname="+at)
}

// TestLineOfHistory takes a database where it was not. Whatever served from it before, nothing that was
// read there is filed under the same line as what is read now.
func TestLineOfHistory(t *testing.T) {
	server := testenv.NewMortalPostgres(t)
	p := openPlace(t, server.URL, true)
	seen := []string{p.line(t)}
	another := func(line string) {
		t.Helper()
		if slices.Contains(seen, line) {
			t.Errorf("%s was a line before", line)
		}
		seen = append(seen, line)
	}
	p.wantRenewed(t)

	server.Save(t) // stops it and starts it again
	if line := p.line(t); line != seen[0] {
		t.Errorf("a restart made the line %s of %s", line, seen[0])
	}
	if line := openPlace(t, p.url, false).line(t); line != seen[0] {
		t.Errorf("another process is on the line %s, not %s", line, seen[0])
	}
	p.wantRenewed(t)

	replica := openPlace(t, p.url, false)
	for range 2 { // from the same copy: both have the same timeline, the second
		server.FailOver(t)
		another(p.line(t))
		p.wantRenewed(t, "an archive was replayed")
		if line := replica.line(t); line != seen[len(seen)-1] {
			t.Errorf("another process is on the line %s, not %s", line, seen[len(seen)-1])
		}
		replica.wantRenewed(t)
	}

	statement(t, p.url, `UPDATE instance SET incarnation = gen_random_uuid()::text`)
	again := openPlace(t, p.url, false)
	another(again.line(t))
	again.wantRenewed(t, "set by hand")
}

// TestLineOfDump restores a dump: into another database of the server, into the same one, and into
// another server, where the numbers of databases and tables may be the same as in the first.
func TestLineOfDump(t *testing.T) {
	one := openPlace(t, testenv.NewMortalPostgres(t).URL, true)
	was := one.line(t)
	dump := filepath.Join(t.TempDir(), "dump")
	tool(t, "pg_dump", "--format=custom", "--file="+dump, "--dbname="+one.url)

	statement(t, one.url, "CREATE DATABASE restored")
	tool(t, "pg_restore", "--exit-on-error", "--dbname="+one.to(t, "", "restored"), dump)
	restored := openPlace(t, one.to(t, "", "restored"), false)
	if line := restored.line(t); line == was {
		t.Error("a restored database is on the line of the dumped one")
	}
	restored.wantRenewed(t, "another database")

	statement(t, one.url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
	tool(t, "pg_restore", "--exit-on-error", "--dbname="+one.url, dump)
	if line := one.line(t); line == was { // though it served all the while
		t.Error("a database that a dump was restored into is on the line that it was on")
	}
	one.wantRenewed(t, "tables were made anew")

	other := testenv.NewMortalPostgres(t)
	tool(t, "pg_restore", "--exit-on-error", "--dbname="+other.URL, dump)
	two := openPlace(t, other.URL, false)
	if line := two.line(t); line == was {
		t.Error("another server is on the line of the dumped one")
	}
	two.wantRenewed(t, "another server")
}

// TestLineOfDeniedRole restores a dump into a server with the same numbers throughout, by a role that may
// not read which server that is.
func TestLineOfDeniedRole(t *testing.T) {
	var places []*place
	for range 2 {
		server := testenv.NewMortalPostgres(t)
		statement(t, server.URL, "CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
		p := &place{url: server.URL}
		places = append(places, openPlace(t, p.to(t, "app", ""), len(places) == 0))
		if len(places) == 1 {
			statement(t, server.URL, "SELECT txid_current()") // a server of another age
		}
	}
	was := places[0].line(t)
	if line := openPlace(t, places[0].url, false).line(t); line != was {
		t.Errorf("another process is on the line %s, not %s", line, was)
	}
	dump := filepath.Join(t.TempDir(), "dump")
	tool(t, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--file="+dump, "--dbname="+places[0].url)
	tool(t, "pg_restore", "--exit-on-error", "--no-owner", "--dbname="+places[1].url, dump)
	if line := places[1].line(t); line == was {
		t.Error("another server is on the line of the dumped one")
	}
	if len(places[1].renewed) != 1 {
		t.Errorf("renewed because %q", places[1].renewed)
	}
}

// TestLineWithoutWrites has a standby take over that takes no writes: what is read from it has
// another line all the same.
func TestLineWithoutWrites(t *testing.T) {
	server := testenv.NewMortalPostgres(t)
	p := openPlace(t, server.URL, true)
	was := p.line(t)
	statement(t, p.url, "ALTER DATABASE postgres SET default_transaction_read_only = on")
	server.Save(t)
	if line := openPlace(t, p.url, false).line(t); line != was {
		t.Errorf("a restart made the line %s of %s", line, was)
	}
	server.FailOver(t)
	readOnly := p.line(t)
	if readOnly == was {
		t.Error("it is on the line of before")
	}
	if line := openPlace(t, p.url, false).line(t); line != readOnly {
		t.Errorf("another process is on the line %s, not %s", line, readOnly)
	}
	tool(t, "psql", "--quiet", "--set=ON_ERROR_STOP=1", "--command=SET default_transaction_read_only = off",
		"--command=ALTER DATABASE postgres RESET default_transaction_read_only", "--dbname="+p.url)
	other := openPlace(t, p.url, false) // its connections are new
	settled := other.line(t)
	if settled == readOnly || settled == was {
		t.Error("it is on the line of before, though it takes writes")
	}
	if line := p.line(t); line != settled { // by connections that take none still
		t.Errorf("a process from before is on the line %s, not %s", line, settled)
	}
}

// TestLineOfCommit has a write be the first that meets a database which has gone on from an earlier state.
func TestLineOfCommit(t *testing.T) {
	server := testenv.NewMortalPostgres(t)
	p := openPlace(t, server.URL, true)
	was := p.line(t)
	learner, line := uuid.NewString(), ""
	if err := p.store.SaveLink(t.Context(), "issuer", learner, progress.Link{LearnerID: learner}); err != nil {
		t.Fatal(err)
	}
	heads, err := p.store.HeadsOf(t.Context(), []string{learner})
	if err != nil {
		t.Fatal(err)
	}
	set := &progress.WriteSet{Heads: []progress.HeadChange{{Was: heads[learner], Is: heads[learner]}}}
	server.Save(t)
	server.FailOver(t)
	// The head is the same, and on another line.
	wantStale := func(what string) {
		t.Helper()
		err := p.store.Write(t.Context(), set)
		if stale, ok := errors.AsType[*progress.StaleError](err); !ok || len(stale.Learners) != 1 || stale.Learners[0] != learner {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantStale("in one statement")
	set.Awards = []progress.Award{{ID: uuid.NewString(), LearnerID: learner}}
	wantStale("in a transaction")
	err = p.store.Commit(t.Context(), []string{learner}, func(_ context.Context, tx progress.Tx) error {
		line = tx.Head(learner).Timeline
		return nil
	})
	if err != nil || line == was || line != p.line(t) {
		t.Errorf("the write is on the line %s after %s, a read on %s: %v", line, was, p.line(t), err)
	}
	p.wantRenewed(t, "an archive was replayed")
}
