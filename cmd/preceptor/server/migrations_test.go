package server

import (
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb/migrationlint"
)

// released has the last migration of each service's first release. Those that come after it run beside
// programs that do not know them.
func released() map[string]int64 { return map[string]int64{Profile: 1, Catalog: 1, Progress: 1} }

// TestMigrations looks through the migrations of every service (docs/operations.md, Migrations).
func TestMigrations(t *testing.T) {
	looked := 0
	for _, row := range Services() {
		if row.Migrations == nil {
			continue
		}
		looked++
		number, known := released()[row.Name]
		if !known {
			t.Errorf("%s: which of its migrations were in the first release?", row.Name)
		}
		faults, err := migrationlint.Lint(row.Migrations(), number)
		if err != nil {
			t.Errorf("%s: %v", row.Name, err)
		}
		for _, fault := range faults {
			t.Errorf("%s: %s", row.Name, fault)
		}
	}
	if looked != len(released()) {
		t.Errorf("it has looked at %d services", looked)
	}
}
