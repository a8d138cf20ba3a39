package profile_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/rule"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, time.March, 1, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// catalogFunc is a catalog of one function.
type catalogFunc func(ctx context.Context) ([]profile.Path, error)

func (f catalogFunc) ActivePaths(ctx context.Context) ([]profile.Path, error) { return f(ctx) }

func openDB(t testing.TB, path string) *sqlstore.Store {
	t.Helper()
	return sqlstore.New(sqldbtest.Migrated(t, "sqlite:"+path, sqlstore.Migrations()))
}

func newService(t *testing.T, catalog profile.Catalog) (*profile.Service, *clock) {
	t.Helper()
	c := newClock()
	store := openDB(t, filepath.Join(t.TempDir(), "profile.db"))
	return profile.New(store, catalog, profile.Options{Now: c.Now, Rules: newRules(t)}), c
}

func newRules(t testing.TB) *rule.Compiler {
	t.Helper()
	rules, err := rule.NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func subject(name string) profile.Subject {
	return profile.Subject{Issuer: "https://id.example.org", Subject: name}
}

// signIn makes the learner of a subject.
func signIn(t *testing.T, s *profile.Service, name string, hints profile.Hints) profile.Learner {
	t.Helper()
	found, err := s.Resolve(t.Context(), subject(name), hints)
	if err != nil {
		t.Fatal(err)
	}
	learner, err := s.Learner(t.Context(), found.LearnerID)
	if err != nil {
		t.Fatal(err)
	}
	return learner
}

func wantFault(t *testing.T, err error, kind errs.Kind, reason string) {
	t.Helper()
	if err == nil || errs.KindOf(err) != kind || errs.ReasonOf(err) != reason {
		t.Errorf("error %v (kind %d, reason %q), want kind %d, reason %q", err, errs.KindOf(err), errs.ReasonOf(err), kind, reason)
	}
}

func fields(err error) []string {
	var names []string
	if e, ok := errors.AsType[*errs.Error](err); ok {
		for _, v := range e.Violations {
			names = append(names, v.Field)
		}
	}
	return names
}

func wantFields(t *testing.T, err error, want ...string) {
	t.Helper()
	if got := fields(err); !slices.Equal(got, want) {
		t.Errorf("violations of %q name %q, want %q", err, got, want)
	}
}

func TestResolveMakesALearnerOnce(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	hints := profile.Hints{DisplayName: " Ana Müller ", Email: "ana@example.org", Locale: "pt_br", TimeZone: "America/Sao_Paulo"}
	made := signIn(t, s, "ana", hints)
	at := time.Date(2026, time.March, 1, 11, 0, 0, 123456000, time.UTC)
	want := profile.Learner{
		ID: made.ID, Subjects: []profile.Subject{subject("ana")}, DisplayName: "Ana Müller", Email: "ana@example.org",
		Locale: "pt-BR", TimeZone: "America/Sao_Paulo", TimeZoneTime: at, State: profile.StateActive,
		Version: 1, CreateTime: at, UpdateTime: at, Revision: 1,
	}
	if !reflect.DeepEqual(made, want) {
		t.Errorf("made %+v, want %+v", made, want)
	}
	if id, err := uuid.Parse(made.ID); err != nil || id.Version() != 7 {
		t.Errorf("id %q is no UUIDv7", made.ID)
	}

	// Later hints change nothing.
	if again := signIn(t, s, "ana", profile.Hints{DisplayName: "Somebody Else"}); !reflect.DeepEqual(again, made) {
		t.Errorf("the second sign-in found %+v, want %+v", again, made)
	}
	if other := signIn(t, s, "Ana", profile.Hints{}); other.ID == made.ID {
		t.Error("another subject is the same learner")
	}
	found, err := s.Resolve(t.Context(), subject("ana"), profile.Hints{})
	if want := (profile.Resolved{LearnerID: made.ID, TimeZone: "America/Sao_Paulo", TimeZoneTime: at}); err != nil || found != want {
		t.Errorf("resolved %+v, %v, want %+v", found, err, want)
	}
}

func TestResolveDropsBadHints(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	for name, hints := range map[string]profile.Hints{
		"too long": {
			DisplayName: strings.Repeat("é", 201), Email: strings.Repeat("e", 250) + "@example.org",
			Locale: strings.Repeat("en-", 12) + "US", TimeZone: strings.Repeat("Z", 65),
		},
		"malformed": {DisplayName: "a\x00b", Email: "not an address", Locale: "??", TimeZone: "Mars/Olympus"},
		"tricky":    {DisplayName: "\xff", Email: "Ana <ana@example.org>", Locale: "en-US\n-x", TimeZone: "Local"},
		"paths":     {TimeZone: "../../etc/passwd"},
	} {
		l := signIn(t, s, name, hints)
		if l.DisplayName != "" || l.Email != "" || l.Locale != "" || l.TimeZone != "" {
			t.Errorf("%s: kept %+v", name, l)
		}
	}
	// A good hint is kept beside a bad one.
	if l := signIn(t, s, "mixed", profile.Hints{DisplayName: strings.Repeat("é", 200), TimeZone: "nowhere"}); len(l.DisplayName) != 400 {
		t.Errorf("kept %+v", l)
	}
}

// machineZones are names that time.LoadLocation finds on some machines, but the program does not carry.
func machineZones() []string {
	return []string{"right/UTC", "posixrules", "Factory", "posix/Europe/Berlin", "Local", "localtime", "europe/berlin"}
}

func TestTimeZonesAreThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	names := func(profile.Learner) ([]byte, error) { return nil, nil }
	for _, name := range machineZones() {
		l := signIn(t, s, name, profile.Hints{DisplayName: "Ana", TimeZone: name})
		if l.TimeZone != "" || l.DisplayName != "Ana" {
			t.Errorf("the hint %q made %+v", name, l)
		}
		_, err := s.Update(t.Context(), profile.Update{LearnerID: l.ID, Edit: sets(func(l *profile.Learner) { l.TimeZone = name })})
		wantViolation(t, err, "timeZone", "UNKNOWN_VALUE")
		_, _, err = s.Create(t.Context(), profile.Creation{Learner: profile.Learner{TimeZone: name}, Encode: names})
		wantViolation(t, err, "timeZone", "UNKNOWN_VALUE")
	}
}

// wantViolation wants an Invalid of one violation, whatever its description.
func wantViolation(t *testing.T, err error, field, reason string) {
	t.Helper()
	wantFault(t, err, errs.Invalid, "INVALID_ARGUMENT")
	wantFields(t, err, field)
	if e, ok := errors.AsType[*errs.Error](err); ok && len(e.Violations) == 1 && e.Violations[0].Reason != reason {
		t.Errorf("%s has the reason %s, want %s", field, e.Violations[0].Reason, reason)
	}
}

func TestResolveRefusesWhatIsNoIdentity(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	for _, c := range []struct {
		subject profile.Subject
		want    []string
	}{
		{profile.Subject{}, []string{"subject.issuer", "subject.subject"}},
		{profile.Subject{Issuer: "https://id", Subject: "a\x00"}, []string{"subject.subject"}},
		{profile.Subject{Issuer: strings.Repeat("i", 513), Subject: "a"}, []string{"subject.issuer"}},
		{profile.Subject{Issuer: "https://id", Subject: strings.Repeat("s", 256)}, []string{"subject.subject"}},
	} {
		_, err := s.Resolve(t.Context(), c.subject, profile.Hints{})
		wantFault(t, err, errs.Invalid, "INVALID_ARGUMENT")
		wantFields(t, err, c.want...)
	}
}

// Replicas have a database handle each, and nothing else in common.
func TestResolveAtOnceMakesOneLearner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "profile.db")
	var created atomic.Int64
	opts := profile.Options{Now: newClock().Now, Rules: newRules(t), Created: func(context.Context, string) { created.Add(1) }}
	replicas := []*profile.Service{profile.New(openDB(t, path), nil, opts), profile.New(openDB(t, path), nil, opts)}
	for round := range 5 {
		const callers = 16
		ids := make([]string, callers)
		begin := make(chan struct{})
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				<-begin
				found, err := replicas[i%len(replicas)].Resolve(t.Context(), subject(fmt.Sprint("new-", round)), profile.Hints{})
				if err != nil {
					t.Error(err)
				}
				ids[i] = found.LearnerID
			})
		}
		close(begin)
		wg.Wait()
		if slices.Sort(ids); ids[0] == "" || ids[0] != ids[callers-1] {
			t.Errorf("round %d: several learners: %v", round, slices.Compact(ids))
		}
		page, err := replicas[0].List(t.Context(), profile.ListQuery{IncludeTotal: true})
		if err != nil || page.Total != round+1 {
			t.Errorf("round %d: %d learners are stored (%v)", round, page.Total, err)
		}
		if got := created.Load(); got != int64(round+1) {
			t.Errorf("round %d: Created was called %d times", round, got)
		}
	}
}

// sets is an edit that cannot fail.
func sets(change func(l *profile.Learner)) func(profile.Learner) (profile.Learner, error) {
	return func(l profile.Learner) (profile.Learner, error) {
		change(&l)
		return l, nil
	}
}

func TestUpdateChangesWhatAClientMaySet(t *testing.T) {
	t.Parallel()
	s, c := newService(t, nil)
	before := signIn(t, s, "ana", profile.Hints{DisplayName: "Ana", Email: "ana@example.org", TimeZone: "Europe/Berlin"})
	c.Advance(time.Hour)
	edit := sets(func(l *profile.Learner) {
		l.DisplayName, l.Email, l.Locale = "  Ana M.  ", "", "EN-us"
		l.Background, l.TargetRole, l.WeeklyGoal.Minutes = profile.BackgroundClinical, "clinical-ai-engineer", 90
		l.ID, l.Version, l.Revision, l.CreateTime, l.UpdateTime = "ignored", 9, 9, time.Time{}, time.Time{}
		l.TimeZoneTime = time.Time{}
	})
	got, err := s.Update(t.Context(), profile.Update{LearnerID: before.ID, Edit: edit})
	if err != nil {
		t.Fatal(err)
	}
	want := before
	want.DisplayName, want.Email, want.Locale = "Ana M.", "", "en-US"
	want.Background, want.TargetRole, want.WeeklyGoal.Minutes = profile.BackgroundClinical, "clinical-ai-engineer", 90
	want.Version, want.UpdateTime = 2, before.UpdateTime.Add(time.Hour)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("updated to %+v, want %+v", got, want)
	}
	if stored, err := s.Learner(t.Context(), before.ID); err != nil || !reflect.DeepEqual(stored, want) {
		t.Errorf("stored %+v, %v, want %+v", stored, err, want)
	}
	if got.Etag() == before.Etag() {
		t.Error("the etag stayed")
	}

	// The same again changes nothing.
	c.Advance(time.Hour)
	again, err := s.Update(t.Context(), profile.Update{LearnerID: before.ID, Edit: edit})
	if err != nil || again.Etag() != got.Etag() {
		t.Errorf("the same edit again answered %+v, %v", again, err)
	}
	// A clock that goes back does not take the time along.
	c.Advance(-24 * time.Hour)
	cleared, err := s.Update(t.Context(), profile.Update{LearnerID: before.ID, Edit: sets(func(l *profile.Learner) {
		l.WeeklyGoal, l.Background = profile.WeeklyGoal{}, ""
	})})
	if err != nil || cleared.WeeklyGoal != (profile.WeeklyGoal{}) || cleared.Background != "" || !cleared.UpdateTime.Equal(got.UpdateTime) {
		t.Errorf("cleared to %+v, %v", cleared, err)
	}
}

func TestATimeZoneHasTheTimeAtWhichItWasSet(t *testing.T) {
	t.Parallel()
	s, c := newService(t, nil)
	l := signIn(t, s, "ana", profile.Hints{})
	if !l.TimeZoneTime.Equal(l.CreateTime) {
		t.Errorf("a learner of %v is in UTC since %v", l.CreateTime, l.TimeZoneTime)
	}
	made := l.CreateTime
	for _, step := range []struct {
		after time.Duration
		edit  func(*profile.Learner)
		want  time.Duration // since the learner was made
	}{
		{time.Hour, func(l *profile.Learner) { l.DisplayName = "Ana" }, 0},
		{time.Hour, func(l *profile.Learner) { l.TimeZone = "Asia/Tokyo" }, 2 * time.Hour},
		{time.Hour, func(l *profile.Learner) { l.TimeZone = " Asia/Tokyo " }, 2 * time.Hour},
		{time.Hour, func(l *profile.Learner) { l.DisplayName, l.TimeZoneTime = "Else", made }, 2 * time.Hour},
		{time.Hour, func(l *profile.Learner) { l.TimeZone, l.DisplayName = "Europe/Berlin", "Ana" }, 5 * time.Hour},
		{-24 * time.Hour, func(l *profile.Learner) { l.TimeZone = "" }, 5 * time.Hour}, // a replica whose clock is behind
	} {
		c.Advance(step.after)
		got, err := s.Update(t.Context(), profile.Update{LearnerID: l.ID, Edit: sets(step.edit)})
		if err != nil || got.TimeZoneTime.Sub(made) != step.want {
			t.Errorf("%q is the zone since %v, %v, want %v later than the learner", got.TimeZone, got.TimeZoneTime, err, step.want)
		}
		found, err := s.Resolve(t.Context(), subject("ana"), profile.Hints{})
		if err != nil || found.TimeZone != got.TimeZone || !found.TimeZoneTime.Equal(got.TimeZoneTime) {
			t.Errorf("resolved %+v, %v, want the zone %q since %v", found, err, got.TimeZone, got.TimeZoneTime)
		}
		changes, _, _, err := s.Feed(t.Context(), 0)
		if newest := changes[len(changes)-1]; err != nil || newest.Revision != got.Revision || !newest.Learner.TimeZoneTime.Equal(got.TimeZoneTime) {
			t.Errorf("the feed has %+v, %v, want the time %v", changes, err, got.TimeZoneTime)
		}
	}
}

func TestUpdateNamesEveryViolation(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	l := signIn(t, s, "ana", profile.Hints{})
	_, err := s.Update(t.Context(), profile.Update{LearnerID: l.ID, Admin: true, Edit: sets(func(l *profile.Learner) {
		l.Subjects = []profile.Subject{{Issuer: "https://id"}, subject("a"), subject("a")}
		l.DisplayName, l.Email, l.Locale, l.TimeZone = strings.Repeat("é", 201), "ana@", "english", "Local"
		l.Background, l.TargetRole = "7", "Clinical AI"
		l.WeeklyGoal = profile.WeeklyGoal{Minutes: 10081, Units: -1}
	})})
	wantFault(t, err, errs.Invalid, "INVALID_ARGUMENT")
	wantFields(t, err, "subjects[0].subject", "subjects[2]", "displayName", "email", "locale", "timeZone", "background",
		"targetRole", "weeklyGoal.minutes", "weeklyGoal.units")

	broken := errors.New("broken")
	_, err = s.Update(t.Context(), profile.Update{LearnerID: l.ID, Edit: func(profile.Learner) (profile.Learner, error) { return l, broken }})
	if !errors.Is(err, broken) {
		t.Errorf("an edit that fails: %v", err)
	}

	var many []profile.Subject
	for i := range 21 {
		many = append(many, subject(fmt.Sprint(i)))
	}
	_, err = s.Update(t.Context(), profile.Update{LearnerID: l.ID, Admin: true, Edit: sets(func(l *profile.Learner) { l.Subjects = many })})
	wantFields(t, err, "subjects")
	if stored, err := s.Learner(t.Context(), l.ID); err != nil || !reflect.DeepEqual(stored, l) {
		t.Errorf("a refused edit left %+v, %v", stored, err)
	}
}

func TestValuesThatPeopleHave(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	l := signIn(t, s, "ana", profile.Hints{})
	for _, c := range []struct {
		path string
		set  func(*profile.Learner, string)
		good []string
		bad  []string
	}{
		{
			"email", func(l *profile.Learner, v string) { l.Email = v },
			[]string{"", "a@b", "o'neil+x@mail.example.co.uk", "用户@例子.公司"},
			[]string{"a", "@b", "a b@c", "a@b, c@d", "<a@b>", "a@b\r\nBcc: c@d"},
		},
		{
			"locale", func(l *profile.Learner, v string) { l.Locale = v },
			[]string{"", "de", "de-AT", "zh-Hant-TW", "es-419", "sr-Latn"},
			[]string{"e", "xx-", "deutsch", "zz-ZZ-zz"},
		},
		{
			"time_zone", func(l *profile.Learner, v string) { l.TimeZone = v },
			[]string{"", "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"},
			append([]string{"CEST", "+01:00", "/Europe/Berlin", "Europe/../Europe/Berlin"}, machineZones()...),
		},
		{
			"target_role", func(l *profile.Learner, v string) { l.TargetRole = v },
			[]string{"", "a", "ai-2", strings.Repeat("a", 63)},
			[]string{"-a", "a-", "A", "ä", "a b", strings.Repeat("a", 64)},
		},
		{
			"display_name", func(l *profile.Learner, v string) { l.DisplayName = v },
			[]string{"", "李", "Zoë O'Neil-Smith", "👩‍⚕️ Ana"},
			[]string{"a\nb", "a\x00", "\x1b[31m", "\xff"},
		},
	} {
		try := func(value string) error {
			_, err := s.Update(t.Context(), profile.Update{LearnerID: l.ID, Edit: sets(func(l *profile.Learner) { c.set(l, value) })})
			return err
		}
		for _, v := range c.good {
			if err := try(v); err != nil {
				t.Errorf("%s %q: %v", c.path, v, err)
			}
		}
		for _, v := range c.bad {
			if err := try(v); errs.KindOf(err) != errs.Invalid {
				t.Errorf("%s %q: %v, want a violation", c.path, v, err)
			}
		}
	}
}

func TestUpdatePreconditions(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	l := signIn(t, s, "ana", profile.Hints{})
	var asked []string
	u := profile.Update{
		LearnerID: l.ID,
		Edit:      sets(func(l *profile.Learner) { l.DisplayName = "Ana" }),
		Match: func(etag string) bool {
			asked = append(asked, etag)
			return etag == l.Etag()
		},
	}
	after, err := s.Update(t.Context(), u)
	if err != nil || after.DisplayName != "Ana" {
		t.Errorf("updated to %+v, %v", after, err)
	}
	_, err = s.Update(t.Context(), u) // The first edit made the etag an old one.
	wantFault(t, err, errs.FailedPrecondition, errs.ReasonEtagMismatch)
	if !slices.Equal(asked, []string{l.Etag(), after.Etag()}) {
		t.Errorf("asked for %q, want the etags before and after", asked)
	}
}

func TestOnlyAdminsSetSubjects(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	ana, bob := signIn(t, s, "ana", profile.Hints{}), signIn(t, s, "bob", profile.Hints{})
	subjects := []profile.Subject{subject("ana-2"), subject("ana")}
	u := profile.Update{LearnerID: ana.ID, Edit: sets(func(l *profile.Learner) { l.Subjects = subjects })}
	_, err := s.Update(t.Context(), u)
	wantFault(t, err, errs.PermissionDenied, errs.ReasonRoleRequired)

	u.Admin = true
	if _, err = s.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if l := signIn(t, s, "ana-2", profile.Hints{}); l.ID != ana.ID || !slices.Equal(l.Subjects, subjects) {
		t.Errorf("the new subject is %+v", l)
	}
	u.LearnerID = bob.ID
	_, err = s.Update(t.Context(), u)
	wantFault(t, err, errs.AlreadyExists, errs.ReasonSubjectTaken)
	wantFields(t, err, "subjects[0]", "subjects[1]")
}

func TestUnknownLearners(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	for _, id := range []string{"", "me", "0190\x00", "{0190c7a4-0000-7000-8000-000000000000}", "0190c7a4-0000-7000-8000-000000000000"} {
		_, err := s.Learner(t.Context(), id)
		wantFault(t, err, errs.NotFound, errs.ReasonLearnerNotFound)
		_, err = s.Update(t.Context(), profile.Update{LearnerID: id})
		wantFault(t, err, errs.NotFound, errs.ReasonLearnerNotFound)
		_, err = s.Recommend(t.Context(), id)
		wantFault(t, err, errs.NotFound, errs.ReasonLearnerNotFound)
	}
}

func TestListPagesUnderInserts(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	var want []string
	for i := range 7 {
		want = append(want, signIn(t, s, fmt.Sprint("early-", i), profile.Hints{DisplayName: "Ana"}).ID)
	}
	var got []string
	q := profile.ListQuery{Q: "ana", PageSize: 3, IncludeTotal: true}
	for i := 0; ; i++ {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page.Learners {
			got = append(got, l.ID)
		}
		if page.Total != 7+min(i, 2) {
			t.Errorf("page %d counts %d", i, page.Total)
		}
		if q.PageToken = page.NextPageToken; q.PageToken == "" {
			break
		}
		if i < 2 {
			want = append(want, signIn(t, s, fmt.Sprint("late-", i), profile.Hints{DisplayName: "ANA"}).ID)
		}
		signIn(t, s, fmt.Sprint("other-", i), profile.Hints{DisplayName: "Bob"})
	}
	if !slices.Equal(got, want) {
		t.Errorf("paged through %v, want %v", got, want)
	}
}

func TestListPageSizesAndTokens(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	for i := range 203 {
		signIn(t, s, fmt.Sprint(i), profile.Hints{DisplayName: "Ana"})
	}
	for size, want := range map[int]int{0: 50, 1: 1, 200: 200, 201: 200, 5000: 200} {
		page, err := s.List(t.Context(), profile.ListQuery{PageSize: size})
		if err != nil || len(page.Learners) != want || page.NextPageToken == "" || page.Total != 0 {
			t.Errorf("page size %d: %d learners, %v, want %d", size, len(page.Learners), err, want)
		}
	}
	first, err := s.List(t.Context(), profile.ListQuery{Q: "Ana", PageSize: 5})
	if err != nil {
		t.Fatal(err)
	}
	// The same words in other case are the same filter; another page size is no filter.
	if page, err := s.List(t.Context(), profile.ListQuery{Q: " ana", PageSize: 6, PageToken: first.NextPageToken}); err != nil ||
		len(page.Learners) != 6 {
		t.Errorf("%d learners, %v", len(page.Learners), err)
	}
	for _, q := range []profile.ListQuery{
		{Q: "bob", PageToken: first.NextPageToken},
		{PageToken: first.NextPageToken},
		{Q: "ana", PageToken: "x"},
		{Q: "ana", PageToken: first.NextPageToken + "AA"},
		{Q: "ana", PageToken: "not base64!"},
	} {
		_, err := s.List(t.Context(), q)
		wantFault(t, err, errs.Invalid, errs.ReasonBadPageToken)
		wantFields(t, err, "pageToken")
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	s, c := newService(t, nil)
	names := func(l profile.Learner) ([]byte, error) { return []byte(l.ID), nil }
	in := profile.Learner{ID: "ignored", DisplayName: "Ana", Subjects: []profile.Subject{subject("ana")}, Version: 9, CreateTime: time.Unix(1, 0)}
	id, _, err := s.Create(t.Context(), profile.Creation{Learner: in, Encode: names})
	if err != nil {
		t.Fatal(err)
	}
	l := signIn(t, s, "ana", profile.Hints{DisplayName: "Else"})
	if l.ID != string(id) || l.DisplayName != "Ana" || l.Version != 1 || !l.CreateTime.Equal(c.Now().Truncate(time.Microsecond)) {
		t.Errorf("made %+v", l)
	}
	_, _, err = s.Create(t.Context(), profile.Creation{Learner: in, Encode: names})
	wantFault(t, err, errs.AlreadyExists, errs.ReasonSubjectTaken)
	wantFields(t, err, "subjects[0]")
	_, _, err = s.Create(t.Context(), profile.Creation{Learner: profile.Learner{Email: "x", TimeZone: "x", Subjects: []profile.Subject{{}}}, Encode: names})
	wantFields(t, err, "subjects[0].issuer", "subjects[0].subject", "email", "timeZone")
}

// The twin comes while the first is still being encoded.
func TestCreateTwinInFlight(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, nil)
	key, err := idem.New("admin", "/m", "k", []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	twin := func(profile.Learner) ([]byte, error) {
		_, _, err := s.Create(t.Context(), profile.Creation{Key: key})
		wantFault(t, err, errs.Aborted, errs.ReasonIdempotencyKeyInFlight)
		return []byte("answer"), nil
	}
	for range 2 {
		if got, _, err := s.Create(t.Context(), profile.Creation{Key: key, Encode: twin}); err != nil || string(got) != "answer" {
			t.Errorf("answered %q, %v", got, err)
		}
	}
}

// BenchmarkResolveKnown is what each call of a known learner pays.
func BenchmarkResolveKnown(b *testing.B) {
	s := profile.New(openDB(b, filepath.Join(b.TempDir(), "profile.db")), nil, profile.Options{Now: newClock().Now, Rules: newRules(b)})
	for b.Loop() {
		if _, err := s.Resolve(b.Context(), subject("ana"), profile.Hints{}); err != nil {
			b.Fatal(err)
		}
	}
}
