package catalog_test

import (
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
)

// library has a module in each state, and one with a prerequisite.
func library(t *testing.T) (*catalog.Service, *clock) {
	t.Helper()
	s, c := newService(t)
	catalogtest.Publish(t, s.Modules, "active", catalogtest.Module(), catalog.Publication{})
	catalogtest.Publish(t, s.Modules, "other", catalogtest.Module(), catalog.Publication{})
	follower := catalogtest.Module()
	follower.Prerequisites = []string{"active"}
	catalogtest.Publish(t, s.Modules, "follower", follower, catalog.Publication{})
	catalogtest.Publish(t, s.Modules, "archived", catalogtest.Module(), catalog.Publication{})
	_, err := s.Modules.Archive(t.Context(), "archived", time.Time{}, nil, "ada")
	must(t, err)
	catalogtest.Draft(t, s.Modules, "unborn", catalogtest.Module())
	return s, c
}

func TestModuleViolations(t *testing.T) {
	s, _ := library(t)
	unit := func(m *catalog.ModuleContent) *catalog.Unit { return &m.Units[0] }
	tests := map[string]struct {
		change func(*catalog.ModuleContent)
		want   []string
	}{
		"none":         {func(*catalog.ModuleContent) {}, nil},
		"no title":     {func(m *catalog.ModuleContent) { m.Title = " " }, []string{"title MISSING_TITLE"}},
		"a role twice": {func(m *catalog.ModuleContent) { m.Roles = []string{"a", "b", "a"} }, []string{"roles[2] DUPLICATE_ROLE"}},
		"no units":     {func(m *catalog.ModuleContent) { m.Units = nil }, []string{"units NO_REQUIRED_UNIT"}},
		"no required unit": {
			func(m *catalog.ModuleContent) { m.Units[0].Required, m.Units[1].Required = new(false), new(false) },
			[]string{"units NO_REQUIRED_UNIT"},
		},
		"a unit id twice":     {func(m *catalog.ModuleContent) { m.Units[1].ID = "phi" }, []string{"units[1].id DUPLICATE_UNIT_ID"}},
		"required, to nobody": {func(m *catalog.ModuleContent) { unit(m).MoveOn = catalog.MoveOnNotApplicable }, []string{"units[0].moveOn REQUIRED_NOT_APPLICABLE"}},
		"optional, to nobody": {func(m *catalog.ModuleContent) {
			unit(m).MoveOn, unit(m).Required = catalog.MoveOnNotApplicable, new(false)
		}, nil},
		"a quiz without score": {func(m *catalog.ModuleContent) { m.Units[1].MasteryScore = nil }, []string{"units[1].masteryScore MASTERY_SCORE_REQUIRED"}},
		"a quiz to complete": {func(m *catalog.ModuleContent) {
			m.Units[1].MasteryScore, m.Units[1].MoveOn = nil, catalog.MoveOnCompleted
		}, nil},
		"PASSED without score": {
			func(m *catalog.ModuleContent) { unit(m).MoveOn = catalog.MoveOnPassed },
			[]string{"units[0].masteryScore MASTERY_SCORE_REQUIRED"},
		},
		"both, without score": {
			func(m *catalog.ModuleContent) { unit(m).MoveOn = catalog.MoveOnCompletedAndPassed },
			[]string{"units[0].masteryScore MASTERY_SCORE_REQUIRED"},
		},
		"either, without score": {
			func(m *catalog.ModuleContent) { unit(m).MoveOn = catalog.MoveOnCompletedOrPassed },
			[]string{"units[0].masteryScore MASTERY_SCORE_REQUIRED"},
		},
		"no duration":               {func(m *catalog.ModuleContent) { unit(m).Duration = "15 min" }, []string{"units[0].duration BAD_DURATION"}},
		"a duration of nothing":     {func(m *catalog.ModuleContent) { unit(m).Duration = "PT0S" }, []string{"units[0].duration BAD_DURATION"}},
		"years in a unit":           {func(m *catalog.ModuleContent) { unit(m).Duration = "P2Y" }, []string{"units[0].duration BAD_DURATION"}},
		"a module's duration":       {func(m *catalog.ModuleContent) { m.Duration = "-PT1H" }, []string{"duration BAD_DURATION"}},
		"no period":                 {func(m *catalog.ModuleContent) { m.CurrencyPolicy = &catalog.CurrencyPolicy{} }, []string{"currencyPolicy.period BAD_PERIOD"}},
		"a period of nothing":       {func(m *catalog.ModuleContent) { m.CurrencyPolicy.Period = "P0D" }, []string{"currencyPolicy.period BAD_PERIOD"}},
		"over a hundred years":      {func(m *catalog.ModuleContent) { m.CurrencyPolicy.Period = "P101Y" }, []string{"currencyPolicy.period BAD_PERIOD"}},
		"a long window":             {func(m *catalog.ModuleContent) { m.CurrencyPolicy.Window = "P13M" }, []string{"currencyPolicy.window BAD_WINDOW"}},
		"a window of the period":    {func(m *catalog.ModuleContent) { m.CurrencyPolicy.Window = "P12M" }, []string{"currencyPolicy.window BAD_WINDOW"}},
		"a window of eleven months": {func(m *catalog.ModuleContent) { m.CurrencyPolicy.Window = "P11M" }, nil},
		"as long as February": {
			func(m *catalog.ModuleContent) {
				*m.CurrencyPolicy = catalog.CurrencyPolicy{Period: "P1M", Window: "P28D"}
			},
			[]string{"currencyPolicy.window BAD_WINDOW"},
		},
		"shorter than February": {
			func(m *catalog.ModuleContent) {
				*m.CurrencyPolicy = catalog.CurrencyPolicy{Period: "P1M", Window: "P27D"}
			}, nil,
		},
		"as long as July": {
			func(m *catalog.ModuleContent) {
				*m.CurrencyPolicy = catalog.CurrencyPolicy{Period: "P30D", Window: "P1M"}
			},
			[]string{"currencyPolicy.window BAD_WINDOW"},
		},
		"a second shorter": {
			func(m *catalog.ModuleContent) {
				*m.CurrencyPolicy = catalog.CurrencyPolicy{Period: "P1D", Window: "PT23H59M59S"}
			}, nil,
		},
		"fixed, and months": {func(m *catalog.ModuleContent) {
			*m.CurrencyPolicy = catalog.CurrencyPolicy{Period: "P1M", Window: "P30D", Basis: catalog.BasisFixedDate, FixedDate: "01-31"}
		}, []string{"currencyPolicy.period BAD_PERIOD", "currencyPolicy.window BAD_WINDOW"}},
		"fixed, and everything else": {func(m *catalog.ModuleContent) {
			*m.CurrencyPolicy = catalog.CurrencyPolicy{Period: "P18M", Window: "P2Y", Grace: "P3Y", Basis: catalog.BasisFixedDate, FixedDate: "2-30"}
		}, []string{
			"currencyPolicy.period BAD_PERIOD", "currencyPolicy.window BAD_WINDOW", "currencyPolicy.grace BAD_GRACE", "currencyPolicy.fixedDate BAD_FIXED_DATE",
		}},
		"fixed, every other year": {func(m *catalog.ModuleContent) {
			*m.CurrencyPolicy = catalog.CurrencyPolicy{Period: "P24M", Window: "P1Y", Basis: catalog.BasisFixedDate, FixedDate: "01-31"}
		}, nil},
		"no window":    {func(m *catalog.ModuleContent) { m.CurrencyPolicy.Window = "60 days" }, []string{"currencyPolicy.window BAD_WINDOW"}},
		"a long grace": {func(m *catalog.ModuleContent) { m.CurrencyPolicy.Grace = "P400D" }, []string{"currencyPolicy.grace BAD_GRACE"}},
		"fixed, without date": {
			func(m *catalog.ModuleContent) { m.CurrencyPolicy.Basis = catalog.BasisFixedDate },
			[]string{"currencyPolicy.fixedDate BAD_FIXED_DATE"},
		},
		"fixed to a leap day": {func(m *catalog.ModuleContent) {
			m.CurrencyPolicy.Basis, m.CurrencyPolicy.FixedDate = catalog.BasisFixedDate, "02-29"
		}, []string{"currencyPolicy.fixedDate BAD_FIXED_DATE"}},
		"fixed to no date": {func(m *catalog.ModuleContent) {
			m.CurrencyPolicy.Basis, m.CurrencyPolicy.FixedDate = catalog.BasisFixedDate, "13-01"
		}, []string{"currencyPolicy.fixedDate BAD_FIXED_DATE"}},
		"fixed": {func(m *catalog.ModuleContent) {
			m.CurrencyPolicy.Basis, m.CurrencyPolicy.FixedDate = catalog.BasisFixedDate, "02-28"
		}, nil},
		"a date not fixed":     {func(m *catalog.ModuleContent) { m.CurrencyPolicy.FixedDate = "02-28" }, []string{"currencyPolicy.fixedDate FIXED_DATE_UNUSED"}},
		"unknown prerequisite": {func(m *catalog.ModuleContent) { m.Prerequisites = []string{"active", "nobody"} }, []string{"prerequisites[1] UNKNOWN_MODULE"}},
		"unpublished":          {func(m *catalog.ModuleContent) { m.Prerequisites = []string{"unborn"} }, []string{"prerequisites[0] UNPUBLISHED_MODULE"}},
		"archived":             {func(m *catalog.ModuleContent) { m.Prerequisites = []string{"archived"} }, []string{"prerequisites[0] ARCHIVED_MODULE"}},
		"a prerequisite twice": {func(m *catalog.ModuleContent) { m.Prerequisites = []string{"active", "active"} }, []string{"prerequisites[1] DUPLICATE_MODULE"}},
		"itself":               {func(m *catalog.ModuleContent) { m.Prerequisites = []string{"subject"} }, []string{"prerequisites[0] PREREQUISITE_CYCLE"}},
		"credit for an archived": {func(m *catalog.ModuleContent) {
			m.Credits = []catalog.Credit{{ModuleIDs: []string{"archived", "active"}}}
		}, nil},
		"credit for itself": {
			func(m *catalog.ModuleContent) { m.Credits = []catalog.Credit{{ModuleIDs: []string{"subject"}}} },
			[]string{"credits[0].moduleIds[0] SELF_CREDIT"},
		},
		"credit for the unknown": {
			func(m *catalog.ModuleContent) { m.Credits = []catalog.Credit{{ModuleIDs: []string{"nobody"}}} },
			[]string{"credits[0].moduleIds[0] UNKNOWN_MODULE"},
		},
		"credit for the unborn": {
			func(m *catalog.ModuleContent) { m.Credits = []catalog.Credit{{ModuleIDs: []string{"unborn"}}} },
			[]string{"credits[0].moduleIds[0] UNPUBLISHED_MODULE"},
		},
		"credit twice in a group": {func(m *catalog.ModuleContent) {
			m.Credits = []catalog.Credit{{ModuleIDs: []string{"active", "active"}}}
		}, []string{"credits[0].moduleIds[1] DUPLICATE_MODULE"}},
		"everything at once": {func(m *catalog.ModuleContent) {
			m.Title, m.Units[0].ContentURI, m.Prerequisites, m.CurrencyPolicy.Period = "", "//evil.example", []string{"nobody"}, "P0D"
		}, []string{"title MISSING_TITLE", "units[0].contentUri BAD_CONTENT_URI", "prerequisites[0] UNKNOWN_MODULE", "currencyPolicy.period BAD_PERIOD"}},
	}
	catalogtest.Draft(t, s.Modules, "subject", catalogtest.Module())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := catalogtest.Module()
			test.change(&m)
			catalogtest.Draft(t, s.Modules, "subject", m)
			preview, err := s.PreviewModule(t.Context(), "subject", catalog.Publication{})
			must(t, err)
			wantFaults(t, errs.InvalidFields(preview.Violations), test.want...)
			if len(test.want) == 0 {
				return
			}
			_, err = s.Modules.Publish(t.Context(), "subject", catalog.Publication{}, nil, "ada")
			if errs.KindOf(err) != errs.Invalid {
				t.Errorf("published: %v", err)
			}
			wantFaults(t, err, test.want...)
		})
	}
}

// TestWindowSaysBothLengths proves that an author is told what the two lengths are, of all their months and years.
func TestWindowSaysBothLengths(t *testing.T) {
	s, _ := newService(t)
	for _, test := range []struct{ period, window, want string }{
		{"P1M", "P28D", "P28D is up to 28 days, and P1M can be as short as 28 days"},
		{"P30D", "P1M", "P1M is up to 31 days, and P30D can be as short as 30 days"},
		{"P1Y", "P1Y", "P1Y is up to 366 days, and P1Y can be as short as 365 days"},
		{"P1D", "PT36H", "PT36H is up to 36h0m0s, and P1D can be as short as 1 day"},
	} {
		m := catalogtest.Module()
		m.CurrencyPolicy = &catalog.CurrencyPolicy{Period: test.period, Window: test.window}
		catalogtest.Draft(t, s.Modules, "m", m)
		preview, err := s.PreviewModule(t.Context(), "m", catalog.Publication{})
		must(t, err)
		wantListed(t, preview.Violations, "currencyPolicy.window BAD_WINDOW: must be shorter than the period, always: "+test.want)
	}
}

func TestContentURI(t *testing.T) {
	s, _ := newService(t)
	catalogtest.Draft(t, s.Modules, "m", catalogtest.Module())
	for uri, ok := range map[string]bool{
		"https://example.org/a?b=c#d": true, "http://example.org": true, "HTTPS://EXAMPLE.ORG/": true,
		"content/quiz": true, "./quiz": true, "../quiz": true, "/abs/quiz": true, "?q=1": true, "#part": true, "a%20b": true,
		"javascript:alert(1)": false, "JavaScript:alert(1)": false, "java\tscript:alert(1)": false, " javascript:alert(1)": false,
		"data:text/html,x": false, "//host/path": false, `\\host\path`: false, `/\host`: false, "ftp://host/": false, "file:///etc/passwd": false,
		"https:relative": false, "https://": false, "https:///path": false, "http://user:pw@host/": false, "a b": false, "mailto:a@b": false,
		"https://exa mple.org": false, "http://[::1": false, "%zz": false,
	} {
		m := catalogtest.Module()
		m.Units[0].ContentURI = uri
		catalogtest.Draft(t, s.Modules, "m", m)
		preview, err := s.PreviewModule(t.Context(), "m", catalog.Publication{})
		must(t, err)
		if got := len(preview.Violations) == 0; got != ok {
			t.Errorf("%q: allowed %t, want %t", uri, got, ok)
		}
	}
}

func TestPathViolations(t *testing.T) {
	s, _ := library(t)
	group := func(p *catalog.PathContent) *catalog.Group { return &p.Milestones[0].Groups[0] }
	choice := func(k int, ids ...string) catalog.Group { return catalog.Group{ModuleIDs: ids, RequiredCount: &k} }
	tests := map[string]struct {
		change func(*catalog.PathContent)
		want   []string
	}{
		"none":           {func(*catalog.PathContent) {}, nil},
		"no title":       {func(p *catalog.PathContent) { p.Title = "" }, []string{"title MISSING_TITLE"}},
		"no milestone":   {func(p *catalog.PathContent) { p.Milestones = nil }, []string{"milestones NO_MILESTONE"}},
		"no group":       {func(p *catalog.PathContent) { p.Milestones[0].Groups = nil }, []string{"milestones[0].groups NO_GROUP"}},
		"an empty group": {func(p *catalog.PathContent) { group(p).ModuleIDs = nil }, []string{"milestones[0].groups[0].moduleIds EMPTY_GROUP"}},
		"a milestone twice": {
			func(p *catalog.PathContent) { p.Milestones = append(p.Milestones, p.Milestones[0]) },
			[]string{"milestones[1].id DUPLICATE_MILESTONE_ID"},
		},
		"k is nothing": {
			func(p *catalog.PathContent) { *group(p) = choice(0, "active") },
			[]string{"milestones[0].groups[0].requiredCount REQUIRED_COUNT_TOO_LOW"},
		},
		"k more than n": {
			func(p *catalog.PathContent) { *group(p) = choice(3, "active", "other") },
			[]string{"milestones[0].groups[0].requiredCount REQUIRED_COUNT_TOO_HIGH"},
		},
		"k of n": {func(p *catalog.PathContent) { *group(p) = choice(1, "active", "other") }, nil},
		"a module twice": {
			func(p *catalog.PathContent) { *group(p) = choice(2, "active", "active") },
			[]string{"milestones[0].groups[0].moduleIds[1] DUPLICATE_MODULE", "milestones[0].groups[0].requiredCount REQUIRED_COUNT_TOO_HIGH"},
		},
		"in two choices": {func(p *catalog.PathContent) {
			p.Milestones[0].Groups = []catalog.Group{choice(1, "active", "other"), choice(1, "follower", "other")}
		}, []string{"milestones[0].groups[1].moduleIds[1] MODULE_IN_TWO_CHOICES"}},
		"in all and a choice": {func(p *catalog.PathContent) {
			p.Milestones[0].Groups = append(p.Milestones[0].Groups, choice(1, "active", "other"))
		}, nil},
		"unknown": {func(p *catalog.PathContent) { group(p).ModuleIDs = []string{"nobody"} }, []string{"milestones[0].groups[0].moduleIds[0] UNKNOWN_MODULE"}},
		"archived": {
			func(p *catalog.PathContent) { group(p).ModuleIDs = []string{"archived"} },
			[]string{"milestones[0].groups[0].moduleIds[0] ARCHIVED_MODULE"},
		},
		"unpublished": {
			func(p *catalog.PathContent) { group(p).ModuleIDs = []string{"unborn"} },
			[]string{"milestones[0].groups[0].moduleIds[0] UNPUBLISHED_MODULE"},
		},
		"backgrounds":  {func(p *catalog.PathContent) { p.Backgrounds = []string{"AI", "ai"} }, []string{"backgrounds[1] UNKNOWN_BACKGROUND"}},
		"a role twice": {func(p *catalog.PathContent) { p.Roles = []string{"r", "r"} }, []string{"roles[1] DUPLICATE_ROLE"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := catalogtest.Path("active")
			test.change(&p)
			catalogtest.Draft(t, s.Paths, "subject", p)
			preview, err := s.PreviewPath(t.Context(), "subject")
			must(t, err)
			wantFaults(t, errs.InvalidFields(preview.Violations), test.want...)
			if len(test.want) > 0 {
				_, err = s.Paths.Publish(t.Context(), "subject", catalog.Publication{}, nil, "ada")
				wantFaults(t, err, test.want...)
			}
		})
	}
}

func TestPublicationViolations(t *testing.T) {
	s, c := newService(t)
	catalogtest.Publish(t, s.Modules, "m", catalogtest.Module(), catalog.Publication{})
	changed := catalogtest.Module()
	changed.Summary = "What PHI is, and what it is not."
	catalogtest.Draft(t, s.Modules, "m", changed)
	for name, test := range map[string]struct {
		publication catalog.Publication
		want        []string
	}{
		"no class":            {catalog.Publication{}, []string{"changeClass CHANGE_CLASS_REQUIRED"}},
		"MATERIAL only":       {catalog.Publication{ChangeClass: catalog.ClassMaterial}, []string{"retake RETAKE_REQUIRED"}},
		"retake of EDITORIAL": {catalog.Publication{ChangeClass: catalog.ClassEditorial, Retake: catalog.RetakeAllUnits}, []string{"retake RETAKE_UNUSED"}},
		"long ago": {
			catalog.Publication{ChangeClass: catalog.ClassMinor, EffectiveTime: start.Add(-6 * time.Minute)},
			[]string{"effectiveTime BAD_EFFECTIVE_TIME"},
		},
		"a slow clock": {catalog.Publication{ChangeClass: catalog.ClassMinor, EffectiveTime: start.Add(-4 * time.Minute)}, nil},
		"in six years": {
			catalog.Publication{ChangeClass: catalog.ClassMinor, EffectiveTime: start.AddDate(6, 0, 0)},
			[]string{"effectiveTime BAD_EFFECTIVE_TIME"},
		},
		"in four years":          {catalog.Publication{ChangeClass: catalog.ClassMinor, EffectiveTime: start.AddDate(4, 0, 0)}, nil},
		"a class that is no one": {catalog.Publication{ChangeClass: "HUGE"}, []string{"changeClass UNKNOWN_VALUE"}},
	} {
		preview, err := s.PreviewModule(t.Context(), "m", test.publication)
		must(t, err)
		t.Log(name)
		wantFaults(t, errs.InvalidFields(preview.Violations), test.want...)
	}
	c.addHour()
	in := c.now().Add(48 * time.Hour)
	material := catalog.Publication{ChangeClass: catalog.ClassMaterial, Retake: catalog.RetakeChangedUnits, EffectiveTime: in}
	m, err := s.Modules.Publish(t.Context(), "m", material, nil, "ada")
	must(t, err)
	v := m.Version
	if v.Number != 2 || v.ChangeClass != catalog.ClassMaterial || v.Retake != catalog.RetakeChangedUnits ||
		!v.EffectiveTime.Equal(in) || !v.PublishTime.Equal(c.now()) {
		t.Errorf("published %+v", v)
	}
	if m.Draft != nil || m.State != catalog.StateActive {
		t.Errorf("module %+v", m)
	}

	_, err = s.Modules.Publish(t.Context(), "m", catalog.Publication{ChangeClass: catalog.ClassMinor}, nil, "ada")
	wantFaults(t, err, "draft NO_CHANGES")
	changed.Topic, changed.Units[0].Required, changed.Duration = "hipaa", new(true), "PT35M"
	catalogtest.Draft(t, s.Modules, "m", changed) // spells out what was default
	_, err = s.Modules.Publish(t.Context(), "m", catalog.Publication{ChangeClass: catalog.ClassMinor}, nil, "ada")
	wantFaults(t, err, "draft NO_CHANGES")
}

// TestFirstVersion proves that the class of a first version means nothing.
func TestFirstVersion(t *testing.T) {
	s, _ := newService(t)
	m := catalogtest.Publish(t, s.Modules, "m", catalogtest.Module(), catalog.Publication{ChangeClass: catalog.ClassMaterial, Retake: catalog.RetakeAllUnits})
	if m.Version.ChangeClass != "" || m.Version.Retake != "" || m.Version.Number != 1 {
		t.Errorf("published %+v", m.Version)
	}
}

// TestDefaults proves that a published version says all that was default.
func TestDefaults(t *testing.T) {
	s, _ := newService(t)
	content := catalogtest.Module()
	content.Topic = ""
	v := catalogtest.Publish(t, s.Modules, "m", content, catalog.Publication{}).Version.Content
	reading, quiz := v.Units[0], v.Units[1]
	if v.Topic != "general" || v.Duration != "PT35M" || v.CurrencyPolicy.Basis != catalog.BasisCompletion ||
		reading.Kind != catalog.UnitReading || !*reading.Required || *reading.Weight != 1 || reading.MoveOn != catalog.MoveOnCompleted ||
		quiz.MoveOn != catalog.MoveOnPassed {
		t.Errorf("published %+v", v)
	}
	edited, err := s.Modules.Update(t.Context(), "m", nil, func(c catalog.ModuleContent) (catalog.ModuleContent, error) {
		c.Units[0].Duration = "PT1H"
		return c, nil
	})
	must(t, err)
	if sum := edited.Draft.Resolved().Duration; sum != "PT1H15M" {
		t.Errorf("a draft's duration is %s: the old sum was taken for the author's", sum)
	}
}

func TestCycles(t *testing.T) {
	s, _ := library(t)
	loop := catalogtest.Module()
	loop.Prerequisites = []string{"other", "follower"}
	catalogtest.Draft(t, s.Modules, "active", loop)
	_, err := s.Modules.Publish(t.Context(), "active", catalog.Publication{ChangeClass: catalog.ClassMinor}, nil, "ada")
	wantFaults(t, err, "prerequisites[1] PREREQUISITE_CYCLE")
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || e.Violations[0].Description != "leads back to the module: active → follower → active" {
		t.Errorf("described as %+v", e)
	}
}

// TestRacingPublishes proves that two publishes cannot close a circle together, and that
// revisions leave no gap.
func TestRacingPublishes(t *testing.T) {
	s, _ := newService(t)
	ids := []string{"a", "b", "c", "d"}
	for _, id := range ids {
		catalogtest.Publish(t, s.Modules, id, catalogtest.Module(), catalog.Publication{})
	}
	for i, id := range ids {
		next := catalogtest.Module()
		next.Prerequisites = []string{ids[(i+1)%len(ids)]}
		catalogtest.Draft(t, s.Modules, id, next)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var refused []error
	for _, id := range ids {
		all.Go(func() {
			_, err := s.Modules.Publish(t.Context(), id, catalog.Publication{ChangeClass: catalog.ClassMinor}, nil, "ada")
			if err != nil {
				mu.Lock()
				refused = append(refused, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(refused) != 1 {
		t.Fatalf("%d were refused, want 1: %v", len(refused), refused)
	}
	wantFaults(t, refused[0], "prerequisites[0] PREREQUISITE_CYCLE")
	changes, revision, err := s.Changes(t.Context(), 0, 0)
	must(t, err)
	for i, c := range changes {
		if c.Revision != int64(i+1) {
			t.Errorf("change %d has revision %d", i, c.Revision)
		}
	}
	if revision != 7 || len(changes) != 7 {
		t.Errorf("revision %d of %d changes, want 7", revision, len(changes))
	}
}

func TestPreview(t *testing.T) {
	s, _ := library(t)
	catalogtest.Publish(t, s.Paths, "p", catalogtest.Path("active", "other"), catalog.Publication{})
	changed := catalogtest.Module()
	changed.Units = []catalog.Unit{changed.Units[1], {ID: "new"}}
	changed.Units[0].Title = "Another check"
	catalogtest.Draft(t, s.Modules, "active", changed)
	before, err := s.Revision(t.Context())
	must(t, err)
	preview, err := s.PreviewModule(t.Context(), "active", catalog.Publication{ChangeClass: catalog.ClassMinor})
	must(t, err)
	want := catalog.Preview{ChangedUnits: []string{"quiz", "new"}, RemovedUnits: []string{"phi"}, Paths: []string{"p"}}
	if !reflect.DeepEqual(preview, want) {
		t.Errorf("preview %+v, want %+v", preview, want)
	}
	catalogtest.Draft(t, s.Paths, "p", catalogtest.Path("other", "follower"))
	preview, err = s.PreviewPath(t.Context(), "p")
	must(t, err)
	if !slices.Equal(preview.AddedModules, []string{"follower"}) || !slices.Equal(preview.RemovedModules, []string{"active"}) {
		t.Errorf("preview %+v", preview)
	}
	if after, err := s.Revision(t.Context()); after != before || err != nil {
		t.Errorf("a preview wrote: revision %d, then %d, %v", before, after, err)
	}
}

func TestArchive(t *testing.T) {
	s, c := newService(t)
	catalogtest.Publish(t, s.Modules, "m", catalogtest.Module(), catalog.Publication{})
	catalogtest.Draft(t, s.Modules, "unborn", catalogtest.Module())
	_, err := s.Modules.Archive(t.Context(), "unborn", time.Time{}, nil, "ada")
	wantReason(t, err, errs.ReasonNotActive)
	_, err = s.Modules.Restore(t.Context(), "m", nil, "ada")
	wantReason(t, err, errs.ReasonNotArchived)
	_, err = s.Modules.Archive(t.Context(), "m", start.Add(-time.Second), nil, "ada")
	wantFaults(t, err, "sunsetTime SUNSET_IN_PAST")

	sunset := start.AddDate(0, 6, 0)
	m, err := s.Modules.Archive(t.Context(), "m", sunset, nil, "ada")
	must(t, err)
	if stay, ok := m.Archive(); !ok || !stay.SunsetTime.Equal(sunset) || !stay.ArchiveTime.Equal(start) || m.Revision != 2 {
		t.Errorf("archived %+v", m)
	}
	_, err = s.Modules.Archive(t.Context(), "m", sunset, nil, "ada")
	wantReason(t, err, errs.ReasonNotActive)
	changed := catalogtest.Module()
	changed.Title = "Another"
	catalogtest.Draft(t, s.Modules, "m", changed)
	_, err = s.Modules.Publish(t.Context(), "m", catalog.Publication{ChangeClass: catalog.ClassMinor}, nil, "ada")
	wantReason(t, err, errs.ReasonArchived)

	c.addHour()
	_, err = s.Modules.Restore(t.Context(), "m", nil, "ada")
	must(t, err)
	c.addHour()
	m, err = s.Modules.Archive(t.Context(), "m", time.Time{}, nil, "ada")
	must(t, err)
	want := []catalog.ArchivePeriod{
		{ArchiveTime: start, SunsetTime: sunset, RestoreTime: start.Add(time.Hour)},
		{ArchiveTime: start.Add(2 * time.Hour)},
	}
	if !reflect.DeepEqual(m.Archives, want) {
		t.Errorf("stays in the archive %+v, want %+v", m.Archives, want)
	}
	snapshot, err := s.Sync(t.Context(), 3)
	must(t, err)
	if len(snapshot.Modules) != 1 || !reflect.DeepEqual(snapshot.Modules[0].Archives, want) {
		t.Errorf("sync %+v", snapshot)
	}
	changes, _, err := s.Changes(t.Context(), 1, 0)
	must(t, err)
	var actions []catalog.Action
	for _, change := range changes {
		actions = append(actions, change.Action)
	}
	if !slices.Equal(actions, []catalog.Action{catalog.ActionArchived, catalog.ActionRestored, catalog.ActionArchived}) {
		t.Errorf("actions %v", actions)
	}
}
