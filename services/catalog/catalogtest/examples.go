package catalogtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// Module returns content that breaks no rule.
func Module() catalog.ModuleContent {
	return catalog.ModuleContent{
		Topic: "hipaa", Title: "HIPAA foundations", Summary: "What PHI is.", Level: "FOUNDATION",
		Roles: []string{"clinical-ai-engineer"}, Objectives: []string{"Say what PHI is"},
		CurrencyPolicy: &catalog.CurrencyPolicy{Period: "P1Y", Window: "P60D", Grace: "P30D"},
		Units: []catalog.Unit{
			{ID: "phi", Title: "PHI", Duration: "PT20M", ContentURI: "content/phi"},
			{ID: "quiz", Title: "Check", Kind: catalog.UnitQuiz, Duration: "PT15M", MasteryScore: new(0.8)},
		},
	}
}

// Path returns content that breaks no rule where the modules are active.
func Path(modules ...string) catalog.PathContent {
	return catalog.PathContent{Title: "Path", Milestones: []catalog.Milestone{
		{ID: "first", Title: "First", Groups: []catalog.Group{{ModuleIDs: modules}}},
	}}
}

// TwoModules is a file to import: two modules, of which one needs the other, and a path
// through both.
const TwoModules = `
modules:
  - id: second
    title: Second
    prerequisites: [first]
    units:
      - {id: read, title: Read, duration: PT10M}
paths:
  - id: way
    title: Way
    milestones:
      - {id: all, title: All, groups: [{moduleIds: [first, second]}]}
---
modules:
  - id: first
    title: First
    changeClass: MATERIAL   # of some version long ago
    retake: ALL_UNITS
    effectiveTime: 2020-01-01T00:00:00Z
    units:
      - {id: read, title: Read, duration: PT10M}
`

// Draft creates an item with the content, or makes the content its draft.
func Draft[C catalog.Content[C]](tb testing.TB, c *catalog.Collection[C], id string, content C) {
	tb.Helper()
	_, _, err := c.Create(tb.Context(), id, content, idem.Key{}, func(catalog.Item[C]) ([]byte, error) { return nil, nil })
	if errs.KindOf(err) == errs.AlreadyExists {
		_, err = c.Update(tb.Context(), id, nil, func(C) (C, error) { return content, nil })
	}
	if err != nil {
		tb.Fatalf("%v\n%s", err, strings.Join(Violations(err), "\n"))
	}
}

// Publish makes the content the item's next version.
func Publish[C catalog.Content[C]](tb testing.TB, c *catalog.Collection[C], id string, content C, p catalog.Publication) catalog.Item[C] {
	tb.Helper()
	Draft(tb, c, id, content)
	item, err := c.Publish(tb.Context(), id, p, nil, "ada")
	if err != nil {
		tb.Fatalf("%v\n%s", err, strings.Join(Violations(err), "\n"))
	}
	return item
}

// PublishVersions publishes versions of the path "way", with a call of between after each.
func PublishVersions(tb testing.TB, s *catalog.Service, versions int, between func()) {
	tb.Helper()
	Publish(tb, s.Modules, "a", Module(), catalog.Publication{})
	for i := range versions {
		content := Path("a")
		content.Summary = strings.Repeat("x", i)
		Publish(tb, s.Paths, "way", content, catalog.Publication{})
		between()
	}
}

// Violations returns an error's violations, as "field REASON".
func Violations(err error) []string {
	var all []string
	if e, ok := errors.AsType[*errs.Error](err); ok {
		for _, v := range e.Violations {
			all = append(all, v.Field+" "+v.Reason)
		}
	}
	return all
}
