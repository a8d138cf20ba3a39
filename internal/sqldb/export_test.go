package sqldb

import "context"

// OnWriter runs a statement on the connection that writes, outside of any transaction.
func OnWriter(ctx context.Context, db *DB, statement string) error {
	_, err := db.write.ExecContext(ctx, statement)
	return err
}
