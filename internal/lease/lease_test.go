package lease_test

import (
	"context"
	"testing"
	"testing/fstest"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/lease"
	"github.com/preceptor-dev/preceptor/internal/lease/leasetest"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
)

func open(t *testing.T) *sqldb.DB {
	t.Helper()
	const table = "-- +goose Up\nCREATE TABLE lease (job TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL, lease_until BIGINT NOT NULL, state TEXT NOT NULL);\n"
	return sqldbtest.SQLite(t, fstest.MapFS{"sqlite/00001_lease.sql": {Data: []byte(table)}})
}

func TestSQLite(t *testing.T) { leasetest.Run(t, open) }

// A state that this program cannot read is not worked on from its zero.
func TestUnreadableState(t *testing.T) {
	db := open(t)
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO lease (job, owner, lease_until, state) VALUES ('sweep', '', 0, '"text"')`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMicro(1)
	if _, err := lease.Acquire[struct{ N int }](t.Context(), db, "sweep", "a", now, now); errs.KindOf(err) != errs.Internal {
		t.Error(err)
	}
}
