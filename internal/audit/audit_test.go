package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/audit/audittest"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
)

// migrations are the part of a service's that makes a chain.
func migrations(t *testing.T) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, dialect := range []string{"sqlite", "postgres"} {
		fsys[dialect+"/00001_audit.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + chain(t, "progress", dialect))}
	}
	return fsys
}

// chain is the end of a service's migration, from where the chain of audit entries begins.
func chain(t *testing.T, service, dialect string) string {
	t.Helper()
	file := filepath.Join("../../services", service, "sqlstore/migrations", dialect, "00001_"+service+".sql")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), "-- The audit chain.")
	if !ok {
		t.Fatalf("%s makes no chain", file)
	}
	return "-- The audit chain." + part
}

// TestMigrationsAgree: the services that have a chain make the same tables.
func TestMigrationsAgree(t *testing.T) {
	for _, dialect := range []string{"sqlite", "postgres"} {
		if chain(t, "progress", dialect) != chain(t, "catalog", dialect) {
			t.Errorf("the chains of catalog and progress differ on %s", dialect)
		}
	}
}

func openSQLite(t *testing.T) *sqldb.DB {
	t.Helper()
	return sqldbtest.SQLite(t, migrations(t))
}

func TestSQLite(t *testing.T) { suite(t, openSQLite) }

// suite is what must hold on either database.
func suite(t *testing.T, fresh func(*testing.T) *sqldb.DB) {
	t.Helper()
	audittest.Run(t, func(t *testing.T) audittest.Chain {
		t.Helper()
		db := fresh(t)
		return audittest.Chain{Log: audit.NewLog(db), Commit: func(ctx context.Context, entries []audit.Entry, failure error) error {
			return appendTo(ctx, db, entries, failure)
		}}
	})
	t.Run("the database refuses changes", func(t *testing.T) { refusesChanges(t, fresh(t)) })
}

func appendTo(ctx context.Context, db *sqldb.DB, entries []audit.Entry, failure error) error {
	return db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		if err := audit.Append(ctx, tx, entries); err != nil {
			return err
		}
		return failure
	})
}

func refusesChanges(t *testing.T, db *sqldb.DB) {
	if err := appendTo(t.Context(), db, []audit.Entry{{Time: noon, Actor: "grace"}}, nil); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{`UPDATE audit_entry SET reason = 'another'`, `DELETE FROM audit_entry`} {
		err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, statement)
			return err
		})
		if err == nil {
			t.Errorf("%s was done", statement)
		}
	}
	entries, _, err := audit.NewLog(db).Page(t.Context(), 0, 10)
	if err != nil || len(entries) != 1 || entries[0].Reason != "" {
		t.Errorf("%+v, %v", entries, err)
	}
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// list asks a server as a client does.
func list(t *testing.T, s *audit.Server, req *auditv1.ListAuditEntriesRequest) *auditv1.ListAuditEntriesResponse {
	t.Helper()
	resp, err := s.ListAuditEntries(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestServer(t *testing.T) {
	db := openSQLite(t)
	catalog, progress := audit.NewServer("catalog", openSQLite(t)), audit.NewServer("progress", db)
	if err := appendTo(t.Context(), db, make([]audit.Entry, 501), nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after, next int64
		size        int32
		want        int
	}{{0, 100, 0, 100}, {0, 2, 2, 2}, {1, 501, 9999, 500}, {501, 501, 0, 0}, {600, 600, 0, 0}} {
		resp := list(t, progress, &auditv1.ListAuditEntriesRequest{Service: "progress", AfterSequence: c.after, PageSize: c.size})
		if len(resp.GetEntries()) != c.want || resp.GetNextAfterSequence() != c.next || resp.GetHeadSequence() != 501 {
			t.Errorf("%+v: %d entries, next %d, head %d", c, len(resp.GetEntries()), resp.GetNextAfterSequence(), resp.GetHeadSequence())
		}
	}
	both := audit.Join(catalog, progress)
	if n := list(t, both, &auditv1.ListAuditEntriesRequest{Service: "catalog"}).GetHeadSequence(); n != 0 {
		t.Errorf("catalog's head is %d", n)
	}
	if n := list(t, both, &auditv1.ListAuditEntriesRequest{Service: "progress"}).GetHeadSequence(); n != 501 {
		t.Errorf("progress's head is %d", n)
	}
	for service, s := range map[string]*audit.Server{"progress": catalog, "catalog": progress, "profile": both, "": both} {
		_, err := s.ListAuditEntries(t.Context(), &auditv1.ListAuditEntriesRequest{Service: service})
		e, ok := errors.AsType[*errs.Error](err)
		if !ok || e.Kind != errs.Invalid || len(e.Violations) != 1 || e.Violations[0].Field != "service" {
			t.Errorf("the chain of %q: %v", service, err)
		}
	}
}

// fields are an entry's in JSON, the hash among them.
func fields() []string {
	return []string{"sequence", "time", "actor", "action", "resource", "reason", "previousHash", "hash"}
}

// change puts another value into one field of an entry.
func change(r *rapid.T, e *audit.Entry, field string) {
	other := func(old string) string {
		return rapid.String().Filter(func(s string) bool { return s != old }).Draw(r, "other")
	}
	switch field {
	case "sequence":
		e.Sequence += rapid.SampledFrom([]int64{-1, 1, 1000}).Draw(r, "by")
	case "time":
		e.Time = e.Time.Add(rapid.SampledFrom([]time.Duration{time.Microsecond, -time.Millisecond, time.Second, time.Hour}).Draw(r, "by"))
	case "actor":
		e.Actor = other(e.Actor)
	case "action":
		e.Action = other(e.Action)
	case "resource":
		e.Resource = other(e.Resource)
	case "reason":
		e.Reason = other(e.Reason)
	case "previousHash":
		e.PreviousHash = other(e.PreviousHash)
	case "hash":
		e.Hash = other(e.Hash)
	}
}

// follow walks entries as they are, and as the API spells them; both must say the same.
func follow(r *rapid.T, head audit.Head, entries []audit.Entry) error {
	spelled := head
	for i := range entries {
		text := inJSON(r, &entries[i])
		next, err := head.Follow(entries[i])
		nextSpelled, errSpelled := spelled.FollowJSON(text)
		if (err == nil) != (errSpelled == nil) || next != nextSpelled {
			r.Fatalf("%v, but as %s: %v", err, text, errSpelled)
		}
		if broken, ok := errors.AsType[*audit.BrokenError](err); ok {
			if broken.Sequence != head.Sequence+1 || broken.Error() != errSpelled.Error() {
				r.Fatalf("%v, as %s: %v", err, text, errSpelled)
			}
			return err
		}
		if err != nil {
			r.Fatal(err)
		}
		head, spelled = next, nextSpelled
	}
	return nil
}

// inJSON is an entry as the REST API returns it.
func inJSON(r *rapid.T, e *audit.Entry) []byte {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(&auditv1.AuditEntry{
		Sequence: e.Sequence, Time: timestamppb.New(e.Time), Actor: e.Actor, Action: e.Action,
		Resource: e.Resource, Reason: e.Reason, PreviousHash: e.PreviousHash, Hash: e.Hash,
	})
	if err != nil {
		r.Fatal(err)
	}
	members := map[string]string{}
	if err := json.Unmarshal(text, &members); err != nil {
		r.Fatal(err)
	}
	members["time"] = e.Time.UTC().Format("2006-01-02T15:04:05.000000Z") // six digits, which protojson does not always write
	if text, err = json.Marshal(members); err != nil {
		r.Fatal(err)
	}
	return text
}

// command is what a Store may be given.
func command() *rapid.Generator[audit.Entry] {
	return rapid.Custom(func(r *rapid.T) audit.Entry {
		unit := rapid.SampledFrom([]time.Duration{time.Second, time.Millisecond, time.Microsecond}).Draw(r, "unit")
		return audit.Entry{
			Time:     noon.Add(time.Duration(rapid.IntRange(0, 1e6).Draw(r, "time")) * unit),
			Actor:    rapid.String().Draw(r, "actor"),
			Action:   rapid.SampledFrom([]string{"EVENT_VOIDED", "AWARD_REVOKED", ""}).Draw(r, "action"),
			Resource: rapid.String().Draw(r, "resource"),
			Reason:   rapid.String().Draw(r, "reason"),
		}
	})
}

// TestTampering changes one field of one entry, drops an entry, or puts one before another:
// each is noticed, whatever the chain holds.
func TestTampering(t *testing.T) {
	db := openSQLite(t)
	log := audit.NewLog(db)
	rapid.Check(t, func(r *rapid.T) {
		_, head, err := log.Page(t.Context(), 0, 0)
		if err != nil {
			r.Fatal(err)
		}
		if err := appendTo(t.Context(), db, rapid.SliceOfN(command(), 1, 5).Draw(r, "commands"), nil); err != nil {
			r.Fatal(err)
		}
		entries, last, err := log.Page(t.Context(), head.Sequence, 10)
		if err != nil {
			r.Fatal(err)
		}
		if err := follow(r, head, entries); err != nil {
			r.Fatalf("as it was written: %v", err)
		}
		if end := entries[len(entries)-1]; last != (audit.Head{Sequence: end.Sequence, Hash: end.Hash}) {
			r.Fatalf("the head is %+v after %+v", last, end)
		}
		i := rapid.IntRange(0, len(entries)-1).Draw(r, "entry")
		if j := rapid.IntRange(0, len(entries)-1).Draw(r, "other entry"); i != j {
			entries[i], entries[j] = entries[j], entries[i]
		} else {
			change(r, &entries[i], rapid.SampledFrom(fields()).Draw(r, "field"))
		}
		if err := follow(r, head, entries); err == nil {
			r.Fatalf("nobody notices: %+v", entries)
		}
	})
}

// TestRehashed: changing an entry and computing its hash anew breaks the link to the next.
func TestRehashed(t *testing.T) {
	db, other := openSQLite(t), openSQLite(t)
	chain := func(db *sqldb.DB, reason string) []audit.Entry {
		if err := appendTo(t.Context(), db, []audit.Entry{{Time: noon, Reason: reason}, {Time: noon, Reason: "same"}}, nil); err != nil {
			t.Fatal(err)
		}
		entries, _, err := audit.NewLog(db).Page(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	genuine, forged := chain(db, "true"), chain(other, "forged")
	head, err := audit.Head{}.Follow(forged[0])
	if err != nil {
		t.Fatal(err)
	}
	_, err = head.Follow(genuine[1])
	if broken, ok := errors.AsType[*audit.BrokenError](err); !ok || broken.Sequence != 2 || !strings.Contains(broken.Why, "entry before") {
		t.Errorf("%v", err)
	}
}

// TestFollowJSON knows what may come over a wire.
func TestFollowJSON(t *testing.T) {
	entry := func(members map[string]any) string {
		text, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, text := range []string{
		"", "[]", "7", "null", "{}", `{"sequence":"1"}`,
		entry(map[string]any{"sequence": 1, "previousHash": "", "hash": ""}),
	} {
		head, err := audit.Head{}.FollowJSON([]byte(text))
		if broken, ok := errors.AsType[*audit.BrokenError](err); !ok || broken.Sequence != 1 || head != (audit.Head{}) {
			t.Errorf("%s: %+v, %v", text, head, err)
		}
	}
}
