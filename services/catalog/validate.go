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

// What stands against publishing. Each violation has one of these reasons:
//
//	MISSING_TITLE            a module or path has no title
//	NO_REQUIRED_UNIT         a module has no unit that is required
//	DUPLICATE_UNIT_ID        two units of a module have one id
//	REQUIRED_NOT_APPLICABLE  a required unit says NOT_APPLICABLE, which nobody can complete
//	MASTERY_SCORE_REQUIRED   a unit that is to be passed does not say from which score
//	BAD_CONTENT_URI          a contentUri is neither an http(s) URI nor a relative one
//	BAD_DURATION             a duration is no ISO 8601 duration above zero and up to a year
//	                         for a unit, a hundred years for a module
//	BAD_PERIOD               a currency policy has no period, or one that is not above zero
//	                         and at most a hundred years
//	BAD_WINDOW, BAD_GRACE    the window or the grace is no ISO 8601 period, or longer than
//	                         the policy's period
//	BAD_FIXED_DATE           basis FIXED_DATE without a date MM-DD that each year has
//	FIXED_DATE_UNUSED        a fixedDate with another basis
//	DUPLICATE_ROLE           a role is named twice
//	UNKNOWN_MODULE           there is no module with the id
//	UNPUBLISHED_MODULE       the module was never published
//	ARCHIVED_MODULE          the module is archived
//	DUPLICATE_MODULE         one list names a module twice
//	PREREQUISITE_CYCLE       a prerequisite leads back to the module
//	SELF_CREDIT              a module gives credit for itself
//	NO_MILESTONE, NO_GROUP   a path has no milestone, or a milestone no group
//	EMPTY_GROUP              a group names no module
//	DUPLICATE_MILESTONE_ID   two milestones of a path have one id
//	REQUIRED_COUNT_TOO_LOW   requiredCount is below 1
//	REQUIRED_COUNT_TOO_HIGH  requiredCount is above the number of the group's modules
//	MODULE_IN_TWO_CHOICES    a module is in two groups of one path that have a requiredCount
//	UNKNOWN_BACKGROUND       a background is not AI, CLINICAL, RESEARCH or PRODUCT
//	CHANGE_CLASS_REQUIRED    a version after the first does not say what it means
//	RETAKE_REQUIRED          a MATERIAL version does not say what is to be learned again
//	RETAKE_UNUSED            a version that is not MATERIAL says so
//	BAD_EFFECTIVE_TIME       the effectiveTime is over 5 minutes ago or over 5 years ahead;
//	                         of a mandate too
//	NO_CHANGES               there is no draft, or it says what the newest version says
//	SUNSET_IN_PAST           (archiving) the sunsetTime has gone by
//
// What no draft may hold either has the reasons of the proto's rules, from whichever
// side it comes: STRING_MAX_LEN, STRING_MIN_LEN, STRING_PATTERN, STRING_UTF8, STRING_NUL,
// REPEATED_MAX_ITEMS, REPEATED_MIN_ITEMS, ENUM_DEFINED_ONLY, DOUBLE_FINITE, DOUBLE_GT_LTE
// (weight), DOUBLE_GTE_LTE (masteryScore), INT32_GTE_LTE (requiredCount); and besides
//
//	CONTROL_CHARACTER        a text holds a control character other than tab and line end
//	UNKNOWN_FIELD            an update mask names no field that can change
//	TIMESTAMP                a time outside of the years 1 to 9999
//	BAD_PAGE_TOKEN           a page token is none of ours, or came with other filters
//
// Imports add, of the file's own text:
//
//	SYNTAX                   the file is no YAML
//	TOO_DEEP_OR_LARGE        the aliases of the file unfold to too much
//	UNKNOWN_FIELD            no such field
//	DUPLICATE_FIELD          a field is said twice
//	WRONG_TYPE               a text, number, list or mapping is expected
//	DUPLICATE_ID             the import has the module or path twice
//	DUPLICATE_FILE           two files have one name
//	ARCHIVED                 the module or path is archived: restore it first
const (
	reasonMissingTitle      = "MISSING_TITLE"
	reasonNoRequiredUnit    = "NO_REQUIRED_UNIT"
	reasonDuplicateUnit     = "DUPLICATE_UNIT_ID"
	reasonNotApplicable     = "REQUIRED_NOT_APPLICABLE"
	reasonMasteryScore      = "MASTERY_SCORE_REQUIRED"
	reasonBadURI            = "BAD_CONTENT_URI"
	reasonBadDuration       = "BAD_DURATION"
	reasonBadPeriod         = "BAD_PERIOD"
	reasonBadWindow         = "BAD_WINDOW"
	reasonBadGrace          = "BAD_GRACE"
	reasonBadFixedDate      = "BAD_FIXED_DATE"
	reasonFixedDateUnused   = "FIXED_DATE_UNUSED"
	reasonDuplicateRole     = "DUPLICATE_ROLE"
	reasonUnknownModule     = "UNKNOWN_MODULE"
	reasonUnpublishedModule = "UNPUBLISHED_MODULE"
	reasonArchivedModule    = "ARCHIVED_MODULE"
	reasonDuplicateModule   = "DUPLICATE_MODULE"
	reasonCycle             = "PREREQUISITE_CYCLE"
	reasonSelfCredit        = "SELF_CREDIT"
	reasonNoMilestone       = "NO_MILESTONE"
	reasonNoGroup           = "NO_GROUP"
	reasonEmptyGroup        = "EMPTY_GROUP"
	reasonDuplicateStage    = "DUPLICATE_MILESTONE_ID"
	reasonCountTooLow       = "REQUIRED_COUNT_TOO_LOW"
	reasonCountTooHigh      = "REQUIRED_COUNT_TOO_HIGH"
	reasonTwoChoices        = "MODULE_IN_TWO_CHOICES"
	reasonUnknownBackground = "UNKNOWN_BACKGROUND"
	reasonClassRequired     = "CHANGE_CLASS_REQUIRED"
	reasonRetakeRequired    = "RETAKE_REQUIRED"
	reasonRetakeUnused      = "RETAKE_UNUSED"
	reasonBadEffectiveTime  = "BAD_EFFECTIVE_TIME"
	reasonNoChanges         = "NO_CHANGES"
	reasonSunsetInPast      = "SUNSET_IN_PAST"
	reasonDuplicateID       = "DUPLICATE_ID"
	reasonDuplicateFile     = "DUPLICATE_FILE"
)

const (
	// longestUnit bounds one unit's duration.
	longestUnit = 366 * 24 * time.Hour
	// clockSkew is how far behind ours a client's clock may be.
	clockSkew = 5 * time.Minute
	// effectiveYears is how far ahead a version may take effect.
	effectiveYears = 5
)

// check answers what stands against publishing the content as the module, apart
// from its shape. The graph holds the module as it would be.
func (c ModuleContent) check(id string, g *graph) []errs.Violation {
	var f faults
	if blank(c.Title) {
		f.addf("title", reasonMissingTitle, "a module needs a title")
	}
	f.duplicates("roles", reasonDuplicateRole, c.Roles)
	checkUnits(&f, c.Units)
	if c.Duration != "" {
		f.duration("duration", c.Duration, 0)
	}
	if c.CurrencyPolicy != nil {
		c.CurrencyPolicy.check(&f)
	}
	f.duplicates("prerequisites", reasonDuplicateModule, c.Prerequisites)
	for i, prerequisite := range c.Prerequisites {
		at := fmt.Sprintf("prerequisites[%d]", i)
		f.module(at, prerequisite, g, false)
		if g.closes(id, prerequisite) {
			f.addf(at, reasonCycle, "leads back to the module: %s",
				strings.Join(append([]string{id}, g.way(prerequisite, id)...), " → "))
		}
	}
	for i, credit := range c.Credits {
		at := fmt.Sprintf("credits[%d].moduleIds", i)
		f.duplicates(at, reasonDuplicateModule, credit.ModuleIDs)
		for j, module := range credit.ModuleIDs {
			in := fmt.Sprintf("%s[%d]", at, j)
			if module == id {
				f.addf(in, reasonSelfCredit, "a module cannot give credit for itself")
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
			f.addf(at+"id", reasonDuplicateUnit, "%q is the id of units[%d] already", u.ID, earlier)
		} else {
			first[u.ID] = i
		}
		required = required || *u.Required
		if *u.Required && u.MoveOn == MoveOnNotApplicable {
			f.addf(at+"moveOn", reasonNotApplicable, "a required unit must be one that can be completed or passed")
		}
		if u.passes() && u.MasteryScore == nil {
			f.addf(at+"masteryScore", reasonMasteryScore, "is needed for moveOn %s: from which score is the unit passed?", u.MoveOn)
		}
		if u.Duration != "" {
			f.duration(at+"duration", u.Duration, longestUnit)
		}
		if u.ContentURI != "" && !isContentURI(u.ContentURI) {
			f.addf(at+"contentUri", reasonBadURI, "must be an http or https URI, or a relative one such as content/quiz")
		}
	}
	if !required {
		f.addf("units", reasonNoRequiredUnit, "a module needs at least one required unit")
	}
}

// passes tells whether a PASSED event is part of the unit's rule.
func (u Unit) passes() bool {
	return u.MoveOn == MoveOnPassed || u.MoveOn == MoveOnCompletedAndPassed || u.MoveOn == MoveOnCompletedOrPassed
}

// isContentURI keeps out what a browser would take for a script or for another
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
	if !known {
		f.addf("currencyPolicy.period", reasonBadPeriod, "must be an ISO 8601 period above zero and at most a hundred years, such as P1Y")
	}
	part := func(field, reason, text string) {
		if text == "" {
			return
		}
		d, err := period.Parse(text)
		switch {
		case err != nil:
			f.addf("currencyPolicy."+field, reason, "must be an ISO 8601 period, such as P30D")
		case known && d.Approx() > whole.Approx():
			f.addf("currencyPolicy."+field, reason, "must not be longer than the period, %s", p.Period)
		}
	}
	part("window", reasonBadWindow, p.Window)
	part("grace", reasonBadGrace, p.Grace)
	switch {
	case p.Basis == BasisFixedDate && !isYearlyDate(p.FixedDate):
		f.addf("currencyPolicy.fixedDate", reasonBadFixedDate, "basis FIXED_DATE needs a date MM-DD that each year has, such as 01-31")
	case p.Basis != BasisFixedDate && p.FixedDate != "":
		f.addf("currencyPolicy.fixedDate", reasonFixedDateUnused, "is only for basis FIXED_DATE")
	}
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
		f.addf(field, reasonBadDuration, "must be an ISO 8601 duration above zero, such as PT15M or PT1H30M, and no longer than plausible")
	}
}

// module checks that a module can be built on.
func (f *faults) module(field, id string, g *graph, archived bool) {
	node, known := g.nodes[id]
	switch {
	case !known:
		f.addf(field, reasonUnknownModule, "there is no module %q", id)
	case node.State == StateDraft:
		f.addf(field, reasonUnpublishedModule, "module %q was never published", id)
	case node.State == StateArchived && !archived:
		f.addf(field, reasonArchivedModule, "module %q is archived", id)
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

// check answers what stands against publishing the content as a path, apart from
// its shape.
func (c PathContent) check(_ string, g *graph) []errs.Violation {
	var f faults
	if blank(c.Title) {
		f.addf("title", reasonMissingTitle, "a path needs a title")
	}
	f.duplicates("roles", reasonDuplicateRole, c.Roles)
	for i, b := range c.Backgrounds {
		if !slices.Contains([]string{"AI", "CLINICAL", "RESEARCH", "PRODUCT"}, b) {
			f.addf(fmt.Sprintf("backgrounds[%d]", i), reasonUnknownBackground, "must be AI, CLINICAL, RESEARCH or PRODUCT")
		}
	}
	if len(c.Milestones) == 0 {
		f.addf("milestones", reasonNoMilestone, "a path needs at least one milestone")
	}
	stages := make(map[string]int, len(c.Milestones))
	choices := map[string]string{} // module → the choice that has it
	for i, m := range c.Milestones {
		at := fmt.Sprintf("milestones[%d].", i)
		if earlier, taken := stages[m.ID]; taken {
			f.addf(at+"id", reasonDuplicateStage, "%q is the id of milestones[%d] already", m.ID, earlier)
		} else {
			stages[m.ID] = i
		}
		if len(m.Groups) == 0 {
			f.addf(at+"groups", reasonNoGroup, "a milestone needs at least one group of modules")
		}
		for j, group := range m.Groups {
			group.check(&f, fmt.Sprintf("%sgroups[%d]", at, j), g, choices)
		}
	}
	if round := g.roundFrom(c.References()); round != nil {
		f.addf("milestones", reasonCycle, "the prerequisites of its modules run in a circle: %s", strings.Join(round, " → "))
	}
	return f
}

func (p Group) check(f *faults, at string, g *graph, choices map[string]string) {
	if len(p.ModuleIDs) == 0 {
		f.addf(at+".moduleIds", reasonEmptyGroup, "a group needs at least one module")
	}
	f.duplicates(at+".moduleIds", reasonDuplicateModule, p.ModuleIDs)
	for i, id := range p.ModuleIDs {
		f.module(fmt.Sprintf("%s.moduleIds[%d]", at, i), id, g, false)
	}
	if p.RequiredCount == nil {
		return
	}
	modules := distinct(p.ModuleIDs)
	switch k := *p.RequiredCount; {
	case k < 1:
		f.addf(at+".requiredCount", reasonCountTooLow, "must be at least 1; leave it out to ask for all")
	case k > len(modules):
		f.addf(at+".requiredCount", reasonCountTooHigh, "asks for %d of %d modules", k, len(modules))
	}
	for _, id := range modules {
		if other, taken := choices[id]; taken && other != at {
			i := slices.Index(p.ModuleIDs, id)
			f.addf(fmt.Sprintf("%s.moduleIds[%d]", at, i), reasonTwoChoices,
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

// check answers what stands against saying this of the version after newest, which
// is 0 for a first version: that needs no class, and one given means nothing.
func (p Publication) check(newest int, now time.Time) []errs.Violation {
	var f faults
	oneOf(&f, "changeClass", p.ChangeClass, ClassEditorial, ClassMinor, ClassMaterial)
	oneOf(&f, "retake", p.Retake, RetakeChangedUnits, RetakeAllUnits)
	if newest > 0 {
		switch {
		case p.ChangeClass == "":
			f.addf("changeClass", reasonClassRequired, "say what version %d means for people who have begun or finished: EDITORIAL, MINOR or MATERIAL", newest+1)
		case p.ChangeClass == ClassMaterial && p.Retake == "":
			f.addf("retake", reasonRetakeRequired, "say what a MATERIAL version asks to be learned again: CHANGED_UNITS or ALL_UNITS")
		case p.ChangeClass != ClassMaterial && p.Retake != "":
			f.addf("retake", reasonRetakeUnused, "is only for changeClass MATERIAL")
		}
	}
	f.effectiveTime(p.EffectiveTime, now)
	return f
}

// effectiveTime checks from when something is to hold; zero is at once.
func (f *faults) effectiveTime(t, now time.Time) {
	if !t.IsZero() && (t.Before(now.Add(-clockSkew)) || t.After(now.AddDate(effectiveYears, 0, 0))) {
		f.addf("effectiveTime", reasonBadEffectiveTime, "must not lie in the past, nor more than %d years ahead", effectiveYears)
	}
}
