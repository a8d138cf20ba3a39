package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// ExecRows runs a statement once for each row of arguments, of which there are as many as columns in each,
// and returns the numbers of the rows, from 0, for which it changed nothing. On SQLite all of it is one call
// of the driver, which costs less than one statement of many rows; Postgres wants that one.
func ExecRows(ctx context.Context, tx Tx, query string, columns int, args []any) (unchanged []int, err error) {
	if len(args) == 0 {
		return nil, nil
	}
	if tx.Dialect() == SQLite {
		rows := &rowArgs{columns: columns, args: args}
		_, err := tx.ExecContext(ctx, query, rows)
		return rows.unchanged, err
	}
	n := 0
	for row := range slices.Chunk(args, columns) {
		changed, err := changes(tx.ExecContext(ctx, query, row...))
		if err != nil {
			return unchanged, err
		}
		if !changed {
			unchanged = append(unchanged, n)
		}
		n++
	}
	return unchanged, nil
}

func changes(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// rowArgs is what ExecRows passes to a connection, as the only argument.
type rowArgs struct {
	columns   int
	args      []any
	unchanged []int
}

// rowsIn returns the rows that are the only argument of a statement.
func rowsIn(args []driver.NamedValue) (rows *rowArgs, ok bool) {
	if len(args) == 1 {
		rows, ok = args[0].Value.(*rowArgs)
	}
	return rows, ok
}

// CheckNamedValue has rowArgs pass as they are, and all else as usual.
func (c *cachedConn) CheckNamedValue(v *driver.NamedValue) error {
	if _, ok := v.Value.(*rowArgs); ok {
		return nil
	}
	return driver.ErrSkip
}

// execRows runs a statement for each row.
func (c *cachedConn) execRows(ctx context.Context, stmt *preparedStmt, rows *rowArgs) (driver.Result, error) {
	if len(rows.args)%rows.columns != 0 {
		return nil, errs.New(errs.Internal, errs.ReasonInternal, "%d arguments are no rows of %d", len(rows.args), rows.columns)
	}
	named := make([]driver.NamedValue, rows.columns)
	n := 0
	for row := range slices.Chunk(rows.args, rows.columns) {
		for i, value := range row {
			value, err := driver.DefaultParameterConverter.ConvertValue(value)
			if err != nil {
				return nil, err
			}
			named[i] = driver.NamedValue{Ordinal: i + 1, Value: value}
		}
		result, err := stmt.exec(ctx, named)
		if err != nil {
			return nil, err
		}
		if changed, err := result.RowsAffected(); err != nil {
			return nil, err
		} else if changed == 0 {
			rows.unchanged = append(rows.unchanged, n)
		}
		n++
	}
	return driver.RowsAffected(n - len(rows.unchanged)), nil
}
