package grpcapi_test

import (
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/grpcapi"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

func TestResolverServesTheGuard(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC) }
	s := profile.New(sqlstore.New(sqldbtest.SQLite(t, sqlstore.Migrations())), nil, profile.Options{Now: now, Rules: newRules(t)})
	id, err := grpcapi.NewResolver(s).ResolveSubject(t.Context(), "https://id.example.org", "ana",
		auth.Hints{Name: "Ana", Email: "ana@example.org", Locale: "de", ZoneInfo: "Europe/Berlin"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Learner(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	subject := profile.Subject{Issuer: "https://id.example.org", Subject: "ana"}
	if len(l.Subjects) != 1 || l.Subjects[0] != subject ||
		l.DisplayName != "Ana" || l.Email != "ana@example.org" || l.Locale != "de" || l.TimeZone != "Europe/Berlin" {
		t.Errorf("the guard's learner %s is %+v", id, l)
	}
}
