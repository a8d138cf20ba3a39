package progresstest

import (
	"context"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/audit/audittest"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// RunAudit runs what must hold of the chain that Tx.Audit appends to. A Store cannot read
// it, so open returns the chain beside an empty store.
func RunAudit(t *testing.T, open func(*testing.T) (Store, *audit.Log)) {
	t.Helper()
	audittest.Run(t, func(t *testing.T) audittest.Chain {
		t.Helper()
		store, log := open(t)
		return audittest.Chain{Log: log, Commit: func(ctx context.Context, entries []audit.Entry, failure error) error {
			// Another learner each time: what racing commits meet in is the chain alone.
			return commit(ctx, store, []string{newID()}, func(ctx context.Context, tx progress.Tx) error {
				commands := make([]progress.AuditEntry, len(entries))
				for i, e := range entries {
					commands[i] = progress.AuditEntry{Time: e.Time, Actor: e.Actor, Action: e.Action, Resource: e.Resource, Reason: e.Reason}
				}
				if err := tx.Audit(ctx, commands); err != nil {
					return err
				}
				return failure
			})
		}}
	})
}
