// Package catalogtest is the contract of catalog.Store as a test suite. Each store,
// and each decorator of one, runs it.
package catalogtest

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

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// start is when the suite's clock begins.
var start = time.Date(2026, time.March, 1, 12, 0, 0, 123456000, time.UTC)

// Run runs the suite; newStore returns an empty store for each case.
func Run(t *testing.T, newStore func(t *testing.T) catalog.Store) {
	t.Helper()
	cases := map[string]func(*testing.T, catalog.Store){
		"a draft comes back as it was stored":              testDraft,
		"what is unknown is not found":                     testUnknown,
		"a published item comes back with its version":     testPublished,
		"modules and paths do not meet":                    testKinds,
		"an edit that fails leaves nothing":                testRollback,
		"revisions are gapless under racing edits":         testRevisions,
		"no racing edit is lost":                           testRace,
		"a version is stored once":                         testVersionOnce,
		"what is deleted leaves nothing":                   testDelete,
		"versions come newest first":                       testVersions,
		"lists go by id in byte order":                     testOrder,
		"lists go by titles and times, and then by id":     testOrders,
		"lists filter newest versions, or drafts":          testFilters,
		"lists have only the ids that are asked for":       testIDs,
		"words are found in any case, as they are":         testWords,
		"each edit makes another state":                    testState,
		"topics count active modules":                      testTopics,
		"the graph is that of newest versions":             testGraph,
		"changes and snapshots follow a revision":          testFollow,
		"a response is stored with what it responds to":    testAnswers,
		"an edit reads what it wrote and others have not":  testIsolation,
		"a snapshot holds what was published and no draft": testSnapshotDrafts,
		"a mandate time comes back with its version":       testMandate,
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newStore(t))
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantReason(t *testing.T, err error, kind errs.Kind, reason string) {
	t.Helper()
	if errs.KindOf(err) != kind || errs.ReasonOf(err) != reason {
		t.Errorf("error %v (%s), want reason %s", err, errs.ReasonOf(err), reason)
	}
}

func wantEqual(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}

func edit(t *testing.T, store catalog.Store, f func(ctx context.Context, tx catalog.Tx) error) {
	t.Helper()
	must(t, store.Edit(t.Context(), f))
}

func content(title string) catalog.ModuleContent {
	return catalog.ModuleContent{
		Topic: "hipaa", Title: title, Level: "FOUNDATION", Roles: []string{"clinical-ai-engineer"},
		Units: []catalog.Unit{{ID: "one", Kind: catalog.UnitReading, Required: new(true), Weight: new(1.5), MoveOn: catalog.MoveOnCompleted}},
	}
}

func draft(id string) catalog.Module {
	return catalog.Module{ID: id, State: catalog.StateDraft, Draft: new(content(id)), Edits: 1, UpdateTime: start}
}

// published is the module, with its next version.
func published(m catalog.Module, c catalog.ModuleContent) catalog.Module {
	m.State, m.Draft = catalog.StateActive, nil
	m.Edits++
	m.UpdateTime = m.UpdateTime.Add(time.Second)
	m.Version = &catalog.Version[catalog.ModuleContent]{
		Number: m.Latest() + 1, Content: c, ContentHash: fmt.Sprintf("hash-%s-%d", m.ID, m.Latest()+1),
		PublishTime: m.UpdateTime, EffectiveTime: m.UpdateTime.Add(time.Hour),
	}
	if m.Version.Number > 1 {
		m.Version.ChangeClass, m.Version.Retake = catalog.ClassMaterial, catalog.RetakeAllUnits
	}
	return m
}

// publish stores the module's next version with its change.
func publish(t *testing.T, store catalog.Store, m catalog.Module, c catalog.ModuleContent) catalog.Module {
	t.Helper()
	m = published(m, c)
	edit(t, store, func(ctx context.Context, tx catalog.Tx) (err error) {
		m.Revision, err = tx.Announce(ctx, change(m.ID, m.Latest()))
		if err != nil {
			return err
		}
		return tx.Modules().Publish(ctx, m)
	})
	return m
}

func publishPath(t *testing.T, store catalog.Store, id string, c catalog.PathContent) catalog.Path {
	t.Helper()
	p := catalog.Path{
		ID: id, State: catalog.StateActive, Edits: 1, UpdateTime: start,
		Version: &catalog.Version[catalog.PathContent]{Number: 1, Content: c, ContentHash: "h", PublishTime: start, EffectiveTime: start},
	}
	edit(t, store, func(ctx context.Context, tx catalog.Tx) (err error) {
		p.Revision, err = tx.Announce(ctx, catalog.Change{Kind: catalog.KindPath, ID: id, Action: catalog.ActionPublished, Version: 1, Time: start})
		if err != nil {
			return err
		}
		return tx.Paths().Publish(ctx, p)
	})
	return p
}

func put(t *testing.T, store catalog.Store, m catalog.Module) catalog.Module {
	t.Helper()
	edit(t, store, func(ctx context.Context, tx catalog.Tx) error { return tx.Modules().Put(ctx, m) })
	return m
}

func change(id string, version int) catalog.Change {
	return catalog.Change{Kind: catalog.KindModule, ID: id, Action: catalog.ActionPublished, Version: version, Time: start, Actor: "ada"}
}

func wantModule(t *testing.T, store catalog.Store, want catalog.Module) {
	t.Helper()
	got, err := store.Modules().Get(t.Context(), want.ID)
	must(t, err)
	wantEqual(t, got, want)
}

func testDraft(t *testing.T, store catalog.Store) {
	m := draft("one")
	m.Draft.Summary = "Ωmega “quoted” \\ % _ \n\t end"
	m.Archives = []catalog.ArchivePeriod{
		{ArchiveTime: start, SunsetTime: start.Add(time.Hour), RestoreTime: start.Add(time.Minute)},
		{ArchiveTime: start.Add(time.Microsecond)},
	}
	wantModule(t, store, put(t, store, m))
	m.Draft, m.Edits, m.UpdateTime, m.State = nil, 2, start.Add(time.Microsecond), catalog.StateArchived
	m.Archives, m.Revision = m.Archives[:1], 7
	wantModule(t, store, put(t, store, m))
}

func testUnknown(t *testing.T, store catalog.Store) {
	_, err := store.Modules().Get(t.Context(), "none")
	wantReason(t, err, errs.NotFound, errs.ReasonModuleNotFound)
	_, err = store.Paths().Get(t.Context(), "none")
	wantReason(t, err, errs.NotFound, errs.ReasonPathNotFound)
	err = store.Edit(t.Context(), func(ctx context.Context, tx catalog.Tx) error {
		_, err := tx.Paths().Get(ctx, "none")
		return err
	})
	wantReason(t, err, errs.NotFound, errs.ReasonPathNotFound)
	put(t, store, draft("one"))
	for _, id := range []string{"none", "one"} {
		_, err = store.Modules().Version(t.Context(), id, 1)
		wantReason(t, err, errs.NotFound, errs.ReasonVersionNotFound)
		versions, err := store.Modules().Versions(t.Context(), id, 0, 10)
		if err != nil || len(versions) > 0 {
			t.Errorf("versions of %s: %v, %v", id, versions, err)
		}
	}
	revision, err := store.Revision(t.Context())
	if revision != 0 || err != nil {
		t.Errorf("revision %d, %v, want 0", revision, err)
	}
}

func testPublished(t *testing.T, store catalog.Store) {
	m := publish(t, store, put(t, store, draft("one")), content("First"))
	wantModule(t, store, m)
	m.Draft = new(content("Second, in work"))
	wantModule(t, store, put(t, store, m))
	m = publish(t, store, m, content("Second"))
	wantModule(t, store, m)
	for number, title := range []string{1: "First", 2: "Second"} {
		if number == 0 {
			continue
		}
		v, err := store.Modules().Version(t.Context(), "one", number)
		must(t, err)
		wantEqual(t, v.Content, content(title))
	}
}

func testKinds(t *testing.T, store catalog.Store) {
	m := publish(t, store, draft("same"), content("A module"))
	p := publishPath(t, store, "same", catalog.PathContent{Title: "A path", Milestones: []catalog.Milestone{
		{ID: "m", Groups: []catalog.Group{{ModuleIDs: []string{"same"}, RequiredCount: new(1)}}},
	}})
	wantModule(t, store, m)
	got, err := store.Paths().Get(t.Context(), "same")
	must(t, err)
	wantEqual(t, got, p)
}

func testRollback(t *testing.T, store catalog.Store) {
	failure := errs.New(errs.Invalid, errs.ReasonInvalidArgument, "no")
	err := store.Edit(t.Context(), func(ctx context.Context, tx catalog.Tx) error {
		if _, err := tx.Announce(ctx, change("one", 1)); err != nil {
			return err
		}
		if err := tx.Modules().Publish(ctx, published(draft("one"), content("x"))); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("answered %v, want the error as it came", err)
	}
	_, err = store.Modules().Get(t.Context(), "one")
	wantReason(t, err, errs.NotFound, errs.ReasonModuleNotFound)
	changes, revision, err := store.Changes(t.Context(), 0, 10)
	if len(changes) != 0 || revision != 0 || err != nil {
		t.Errorf("changes %v, revision %d, %v", changes, revision, err)
	}
}

func testRevisions(t *testing.T, store catalog.Store) {
	const writers, each = 6, 5
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range each {
				err := store.Edit(t.Context(), func(ctx context.Context, tx catalog.Tx) error {
					if _, err := tx.Announce(ctx, change(fmt.Sprintf("m%d", w), n+1)); err != nil {
						return err
					}
					if n == 0 { // What failed leaves no gap either.
						return errs.New(errs.Invalid, errs.ReasonInvalidArgument, "no")
					}
					return nil
				})
				if err != nil && errs.ReasonOf(err) != errs.ReasonInvalidArgument {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	changes, revision, err := store.Changes(t.Context(), 0, 1000)
	must(t, err)
	if want := writers * (each - 1); len(changes) != want || revision != int64(want) {
		t.Fatalf("%d changes, revision %d, want %d", len(changes), revision, want)
	}
	for i, c := range changes {
		if c.Revision != int64(i+1) {
			t.Fatalf("change %d has revision %d", i, c.Revision)
		}
	}
}

func testRace(t *testing.T, store catalog.Store) {
	const writers = 10
	put(t, store, draft("one"))
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			err := store.Edit(t.Context(), func(ctx context.Context, tx catalog.Tx) error {
				m, err := tx.Modules().Get(ctx, "one")
				if err != nil {
					return err
				}
				m.Edits++
				return tx.Modules().Put(ctx, m)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	m, err := store.Modules().Get(t.Context(), "one")
	must(t, err)
	if m.Edits != writers+1 {
		t.Errorf("%d edits, want %d", m.Edits, writers+1)
	}
}

func testVersionOnce(t *testing.T, store catalog.Store) {
	m := publish(t, store, draft("one"), content("First"))
	err := store.Edit(t.Context(), func(ctx context.Context, tx catalog.Tx) error {
		m.Version.Content = content("Another first")
		return tx.Modules().Publish(ctx, m)
	})
	if errs.KindOf(err) != errs.AlreadyExists {
		t.Errorf("a version stored twice: %v", err)
	}
	v, err := store.Modules().Version(t.Context(), "one", 1)
	must(t, err)
	wantEqual(t, v.Content, content("First"))
}

func testDelete(t *testing.T, store catalog.Store) {
	put(t, store, draft("one"))
	two := put(t, store, draft("two"))
	path := publishPath(t, store, "one", catalog.PathContent{Title: "A path"})
	edit(t, store, func(ctx context.Context, tx catalog.Tx) error {
		for _, id := range []string{"one", "none"} {
			if err := tx.Modules().Delete(ctx, id); err != nil {
				return err
			}
		}
		_, err := tx.Modules().Get(ctx, "one")
		wantReason(t, err, errs.NotFound, errs.ReasonModuleNotFound)
		return nil
	})
	_, err := store.Modules().Get(t.Context(), "one")
	wantReason(t, err, errs.NotFound, errs.ReasonModuleNotFound)
	wantModule(t, store, two)
	got, err := store.Paths().Get(t.Context(), "one")
	must(t, err)
	wantEqual(t, got, path)
	wantEqual(t, ids(t, store, catalog.Filter{State: catalog.StateDraft}, "", 100), []string{"two"})
	nodes, err := store.Nodes(t.Context())
	must(t, err)
	wantEqual(t, nodes, map[string]catalog.Node{"two": {State: catalog.StateDraft}})
	again := draft("one")
	again.Draft.Title = "Another"
	wantModule(t, store, put(t, store, again))
}

func testVersions(t *testing.T, store catalog.Store) {
	m := draft("one")
	for range 12 {
		m = publish(t, store, m, content("v"))
	}
	numbers := func(below, limit int) (all []int) {
		versions, err := store.Modules().Versions(t.Context(), "one", below, limit)
		must(t, err)
		for _, v := range versions {
			all = append(all, v.Number)
		}
		return all
	}
	wantEqual(t, numbers(0, 3), []int{12, 11, 10})
	wantEqual(t, numbers(10, 2), []int{9, 8})
	wantEqual(t, numbers(2, 5), []int{1})
}

func ids(t *testing.T, store catalog.Store, filter catalog.Filter, after string, limit int) []string {
	t.Helper()
	found, err := store.Modules().List(t.Context(), filter, page.Order{Field: catalog.OrderID}, catalog.Place{ID: after}, limit)
	must(t, err)
	all := []string{}
	for _, m := range found {
		all = append(all, m.ID)
	}
	if after == "" && limit >= 100 {
		n, err := store.Modules().Count(t.Context(), filter)
		if n != len(all) || err != nil {
			t.Errorf("counted %d, %v, and listed %d", n, err, len(all))
		}
	}
	return all
}

func testOrder(t *testing.T, store catalog.Store) {
	want := []string{"a", "a-b", "a-z", "a0", "aa", "ab", "b"}
	for _, id := range []string{"ab", "a0", "b", "a-z", "a", "aa", "a-b"} {
		put(t, store, draft(id))
	}
	filter := catalog.Filter{State: catalog.StateDraft}
	wantEqual(t, ids(t, store, filter, "", 100), want)
	wantEqual(t, ids(t, store, filter, "a-z", 2), want[3:5])
	wantEqual(t, ids(t, store, filter, "b", 2), []string{})
}

func testFilters(t *testing.T, store catalog.Store) {
	first := content("First")
	first.Topic, first.Level, first.Roles = "fhir", "ADVANCED", []string{"nlp", "nlp-lead"}
	m := publish(t, store, draft("one"), first)
	put(t, store, draft("two"))
	three := publish(t, store, draft("three"), content("Third"))
	three.State = catalog.StateArchived
	put(t, store, three)
	m.Draft = new(content("In work"))
	put(t, store, m)
	for _, test := range []struct {
		filter catalog.Filter
		want   []string
	}{
		{catalog.Filter{State: catalog.StateActive}, []string{"one"}},
		{catalog.Filter{State: catalog.StateArchived}, []string{"three"}},
		{catalog.Filter{State: catalog.StateDraft}, []string{"one", "two"}},
		{catalog.Filter{State: catalog.StateActive, Topic: "fhir"}, []string{"one"}},
		{catalog.Filter{State: catalog.StateActive, Topic: "hipaa"}, []string{}},
		{catalog.Filter{State: catalog.StateDraft, Topic: "hipaa"}, []string{"one", "two"}},
		{catalog.Filter{State: catalog.StateActive, Level: "ADVANCED"}, []string{"one"}},
		{catalog.Filter{State: catalog.StateActive, Level: "ADV"}, []string{}},
		{catalog.Filter{State: catalog.StateActive, Role: "nlp"}, []string{"one"}},
		{catalog.Filter{State: catalog.StateActive, Role: "nlp-lead"}, []string{"one"}},
		{catalog.Filter{State: catalog.StateActive, Role: "lead"}, []string{}},
		{catalog.Filter{State: catalog.StateActive, Role: "nlp_lead"}, []string{}},
		{catalog.Filter{State: catalog.StateActive, Topic: "fhir", Level: "FOUNDATION"}, []string{}},
	} {
		if got := ids(t, store, test.filter, "", 100); !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v, want %v", test.filter, got, test.want)
		}
	}
	m.Draft = nil
	put(t, store, m)
	wantEqual(t, ids(t, store, catalog.Filter{State: catalog.StateDraft}, "", 100), []string{"two"})
}

func testWords(t *testing.T, store catalog.Store) {
	c := content("Straße nach ΑΘΉΝΑ")
	c.Summary = "100% sure_thing"
	c.Objectives = []string{"Explain Büro"}
	publish(t, store, draft("find-me"), c)
	for _, test := range []struct {
		words string
		want  bool
	}{
		{"STRASSE", true},
		{"αθήνα straße", true},
		{"büro", true},
		{"BU\u0308RO", true},
		{"100%", true},
		{"1%0", false},
		{"sure_thing", true},
		{"sure-thing", false},
		{"find-me", true},
		{"straße missing", false},
		{`\`, false},
	} {
		filter := catalog.Filter{State: catalog.StateActive, Words: strings.Fields(test.words)}
		if got := ids(t, store, filter, "", 100); len(got) == 1 != test.want {
			t.Errorf("%q: found %v, want %t", test.words, got, test.want)
		}
	}
}

func testTopics(t *testing.T, store catalog.Store) {
	for i, topic := range []string{"ml", "fhir", "ml"} {
		c := content("x")
		c.Topic = topic
		publish(t, store, draft(fmt.Sprintf("m%d", i)), c)
	}
	gone := publish(t, store, draft("gone"), content("x"))
	gone.State = catalog.StateArchived
	put(t, store, gone)
	put(t, store, draft("unborn"))
	topics, err := store.Topics(t.Context())
	must(t, err)
	wantEqual(t, topics, []catalog.Topic{{ID: "fhir", Modules: 1}, {ID: "ml", Modules: 2}})
}

func testGraph(t *testing.T, store catalog.Store) {
	c := content("x")
	c.Prerequisites = []string{"b", "a"}
	m := publish(t, store, draft("m"), c)
	put(t, store, draft("b"))
	c.Prerequisites = []string{"b"}
	m.Draft = &c
	put(t, store, m)
	want := map[string]catalog.Node{
		"m": {State: catalog.StateActive, Prerequisites: []string{"b", "a"}},
		"b": {State: catalog.StateDraft},
	}
	nodes, err := store.Nodes(t.Context())
	must(t, err)
	wantEqual(t, nodes, want)
	publish(t, store, m, c)
	want["m"] = catalog.Node{State: catalog.StateActive, Prerequisites: []string{"b"}}
	edit(t, store, func(ctx context.Context, tx catalog.Tx) error {
		nodes, err := tx.Nodes(ctx)
		wantEqual(t, nodes, want)
		return err
	})
	naming := catalog.PathContent{Milestones: []catalog.Milestone{{Groups: []catalog.Group{{ModuleIDs: []string{"b", "m"}}, {ModuleIDs: []string{"m"}}}}}}
	publishPath(t, store, "p2", naming)
	archived := publishPath(t, store, "p1", naming)
	archived.State = catalog.StateArchived
	edit(t, store, func(ctx context.Context, tx catalog.Tx) error { return tx.Paths().Put(ctx, archived) })
	paths, err := store.PathsNaming(t.Context(), "m")
	must(t, err)
	wantEqual(t, paths, []string{"p2"})
}

func testFollow(t *testing.T, store catalog.Store) {
	one := publish(t, store, draft("one"), content("One"))
	publish(t, store, draft("two"), content("Two"))
	publishPath(t, store, "p", catalog.PathContent{Title: "P"})
	one.Archives = []catalog.ArchivePeriod{{ArchiveTime: start}}
	one = publish(t, store, one, content("One again"))

	changes, revision, err := store.Changes(t.Context(), 1, 2)
	must(t, err)
	if revision != 4 || len(changes) != 2 || changes[0].ID != "two" || changes[1].Kind != catalog.KindPath {
		t.Errorf("changes after 1: %+v, revision %d", changes, revision)
	}
	want := change("two", 1)
	want.Revision = 2
	wantEqual(t, changes[0], want)

	all, err := store.Snapshot(t.Context(), 0)
	must(t, err)
	if all.Revision != 4 || len(all.Modules) != 2 || len(all.Paths) != 1 {
		t.Fatalf("snapshot %+v", all)
	}
	record := all.Modules[0]
	if len(record.Versions) != 2 || record.Versions[0].Content.Title != "One" || record.Revision != 4 || record.State != catalog.StateActive {
		t.Errorf("record %+v", record)
	}
	wantEqual(t, record.Versions[1], *one.Version)
	wantEqual(t, record.Archives, one.Archives)

	late, err := store.Snapshot(t.Context(), 3)
	must(t, err)
	if len(late.Modules) != 1 || late.Modules[0].ID != "one" || len(late.Modules[0].Versions) != 2 || len(late.Paths) != 0 {
		t.Errorf("snapshot after 3: %+v", late)
	}
}

func testAnswers(t *testing.T, store catalog.Store) {
	key, err := idem.New("iss|ada", "/Create", "k1", []byte("request"))
	must(t, err)
	save := func(key idem.Key) (found []byte, was bool, err error) {
		err = store.Edit(t.Context(), func(ctx context.Context, tx catalog.Tx) error {
			if found, was, err = tx.FindResponse(ctx, key, start); err != nil || was {
				return err
			}
			return tx.SaveResponse(ctx, key, []byte("answer"), start)
		})
		return found, was, err
	}
	if _, was, err := save(key); was || err != nil {
		t.Fatalf("the first time: %t, %v", was, err)
	}
	found, was, err := save(key)
	if !was || string(found) != "answer" || err != nil {
		t.Errorf("the second time: %q, %t, %v", found, was, err)
	}
	other := key
	other.Hash[0]++
	_, _, err = save(other)
	wantReason(t, err, errs.FailedPrecondition, errs.ReasonIdempotencyKeyReused)
}

func testIsolation(t *testing.T, store catalog.Store) {
	edit(t, store, func(ctx context.Context, tx catalog.Tx) error {
		m := published(draft("one"), content("x"))
		n, err := tx.Announce(ctx, change("one", 1))
		if err != nil || n != 1 {
			t.Errorf("announced %d, %v", n, err)
		}
		if err := tx.Modules().Publish(ctx, m); err != nil {
			return err
		}
		got, err := tx.Modules().Get(ctx, "one")
		wantEqual(t, got, m)
		if revision, err := tx.Revision(ctx); revision != 1 || err != nil {
			t.Errorf("revision inside %d, %v", revision, err)
		}
		if _, err := store.Modules().Get(context.WithoutCancel(ctx), "one"); errs.KindOf(err) != errs.NotFound {
			t.Errorf("another sees it before its time: %v", err)
		}
		return err
	})
	if revision, err := store.Revision(t.Context()); revision != 1 || err != nil {
		t.Errorf("revision after %d, %v", revision, err)
	}
}

func testSnapshotDrafts(t *testing.T, store catalog.Store) {
	put(t, store, draft("unborn"))
	all, err := store.Snapshot(t.Context(), 0)
	must(t, err)
	if len(all.Modules) != 0 || all.Revision != 0 {
		t.Errorf("snapshot %+v", all)
	}
}

// mandates reads them as an edit does.
func mandates(t *testing.T, store catalog.Store, id string) (found map[int]time.Time) {
	t.Helper()
	edit(t, store, func(ctx context.Context, tx catalog.Tx) (err error) {
		found, err = tx.Paths().Mandates(ctx, id)
		return err
	})
	return found
}

func testMandate(t *testing.T, store catalog.Store) {
	p := publishPath(t, store, "p", catalog.PathContent{Title: "P"})
	publish(t, store, draft("p"), content("A module of the same id"))
	second := *p.Version
	second.Number, second.ContentHash = 2, "h2"
	p.Version = &second
	edit(t, store, func(ctx context.Context, tx catalog.Tx) error { return tx.Paths().Publish(ctx, p) })
	wantEqual(t, mandates(t, store, "p"), map[int]time.Time{})
	wantEqual(t, mandates(t, store, "none"), map[int]time.Time{})

	from := start.Add(time.Hour + time.Microsecond)
	edit(t, store, func(ctx context.Context, tx catalog.Tx) error {
		if err := tx.Paths().Mandate(ctx, "p", 2, from.Add(time.Hour)); err != nil {
			return err
		}
		return tx.Paths().Mandate(ctx, "p", 2, from) // the last one counts
	})
	second.MandateTime = from
	wantEqual(t, mandates(t, store, "p"), map[int]time.Time{2: from})
	got, err := store.Paths().Get(t.Context(), "p")
	must(t, err)
	wantEqual(t, got, p)
	one, err := store.Paths().Version(t.Context(), "p", 2)
	must(t, err)
	wantEqual(t, one, second)
	all, err := store.Paths().Versions(t.Context(), "p", 0, 10)
	must(t, err)
	first := second
	first.Number, first.ContentHash, first.MandateTime = 1, "h", time.Time{}
	wantEqual(t, all, []catalog.Version[catalog.PathContent]{second, first})
	snapshot, err := store.Snapshot(t.Context(), 0)
	must(t, err)
	wantEqual(t, snapshot.Paths[0].Versions, []catalog.Version[catalog.PathContent]{first, second})
	wantEqual(t, snapshot.Modules[0].Versions[0].MandateTime, time.Time{})

	edit(t, store, func(ctx context.Context, tx catalog.Tx) error { return tx.Paths().Mandate(ctx, "p", 2, time.Time{}) })
	wantEqual(t, mandates(t, store, "p"), map[int]time.Time{})
	second.MandateTime = time.Time{}
	one, err = store.Paths().Version(t.Context(), "p", 2)
	must(t, err)
	wantEqual(t, one, second)

	for id, number := range map[string]int{"p": 3, "none": 1} {
		err := store.Edit(t.Context(), func(ctx context.Context, tx catalog.Tx) error {
			return tx.Paths().Mandate(ctx, id, number, from)
		})
		wantReason(t, err, errs.NotFound, errs.ReasonVersionNotFound)
	}
}
