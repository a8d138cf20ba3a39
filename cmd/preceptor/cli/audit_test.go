package cli

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// chains are a server with its chains, and a writer that can change its databases.
type chains struct{ data, url string }

func openChains(t *testing.T) chains {
	t.Helper()
	data := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan server.Endpoints, 1), make(chan error, 1)
	go func() {
		done <- server.Run(ctx, server.Options{
			Config: &server.Config{Data: data, HTTP: "127.0.0.1:0", LocalIssuer: true}, Services: server.Services(), Logger: slog.New(slog.DiscardHandler),
			Now: testenv.Now, Version: "test", Ready: func(at server.Endpoints) { ready <- at },
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case at := <-ready:
		return chains{data: data, url: "http://" + at.HTTP.String()}
	case err := <-done:
		done <- nil
		t.Fatal("the server ended before it was ready: ", err)
	}
	return chains{}
}

// write runs f on a service's database, beside the server.
func (c chains) write(t *testing.T, service string, f func(context.Context, sqldb.Tx) error) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(c.data, service+".db"), sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func (c chains) record(t *testing.T, service string, n int) {
	t.Helper()
	entries := make([]audit.Entry, n)
	for i := range entries {
		entries[i] = audit.Entry{
			Time: time.Date(2026, 11, 20, 8, 30, 15, i*1000, time.UTC), Actor: "grace", Action: "EVENT_VOIDED",
			Resource: "learners/ada/events/1", Reason: "it's <not> \"hers\", \u2028 \u00e9 \\",
		}
	}
	c.write(t, service, func(ctx context.Context, tx sqldb.Tx) error { return audit.Append(ctx, tx, entries) })
}

// spoil does what the database refuses, as its superuser could.
func (c chains) spoil(t *testing.T, statements ...string) {
	t.Helper()
	c.write(t, "progress", func(ctx context.Context, tx sqldb.Tx) error {
		for _, text := range append([]string{`DROP TRIGGER IF EXISTS audit_entry_no_update`, `DROP TRIGGER IF EXISTS audit_entry_no_delete`}, statements...) {
			if _, err := tx.ExecContext(ctx, text); err != nil {
				return err
			}
		}
		return nil
	})
}

// verify runs the command, and wants its exit code and the words of its lines.
func (c chains) verify(t *testing.T, code int, lines []string, more ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args := append([]string{"preceptor", "audit", "verify", "--server", c.url, "--data", c.data}, more...)
	got := Run(t.Context(), Process{Now: testenv.Now, Args: args, Stdout: &stdout, Stderr: &stderr, Version: "test"})
	if got != code || stderr.Len() > 0 {
		t.Errorf("%v: exit code %d, want %d: %s", more, got, code, stderr.String())
	}
	output := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	if len(output) != len(lines) {
		t.Fatalf("%v: got %q, want %q", more, output, lines)
	}
	for i, words := range lines {
		if !strings.HasPrefix(output[i], words) {
			t.Errorf("%v: got %q, want %q", more, output[i], words)
		}
	}
}

// head is a head of progress's chain, as it was noted when it was there.
func (c chains) head(t *testing.T, sequence int) string { return c.headOf(t, "progress", sequence) }

func (c chains) headOf(t *testing.T, service string, sequence int) (noted string) {
	t.Helper()
	c.write(t, service, func(ctx context.Context, tx sqldb.Tx) error {
		var hash string
		err := tx.QueryRowContext(ctx, `SELECT hash FROM audit_entry WHERE sequence = $1`, sequence).Scan(&hash)
		noted = audit.Noted{Service: service, Head: audit.Head{Sequence: int64(sequence), Hash: hash}}.String()
		return err
	})
	return noted
}

func TestAuditVerify(t *testing.T) {
	t.Parallel()
	c := openChains(t)
	const none = "profile: no entries"
	c.verify(t, 0, []string{none, "catalog: no entries", "progress: no entries"})
	c.record(t, "catalog", 1)
	c.record(t, "progress", 3)
	c.verify(t, 0, []string{none, "catalog: 1 entry, chain whole, head ", "progress: 3 entries, chain whole, head "})
	c.record(t, "progress", 500) // more than a page
	c.verify(t, 0, []string{"progress: 503 entries, chain whole, head "}, "--service", "progress")

	const columns = "sequence, entry_time, actor, action, resource, reason, previous_hash, hash"
	const whole = "catalog: 1 entry, chain whole, head catalog:1:"
	// A tail that is cut off: with the head as it was, with a head that only has another sequence, and with one
	// that an attacker made right. The last is seen by whoever noted a head.
	newest, older := c.head(t, 503), c.head(t, 300)
	c.verify(t, 0, []string{none, whole, "progress: 503 entries, chain whole, head " + newest}, "--expect", newest, "--expect", older+"\n"+c.headOf(t, "catalog", 1))
	c.spoil(t, `UPDATE audit_head SET hash = (SELECT hash FROM audit_entry WHERE sequence = 502)`)
	c.verify(t, 1, []string{none, whole, "progress: the chain is broken at entry 503: its hash is not that of the head of the chain"})
	c.spoil(t, `UPDATE audit_head SET hash = (SELECT hash FROM audit_entry WHERE sequence = 503)`,
		`CREATE TABLE cut AS SELECT `+columns+` FROM audit_entry WHERE sequence > 500`, `DELETE FROM audit_entry WHERE sequence > 500`)
	c.verify(t, 1, []string{none, whole, "progress: the chain is broken at entry 501: it is missing, and the chain goes to 503"})
	c.spoil(t, `UPDATE audit_head SET sequence = 500`)
	c.verify(t, 1, []string{none, whole, "progress: the chain is broken at entry 500: its hash is not that of the head of the chain, so entries at the end were replaced or cut off"})
	c.spoil(t, `UPDATE audit_head SET hash = (SELECT hash FROM audit_entry WHERE sequence = 500)`)
	c.verify(t, 0, []string{none, whole, "progress: 500 entries, chain whole, head progress:500:"})
	c.verify(t, 0, []string{"progress: 500 entries, chain whole"}, "--service", "progress", "--expect", older)
	c.verify(t, 1, []string{none, whole, "progress: the chain is broken at entry 501: it is missing, and the chain went to 503 when its head was noted"}, "--expect", newest)
	c.spoil(t, `INSERT INTO audit_entry (`+columns+`) SELECT `+columns+` FROM cut`, `DROP TABLE cut`,
		`UPDATE audit_head SET sequence = 503, hash = (SELECT hash FROM audit_entry WHERE sequence = 503)`)
	wrong := older[:len(older)-1] + "0"
	if wrong == older {
		wrong = older[:len(older)-1] + "1"
	}
	c.verify(t, 1, []string{none, whole, "progress: the chain is broken at entry 300: its hash is not the one that was noted"}, "--expect", newest, "--expect", wrong)

	c.spoil(t, `DELETE FROM audit_entry WHERE sequence = 503`)
	c.verify(t, 1, []string{none, whole, "progress: the chain is broken at entry 503: it is missing, and the chain goes to 503"})
	c.spoil(t, `UPDATE audit_head SET sequence = 400`)
	c.verify(t, 1, []string{none, whole, "progress: the chain is broken at entry 401: the head of the chain comes before it"})
	c.spoil(t, `DELETE FROM audit_entry WHERE sequence = 300`)
	c.verify(t, 1, []string{none, whole, `progress: the chain is broken at entry 300: an entry "301" is in its place`})
	c.spoil(t, `UPDATE audit_entry SET previous_hash = hash WHERE sequence = 200`)
	c.verify(t, 1, []string{none, whole, "progress: the chain is broken at entry 200: it does not hold the hash of the entry before"})
	c.spoil(t, `UPDATE audit_entry SET entry_time = entry_time + 1 WHERE sequence = 2`)
	c.verify(t, 1, []string{none, whole, "progress: the chain is broken at entry 2: its hash is not that of its content"})
	c.verify(t, 0, []string{whole}, "--service", "catalog")
}
