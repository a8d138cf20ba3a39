package sqlstore_test

import (
	"context"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/audit/audittest"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

// TestAudit: the chain is appended to in the transaction of the command.
func TestAudit(t *testing.T) {
	audittest.Run(t, func(t *testing.T) audittest.Chain {
		t.Helper()
		db := sqldbtest.SQLite(t, sqlstore.Migrations())
		store := sqlstore.New(db)
		return audittest.Chain{Log: audit.NewLog(db), Commit: func(ctx context.Context, entries []audit.Entry, failure error) error {
			return store.Edit(ctx, func(ctx context.Context, tx profile.Tx) error {
				commands := make([]profile.AuditEntry, len(entries))
				for i, e := range entries {
					commands[i] = profile.AuditEntry{Time: e.Time, Actor: e.Actor, Action: e.Action, Resource: e.Resource, Reason: e.Reason}
				}
				if err := tx.Audit(ctx, commands); err != nil {
					return err
				}
				return failure
			})
		}}
	})
}
