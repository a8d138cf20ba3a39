//go:build realservers

package profile_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

// TestMembershipIsTheRulesValueOnPostgres is TestMembershipIsTheRulesValue where transactions run beside each other.
func TestMembershipIsTheRulesValueOnPostgres(t *testing.T) {
	t.Parallel()
	url := sqldbtest.PostgresURLs(t, sqlstore.Migrations())(t)
	clock := newClock()
	membershipProperty(t, func() *profile.Service {
		db, err := sqldb.Open(t.Context(), url, sqldb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return profile.New(sqlstore.New(db), nil, profile.Options{Now: clock.Now, Rules: newRules(t)})
	})
}
