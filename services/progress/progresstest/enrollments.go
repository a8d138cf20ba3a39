package progresstest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// enrollment is one in a path.
func enrollment(learner, path string, state progress.EnrollmentState, enrolled time.Time) progress.Enrollment {
	return progress.Enrollment{ID: newID(), LearnerID: learner, PathID: path, PathVersion: 1, State: state, EnrollTime: enrolled, UpdateTime: enrolled}
}

func putEnrollments(t *testing.T, s Store, learner string, enrollments ...progress.Enrollment) {
	t.Helper()
	inside(t, s, learner, func(ctx context.Context, tx progress.Tx) error { return tx.PutEnrollments(ctx, enrollments) })
}

func enrollmentPages(t *testing.T, s Store) {
	ctx, learner, other := t.Context(), newID(), newID()
	var want []progress.Enrollment
	for i := range 9 {
		state := progress.EnrollmentWithdrawn
		if i%4 == 0 {
			state = progress.EnrollmentActive
		}
		// Three at a time at once: then their ids decide. The later they were made, the earlier they enrolled.
		want = append(want, enrollment(learner, fmt.Sprint("p", i), state, at.Add(-time.Duration(i/3)*time.Microsecond)))
		putEnrollments(t, s, other, enrollment(other, fmt.Sprint("p", i), state, want[i].EnrollTime))
	}
	want[4].PreviousPercent, want[4].PercentChange = new(60), &progress.PercentChange{Code: progress.ChangeUpgraded, PathVersion: 3}
	putEnrollments(t, s, learner, want...)
	slices.SortFunc(want, func(a, b progress.Enrollment) int {
		if c := a.EnrollTime.Compare(b.EnrollTime); c != 0 {
			return c
		}
		return slices.Compare([]byte(a.ID), []byte(b.ID))
	})
	var got []progress.Enrollment
	var place progress.EnrollmentPlace
	for pages := 0; ; pages++ {
		page, err := s.Enrollments(ctx, learner, place, 2)
		must(t, err)
		got = append(got, page...)
		if len(page) < 2 {
			break
		}
		place = page[1].Place()
		if pages == 1 { // What comes before the place, or changes there, moves nothing after it.
			changed := page[0]
			changed.State = progress.EnrollmentWithdrawn
			putEnrollments(t, s, learner, enrollment(learner, "q", progress.EnrollmentActive, at.Add(-time.Hour)), changed)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("in pages\n%+v\nwant\n%+v", got, want)
	}
	if all, err := s.Enrollments(ctx, learner, progress.EnrollmentPlace{}, 100); err != nil || len(all) != 10 || all[0].PathID != "q" {
		t.Errorf("all at once: %+v, %v", all, err)
	}
	if none, err := s.Enrollments(ctx, newID(), progress.EnrollmentPlace{}, 100); err != nil || len(none) != 0 {
		t.Errorf("of somebody else: %+v, %v", none, err)
	}
}

// withdrawn has a learner with many enrollments of which two are not withdrawn.
func withdrawn(t *testing.T, s Store) {
	ctx, learner, other := t.Context(), newID(), newID()
	all := []progress.Enrollment{
		enrollment(learner, "paused", progress.EnrollmentPaused, at), enrollment(learner, "active", progress.EnrollmentActive, at.Add(-time.Hour)),
	}
	for range 600 {
		all = append(all, enrollment(learner, "active", progress.EnrollmentWithdrawn, at.Add(-2*time.Hour)))
	}
	putEnrollments(t, s, learner, all...)
	open := []progress.Enrollment{all[1], all[0]}
	l, err := s.Load(ctx, learner)
	must(t, err)
	if !reflect.DeepEqual(l.Enrollments, open) {
		t.Errorf("loaded %+v, want %+v", l.Enrollments, open)
	}
	must(t, s.Snapshot(ctx, learner, learner, func(ctx context.Context, snapshot progress.Snapshot) error {
		if whole, err := snapshot.Enrollments(ctx); err != nil || len(whole) != len(all) {
			t.Errorf("%d enrollments in a snapshot, %v", len(whole), err)
		}
		return nil
	}))
	find := func(what string, find func(ctx context.Context, learnerID, enrollmentID string) (progress.Enrollment, error)) {
		t.Helper()
		for _, want := range []progress.Enrollment{all[0], all[2]} {
			if got, err := find(ctx, learner, want.ID); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v, %v; want %+v", what, got, err, want)
			}
		}
		for _, nobodys := range [][2]string{{other, all[0].ID}, {learner, newID()}} {
			if _, err := find(ctx, nobodys[0], nobodys[1]); errs.KindOf(err) != errs.NotFound || errs.ReasonOf(err) != errs.ReasonEnrollmentNotFound {
				t.Errorf("%s, of another: %v", what, err)
			}
		}
	}
	find("found", s.Enrollment)
	inside(t, s, learner, func(ctx context.Context, tx progress.Tx) error {
		find("found in a commit", tx.Enrollment)
		left := all[0]
		left.State = progress.EnrollmentWithdrawn
		if err := tx.PutEnrollments(ctx, []progress.Enrollment{left}); err != nil {
			return err
		}
		all, err := tx.Complete(ctx, []progress.Head{*tx.Head(learner)})
		if l := all[learner]; err == nil && !reflect.DeepEqual(l.Enrollments, open[:1]) {
			t.Errorf("read in a commit %+v, want %+v", l.Enrollments, open[:1])
		}
		return err
	})
}
