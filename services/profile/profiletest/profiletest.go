// Package profiletest is the contract of profile.Store as a test suite. Each store,
// and each decorator of one, runs it.
package profiletest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// start is when the suite's clock begins.
var start = time.Date(2026, time.March, 1, 12, 0, 0, 123456000, time.UTC)

// Run runs the suite; newStore returns an empty store for each case.
func Run(t *testing.T, newStore func(t *testing.T) profile.Store) {
	t.Helper()
	cases := map[string]func(*testing.T, profile.Store){
		"a learner comes back as it was stored":             testRoundTrip,
		"who is unknown is not found":                       testUnknown,
		"a subject is compared byte by byte":                testSubjectBytes,
		"a taken subject stores nothing and is named":       testSubjectTaken,
		"of racing creates with one subject one wins":       testSubjectRace,
		"a key returns the first response":                  testKeyReplay,
		"a failed create leaves its key unused":             testKeyFailed,
		"of racing creates with one key one wins":           testKeyRace,
		"an update stores what edit made":                   testUpdate,
		"an update that changes nothing stores nothing":     testUpdateNothing,
		"a subject stays one learner's in an update":        testUpdateSubjects,
		"no racing update is lost":                          testUpdateRace,
		"a list pages in the order of ids":                  testList,
		"a list pages by names and times, and then by id":   testOrders,
		"a list finds words in name and email in any case":  testSearch,
		"the feed has each change, as it was":               testFeed,
		"who signs in is stored with what the rules make":   testSignIn,
		"a cohort comes back as it was stored":              testCohort,
		"spans and errors come back as they were stored":    testStandings,
		"a deleted cohort has neither members nor managers": testDeletedCohort,
		"what changes no time zone is not in the feed":      testFeedSilent,
		"a feed under racing writers misses no learner":     testFeedRace,
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newStore(t))
		})
	}
}

func newLearner(t *testing.T, subjects ...string) profile.Learner {
	t.Helper()
	l := profile.Learner{ID: uuid.Must(uuid.NewV7()).String(), Version: 1, CreateTime: start, UpdateTime: start, TimeZoneTime: start, State: profile.StateActive}
	for _, s := range subjects {
		l.Subjects = append(l.Subjects, subject(s))
	}
	return l
}

func subject(name string) profile.Subject {
	return profile.Subject{Issuer: "https://id.example.org", Subject: name}
}

func create(t *testing.T, store profile.Store, l profile.Learner) profile.Learner {
	t.Helper()
	_, revision, err := put(t, store, l, idem.Key{}, nil, start)
	if err != nil {
		t.Fatal(err)
	}
	l.Revision = revision
	return l
}

// put stores a learner as Service.Create does, announces them, and returns the revision; 0 for a key that was used.
func put(
	t *testing.T, store profile.Store, l profile.Learner, key idem.Key, response []byte, now time.Time,
) (stored []byte, revision int64, err error) {
	t.Helper()
	err = store.Edit(t.Context(), func(ctx context.Context, tx profile.Tx) error {
		revision = 0
		earlier, found, err := tx.FindResponse(ctx, key, now)
		if err != nil || found {
			stored = earlier
			return err
		}
		stored = response
		if err := tx.SaveResponse(ctx, key, response, now); err != nil {
			return err
		}
		if err := tx.InsertLearner(ctx, l); err != nil {
			return err
		}
		revision, err = tx.Announce(ctx, l.ID, []profile.Change{zoned(l, now)})
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return stored, revision, nil
}

// zoned is a learner as the feed has them.
func zoned(l profile.Learner, at time.Time) profile.Change {
	return profile.Change{Time: at, Learner: &profile.LearnerChange{
		ID: l.ID, TimeZone: l.TimeZone, TimeZoneTime: l.TimeZoneTime, State: l.State, HireDate: l.Attributes[profile.HireDate],
	}}
}

// edit stores a learner as change leaves it, and announces a new time zone.
func edit(t *testing.T, store profile.Store, id string, change func(*profile.Learner) (bool, error)) (after profile.Learner, err error) {
	t.Helper()
	err = store.Edit(t.Context(), func(ctx context.Context, tx profile.Tx) error {
		before, err := tx.LockLearner(ctx, id)
		if err != nil {
			return err
		}
		after = before
		changed, err := change(&after)
		after.Revision = before.Revision
		if err != nil || !changed {
			return err
		}
		if err := tx.PutLearner(ctx, before, after); err != nil || after.TimeZone == before.TimeZone {
			return err
		}
		after.Revision, err = tx.Announce(ctx, id, []profile.Change{zoned(after, after.UpdateTime)})
		return err
	})
	if err != nil {
		return profile.Learner{}, err
	}
	return after, nil
}

func wantLearner(t *testing.T, store profile.Store, want profile.Learner) {
	t.Helper()
	got, err := store.Learner(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("stored\n%+v, want\n%+v", got, want)
	}
}

func wantFault(t *testing.T, err error, kind errs.Kind, reason string) {
	t.Helper()
	if err == nil || errs.KindOf(err) != kind || errs.ReasonOf(err) != reason {
		t.Errorf("error %v (kind %d, reason %q), want kind %d, reason %q", err, errs.KindOf(err), errs.ReasonOf(err), kind, reason)
	}
}

func testRoundTrip(t *testing.T, store profile.Store) {
	full := newLearner(t, "zoe", "ana")
	full.DisplayName, full.Email = `Zoë "Z" O'Neil %_\ 李`, "zoe@example.org"
	full.Locale, full.TimeZone = "pt-BR", "America/Sao_Paulo"
	full.Background, full.TargetRole = profile.BackgroundClinical, "clinical-ai-engineer"
	full.WeeklyGoal = profile.WeeklyGoal{Minutes: 180, Units: 4}
	full.State, full.Attributes = profile.StateSuspended, map[string]string{"department": "Röntgen \"2\"", "hireDate": "2026-03-01"}
	full.Version, full.UpdateTime, full.TimeZoneTime = 7, start.Add(2*time.Microsecond), start.Add(time.Microsecond)
	wantLearner(t, store, create(t, store, full))
	wantLearner(t, store, create(t, store, newLearner(t)))

	for _, s := range full.Subjects {
		got, err := store.BySubject(t.Context(), s)
		if want := (profile.Resolved{LearnerID: full.ID, TimeZone: "America/Sao_Paulo", TimeZoneTime: full.TimeZoneTime}); err != nil || got != want {
			t.Errorf("BySubject(%v) = %+v, %v, want %+v", s, got, err, want)
		}
	}
}

func testUnknown(t *testing.T, store profile.Store) {
	create(t, store, newLearner(t, "ana"))
	unknown := uuid.Must(uuid.NewV7()).String()
	_, err := store.Learner(t.Context(), unknown)
	wantFault(t, err, errs.NotFound, errs.ReasonLearnerNotFound)
	_, err = store.BySubject(t.Context(), subject("bob"))
	wantFault(t, err, errs.NotFound, errs.ReasonSubjectUnknown)
	_, err = edit(t, store, unknown, func(*profile.Learner) (bool, error) {
		t.Error("edit ran without a learner")
		return false, nil
	})
	wantFault(t, err, errs.NotFound, errs.ReasonLearnerNotFound)
}

func testSubjectBytes(t *testing.T, store profile.Store) {
	ana := newLearner(t)
	ana.Subjects = []profile.Subject{{Issuer: "https://a", Subject: "bc"}}
	create(t, store, ana)
	for _, other := range []profile.Subject{
		{Issuer: "https://A", Subject: "bc"},
		{Issuer: "https://a", Subject: "BC"},
		{Issuer: "https://a", Subject: "bc "},
		{Issuer: "https://ab", Subject: "c"},
	} {
		_, err := store.BySubject(t.Context(), other)
		wantFault(t, err, errs.NotFound, errs.ReasonSubjectUnknown)
		l := newLearner(t)
		l.Subjects = []profile.Subject{other}
		create(t, store, l)
	}
}

func testSubjectTaken(t *testing.T, store profile.Store) {
	create(t, store, newLearner(t, "ana", "bob"))
	late := newLearner(t, "ana", "free", "bob")
	_, _, err := put(t, store, late, idem.Key{}, nil, start)
	wantTaken(t, err, "subjects[0]", "subjects[2]")
	_, err = store.Learner(t.Context(), late.ID)
	wantFault(t, err, errs.NotFound, errs.ReasonLearnerNotFound)
	_, err = store.BySubject(t.Context(), subject("free"))
	wantFault(t, err, errs.NotFound, errs.ReasonSubjectUnknown)
}

func wantTaken(t *testing.T, err error, fields ...string) {
	t.Helper()
	wantFault(t, err, errs.AlreadyExists, errs.ReasonSubjectTaken)
	var named []string
	if e, ok := errors.AsType[*errs.Error](err); ok {
		for _, v := range e.Violations {
			named = append(named, v.Field)
		}
	}
	if !slices.Equal(named, fields) {
		t.Errorf("violations name %v, want %v", named, fields)
	}
}

// atOnce runs f n times at the same moment and returns what each returned.
func atOnce(n int, f func(i int) error) []error {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	results := make([]error, n)
	for i := range n {
		wg.Go(func() {
			<-begin
			results[i] = f(i)
		})
	}
	close(begin)
	wg.Wait()
	return results
}

func testSubjectRace(t *testing.T, store profile.Store) {
	const racers = 12
	learners := make([]profile.Learner, racers)
	for i := range learners {
		learners[i] = newLearner(t, fmt.Sprint("own-", i), "shared")
	}
	results := atOnce(racers, func(i int) error {
		_, _, err := put(t, store, learners[i], idem.Key{}, nil, start)
		return err
	})
	won := 0
	for i, err := range results {
		if err == nil {
			won++
			got, err := store.BySubject(t.Context(), subject("shared"))
			if err != nil || got.LearnerID != learners[i].ID {
				t.Errorf("the subject belongs to %v, %v, not to the winner", got, err)
			}
			continue
		}
		wantTaken(t, err, "subjects[1]")
	}
	if n, err := store.Count(t.Context(), nil); won != 1 || n != 1 || err != nil {
		t.Errorf("%d creates won and %d learners are stored (%v), want one", won, n, err)
	}
}

func key(t *testing.T, caller, text, request string) idem.Key {
	t.Helper()
	k, err := idem.New(caller, "/preceptor.profile.v1.ProfileService/CreateLearner", text, []byte(request))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testKeyReplay(t *testing.T, store profile.Store) {
	put := func(k idem.Key, response string, now time.Time) (string, error) {
		got, _, err := put(t, store, newLearner(t), k, []byte(response), now)
		return string(got), err
	}
	for _, step := range []struct {
		name, want string
		key        idem.Key
		now        time.Time
		stored     int
	}{
		{"first", "first", key(t, "admin", "k", "body"), start, 1},
		{"again", "first", key(t, "admin", "k", "body"), start.Add(idem.TTL - time.Second), 1},
		{"other caller", "other caller", key(t, "other", "k", "body"), start, 2},
		{"other key", "other key", key(t, "admin", "k2", "body"), start, 3},
		{"no key", "no key", idem.Key{}, start, 4},
		{"expired", "expired", key(t, "admin", "k", "body"), start.Add(idem.TTL + time.Second), 5},
	} {
		if got, err := put(step.key, step.name, step.now); got != step.want || err != nil {
			t.Errorf("%s: answered %q, %v, want %q", step.name, got, err, step.want)
		}
		if n, err := store.Count(t.Context(), nil); n != step.stored || err != nil {
			t.Errorf("%s: %d learners are stored (%v), want %d", step.name, n, err, step.stored)
		}
	}
	_, err := put(key(t, "admin", "k", "another body"), "reused", start.Add(idem.TTL+time.Minute))
	wantFault(t, err, errs.FailedPrecondition, errs.ReasonIdempotencyKeyReused)
}

func testKeyFailed(t *testing.T, store profile.Store) {
	create(t, store, newLearner(t, "ana"))
	k := key(t, "admin", "k", "body")
	_, _, err := put(t, store, newLearner(t, "ana"), k, []byte("lost"), start)
	wantTaken(t, err, "subjects[0]")
	got, _, err := put(t, store, newLearner(t, "bob"), k, []byte("stored"), start)
	if err != nil || string(got) != "stored" {
		t.Errorf("the second try answered %q, %v", got, err)
	}
}

func testKeyRace(t *testing.T, store profile.Store) {
	k := key(t, "admin", "k", "body")
	l := newLearner(t, "ana")
	results := atOnce(8, func(int) error {
		mine := l
		mine.ID = uuid.Must(uuid.NewV7()).String()
		_, _, err := put(t, store, mine, k, []byte("answer"), start)
		return err
	})
	for _, err := range results {
		if err != nil {
			wantFault(t, err, errs.Aborted, errs.ReasonIdempotencyKeyInFlight)
		}
	}
	if n, err := store.Count(t.Context(), nil); n != 1 || err != nil {
		t.Errorf("%d learners are stored (%v), want 1", n, err)
	}
}

func testUpdate(t *testing.T, store profile.Store) {
	other := create(t, store, newLearner(t, "bob"))
	before := create(t, store, newLearner(t, "ana"))
	want := before
	want.DisplayName, want.Email, want.Locale, want.TimeZone = "Ana", "ana@example.org", "de-DE", "Europe/Berlin"
	want.Background, want.TargetRole = profile.BackgroundAI, "healthcare-nlp-engineer"
	want.WeeklyGoal = profile.WeeklyGoal{Minutes: 60, Units: 2}
	want.Version, want.UpdateTime, want.TimeZoneTime = 2, start.Add(time.Hour), start.Add(time.Minute)
	got, err := edit(t, store, before.ID, func(l *profile.Learner) (bool, error) {
		if !reflect.DeepEqual(*l, before) {
			t.Errorf("edit got %+v, want %+v", *l, before)
		}
		*l = want
		return true, nil
	})
	want.Revision = before.Revision + 1
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Update answered %+v, %v, want %+v", got, err, want)
	}
	wantLearner(t, store, want)
	wantLearner(t, store, other)
}

func testUpdateNothing(t *testing.T, store profile.Store) {
	before := create(t, store, newLearner(t, "ana"))
	got, err := edit(t, store, before.ID, func(*profile.Learner) (bool, error) { return false, nil })
	if err != nil || !reflect.DeepEqual(got, before) {
		t.Errorf("Update answered %+v, %v, want %+v", got, err, before)
	}
	fault := errs.New(errs.FailedPrecondition, errs.ReasonEtagMismatch, "changed")
	_, err = edit(t, store, before.ID, func(l *profile.Learner) (bool, error) {
		l.DisplayName, l.Subjects = "never", nil
		return true, fault
	})
	if !errors.Is(err, fault) {
		t.Errorf("Update answered %v, want edit's error", err)
	}
	wantLearner(t, store, before)
}

func testUpdateSubjects(t *testing.T, store profile.Store) {
	ana := create(t, store, newLearner(t, "ana-1", "ana-2"))
	bob := create(t, store, newLearner(t, "bob"))
	set := func(id string, names ...string) (profile.Learner, error) {
		return edit(t, store, id, func(l *profile.Learner) (bool, error) {
			l.Subjects, l.Version = newLearner(t, names...).Subjects, l.Version+1
			return true, nil
		})
	}
	_, err := set(bob.ID, "new", "ana-2")
	wantTaken(t, err, "subjects[1]")
	wantLearner(t, store, bob)
	_, err = store.BySubject(t.Context(), subject("new"))
	wantFault(t, err, errs.NotFound, errs.ReasonSubjectUnknown)

	ana, err = set(ana.ID, "ana-3", "ana-1")
	if err != nil {
		t.Fatal(err)
	}
	wantLearner(t, store, ana)
	if bob, err = set(bob.ID, "bob", "ana-2"); err != nil {
		t.Fatal(err)
	}
	wantLearner(t, store, bob)
	if got, err := store.BySubject(t.Context(), subject("ana-2")); err != nil || got.LearnerID != bob.ID {
		t.Errorf("the subject that moved belongs to %v, %v", got, err)
	}
	if ana, err = set(ana.ID); err != nil {
		t.Fatal(err)
	}
	wantLearner(t, store, ana)
}

func testUpdateRace(t *testing.T, store profile.Store) {
	const racers = 16
	l := create(t, store, newLearner(t, "ana"))
	for _, err := range atOnce(racers, func(int) error {
		_, err := edit(t, store, l.ID, func(l *profile.Learner) (bool, error) {
			l.WeeklyGoal.Minutes++
			l.Version++
			return true, nil
		})
		return err
	}) {
		if err != nil {
			t.Error(err)
		}
	}
	l.WeeklyGoal.Minutes, l.Version = racers, 1+racers
	wantLearner(t, store, l)
}

func testList(t *testing.T, store profile.Store) {
	all := []profile.Learner{newLearner(t, "b", "a"), newLearner(t), newLearner(t, "c"), newLearner(t, "d", "e", "f")}
	for _, i := range []int{2, 0, 3, 1} { // The order of ids counts, not that of arrival.
		all[i] = create(t, store, all[i])
	}
	for _, c := range []struct {
		after string
		limit int
		want  []profile.Learner
	}{
		{"", 10, all},
		{"", 2, all[:2]},
		{all[1].ID, 2, all[2:]},
		{all[0].ID, 1, all[1:2]},
		{all[3].ID, 5, nil},
	} {
		got, err := store.List(t.Context(), nil, page.Order{Field: profile.OrderID}, profile.Place{ID: c.after}, c.limit)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("List(after %q, limit %d) = %+v, %v, want %+v", c.after, c.limit, got, err, c.want)
		}
	}
	if n, err := store.Count(t.Context(), nil); n != len(all) || err != nil {
		t.Errorf("Count = %d, %v, want %d", n, err, len(all))
	}
}

func testSearch(t *testing.T, store profile.Store) {
	for _, who := range []string{
		"Ana Müller <ana@example.org>",
		"ΟΔΥΣΣΕΥΣ <ody@example.org>",
		"50% off_line <bob@clinic.example>",
		`back\slash <eve@example.org>`,
	} {
		l := newLearner(t)
		l.DisplayName, l.Email, _ = strings.Cut(strings.TrimSuffix(who, ">"), " <")
		create(t, store, l)
	}
	for _, c := range []struct {
		words string
		want  int
	}{
		{"", 4},
		{"ana", 1},
		{"MÜLLER ana", 1},
		{"mu\u0308ll", 1}, // u with a combining diaeresis
		{"οδυσσευσ", 1},
		{"EXAMPLE.org", 3},
		{"example", 4},
		{"ana clinic", 0},
		{"müllerana", 0},
		{"%", 1},
		{"_", 1},
		{"0%o", 0},
		{`\`, 1},
		{"'", 0},
	} {
		words := strings.Fields(profile.Fold(c.words))
		got, err := store.List(t.Context(), words, page.Order{Field: profile.OrderID}, profile.Place{}, 10)
		if err != nil || len(got) != c.want {
			t.Errorf("%q finds %d learners (%v), want %d", c.words, len(got), err, c.want)
		}
		if n, err := store.Count(t.Context(), words); n != c.want || err != nil {
			t.Errorf("%q counts %d learners (%v), want %d", c.words, n, err, c.want)
		}
	}
	testSearchAfterUpdate(t, store)
}

func testSearchAfterUpdate(t *testing.T, store profile.Store) {
	found, err := store.List(t.Context(), []string{"müller"}, page.Order{Field: profile.OrderID}, profile.Place{}, 1)
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	if _, err := edit(t, store, found[0].ID, func(l *profile.Learner) (bool, error) {
		l.DisplayName = "Ana Schmidt"
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]int{"müller": 0, "schmidt": 1} {
		if n, err := store.Count(t.Context(), []string{word}); n != want || err != nil {
			t.Errorf("%q counts %d learners (%v) after the update, want %d", word, n, err, want)
		}
	}
}
