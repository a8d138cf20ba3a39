package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
)

// A learner may have thousands of enrollments that are withdrawn: SQLite, which keeps no statistics,
// must find the others, and a page of all, without reading them.
func TestEnrollmentsAreFoundByTheirIndexes(t *testing.T) {
	db := sqldbtest.SQLite(t, Migrations())
	for which, want := range map[string]string{
		`learner_id IN ($1, $2)` + notWithdrawn: "enrollment_one_per_path (learner_id=? AND path_id>?)",
		ofOne + notWithdrawn:                    "enrollment_one_per_path (learner_id=? AND path_id>?)",
		pageOfOne:                               "enrollment_listed (learner_id=? AND (enroll_at,enrollment_id)>(?,?))",
		ofOne + ` AND enrollment_id = $2`:       "PRIMARY KEY (learner_id=? AND enrollment_id=?)",
	} {
		args := []any{"learner", 1, "enrollment", 2}[:strings.Count(which, "$")]
		if plan := planOf(t, db, `SELECT `+enrollmentColumns+` FROM enrollment WHERE `+which, args...); !strings.Contains(plan[0], want) {
			t.Errorf("%s: %q; want %s", which, plan, want)
		}
	}
}

// A log may have a hundred thousand entries: however many events are asked about, each is looked up.
func TestEventsAreFoundByTheirIndex(t *testing.T) {
	db := sqldbtest.SQLite(t, Migrations())
	for _, n := range []int{1, 2, 64, maxRows} {
		plan := planOf(t, db, knownByKeys(n), make([]any, 2*n)...)
		if last := plan[len(plan)-1]; !strings.HasPrefix(last, "SEARCH learner_log USING INDEX learner_log_event (learner_id=? AND event_id=?)") {
			t.Errorf("%d: %q", n, plan)
		}
	}
}

// planOf is how SQLite would run a query.
func planOf(t *testing.T, db *sqldb.DB, query string, args ...any) []string {
	t.Helper()
	var plan []string
	rows, err := db.Reader().QueryContext(context.Background(), `EXPLAIN QUERY PLAN `+query, args...)
	err = each(rows, err, func(rows *sql.Rows) error {
		var id, parent, unused int
		var step string
		err := rows.Scan(&id, &parent, &unused, &step)
		plan = append(plan, step)
		return err
	})
	if err != nil || len(plan) == 0 {
		t.Fatalf("%s: %q, %v", query, plan, err)
	}
	return plan
}
