package progresstest

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// RunFence runs the part of the contract that is about sets and their fence.
func RunFence(t *testing.T, newStore func(*testing.T) Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Store){
		"a set is written where all is as believed":     fence,
		"a set with an event that is stored is refused": fenceEvents,
		"a set on an older catalog is refused":          fenceCatalog,
		"all of a set is written":                       wholeSet,
		"racing sets number without gaps":               racingSets,
	} {
		t.Run(name, func(t *testing.T) { test(t, newStore(t)) })
	}
}

// made makes learners known, and returns their heads in the order of their ids.
func made(t *testing.T, s Store, n int) []progress.Head {
	t.Helper()
	var ids []string
	for range n {
		ids = append(ids, newID())
	}
	must(t, commit(t.Context(), s, ids, func(context.Context, progress.Tx) error { return nil }))
	return headsOf(t, s, ids...)
}

func headsOf(t *testing.T, s Store, ids ...string) []progress.Head {
	t.Helper()
	found, err := s.HeadsOf(t.Context(), ids)
	must(t, err)
	out := make([]progress.Head, len(ids))
	for i, id := range slices.Sorted(slices.Values(ids)) {
		out[i] = found[id]
	}
	return out
}

// oneEach is a set that stores an event of each learner.
func oneEach(heads ...progress.Head) *progress.WriteSet {
	set := &progress.WriteSet{}
	for _, h := range heads {
		next := h
		next.Sequence, next.Version = h.Sequence+1, h.Version+1
		set.Heads = append(set.Heads, progress.HeadChange{Was: h, Is: next})
		set.Records = append(set.Records, entry(h.LearnerID, next.Sequence, newID()))
		f := &progress.Facts{LastAt: next.Sequence}
		set.Facts = append(set.Facts, progress.FactsChange{FactsKey: progress.FactsKey{LearnerID: h.LearnerID, ModuleID: "m"}, Is: f})
	}
	return set
}

// wantStale checks that a set is refused for a reason, and leaves nothing.
func wantStale(t *testing.T, s Store, what string, set *progress.WriteSet, want progress.StaleError) {
	t.Helper()
	before := headsOf(t, s, set.Learners()...)
	err := s.Write(t.Context(), set)
	stale, ok := errors.AsType[*progress.StaleError](err)
	if !ok || !reflect.DeepEqual(*stale, want) {
		t.Errorf("%s: %v, want %v", what, err, &want)
	}
	if after := headsOf(t, s, set.Learners()...); !slices.Equal(after, before) {
		t.Errorf("%s: heads are %+v, were %+v", what, after, before)
	}
	for _, h := range before {
		if h.LearnerID == "" {
			continue
		}
		log, _, err := s.Log(t.Context(), h.LearnerID, 0, 1000)
		if err != nil || int64(len(log)) != h.Sequence {
			t.Errorf("%s: a log of %d entries under head %+v, %v", what, len(log), h, err)
		}
	}
}

func fence(t *testing.T, s Store) {
	ctx := t.Context()
	heads := made(t, s, 4)
	must(t, s.Write(ctx, oneEach(heads...)))
	now := headsOf(t, s, heads[0].LearnerID, heads[1].LearnerID, heads[2].LearnerID, heads[3].LearnerID)
	for i, h := range now {
		if h.Sequence != 1 || h.Version != 1 || !h.Known {
			t.Errorf("head %d: %+v", i, h)
		}
	}
	wantStale(t, s, "heads that moved", oneEach(now[0], heads[1], now[2], heads[3]),
		progress.StaleError{Learners: []string{heads[1].LearnerID, heads[3].LearnerID}})

	must(t, saveZones(ctx, s, 1, []progress.LearnerZone{{LearnerID: now[2].LearnerID, TimeZone: "Asia/Tokyo"}}))
	wantStale(t, s, "a time zone that changed", oneEach(now...), progress.StaleError{Learners: []string{now[2].LearnerID}})

	stays := &progress.WriteSet{Heads: []progress.HeadChange{{Was: now[0], Is: now[0]}, {Was: now[2], Is: now[2]}}}
	wantStale(t, s, "a head that was to stay", stays, progress.StaleError{Learners: []string{now[2].LearnerID}})
	stays.Heads = stays.Heads[:1]
	must(t, s.Write(ctx, stays))

	elsewhere := now[1]
	elsewhere.Timeline = "another"
	wantStale(t, s, "another line of history", oneEach(now[0], elsewhere), progress.StaleError{Learners: []string{elsewhere.LearnerID}})

	nobody := progress.Head{LearnerID: newID(), Timeline: now[0].Timeline}
	wantStale(t, s, "a learner without a head", oneEach(nobody), progress.StaleError{Learners: []string{nobody.LearnerID}})
	if found, err := s.HeadsOf(ctx, []string{nobody.LearnerID}); err != nil || len(found) != 0 {
		t.Errorf("a head was made: %+v, %v", found, err)
	}

	must(t, commit(ctx, s, []string{now[1].LearnerID}, func(_ context.Context, tx progress.Tx) error {
		tx.Head(now[1].LearnerID).Version++
		return nil
	}))
	wantStale(t, s, "a version that a locked transaction raised", oneEach(now[1]), progress.StaleError{Learners: []string{now[1].LearnerID}})
}

func fenceEvents(t *testing.T, s Store) {
	ctx := t.Context()
	heads := made(t, s, 2)
	set := oneEach(heads...)
	must(t, s.Write(ctx, set))
	next := oneEach(set.Heads[0].Is, set.Heads[1].Is)
	next.Records[1].Event.ID = set.Records[1].Event.ID
	wantStale(t, s, "an event that is stored", next, progress.StaleError{Events: true})

	twice := oneEach(set.Heads[0].Is)
	twice.Heads[0].Is.Sequence++
	twice.Records = append(twice.Records, entry(heads[0].LearnerID, twice.Heads[0].Is.Sequence, twice.Records[0].Event.ID))
	wantStale(t, s, "an event that comes twice", twice, progress.StaleError{Events: true})
}

func fenceCatalog(t *testing.T, s Store) {
	ctx := t.Context()
	must(t, s.SaveCatalog(ctx, progress.CatalogDelta{Revision: 7}))
	heads := made(t, s, 1)
	set := oneEach(heads...)
	set.Catalog = 6
	wantStale(t, s, "a catalog that is behind", set, progress.StaleError{Catalog: 7})
	set.Catalog = 8
	must(t, s.Write(ctx, set))
}

// wholeSet writes what there is, and reads it again, by a set of its own and within a transaction.
func wholeSet(t *testing.T, s Store) {
	ctx := t.Context()
	for _, write := range []func(*progress.WriteSet) error{
		func(set *progress.WriteSet) error { return s.Write(ctx, set) },
		func(set *progress.WriteSet) error {
			return s.Commit(ctx, set.Learners(), func(ctx context.Context, tx progress.Tx) error { return tx.Write(ctx, set) })
		},
	} {
		h := made(t, s, 1)[0]
		set := oneEach(h)
		e, a := sampleEnrollment(h.LearnerID), sampleAward(h.LearnerID)
		set.Enrollments, set.Awards = []progress.Enrollment{e}, []progress.Award{a}
		key := idem.Key{Caller: h.LearnerID, Method: "/Create", Key: "k", Hash: [32]byte{1}}
		set.Answers = []progress.KeyedAnswer{{Key: key, Body: []byte("answer"), Time: at}}
		facts := sampleFacts()
		set.Facts[0].Is = facts
		must(t, write(set))
		l, err := s.Load(ctx, h.LearnerID)
		must(t, err)
		want := &progress.Learner{
			Head: l.Head, Facts: map[string]*progress.Facts{"m": facts}, Enrollments: []progress.Enrollment{e}, Awards: []progress.Award{a},
		}
		if !reflect.DeepEqual(l, want) {
			t.Errorf("loaded %+v\nwant %+v", l, want)
		}
		if answer, found, err := s.FindIdempotent(ctx, key, at); err != nil || !found || string(answer) != "answer" {
			t.Errorf("the answer: %q, %t, %v", answer, found, err)
		}
		// Facts that are known to be there are replaced, where they stand and where they move.
		for _, is := range []*progress.Facts{movedFacts(facts, false), movedFacts(facts, true)} {
			again := oneEach(headsOf(t, s, h.LearnerID)...)
			again.Facts[0].Was, again.Facts[0].Is = facts, is
			must(t, write(again))
			if got, err := s.Facts(ctx, []progress.FactsKey{again.Facts[0].FactsKey}); err != nil || !reflect.DeepEqual(got[again.Facts[0].FactsKey], is) {
				t.Errorf("facts are %+v, %v, want %+v", got, err, is)
			}
			facts = is
		}
		if known, err := s.KnownEvents(ctx, []progress.EventKey{{LearnerID: h.LearnerID, EventID: set.Records[0].Event.ID}}); err != nil || len(known) != 1 {
			t.Errorf("known events: %+v, %v", known, err)
		}
	}
}

// movedFacts are other facts, which stand elsewhere in short where they move.
func movedFacts(f *progress.Facts, move bool) *progress.Facts {
	out := f.Clone()
	out.LastAt++
	if move {
		out.Key += "+"
	}
	return out
}

// racingSets has many writers, as replicas would, store events of the same few learners on what they have
// read, some of which are stored already.
func racingSets(t *testing.T, s Store) {
	ctx := t.Context()
	heads := made(t, s, 5)
	var mu sync.Mutex
	stored := map[string][]string{} // events by learner
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1)) //nolint:gosec // w is small
			for range 15 {
				var ids []string
				for _, i := range random.Perm(len(heads))[:1+random.IntN(len(heads))] {
					ids = append(ids, heads[i].LearnerID)
				}
				if err := storeEach(ctx, s, ids, &mu, stored, random.IntN(4) == 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, h := range heads {
		checkStored(t, s, h.LearnerID, stored[h.LearnerID])
	}
}

// checkStored checks that a log has these events and no others, under a head that says so.
func checkStored(t *testing.T, s Store, learner string, want []string) {
	t.Helper()
	log, h, err := s.Log(t.Context(), learner, 0, 10_000)
	must(t, err)
	var got []string
	for i := range log {
		if got = append(got, log[i].Event.ID); log[i].Sequence != int64(i+1) {
			t.Errorf("entry %d has sequence %d", i, log[i].Sequence)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if int64(len(log)) != h.Sequence || h.Version != h.Sequence || !slices.Equal(got, want) {
		t.Errorf("%d entries under %+v, %d were acknowledged", len(log), h, len(want))
	}
}

// storeEach stores an event of each of the learners, once more one that is stored where twice is set, until it has.
func storeEach(ctx context.Context, s Store, ids []string, mu *sync.Mutex, stored map[string][]string, twice bool) error {
	for deadline := 1000; deadline > 0; deadline-- {
		found, err := s.HeadsOf(ctx, ids)
		if err != nil {
			return err
		}
		var heads []progress.Head
		for _, id := range slices.Sorted(slices.Values(ids)) {
			heads = append(heads, found[id])
		}
		set := oneEach(heads...)
		mu.Lock()
		if had := stored[set.Heads[0].Was.LearnerID]; twice && len(had) > 0 {
			set.Records[0].Event.ID = had[0]
		}
		mu.Unlock()
		err = s.Write(ctx, set)
		stale, is := errors.AsType[*progress.StaleError](err)
		switch {
		case err == nil:
			mu.Lock()
			defer mu.Unlock()
			for i := range set.Records {
				stored[set.Records[i].LearnerID] = append(stored[set.Records[i].LearnerID], set.Records[i].Event.ID)
			}
			return nil
		case is && stale.Events:
			twice = false
		case !is:
			return err
		}
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond) //nolint:gosec // so that they part
	}
	return errors.New("others were always first")
}
