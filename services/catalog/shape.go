package catalog

import (
	"fmt"
	"math"
	"regexp"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// The limits of catalog.proto, whose rules the shape of contents repeats: an import
// and a merged edit pass no interceptor. A test holds the two together.
const (
	maxSlug       = 63
	maxTitle      = 200
	maxSummary    = 4000
	maxObjective  = 500
	maxPeriodText = 32
	maxURI        = 2048
	maxList       = 50
	maxUnits      = 200
	maxMilestones = 100
	maxGroup      = 200
	maxBackground = 10
	maxReason     = 2000
	maxWeight     = 1000
)

var (
	slugPattern   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	partIDPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
)

// faults collects violations, as many as a response has, and counts the others.
type faults errs.List

func (f *faults) addf(field, reason, format string, args ...any) {
	if list := (*errs.List)(f); list.Full() {
		list.More++
	} else {
		list.Add(errs.Violation{Field: field, Reason: reason, Description: fmt.Sprintf(format, args...)})
	}
}

// add appends those of another collection.
func (f *faults) add(others faults) {
	(*errs.List)(f).Add(others.Named...)
	f.More += others.More
}

// addLazy is addf of a description that is only made where it is named.
func (f *faults) addLazy(field, reason string, description func() string) {
	if list := (*errs.List)(f); list.Full() {
		list.More++
	} else {
		list.Add(errs.Violation{Field: field, Reason: reason, Description: description()})
	}
}

// len is how many there are.
func (f *faults) len() int { return (*errs.List)(f).Len() }

// err returns Invalid with all of them, or nil where there are none.
func (f *faults) err() error {
	if f.len() == 0 {
		return nil
	}
	return errs.InvalidList(errs.List(*f))
}

// check adds what a check of errs finds.
func (f *faults) check(find func(v *errs.Violations)) {
	var found errs.Violations
	find(&found)
	(*errs.List)(f).Add(found...)
}

// text checks one text; the limit is in characters.
func (f *faults) text(field, text string, limit int) {
	f.check(func(v *errs.Violations) { v.Text(field, text, limit) })
}

// title is text without characters that nobody sees.
func (f *faults) title(field, text string) {
	f.check(func(v *errs.Violations) { v.Title(field, text, maxTitle) })
}

func (f *faults) texts(field string, texts []string, maxItems, limit int) {
	f.count(field, len(texts), maxItems)
	for i, text := range texts {
		at := fmt.Sprintf("%s[%d]", field, i)
		if text == "" {
			f.addf(at, errs.ReasonRequired, "must not be empty")
		}
		f.text(at, text, limit)
	}
}

func (f *faults) count(field string, n, limit int) {
	f.check(func(v *errs.Violations) { v.Count(field, n, limit) })
}

func (f *faults) slug(field, id string) {
	switch {
	case id == "":
		f.addf(field, errs.ReasonRequired, "must not be empty")
	case !slugPattern.MatchString(id):
		f.addf(field, errs.ReasonMalformed, "must be 1 to 63 lower-case letters, digits and inner hyphens, such as hipaa-foundations")
	}
}

func (f *faults) partID(field, id string) {
	switch {
	case id == "":
		f.addf(field, errs.ReasonRequired, "must not be empty")
	case !partIDPattern.MatchString(id):
		f.addf(field, errs.ReasonMalformed, "must be 1 to 63 letters, digits and inner dots, underscores or hyphens")
	}
}

// finite reports whether a value is a number.
func (f *faults) finite(field string, value float64) bool {
	if math.IsInf(value, 0) || math.IsNaN(value) {
		f.addf(field, errs.ReasonNotFinite, "must be a finite number")
		return false
	}
	return true
}

// oneOf checks an enum by its name; "" is not said.
func oneOf[E ~string](f *faults, field string, value E, allowed ...E) {
	f.check(func(v *errs.Violations) { errs.OneOf(v, field, value, allowed...) })
}

func (c ModuleContent) shape() faults {
	var f faults
	if f.text("topic", c.Topic, maxSlug); c.Topic != "" && f.len() == 0 {
		f.slug("topic", c.Topic)
	}
	f.title("title", c.Title)
	f.text("summary", c.Summary, maxSummary)
	f.text("level", c.Level, maxSlug)
	f.texts("roles", c.Roles, maxList, maxSlug)
	f.texts("objectives", c.Objectives, maxList, maxObjective)
	f.text("duration", c.Duration, maxPeriodText)
	f.count("units", len(c.Units), maxUnits)
	for i, u := range c.Units {
		u.shape(&f, fmt.Sprintf("units[%d].", i))
	}
	f.texts("prerequisites", c.Prerequisites, maxList, maxSlug)
	f.count("credits", len(c.Credits), maxList)
	for i, credit := range c.Credits {
		at := fmt.Sprintf("credits[%d].moduleIds", i)
		if len(credit.ModuleIDs) == 0 {
			f.addf(at, errs.ReasonRequired, "must name at least one module")
		}
		f.texts(at, credit.ModuleIDs, maxList, maxSlug)
	}
	if p := c.CurrencyPolicy; p != nil {
		f.text("currencyPolicy.period", p.Period, maxPeriodText)
		f.text("currencyPolicy.window", p.Window, maxPeriodText)
		f.text("currencyPolicy.grace", p.Grace, maxPeriodText)
		oneOf(&f, "currencyPolicy.basis", p.Basis, BasisCompletion, BasisPrior, BasisFixedDate)
		f.text("currencyPolicy.fixedDate", p.FixedDate, len("MM-DD"))
	}
	return f
}

func (u Unit) shape(f *faults, at string) {
	f.partID(at+"id", u.ID)
	f.title(at+"title", u.Title)
	oneOf(f, at+"kind", u.Kind, UnitReading, UnitVideo, UnitQuiz, UnitLab, UnitProject, UnitAttestation)
	if w := u.Weight; w != nil && f.finite(at+"weight", *w) && (*w <= 0 || *w > maxWeight) {
		f.addf(at+"weight", errs.ReasonOutOfRange, "must be above 0 and at most %d", maxWeight)
	}
	f.text(at+"duration", u.Duration, maxPeriodText)
	f.text(at+"contentUri", u.ContentURI, maxURI)
	oneOf(f, at+"moveOn", u.MoveOn,
		MoveOnCompleted, MoveOnPassed, MoveOnCompletedAndPassed, MoveOnCompletedOrPassed, MoveOnNotApplicable)
	if s := u.MasteryScore; s != nil && f.finite(at+"masteryScore", *s) && (*s < 0 || *s > 1) {
		f.addf(at+"masteryScore", errs.ReasonOutOfRange, "must be between 0 and 1")
	}
}

func (c PathContent) shape() faults {
	var f faults
	f.title("title", c.Title)
	f.text("summary", c.Summary, maxSummary)
	f.texts("roles", c.Roles, maxList, maxSlug)
	f.texts("backgrounds", c.Backgrounds, maxBackground, maxSlug)
	f.count("milestones", len(c.Milestones), maxMilestones)
	for i, m := range c.Milestones {
		at := fmt.Sprintf("milestones[%d].", i)
		f.partID(at+"id", m.ID)
		f.title(at+"title", m.Title)
		f.text(at+"summary", m.Summary, maxSummary)
		f.count(at+"groups", len(m.Groups), maxList)
		for j, g := range m.Groups {
			in := fmt.Sprintf("%sgroups[%d].", at, j)
			f.texts(in+"moduleIds", g.ModuleIDs, maxGroup, maxSlug)
			if k := g.RequiredCount; k != nil && (*k < 0 || *k > maxGroup) {
				f.addf(in+"requiredCount", errs.ReasonOutOfRange, "must be between 0 and %d", maxGroup)
			}
		}
	}
	return f
}
