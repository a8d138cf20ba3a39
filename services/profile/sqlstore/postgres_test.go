//go:build realservers

package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/profiletest"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

func TestPostgres(t *testing.T) {
	database := sqldbtest.Postgres(t, sqlstore.Migrations())
	profiletest.Run(t, func(t *testing.T) profile.Store {
		t.Helper()
		return sqlstore.New(database(t))
	})
}

// TestSignInIsOneStatement: a learner of one identity is stored by one statement, in a transaction of its own. It also
// finds out that another learner has the identity, and that it was sent before.
func TestSignInIsOneStatement(t *testing.T) {
	db, asked := sqldbtest.Traced(t, sqldbtest.PostgresURLs(t, sqlstore.Migrations())(t))
	store := sqlstore.New(db)
	first, second := uuid.Must(uuid.NewV7()).String(), uuid.Must(uuid.NewV7()).String()
	for _, c := range []struct {
		id, want string
		revision int64
	}{{first, "", 1}, {second, errs.ReasonSubjectTaken, 0}, {first, "", 1}} {
		now := time.UnixMicro(1_700_000_000_000_000).UTC()
		l := profile.Learner{
			ID: c.id, Subjects: []profile.Subject{{Issuer: "i", Subject: "ada"}},
			State: profile.StateActive, Version: 1, CreateTime: now, UpdateTime: now, TimeZoneTime: now,
		}
		if got := asked(func(ctx context.Context) {
			revision, current, err := store.SignIn(ctx, profile.Arrival{
				Learner: l, Changes: []profile.Change{{Time: now, Learner: &profile.LearnerChange{ID: l.ID, State: l.State}}},
			})
			if errs.ReasonOf(err) != c.want || revision != c.revision || !current {
				t.Errorf("revision %d, %t, %v", revision, current, err)
			}
		}); got != "SELECT" {
			t.Errorf("asked %s", got)
		}
	}
}
