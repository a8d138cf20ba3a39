package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

func idempotencySuite(t *testing.T, fresh func(t *testing.T) opener) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, db *sqldb.DB)
	}{
		{"a repeated request gets the first response", idemRepeats},
		{"another request under the key is refused", idemReused},
		{"keys are distinguished", idemDistinct},
		{"without a key nothing is stored", idemZero},
		{"a key expires", idemExpires},
		{"expired keys are purged", idemPurges},
		{"twins make one thing", idemTwins},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := fresh(t)(t, sqldb.Options{})
			blob := map[sqldb.Dialect]string{sqldb.SQLite: "BLOB", sqldb.Postgres: "BYTEA"}[db.Dialect()]
			migrate(t, db, `CREATE TABLE idempotency_keys (
    caller       TEXT   NOT NULL,
    method       TEXT   NOT NULL,
    idem_key     TEXT   NOT NULL,
    request_hash `+blob+` NOT NULL,
    response     `+blob+` NOT NULL,
    create_time  BIGINT NOT NULL,
    PRIMARY KEY (caller, method, idem_key)
)`, "CREATE INDEX idempotency_keys_create_time ON idempotency_keys (create_time)", "CREATE TABLE t (a BIGINT)")
			c.test(t, db)
		})
	}
}

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	someKey = idem.Key{Caller: "learner", Method: "/x.Y/Create", Key: "k", Hash: [32]byte{1}}
)

// create makes a row unless the key has a response, as a service does.
func create(ctx context.Context, db *sqldb.DB, key idem.Key, body string, now time.Time) (got string, err error) {
	err = db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		known, found, err := sqldb.FindIdempotent(ctx, tx, key, now)
		if err != nil || found {
			got = string(known)
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO t (a) VALUES (1)"); err != nil {
			return err
		}
		got = body
		var response []byte
		if body != "" {
			response = []byte(body)
		}
		return sqldb.SaveIdempotent(ctx, tx, key, response, now)
	})
	return got, err
}

func mustCreate(t *testing.T, db *sqldb.DB, key idem.Key, body, want string, now time.Time) {
	t.Helper()
	if got, err := create(t.Context(), db, key, body, now); err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func keys(t *testing.T, db *sqldb.DB) (n int) {
	t.Helper()
	if err := db.Reader().QueryRowContext(t.Context(), "SELECT count(*) FROM idempotency_keys").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func idemRepeats(t *testing.T, db *sqldb.DB) {
	mustCreate(t, db, someKey, "first\x00", "first\x00", noon)
	mustCreate(t, db, someKey, "second", "first\x00", noon.Add(idem.TTL-time.Second))
	empty := idem.Key{Caller: "c", Method: "m", Key: "empty"}
	mustCreate(t, db, empty, "", "", noon)
	mustCreate(t, db, empty, "second", "", noon)
	if n := count(t, db.Reader()); n != 2 {
		t.Errorf("%d rows", n)
	}
	failed := errors.New("late fault")
	err := db.Write(t.Context(), func(ctx context.Context, tx sqldb.Tx) error {
		if err := sqldb.SaveIdempotent(ctx, tx, idem.Key{Key: "lost"}, nil, noon); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) || keys(t, db) != 2 {
		t.Errorf("a key outlived its create: %d, %v", keys(t, db), err)
	}
}

func idemReused(t *testing.T, db *sqldb.DB) {
	mustCreate(t, db, someKey, "first", "first", noon)
	other := someKey
	other.Hash = [32]byte{2}
	_, err := create(t.Context(), db, other, "second", noon)
	wantKind(t, err, errs.FailedPrecondition, "IDEMPOTENCY_KEY_REUSED")
}

func idemDistinct(t *testing.T, db *sqldb.DB) {
	for i, key := range []idem.Key{
		{Caller: "a", Method: "m", Key: "k"},
		{Caller: "b", Method: "m", Key: "k"},
		{Caller: "a", Method: "n", Key: "k"},
		{Caller: "a", Method: "m", Key: "K"},
	} {
		mustCreate(t, db, key, fmt.Sprint(i), fmt.Sprint(i), noon)
	}
}

func idemZero(t *testing.T, db *sqldb.DB) {
	mustCreate(t, db, idem.Key{}, "first", "first", noon)
	mustCreate(t, db, idem.Key{}, "second", "second", noon)
	if keys(t, db) != 0 || count(t, db.Reader()) != 2 {
		t.Errorf("%d keys, %d rows", keys(t, db), count(t, db.Reader()))
	}
}

func idemExpires(t *testing.T, db *sqldb.DB) {
	mustCreate(t, db, someKey, "first", "first", noon)
	other := someKey
	other.Hash = [32]byte{2} // The next day the same key may mean something else.
	mustCreate(t, db, other, "second", "second", noon.Add(idem.TTL))
	mustCreate(t, db, other, "third", "second", noon.Add(idem.TTL+time.Hour))
}

func idemPurges(t *testing.T, db *sqldb.DB) {
	for i := range 40 {
		mustCreate(t, db, idem.Key{Key: fmt.Sprint(i)}, "x", "x", noon.Add(time.Duration(i)*time.Microsecond))
	}
	later := noon.Add(idem.TTL + time.Second)
	for i, want := range []int{25, 10, 3, 4} { // 16 go and one comes, until only the new ones are left.
		mustCreate(t, db, idem.Key{Key: fmt.Sprint("new", i)}, "x", "x", later)
		if n := keys(t, db); n != want {
			t.Errorf("%d keys, want %d", n, want)
		}
	}
}

func idemTwins(t *testing.T, db *sqldb.DB) {
	var wg sync.WaitGroup
	var answered, refused atomic.Int32
	for i := range 8 {
		wg.Go(func() {
			_, err := create(t.Context(), db, someKey, fmt.Sprint(i), noon)
			switch {
			case err == nil:
				answered.Add(1)
			case errs.ReasonOf(err) == "IDEMPOTENCY_KEY_IN_FLIGHT" && errs.KindOf(err) == errs.Aborted:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, db.Reader()); n != 1 || answered.Load() < 1 {
		t.Errorf("%d rows, %d answered, %d refused", n, answered.Load(), refused.Load())
	}
}
