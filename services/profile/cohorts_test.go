package profile_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/services/profile"
)

func encodeID(c profile.Cohort) ([]byte, error) { return []byte(c.ID), nil }

func makeCohort(t testing.TB, s *profile.Service, c profile.Cohort) profile.Cohort {
	t.Helper()
	id, revision, err := s.CreateCohort(t.Context(), profile.CohortCreation{Cohort: c, Encode: encodeID, Actor: "root"})
	if err != nil || revision == 0 {
		t.Fatal(revision, err)
	}
	return cohort(t, s, string(id))
}

func cohort(t testing.TB, s *profile.Service, id string) profile.Cohort {
	t.Helper()
	c, err := s.Cohort(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ruled(id, rule string) profile.Cohort {
	return profile.Cohort{ID: id, Title: "The " + id, Kind: profile.KindRule, Rule: rule}
}

// evaluate evaluates all cohorts that are to be evaluated.
func evaluate(t testing.TB, s *profile.Service) {
	t.Helper()
	ids, err := s.Evaluating(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		for more := true; more; {
			if more, err = s.Evaluate(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func memberIDs(t testing.TB, s *profile.Service, cohortID string) []string {
	t.Helper()
	var ids []string
	for token := ""; ; {
		members, next, err := s.Members(t.Context(), cohortID, 200, token)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			ids = append(ids, m.LearnerID)
		}
		if token = next; token == "" {
			return ids
		}
	}
}

func wantMembers(t testing.TB, s *profile.Service, cohortID string, learners ...profile.Learner) {
	t.Helper()
	var want []string
	for _, l := range learners {
		want = append(want, l.ID)
	}
	slices.Sort(want)
	if got := memberIDs(t, s, cohortID); !slices.Equal(got, want) {
		t.Errorf("the members of %s are %v, want %v", cohortID, got, want)
	}
	if got := cohort(t, s, cohortID).Counts.Members; got != len(want) {
		t.Errorf("%s has %d members, want %d", cohortID, got, len(want))
	}
}

// setAttributes sets attributes of a learner, as an admin does.
func setAttributes(t testing.TB, s *profile.Service, id string, attributes map[string]string) {
	t.Helper()
	_, err := s.Update(t.Context(), profile.Update{LearnerID: id, Admin: true, Actor: "root", Edit: func(l profile.Learner) (profile.Learner, error) {
		l.Attributes = attributes
		return l, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func department(name string) map[string]string { return map[string]string{"department": name} }

func TestRuleCohort(t *testing.T) {
	t.Parallel()
	s, clock := newService(t, nil)
	ana, bob := signIn(t, s, "ana", profile.Hints{}), signIn(t, s, "bob", profile.Hints{})
	setAttributes(t, s, ana.ID, department("radiology"))
	made := makeCohort(t, s, ruled("radiology", ` attributes.department == "radiology" `))
	if !made.Evaluating || made.RuleVersion != 1 || made.Counts.Members != 0 {
		t.Errorf("made %+v", made)
	}
	makeCohort(t, s, ruled("everybody", `true`))
	evaluate(t, s)
	wantMembers(t, s, "radiology", ana)
	wantMembers(t, s, "everybody", ana, bob)
	if cohort(t, s, "radiology").Evaluating {
		t.Error("it is still evaluating")
	}
	eve := signIn(t, s, "eve", profile.Hints{})
	wantMembers(t, s, "everybody", ana, bob, eve)
	clock.Advance(time.Hour)
	setAttributes(t, s, bob.ID, department("radiology"))
	setAttributes(t, s, ana.ID, department("oncology"))
	wantMembers(t, s, "radiology", bob)

	why, err := s.ExplainMember(t.Context(), "radiology", ana.ID)
	if err != nil || len(why.Spans) != 1 || why.Spans[0].JoinReason != `version 1 of the rule holds: attributes.department = "radiology"` ||
		why.Spans[0].LeaveReason != `version 1 of the rule does not hold: attributes.department = "oncology"` ||
		why.Values["attributes.department"] != "oncology" || why.Rule != `attributes.department == "radiology"` {
		t.Errorf("explained %+v, %v", why, err)
	}
	after, revision, err := s.UpdateCohort(t.Context(), profile.CohortUpdate{CohortID: "radiology", Actor: "root", Edit: func(c profile.Cohort) (profile.Cohort, error) {
		c.Rule = `attributes.department == "oncology" && state == "ACTIVE"`
		return c, nil
	}})
	if err != nil || revision == 0 || !after.Evaluating || after.RuleVersion != 2 {
		t.Errorf("updated %+v, %d, %v", after, revision, err)
	}
	evaluate(t, s)
	wantMembers(t, s, "radiology", ana)
	if _, err := s.Suspend(t.Context(), ana.ID, "root", "left"); err != nil {
		t.Fatal(err)
	}
	wantMembers(t, s, "radiology")
	wantMembers(t, s, "everybody", ana, bob, eve) // the rule says nothing of states
	_, err = s.Suspend(t.Context(), ana.ID, "root", "left")
	wantFault(t, err, errs.FailedPrecondition, errs.ReasonLearnerSuspended)
	if _, err := s.Reactivate(t.Context(), ana.ID, "root", "back"); err != nil {
		t.Fatal(err)
	}
	wantMembers(t, s, "radiology", ana)
	if _, err := s.DeleteCohort(t.Context(), "radiology", nil, "root"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Cohort(t.Context(), "radiology")
	wantFault(t, err, errs.NotFound, errs.ReasonCohortNotFound)
	_, _, err = s.CreateCohort(t.Context(), profile.CohortCreation{Cohort: ruled("radiology", "true"), Encode: encodeID})
	wantFault(t, err, errs.AlreadyExists, errs.ReasonCohortExists)
}

// TestJoinTimes: an absence of less than thirty days does not begin periods after joining anew.
func TestJoinTimes(t *testing.T) {
	t.Parallel()
	s, clock := newService(t, nil)
	ana := signIn(t, s, "ana", profile.Hints{})
	makeCohort(t, s, profile.Cohort{ID: "list", Title: "List", Kind: profile.KindStatic})
	command := profile.MembersCommand{CohortID: "list", LearnerIDs: []string{ana.ID, ana.ID}, Reason: "new", Actor: "root"}
	add := func() {
		t.Helper()
		if n, revision, err := s.AddMembers(t.Context(), command); n != 1 || revision == 0 || err != nil {
			t.Fatal(n, revision, err)
		}
	}
	remove := func() {
		t.Helper()
		if n, _, err := s.RemoveMembers(t.Context(), command); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	add()
	if n, revision, err := s.AddMembers(t.Context(), command); n != 0 || revision != 0 || err != nil {
		t.Errorf("added again: %d, %d, %v", n, revision, err)
	}
	first := clock.Now().UTC().Truncate(time.Microsecond)
	clock.Advance(time.Hour)
	remove()
	clock.Advance(30*24*time.Hour - time.Microsecond)
	add()
	remove()
	clock.Advance(30 * 24 * time.Hour)
	add()
	why, err := s.ExplainMember(t.Context(), "list", ana.ID)
	if err != nil || len(why.Spans) != 3 || !why.Spans[1].CountTime.Equal(first) || !why.Spans[2].CountTime.Equal(why.Spans[2].JoinTime) || !why.Spans[2].Open() {
		t.Errorf("explained %+v, %v", why, err)
	}
	command.LearnerIDs = []string{ana.ID, "00000000-0000-7000-8000-000000000000"}
	_, _, err = s.RemoveMembers(t.Context(), command)
	wantFields(t, err, "learnerIds[1]")
	wantMembers(t, s, "list", ana)
	makeCohort(t, s, ruled("rule", "true"))
	command.CohortID = "rule"
	_, _, err = s.AddMembers(t.Context(), command)
	wantFault(t, err, errs.FailedPrecondition, errs.ReasonNotStatic)
}

func TestCohortFaults(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	ana := signIn(t, s, "ana", profile.Hints{})
	for _, c := range []struct {
		cohort profile.Cohort
		want   []string
	}{
		{profile.Cohort{ID: "No slug"}, []string{"cohortId", "title", "kind"}},
		{profile.Cohort{ID: "t", Title: "T", Kind: profile.KindStatic, Rule: "true"}, []string{"rule"}},
		{profile.Cohort{ID: "t", Title: "T", Kind: profile.KindRule}, []string{"rule"}},
		{ruled("x", "stat == name"), []string{"rule", "rule"}},
		{profile.Cohort{ID: "t", Title: "T", Kind: profile.KindStatic, ManagerIDs: []string{ana.ID, "x", ana.ID}}, []string{"managerIds[1]", "managerIds[2]"}},
		{profile.Cohort{ID: "t", Title: "T", Kind: profile.KindStatic, ManagerIDs: []string{"00000000-0000-7000-8000-000000000000"}}, []string{"managerIds[0]"}},
	} {
		_, _, err := s.CreateCohort(t.Context(), profile.CohortCreation{Cohort: c.cohort, Encode: encodeID})
		wantFault(t, err, errs.Invalid, errs.ReasonInvalidArgument)
		wantFields(t, err, c.want...)
	}
	key := idem.Key{Caller: "c", Method: "m", Key: "k"}
	for _, want := range []int64{2, 0} {
		id, revision, err := s.CreateCohort(t.Context(), profile.CohortCreation{Cohort: ruled("a", "true"), Key: key, Encode: encodeID})
		if string(id) != "a" || revision != want || err != nil {
			t.Errorf("made %q, %d, %v", id, revision, err)
		}
	}
	_, _, err := s.UpdateCohort(t.Context(), profile.CohortUpdate{CohortID: "a", Edit: func(c profile.Cohort) (profile.Cohort, error) {
		c.Kind = profile.KindStatic
		return c, nil
	}})
	wantFields(t, err, "kind")
	_, _, err = s.UpdateCohort(t.Context(), profile.CohortUpdate{CohortID: "a", Match: func(string) bool { return false }})
	wantFault(t, err, errs.FailedPrecondition, errs.ReasonEtagMismatch)
}

func TestManagers(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	boss, ana, bob := signIn(t, s, "boss", profile.Hints{}), signIn(t, s, "ana", profile.Hints{}), signIn(t, s, "bob", profile.Hints{})
	makeCohort(t, s, profile.Cohort{ID: "own", Title: "Own", Kind: profile.KindStatic, ManagerIDs: []string{boss.ID}})
	makeCohort(t, s, profile.Cohort{ID: "other", Title: "Other", Kind: profile.KindStatic})
	for id, l := range map[string]profile.Learner{"own": ana, "other": bob} {
		if _, _, err := s.AddMembers(t.Context(), profile.MembersCommand{CohortID: id, LearnerIDs: []string{l.ID}}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(ofAna, ofOwn bool, cohorts ...string) {
		t.Helper()
		for id, want := range map[string]bool{ana.ID: ofAna, bob.ID: false} {
			if got, err := s.ManagesLearner(t.Context(), boss.ID, id); got != want || err != nil {
				t.Errorf("manages the learner: %t, %v", got, err)
			}
		}
		for id, want := range map[string]bool{"own": ofOwn, "other": false, "none": false} {
			if got, err := s.ManagesCohort(t.Context(), boss.ID, id); got != want || err != nil {
				t.Errorf("manages %s: %t, %v", id, got, err)
			}
		}
		list, _, err := s.ListCohorts(t.Context(), profile.CohortQuery{ManagerID: boss.ID, Q: "OWN"})
		var ids []string
		for _, c := range list {
			ids = append(ids, c.ID)
		}
		if err != nil || !slices.Equal(ids, cohorts) {
			t.Errorf("lists %v, %v, want %v", ids, err, cohorts)
		}
	}
	want(true, true, "own")
	if _, err := s.Suspend(t.Context(), boss.ID, "root", "left"); err != nil {
		t.Fatal(err)
	}
	want(false, false)
	if _, err := s.Reactivate(t.Context(), boss.ID, "root", "back"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.RemoveMembers(t.Context(), profile.MembersCommand{CohortID: "own", LearnerIDs: []string{ana.ID}}); err != nil {
		t.Fatal(err)
	}
	want(false, true, "own")
	if _, err := s.DeleteCohort(t.Context(), "own", nil, "root"); err != nil {
		t.Fatal(err)
	}
	want(false, false)
}

// TestRuleErrors: a rule that cannot be evaluated for somebody leaves them what they were, and says so.
func TestRuleErrors(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	ana, bob := signIn(t, s, "ana", profile.Hints{}), signIn(t, s, "bob", profile.Hints{})
	setAttributes(t, s, ana.ID, map[string]string{"level": "3"})
	makeCohort(t, s, ruled("levels", "int(attributes.level) > 2"))
	evaluate(t, s)
	wantMembers(t, s, "levels", ana)
	count := func(want int) {
		t.Helper()
		if c := cohort(t, s, "levels").Counts; c.RuleErrors != want || (c.RuleError != "") != (want > 0) {
			t.Errorf("counts %+v, want %d errors", c, want)
		}
	}
	count(1)
	setAttributes(t, s, ana.ID, map[string]string{"level": "three"})
	wantMembers(t, s, "levels", ana)
	count(2)
	signIn(t, s, "eve", profile.Hints{})
	count(3)
	setAttributes(t, s, bob.ID, map[string]string{"level": "1"})
	setAttributes(t, s, ana.ID, map[string]string{"level": "2"})
	count(1)
	wantMembers(t, s, "levels")
	found, err := s.EvaluateRule(t.Context(), "int(attributes.level) == 2")
	if err != nil || found.Members != 1 || found.Learners != 3 || found.Errors != 1 || found.Error == "" || found.First[0].LearnerID != ana.ID {
		t.Errorf("evaluated %+v, %v", found, err)
	}
}

// rulesAtRandom are rules that those at random choose from.
func rulesAtRandom() []string {
	return []string{
		`true`, `false`, `state == "ACTIVE"`, `attributes.department == "a"`, `attributes.department != "a"`, `hireDate > "2026-01-01"`,
		`attributes.department == "b" || state == "SUSPENDED"`, `int(attributes.department) > 1`,
	}
}

// actAtRandom does one thing that changes learners or rules.
func actAtRandom(ctx context.Context, s *profile.Service, rng *rand.Rand, learners []string, n int) error {
	id := learners[rng.IntN(len(learners))]
	cohortID := fmt.Sprint("c", rng.IntN(3))
	rule := rulesAtRandom()[rng.IntN(len(rulesAtRandom()))]
	var err error
	switch rng.IntN(8) {
	case 0:
		_, _, err = s.CreateCohort(ctx, profile.CohortCreation{Cohort: ruled(cohortID, rule), Encode: encodeID})
	case 1:
		_, _, err = s.UpdateCohort(ctx, profile.CohortUpdate{CohortID: cohortID, Edit: func(c profile.Cohort) (profile.Cohort, error) {
			c.Rule = rule
			return c, nil
		}})
	case 2:
		_, err = s.Suspend(ctx, id, "root", "x")
	case 3:
		_, err = s.Reactivate(ctx, id, "root", "x")
	case 4:
		_, err = s.Evaluate(ctx, cohortID)
	case 5:
		_, err = s.Resolve(ctx, subject(fmt.Sprint("new-", n)), profile.Hints{})
	default:
		attributes := map[string]string{"department": []string{"a", "b", "1", "2", ""}[rng.IntN(5)], "hireDate": []string{"2025-06-01", "2026-06-01", ""}[rng.IntN(3)]}
		_, err = s.Update(ctx, profile.Update{LearnerID: id, Admin: true, Actor: "root", Edit: func(l profile.Learner) (profile.Learner, error) {
			l.Attributes = attributes
			return l, nil
		}})
	}
	if own, ok := errors.AsType[*errs.Error](err); ok && (own.Kind == errs.NotFound || own.Kind == errs.AlreadyExists || own.Kind == errs.FailedPrecondition) {
		return nil
	}
	return err
}

// TestMembershipIsTheRulesValue: whatever two replicas do at once to learners and rules, once all is evaluated the
// members are those for whom the rules hold, apart from those for whom they cannot be evaluated.
func TestMembershipIsTheRulesValue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "profile.db")
	clock := newClock()
	membershipProperty(t, func() *profile.Service {
		return profile.New(openDB(t, path), nil, profile.Options{Now: clock.Now, Rules: newRules(t)})
	})
}

func membershipProperty(t *testing.T, replica func() *profile.Service) {
	t.Helper()
	replicas := []*profile.Service{replica(), replica()}
	var learners []string
	for i := range 6 {
		learners = append(learners, signIn(t, replicas[0], fmt.Sprint("l", i), profile.Hints{}).ID)
	}
	for seed := range uint64(4) {
		var at sync.WaitGroup
		for i, s := range replicas {
			at.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				for n := range 40 {
					if err := actAtRandom(t.Context(), s, rng, learners, int(seed)*1000+i*100+n); err != nil {
						t.Error(err)
					}
				}
			})
		}
		at.Wait()
		evaluate(t, replicas[1])
		wantRulesValue(t, replicas[0])
	}
}

func wantRulesValue(t *testing.T, s *profile.Service) {
	t.Helper()
	cohorts, _, err := s.ListCohorts(t.Context(), profile.CohortQuery{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.List(t.Context(), profile.ListQuery{PageSize: 200})
	if err != nil {
		t.Fatal(err)
	}
	compiler := newRules(t)
	for _, c := range cohorts {
		rule, err := compiler.Compile(c.Rule)
		if err != nil {
			t.Fatal(err)
		}
		members := memberIDs(t, s, c.ID)
		failed := 0
		for _, l := range all.Learners {
			holds, err := rule.Holds(l.Facts())
			if err != nil {
				failed++
			} else if holds != slices.Contains(members, l.ID) {
				t.Errorf("%s (%s): member %t, and the rule says %t of %+v", c.ID, c.Rule, !holds, holds, l)
			}
		}
		if c.Counts.RuleErrors != failed || c.Evaluating {
			t.Errorf("%s (%s) counts %d errors, want %d; evaluating %t", c.ID, c.Rule, c.Counts.RuleErrors, failed, c.Evaluating)
		}
	}
}

// BenchmarkEvaluateRule looks at 100,000 learners, and writes nothing.
func BenchmarkEvaluateRule(b *testing.B) {
	const learners = 100_000
	store := openDB(b, filepath.Join(b.TempDir(), "profile.db"))
	clock := newClock()
	s := profile.New(store, nil, profile.Options{Now: clock.Now, Rules: newRules(b)})
	for i := 0; i < learners; i += 1000 {
		err := store.Edit(b.Context(), func(ctx context.Context, tx profile.Tx) error {
			for j := range 1000 {
				l := profile.Learner{
					ID: uuid.Must(uuid.NewV7()).String(), Version: 1, State: profile.StateActive, CreateTime: clock.Now(),
					Attributes: map[string]string{"department": fmt.Sprint("d", j%20), "location": "Basel", "employeeId": fmt.Sprint(i + j), "hireDate": "2026-03-01"},
				}
				if err := tx.InsertLearner(ctx, l); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		found, err := s.EvaluateRule(b.Context(), `attributes.department == "d7" && state == "ACTIVE" && hireDate >= "2026-01-01"`)
		if err != nil || found.Learners != learners || found.Members != learners/20 {
			b.Fatal(found.Members, found.Learners, err)
		}
	}
}
