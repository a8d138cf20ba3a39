package profiletest

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// inside runs f in a transaction.
func inside(t *testing.T, store profile.Store, f func(ctx context.Context, tx profile.Tx) error) {
	t.Helper()
	if err := store.Edit(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func ruled(id string) profile.Cohort {
	return profile.Cohort{
		ID: id, Title: "Cohort " + id, Kind: profile.KindRule, Rule: `state == "ACTIVE"`, RuleVersion: 1, Evaluating: true, Version: 1,
		CreateTime: start, UpdateTime: start,
	}
}

// makeRuled stores cohorts with rules, each of which is a change of the rules.
func makeRuled(t *testing.T, store profile.Store, cohorts ...profile.Cohort) {
	t.Helper()
	inside(t, store, func(ctx context.Context, tx profile.Tx) error {
		for _, c := range cohorts {
			if err := tx.InsertCohort(ctx, c); err != nil {
				return err
			}
			if err := tx.RaiseRules(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func joined(cohortID, learnerID string) profile.Span {
	return profile.Span{CohortID: cohortID, LearnerID: learnerID, Number: 1, JoinTime: start, CountTime: start.Add(-time.Hour), JoinReason: "because"}
}

// entered is a membership that begins, as the feed has it.
func entered(cohortID, learnerID string) profile.Change {
	return profile.Change{Time: start, Membership: &profile.MembershipChange{CohortID: cohortID, LearnerID: learnerID, Member: true, JoinTime: start}}
}

func wantMembers(t *testing.T, store profile.Store, cohortID string, ids ...string) {
	t.Helper()
	members, err := store.Members(t.Context(), cohortID, "", 100)
	var got []string
	for _, m := range members {
		got = append(got, m.LearnerID)
	}
	if err != nil || !slices.Equal(got, ids) {
		t.Errorf("the members of %s are %v, %v, want %v", cohortID, got, err, ids)
	}
}

func testSignIn(t *testing.T, store profile.Store) {
	makeRuled(t, store, ruled("a"), ruled("b"), ruled("c"))
	arrive := func(rules int64, subject, failing string) (l profile.Learner, current bool, err error) {
		l = newLearner(t, subject)
		a := profile.Arrival{Learner: l, Rules: rules, Changes: []profile.Change{zoned(l, start)}}
		for _, cohort := range []string{"a", "b"} {
			standing := profile.Standing{Span: joined(cohort, l.ID)}
			standing.CountTime = standing.JoinTime
			a.Joined = append(a.Joined, standing)
			a.Changes = append(a.Changes, entered(cohort, l.ID))
		}
		if failing != "" {
			a.Joined = append(a.Joined, profile.Standing{Span: profile.Span{CohortID: failing, LearnerID: l.ID}, RuleError: "no number"})
		}
		l.Revision, current, err = store.SignIn(t.Context(), a)
		return l, current, err
	}
	for _, rules := range []int64{2, 4} {
		l, current, err := arrive(rules, "ana", "")
		if current || err != nil {
			t.Errorf("by the rules of %d: %t, %v", rules, current, err)
		}
		_, err = store.Learner(t.Context(), l.ID)
		wantFault(t, err, errs.NotFound, errs.ReasonLearnerNotFound)
	}
	ana, current, err := arrive(3, "ana", "")
	if !current || err != nil || ana.Revision != 3 {
		t.Fatalf("revision %d, %t, %v", ana.Revision, current, err)
	}
	wantLearner(t, store, ana)
	wantMembers(t, store, "a", ana.ID)
	wantMembers(t, store, "b", ana.ID)
	wantMembers(t, store, "c")
	_, current, err = arrive(3, "ana", "")
	wantTaken(t, err, "subjects[0]")
	if !current {
		t.Error("the rules were found to have moved")
	}
	bob, _, err := arrive(3, "bob", "c")
	if err != nil || bob.Revision != 6 {
		t.Fatalf("revision %d, %v", bob.Revision, err)
	}
	if c, err := store.Cohort(t.Context(), "c"); err != nil || c.Counts != (profile.CohortCounts{RuleErrors: 1, RuleError: "no number"}) {
		t.Errorf("the cohort counts %+v, %v", c.Counts, err)
	}
	changes, newest, err := store.Changes(t.Context(), 1, 10)
	if err != nil || newest != 6 || len(changes) != 5 {
		t.Fatalf("the feed has %+v, %d, %v", changes, newest, err)
	}
	for i, cohort := range []string{"a", "b"} {
		want := entered(cohort, ana.ID)
		want.Revision = int64(i + 2)
		if !reflect.DeepEqual(changes[i], want) {
			t.Errorf("the feed has %+v, want %+v", changes[i], want)
		}
	}
}

func testCohort(t *testing.T, store profile.Store) {
	boss, other := create(t, store, newLearner(t)), create(t, store, newLearner(t))
	want := ruled("radiology")
	want.ManagerIDs = []string{other.ID, boss.ID}
	makeRuled(t, store, ruled("x-other"), want)
	same := func() {
		t.Helper()
		if got, err := store.Cohort(t.Context(), want.ID); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("stored %+v, %v, want %+v", got, err, want)
		}
		inside(t, store, func(ctx context.Context, tx profile.Tx) error {
			got, err := tx.LockCohort(ctx, want.ID)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("locked %+v, want %+v", got, want)
			}
			return err
		})
	}
	same()
	want.Title, want.Rule, want.RuleVersion, want.Version, want.UpdateTime = "Ünal 50%", "true", 2, 2, start.Add(time.Hour)
	want.ManagerIDs, want.Evaluated = []string{boss.ID}, other.ID
	inside(t, store, func(ctx context.Context, tx profile.Tx) error { return tx.PutCohort(ctx, want) })
	same()
	for _, c := range []struct {
		filter profile.CohortFilter
		after  string
		want   []string
	}{
		{profile.CohortFilter{}, "", []string{"radiology", "x-other"}},
		{profile.CohortFilter{}, "radiology", []string{"x-other"}},
		{profile.CohortFilter{Words: []string{profile.Fold("ÜNAL"), "50%"}}, "", []string{"radiology"}},
		{profile.CohortFilter{ManagerID: boss.ID}, "", []string{"radiology"}},
		{profile.CohortFilter{ManagerID: other.ID}, "", nil},
	} {
		found, err := store.ListCohorts(t.Context(), c.filter, c.after, 10)
		var ids []string
		for _, f := range found {
			ids = append(ids, f.ID)
		}
		if err != nil || !slices.Equal(ids, c.want) {
			t.Errorf("%+v after %q finds %v, %v, want %v", c.filter, c.after, ids, err, c.want)
		}
	}
	err := store.Edit(t.Context(), func(ctx context.Context, tx profile.Tx) error { return tx.InsertCohort(ctx, want) })
	wantFault(t, err, errs.AlreadyExists, errs.ReasonCohortExists)
	set, err := store.Rules(t.Context())
	if want := (profile.RuleSet{Version: 2, Rules: []profile.CohortRule{
		{CohortID: "radiology", Version: 2, Text: "true"}, {CohortID: "x-other", Version: 1, Text: `state == "ACTIVE"`},
	}}); err != nil || !reflect.DeepEqual(set, want) {
		t.Errorf("the rules are %+v, %v, want %+v", set, err, want)
	}
	if ids, err := store.Evaluating(t.Context()); err != nil || !slices.Equal(ids, []string{"radiology", "x-other"}) {
		t.Errorf("evaluating %v, %v", ids, err)
	}
}

func testStandings(t *testing.T, store profile.Store) {
	ana, bob := create(t, store, newLearner(t)), create(t, store, newLearner(t))
	makeRuled(t, store, ruled("a"), ruled("b"))
	first := joined("a", ana.ID)
	ended := first
	ended.LeaveTime, ended.LeaveReason = start.Add(time.Hour), "not any more"
	second := joined("a", ana.ID)
	second.Number, second.JoinTime = 2, start.Add(2*time.Hour)
	failing := profile.Standing{Span: second, RuleError: "no number"}
	save := func(standings ...profile.Standing) {
		t.Helper()
		inside(t, store, func(ctx context.Context, tx profile.Tx) error { return tx.SaveStandings(ctx, standings) })
	}
	want := func(of, in map[string]profile.Standing, spans ...profile.Span) {
		t.Helper()
		inside(t, store, func(ctx context.Context, tx profile.Tx) error {
			got, err := tx.StandingsOf(ctx, ana.ID)
			if err != nil || !reflect.DeepEqual(got, of) {
				t.Errorf("of the learner %+v, %v, want %+v", got, err, of)
			}
			if got, err = tx.StandingsIn(ctx, "a", []string{ana.ID, bob.ID, uuid.NewString()}); err != nil || !reflect.DeepEqual(got, in) {
				t.Errorf("in the cohort %+v, %v, want %+v", got, err, in)
			}
			return nil
		})
		got, _, err := store.Spans(t.Context(), "a", ana.ID)
		if err != nil || !reflect.DeepEqual(got, spans) {
			t.Errorf("the spans are %+v, %v, want %+v", got, err, spans)
		}
	}
	none := map[string]profile.Standing{}
	want(none, none)
	save(profile.Standing{Span: first}, profile.Standing{Span: joined("b", bob.ID)})
	want(map[string]profile.Standing{"a": {Span: first}}, map[string]profile.Standing{ana.ID: {Span: first}}, first)
	save(profile.Standing{Span: ended})
	want(map[string]profile.Standing{"a": {Span: ended}}, map[string]profile.Standing{ana.ID: {Span: ended}}, ended)
	wantMembers(t, store, "a")
	never := profile.Standing{Span: profile.Span{CohortID: "a", LearnerID: bob.ID}, RuleError: "no date"}
	save(failing, never)
	want(map[string]profile.Standing{"a": failing}, map[string]profile.Standing{ana.ID: failing, bob.ID: never}, ended, second)
	wantMembers(t, store, "a", ana.ID)
	failing.RuleError, never.RuleError = "", ""
	save(failing, never)
	want(map[string]profile.Standing{"a": failing}, map[string]profile.Standing{ana.ID: failing}, ended, second)
}

func testDeletedCohort(t *testing.T, store profile.Store) {
	boss, ana := create(t, store, newLearner(t)), create(t, store, newLearner(t))
	c := ruled("a")
	c.ManagerIDs = []string{boss.ID}
	makeRuled(t, store, c)
	inside(t, store, func(ctx context.Context, tx profile.Tx) error {
		return tx.SaveStandings(ctx, []profile.Standing{{Span: joined("a", ana.ID)}})
	})
	manages := func(want bool) {
		t.Helper()
		ofLearner, err := store.ManagesLearner(t.Context(), boss.ID, ana.ID)
		ofCohort, other := store.ManagesCohort(t.Context(), boss.ID, "a")
		if err != nil || other != nil || ofLearner != want || ofCohort != want {
			t.Errorf("manages the learner: %t, %v; the cohort: %t, %v; want %t", ofLearner, err, ofCohort, other, want)
		}
	}
	manages(true)
	wantMembers(t, store, "a", ana.ID)
	c.DeleteTime, c.Evaluating = start.Add(time.Hour), false
	inside(t, store, func(ctx context.Context, tx profile.Tx) error { return tx.PutCohort(ctx, c) })
	manages(false)
	wantMembers(t, store, "a")
	_, err := store.Cohort(t.Context(), "a")
	wantFault(t, err, errs.NotFound, errs.ReasonCohortNotFound)
	err = store.Edit(t.Context(), func(ctx context.Context, tx profile.Tx) error {
		_, err := tx.LockCohort(ctx, "a")
		return err
	})
	wantFault(t, err, errs.NotFound, errs.ReasonCohortNotFound)
	if set, err := store.Rules(t.Context()); err != nil || len(set.Rules) != 0 {
		t.Errorf("the rules are %+v, %v", set, err)
	}
	if found, err := store.ListCohorts(t.Context(), profile.CohortFilter{}, "", 10); err != nil || len(found) != 0 {
		t.Errorf("listed %+v, %v", found, err)
	}
	err = store.Edit(t.Context(), func(ctx context.Context, tx profile.Tx) error { return tx.InsertCohort(ctx, ruled("a")) })
	wantFault(t, err, errs.AlreadyExists, errs.ReasonCohortExists)
}
