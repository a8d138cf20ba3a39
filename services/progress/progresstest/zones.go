package progresstest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// Zoned are learners' time zones as what happened in profile up to a revision.
func Zoned(revision int64, zones []progress.LearnerZone) []progress.ProfileChange {
	changes := make([]progress.ProfileChange, len(zones))
	for i, z := range zones {
		changes[i] = progress.ProfileChange{
			Revision: revision - int64(len(zones)-1-i), Time: z.Since, Learner: &progress.PersonRecord{Zone: z},
		}
	}
	return changes
}

func saveZones(ctx context.Context, s Store, revision int64, zones []progress.LearnerZone) error {
	return s.SaveProfile(ctx, revision, at, Zoned(revision, zones))
}

// headOf returns a learner's head, after a check that whatever returns it returns the same.
func headOf(t *testing.T, s Store, learner string) progress.Head {
	t.Helper()
	ctx := t.Context()
	var heads []progress.Head
	h, err := s.Head(ctx, learner)
	must(t, err)
	heads = append(heads, h)
	l, err := s.Load(ctx, learner)
	must(t, err)
	heads = append(heads, l.Head)
	_, h, err = s.Log(ctx, learner, 0, 1)
	must(t, err)
	heads = append(heads, h)
	must(t, s.Snapshot(ctx, learner, learner, func(ctx context.Context, snapshot progress.Snapshot) error {
		all, err := snapshot.Heads(ctx)
		heads = append(heads, all...)
		return err
	}))
	must(t, s.Survey(ctx, func(ctx context.Context, v progress.Survey) error {
		h, err := v.Head(ctx, learner)
		heads = append(heads, h)
		return err
	}))
	for i := range heads {
		heads[i].Timeline, heads[i].Catalog = "", 0 // not all return these
	}
	if same := slices.Compact(slices.Clone(heads)); len(same) != 1 {
		t.Fatalf("a learner's heads differ: %+v", same)
	}
	return heads[0]
}

// inside runs f in a commit for one learner.
func inside(t *testing.T, s Store, learner string, f func(context.Context, progress.Tx) error) {
	t.Helper()
	must(t, commit(t.Context(), s, []string{learner}, f))
}

// history returns a learner's time zones, after a check that the head is in the last of them.
func history(t *testing.T, s Store, learner string) []progress.LearnerZone {
	t.Helper()
	var zones []progress.LearnerZone
	inside(t, s, learner, func(ctx context.Context, tx progress.Tx) error {
		var err error
		zones, err = tx.ZoneHistory(ctx, learner)
		if h := tx.Head(learner); len(zones) > 0 && (h.TimeZone != zones[len(zones)-1].TimeZone || !h.ZoneSince.Equal(zones[len(zones)-1].Since)) {
			return fmt.Errorf("the head %+v is not in the last of %+v", h, zones)
		}
		return err
	})
	return zones
}

func headRules(t *testing.T, s Store) {
	learner := newID()
	rules := func(want int) {
		t.Helper()
		if h := headOf(t, s, learner); h.Rules != want || h.Version != 0 {
			t.Errorf("head %+v, want rules %d", h, want)
		}
	}
	inside(t, s, learner, func(context.Context, progress.Tx) error { return nil })
	rules(progress.RulesVersion)
	inside(t, s, learner, func(_ context.Context, tx progress.Tx) error {
		tx.Head(learner).Rules++
		return nil
	})
	rules(progress.RulesVersion + 1)
	must(t, saveZones(t.Context(), s, 1, []progress.LearnerZone{{LearnerID: learner, TimeZone: "Asia/Tokyo"}}))
	if h := headOf(t, s, learner); h.Rules != progress.RulesVersion+1 {
		t.Errorf("after a new time zone: %+v", h)
	}
}

func zoneHistory(t *testing.T, s Store) {
	learner, revision := newID(), int64(0)
	if got := history(t, s, learner); len(got) != 0 {
		t.Errorf("of somebody unknown: %+v", got)
	}
	var want []progress.LearnerZone
	version := headOf(t, s, learner).Version
	// says has profile say a zone, since a time; it is the learner's next one from then on, or no other.
	says := func(zone string, since time.Time, next bool, from time.Time) {
		t.Helper()
		revision++
		must(t, saveZones(t.Context(), s, revision, []progress.LearnerZone{{LearnerID: learner, TimeZone: zone, Since: since}}))
		if next {
			want = append(want, progress.LearnerZone{LearnerID: learner, TimeZone: zone, Since: from})
			version++
		}
		last := want[len(want)-1]
		h := progress.Head{LearnerID: learner, Version: version, Known: true, TimeZone: last.TimeZone, ZoneSince: last.Since, Rules: progress.RulesVersion}
		if got := headOf(t, s, learner); got != h {
			t.Errorf("head %+v, want %+v", got, h)
		}
		if got := history(t, s, learner); !reflect.DeepEqual(got, want) {
			t.Errorf("history %+v, want %+v", got, want)
		}
	}
	later := at.Add(time.Hour)
	says("Europe/Berlin", at, true, time.Time{}) // the first one has always been
	says("Europe/Berlin", later, false, time.Time{})
	says("Asia/Tokyo", later, true, later)
	says("Europe/Paris", time.Time{}, true, later.Add(time.Microsecond)) // as received
	says("Europe/Lisbon", at, true, later.Add(2*time.Microsecond))
	says("Europe/Lisbon", later.Add(time.Minute), false, time.Time{})
	says("Asia/Tokyo", later.Add(time.Hour), true, later.Add(time.Hour)) // once more
	says("", later.Add(2*time.Hour), true, later.Add(2*time.Hour))

	ctx := t.Context()
	must(t, saveZones(ctx, s, revision, []progress.LearnerZone{{LearnerID: learner, TimeZone: "Europe/Rome", Since: later.Add(3 * time.Hour)}}))
	must(t, s.SaveLink(ctx, "i", "s", progress.Link{LearnerID: learner, Since: later.Add(3 * time.Hour)}))
	if got := history(t, s, learner); !reflect.DeepEqual(got, want) {
		t.Errorf("after an older revision and a link without a zone: %+v, want %+v", got, want)
	}
	must(t, s.SaveLink(ctx, "i", "s", progress.Link{LearnerID: learner, TimeZone: "Europe/Rome", Since: later.Add(3 * time.Hour)}))
	want = append(want, progress.LearnerZone{LearnerID: learner, TimeZone: "Europe/Rome", Since: later.Add(3 * time.Hour)})
	if got := history(t, s, learner); !reflect.DeepEqual(got, want) {
		t.Errorf("after a link: %+v, want %+v", got, want)
	}
}

func knownLearners(t *testing.T, s Store) {
	ctx := t.Context()
	committed, said, linked := newID(), newID(), newID()
	check := func(what, learner string, want progress.Head, zones ...progress.LearnerZone) {
		t.Helper()
		want.LearnerID, want.Rules = learner, progress.RulesVersion
		if got := headOf(t, s, learner); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
		if got := history(t, s, learner); !slices.Equal(got, zones) {
			t.Errorf("%s: history %+v, want %+v", what, got, zones)
		}
	}
	if h, err := s.Head(ctx, said); err != nil || h.Known {
		t.Errorf("before anything: %+v, %v", h, err)
	}
	must(t, add(ctx, s, committed, entry(committed, 1, newID())))
	check("a commit of a learner who is known", committed, progress.Head{Sequence: 1, Version: 1, Known: true})
	must(t, s.SaveLink(ctx, "i", "s", progress.Link{LearnerID: linked}))
	check("a link that says no zone", linked, progress.Head{Known: true})
	must(t, saveZones(ctx, s, 1, []progress.LearnerZone{{LearnerID: committed, Since: at}, {LearnerID: said, Since: at}}))
	check("profile says that there is one with a head", committed, progress.Head{Sequence: 1, Version: 1, Known: true})
	check("profile says that there is one", said, progress.Head{Known: true})
	must(t, saveZones(ctx, s, 2, []progress.LearnerZone{
		{LearnerID: said, TimeZone: "Asia/Tokyo", Since: at}, {LearnerID: linked, TimeZone: "Asia/Tokyo", Since: at},
	}))
	for _, learner := range []string{said, linked} {
		check("the first zone", learner, progress.Head{Version: 1, Known: true, TimeZone: "Asia/Tokyo"},
			progress.LearnerZone{LearnerID: learner, TimeZone: "Asia/Tokyo"})
	}
	must(t, s.SaveLink(ctx, "i", "s2", progress.Link{LearnerID: said}))
	must(t, add(ctx, s, said, entry(said, 1, newID())))
	if h := headOf(t, s, said); !h.Known || h.TimeZone != "Asia/Tokyo" {
		t.Errorf("a link and a commit after that: %+v", h)
	}
}

// manyZones saves more than one statement takes, in no order, and of one learner twice.
func manyZones(t *testing.T, s Store) {
	ctx := t.Context()
	ids := make([]string, 600)
	for i := range ids {
		ids[i] = newID()
	}
	var zones []progress.LearnerZone
	for _, id := range slices.Backward(ids) {
		zones = append(zones, progress.LearnerZone{LearnerID: id, TimeZone: "Asia/Tokyo", Since: at})
	}
	twice := ids[300]
	zones = append(zones, progress.LearnerZone{LearnerID: twice, TimeZone: "Europe/Paris", Since: at})
	must(t, saveZones(ctx, s, 1, []progress.LearnerZone{{LearnerID: ids[0], TimeZone: "Europe/Berlin"}}))
	must(t, saveZones(ctx, s, 2, zones))
	for _, id := range []string{ids[0], twice, ids[599]} {
		want := []progress.LearnerZone{{LearnerID: id, TimeZone: "Asia/Tokyo"}}
		switch id {
		case ids[0]:
			want = []progress.LearnerZone{{LearnerID: id, TimeZone: "Europe/Berlin"}, {LearnerID: id, TimeZone: "Asia/Tokyo", Since: at}}
		case twice:
			want = append(want, progress.LearnerZone{LearnerID: id, TimeZone: "Europe/Paris", Since: at})
		}
		if got := history(t, s, id); !slices.Equal(got, want) {
			t.Errorf("history %+v, want %+v", got, want)
		}
		if h := headOf(t, s, id); h.Version != int64(len(want)) || !h.Known {
			t.Errorf("after %d changes: %+v", len(want), h)
		}
	}
	if n, err := s.CountHeads(ctx); n != int64(len(ids)) || err != nil {
		t.Errorf("%d heads, %v", n, err)
	}
}

func zoneLeavesFacts(t *testing.T, s Store) {
	ids := putFacts(t, s, factsOf("", 1, progress.CycleFacts{}))
	before := groupsOf(t, s)
	for revision, zone := range []string{"Europe/Berlin", "Asia/Tokyo"} {
		must(t, saveZones(t.Context(), s, int64(revision+1), []progress.LearnerZone{{LearnerID: ids[0], TimeZone: zone, Since: at}}))
		if got := groupsOf(t, s); !slices.Equal(got, before) {
			t.Errorf("in %s: %+v, before %+v", zone, got, before)
		}
	}
	if late, err := s.Outdated(t.Context(), []progress.Freshness{{ModuleID: "m"}}, "", 9); err != nil || len(late) != 0 {
		t.Errorf("outdated %v, %v", late, err)
	}
}
