package catalogtest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// long is longer than what decides about an order.
var long = strings.Repeat("Übung ", 20)

// shelve stores modules with titles that are equal, in other case, long, or missing, of which some were
// published at the same time, some have drafts, and some were never published.
func shelve(t *testing.T, store catalog.Store) {
	t.Helper()
	for i, m := range []struct {
		id, title string
		minutes   int
	}{
		{"d", "beta", 3},
		{"a", "Beta", 1},
		{"c", "alpha", 2},
		{"b", "ALPHA", 2},
		{"e", "Ωmega", 1},
		{"g", long + "a", 4},
		{"f", long + "b", 4},
		{"h", "beta-2", 2},
	} {
		module := published(draft(m.id), content(m.title))
		module.Version.PublishTime = start.Add(time.Duration(m.minutes) * time.Minute)
		edit(t, store, func(ctx context.Context, tx catalog.Tx) error { return tx.Modules().Publish(ctx, module) })
		if i%2 == 0 {
			module.Draft = new(content("Draft " + string([]rune(m.title)[:1])))
			put(t, store, module)
		}
	}
	put(t, store, draft("unborn"))
	untitled := draft("untitled")
	untitled.Draft.Title = ""
	put(t, store, untitled)
}

// placed is where a module stands in a list of drafts or of newest versions.
func placed(m catalog.Module, drafts bool) catalog.Place {
	place := catalog.Place{ID: m.ID}
	if m.Version != nil {
		place.Published = m.Version.PublishTime.UnixMicro()
		place.TitleKey = catalog.TitleKey(m.Version.Content.Title)
	}
	if drafts {
		place.TitleKey = catalog.TitleKey(m.Draft.Title)
	}
	return place
}

// paged reads a list page by page.
func paged(t *testing.T, store catalog.Store, state catalog.State, order page.Order, size int) []string {
	t.Helper()
	var all []string
	var after catalog.Place
	for {
		found, err := store.Modules().List(t.Context(), catalog.Filter{State: state}, order, after, size)
		must(t, err)
		for _, m := range found {
			all = append(all, m.ID)
		}
		if len(found) < size || len(all) > 100 {
			return all
		}
		after = placed(found[size-1], state == catalog.StateDraft)
	}
}

func testOrders(t *testing.T, store catalog.Store) {
	shelve(t, store)
	wantEqual(t, paged(t, store, catalog.StateActive, page.Order{Field: catalog.OrderTitle}, 3), strings.Fields("b c a d h f g e"))
	wantEqual(t, paged(t, store, catalog.StateActive, page.Order{Field: catalog.OrderPublishTime, Desc: true}, 3), strings.Fields("g f d h c b e a"))
	by := map[string]func(a, b catalog.Place) int{
		catalog.OrderID: func(a, b catalog.Place) int { return cmp.Compare(a.ID, b.ID) },
		catalog.OrderTitle: func(a, b catalog.Place) int {
			return cmp.Or(cmp.Compare(a.TitleKey, b.TitleKey), cmp.Compare(a.ID, b.ID))
		},
		catalog.OrderPublishTime: func(a, b catalog.Place) int {
			return cmp.Or(cmp.Compare(a.Published, b.Published), cmp.Compare(a.ID, b.ID))
		},
	}
	for _, field := range catalog.ListOrders() {
		for _, state := range []catalog.State{catalog.StateActive, catalog.StateDraft} {
			var places []catalog.Place
			for _, id := range paged(t, store, state, page.Order{Field: catalog.OrderID}, 100) {
				m, err := store.Modules().Get(t.Context(), id)
				must(t, err)
				places = append(places, placed(m, state == catalog.StateDraft))
			}
			slices.SortFunc(places, by[field])
			var want []string
			for _, p := range places {
				want = append(want, p.ID)
			}
			for size := 1; size <= 4; size++ {
				wantEqual(t, paged(t, store, state, page.Order{Field: field}, size), want)
			}
			slices.Reverse(want)
			for size := 1; size <= 4; size++ {
				wantEqual(t, paged(t, store, state, page.Order{Field: field, Desc: true}, size), want)
			}
		}
	}
}

func testIDs(t *testing.T, store catalog.Store) {
	shelve(t, store)
	for _, test := range []struct {
		filter catalog.Filter
		want   []string
	}{
		{catalog.Filter{State: catalog.StateActive, IDs: []string{"c", "a", "c", "none", "unborn"}}, []string{"a", "c"}},
		{catalog.Filter{State: catalog.StateDraft, IDs: []string{"c", "a", "unborn"}}, []string{"c", "unborn"}},
		{catalog.Filter{State: catalog.StateActive, IDs: []string{"a", "c"}, Words: []string{"alpha"}}, []string{"c"}},
		{catalog.Filter{State: catalog.StateActive, IDs: []string{"none"}}, []string{}},
	} {
		wantEqual(t, ids(t, store, test.filter, "", 100), test.want)
	}
	wantEqual(t, ids(t, store, catalog.Filter{State: catalog.StateActive, IDs: []string{"a", "c", "d"}}, "a", 1), []string{"c"})
}
