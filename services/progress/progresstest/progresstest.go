// Package progresstest is the contract of Store as a test suite: every backend, and
// every decorator of one, runs it.
package progresstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/replay"
	"github.com/preceptor-dev/preceptor/services/progress/report"
)

// at has microseconds: stores must preserve them, in UTC.
var at = time.Date(2026, 11, 20, 8, 30, 15, 123456000, time.UTC)

// Store is all that the service's packages need of a store.
type Store interface {
	engine.Store
	report.Store
	replay.Store
}

// Run runs the contract; newStore returns an empty store each time.
func Run(t *testing.T, newStore func(*testing.T) Store) {
	t.Helper()
	RunFence(t, newStore)
	for name, test := range map[string]func(*testing.T, Store){
		"heads begin at zero and only a commit moves them": heads,
		"a head says by which rules":                       headRules,
		"heads of many learners are read together":         manyHeads,
		"log entries come back as they went in":            logEntries,
		"names keep their case":                            nameCase,
		"learners order as the texts of their ids do":      idOrder,
		"an id that is no UUID in lower case is refused":   oddIDs,
		"event ids are unique for a learner":               uniqueEvents,
		"known events are found for many learners at once": knownEvents,
		"an event is voided once":                          voids,
		"a failed commit leaves nothing":                   rollback,
		"racing commits number without gaps":               racing,
		"facts, enrollments and awards come back":          learnerState,
		"one enrollment per path that is not withdrawn":    onePerPath,
		"many rows go in one commit":                       manyRows,
		"the catalog only moves forward":                   catalog,
		"links are replaced":                               links,
		"time zones only move forward":                     zones,
		"time zones have a history":                        zoneHistory,
		"managers follow profile's changes":                managers,
		"learners are known by what profile says":          knownLearners,
		"many time zones come at once":                     manyZones,
		"a new time zone leaves facts as they are":         zoneLeavesFacts,
		"enrollments come in pages, oldest first":          enrollmentPages,
		"withdrawn enrollments are left out of a learner":  withdrawn,
		"idempotency keys answer once":                     idempotency,
		"the incarnation stays":                            incarnation,
		"one replica at a time holds the sweep":            sweep,
		"enrolled learners come in pages":                  enrolled,
		"heads come in pages":                              headPages,
		"a snapshot is of one moment":                      snapshots,
		"one replica at a time holds the rebuild":          rebuildLease,
		"a survey counts facts by what they say":           surveyFacts,
		"a survey counts enrollments and awards":           surveyPaths,
		"a survey counts learners who have not begun":      surveyNotBegun,
		"a survey is one snapshot":                         surveySnapshot,
		"learners with outdated facts come in pages":       outdated,
		"a ticket is taken once":                           takeTicket,
		"a ticket goes to one of many":                     raceForTicket,
		"a learner has so many tickets":                    fullOfTickets,
		"racing requests do not pass the limit of tickets": racingTickets,
		"expired tickets go a few at a time":               expiredTickets,
	} {
		t.Run(name, func(t *testing.T) { test(t, newStore(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// entry is an event record with every field set.
func entry(learner string, sequence int64, eventID string) progress.Record {
	return progress.Record{
		LearnerID: learner, Sequence: sequence, Type: progress.RecordEvent,
		Event: progress.Event{
			ID:            eventID,
			ModuleID:      "m",
			ModuleVersion: 2,
			UnitID:        "u",
			Verb:          progress.Passed,
			Score:         new(0.1),
			Progress:      new(1.0),
			OccurredAt:    at,
			DeviceID:      "phone — 1",
			TimeZone:      "Europe/Berlin",
			Reason:        "it's 100 %",
			VoidsEventID:  "",
		},
		PayloadHash: [32]byte{
			1,
			2,
			255,
		}, ReceivedAt: at.Add(time.Microsecond), EffectiveAt: at.Add(2 * time.Microsecond), Adjusted: true, Zone: "America/Sao_Paulo", ActorID: "actor",
	}
}

// commit is Store.Commit of learners who are made known where they are not.
func commit(ctx context.Context, s Store, learners []string, fn func(context.Context, progress.Tx) error) error {
	for _, id := range learners {
		if err := s.SaveLink(ctx, "test", id, progress.Link{LearnerID: id}); err != nil {
			return err
		}
	}
	return s.Commit(ctx, learners, fn)
}

// add commits entries for one learner, with the head set to the last of them.
func add(ctx context.Context, s Store, learner string, records ...progress.Record) error {
	return commit(ctx, s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
		h := tx.Head(learner)
		h.Sequence = records[len(records)-1].Sequence
		h.Version++
		return tx.Append(ctx, records)
	})
}

func heads(t *testing.T, s Store) {
	ctx, one := t.Context(), newID()
	h, err := s.Head(ctx, one)
	must(t, err)
	line := h.Timeline
	if h != (progress.Head{LearnerID: one, Timeline: line}) {
		t.Errorf("before anything: %+v", h)
	}
	must(t, add(ctx, s, one, entry(one, 1, newID())))
	h, err = s.Head(ctx, one)
	must(t, err)
	if h != (progress.Head{LearnerID: one, Sequence: 1, Version: 1, Known: true, Rules: progress.RulesVersion, Timeline: line}) {
		t.Errorf("after a commit: %+v", h)
	}
	if l, err := s.Load(ctx, one); err != nil || l.Head != h {
		t.Errorf("loaded: %+v, %v; want %+v", l, err, h)
	}
	if _, logged, err := s.Log(ctx, one, 0, 1); err != nil || logged != h {
		t.Errorf("with the log: %+v, %v; want %+v", logged, err, h)
	}
	for _, id := range []string{one, newID()} {
		must(t, commit(ctx, s, []string{id}, func(_ context.Context, tx progress.Tx) error {
			if got := tx.Head(id).Timeline; got != line {
				t.Errorf("a transaction is on line %q of history, and not on %q", got, line)
			}
			return nil
		}))
	}
}

// manyHeads asks for more than one statement takes.
func manyHeads(t *testing.T, s Store) {
	ctx := t.Context()
	ids := make([]string, 600)
	for i := range ids {
		ids[i] = newID()
	}
	first, last := ids[0], ids[len(ids)-1]
	must(t, add(ctx, s, first, entry(first, 1, newID())))
	must(t, add(ctx, s, last, entry(last, 1, newID()), entry(last, 2, newID())))
	must(t, saveZones(ctx, s, 1, []progress.LearnerZone{{LearnerID: ids[1]}}))
	other := newID()
	must(t, add(ctx, s, other, entry(other, 1, newID())))
	got, err := s.Sequences(ctx, ids)
	must(t, err)
	if want := map[string]int64{first: 1, last: 2}; !reflect.DeepEqual(got, want) { // the second has a head, and no log
		t.Errorf("%v, want %v", got, want)
	}
	if got, err := s.Sequences(ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("of nobody: %v, %v", got, err)
	}
}

// threeKinds are the first entries of a log: an event with every field, one with few, and an enrollment.
func threeKinds(learner string) (full, bare, enrolled progress.Record) {
	full = entry(learner, 1, newID())
	bare = progress.Record{
		LearnerID:   learner,
		Sequence:    2,
		Type:        progress.RecordEvent,
		Event:       progress.Event{ID: newID(), ModuleID: "other", ModuleVersion: 1, Verb: progress.Waived, OccurredAt: at},
		ReceivedAt:  at,
		EffectiveAt: at,
		ActorID:     "a",
	}
	enrolled = progress.Record{
		LearnerID: learner, Sequence: 3, Type: progress.RecordEnrolled, ReceivedAt: at, EffectiveAt: at, ActorID: "a",
		Zone: "Asia/Tokyo", Reason: "why",
		Effects: &progress.Effects{
			Enrollments: []progress.Enrollment{{
				ID: newID(), LearnerID: learner, PathID: "p", PathVersion: 1, State: progress.EnrollmentActive, EnrollTime: at, UpdateTime: at,
			}},
			Awards: []progress.Award{{
				ID: newID(), Number: 1, LearnerID: learner, PathID: "p", PathVersion: 1, MilestoneID: "ms", Title: "M", AwardTime: at,
				Completions: []progress.Completion{{ModuleID: "m", Version: 1, Cycle: 1, CompleteTime: at}},
				Rule:        progress.Milestone{ID: "ms", Groups: []progress.Group{{ModuleIDs: []string{"m"}}}}, FromSequence: 1, ToSequence: 3,
			}},
			PercentBefore: new(50),
		},
	}
	return full, bare, enrolled
}

func logEntries(t *testing.T, s Store) {
	ctx, learner := t.Context(), newID()
	full, bare, enrolled := threeKinds(learner)
	must(t, add(ctx, s, learner, full, bare, enrolled))
	// A record's zone stays: that of the bare one is UTC.
	must(t, saveZones(ctx, s, 1, []progress.LearnerZone{{LearnerID: learner, TimeZone: "Asia/Kathmandu"}}))
	got, head, err := s.Log(ctx, learner, 0, 10)
	must(t, err)
	if want := []progress.Record{full, bare, enrolled}; !reflect.DeepEqual(got, want) {
		t.Errorf("log:\n%+v\nwant\n%+v", got, want)
	}
	if head.Sequence != 3 {
		t.Errorf("head %+v", head)
	}
	got, _, err = s.Log(ctx, learner, 1, 1)
	must(t, err)
	if len(got) != 1 || got[0].Sequence != 2 {
		t.Errorf("a page: %+v", got)
	}
	got, err = s.ModuleLog(ctx, learner, "m")
	must(t, err)
	if !reflect.DeepEqual(got, []progress.Record{full}) {
		t.Errorf("module log: %+v", got)
	}
	must(t, add(ctx, s, newID(), entry(newID(), 1, newID()))) // another's are not among them
	many, err := s.ModuleLogs(ctx, learner, []string{"other", "none", "m"})
	must(t, err)
	if want := map[string][]progress.Record{"m": {full}, "other": {bare}}; !reflect.DeepEqual(many, want) {
		t.Errorf("module logs: %+v\nwant %+v", many, want)
	}
	for after, want := range []string{"[m other]", "[other]", "[]", "[]"} {
		ids, err := s.ModulesAfter(ctx, learner, int64(after))
		if err != nil || fmt.Sprint(ids) != want {
			t.Errorf("modules after %d: %v, %v; want %s", after, ids, err, want)
		}
	}
	findInCommit(t, s, full, bare)
}

// findInCommit finds two events of a log, and only those, as a commit sees them.
func findInCommit(t *testing.T, s Store, full, bare progress.Record) {
	t.Helper()
	learner := full.LearnerID
	must(t, commit(t.Context(), s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
		one, err := tx.EventByID(ctx, learner, full.Event.ID)
		if err != nil || !reflect.DeepEqual(one, full) {
			return fmt.Errorf("event by id: %+v, %w", one, err)
		}
		if _, err := tx.EventByID(ctx, learner, newID()); errs.KindOf(err) != errs.NotFound {
			return fmt.Errorf("an unknown event: %w", err)
		}
		known, err := tx.KnownEvents(ctx, []progress.EventKey{{LearnerID: learner, EventID: newID()}, {LearnerID: learner, EventID: full.Event.ID}})
		want := []progress.KnownEvent{{
			LearnerID: learner, EventID: full.Event.ID, Sequence: 1, PayloadHash: full.PayloadHash,
			ModuleID: "m", ModuleVersion: 2, UnitID: "u", EffectiveAt: full.EffectiveAt,
		}}
		if err != nil || !reflect.DeepEqual(known, want) {
			return fmt.Errorf("known events: %+v, %w", known, err)
		}
		known, err = tx.KnownEvents(ctx, []progress.EventKey{{LearnerID: learner, EventID: bare.Event.ID}})
		want = []progress.KnownEvent{{LearnerID: learner, EventID: bare.Event.ID, Sequence: 2, ModuleID: "other", ModuleVersion: 1, EffectiveAt: at}}
		if err != nil || !reflect.DeepEqual(known, want) {
			return fmt.Errorf("a known event without a unit: %+v, %w", known, err)
		}
		return nil
	}))
}

// knownEvents asks for more learners than a store may want to ask about at once, of each for another
// number of events, one of which the log has. Another learner has an event of the same id.
func knownEvents(t *testing.T, s Store) {
	ctx := t.Context()
	var learners []string
	for range 40 {
		learners = append(learners, newID())
	}
	shared := newID()
	want := map[progress.EventKey]int64{}
	must(t, commit(ctx, s, learners, func(ctx context.Context, tx progress.Tx) error {
		var keys []progress.EventKey
		var records []progress.Record
		for i, learner := range learners {
			id := newID()
			if i%2 == 0 {
				id = shared
			}
			records = append(records, entry(learner, int64(i+1), id))
			want[progress.EventKey{LearnerID: learner, EventID: id}] = int64(i + 1)
			for range i % 7 {
				keys = append(keys, progress.EventKey{LearnerID: learner, EventID: newID()})
			}
			keys = append(keys, progress.EventKey{LearnerID: learner, EventID: id}, progress.EventKey{LearnerID: learner, EventID: shared})
		}
		if err := tx.Append(ctx, records); err != nil {
			return err
		}
		known, err := tx.KnownEvents(ctx, keys)
		got := map[progress.EventKey]int64{}
		for _, k := range known {
			got[progress.EventKey{LearnerID: k.LearnerID, EventID: k.EventID}] = k.Sequence
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			return fmt.Errorf("known events: %v, want %v, %w", got, want, err)
		}
		return nil
	}))
}

// idOrder has learners whose ids differ in each part, and pages through them.
func idOrder(t *testing.T, s Store) {
	ctx := t.Context()
	ids := []string{
		"00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-0000000000a0", "00000000-0000-0000-00ff-000000000000",
		"00000000-0000-00a0-0000-000000000000", "00000000-9000-0000-0000-000000000000", "7fffffff-ffff-ffff-ffff-ffffffffffff",
		"80000000-0000-0000-0000-000000000000", "9a000000-0000-0000-0000-000000000000", "a9000000-0000-0000-0000-000000000000",
		"ffffffff-ffff-ffff-ffff-ffffffffffff",
	}
	for _, id := range slices.Backward(ids) {
		must(t, add(ctx, s, id, entry(id, 1, id)))
	}
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		page, err := s.Heads(ctx, after, 3)
		must(t, err)
		if len(page) == 0 {
			break
		}
		for _, h := range page {
			got = append(got, h.LearnerID)
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("heads: %q", got)
	}
	must(t, s.Snapshot(ctx, ids[2], ids[7], func(ctx context.Context, snapshot progress.Snapshot) error {
		all, err := readSnapshot(ctx, snapshot)
		if len(all.heads) != 6 || len(all.entries) != 6 || all.entries[0].Event.ID != ids[2] || all.entries[5].LearnerID != ids[7] {
			t.Errorf("a range: %+v", all)
		}
		return err
	}))
}

// oddIDs writes and reads by texts that are no UUIDs, or not as they are written.
func oddIDs(t *testing.T, s Store) {
	ctx, learner := t.Context(), newID()
	for _, odd := range []string{"", "learner", strings.ToUpper(newID()), "urn:uuid:" + newID(), strings.ReplaceAll(newID(), "-", ""), newID() + "0"} {
		if _, err := s.Head(ctx, odd); errs.KindOf(err) != errs.Internal {
			t.Errorf("the head of %q: %v", odd, err)
		}
		if err := add(ctx, s, odd, entry(odd, 1, newID())); errs.KindOf(err) != errs.Internal {
			t.Errorf("a commit of %q: %v", odd, err)
		}
		if odd == "" {
			continue
		}
		if err := add(ctx, s, learner, entry(learner, 1, odd)); errs.KindOf(err) != errs.Internal {
			t.Errorf("the event %q: %v", odd, err)
		}
	}
	if l, err := s.Load(ctx, learner); err != nil || l.Head.Sequence != 0 {
		t.Errorf("something was stored: %+v, %v", l, err)
	}
}

func nameCase(t *testing.T, s Store) {
	ctx, learner := t.Context(), newID()
	modules := []string{"B", "a", "b", "Z-1", "z", "é"}
	must(t, commit(ctx, s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
		facts := map[progress.FactsKey]*progress.Facts{}
		for i, id := range modules {
			facts[progress.FactsKey{LearnerID: learner, ModuleID: id}] = &progress.Facts{LastAt: int64(i + 1)}
		}
		tx.Head(learner).Version++
		return tx.PutFacts(ctx, facts)
	}))
	l, err := s.Load(ctx, learner)
	must(t, err)
	for i, id := range modules {
		if f := l.Facts[id]; f == nil || f.LastAt != int64(i+1) {
			t.Errorf("facts of %q: %+v", id, f)
		}
	}
	upper := entry(learner, 1, newID())
	upper.Event.ModuleID, upper.Event.UnitID = "M", "U"
	must(t, add(ctx, s, learner, upper))
	got, err := s.ModuleLog(ctx, learner, "m")
	must(t, err)
	if len(got) != 0 {
		t.Error("ids are compared without case")
	}
}

func uniqueEvents(t *testing.T, s Store) {
	ctx, one, two, id := t.Context(), newID(), newID(), newID()
	must(t, add(ctx, s, one, entry(one, 1, id)))
	must(t, add(ctx, s, two, entry(two, 1, id)))
	if err := add(ctx, s, one, entry(one, 2, id)); errs.KindOf(err) != errs.AlreadyExists {
		t.Errorf("the same id twice: %v", err)
	}
	if err := add(ctx, s, one, entry(one, 1, newID())); errs.KindOf(err) != errs.AlreadyExists {
		t.Errorf("the same sequence twice: %v", err)
	}
}

func voids(t *testing.T, s Store) {
	ctx, learner, target := t.Context(), newID(), newID()
	is := func() (voided bool) {
		must(t, commit(ctx, s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
			var err error
			voided, err = tx.IsVoided(ctx, learner, target)
			return err
		}))
		return voided
	}
	must(t, add(ctx, s, learner, entry(learner, 1, target)))
	if is() {
		t.Error("voided before its void")
	}
	void := entry(learner, 2, newID())
	void.Event.Verb, void.Event.VoidsEventID = progress.Voided, target
	must(t, add(ctx, s, learner, void))
	if !is() {
		t.Error("not voided after its void")
	}
	void.Sequence, void.Event.ID = 3, newID()
	if err := add(ctx, s, learner, void); errs.KindOf(err) != errs.AlreadyExists {
		t.Errorf("voided twice: %v", err)
	}
}

func rollback(t *testing.T, s Store) {
	ctx, learner := t.Context(), newID()
	boom := errors.New("boom")
	err := commit(ctx, s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
		tx.Head(learner).Sequence = 1
		if err := tx.Append(ctx, []progress.Record{entry(learner, 1, newID())}); err != nil {
			return err
		}
		if err := tx.PutFacts(ctx, map[progress.FactsKey]*progress.Facts{{LearnerID: learner, ModuleID: "m"}: {}}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("the error: %v", err)
	}
	l, err := s.Load(ctx, learner)
	must(t, err)
	records, _, err := s.Log(ctx, learner, 0, 10)
	must(t, err)
	if l.Head.Sequence != 0 || len(l.Facts) != 0 || len(records) != 0 {
		t.Errorf("left behind: %+v %+v", l, records)
	}
}

func racing(t *testing.T, s Store) {
	ctx := t.Context()
	learners := []string{newID(), newID(), newID()}
	const writers, each = 6, 15
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				// Learners in another order for each writer: locking must not deadlock.
				ids := slices.Concat(learners[w%3:], learners[:w%3])
				err := commit(ctx, s, ids, func(ctx context.Context, tx progress.Tx) error {
					var records []progress.Record
					for _, id := range ids {
						h := tx.Head(id)
						h.Sequence++
						h.Version++
						records = append(records, entry(id, h.Sequence, newID()))
					}
					return tx.Append(ctx, records)
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, id := range learners {
		records, head, err := s.Log(ctx, id, 0, 1000)
		must(t, err)
		if head.Sequence != writers*each || len(records) != writers*each {
			t.Errorf("head %+v, %d entries", head, len(records))
		}
		for i := range records {
			if records[i].Sequence != int64(i+1) {
				t.Fatalf("entry %d has sequence %d", i, records[i].Sequence)
			}
		}
	}
}

func learnerState(t *testing.T, s Store) {
	learner := newID()
	w := &progress.Learner{
		Facts:       map[string]*progress.Facts{"m": sampleFacts()},
		Enrollments: []progress.Enrollment{sampleEnrollment(learner)},
		Awards:      []progress.Award{sampleAward(learner)},
	}
	putLearner(t, s, learner, w)
	checkLearner(t, s, learner, w)
	facts, e, a := w.Facts["m"], &w.Enrollments[0], &w.Awards[0]
	facts.LastAt, facts.Cycles[0].ExpireAt, facts.Aside, facts.Days = 8, 0, nil, nil
	e.State, e.PreviousPercent, e.PercentChange = progress.EnrollmentActive, nil, nil
	a.AwardTime, a.Completions, a.RevokeTime, a.RevokeReason = at.Add(-time.Hour), nil, at.Add(time.Hour), "forged"
	a.Number, a.Revocations, a.RevokedAt, a.Rules = 3, 2, 9, progress.RulesVersion+1
	putLearner(t, s, learner, w)
	checkLearner(t, s, learner, w)
	factsInside(t, s, progress.FactsKey{LearnerID: learner, ModuleID: "m"}, facts)
}

// sampleFacts returns facts with a complete cycle, and a renewal gathered aside.
func sampleFacts() *progress.Facts {
	return &progress.Facts{
		Key:          "r2;k",
		LastAt:       7,
		LastOccurred: 6,
		LastID:       "e",
		Zone:         "Asia/Tokyo",
		FirstAt:      3,
		Resume:       &progress.Resume{UnitID: "u", Progress: new(0.25), OccurredAt: 4},
		Cycles: []progress.CycleFacts{
			{
				Number: 1, Opening: progress.OpenedFirst, BeginAt: 3, CompleteAt: 5, CompleteVersion: 2, ExpireAt: 9, WindowAt: 8, Versions: []int{1, 2},
				Zone: "Europe/Berlin", Chain: &progress.Chain{At: 5, Zone: "Europe/Berlin"},
				Units: []progress.UnitFacts{{UnitID: "u", Era: 1, CompletedAt: 5, Score: new(0.3), Attempts: 2, Versions: []int{2}}},
			},
		},
		Aside: &progress.CycleFacts{
			Number: 2, Opening: progress.OpenedRenewal, BeginAt: 7, Versions: []int{2},
			Units: []progress.UnitFacts{{UnitID: "u", Era: 1, Progress: new(0.5), Versions: []int{2}}},
		},
		Days: []int{20_411, 20_412},
	}
}

// sampleEnrollment returns an enrollment whose percent has fallen.
func sampleEnrollment(learner string) progress.Enrollment {
	return progress.Enrollment{
		ID:              newID(),
		LearnerID:       learner,
		PathID:          "p",
		PathVersion:     2,
		State:           progress.EnrollmentPaused,
		EnrollTime:      at,
		UpdateTime:      at.Add(time.Second),
		PreviousPercent: new(50),
		PercentChange:   &progress.PercentChange{Code: progress.ChangeMaterial, PathVersion: 2, ModuleID: "m", ModuleVersion: 3},
	}
}

// sampleAward returns an award that is not revoked.
func sampleAward(learner string) progress.Award {
	return progress.Award{
		ID:           newID(),
		Number:       1,
		LearnerID:    learner,
		PathID:       "p",
		PathVersion:  2,
		MilestoneID:  "ms",
		Title:        "T",
		AwardTime:    at,
		FromSequence: 3,
		ToSequence:   7,
		Rules:        progress.RulesVersion,
		Completions:  []progress.Completion{{ModuleID: "m", Version: 2, Cycle: 1, CompleteTime: at}},
		Rule:         progress.Milestone{ID: "ms", Title: "T", Groups: []progress.Group{{ModuleIDs: []string{"m", "n", "o"}, RequiredCount: new(2)}}},
	}
}

// putLearner stores the facts of module "m", the enrollments and the awards of w.
func putLearner(t *testing.T, s Store, learner string, w *progress.Learner) {
	t.Helper()
	must(t, commit(t.Context(), s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
		tx.Head(learner).Version++
		return errors.Join(
			tx.PutFacts(ctx, map[progress.FactsKey]*progress.Facts{{LearnerID: learner, ModuleID: "m"}: w.Facts["m"]}),
			tx.PutEnrollments(ctx, w.Enrollments),
			tx.PutAwards(ctx, w.Awards),
		)
	}))
}

// checkLearner checks that Load returns w, with whatever head.
func checkLearner(t *testing.T, s Store, learner string, w *progress.Learner) {
	t.Helper()
	l, err := s.Load(t.Context(), learner)
	must(t, err)
	want := *w
	want.Head = l.Head
	if !reflect.DeepEqual(l, &want) {
		t.Errorf("got  %+v\nwant %+v", l, &want)
	}
}

// factsInside checks what a transaction reads.
func factsInside(t *testing.T, s Store, key progress.FactsKey, facts *progress.Facts) {
	t.Helper()
	learner := key.LearnerID
	must(t, commit(t.Context(), s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
		got, err := tx.Facts(ctx, []progress.FactsKey{key, {LearnerID: learner, ModuleID: "none"}})
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[key], facts) {
			return fmt.Errorf("facts inside: %+v, %w", got, err)
		}
		l, err := tx.Complete(ctx, []progress.Head{*tx.Head(learner)})
		if err != nil || len(l[learner].Awards) != 1 {
			return fmt.Errorf("awards inside: %+v, %w", l[learner], err)
		}
		return nil
	}))
}

func onePerPath(t *testing.T, s Store) {
	ctx, learner := t.Context(), newID()
	put := func(e progress.Enrollment) error {
		return commit(ctx, s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
			return tx.PutEnrollments(ctx, []progress.Enrollment{e})
		})
	}
	one := progress.Enrollment{
		ID:          newID(),
		LearnerID:   learner,
		PathID:      "p",
		PathVersion: 1,
		State:       progress.EnrollmentActive,
		EnrollTime:  at,
		UpdateTime:  at,
	}
	two := one
	two.ID = newID()
	must(t, put(one))
	if err := put(two); errs.KindOf(err) != errs.AlreadyExists {
		t.Errorf("a second one: %v", err)
	}
	one.State = progress.EnrollmentWithdrawn
	must(t, put(one))
	must(t, put(two))
}

func manyRows(t *testing.T, s Store) {
	ctx := t.Context()
	var ids []string
	for range 300 {
		ids = append(ids, newID())
	}
	must(t, commit(ctx, s, ids, func(ctx context.Context, tx progress.Tx) error {
		var records []progress.Record
		facts := map[progress.FactsKey]*progress.Facts{}
		for _, id := range ids {
			h := tx.Head(id)
			for range 3 {
				h.Sequence++
				records = append(records, entry(id, h.Sequence, newID()))
			}
			facts[progress.FactsKey{LearnerID: id, ModuleID: "m"}] = &progress.Facts{LastAt: 1}
		}
		return errors.Join(tx.Append(ctx, records), tx.PutFacts(ctx, facts))
	}))
	for _, id := range ids {
		h, err := s.Head(ctx, id)
		must(t, err)
		if h.Sequence != 3 {
			t.Fatalf("%s at %d", id, h.Sequence)
		}
	}
}

func catalog(t *testing.T, s Store) {
	ctx := t.Context()
	d, err := s.LoadCatalog(ctx)
	must(t, err)
	if d.Revision != 0 || d.Modules != nil || d.Paths != nil {
		t.Errorf("empty: %+v", d)
	}
	mastery := 0.8
	m := progress.Module{
		ID:    "m",
		State: progress.ModuleActive,
		Versions: []progress.ModuleVersion{{
			Number: 1, Title: "T", PublishTime: at, EffectiveTime: at, Credits: [][]string{{"x"}},
			Units: []progress.Unit{{ID: "u", Required: true, Weight: 2, MoveOn: progress.MoveOnPassed, MasteryScore: &mastery}},
		}},
	}
	p := progress.Path{
		ID:    "p",
		State: progress.ModuleActive,
		Versions: []progress.PathVersion{
			{Number: 1, Title: "P", Milestones: []progress.Milestone{{ID: "ms", Groups: []progress.Group{{ModuleIDs: []string{"m"}}}}}},
		},
	}
	must(t, s.SaveCatalog(ctx, progress.CatalogDelta{Revision: 5, Modules: []progress.Module{m}, Paths: []progress.Path{p}}))
	old := m
	old.State = progress.ModuleArchived
	must(t, s.SaveCatalog(ctx, progress.CatalogDelta{Revision: 4, Modules: []progress.Module{old}}))
	d, err = s.LoadCatalog(ctx)
	must(t, err)
	want := progress.CatalogDelta{Revision: 5, Modules: []progress.Module{m}, Paths: []progress.Path{p}}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got  %+v\nwant %+v", d, want)
	}
}

func links(t *testing.T, s Store) {
	ctx := t.Context()
	if _, err := s.FindLink(ctx, "i", "s"); errs.KindOf(err) != errs.NotFound {
		t.Errorf("unknown: %v", err)
	}
	for _, want := range []progress.Link{
		{LearnerID: newID()}, {LearnerID: newID(), TimeZone: "Europe/Berlin", Since: at}, {LearnerID: newID(), TimeZone: "Asia/Tokyo"},
	} {
		must(t, s.SaveLink(ctx, "i", "s", want))
		got, err := s.FindLink(ctx, "i", "s")
		must(t, err)
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if _, err := s.FindLink(ctx, "I", "s"); errs.KindOf(err) != errs.NotFound {
		t.Errorf("another issuer: %v", err)
	}
}

func zones(t *testing.T, s Store) {
	ctx, one, two := t.Context(), newID(), newID()
	head := func(learner string) progress.Head {
		t.Helper()
		h, err := s.Head(ctx, learner)
		must(t, err)
		h.Timeline = "" // is about no zone
		return h
	}
	revision := func(want int64) {
		t.Helper()
		if got, err := s.ZoneRevision(ctx); err != nil || got != want {
			t.Errorf("revision %d, %v; want %d", got, err, want)
		}
	}
	revision(0)
	must(t, add(ctx, s, one, entry(one, 1, newID())))
	berlin := []progress.LearnerZone{{LearnerID: two, TimeZone: "Europe/Berlin"}, {LearnerID: one, TimeZone: "Europe/Berlin"}}
	must(t, saveZones(ctx, s, 5, berlin))
	revision(5)
	if h := head(one); h != (progress.Head{LearnerID: one, Sequence: 1, Version: 2, Known: true, TimeZone: "Europe/Berlin", Rules: progress.RulesVersion}) {
		t.Errorf("a learner with a log: %+v", h)
	}
	if h := head(two); h != (progress.Head{LearnerID: two, Version: 1, Known: true, TimeZone: "Europe/Berlin", Rules: progress.RulesVersion}) {
		t.Errorf("a learner without: %+v", h)
	}
	must(t, saveZones(ctx, s, 6, berlin))
	if h := head(one); h.Version != 2 {
		t.Errorf("the same zone again: %+v", h)
	}
	must(t, saveZones(ctx, s, 4, []progress.LearnerZone{{LearnerID: one, TimeZone: "Asia/Tokyo"}}))
	revision(6)
	if h := head(one); h.TimeZone != "Europe/Berlin" {
		t.Errorf("an older revision counted: %+v", h)
	}
	// A commit sees the zone, and leaves it; a link says it too.
	must(t, commit(ctx, s, []string{one}, func(_ context.Context, tx progress.Tx) error {
		if h := tx.Head(one); h.TimeZone != "Europe/Berlin" {
			return fmt.Errorf("inside: %+v", h)
		}
		tx.Head(one).Version++
		return nil
	}))
	must(t, s.SaveLink(ctx, "iss", "sub", progress.Link{LearnerID: two, TimeZone: "Asia/Tokyo"}))
	if one, two := head(one), head(two); one.TimeZone != "Europe/Berlin" || one.Version != 3 || two.TimeZone != "Asia/Tokyo" || two.Version != 2 {
		t.Errorf("afterwards: %+v, %+v", one, two)
	}
}

func idempotency(t *testing.T, s Store) {
	ctx, learner := t.Context(), newID()
	key := idem.Key{Caller: learner, Method: "/m", Key: "k", Hash: [32]byte{1}}
	find := func(k idem.Key) (answer []byte, found bool, err error) {
		err = commit(ctx, s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
			var err error
			answer, found, err = tx.FindIdempotent(ctx, k, at)
			return err
		})
		return answer, found, err
	}
	if _, found, err := find(key); found || err != nil {
		t.Errorf("before: %v %v", found, err)
	}
	must(t, commit(ctx, s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
		return tx.SaveIdempotent(ctx, key, []byte("answer"), at)
	}))
	if answer, found, err := find(key); string(answer) != "answer" || !found || err != nil {
		t.Errorf("after: %q %v %v", answer, found, err)
	}
	key.Hash = [32]byte{2}
	if _, _, err := find(key); errs.ReasonOf(err) != errs.ReasonIdempotencyKeyReused {
		t.Errorf("another request: %v", err)
	}
}

func incarnation(t *testing.T, s Store) {
	ctx := t.Context()
	one, err := s.Incarnation(ctx)
	must(t, err)
	two, err := s.Incarnation(ctx)
	must(t, err)
	if err := uuid.Validate(one[:min(36, len(one))]); err != nil || one != two {
		t.Errorf("%q, then %q", one, two)
	}
}

func sweep(t *testing.T, s Store) {
	ctx := t.Context()
	w, err := s.LeaseSweep(ctx, "one", at, at.Add(time.Minute))
	must(t, err)
	if w == nil || *w != (progress.Sweep{Owner: "one", LeaseUntil: at.Add(time.Minute)}) {
		t.Fatalf("the first lease: %+v", w)
	}
	w.Revision, w.At, w.ToRevision, w.ToAt, w.Cursor = 3, at, 4, at.Add(time.Second), "c"
	must(t, s.SaveSweep(ctx, *w))
	if other, err := s.LeaseSweep(ctx, "two", at.Add(time.Second), at.Add(time.Hour)); other != nil || err != nil {
		t.Errorf("while one holds it: %+v %v", other, err)
	}
	other, err := s.LeaseSweep(ctx, "two", at.Add(2*time.Minute), at.Add(time.Hour))
	must(t, err)
	want := *w
	want.Owner, want.LeaseUntil = "two", at.Add(time.Hour)
	if other == nil || *other != want {
		t.Errorf("after the lease ran out: %+v, want %+v", other, want)
	}
	if err := s.SaveSweep(ctx, *w); errs.KindOf(err) != errs.Aborted {
		t.Errorf("one saves what two holds: %v", err)
	}
	must(t, s.FreeSweep(ctx, "one"))
	if w, err := s.LeaseSweep(ctx, "one", at.Add(2*time.Minute), at.Add(time.Hour)); w != nil || err != nil {
		t.Errorf("one freed what two holds: %+v %v", w, err)
	}
	must(t, s.FreeSweep(ctx, "two"))
	w, err = s.LeaseSweep(ctx, "one", at.Add(2*time.Minute), at.Add(time.Hour))
	if want.Owner = "one"; err != nil || w == nil || *w != want {
		t.Errorf("after two freed it: %+v %v, want %+v", w, err, want)
	}
}

func enrolled(t *testing.T, s Store) {
	ctx := t.Context()
	var ids []string
	for i := range 5 {
		id := newID()
		e := progress.Enrollment{ID: newID(), LearnerID: id, PathID: "p", PathVersion: 1, State: progress.EnrollmentActive, EnrollTime: at, UpdateTime: at}
		switch i {
		case 1:
			e.PathID = "other"
		case 2:
			e.State = progress.EnrollmentWithdrawn
		default:
			ids = append(ids, id)
		}
		must(t, commit(ctx, s, []string{id}, func(ctx context.Context, tx progress.Tx) error {
			return tx.PutEnrollments(ctx, []progress.Enrollment{e})
		}))
	}
	one, err := s.Enrolled(ctx, []string{"p", "q"}, "", 2)
	must(t, err)
	two, err := s.Enrolled(ctx, []string{"p", "q"}, one[len(one)-1], 2)
	must(t, err)
	if got := slices.Concat(one, two); !slices.Equal(got, ids) || len(one) != 2 {
		t.Errorf("got %v, want %v", got, ids)
	}
}

// factsOf are facts of a module that the catalog folds under a key, at a time, with one cycle.
func factsOf(key string, last int64, cycle progress.CycleFacts) *progress.Facts {
	cycle.Number = 1
	return &progress.Facts{Key: key, LastAt: last, Cycles: []progress.CycleFacts{cycle}}
}

// putFacts stores facts of module "m" of as many new learners, and returns their ids.
func putFacts(t *testing.T, s Store, facts ...*progress.Facts) []string {
	t.Helper()
	var ids []string
	for _, f := range facts {
		id := newID()
		ids = append(ids, id)
		must(t, commit(t.Context(), s, []string{id}, func(ctx context.Context, tx progress.Tx) error {
			return tx.PutFacts(ctx, map[progress.FactsKey]*progress.Facts{{LearnerID: id, ModuleID: "m"}: f, {LearnerID: id, ModuleID: "other"}: f})
		}))
	}
	return ids
}

func groupsOf(t *testing.T, s Store) []progress.FactsGroup {
	t.Helper()
	var out []progress.FactsGroup
	must(t, s.Survey(t.Context(), func(ctx context.Context, v progress.Survey) error {
		var err error
		out, err = v.FactsGroups(ctx, "m")
		return err
	}))
	slices.SortFunc(out, func(a, b progress.FactsGroup) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return out
}

func surveyFacts(t *testing.T, s Store) {
	const key = "m2@10;m3@20;"
	unit := func(id string, completed int64) []progress.UnitFacts {
		return []progress.UnitFacts{{UnitID: id, CompletedAt: completed, Versions: []int{1}}}
	}
	open := func(id string, completed int64) *progress.Facts {
		return factsOf(key, 15, progress.CycleFacts{Versions: []int{1}, Units: unit(id, completed)})
	}
	ids := putFacts(t, s,
		&progress.Facts{Key: key, LastAt: 15},
		open("a", 3), open("a", 5), open("a", 0), open("b", 3),
		factsOf(key, 25, progress.CycleFacts{CompleteAt: 25, CompleteVersion: 3}),
		factsOf(key, 25, progress.CycleFacts{CompleteAt: 25, CompleteVersion: 3, WaivedAt: 25}),
		factsOf("", 25, progress.CycleFacts{CompleteAt: 25, CompleteVersion: 1}))
	openGroup := progress.FactsGroup{Key: key, Materials: 1, CycleState: progress.CycleOpen, Learners: 4}
	want := []progress.FactsGroup{
		{Key: key, Materials: 1, CycleState: progress.CycleNone, Learners: 1},
		openGroup,
		{Key: key, Materials: 2, CycleState: progress.CycleDone, CompleteVersion: 3, Learners: 2},
		{CycleState: progress.CycleDone, CompleteVersion: 1, Learners: 1},
	}
	slices.SortFunc(want, func(a, b progress.FactsGroup) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	if got := groupsOf(t, s); !slices.Equal(got, want) {
		t.Errorf("groups\n%+v\nwant\n%+v", got, want)
	}
	must(t, s.Survey(t.Context(), func(ctx context.Context, v progress.Survey) error {
		shapes, err := v.FactsShapes(ctx, "m", openGroup)
		counts := map[string]int64{}
		for _, shape := range shapes {
			counts[shape.LearnerID] = shape.Learners
			if l, err := s.Load(ctx, shape.LearnerID); err != nil || !reflect.DeepEqual(l.Facts["m"], shape.Facts) {
				t.Errorf("a shape's facts %+v, its learner's %+v, %v", shape.Facts, l, err)
			}
		}
		if want := map[string]int64{ids[1]: 2, ids[3]: 1, ids[4]: 1}; err != nil || !maps.Equal(counts, want) {
			t.Errorf("shapes %v, want %v, %v", counts, want, err)
		}
		one, err1 := v.FactsOf(ctx, "m", openGroup, "", 3)
		two, err2 := v.FactsOf(ctx, "m", openGroup, one[len(one)-1].LearnerID, 3)
		var got []string
		for _, l := range slices.Concat(one, two) {
			got = append(got, l.LearnerID)
		}
		if !slices.Equal(got, ids[1:5]) || len(one) != 3 || !reflect.DeepEqual(one[1].Facts, open("a", 5)) {
			t.Errorf("in pages: %v, want %v", got, ids[1:5])
		}
		done, err3 := v.FactsOf(ctx, "m", progress.FactsGroup{CycleState: progress.CycleDone, CompleteVersion: 1}, "", 3)
		if len(done) != 1 || done[0].LearnerID != ids[7] {
			t.Errorf("a group that is done: %+v", done)
		}
		return errors.Join(err1, err2, err3)
	}))
	factsMove(t, s, ids[1])
}

// factsMove checks that facts are counted where they stand after they were written again.
func factsMove(t *testing.T, s Store, learner string) {
	t.Helper()
	key := progress.FactsKey{LearnerID: learner, ModuleID: "m"}
	for _, f := range []*progress.Facts{
		factsOf("k", 30, progress.CycleFacts{Versions: []int{1}}),
		factsOf("k", 31, progress.CycleFacts{Versions: []int{1, 2}}), // the same group, another shape
		factsOf("k", 40, progress.CycleFacts{CompleteAt: 40, CompleteVersion: 2}),
		factsOf("l", 40, progress.CycleFacts{CompleteAt: 40, CompleteVersion: 3}),
	} {
		must(t, commit(t.Context(), s, []string{learner}, func(ctx context.Context, tx progress.Tx) error {
			if _, err := tx.Facts(ctx, []progress.FactsKey{key}); err != nil {
				return err
			}
			return tx.PutFacts(ctx, map[progress.FactsKey]*progress.Facts{key: f})
		}))
		sum := f.Summary()
		want := progress.FactsGroup{Key: sum.Key, Materials: sum.Materials, CycleState: sum.CycleState, CompleteVersion: sum.CompleteVersion, Learners: 1}
		if got := groupsOf(t, s); !slices.Contains(got, want) {
			t.Errorf("no group %+v in %+v", want, got)
		}
		must(t, s.Survey(t.Context(), func(ctx context.Context, v progress.Survey) error {
			shapes, err := v.FactsShapes(ctx, "m", want)
			if len(shapes) != 1 || !reflect.DeepEqual(shapes[0].Facts, f) {
				t.Errorf("shapes %+v, want %+v", shapes, f)
			}
			return err
		}))
	}
}

func surveyPaths(t *testing.T, s Store) {
	for i, e := range []progress.Enrollment{
		{PathID: "p", PathVersion: 1, State: progress.EnrollmentActive},
		{PathID: "p", PathVersion: 2, State: progress.EnrollmentPaused},
		{PathID: "p", PathVersion: 2, State: progress.EnrollmentActive},
		{PathID: "p", PathVersion: 3, State: progress.EnrollmentWithdrawn},
		{PathID: "q", PathVersion: 1, State: progress.EnrollmentActive},
		{PathID: "r", PathVersion: 1, State: progress.EnrollmentActive},
	} {
		e.ID, e.LearnerID, e.EnrollTime, e.UpdateTime = newID(), newID(), at, at
		a := progress.Award{ID: newID(), LearnerID: e.LearnerID, PathID: e.PathID, PathVersion: 1, MilestoneID: fmt.Sprint("m", i%3), AwardTime: at}
		if i == 4 {
			a.PathID, a.MilestoneID, a.RevokeTime, a.RevokeReason = "p", "m0", at, "why"
		}
		must(t, commit(t.Context(), s, []string{e.LearnerID}, func(ctx context.Context, tx progress.Tx) error {
			return errors.Join(tx.PutEnrollments(ctx, []progress.Enrollment{e}), tx.PutAwards(ctx, []progress.Award{a}))
		}))
	}
	must(t, s.Survey(t.Context(), func(ctx context.Context, v progress.Survey) error {
		got, err := v.Enrollments(ctx, []string{"q", "p", "none"})
		want := []progress.PinnedEnrollments{
			{PathID: "p", PathVersion: 1, Count: 1}, {PathID: "p", PathVersion: 2, Count: 2}, {PathID: "q", PathVersion: 1, Count: 1},
		}
		if !slices.Equal(got, want) {
			t.Errorf("enrollments %+v, want %+v", got, want)
		}
		none, err1 := v.Enrollments(ctx, nil)
		if len(none) != 0 {
			t.Errorf("enrollments in no path: %+v", none)
		}
		held, err2 := v.AwardsHeld(ctx, "p", []string{"m0", "m2"})
		if held != 3 { // of the learners 0, 2 and 3
			t.Errorf("%d awards held, want 3", held)
		}
		return errors.Join(err, err1, err2)
	}))
}

func surveySnapshot(t *testing.T, s Store) {
	learner := newID()
	must(t, add(t.Context(), s, learner, entry(learner, 1, newID())))
	putFacts(t, s, factsOf("", 1, progress.CycleFacts{}))
	must(t, s.Survey(t.Context(), func(ctx context.Context, v progress.Survey) error {
		before, err := v.FactsGroups(ctx, "m")
		if err != nil {
			return err
		}
		putFacts(t, s, factsOf("", 1, progress.CycleFacts{})) //nolint:contextcheck // another transaction, beside the snapshot's
		must(t, add(ctx, s, learner, entry(learner, 2, newID())))
		after, err1 := v.FactsGroups(ctx, "m")
		head, err2 := v.Head(ctx, learner)
		log, err3 := v.ModuleLog(ctx, learner, "m")
		if !slices.Equal(before, after) || head.Sequence != 1 || len(log) != 1 {
			t.Errorf("a survey saw what was written since: %+v, head %+v, %d entries", after, head, len(log))
		}
		return errors.Join(err1, err2, err3)
	}))
}

func outdated(t *testing.T, s Store) {
	const key = "m2@10;"
	fresh := []progress.Freshness{{ModuleID: "x", Key: key, Materials: 1}, {ModuleID: "m", Key: key, Materials: 1}, {ModuleID: "other", Key: key, Materials: 1}}
	ids := putFacts(t, s,
		factsOf(key, 9, progress.CycleFacts{}),
		factsOf(key, 10, progress.CycleFacts{}),
		factsOf("", 10, progress.CycleFacts{}),
		&progress.Facts{Key: key, LastAt: 9}, // nothing counted, so nothing comes into effect
		factsOf("m2@11;", 11, progress.CycleFacts{CompleteAt: 11, CompleteVersion: 2}))
	one, err := s.Outdated(t.Context(), fresh, "", 2)
	must(t, err)
	two, err := s.Outdated(t.Context(), fresh, one[len(one)-1], 2)
	must(t, err)
	if got, want := slices.Concat(one, two), []string{ids[0], ids[2], ids[4]}; !slices.Equal(got, want) || len(one) != 2 {
		t.Errorf("got %v, want %v", got, want)
	}
	none, err := s.Outdated(t.Context(), nil, "", 2)
	must(t, err)
	if len(none) != 0 {
		t.Errorf("of no module: %v", none)
	}
}
