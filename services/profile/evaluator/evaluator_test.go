package evaluator_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/evaluator"
	"github.com/preceptor-dev/preceptor/services/profile/rule"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

// replica is the service on a database that others use too.
type replica struct {
	*profile.Service

	store   *sqlstore.Store
	changed chan struct{}
}

func newReplica(t *testing.T, path string) *replica {
	t.Helper()
	rules, err := rule.NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{store: sqlstore.New(sqldbtest.Migrated(t, "sqlite:"+path, sqlstore.Migrations())), changed: make(chan struct{}, 1)}
	r.Service = profile.New(r.store, nil, profile.Options{Now: testenv.Now, Rules: rules, RuleChanged: func() {
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}})
	return r
}

// cut stops after some pages, as a process does that is killed.
type cut struct {
	*profile.Service

	pages atomic.Int64
}

func (c *cut) Evaluate(ctx context.Context, cohortID string) (bool, error) {
	if c.pages.Add(-1) < 0 {
		return false, errors.New("killed")
	}
	return c.Service.Evaluate(ctx, cohortID)
}

// silent is a lease that is not given back.
type silent struct{ *sqlstore.Store }

func (silent) FreeEvaluation(context.Context, string) error { return nil }

// TestAnotherProcessGoesOn: a process that dies leaves the place where it was, and another one goes on from there once
// its lease has ended.
func TestAnotherProcessGoesOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "profile.db")
	first, second := newReplica(t, path), newReplica(t, path)
	const learners = 1200
	for i := range learners {
		if _, err := first.Resolve(t.Context(), profile.Subject{Issuer: "i", Subject: fmt.Sprint(i)}, profile.Hints{}); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := first.CreateCohort(t.Context(), profile.CohortCreation{
		Cohort: profile.Cohort{ID: "all", Title: "All", Kind: profile.KindRule, Rule: "true"}, Key: idem.Key{},
		Encode: func(profile.Cohort) ([]byte, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	var ahead atomic.Int64
	now := func() time.Time { return testenv.Now().Add(time.Duration(ahead.Load())) }
	start := func(cohorts evaluator.Cohorts, lease evaluator.Lease, r *replica) *evaluator.Evaluator {
		return evaluator.Start(t.Context(), evaluator.Options{
			Cohorts: cohorts, Lease: lease, Now: now, Logger: slog.New(slog.DiscardHandler), Changed: r.changed,
		})
	}
	killed := &cut{Service: first.Service}
	killed.pages.Store(1)
	dying := start(killed, silent{first.store}, first)
	members := func() (int, bool) {
		c, err := second.Cohort(t.Context(), "all")
		if err != nil {
			t.Fatal(err)
		}
		return c.Counts.Members, c.Evaluating
	}
	eventually(t, "the first page is there", func() bool { n, _ := members(); return n > 0 })
	dying.Close()
	if n, evaluating := members(); n != 500 || !evaluating {
		t.Errorf("%d members after the first page, evaluating %t", n, evaluating)
	}
	ahead.Store(int64(time.Minute)) // the lease has ended
	other := start(second.Service, second.store, second)
	defer other.Close()
	eventually(t, "all are members", func() bool { n, evaluating := members(); return n == learners && !evaluating })
}

// TestARuleIsEvaluatedAtOnce: the process that stores a rule begins at once.
func TestARuleIsEvaluatedAtOnce(t *testing.T) {
	t.Parallel()
	r := newReplica(t, filepath.Join(t.TempDir(), "profile.db"))
	if _, err := r.Resolve(t.Context(), profile.Subject{Issuer: "i", Subject: "ana"}, profile.Hints{}); err != nil {
		t.Fatal(err)
	}
	running := evaluator.Start(t.Context(), evaluator.Options{Cohorts: r.Service, Lease: r.store, Now: testenv.Now, Logger: slog.New(slog.DiscardHandler), Changed: r.changed})
	defer running.Close()
	for i, want := range []int{1, 0} {
		rule := []string{"true", "false"}[i]
		var err error
		if i == 0 {
			_, _, err = r.CreateCohort(t.Context(), profile.CohortCreation{
				Cohort: profile.Cohort{ID: "c", Title: "C", Kind: profile.KindRule, Rule: rule},
				Encode: func(profile.Cohort) ([]byte, error) { return nil, nil },
			})
		} else {
			_, _, err = r.UpdateCohort(t.Context(), profile.CohortUpdate{CohortID: "c", Edit: func(c profile.Cohort) (profile.Cohort, error) {
				c.Rule = rule
				return c, nil
			}})
		}
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is evaluated", func() bool {
			c, err := r.Cohort(t.Context(), "c")
			return err == nil && !c.Evaluating && c.Counts.Members == want
		})
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	limit, tick := time.After(30*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-limit:
			t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}
