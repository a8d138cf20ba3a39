package catalog_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
)

func file(name, content string) catalog.File { return catalog.File{Name: name, Content: content} }

func importing(t *testing.T, s *catalog.Service, opts catalog.ImportOptions, files ...catalog.File) catalog.Imported {
	t.Helper()
	done, err := s.Import(t.Context(), files, opts)
	must(t, err)
	return done
}

func TestImport(t *testing.T) {
	s, _ := newService(t)
	dry := importing(t, s, catalog.ImportOptions{DryRun: true}, file("a.yaml", catalogtest.TwoModules))
	done := importing(t, s, catalog.ImportOptions{Actor: "ada"}, file("a.yaml", catalogtest.TwoModules))
	want := []catalog.ImportedChange{
		{Kind: catalog.KindModule, ID: "first", Version: 1, Differences: []string{"new"}},
		{Kind: catalog.KindModule, ID: "second", Version: 1, Differences: []string{"new"}},
		{Kind: catalog.KindPath, ID: "way", Version: 1, Differences: []string{"new"}},
	}
	if !reflect.DeepEqual(done.Changes, want) || done.Revision != 3 {
		t.Errorf("imported %+v", done)
	}
	if !reflect.DeepEqual(dry.Changes, want) || dry.Revision != 0 {
		t.Errorf("a dry run %+v", dry)
	}
	again := importing(t, s, catalog.ImportOptions{}, file("a.yaml", catalogtest.TwoModules))
	if again.Unchanged != 3 || len(again.Changes) != 0 || again.Revision != 3 {
		t.Errorf("imported again: %+v", again)
	}
	changes, _, err := s.Changes(t.Context(), 0, 0)
	must(t, err)
	if len(changes) != 3 || changes[0].Actor != "ada" {
		t.Errorf("changes %+v", changes)
	}
}

func TestImportChanged(t *testing.T) {
	s, c := newService(t)
	importing(t, s, catalog.ImportOptions{}, file("a.yaml", catalogtest.TwoModules))
	catalogtest.Draft(t, s.Modules, "first", catalogtest.Module())
	changed := strings.Replace(catalogtest.TwoModules, "title: First", "title: The first", 1)
	silent := strings.ReplaceAll(changed, "    changeClass: MATERIAL   # of some version long ago\n", "")
	_, err := s.Import(t.Context(), []catalog.File{file("a.yaml", silent)}, catalog.ImportOptions{})
	wantFaults(t, err,
		"a.yaml:15:5 modules[0].changeClass CHANGE_CLASS_REQUIRED",
		"a.yaml:18:5 modules[0].effectiveTime BAD_EFFECTIVE_TIME")
	_, err = s.Import(t.Context(), []catalog.File{file("a.yaml", changed)}, catalog.ImportOptions{})
	wantFaults(t, err, "a.yaml:19:5 modules[0].effectiveTime BAD_EFFECTIVE_TIME")

	c.addHour()
	changed = strings.Replace(changed, "    effectiveTime: 2020-01-01T00:00:00Z\n", "    level: ADVANCED\n    roles: [nlp]\n", 1)
	changed = strings.ReplaceAll(changed, "      - {id: read, title: Read, duration: PT10M}\n",
		"      - {id: write, title: Write}\n      - {id: read, title: Read it, duration: PT10M}\n")
	changed = strings.Replace(changed, "title: Way\n", "title: Way\n    summary: To go\n", 1)
	done := importing(t, s, catalog.ImportOptions{}, file("a.yaml", strings.Replace(changed, "id: second\n", "id: second\n    changeClass: MINOR\n", 1)))
	want := []catalog.ImportedChange{
		{Kind: catalog.KindModule, ID: "first", Version: 2, ChangeClass: catalog.ClassMaterial, Differences: []string{
			`level: none → "ADVANCED"`, `roles: +"nlp"`, `title: "First" → "The first"`,
			`unit "write" added`, `unit "read": title: "Read" → "Read it"`,
		}},
		{Kind: catalog.KindModule, ID: "second", Version: 2, ChangeClass: catalog.ClassMinor, Differences: []string{
			`unit "write" added`, `unit "read": title: "Read" → "Read it"`,
		}},
		{Kind: catalog.KindPath, ID: "way", Version: 2, Differences: []string{`summary: none → "To go"`}},
	}
	if !reflect.DeepEqual(done.Changes, want) {
		t.Errorf("imported\n%+v\nwant\n%+v", done.Changes, want)
	}
	m, err := s.Modules.Get(t.Context(), "first", true)
	must(t, err)
	if m.Draft == nil || m.Draft.Title != catalogtest.Module().Title {
		t.Errorf("the draft became %+v", m.Draft)
	}
	if m.Version.Retake != catalog.RetakeAllUnits || m.Latest() != 2 {
		t.Errorf("published %+v", m.Version)
	}
}

func TestImportRefuses(t *testing.T) {
	one := func(fields string) string {
		return "modules:\n- id: m\n  title: M\n  units: [{id: u}]\n" + fields
	}
	for name, test := range map[string]struct {
		files []catalog.File
		want  []string
	}{
		"two of one id": {
			[]catalog.File{file("a.yaml", one("")), file("b.yaml", one(""))},
			[]string{"b.yaml:2:3 modules[0].id DUPLICATE_ID"},
		},
		"two files of one name": {
			[]catalog.File{file("a.yaml", ""), file("a.yaml", one(""))},
			[]string{"a.yaml DUPLICATE_FILE"},
		},
		"an archived module": {
			[]catalog.File{file("a.yaml", "modules:\n- {id: archived, title: X, units: [{id: u}]}\n")},
			[]string{"a.yaml:2:4 modules[0].id ARCHIVED", "a.yaml:2:3 modules[0].changeClass CHANGE_CLASS_REQUIRED"},
		},
		"a circle": {
			[]catalog.File{file("a.yaml", one("  prerequisites: [n]\n- id: n\n  title: N\n  units: [{id: u}]\n  prerequisites: [active, m]\n"))},
			[]string{"a.yaml:5:19 modules[0].prerequisites[0] PREREQUISITE_CYCLE"},
		},
		"what nobody knows": {
			[]catalog.File{file("a.yaml", one("  prerequisites: [nobody, unborn]\n"))},
			[]string{"a.yaml:5:19 modules[0].prerequisites[0] UNKNOWN_MODULE", "a.yaml:5:27 modules[0].prerequisites[1] UNPUBLISHED_MODULE"},
		},
		"no guess beside what cannot be read": {
			[]catalog.File{file("a.yaml", one("  prerequisites: [nobody]\n")), file("b.yaml", "modules:\n\t- x")},
			[]string{"b.yaml:2:1 SYNTAX"},
		},
		"shape": {
			[]catalog.File{file("a.yaml", "modules:\n- id: Not A Slug\n  title: "+strings.Repeat("x", 201)+"\n  units:\n  - id: u\n    kind: POEM\n    weight: -1\n")},
			[]string{
				"a.yaml:2:3 modules[0].id MALFORMED", "a.yaml:3:3 modules[0].title TOO_LONG",
				"a.yaml:6:5 modules[0].units[0].kind UNKNOWN_VALUE", "a.yaml:7:5 modules[0].units[0].weight OUT_OF_RANGE",
			},
		},
		"one fault is said once": {
			[]catalog.File{file("a.yaml", "modules:\n- id: m\n  title: 12\n  units: none\n")},
			[]string{"a.yaml:3:10 modules[0].title INVALID_TYPE", "a.yaml:4:10 modules[0].units INVALID_TYPE"},
		},
		"what is not there": {
			[]catalog.File{file("a.yaml", "paths:\n- id: p\n  milestones:\n  - id: m\n    groups:\n    - requiredCount: 1\n")},
			[]string{
				"a.yaml:2:3 paths[0].title MISSING_TITLE", "a.yaml:6:7 paths[0].milestones[0].groups[0].moduleIds EMPTY_GROUP",
				"a.yaml:6:7 paths[0].milestones[0].groups[0].requiredCount REQUIRED_COUNT_TOO_HIGH",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := library(t)
			before, err := s.Revision(t.Context())
			must(t, err)
			_, err = s.Import(t.Context(), test.files, catalog.ImportOptions{})
			if errs.KindOf(err) != errs.Invalid {
				t.Errorf("imported: %v", err)
			}
			wantFaults(t, err, test.want...)
			if after, err := s.Revision(t.Context()); after != before || err != nil {
				t.Errorf("revision %d became %d, %v", before, after, err)
			}
		})
	}
}

func TestImportTooLarge(t *testing.T) {
	s, _ := newService(t)
	half := file("a.yaml", "#"+strings.Repeat(" ", catalog.MaxImport/2))
	_, err := s.Import(t.Context(), []catalog.File{half, file("b.yaml", half.Content)}, catalog.ImportOptions{})
	wantReason(t, err, errs.ReasonBodyTooLarge)
	importing(t, s, catalog.ImportOptions{}, half)
}

func TestImportOnlyIfEmpty(t *testing.T) {
	s, _ := newService(t)
	catalogtest.Draft(t, s.Modules, "mine", catalogtest.Module())
	if done := importing(t, s, catalog.ImportOptions{OnlyIfEmpty: true}, file("a.yaml", catalogtest.TwoModules)); len(done.Changes) != 3 {
		t.Errorf("imported %+v into an empty catalog", done)
	}
	more := file("a.yaml", "modules: [{id: x, title: X, units: [{id: u}]}]")
	if done := importing(t, s, catalog.ImportOptions{OnlyIfEmpty: true}, more); len(done.Changes) != 0 || done.Revision != 3 {
		t.Errorf("imported %+v into one that was not", done)
	}
}

// TestExportIsOrdered proves that an export depends on nothing but the contents.
func TestExportIsOrdered(t *testing.T) {
	s, _ := newService(t)
	for _, id := range []string{"b", "a", "c"} {
		catalogtest.Publish(t, s.Modules, id, catalogtest.Module(), catalog.Publication{})
	}
	catalogtest.Draft(t, s.Modules, "unborn", catalogtest.Module())
	_, err := s.Modules.Archive(t.Context(), "c", time.Time{}, nil, "ada")
	must(t, err)
	got, err := s.Export(t.Context(), catalog.FormatYAML)
	must(t, err)
	want := `modules:
  - id: a
    topic: hipaa
    title: HIPAA foundations
    summary: What PHI is.
    level: FOUNDATION
    roles:
      - clinical-ai-engineer
    objectives:
      - Say what PHI is
    currencyPolicy:
      period: P1Y
      window: P60D
      grace: P30D
    units:
      - id: phi
        title: PHI
        duration: PT20M
        contentUri: content/phi
      - id: quiz
        title: Check
        kind: QUIZ
        duration: PT15M
        masteryScore: 0.8
`
	want += strings.Replace(strings.TrimPrefix(want, "modules:\n"), "id: a", "id: b", 1)
	if string(got) != want {
		t.Errorf("exported\n%s\nwant\n%s", got, want)
	}
}

// TestHashIsOfMeaning proves that a hash sees through defaults, and sees all else.
func TestHashIsOfMeaning(t *testing.T) {
	s, _ := newService(t)
	seen := map[string]string{}
	hash := func(id string, change func(*catalog.ModuleContent)) string {
		m := catalogtest.Module()
		change(&m)
		return catalogtest.Publish(t, s.Modules, id, m, catalog.Publication{}).Version.ContentHash
	}
	plain := hash("plain", func(*catalog.ModuleContent) {})
	spelled := hash("spelled", func(m *catalog.ModuleContent) {
		m.Duration, m.CurrencyPolicy.Basis = "PT35M", catalog.BasisCompletion
		m.Units[0].Kind, m.Units[0].Required, m.Units[0].Weight, m.Units[0].MoveOn = catalog.UnitReading, new(true), new(1.0), catalog.MoveOnCompleted
		m.Units[1].MoveOn, m.Credits = catalog.MoveOnPassed, []catalog.Credit{}
	})
	if plain != spelled || len(plain) != 64 {
		t.Errorf("hashes %s and %s", plain, spelled)
	}
	seen[plain] = "plain"
	for id, change := range map[string]func(*catalog.ModuleContent){
		"title":    func(m *catalog.ModuleContent) { m.Title += "!" },
		"roles":    func(m *catalog.ModuleContent) { m.Roles = append(m.Roles, "x") },
		"order":    func(m *catalog.ModuleContent) { slices.Reverse(m.Units) },
		"optional": func(m *catalog.ModuleContent) { m.Units[0].Required = new(false) },
		"score":    func(m *catalog.ModuleContent) { m.Units[1].MasteryScore = new(0.81) },
		"grace":    func(m *catalog.ModuleContent) { m.CurrencyPolicy.Grace = "P31D" },
	} {
		h := hash(id, change)
		if other, taken := seen[h]; taken {
			t.Errorf("%s has the hash of %s", id, other)
		}
		seen[h] = id
	}
}

// TestImportIsAtomic proves that a failure in the last moment leaves nothing.
func TestImportIsAtomic(t *testing.T) {
	s, _ := newService(t)
	broken := strings.Replace(catalogtest.TwoModules, "[{moduleIds: [first, second]}]", "[{moduleIds: [first, third]}]", 1)
	_, err := s.Import(t.Context(), []catalog.File{file("a.yaml", broken)}, catalog.ImportOptions{})
	if _, ok := errors.AsType[*errs.Error](err); !ok {
		t.Fatalf("imported: %v", err)
	}
	if _, err := s.Modules.Get(t.Context(), "first", true); errs.KindOf(err) != errs.NotFound {
		t.Errorf("a part was imported: %v", err)
	}
}
