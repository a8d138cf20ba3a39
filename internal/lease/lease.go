// Package lease gives a job to one process at a time. A lease is a row of the table lease, named for
// its job: which process owns it, until when, and how far the job is. A process that dies loses the
// job when its time is up; the next owner goes on from what was saved last. An owner that comes too
// late gets an error when it saves, and must not have done anything that a second owner may not do again.
package lease

import (
	"context"
	"encoding/json"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// Lease is a job, with what its owner has saved of it.
type Lease[S any] struct {
	Job   string
	Owner string
	// Until is when another process may take the job over; the zero time: at once.
	Until time.Time
	// State is how far the job is; the zero value before the first Save.
	State S
}

// Acquire gives a job to owner until a time, unless another owner's lease holds at now, and returns
// the lease as it is then: it is owner's if it names owner.
func Acquire[S any](ctx context.Context, db *sqldb.DB, job, owner string, now, until time.Time) (Lease[S], error) {
	var out Lease[S]
	err := db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		const first = `INSERT INTO lease (job, owner, lease_until, state) VALUES ($1, '', 0, 'null') ON CONFLICT (job) DO NOTHING`
		if _, err := tx.ExecContext(ctx, first, job); err != nil {
			return err
		}
		held := Lease[S]{Job: job}
		var micros int64
		var state string
		row := tx.QueryRowContext(ctx, `SELECT owner, lease_until, state FROM lease WHERE job = $1`+tx.Dialect().ForUpdate(), job)
		if err := row.Scan(&held.Owner, &micros, &state); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(state), &held.State); err != nil {
			return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "the state of the job %s cannot be read", job)
		}
		held.Until = timeOf(micros)
		if held.Owner == owner || micros <= now.UnixMicro() {
			held.Owner, held.Until = owner, until
			if _, err := tx.ExecContext(ctx, `UPDATE lease SET owner = $1, lease_until = $2 WHERE job = $3`, owner, microsOf(until), job); err != nil {
				return err
			}
		}
		out = held
		return nil
	})
	return out, err
}

// Save stores the state, and until when its owner holds the job. It returns Aborted when another
// process has taken the job over.
func Save[S any](ctx context.Context, db *sqldb.DB, l Lease[S]) error {
	state, err := json.Marshal(l.State)
	if err != nil {
		return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "the state of the job %s cannot be written", l.Job)
	}
	return db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE lease SET lease_until = $1, state = $2 WHERE job = $3 AND owner = $4`,
			microsOf(l.Until), string(state), l.Job, l.Owner)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return errs.New(errs.Aborted, errs.ReasonAborted, "another process took the %s over", l.Job)
	})
}

// Release lets another process take the job over at once, unless one has; what was saved stays.
func Release(ctx context.Context, db *sqldb.DB, job, owner string) error {
	return db.Write(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE lease SET lease_until = 0 WHERE job = $1 AND owner = $2`, job, owner)
		return err
	})
}

// timeOf reads 0 as the zero time, microsOf writes it.
func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return sqldb.Time(micros)
}

func microsOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sqldb.Micros(t)
}
