package profiletest

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/services/profile"
)

func placed(l profile.Learner) profile.Place {
	return profile.Place{NameKey: profile.NameKey(l.DisplayName), CreateTime: l.CreateTime, ID: l.ID}
}

// people are learners with names that are equal, in other case, long, or missing; their times are not in
// the order of their ids.
func people(t *testing.T, store profile.Store) []profile.Learner {
	t.Helper()
	long := strings.Repeat("Ünal ", 20)
	var all []profile.Learner
	for i, name := range []string{"bob", "Ana", "ANA", "", long + "b", long + "a", "Ωmega", "Bob"} {
		l := newLearner(t, name+" one", name+" two")
		l.DisplayName, l.CreateTime = name, start.Add(time.Duration(-i/2)*time.Second)
		all = append(all, create(t, store, l))
	}
	var err error
	all[0], err = edit(t, store, all[0].ID, func(l *profile.Learner) (bool, error) {
		l.DisplayName = "Zoe"
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func testOrders(t *testing.T, store profile.Store) {
	all := people(t, store)
	by := map[string]func(a, b profile.Place) int{
		profile.OrderID: func(a, b profile.Place) int { return cmp.Compare(a.ID, b.ID) },
		profile.OrderDisplayName: func(a, b profile.Place) int {
			return cmp.Or(cmp.Compare(a.NameKey, b.NameKey), cmp.Compare(a.ID, b.ID))
		},
		profile.OrderCreateTime: func(a, b profile.Place) int {
			return cmp.Or(a.CreateTime.Compare(b.CreateTime), cmp.Compare(a.ID, b.ID))
		},
	}
	for _, field := range profile.ListOrders() {
		want := slices.SortedFunc(slices.Values(all), func(a, b profile.Learner) int { return by[field](placed(a), placed(b)) })
		for size := 1; size <= 4; size++ {
			wantPaged(t, store, page.Order{Field: field}, size, want)
		}
		slices.Reverse(want)
		for size := 1; size <= 4; size++ {
			wantPaged(t, store, page.Order{Field: field, Desc: true}, size, want)
		}
	}
	first, err := store.List(t.Context(), nil, page.Order{Field: profile.OrderDisplayName, Desc: true}, profile.Place{}, 2)
	if err != nil || first[0].DisplayName != "Ωmega" || !strings.HasSuffix(first[1].DisplayName, "a") {
		t.Errorf("the last by name are %+v, %v", first, err)
	}
}

func wantPaged(t *testing.T, store profile.Store, order page.Order, size int, want []profile.Learner) {
	t.Helper()
	var got []profile.Learner
	var after profile.Place
	for {
		found, err := store.List(t.Context(), nil, order, after, size)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, found...)
		if len(found) < size || len(got) > len(want) {
			break
		}
		after = placed(found[size-1])
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v in pages of %d: got\n%+v, want\n%+v", order, size, got, want)
	}
}
