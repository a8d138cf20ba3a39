package progresstest

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// snapshotOf reads all of a snapshot.
type snapshotOf struct {
	revision    int64
	heads       []progress.Head
	facts       []progress.StoredFacts
	enrollments []progress.Enrollment
	awards      []progress.Award
	entries     []progress.Record
}

func readSnapshot(ctx context.Context, s progress.Snapshot) (out snapshotOf, err error) {
	if out.revision, err = s.Revision(ctx); err != nil {
		return out, err
	}
	if out.heads, err = s.Heads(ctx); err != nil {
		return out, err
	}
	if err = s.Facts(ctx, func(f progress.StoredFacts) { out.facts = append(out.facts, f) }); err != nil {
		return out, err
	}
	if out.enrollments, err = s.Enrollments(ctx); err != nil {
		return out, err
	}
	if out.awards, err = s.Awards(ctx); err != nil {
		return out, err
	}
	err = s.Entries(ctx, func(r *progress.Record) error {
		out.entries = append(out.entries, *r)
		return nil
	})
	return out, err
}

// lived is what snapshots stores for each learner.
func lived(ctx context.Context, s Store, learner string) (snapshotOf, error) {
	facts := &progress.Facts{
		LastAt: 5, LastID: "e", FirstAt: 4,
		Cycles: []progress.CycleFacts{{Number: 1, Opening: progress.OpenedFirst, BeginAt: 4, CompleteAt: 5, CompleteVersion: 2, ExpireAt: 9, Versions: []int{2}}},
	}
	e := progress.Enrollment{ID: newID(), LearnerID: learner, PathID: "p", PathVersion: 1, State: progress.EnrollmentActive, EnrollTime: at, UpdateTime: at}
	old := e // Load leaves it out, and a snapshot does not
	old.ID, old.State, old.EnrollTime = newID(), progress.EnrollmentWithdrawn, at.Add(-time.Hour)
	a := progress.Award{
		ID: newID(), Number: 1, LearnerID: learner, PathID: "p", PathVersion: 1, MilestoneID: "ms", Title: "M", AwardTime: at,
		Completions: []progress.Completion{{ModuleID: "m", Version: 2, Cycle: 1, CompleteTime: at}}, Rule: progress.Milestone{ID: "ms"},
	}
	enrolled := progress.Record{
		LearnerID: learner, Sequence: 2, Type: progress.RecordEnrolled, ReceivedAt: at, EffectiveAt: at, Zone: "Asia/Tokyo", ActorID: "a", Reason: "why",
		Effects: &progress.Effects{Enrollments: []progress.Enrollment{e}, Awards: []progress.Award{a}},
	}
	log := []progress.Record{entry(learner, 1, newID()), enrolled}
	err := commit(ctx, s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
		h := tx.Head(learner)
		h.Sequence, h.Version = 2, 1
		if err := tx.Append(ctx, log); err != nil {
			return err
		}
		if err := tx.PutFacts(ctx, map[progress.FactsKey]*progress.Facts{{LearnerID: learner, ModuleID: "m"}: facts}); err != nil {
			return err
		}
		if err := tx.PutEnrollments(ctx, []progress.Enrollment{e, old}); err != nil {
			return err
		}
		return tx.PutAwards(ctx, []progress.Award{a})
	})
	return snapshotOf{
		heads:       []progress.Head{{LearnerID: learner, Sequence: 2, Version: 1, Known: true, Rules: progress.RulesVersion}},
		facts:       []progress.StoredFacts{{FactsKey: progress.FactsKey{LearnerID: learner, ModuleID: "m"}, Summary: facts.Summary()}},
		enrollments: []progress.Enrollment{old, e}, awards: []progress.Award{a}, entries: log,
	}, err
}

func snapshots(t *testing.T, s Store) {
	ctx := t.Context()
	must(t, s.SaveCatalog(ctx, progress.CatalogDelta{Revision: 7}))
	var want snapshotOf
	ids := []string{newID(), newID(), newID(), newID()}
	for i, id := range ids {
		l, err := lived(ctx, s, id)
		must(t, err)
		if i == 1 || i == 2 {
			want.heads, want.facts, want.entries = append(want.heads, l.heads...), append(want.facts, l.facts...), append(want.entries, l.entries...)
			want.enrollments, want.awards = append(want.enrollments, l.enrollments...), append(want.awards, l.awards...)
		}
	}
	want.revision = 7
	check := func(what string, got, want snapshotOf) {
		t.Helper()
		for i := range got.facts {
			if got.facts[i].State == "" {
				t.Errorf("%s: facts without a state", what)
			}
			got.facts[i].State = ""
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v\nwant\n%+v", what, got, want)
		}
	}
	must(t, s.Snapshot(ctx, ids[1], ids[2], func(ctx context.Context, snapshot progress.Snapshot) error {
		if _, err := snapshot.Heads(ctx); err != nil { // the first look is the moment
			return err
		}
		must(t, add(context.WithoutCancel(ctx), s, ids[1], entry(ids[1], 3, newID())))
		got, err := readSnapshot(ctx, snapshot)
		check("two of four", got, want)
		return err
	}))
	must(t, commit(ctx, s, ids[2:3], func(ctx context.Context, tx progress.Tx) error {
		must(t, tx.DropFacts(ctx, []progress.FactsKey{{LearnerID: ids[2], ModuleID: "m"}, {LearnerID: ids[2], ModuleID: "none"}}))
		got, err := readSnapshot(ctx, tx.Snapshot(ids[2]))
		one := snapshotOf{revision: 7, heads: want.heads[1:], enrollments: want.enrollments[2:], awards: want.awards[1:]}
		for _, r := range want.entries {
			if r.LearnerID == ids[2] {
				one.entries = append(one.entries, r)
			}
		}
		check("in a transaction", got, one)
		return err
	}))
}

func headPages(t *testing.T, s Store) {
	ctx := t.Context()
	ids := []string{newID(), newID(), newID()}
	for _, id := range ids {
		must(t, add(ctx, s, id, entry(id, 1, newID())))
	}
	must(t, saveZones(ctx, s, 1, []progress.LearnerZone{{LearnerID: ids[2], TimeZone: "Asia/Kathmandu"}}))
	one, err := s.Heads(ctx, "", 2)
	must(t, err)
	two, err := s.Heads(ctx, one[len(one)-1].LearnerID, 2)
	must(t, err)
	want := []progress.Head{
		{LearnerID: ids[0], Sequence: 1, Version: 1, Known: true, Rules: progress.RulesVersion},
		{LearnerID: ids[1], Sequence: 1, Version: 1, Known: true, Rules: progress.RulesVersion},
		{LearnerID: ids[2], Sequence: 1, Version: 2, Known: true, TimeZone: "Asia/Kathmandu", Rules: progress.RulesVersion},
	}
	if got := slices.Concat(one, two); !reflect.DeepEqual(got, want) || len(one) != 2 {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n, err := s.CountHeads(ctx); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func rebuildLease(t *testing.T, s Store) {
	ctx := t.Context()
	r, err := s.LeaseRebuild(ctx, "one", at, at.Add(time.Minute))
	must(t, err)
	if r != (progress.Rebuild{Owner: "one", LeaseUntil: at.Add(time.Minute)}) {
		t.Fatalf("the first lease: %+v", r)
	}
	r.StartedAt, r.ActorID, r.Cursor, r.Done, r.Total, r.Entries, r.Drifted = at, "admin", "c", 1, 2, 3, 4
	must(t, s.SaveRebuild(ctx, r))
	lease := func(owner string, now time.Time, want progress.Rebuild) {
		t.Helper()
		if got, err := s.LeaseRebuild(ctx, owner, now, at.Add(time.Hour)); got != want || err != nil {
			t.Errorf("%s at %s: %+v %v, want %+v", owner, now, got, err, want)
		}
	}
	lease("two", at.Add(time.Second), r)
	mine, theirs := r, r
	mine.LeaseUntil = at.Add(time.Hour)
	lease("one", at.Add(time.Second), mine)
	lease("two", at.Add(2*time.Minute), mine)
	must(t, s.FreeRebuild(ctx, "nobody"))
	lease("two", at.Add(2*time.Minute), mine)
	must(t, s.FreeRebuild(ctx, "one"))
	theirs.Owner, theirs.LeaseUntil = "two", at.Add(time.Hour)
	lease("two", at.Add(2*time.Minute), theirs)
	if err := s.SaveRebuild(ctx, r); errs.KindOf(err) != errs.Aborted {
		t.Errorf("one saves what two holds: %v", err)
	}
	must(t, s.SaveRebuild(ctx, progress.Rebuild{Owner: "two"}))
	lease("three", at, progress.Rebuild{Owner: "three", LeaseUntil: at.Add(time.Hour)})
}
