//go:build realservers

package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestPointInTime restores Postgres to an earlier moment, by the lines of docs/operations.md, while
// learners' phones send. They send again what is gone.
func TestPointInTime(t *testing.T) {
	a := &archived{records: migrated(t), lines: pointInTimeLines(t)}
	a.Shell(t, a.lines[0])
	a.Stop(t)
	a.Start(t)
	server := testenv.NewMortalRedis(t)
	f := newFleet(t, a.records, directly, "redis://"+server.Addr)
	try(t, f, []scenario{
		nothing(),
		{name: "base backup", play: a.backUp, flawless: true},
		{name: "restored to a point in time", play: a.restore, loses: true},
	})
}

// archived is a Postgres whose write-ahead log is archived.
type archived struct {
	*records

	// lines are those of the documents: for the archive, for a backup, for a restore and after it.
	lines []string
}

// pointInTimeLines are the lines that an operator pastes.
func pointInTimeLines(t *testing.T) (lines []string) {
	t.Helper()
	_, section, found := strings.Cut(repoFile(t, "docs/operations.md"), "\n### Postgres, to a point in time\n")
	section, _, ends := strings.Cut(section, "\n### ")
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		lines = append(lines, block[1])
	}
	if !found || !ends || len(lines) != 4 {
		t.Fatalf("the section has %d blocks of lines", len(lines))
	}
	return lines
}

// backUp makes a base backup beside the load.
func (a *archived) backUp(tr *trial, _ *row) {
	tr.t.Helper()
	a.Shell(tr.t, a.lines[1])
}

// restore takes back what was acknowledged after a moment.
func (a *archived) restore(tr *trial, r *row) {
	tr.t.Helper()
	for _, h := range tr.senders {
		h.saves()
	}
	moment := strings.TrimSpace(a.Shell(tr.t, "date '+%F %T.%6N%:z'")) // by the machine's clock, as Postgres notes commits
	tr.await("everybody is acknowledged after the moment", func(since time.Time) bool { return tr.served(since, false) })
	r.repaired = testenv.Now() // whoever restores it begins now
	for _, m := range tr.fleet.all() {
		m.process.kill()
	}
	a.Stop(tr.t)
	a.Shell(tr.t, a.lines[2], "BASE="+strings.TrimSpace(a.Shell(tr.t, `ls -d "$BACKUPS"/base-*`)), "WHEN="+moment)
	a.Start(tr.t)
	a.Shell(tr.t, a.lines[3])
	for _, m := range tr.fleet.all() {
		m.start(tr.t)
	}
}
