package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// State is whether a learner belongs to the organization.
type State string

// The states.
const (
	StateActive State = "ACTIVE"
	// StateSuspended is of who left: they may still sign in and record.
	StateSuspended State = "SUSPENDED"
)

// HireDate is the attribute that is a date, "2026-03-01".
const HireDate = "hireDate"

// Facts are what the rule of a cohort looks at: nothing that learners set themselves.
type Facts struct {
	State      State
	Attributes map[string]string
}

// Facts returns what rules look at.
func (l Learner) Facts() Facts { return Facts{State: l.State, Attributes: l.Attributes} }

func (f Facts) equal(other Facts) bool {
	return f.State == other.State && maps.Equal(f.Attributes, other.Attributes)
}

// value returns what has a name in rules; "" for what is not known.
func (f Facts) value(name string) string {
	switch attribute, ok := strings.CutPrefix(name, "attributes."); {
	case ok:
		return f.Attributes[attribute]
	case name == "state":
		return string(f.State)
	}
	return f.Attributes[HireDate]
}

// CohortKind is how the members of a cohort are found.
type CohortKind string

// The kinds.
const (
	KindStatic CohortKind = "STATIC"
	KindRule   CohortKind = "RULE"
)

// Cohort is a named group of learners.
type Cohort struct {
	// ID is a slug.
	ID, Title string
	Kind      CohortKind
	// Rule is the expression of a cohort of KindRule, and RuleVersion the number of it among those that the
	// cohort has had.
	Rule        string
	RuleVersion int64
	ManagerIDs  []string
	// Version is 1 when made and rises by one with each edit.
	Version                            int64
	CreateTime, UpdateTime, DeleteTime time.Time
	// Evaluating is set while not all learners have been looked at by the rule; Evaluated is the id of the last
	// of those that have been.
	Evaluating bool
	Evaluated  string

	// Counts are what is counted of a cohort when it is read.
	Counts CohortCounts
}

// CohortCounts are what is counted of a cohort.
type CohortCounts struct {
	Members int
	// RuleErrors is for how many learners the rule cannot be evaluated, RuleError one of the errors.
	RuleErrors int
	RuleError  string
}

// Etag names this state of the cohort, its members aside.
func (c Cohort) Etag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "cohort/%s/%d/%d", c.ID, c.Version, c.UpdateTime.UnixMicro()))
	return hex.EncodeToString(sum[:8])
}

// change is what other services depend on.
func (c Cohort) change() *CohortChange {
	return &CohortChange{ID: c.ID, Title: c.Title, ManagerIDs: c.ManagerIDs, Deleted: !c.DeleteTime.IsZero()}
}

// CohortNotFound is the error for an id that no cohort has.
func CohortNotFound(id string) error {
	return errs.New(errs.NotFound, errs.ReasonCohortNotFound, "there is no cohort %q", id)
}

// CohortExists is the error for an id that a cohort has, or had.
func CohortExists(id string) error {
	return errs.New(errs.AlreadyExists, errs.ReasonCohortExists, "there is a cohort %q already, or was one: take another id", id)
}

// Member is a learner in a cohort.
type Member struct {
	LearnerID, DisplayName string
	Span                   Span
}

// Span is a time of membership.
type Span struct {
	CohortID, LearnerID string
	// Number counts the learner's spans in the cohort from 1. The zero Span is of who never was a member.
	Number int
	// JoinTime is when it began; CountTime is since when periods after joining count.
	JoinTime, CountTime time.Time
	JoinReason          string
	// LeaveTime is when it ended; zero while it lasts.
	LeaveTime   time.Time
	LeaveReason string
}

// Open reports whether the learner is a member.
func (s Span) Open() bool { return s.Number > 0 && s.LeaveTime.IsZero() }

// shortGap is the length of an absence that begins periods after joining anew.
const shortGap = 30 * 24 * time.Hour

// joined returns the span that follows when the learner joins.
func (s Span) joined(now time.Time, reason string) Span {
	if now.Before(s.LeaveTime) { // another replica's clock
		now = s.LeaveTime
	}
	next := Span{
		CohortID: s.CohortID, LearnerID: s.LearnerID, Number: s.Number + 1, JoinTime: now, CountTime: now, JoinReason: shortened(reason),
	}
	if s.Number > 0 && now.Sub(s.LeaveTime) < shortGap {
		next.CountTime = s.CountTime
	}
	return next
}

// left returns the span as it is when the learner leaves.
func (s Span) left(now time.Time, reason string) Span {
	if now.Before(s.JoinTime) {
		now = s.JoinTime
	}
	s.LeaveTime, s.LeaveReason = now, shortened(reason)
	return s
}

// change is what other services depend on.
func (s Span) change() Change {
	at := s.JoinTime
	if !s.Open() {
		at = s.LeaveTime
	}
	return Change{Time: at, Membership: &MembershipChange{CohortID: s.CohortID, LearnerID: s.LearnerID, Member: s.Open(), JoinTime: s.CountTime}}
}

// maxReason is how many characters a reason has that is stored with a membership.
const maxReason = 1000

func shortened(text string) string {
	n := 0
	for i := range text {
		if n == maxReason-1 {
			return text[:i] + "…"
		}
		n++
	}
	return text
}

// Standing is what a learner is in a cohort: their newest span, and why the cohort's rule cannot be evaluated
// for them; "" where it can.
type Standing struct {
	Span
	RuleError string
}

// Rule is the compiled rule of a cohort.
type Rule interface {
	// Holds reports whether the rule holds for a learner, or returns why that cannot be said.
	Holds(facts Facts) (bool, error)
	// Reads returns what the rule looks at, sorted: "attributes.NAME", "hireDate", "state".
	Reads() []string
}

// CohortRule is the rule of a cohort.
type CohortRule struct {
	CohortID string
	Version  int64
	Text     string
	// Rule is Text compiled; nil as a store returns it.
	Rule Rule
}

// RuleSet are the rules of all cohorts that have one, by the cohorts' ids.
type RuleSet struct {
	// Version rises with each change of them.
	Version int64
	Rules   []CohortRule
}

// judge returns what the rules make of a learner's standings, by cohort: those that change.
func (r RuleSet) judge(learnerID string, facts Facts, standings map[string]Standing, now time.Time) []Standing {
	var changed []Standing
	for _, rule := range r.Rules {
		was := standings[rule.CohortID]
		was.CohortID, was.LearnerID = rule.CohortID, learnerID
		if is := rule.judge(facts, was, now); is != was {
			changed = append(changed, is)
		}
	}
	return changed
}

// judge returns what the rule makes of a standing. Where it cannot be evaluated, membership stays as it is.
func (r CohortRule) judge(facts Facts, was Standing, now time.Time) Standing {
	holds, err := r.Rule.Holds(facts)
	if err != nil {
		was.RuleError = shortened(err.Error())
		return was
	}
	is := was
	is.RuleError = ""
	switch {
	case holds && !was.Open():
		is.Span = was.joined(now, r.reason("holds", facts))
	case !holds && was.Open():
		is.Span = was.left(now, r.reason("does not hold", facts))
	}
	return is
}

// reason names by which version of the rule, and by which values, somebody joined or left.
func (r CohortRule) reason(verb string, facts Facts) string {
	read := make([]string, 0, len(r.Rule.Reads()))
	for _, name := range r.Rule.Reads() {
		read = append(read, fmt.Sprintf("%s = %q", name, facts.value(name)))
	}
	return strings.TrimSuffix(fmt.Sprintf("version %d of the rule %s: %s", r.Version, verb, strings.Join(read, ", ")), ": ")
}

// values returns what the rule was evaluated with.
func values(rule Rule, facts Facts) map[string]string {
	found := map[string]string{}
	for _, name := range rule.Reads() {
		found[name] = facts.value(name)
	}
	return found
}

// changesOf are the memberships among the standings that differ from before, as the feed has them.
func changesOf(before map[string]Standing, after []Standing, key func(Standing) string) []Change {
	var changes []Change
	for _, is := range after {
		if before[key(is)].Span != is.Span {
			changes = append(changes, is.change())
		}
	}
	return changes
}

func byCohort(s Standing) string { return s.CohortID }

func byLearner(s Standing) string { return s.LearnerID }

// sortedIDs returns ids without duplicates, in order: the order in which learners are locked.
func sortedIDs(ids []string) []string { return slices.Compact(slices.Sorted(slices.Values(ids))) }
