package catalog

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/period"
)

const (
	// longestUnit bounds one unit's duration.
	longestUnit = 366 * 24 * time.Hour
	// clockSkew is how far behind ours a client's clock may be.
	clockSkew = 5 * time.Minute
	// effectiveYears is how far ahead a version may take effect.
	effectiveYears = 5
)

// check returns the violations of publishing the content as the module, apart from
// those of its shape. The graph holds the module as it would be.
func (c ModuleContent) check(id string, g *graph) faults {
	var f faults
	if blank(c.Title) {
		f.addf("title", errs.ReasonMissingTitle, "a module needs a title")
	}
	f.duplicates("roles", errs.ReasonDuplicateRole, c.Roles)
	checkUnits(&f, c.Units)
	if c.Duration != "" {
		f.duration("duration", c.Duration, 0)
	}
	if c.CurrencyPolicy != nil {
		c.CurrencyPolicy.check(&f)
	}
	f.duplicates("prerequisites", errs.ReasonDuplicateModule, c.Prerequisites)
	for i, prerequisite := range c.Prerequisites {
		at := fmt.Sprintf("prerequisites[%d]", i)
		f.module(at, prerequisite, g, false)
		if g.closes(id, prerequisite) && g.tell(g.part[id]) {
			f.addf(at, errs.ReasonPrerequisiteCycle, "leads back to the module: %s", g.round(id, prerequisite))
		}
	}
	for i, credit := range c.Credits {
		at := fmt.Sprintf("credits[%d].moduleIds", i)
		f.duplicates(at, errs.ReasonDuplicateModule, credit.ModuleIDs)
		for j, module := range credit.ModuleIDs {
			in := fmt.Sprintf("%s[%d]", at, j)
			if module == id {
				f.addf(in, errs.ReasonSelfCredit, "a module cannot give credit for itself")
				continue
			}
			f.module(in, module, g, true) // what is replaced is often archived
		}
	}
	return f
}

func checkUnits(f *faults, units []Unit) {
	first := make(map[string]int, len(units))
	required := false
	for i, written := range units {
		u, at := written.resolved(), fmt.Sprintf("units[%d].", i)
		if earlier, taken := first[u.ID]; taken {
			f.addf(at+"id", errs.ReasonDuplicateUnitID, "%q is the id of units[%d] already", u.ID, earlier)
		} else {
			first[u.ID] = i
		}
		required = required || *u.Required
		if *u.Required && u.MoveOn == MoveOnNotApplicable {
			f.addf(at+"moveOn", errs.ReasonRequiredNotApplicable, "a required unit must be one that can be completed or passed")
		}
		if u.passes() && u.MasteryScore == nil {
			f.addf(at+"masteryScore", errs.ReasonMasteryScoreRequired, "is needed for moveOn %s: from which score is the unit passed?", u.MoveOn)
		}
		if u.Duration != "" {
			f.duration(at+"duration", u.Duration, longestUnit)
		}
		if u.ContentURI != "" && !isContentURI(u.ContentURI) {
			f.addf(at+"contentUri", errs.ReasonBadContentURI, "must be an http or https URI, or a relative one such as content/quiz")
		}
	}
	if !required {
		f.addf("units", errs.ReasonNoRequiredUnit, "a module needs at least one required unit")
	}
}

// passes reports whether a PASSED event is part of the unit's rule.
func (u Unit) passes() bool {
	return u.MoveOn == MoveOnPassed || u.MoveOn == MoveOnCompletedAndPassed || u.MoveOn == MoveOnCompletedOrPassed
}

// isContentURI refuses what a browser would take for a script or for another
// site: javascript:, data:, //host, and backslashes, which it reads as slashes.
func isContentURI(text string) bool {
	odd := func(r rune) bool { return r == '\\' || unicode.IsSpace(r) || unicode.IsControl(r) }
	if strings.HasPrefix(text, "//") || strings.IndexFunc(text, odd) >= 0 {
		return false
	}
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	if u.Scheme == "" {
		return u.Host == ""
	}
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Opaque == "" && u.User == nil
}

func (p CurrencyPolicy) check(f *faults) {
	whole, err := period.Parse(p.Period)
	known := err == nil && !whole.IsZero()
	_, inYears := whole.WholeYears()
	switch {
	case !known:
		f.addf("currencyPolicy.period", errs.ReasonBadPeriod, "must be an ISO 8601 period above zero and at most a hundred years, such as P1Y")
	case p.Basis == BasisFixedDate && !inYears:
		f.addf("currencyPolicy.period", errs.ReasonBadPeriod, "must be in whole years with basis FIXED_DATE, such as P1Y, and is %s", p.Period)
	}
	p.checkWindow(f, whole, known)
	p.checkGrace(f, whole, known)
	switch {
	case p.Basis == BasisFixedDate && !isYearlyDate(p.FixedDate):
		f.addf("currencyPolicy.fixedDate", errs.ReasonBadFixedDate, "basis FIXED_DATE needs a date MM-DD that each year has, such as 01-31")
	case p.Basis != BasisFixedDate && p.FixedDate != "":
		f.addf("currencyPolicy.fixedDate", errs.ReasonFixedDateUnused, "is only for basis FIXED_DATE")
	}
}

// badPart is said of a window or grace that cannot be read.
const badPart = "must be an ISO 8601 period, such as P30D"

// checkWindow refuses a window that could open at the completion or before it, on whatever
// months and years the two fall: renewal would begin before there is anything to renew.
func (p CurrencyPolicy) checkWindow(f *faults, whole period.Period, known bool) {
	if p.Window == "" {
		return
	}
	window, err := period.Parse(p.Window)
	switch {
	case err != nil:
		f.addf("currencyPolicy.window", errs.ReasonBadWindow, badPart)
	case known && window.Longest() >= whole.Shortest():
		f.addf("currencyPolicy.window", errs.ReasonBadWindow, "must be shorter than the period, always: %s is up to %s, and %s can be as short as %s",
			p.Window, inDays(window.Longest()), p.Period, inDays(whole.Shortest()))
	}
}

func (p CurrencyPolicy) checkGrace(f *faults, whole period.Period, known bool) {
	if p.Grace == "" {
		return
	}
	grace, err := period.Parse(p.Grace)
	switch {
	case err != nil:
		f.addf("currencyPolicy.grace", errs.ReasonBadGrace, badPart)
	case known && grace.Approx() > whole.Approx():
		f.addf("currencyPolicy.grace", errs.ReasonBadGrace, "must not be longer than the period, %s", p.Period)
	}
}

// inDays shows a length in days; in hours where it has others than whole days.
func inDays(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "1 day"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// isYearlyDate refuses 02-29, since 2001 was no leap year.
func isYearlyDate(text string) bool {
	_, err := time.Parse(time.DateOnly, "2001-"+text)
	return err == nil
}

// duration checks a duration that is there; longest 0 leaves it to the bound of all periods.
func (f *faults) duration(field, text string, longest time.Duration) {
	d, err := period.Parse(text)
	if err != nil || d.IsZero() || longest > 0 && d.Approx() > longest {
		f.addf(field, errs.ReasonBadDuration, "must be an ISO 8601 duration above zero, such as PT15M or PT1H30M, and no longer than plausible")
	}
}

// module checks that a module can be built on.
func (f *faults) module(field, id string, g *graph, archived bool) {
	node, known := g.nodes[id]
	switch {
	case !known:
		f.addf(field, errs.ReasonUnknownModule, "there is no module %q", id)
	case node.State == StateDraft:
		f.addf(field, errs.ReasonUnpublishedModule, "module %q was never published", id)
	case node.State == StateArchived && !archived:
		f.addf(field, errs.ReasonArchivedModule, "module %q is archived", id)
	}
}

func (f *faults) duplicates(field, reason string, ids []string) {
	seen := make(map[string]bool, len(ids))
	for i, id := range ids {
		if seen[id] {
			f.addf(fmt.Sprintf("%s[%d]", field, i), reason, "%q is named twice", id)
		}
		seen[id] = true
	}
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }

// check returns the violations of publishing the content as a path, apart from those of
// its shape.
func (c PathContent) check(_ string, g *graph) faults {
	var f faults
	if blank(c.Title) {
		f.addf("title", errs.ReasonMissingTitle, "a path needs a title")
	}
	f.duplicates("roles", errs.ReasonDuplicateRole, c.Roles)
	for i, b := range c.Backgrounds {
		if !slices.Contains([]string{"AI", "CLINICAL", "RESEARCH", "PRODUCT"}, b) {
			f.addf(fmt.Sprintf("backgrounds[%d]", i), errs.ReasonUnknownBackground, "must be AI, CLINICAL, RESEARCH or PRODUCT")
		}
	}
	if len(c.Milestones) == 0 {
		f.addf("milestones", errs.ReasonNoMilestone, "a path needs at least one milestone")
	}
	stages := make(map[string]int, len(c.Milestones))
	choices := map[string]string{} // module → the choice that has it
	for i, m := range c.Milestones {
		at := fmt.Sprintf("milestones[%d].", i)
		if earlier, taken := stages[m.ID]; taken {
			f.addf(at+"id", errs.ReasonDuplicateMilestoneID, "%q is the id of milestones[%d] already", m.ID, earlier)
		} else {
			stages[m.ID] = i
		}
		if len(m.Groups) == 0 {
			f.addf(at+"groups", errs.ReasonNoGroup, "a milestone needs at least one group of modules")
		}
		for j, group := range m.Groups {
			group.check(&f, fmt.Sprintf("%sgroups[%d]", at, j), g, choices)
		}
	}
	if ring := g.ringFrom(c.References()); ring != 0 && g.tell(ring) {
		id, prerequisite := g.edgeIn(ring)
		f.addf("milestones", errs.ReasonPrerequisiteCycle, "the prerequisites of its modules run in a circle: %s", g.round(id, prerequisite))
	}
	return f
}

func (p Group) check(f *faults, at string, g *graph, choices map[string]string) {
	if len(p.ModuleIDs) == 0 {
		f.addf(at+".moduleIds", errs.ReasonEmptyGroup, "a group needs at least one module")
	}
	f.duplicates(at+".moduleIds", errs.ReasonDuplicateModule, p.ModuleIDs)
	for i, id := range p.ModuleIDs {
		f.module(fmt.Sprintf("%s.moduleIds[%d]", at, i), id, g, false)
	}
	if p.RequiredCount == nil {
		return
	}
	modules := distinct(p.ModuleIDs)
	switch k := *p.RequiredCount; {
	case k < 1:
		f.addf(at+".requiredCount", errs.ReasonRequiredCountTooLow, "must be at least 1; leave it out to ask for all")
	case k > len(modules):
		f.addf(at+".requiredCount", errs.ReasonRequiredCountTooHigh, "asks for %d of %d modules", k, len(modules))
	}
	for i, id := range p.ModuleIDs {
		other, taken := choices[id]
		if other == at { // named twice
			continue
		}
		if taken {
			f.addf(fmt.Sprintf("%s.moduleIds[%d]", at, i), errs.ReasonModuleInTwoChoices,
				"%q is in %s already, and can count in one choice only", id, other)
			continue
		}
		choices[id] = at
	}
}

// Publication is what an author says of a version besides its content. Of a path
// nothing is said.
type Publication struct {
	ChangeClass ChangeClass
	Retake      Retake
	// EffectiveTime is at once when zero.
	EffectiveTime time.Time
}

// check returns the violations of saying this of the version after newest, which
// is 0 for a first version: that needs no class, and one given means nothing.
func (p Publication) check(newest int, now time.Time) faults {
	var f faults
	oneOf(&f, "changeClass", p.ChangeClass, ClassEditorial, ClassMinor, ClassMaterial)
	oneOf(&f, "retake", p.Retake, RetakeChangedUnits, RetakeAllUnits)
	if newest > 0 {
		switch {
		case p.ChangeClass == "":
			f.addf("changeClass", errs.ReasonChangeClassRequired,
				"say what version %d means for people who have begun or finished: EDITORIAL, MINOR or MATERIAL", newest+1)
		case p.ChangeClass == ClassMaterial && p.Retake == "":
			f.addf("retake", errs.ReasonRetakeRequired, "say what a MATERIAL version asks to be learned again: CHANGED_UNITS or ALL_UNITS")
		case p.ChangeClass != ClassMaterial && p.Retake != "":
			f.addf("retake", errs.ReasonRetakeUnused, "is only for changeClass MATERIAL")
		}
	}
	f.effectiveTime(p.EffectiveTime, now)
	return f
}

// effectiveTime checks from when something is to hold; zero is at once.
func (f *faults) effectiveTime(t, now time.Time) {
	if !t.IsZero() && (t.Before(now.Add(-clockSkew)) || t.After(now.AddDate(effectiveYears, 0, 0))) {
		f.addf("effectiveTime", errs.ReasonBadEffectiveTime, "must not lie in the past, nor more than %d years ahead", effectiveYears)
	}
}
