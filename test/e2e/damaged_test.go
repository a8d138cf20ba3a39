package e2e

import (
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// damage writes over the first page of a table in a database that nobody has open.
func damage(t *testing.T, file, table string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	var page, size int64
	err = db.QueryRowContext(t.Context(), "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = $1", table).Scan(&page, &size)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("\xff", int(size))), (page-1)*size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedDatabase runs commands on a folder with a damaged page: each names the file, that it is damaged,
// and what to do. Where a server runs, they name the request by which its log has that.
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	w := oneProcess(t)
	w.as(t, "damaged-learner").id()
	w.front.stop(t)
	file := filepath.Join(w.data, "progress.db")
	damage(t, file, "audit_head")
	damage(t, file, "learner_head")

	words := []string{"the database " + file + " is damaged", "restore it from a backup", "PRAGMA integrity_check"}
	for _, args := range [][]string{
		{"audit", "verify", "--service", "progress", "--server", w.base, "--data", w.data},
		{"progress", "verify", "--server", w.base, "--data", w.data},
		{"progress", "rebuild", "--server", w.base, "--data", w.data},
		{"backup", "--data", w.data, "--to", filepath.Join(t.TempDir(), "backup")},
	} {
		_, stderr, code := command(t, args...)
		if code != 1 || strings.Contains(stderr, "requestId") {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
		for _, part := range words {
			if !strings.Contains(stderr, part) {
				t.Errorf("%v: does not say %q: %s", args, part, stderr)
			}
		}
	}

	running := oneProcessOn(t, w.data)
	for _, args := range [][]string{
		{"audit", "verify", "--service", "progress", "--server", running.base, "--data", w.data},
		{"progress", "verify", "--server", running.base, "--data", w.data},
	} {
		_, stderr, code := command(t, args...)
		named := regexp.MustCompile(`\(requestId ([-0-9a-z]+)\)`).FindStringSubmatch(stderr)
		if code != 1 || len(named) == 0 {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
			continue
		}
		eventually(t, "the log has it", func() bool {
			for _, line := range running.front.lines(named[1]) {
				if strings.Contains(line, `"level":"ERROR"`) && strings.Contains(line, words[0]) {
					return true
				}
			}
			return false
		})
	}
}
