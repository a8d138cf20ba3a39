package catalog_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
	"github.com/preceptor-dev/preceptor/services/catalog/document"
	"github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
)

// needing returns content of a module with prerequisites.
func needing(prerequisites ...string) catalog.ModuleContent {
	content := catalogtest.Module()
	content.Prerequisites = prerequisites
	return content
}

// withOld returns a service whose module "stuck" was published before a required unit with
// NOT_APPLICABLE was a violation, and "empty" before having no required unit was. The others
// build on them: "after" needs "stuck", "late" needs "after", "spared" needs "archived", and
// "credited" could not be completed either, but there is an equivalence for it.
func withOld(t *testing.T) *catalog.Service {
	t.Helper()
	store := sqlstore.New(sqldbtest.SQLite(t, sqlstore.Migrations()))
	s := catalog.New(store, document.Codec{}, catalog.Options{Now: func() time.Time { return start }})
	stuck, empty, credited := catalogtest.Module(), catalogtest.Module(), catalogtest.Module()
	stuck.Units[0].MoveOn = catalog.MoveOnNotApplicable
	empty.Units = nil
	credited.Units = nil
	credited.Credits = []catalog.Credit{{ModuleIDs: []string{"open", "stuck"}}, {ModuleIDs: []string{"open"}}}
	catalogtest.Publish(t, s.Modules, "open", catalogtest.Module(), catalog.Publication{})
	for id, content := range map[string]catalog.ModuleContent{"stuck": stuck, "empty": empty, "credited": credited} {
		item := catalog.Module{ID: id, State: catalog.StateActive, Edits: 1, UpdateTime: start, Version: &catalog.Version[catalog.ModuleContent]{
			Number: 1, Content: content.Resolved(), ContentHash: "of " + id, PublishTime: start, EffectiveTime: start,
		}}
		must(t, store.Edit(t.Context(), func(ctx context.Context, tx catalog.Tx) (err error) {
			item.Revision, err = tx.Announce(ctx, catalog.Change{Kind: catalog.KindModule, ID: id, Action: catalog.ActionPublished, Version: 1, Time: start})
			if err != nil {
				return err
			}
			return tx.Modules().Publish(ctx, item)
		}))
	}
	for _, id := range []string{"archived", "more"} {
		catalogtest.Publish(t, s.Modules, id, catalogtest.Module(), catalog.Publication{})
	}
	catalogtest.Publish(t, s.Modules, "after", needing("open", "stuck"), catalog.Publication{})
	catalogtest.Publish(t, s.Modules, "late", needing("after"), catalog.Publication{})
	catalogtest.Publish(t, s.Modules, "spared", needing("archived"), catalog.Publication{})
	_, err := s.Modules.Archive(t.Context(), "archived", time.Time{}, nil, "ada")
	must(t, err)
	return s
}

func listed(violations []errs.Violation) []string {
	var all []string
	for _, v := range violations {
		all = append(all, v.Field+" "+v.Reason+": "+v.Description)
	}
	return all
}

func wantListed(t *testing.T, got []errs.Violation, want ...string) {
	t.Helper()
	if lines := listed(got); !slices.Equal(lines, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(lines, "\n  "), strings.Join(want, "\n  "))
	}
}

const (
	why      = `nobody can complete "stuck": its required unit "phi" has moveOn NOT_APPLICABLE; publish a version of it that can be completed`
	whyAfter = `nobody can begin "after": its prerequisites after → stuck lead to "stuck", which nobody can complete: ` +
		`its required unit "phi" has moveOn NOT_APPLICABLE; publish a version of that which can be completed`
	whyLate = `nobody can begin "late": its prerequisites late → after → stuck lead to "stuck", which nobody can complete: ` +
		`its required unit "phi" has moveOn NOT_APPLICABLE; publish a version of that which can be completed`
)

func TestPathWarnings(t *testing.T) {
	s := withOld(t)
	all := func(ids ...string) catalog.Group { return catalog.Group{ModuleIDs: ids} }
	choice := func(k int, ids ...string) catalog.Group { return catalog.Group{ModuleIDs: ids, RequiredCount: &k} }
	for name, test := range map[string]struct {
		groups []catalog.Group
		want   []string
	}{
		"none":                         {[]catalog.Group{all("open", "more")}, nil},
		"an archived prerequisite":     {[]catalog.Group{all("spared")}, nil},
		"an equivalence":               {[]catalog.Group{all("credited")}, nil},
		"a choice that leaves one out": {[]catalog.Group{choice(1, "open", "stuck")}, nil},
		"archived ones leave a choice": {[]catalog.Group{choice(2, "open", "archived")}, nil},
		"what is a violation":          {[]catalog.Group{all("nobody", "open")}, nil},
		"one that nobody can complete": {[]catalog.Group{all("open", "stuck", "stuck")}, []string{
			"milestones[0].groups[0].moduleIds[1] PATH_CANNOT_BE_FINISHED: " + why,
		}},
		"nothing to do": {[]catalog.Group{all("empty")}, []string{
			`milestones[0].groups[0].moduleIds[0] PATH_CANNOT_BE_FINISHED: nobody can complete "empty": it has no required unit; publish a version of it that can be completed`,
		}},
		"outside, and in the way": {[]catalog.Group{all("more"), all("open", "late")}, []string{
			`milestones[0].groups[1].moduleIds[1] PREREQUISITE_OUTSIDE_PATH: "late" has the prerequisite "after", which is not in the path: learners are shown "after" first`,
			"milestones[0].groups[1].moduleIds[1] PATH_CANNOT_BE_FINISHED: " + whyLate,
		}},
		"the place of a module": {[]catalog.Group{choice(1, "late", "more"), all("late", "after", "open")}, []string{
			`milestones[0].groups[1].moduleIds[1] PREREQUISITE_OUTSIDE_PATH: "after" has the prerequisite "stuck", which is not in the path: learners are shown "stuck" first`,
			"milestones[0].groups[1].moduleIds[0] PATH_CANNOT_BE_FINISHED: " + whyLate,
			"milestones[0].groups[1].moduleIds[1] PATH_CANNOT_BE_FINISHED: " + whyAfter,
		}},
		"a choice of too few": {[]catalog.Group{choice(2, "open", "stuck", "archived")}, []string{
			"milestones[0].groups[0].requiredCount PATH_CANNOT_BE_FINISHED: asks for 2 of 2 modules, of which 1 can be completed: " + why,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			content := catalogtest.Path()
			content.Milestones[0].Groups = test.groups
			catalogtest.Draft(t, s.Paths, "way", content)
			preview, err := s.PreviewPath(t.Context(), "way")
			must(t, err)
			wantListed(t, preview.Warnings, test.want...)
		})
	}
}

// TestWarningsPreventNothing publishes a path that is warned of, and previews it without a draft.
func TestWarningsPreventNothing(t *testing.T) {
	s := withOld(t)
	catalogtest.Publish(t, s.Paths, "way", catalogtest.Path("stuck"), catalog.Publication{})
	preview, err := s.PreviewPath(t.Context(), "way")
	must(t, err)
	wantListed(t, preview.Warnings, "milestones[0].groups[0].moduleIds[0] PATH_CANNOT_BE_FINISHED: "+why)
}

func TestModuleWarnings(t *testing.T) {
	s := withOld(t)
	for id, modules := range map[string][]string{
		"both": {"open", "more"}, "one": {"more"}, "other": {"spared"}, "old": {"more"},
	} {
		catalogtest.Publish(t, s.Paths, id, catalogtest.Path(modules...), catalog.Publication{})
	}
	_, err := s.Paths.Archive(t.Context(), "old", time.Time{}, nil, "ada")
	must(t, err)
	choice := catalogtest.Path("more", "open")
	choice.Milestones[0].Groups[0].RequiredCount = new(1)
	catalogtest.Publish(t, s.Paths, "choice", choice, catalog.Publication{})
	for name, test := range map[string]struct {
		id            string
		prerequisites []string
		want          []string
	}{
		"none":            {"more", nil, nil},
		"not a new one":   {"late", []string{"after"}, nil},
		"in no path":      {"after", []string{"open", "stuck", "more"}, nil},
		"never published": {"unborn", []string{"open"}, nil},
		"outside of one": {"more", []string{"open", "open"}, []string{
			`prerequisites[0] PREREQUISITE_OUTSIDE_PATH: path "one" has "more" and not its new prerequisite "open": learners are shown "open" first`,
		}},
		"beside one that is archived, and one that does not exist": {"spared", []string{"archived", "nobody", "open"}, []string{
			`prerequisites[2] PREREQUISITE_OUTSIDE_PATH: path "other" has "spared" and not its new prerequisite "open": learners are shown "open" first`,
		}},
		"in the way": {"more", []string{"open", "after"}, []string{
			`prerequisites[1] PREREQUISITE_OUTSIDE_PATH: path "both" has "more" and not its new prerequisite "after": learners are shown "after" first`,
			`prerequisites[1] PATH_CANNOT_BE_FINISHED: nobody who has not begun "more" could finish path "both": ` + whyAfter,
			`prerequisites[1] PREREQUISITE_OUTSIDE_PATH: path "choice" has "more" and not its new prerequisite "after": learners are shown "after" first`,
			`prerequisites[0] PREREQUISITE_OUTSIDE_PATH: path "one" has "more" and not its new prerequisite "open": learners are shown "open" first`,
			`prerequisites[1] PREREQUISITE_OUTSIDE_PATH: path "one" has "more" and not its new prerequisite "after": learners are shown "after" first`,
			`prerequisites[1] PATH_CANNOT_BE_FINISHED: nobody who has not begun "more" could finish path "one": ` + whyAfter,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			catalogtest.Draft(t, s.Modules, test.id, needing(test.prerequisites...))
			preview, err := s.PreviewModule(t.Context(), test.id, catalog.Publication{ChangeClass: catalog.ClassMinor})
			must(t, err)
			wantListed(t, preview.Warnings, test.want...)
		})
	}
}

// TestCircleWarnings proves that a circle, which is a violation, does not keep a preview from ending.
func TestCircleWarnings(t *testing.T) {
	s := withOld(t)
	catalogtest.Publish(t, s.Modules, "next", needing("more"), catalog.Publication{})
	catalogtest.Publish(t, s.Paths, "way", catalogtest.Path("more", "next"), catalog.Publication{})
	catalogtest.Draft(t, s.Modules, "more", needing("next"))
	preview, err := s.PreviewModule(t.Context(), "more", catalog.Publication{ChangeClass: catalog.ClassMinor})
	must(t, err)
	wantFaults(t, errs.InvalidFields(preview.Violations), "prerequisites[0] PREREQUISITE_CYCLE")
	wantListed(t, preview.Warnings, `prerequisites[0] PATH_CANNOT_BE_FINISHED: nobody who has not begun "more" could finish path "way": `+
		`nobody can begin "next": its prerequisites run in a circle: next → more → next`)
}

// TestImportWarnings proves that an import warns as previews do, of all that it brings together.
func TestImportWarnings(t *testing.T) {
	s := withOld(t)
	catalogtest.Publish(t, s.Paths, "changed", catalogtest.Path("more"), catalog.Publication{})
	catalogtest.Publish(t, s.Paths, "left", catalogtest.Path("more"), catalog.Publication{})
	const text = `modules:
- {id: fresh, title: Fresh, units: [{id: u}]}
- id: more
  title: More
  changeClass: MINOR
  prerequisites: [fresh]
  units: [{id: u}]
paths:
- id: changed
  title: Changed
  milestones:
  - {id: m, title: M, groups: [{moduleIds: [fresh, more]}]}
- id: short
  title: Short
  milestones:
  - {id: m, title: M, groups: [{moduleIds: [more, stuck]}]}
`
	want := []string{
		`a.yaml:6:19 modules[1].prerequisites[0] PREREQUISITE_OUTSIDE_PATH: path "left" has "more" and not its new prerequisite "fresh": learners are shown "fresh" first`,
		`a.yaml:16:45 paths[1].milestones[0].groups[0].moduleIds[0] PREREQUISITE_OUTSIDE_PATH: ` +
			`"more" has the prerequisite "fresh", which is not in the path: learners are shown "fresh" first`,
		`a.yaml:16:51 paths[1].milestones[0].groups[0].moduleIds[1] PATH_CANNOT_BE_FINISHED: ` + why,
	}
	for _, dry := range []bool{true, false} {
		done := importing(t, s, catalog.ImportOptions{DryRun: dry}, file("a.yaml", text))
		wantListed(t, done.Warnings, want...)
	}
	again := importing(t, s, catalog.ImportOptions{}, file("a.yaml", text))
	wantListed(t, again.Warnings)
}

// What can be had by an equivalence alone is out of reach once its modules are archived. A path that nobody
// could finish before is no news.
func TestArchiveWarnings(t *testing.T) {
	t.Parallel()
	s := withOld(t)
	catalogtest.Publish(t, s.Paths, "by-credit", catalogtest.Path("credited", "more"), catalog.Publication{})
	catalogtest.Publish(t, s.Paths, "stuck-anyway", catalogtest.Path("stuck", "open"), catalog.Publication{})
	catalogtest.Publish(t, s.Paths, "fine", catalogtest.Path("open", "more"), catalog.Publication{})
	got, err := s.PreviewArchiveModule(t.Context(), "open", time.Time{})
	must(t, err)
	if len(got.Warnings) != 1 || got.Warnings[0].Field != "paths/by-credit milestones[0].groups[0].moduleIds[0]" ||
		got.Warnings[0].Reason != errs.ReasonPathCannotBeFinished || !strings.Contains(got.Warnings[0].Description, "credited") {
		t.Errorf("warnings %+v", got.Warnings)
	}
	more, err := s.PreviewArchiveModule(t.Context(), "more", time.Time{})
	if err != nil || len(more.Warnings) > 0 {
		t.Errorf("warnings of another: %+v, %v", more.Warnings, err)
	}
}

// TestLongWays proves that a warning about a long chain of prerequisites names few of its modules,
// and of a choice of many modules few reasons.
func TestLongWays(t *testing.T) {
	s := withOld(t)
	var text strings.Builder
	text.WriteString("modules:\n- {id: m0, title: M, prerequisites: [stuck], units: [{id: u}]}\n")
	ids := []string{"m0"}
	for m := 1; m < 150; m++ {
		ids = append(ids, fmt.Sprintf("m%d", m))
		fmt.Fprintf(&text, "- {id: m%d, title: M, prerequisites: [m%d], units: [{id: u}]}\n", m, m-1)
	}
	text.WriteString("paths:\n- {id: chain, title: P, milestones: [{id: a, title: A, groups: [{moduleIds: [m149, m148]}]}]}\n" +
		"- {id: choice, title: P, milestones: [{id: a, title: A, groups: [{requiredCount: 1, moduleIds: [" + strings.Join(ids, ",") + "]}]}]}\n")
	done, err := s.Import(t.Context(), []catalog.File{{Name: "f.yaml", Content: text.String()}}, catalog.ImportOptions{DryRun: true})
	must(t, err)
	var first, choice string
	for _, v := range done.Warnings {
		if v.Reason == errs.ReasonPathCannotBeFinished && first == "" {
			first = v.Description
		}
		if strings.HasPrefix(v.Description, "asks for") {
			choice = v.Description
		}
	}
	want := `nobody can begin "m149": its prerequisites m149 → m148 → m147 → m146 → m145 → m144 → m143 → m142 → m141 → m140 → m139 → … → stuck lead to "stuck", ` +
		`which nobody can complete: its required unit "phi" has moveOn NOT_APPLICABLE; publish a version of that which can be completed`
	if first != want {
		t.Errorf("%s\nwant %s", first, want)
	}
	if len(choice) > 1100 || !strings.HasPrefix(choice, "asks for 1 of 150 modules, of which 0 can be completed: ") {
		t.Errorf("of a choice: %s", choice)
	}
}
