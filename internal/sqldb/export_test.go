package sqldb

import "context"

// OnWriter runs a statement on the connection that writes, outside of any transaction.
func OnWriter(ctx context.Context, db *DB, statement string) error {
	_, err := db.write.ExecContext(ctx, statement)
	return err
}

// NotCopied returns how many pages of the write-ahead log are not in the file.
func NotCopied(ctx context.Context, db *DB) (int, error) {
	log, copied, err := db.checkpoints.run(ctx, `NOOP`)
	return log - copied, err
}
