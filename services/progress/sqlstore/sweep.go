package sqlstore

import (
	"context"
	"time"

	"github.com/preceptor-dev/preceptor/internal/lease"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// sweepJob and rebuildJob are the leases of progress.
const (
	sweepJob   = "sweep"
	rebuildJob = "rebuild"
)

// sweepState is how far the sweep is; times are in microseconds.
type sweepState struct {
	Revision   int64  `json:"revision"`
	At         int64  `json:"at"`
	ToRevision int64  `json:"toRevision"`
	ToAt       int64  `json:"toAt"`
	Cursor     string `json:"cursor"`
}

// LeaseSweep returns the sweep, leased to owner, or nil while another holds it.
func (s *Store) LeaseSweep(ctx context.Context, owner string, now, until time.Time) (*progress.Sweep, error) {
	l, err := lease.Acquire[sweepState](ctx, s.db, sweepJob, owner, now, until)
	if err != nil || l.Owner != owner {
		return nil, err
	}
	return &progress.Sweep{
		Revision: l.State.Revision, At: timeOf(l.State.At), ToRevision: l.State.ToRevision, ToAt: timeOf(l.State.ToAt), Cursor: l.State.Cursor,
		Owner: l.Owner, LeaseUntil: l.Until,
	}, nil
}

// SaveSweep stores the sweep.
func (s *Store) SaveSweep(ctx context.Context, w progress.Sweep) error {
	state := sweepState{Revision: w.Revision, At: microsOf(w.At), ToRevision: w.ToRevision, ToAt: microsOf(w.ToAt), Cursor: w.Cursor}
	return lease.Save(ctx, s.db, lease.Lease[sweepState]{Job: sweepJob, Owner: w.Owner, Until: w.LeaseUntil, State: state})
}

// FreeSweep ends the lease of an owner.
func (s *Store) FreeSweep(ctx context.Context, owner string) error {
	return lease.Release(ctx, s.db, sweepJob, owner)
}

// Enrolled returns learners with an enrollment in one of the paths.
func (s *Store) Enrolled(ctx context.Context, pathIDs []string, after string, limit int) ([]string, error) {
	args := append([]any{keyAfter(after), limit}, anys(pathIDs)...)
	return column[id](ctx, s.db.Reader(),
		`SELECT DISTINCT learner_id FROM enrollment WHERE learner_id > $1 AND state <> 'WITHDRAWN' AND path_id IN `+sqldb.In(len(pathIDs), 3)+
			` ORDER BY learner_id LIMIT $2`, args...)
}

// timeOf reads 0 as no time, microsOf writes it.
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
	return t.UnixMicro()
}
