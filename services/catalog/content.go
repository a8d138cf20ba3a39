package catalog

import (
	"cmp"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/period"
)

// Content is what authors write, of a module or of a path. Its JSON is the form
// in which it is stored, hashed and exported.
type Content[C any] interface {
	ModuleContent | PathContent

	// Resolved spells out every default.
	Resolved() C
	// Plain leaves out whatever Resolved would fill in.
	Plain() C
	// Facets are what lists filter by.
	Facets() Facets
	// References are the ids of the modules that it builds on, each once: a module's
	// prerequisites, or all modules of a path.
	References() []string

	// shape returns the violations of what no draft may hold; check of what no version may.
	shape() faults
	check(id string, g *graph) faults
}

// Facets are what lists filter by.
type Facets struct {
	Topic, Level string
	Roles        []string
	// Title and Texts are searched for words.
	Title string
	Texts []string
}

// UnitKind is what a learner does in a unit.
type UnitKind string

// The kinds of units.
const (
	UnitReading     UnitKind = "READING"
	UnitVideo       UnitKind = "VIDEO"
	UnitQuiz        UnitKind = "QUIZ"
	UnitLab         UnitKind = "LAB"
	UnitProject     UnitKind = "PROJECT"
	UnitAttestation UnitKind = "ATTESTATION"
)

// MoveOn is cmi5's rule for when a unit is satisfied.
type MoveOn string

// The moveOn rules.
const (
	MoveOnCompleted          MoveOn = "COMPLETED"
	MoveOnPassed             MoveOn = "PASSED"
	MoveOnCompletedAndPassed MoveOn = "COMPLETED_AND_PASSED"
	MoveOnCompletedOrPassed  MoveOn = "COMPLETED_OR_PASSED"
	MoveOnNotApplicable      MoveOn = "NOT_APPLICABLE"
)

// Basis is what an expiry is counted from.
type Basis string

// The bases.
const (
	BasisCompletion Basis = "COMPLETION"
	BasisPrior      Basis = "PRIOR_EXPIRY"
	BasisFixedDate  Basis = "FIXED_DATE"
)

// The defaults, besides moveOn's.
const (
	defaultTopic    = "general"
	defaultUnitKind = UnitReading
	defaultWeight   = 1.0
	defaultBasis    = BasisCompletion
)

// ModuleContent is what an author writes of a module.
type ModuleContent struct {
	// Topic is "general" when not said.
	Topic   string `json:"topic,omitempty"`
	Title   string `json:"title,omitempty"`
	Summary string `json:"summary,omitempty"`
	Level   string `json:"level,omitempty"`
	// Roles are slugs of target roles.
	Roles      []string `json:"roles,omitempty"`
	Objectives []string `json:"objectives,omitempty"`
	// Prerequisites are ids of modules.
	Prerequisites  []string        `json:"prerequisites,omitempty"`
	CurrencyPolicy *CurrencyPolicy `json:"currencyPolicy,omitempty"`
	Credits        []Credit        `json:"credits,omitempty"`
	// Duration is ISO 8601; the sum of the units' when not said.
	Duration string `json:"duration,omitempty"`
	Units    []Unit `json:"units,omitempty"`
}

// Unit is one part of a module.
type Unit struct {
	// ID is stable across the versions of its module.
	ID    string `json:"id"`
	Title string `json:"title,omitempty"`
	// Kind is READING when not said.
	Kind UnitKind `json:"kind,omitempty"`
	// Required is true when nil.
	Required *bool `json:"required,omitempty"`
	// Weight is 1 when nil.
	Weight *float64 `json:"weight,omitempty"`
	// Duration is ISO 8601.
	Duration   string `json:"duration,omitempty"`
	ContentURI string `json:"contentUri,omitempty"`
	// MoveOn is PASSED for a QUIZ, else COMPLETED, when not said.
	MoveOn MoveOn `json:"moveOn,omitempty"`
	// MasteryScore is 0..1.
	MasteryScore *float64 `json:"masteryScore,omitempty"`
}

// Credit is a group of older modules that together stand for the one that names them.
type Credit struct {
	ModuleIDs []string `json:"moduleIds,omitempty"`
}

// CurrencyPolicy is how long a completion stays current; periods are ISO 8601.
type CurrencyPolicy struct {
	Period string `json:"period,omitempty"`
	// Window is how long before the expiry renewal may start.
	Window string `json:"window,omitempty"`
	// Grace is how long after the expiry it is tolerated.
	Grace string `json:"grace,omitempty"`
	// Basis is COMPLETION when not said.
	Basis Basis `json:"basis,omitempty"`
	// FixedDate is the MM-DD of basis FIXED_DATE.
	FixedDate string `json:"fixedDate,omitempty"`
}

// PathContent is what an author writes of a learning path.
type PathContent struct {
	Title   string `json:"title,omitempty"`
	Summary string `json:"summary,omitempty"`
	// Roles are slugs of the target roles that it leads to.
	Roles []string `json:"roles,omitempty"`
	// Backgrounds are those that it is the way in for; mostly none.
	Backgrounds []string    `json:"backgrounds,omitempty"`
	Milestones  []Milestone `json:"milestones,omitempty"`
}

// Milestone is a stage of a path.
type Milestone struct {
	ID      string `json:"id"`
	Title   string `json:"title,omitempty"`
	Summary string `json:"summary,omitempty"`
	// Groups must all be satisfied.
	Groups []Group `json:"groups,omitempty"`
}

// Group requires all of its modules, or RequiredCount of them where that is not nil.
type Group struct {
	ModuleIDs     []string `json:"moduleIds,omitempty"`
	RequiredCount *int     `json:"requiredCount,omitempty"`
}

// Resolved implements Content.
func (c ModuleContent) Resolved() ModuleContent {
	c.Topic = cmp.Or(c.Topic, defaultTopic)
	if c.Duration == "" {
		c.Duration = sumDurations(c.Units)
	}
	if c.CurrencyPolicy != nil {
		policy := *c.CurrencyPolicy
		policy.Basis = cmp.Or(policy.Basis, defaultBasis)
		c.CurrencyPolicy = &policy
	}
	c.Units = slices.Clone(c.Units)
	for i := range c.Units {
		c.Units[i] = c.Units[i].resolved()
	}
	return c
}

// Plain implements Content.
func (c ModuleContent) Plain() ModuleContent {
	c.Topic = unless(c.Topic, defaultTopic)
	c.Duration = unless(c.Duration, sumDurations(c.Units))
	if c.CurrencyPolicy != nil {
		policy := *c.CurrencyPolicy
		policy.Basis = unless(policy.Basis, defaultBasis)
		c.CurrencyPolicy = &policy
	}
	c.Units = slices.Clone(c.Units)
	for i := range c.Units {
		c.Units[i] = c.Units[i].plain()
	}
	return c
}

func (u Unit) resolved() Unit {
	u.Kind = cmp.Or(u.Kind, defaultUnitKind)
	u.MoveOn = cmp.Or(u.MoveOn, defaultMoveOn(u.Kind))
	if u.Required == nil {
		u.Required = new(true)
	}
	if u.Weight == nil {
		u.Weight = new(defaultWeight)
	}
	return u
}

func (u Unit) plain() Unit {
	u.MoveOn = unless(u.MoveOn, defaultMoveOn(u.Kind))
	u.Kind = unless(u.Kind, defaultUnitKind)
	if u.Required != nil && *u.Required { // the default
		u.Required = nil
	}
	if u.Weight != nil && *u.Weight == defaultWeight {
		u.Weight = nil
	}
	return u
}

func defaultMoveOn(kind UnitKind) MoveOn {
	if kind == UnitQuiz {
		return MoveOnPassed
	}
	return MoveOnCompleted
}

// unless is the value, or nothing where it is the default.
func unless[T comparable](value, byDefault T) T {
	if value == byDefault {
		var none T
		return none
	}
	return value
}

// sumDurations is "" when no unit has a duration, and when they cannot be added:
// the unit that is at fault is named by the check of units.
func sumDurations(units []Unit) string {
	var sum period.Period
	for _, u := range units {
		if u.Duration == "" {
			continue
		}
		d, err := period.Parse(u.Duration)
		if err != nil {
			return ""
		}
		if sum, err = sum.Plus(d); err != nil {
			return ""
		}
	}
	if sum.IsZero() {
		return ""
	}
	return sum.String()
}

// Facets implements Content.
func (c ModuleContent) Facets() Facets {
	return Facets{
		Topic: cmp.Or(c.Topic, defaultTopic), Level: c.Level, Roles: c.Roles, Title: c.Title,
		Texts: append([]string{c.Summary}, c.Objectives...),
	}
}

// References implements Content.
func (c ModuleContent) References() []string { return distinct(c.Prerequisites) }

// Resolved implements Content: nothing of a path has a default that could be spelled out.
func (c PathContent) Resolved() PathContent { return c }

// Plain implements Content.
func (c PathContent) Plain() PathContent { return c }

// Facets implements Content.
func (c PathContent) Facets() Facets {
	return Facets{Roles: c.Roles, Title: c.Title, Texts: []string{c.Summary}}
}

// References implements Content.
func (c PathContent) References() []string {
	var ids []string
	for _, m := range c.Milestones {
		for _, g := range m.Groups {
			ids = append(ids, g.ModuleIDs...)
		}
	}
	return distinct(ids)
}

// distinct keeps each id where it comes first.
func distinct(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	var out []string
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}
