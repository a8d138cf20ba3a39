package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
)

// A learner may have thousands of enrollments that are withdrawn: SQLite, which keeps no statistics,
// must find the others, and a page of all, without reading them.
func TestEnrollmentsAreFoundByTheirIndexes(t *testing.T) {
	db := sqldbtest.SQLite(t, Migrations())
	for which, want := range map[string]string{
		openOfOne:                         "enrollment_one_per_path (learner_id=? AND path_id>?)",
		pageOfOne:                         "enrollment_listed (learner_id=? AND (enroll_at,enrollment_id)>(?,?))",
		ofOne + ` AND enrollment_id = $2`: "PRIMARY KEY (learner_id=? AND enrollment_id=?)",
	} {
		args := []any{"learner", 1, "enrollment", 2}[:strings.Count(which, "$")]
		var plan []string
		rows, err := db.Reader().QueryContext(context.Background(), `EXPLAIN QUERY PLAN SELECT `+enrollmentColumns+` FROM enrollment WHERE `+which, args...)
		err = each(rows, err, func(rows *sql.Rows) error {
			var id, parent, unused int
			var step string
			err := rows.Scan(&id, &parent, &unused, &step)
			plan = append(plan, step)
			return err
		})
		if err != nil || len(plan) == 0 || !strings.Contains(plan[0], want) {
			t.Errorf("%s: %q, %v; want %s", which, plan, err, want)
		}
	}
}
