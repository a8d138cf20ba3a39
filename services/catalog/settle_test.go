package catalog_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
	"github.com/preceptor-dev/preceptor/services/catalog/document"
	"github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
)

// watched is a store that counts transactions and calls back while a change is judged: when the
// modules are read.
type watched struct {
	catalog.Store
	edits    int
	judging  func()
	judgings int
}

func (w *watched) Nodes(ctx context.Context) (map[string]catalog.Node, error) {
	w.judgings++
	nodes, err := w.Store.Nodes(ctx)
	if w.judging != nil {
		w.judging()
	}
	return nodes, err
}

func (w *watched) Edit(ctx context.Context, f func(ctx context.Context, tx catalog.Tx) error) error {
	w.edits++
	return w.Store.Edit(ctx, f)
}

// watchedService returns a service, another one on the same store that nobody watches, and the
// watched store.
func watchedService(t *testing.T) (s, other *catalog.Service, w *watched) {
	t.Helper()
	c := &clock{t: start}
	w = &watched{Store: sqlstore.New(sqldbtest.SQLite(t, sqlstore.Migrations()))}
	opts := catalog.Options{Now: c.now}
	return catalog.New(w, document.Codec{}, opts), catalog.New(w.Store, document.Codec{}, opts), w
}

// TestDryRunHasNoTransaction proves that what only asks does not keep others from writing.
func TestDryRunHasNoTransaction(t *testing.T) {
	s, _, w := watchedService(t)
	importing(t, s, catalog.ImportOptions{DryRun: true}, file("a.yaml", catalogtest.TwoModules))
	if _, err := s.Import(t.Context(), []catalog.File{file("a.yaml", "modules: [{id: a}]")}, catalog.ImportOptions{}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("imported: %v", err)
	}
	if w.edits != 0 || w.judgings != 2 {
		t.Errorf("%d transactions, judged %d times", w.edits, w.judgings)
	}
}

// TestOthersWriteWhileAnImportIsJudged proves that an author's edit and publication commit in the
// middle of an import, and that the import then knows of both.
func TestOthersWriteWhileAnImportIsJudged(t *testing.T) {
	s, other, w := watchedService(t)
	importing(t, other, catalog.ImportOptions{}, file("a.yaml", catalogtest.TwoModules))
	w.judging = func() {
		w.judging = nil
		catalogtest.Draft(t, other.Modules, "first", catalogtest.Module())
		catalogtest.Publish(t, other.Modules, "third", catalogtest.Module(), catalog.Publication{})
	}
	more := "modules:\n- {id: fourth, title: Fourth, prerequisites: [third], units: [{id: u}]}\n"
	changed := strings.Replace(catalogtest.TwoModules, "title: Way\n", "title: The way\n", 1)
	done := importing(t, s, catalog.ImportOptions{}, file("a.yaml", changed), file("b.yaml", more))
	if w.judgings != 2 || w.edits != 1 || done.Revision != 6 || len(done.Changes) != 2 || done.Unchanged != 2 {
		t.Errorf("judged %d times, in %d transactions: %+v", w.judgings, w.edits, done)
	}
	if m, err := s.Modules.Get(t.Context(), "first", true); err != nil || m.Draft == nil {
		t.Errorf("the draft is %+v, %v", m.Draft, err)
	}
}

// TestDraftsOfAnImportedModuleStay proves that an edit of a draft between judging and writing is
// not lost, though it does not move the revision.
func TestDraftsOfAnImportedModuleStay(t *testing.T) {
	s, other, w := watchedService(t)
	w.judging = func() {
		w.judging = nil
		catalogtest.Draft(t, other.Modules, "first", catalogtest.Module())
	}
	importing(t, s, catalog.ImportOptions{}, file("a.yaml", catalogtest.TwoModules))
	m, err := s.Modules.Get(t.Context(), "first", true)
	must(t, err)
	if w.judgings != 1 || m.Draft == nil || m.Draft.Title != catalogtest.Module().Title || m.Latest() != 1 || m.Edits != 2 {
		t.Errorf("judged %d times: %+v", w.judgings, m)
	}
}

// TestImportGivesUp proves that an import is not judged again for ever.
func TestImportGivesUp(t *testing.T) {
	s, other, w := watchedService(t)
	w.judging = func() {
		catalogtest.Publish(t, other.Modules, fmt.Sprintf("m%d", w.judgings), catalogtest.Module(), catalog.Publication{})
	}
	for _, dryRun := range []bool{false, true} {
		w.judgings = 10 * (w.judgings + 1)
		before := w.judgings
		_, err := s.Import(t.Context(), []catalog.File{file("a.yaml", catalogtest.TwoModules)}, catalog.ImportOptions{DryRun: dryRun})
		wantReason(t, err, errs.ReasonDatabaseBusy)
		if n := w.judgings - before; errs.KindOf(err) != errs.Aborted || n != 4 {
			t.Errorf("judged %d times: %v", n, err)
		}
	}
}

// TestPublishIsJudgedBefore proves that a publication is judged outside of its transaction, again
// when the draft or the catalog has changed, and made at last however often they do.
func TestPublishIsJudgedBefore(t *testing.T) {
	s, other, w := watchedService(t)
	catalogtest.Draft(t, other.Modules, "mine", catalogtest.Module())
	w.judging = func() {
		w.judging = nil
		content := catalogtest.Module()
		content.Title = "Edited meanwhile"
		_, err := other.Modules.Update(t.Context(), "mine", nil, func(catalog.ModuleContent) (catalog.ModuleContent, error) { return content, nil })
		must(t, err)
	}
	after, err := s.Modules.Publish(t.Context(), "mine", catalog.Publication{}, nil, "ada")
	must(t, err)
	if w.judgings != 2 || after.Version.Content.Title != "Edited meanwhile" || after.Draft != nil {
		t.Errorf("judged %d times: %+v", w.judgings, after)
	}
	catalogtest.Draft(t, other.Modules, "busy", catalogtest.Module())
	w.judging = func() {
		catalogtest.Publish(t, other.Modules, fmt.Sprintf("m%d", w.judgings), catalogtest.Module(), catalog.Publication{})
	}
	w.judgings = 10
	if after, err = s.Modules.Publish(t.Context(), "busy", catalog.Publication{}, nil, "ada"); err != nil || after.Latest() != 1 || w.judgings != 14 {
		t.Errorf("judged %d times: %+v, %v", w.judgings, after, err)
	}
	stale := only(after.Etag())
	catalogtest.Draft(t, other.Modules, "etag", catalogtest.Module())
	w.judging = nil
	_, err = s.Modules.Publish(t.Context(), "etag", catalog.Publication{}, stale, "ada")
	wantReason(t, err, errs.ReasonEtagMismatch)
}
