package profiletest

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/services/profile"
)

func inZone(t *testing.T, zone string) profile.Learner {
	t.Helper()
	l := newLearner(t)
	l.TimeZone = zone
	return l
}

// setZone sets a zone an hour after the one before, and returns the learner's new revision.
func setZone(t *testing.T, store profile.Store, id, zone string) (int64, error) {
	t.Helper()
	l, err := edit(t, store, id, func(l *profile.Learner) (bool, error) {
		l.TimeZone, l.Revision = zone, 1000 // Only the store gives revisions.
		l.TimeZoneTime = l.TimeZoneTime.Add(time.Hour)
		l.Version++
		return true, nil
	})
	return l.Revision, err
}

func wantChanges(t *testing.T, store profile.Store, after int64, limit int, newest int64, want ...profile.Change) {
	t.Helper()
	got, head, err := store.Changes(t.Context(), after, limit)
	if err != nil || head != newest || !reflect.DeepEqual(got, want) {
		t.Errorf("Changes(after %d, limit %d) = %+v, %d, %v, want %+v, %d", after, limit, got, head, err, want, newest)
	}
}

func testFeed(t *testing.T, store profile.Store) {
	wantChanges(t, store, 0, 10, 0)
	var changes []profile.Change
	said := func(l profile.Learner, at time.Time, revision int64) {
		t.Helper()
		c := zoned(l, at)
		c.Revision = int64(len(changes) + 1)
		if changes = append(changes, c); revision != c.Revision {
			t.Errorf("revision %d, want %d", revision, c.Revision)
		}
	}
	ana, bob, eve := create(t, store, inZone(t, "Europe/Berlin")), create(t, store, inZone(t, "Asia/Tokyo")), create(t, store, newLearner(t))
	for _, l := range []profile.Learner{ana, bob, eve} {
		said(l, start, l.Revision)
	}
	for _, step := range []struct {
		l    *profile.Learner
		zone string
	}{{&eve, "America/Lima"}, {&ana, "UTC"}, {&bob, ""}} {
		revision, err := setZone(t, store, step.l.ID, step.zone)
		if err != nil {
			t.Fatal(err)
		}
		step.l.TimeZone, step.l.TimeZoneTime = step.zone, step.l.TimeZoneTime.Add(time.Hour)
		said(*step.l, start, revision)
	}
	wantChanges(t, store, 0, 10, 6, changes...)
	wantChanges(t, store, 0, 2, 6, changes[:2]...)
	wantChanges(t, store, 4, 10, 6, changes[4:]...)
	wantChanges(t, store, 5, 1, 6, changes[5])
	wantChanges(t, store, 6, 10, 6)
	wantChanges(t, store, 1000, 10, 6)
	if l, err := store.Learner(t.Context(), ana.ID); err != nil || l.Revision != 5 {
		t.Errorf("the learner is stored with revision %d, %v, want 5", l.Revision, err)
	}
}

func testFeedSilent(t *testing.T, store profile.Store) {
	ana := create(t, store, inZone(t, "Europe/Berlin"))
	create(t, store, newLearner(t, "bob"))
	if got, err := setZone(t, store, ana.ID, "Europe/Berlin"); err != nil || got != 1 {
		t.Errorf("the same zone took revision %d, %v, want 1", got, err)
	}
	fault := errs.New(errs.FailedPrecondition, errs.ReasonEtagMismatch, "changed")
	_, err := edit(t, store, ana.ID, func(l *profile.Learner) (bool, error) {
		l.TimeZone = "Asia/Tokyo"
		return true, fault
	})
	if !errors.Is(err, fault) {
		t.Errorf("Update answered %v, want edit's error", err)
	}
	late := inZone(t, "Asia/Tokyo")
	late.Subjects = newLearner(t, "bob").Subjects
	_, _, err = put(t, store, late, idem.Key{}, nil, start)
	wantTaken(t, err, "subjects[0]")

	k := key(t, "admin", "k", "body")
	for _, want := range []int64{3, 0} { // The second time nothing is made.
		_, revision, err := put(t, store, inZone(t, "Asia/Tokyo"), k, []byte("answer"), start)
		if err != nil || revision != want {
			t.Errorf("a create took revision %d, %v, want %d", revision, err, want)
		}
	}
	changes, newest, err := store.Changes(t.Context(), 0, 10)
	if err != nil || len(changes) != 3 || newest != 3 || changes[0].Learner.TimeZone != "Europe/Berlin" {
		t.Errorf("the feed has %+v, %d, %v", changes, newest, err)
	}
}

// A reader that follows while all are written must end with what is stored.
func testFeedRace(t *testing.T, store profile.Store) {
	const racers, rounds = 8, 4
	learners := make([]profile.Learner, racers)
	for i := range learners {
		learners[i] = inZone(t, "UTC")
	}
	var mu sync.Mutex
	var revisions []int64
	took := func(revision int64, err error) error {
		mu.Lock()
		defer mu.Unlock()
		revisions = append(revisions, revision)
		return err
	}
	var reader sync.WaitGroup
	read := map[string]string{}
	reader.Go(func() { follow(t, store, read, racers*rounds) })
	for _, err := range atOnce(racers, func(i int) error {
		_, revision, err := put(t, store, learners[i], idem.Key{}, nil, start)
		if err := took(revision, err); err != nil {
			return err
		}
		for round := 1; round < rounds; round++ {
			if err := took(setZone(t, store, learners[i].ID, fmt.Sprintf("Etc/GMT-%d", round))); err != nil {
				return err
			}
		}
		return nil
	}) {
		if err != nil {
			t.Error(err)
		}
	}
	reader.Wait()
	slices.Sort(revisions)
	for i, revision := range revisions {
		if revision != int64(i+1) {
			t.Fatalf("revisions %v have gaps or twins", revisions)
		}
	}
	want := map[string]string{}
	for _, l := range learners {
		want[l.ID] = fmt.Sprintf("Etc/GMT-%d", rounds-1)
	}
	if !maps.Equal(read, want) {
		t.Errorf("the reader knows %v, want %v", read, want)
	}
}

// follow reads the feed page by page until it has reached a revision.
func follow(t *testing.T, store profile.Store, into map[string]string, until int64) {
	t.Helper()
	const page = 3
	for after := int64(0); after < until && t.Context().Err() == nil && !t.Failed(); {
		changes, newest, err := store.Changes(t.Context(), after, page)
		if err != nil {
			t.Error(err)
			return
		}
		for _, c := range changes {
			if c.Revision <= after || c.Revision > newest {
				t.Errorf("revision %d comes after %d in a feed that ends at %d", c.Revision, after, newest)
			}
			into[c.Learner.ID], after = c.Learner.TimeZone, c.Revision
		}
		if len(changes) < page && after != newest {
			t.Errorf("the feed's last change is %d and its newest revision %d", after, newest)
		}
	}
}
