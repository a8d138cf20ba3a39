package catalog_test

import (
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
)

// editions publishes versions of the path "way", an hour apart.
func editions(t *testing.T, s *catalog.Service, c *clock, versions int) {
	t.Helper()
	catalogtest.PublishVersions(t, s, versions, func() { c.addHour() })
}

// mandated are the mandate times of the path's versions, by number.
func mandated(t *testing.T, s *catalog.Service) map[int]time.Time {
	t.Helper()
	page, err := s.Paths.Versions(t.Context(), "way", 0, "", true)
	must(t, err)
	times := map[int]time.Time{}
	for _, v := range page.Items {
		if !v.MandateTime.IsZero() {
			times[v.Number] = v.MandateTime
		}
	}
	return times
}

func TestMandate(t *testing.T) {
	s, c := newService(t)
	editions(t, s, c, 3)
	before, err := s.Paths.Get(t.Context(), "way", true)
	must(t, err)
	revision, err := s.Revision(t.Context())
	must(t, err)

	p, err := s.Mandate(t.Context(), "way", catalog.Mandate{Number: 3, Reason: "The law changed.", Actor: "ada"}, only(before.Etag()))
	must(t, err)
	want := *before.Version
	want.MandateTime = c.now()
	if !reflect.DeepEqual(*p.Version, want) || p.Edits != before.Edits+1 || !p.UpdateTime.Equal(c.now()) ||
		p.Etag() == before.Etag() || p.Revision != revision+1 {
		t.Errorf("mandated %+v of %+v", p, p.Version)
	}
	stored, err := s.Paths.Get(t.Context(), "way", true)
	must(t, err)
	if !reflect.DeepEqual(stored, p) {
		t.Errorf("stored %+v, answered %+v", stored, p)
	}
	changes, _, err := s.Changes(t.Context(), revision, 0)
	must(t, err)
	wantChange := catalog.Change{
		Revision: revision + 1, Kind: catalog.KindPath, ID: "way", Action: catalog.ActionMandated, Version: 3, Time: c.now(), Actor: "ada",
	}
	if len(changes) != 1 || changes[0] != wantChange {
		t.Errorf("changes %+v, want %+v", changes, wantChange)
	}
	snapshot, err := s.Sync(t.Context(), revision)
	must(t, err)
	if len(snapshot.Paths) != 1 || !snapshot.Paths[0].Versions[2].MandateTime.Equal(c.now()) {
		t.Errorf("synced %+v", snapshot)
	}
}

// TestMandateTimes goes with one path through orders of other times.
func TestMandateTimes(t *testing.T) {
	s, c := newService(t)
	editions(t, s, c, 4)
	at := c.now()
	day := func(n int) time.Time { return at.AddDate(0, 0, n) }
	for _, step := range []struct {
		name   string
		number int
		from   time.Time
		reason string
		want   map[int]time.Time
	}{
		{"an older one first", 2, day(30), "", map[int]time.Time{2: day(30)}},
		{"a newer one later", 3, day(40), "", map[int]time.Time{2: day(30), 3: day(40)}},
		{"the same again", 3, day(40), "", map[int]time.Time{2: day(30), 3: day(40)}},
		{"the same later", 3, day(50), "", map[int]time.Time{2: day(30), 3: day(40)}},
		{"the same earlier", 3, day(20), "", map[int]time.Time{2: day(30), 3: day(20)}},
		{"what was answered before", 2, day(30), "", map[int]time.Time{2: day(30), 3: day(20)}},
		{"an older one when a newer one is", 2, day(20), errs.ReasonMandateToOlder, nil},
		{"an older one before a newer one is", 2, day(10), "", map[int]time.Time{2: day(10), 3: day(20)}},
		{"the newest", 4, day(20), "", map[int]time.Time{2: day(10), 3: day(20), 4: day(20)}},
		{"a slow clock", 4, at.Add(-4 * time.Minute), "", map[int]time.Time{2: day(10), 3: day(20), 4: at}},
		{"the first", 1, time.Time{}, errs.ReasonNothingToMandate, nil},
		{"none", 5, time.Time{}, errs.ReasonVersionNotFound, nil},
	} {
		before, revision := mandated(t, s), revisionOf(t, s)
		_, err := s.Mandate(t.Context(), "way", catalog.Mandate{Number: step.number, EffectiveTime: step.from, Actor: "ada"}, nil)
		if step.reason != "" {
			wantReason(t, err, step.reason)
			step.want = before
		} else {
			must(t, err)
		}
		got := mandated(t, s)
		if !maps.Equal(got, step.want) {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
		if changed := revisionOf(t, s) != revision; changed == maps.Equal(before, got) {
			t.Errorf("%s: announced %t, of %v to %v", step.name, changed, before, got)
		}
	}
	for _, bad := range []time.Time{at.Add(-6 * time.Minute), at.AddDate(6, 0, 0)} {
		_, err := s.Mandate(t.Context(), "way", catalog.Mandate{Number: 2, EffectiveTime: bad, Reason: "a\x00"}, nil)
		wantFaults(t, err, "effectiveTime BAD_EFFECTIVE_TIME", "reason NUL_CHARACTER")
	}
}

func revisionOf(t *testing.T, s *catalog.Service) int64 {
	t.Helper()
	revision, err := s.Revision(t.Context())
	must(t, err)
	return revision
}

func TestMandateOfOthers(t *testing.T) {
	s, c := newService(t)
	editions(t, s, c, 2)
	catalogtest.Draft(t, s.Paths, "unborn", catalogtest.Path("a"))
	order := catalog.Mandate{Number: 2, Actor: "ada"}
	_, err := s.Mandate(t.Context(), "nobody", order, nil)
	wantReason(t, err, errs.ReasonPathNotFound)
	_, err = s.Mandate(t.Context(), "unborn", order, nil)
	wantReason(t, err, errs.ReasonNotActive)
	_, err = s.Mandate(t.Context(), "way", order, only("old"))
	wantReason(t, err, errs.ReasonEtagMismatch)
	_, err = s.Paths.Archive(t.Context(), "way", time.Time{}, nil, "ada")
	must(t, err)
	_, err = s.Mandate(t.Context(), "way", order, nil)
	wantReason(t, err, errs.ReasonNotActive)
	if got := mandated(t, s); len(got) > 0 {
		t.Errorf("mandatory is %v", got)
	}
}

// TestMandateLasts proves that editing, publishing and archiving leave a mandate alone.
func TestMandateLasts(t *testing.T) {
	s, c := newService(t)
	editions(t, s, c, 2)
	_, err := s.Mandate(t.Context(), "way", catalog.Mandate{Number: 2}, nil)
	must(t, err)
	want := mandated(t, s)
	c.addHour()
	content := catalogtest.Path("a")
	content.Title = "Third"
	third := catalogtest.Publish(t, s.Paths, "way", content, catalog.Publication{})
	_, err = s.Paths.Archive(t.Context(), "way", time.Time{}, nil, "ada")
	must(t, err)
	_, err = s.Paths.Restore(t.Context(), "way", nil, "ada")
	must(t, err)
	if got := mandated(t, s); !maps.Equal(got, want) || !third.Version.MandateTime.IsZero() {
		t.Errorf("mandatory is %v, want %v", got, want)
	}
}

func withdraw(t *testing.T, s *catalog.Service, number int, match catalog.Match) (catalog.Path, error) {
	t.Helper()
	return s.WithdrawMandate(t.Context(), "way", catalog.Withdrawal{Number: number, Reason: "A slip.", Actor: "ada"}, match)
}

// TestWithdrawMandate proves that a withdrawal leaves the path as it was before the mandate,
// other mandates as they are, and is announced.
func TestWithdrawMandate(t *testing.T) {
	s, c := newService(t)
	editions(t, s, c, 3)
	before, err := s.Paths.Get(t.Context(), "way", true)
	must(t, err)
	for number, days := range map[int]int{2: 30, 3: 40} {
		_, err := s.Mandate(t.Context(), "way", catalog.Mandate{Number: number, EffectiveTime: c.now().AddDate(0, 0, days)}, nil)
		must(t, err)
	}
	older := map[int]time.Time{2: c.now().AddDate(0, 0, 30)}
	mandatory, err := s.Paths.Get(t.Context(), "way", true)
	must(t, err)
	revision := revisionOf(t, s)

	_, err = withdraw(t, s, 3, only(before.Etag()))
	wantReason(t, err, errs.ReasonEtagMismatch)
	p, err := withdraw(t, s, 3, only(mandatory.Etag()))
	must(t, err)
	if !reflect.DeepEqual(p.Version, before.Version) || p.Edits != mandatory.Edits+1 || p.Revision != revision+1 {
		t.Errorf("withdrawn %+v of %+v", p, p.Version)
	}
	stored, err := s.Paths.Get(t.Context(), "way", true)
	must(t, err)
	if !reflect.DeepEqual(stored, p) || !maps.Equal(mandated(t, s), older) {
		t.Errorf("stored %+v, answered %+v; mandatory is %v", stored, p, mandated(t, s))
	}
	changes, _, err := s.Changes(t.Context(), revision, 0)
	must(t, err)
	wantChange := catalog.Change{
		Revision: revision + 1, Kind: catalog.KindPath, ID: "way", Action: catalog.ActionMandateWithdrawn, Version: 3, Time: c.now(), Actor: "ada",
	}
	if len(changes) != 1 || changes[0] != wantChange {
		t.Errorf("changes %+v, want %+v", changes, wantChange)
	}
	snapshot, err := s.Sync(t.Context(), revision)
	must(t, err)
	if len(snapshot.Paths) != 1 || !snapshot.Paths[0].Versions[2].MandateTime.IsZero() || !snapshot.Paths[0].Versions[1].MandateTime.Equal(older[2]) {
		t.Errorf("synced %+v", snapshot)
	}
	_, err = withdraw(t, s, 3, nil)
	wantReason(t, err, errs.ReasonNotMandated)
	_, err = s.Mandate(t.Context(), "way", catalog.Mandate{Number: 3, EffectiveTime: c.now().AddDate(1, 0, 0)}, nil)
	must(t, err) // to a later time, by way of the withdrawal
}

// TestWithdrawMandateInTime goes over the hour in which a mandate that has begun can be withdrawn.
func TestWithdrawMandateInTime(t *testing.T) {
	s, c := newService(t)
	editions(t, s, c, 2)
	order := func(after time.Duration) time.Time {
		t.Helper()
		p, err := s.Mandate(t.Context(), "way", catalog.Mandate{Number: 2, EffectiveTime: c.now().Add(after)}, nil)
		must(t, err)
		return p.Version.MandateTime
	}
	order(time.Hour)
	c.addHour() // its very moment
	_, err := withdraw(t, s, 2, nil)
	must(t, err)

	order(time.Microsecond)
	c.addHour() // a microsecond short of an hour after it
	_, err = s.Paths.Archive(t.Context(), "way", time.Time{}, nil, "ada")
	must(t, err)
	_, err = withdraw(t, s, 2, nil)
	must(t, err)
	_, err = s.Paths.Restore(t.Context(), "way", nil, "ada")
	must(t, err)

	from := order(0)
	c.addHour()
	revision := revisionOf(t, s)
	_, err = withdraw(t, s, 2, nil)
	wantReason(t, err, errs.ReasonMandateInEffect)
	if want := "mandatory since " + from.Format(time.RFC3339); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v does not say %q", err, want)
	}
	if got := mandated(t, s); !maps.Equal(got, map[int]time.Time{2: from}) || revisionOf(t, s) != revision {
		t.Errorf("mandatory is %v", got)
	}
}

func TestWithdrawMandateOfOthers(t *testing.T) {
	s, c := newService(t)
	editions(t, s, c, 2)
	catalogtest.Draft(t, s.Paths, "unborn", catalogtest.Path("a"))
	for id, want := range map[string]string{"nobody": errs.ReasonPathNotFound, "unborn": errs.ReasonVersionNotFound} {
		_, err := s.WithdrawMandate(t.Context(), id, catalog.Withdrawal{Number: 1, Reason: "A slip."}, nil)
		wantReason(t, err, want)
	}
	for number, want := range map[int]string{1: errs.ReasonNotMandated, 2: errs.ReasonNotMandated, 3: errs.ReasonVersionNotFound} {
		_, err := withdraw(t, s, number, nil)
		wantReason(t, err, want)
	}
	_, err := s.WithdrawMandate(t.Context(), "way", catalog.Withdrawal{Number: 2, Reason: " \t"}, nil)
	wantFaults(t, err, "reason REQUIRED")
	_, err = s.WithdrawMandate(t.Context(), "way", catalog.Withdrawal{Number: 2, Reason: "a\x00"}, nil)
	wantFaults(t, err, "reason NUL_CHARACTER")
}
