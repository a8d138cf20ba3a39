package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// The sweep and the rebuild are one row of a table each, held by one process at a time: whoever the
// row names as its owner, until lease_until. Only they may write the rest of it.

// lease gives the row of a table that was read for update to owner, unless another holds it.
func lease(ctx context.Context, tx sqldb.Tx, table, holder string, held int64, owner string, now, until time.Time) (ours bool, err error) {
	if holder != owner && held > now.UnixMicro() {
		return false, nil
	}
	_, err = tx.ExecContext(ctx, `UPDATE `+table+` SET owner = $1, lease_until = $2 WHERE id = 1`, owner, until.UnixMicro())
	return err == nil, err
}

// leased is the outcome of an update of what an owner held: Aborted when it is another's by now.
func leased(updated sql.Result, err error, what string) error {
	if err != nil {
		return err
	}
	if n, err := updated.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return errs.New(errs.Aborted, "", "another process took the %s over", what)
}
