package sqldb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/preceptor-dev/preceptor/internal/idem"
)

// purgeBatch is how many expired keys one save removes at most: more than it adds, so that
// the table shrinks, and few enough not to be felt.
const purgeBatch = 16

// FindIdempotent looks, before the work of a create, whether
// the request was served already, and returns its response. It returns
// FailedPrecondition IDEMPOTENCY_KEY_REUSED when the key came with another request. A key
// older than idem.TTL is not found, and neither is the zero Key.
//
// The table, for the migrations of a service that creates things:
//
//	-- SQLite
//	CREATE TABLE idempotency_keys (
//	    caller       TEXT   NOT NULL,
//	    method       TEXT   NOT NULL,
//	    idem_key     TEXT   NOT NULL,
//	    request_hash BLOB   NOT NULL,
//	    response     BLOB   NOT NULL,
//	    create_time  BIGINT NOT NULL,
//	    PRIMARY KEY (caller, method, idem_key)
//	);
//	CREATE INDEX idempotency_keys_create_time ON idempotency_keys (create_time);
//
//	-- Postgres
//	CREATE TABLE idempotency_keys (
//	    caller       TEXT   NOT NULL,
//	    method       TEXT   NOT NULL,
//	    idem_key     TEXT   NOT NULL,
//	    request_hash BYTEA  NOT NULL,
//	    response     BYTEA  NOT NULL,
//	    create_time  BIGINT NOT NULL,
//	    PRIMARY KEY (caller, method, idem_key)
//	);
//	CREATE INDEX idempotency_keys_create_time ON idempotency_keys (create_time);
func FindIdempotent(ctx context.Context, tx Tx, key idem.Key, now time.Time) (response []byte, found bool, err error) {
	if key.IsZero() {
		return nil, false, nil
	}
	var hash []byte
	var created int64
	err = tx.QueryRowContext(ctx, `SELECT request_hash, response, create_time FROM idempotency_keys
WHERE caller = $1 AND method = $2 AND idem_key = $3`, key.Caller, key.Method, key.Key).Scan(&hash, &response, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if created <= Micros(now.Add(-idem.TTL)) {
		return nil, false, nil
	}
	if !bytes.Equal(hash, key.Hash[:]) {
		return nil, false, idem.ErrReused()
	}
	return response, true, nil
}

// SaveIdempotent stores the response of a create, in its own transaction, so that either both
// last or neither, in place of one that has expired; and removes a few expired keys. When a twin in another process was
// first it returns Aborted IDEMPOTENCY_KEY_IN_FLIGHT, and the transaction must be rolled
// back: the caller's next try finds the twin's response. The zero Key is not stored.
func SaveIdempotent(ctx context.Context, tx Tx, key idem.Key, response []byte, now time.Time) error {
	if key.IsZero() {
		return nil
	}
	if response == nil {
		response = []byte{} // An empty message is a response too, not NULL.
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO idempotency_keys (caller, method, idem_key, request_hash, response, create_time)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (caller, method, idem_key) DO UPDATE SET request_hash = excluded.request_hash,
response = excluded.response, create_time = excluded.create_time WHERE idempotency_keys.create_time <= $7`,
		key.Caller, key.Method, key.Key, key.Hash[:], response, Micros(now), Micros(now.Add(-idem.TTL)))
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return idem.ErrInFlight()
	}
	return purgeIdempotent(ctx, tx, now)
}

func purgeIdempotent(ctx context.Context, tx Tx, now time.Time) error {
	// Without SKIP LOCKED two saves would wait for each other's rows.
	skip := ""
	if tx.Dialect() == Postgres {
		skip = " FOR UPDATE SKIP LOCKED"
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM idempotency_keys WHERE (caller, method, idem_key) IN (
SELECT caller, method, idem_key FROM idempotency_keys WHERE create_time <= $1 ORDER BY create_time LIMIT $2`+skip+`)`,
		Micros(now.Add(-idem.TTL)), purgeBatch)
	return err
}
