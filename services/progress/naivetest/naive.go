// Package naivetest is the rules of progress written down a second time, for tests to compare the
// service with. It replays a whole log with plain loops for every question, is as slow as that is, and
// shares no code with what it judges: only the plain data types of package progress. Where the two
// differ, one of them is wrong, or the rule is not clear.
//
// The rules stand in small files: dates.go has calendars and periods, acceptance.go the times of
// events, counting.go what counts in an archive, units.go what is done, cycles.go the fold,
// expiry.go how long a completion lasts, credit.go what a module rests on, excuse.go and tally.go
// how far a path is, awards.go, streak.go and notes.go the rest. World is random input for both.
package naivetest

import (
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// regretted is how long a change of the catalog may be taken back as if it had never been made.
const regretted = time.Hour

// Input is all that the state of one learner depends on.
type Input struct {
	LearnerID string
	Catalog   *progress.Catalog
	// Log is the learner's log in the order of its sequence.
	Log         []progress.Record
	Enrollments []progress.Enrollment
	// Awards are the stored ones, revoked ones too.
	Awards []progress.Award
	// Zone is the learner's time zone at present; "" is UTC.
	Zone string
	Now  time.Time
	// Latching judges catalog changes as of one hour ago, as a commit does; else as a read does.
	Latching bool
}

// Result is a learner's state. Two of them are equal when reflect.DeepEqual is true: times are in
// UTC, lists in a fixed order.
type Result struct {
	Modules     map[string]Module
	Enrollments []Enrollment
	Streak      Streak
	// Events are by event id; voids are absent.
	Events map[string]Event
	// Due are the modules that want renewing, in the order of their ids.
	Due []string
}

// Module is how far the learner is in a module. Zero times: not, or never.
type Module struct {
	State string
	// Percent is nil where the version requires nothing.
	Percent *int
	// Version is the one that the learner is on.
	Version int
	// Credit is what stands for the completion: LEARNED, EQUIVALENCE, WAIVER, or "" for none.
	Credit       string
	RestsOn      []Rest
	CompleteTime time.Time
	Currency     *Currency
	Excused      *Excuse
	BlockedBy    []string
	Cycles       []Cycle
}

// The states of modules, and of enrollments beside those that are stored.
const (
	Locked        = "LOCKED"
	Available     = "AVAILABLE"
	InProgress    = "IN_PROGRESS"
	Completed     = "COMPLETED"
	NotApplicable = "NOT_APPLICABLE"
)

// The labels of credit.
const (
	Learned     = "LEARNED"
	Equivalence = "EQUIVALENCE"
	Waiver      = "WAIVER"
)

// The states of currency.
const (
	Current    = "CURRENT"
	DueSoon    = "DUE_SOON"
	Grace      = "GRACE"
	Expired    = "EXPIRED"
	Superseded = "SUPERSEDED"
)

// How cycles open.
const (
	First    = "FIRST"
	Renewal  = "RENEWAL"
	Material = "MATERIAL"
)

// The reasons of notes, excuses and falls.
const (
	Archived          = "ARCHIVED"
	AfterSunset       = "AFTER_SUNSET"
	RenewalEarly      = "RENEWAL_EARLY"
	SupersededVersion = "SUPERSEDED_VERSION"
	Restored          = "RESTORED"
	Mandated          = "MANDATED"
)

// Rest is a cycle of another module that an equivalence rests on.
type Rest struct {
	ModuleID string
	Cycle    int
}

// Currency is how long a credit lasts, and where that stands now.
type Currency struct {
	State                       string
	ExpireTime, WindowOpenTime  time.Time
	GraceEndTime, SupersedeTime time.Time
}

// Excuse is since when, and why, a module is no longer required of the learner.
type Excuse struct {
	Since  time.Time
	Reason string
}

// Cycle is one round of completing a module.
type Cycle struct {
	Number                     int
	Opening                    string
	BeginTime, CompleteTime    time.Time
	Version                    int
	ExpireTime, WindowOpenTime time.Time
	// Percent is nil where the version requires nothing.
	Percent *int
	// UnitsDone are the required units that are done on the cycle's version, in its order.
	UnitsDone []string
}

// Enrollment is how far the learner is on a path.
type Enrollment struct {
	ID, PathID string
	// PathVersion is the one that the enrollment is on, mandates included.
	PathVersion int
	State       string
	// Percent is nil where nothing is required.
	Percent             *int
	Completed, Required int
	Milestones          []Milestone
	// PreviousPercent is from before a fall that is not yet regained.
	PreviousPercent *int
	PercentReason   string
}

// Milestone is how far the learner is to a milestone, and the award for it.
type Milestone struct {
	ID                  string
	Percent             *int
	Completed, Required int
	RuleHolds           bool
	// AwardNumber is 0 where there is no award, neither stored nor provisional.
	AwardNumber int
	AwardID     string
	Provisional bool
	AwardTime   time.Time
	// Completions are in the order of their module ids.
	Completions []Completion
}

// Completion is what an award rests on. Version and Cycle are 0 for an equivalence.
type Completion struct {
	ModuleID       string
	Version, Cycle int
	Time           time.Time
}

// Streak is days in a row, Last the newest active one as YYYY-MM-DD.
type Streak struct {
	Current, Longest int
	Last             string
}

// Event is what an event counts for: for nothing where Cycle is 0, which Note may explain.
type Event struct {
	Cycle    int
	Note     string
	NoteTime time.Time
}

// judge is one replay.
type judge struct {
	Input

	// modules are the folds of the modules' logs.
	modules map[string]*folded
}

// Judge replays the log.
func Judge(in Input) Result {
	j := &judge{Input: in, modules: map[string]*folded{}}
	for id, m := range in.Catalog.Modules {
		j.modules[id] = fold(m, in.Log, in.Now)
	}
	out := Result{Modules: map[string]Module{}, Events: j.events(), Streak: j.streak(), Due: j.due()}
	for id := range in.Catalog.Modules {
		out.Modules[id] = j.module(id)
	}
	for i := range in.Enrollments {
		out.Enrollments = append(out.Enrollments, j.enrollment(&in.Enrollments[i]))
	}
	return out
}

// module puts a module's answer together. A module is LOCKED while prerequisites are missing and
// nothing of it has counted, AVAILABLE without them, IN_PROGRESS once something counted, and
// COMPLETED by any credit, whatever is open after it.
func (j *judge) module(id string) Module {
	m, f := j.Catalog.Modules[id], j.modules[id]
	c := j.creditOf(id)
	out := Module{Credit: c.label, CompleteTime: c.at, Excused: j.excuse(id), RestsOn: c.restsOn}
	out.Version, out.Percent = f.standing(m, j.Now)
	switch {
	case c.label != "":
		out.State, out.Percent = Completed, whole()
		out.Currency = j.currency(id)
	case len(f.cycles) > 0:
		out.State = InProgress
	default:
		if out.BlockedBy = j.blockedBy(m); len(out.BlockedBy) > 0 {
			out.State = Locked
		} else {
			out.State = Available
		}
	}
	for _, c := range f.cycles {
		out.Cycles = append(out.Cycles, c.answer(m, j.Now))
	}
	return out
}

// blockedBy are the prerequisites of the newest version that are neither done nor excused.
func (j *judge) blockedBy(m *progress.Module) []string {
	var missing []string
	for _, id := range m.Versions[len(m.Versions)-1].Prerequisites {
		if j.creditOf(id).label == "" && j.excuse(id) == nil {
			missing = append(missing, id)
		}
	}
	return missing
}

// due are the modules whose currency is no longer CURRENT and that can be learned: not archived.
func (j *judge) due() []string {
	var ids []string
	for id, m := range j.Catalog.Modules {
		c := j.currency(id)
		if c == nil || c.State == Current || inArchive(m, j.Now) {
			continue
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func whole() *int { return new(100) }

func hasModule(c *progress.Catalog, id string) bool { return c.Modules[id] != nil }

// versionOf finds a version by number, or returns nil.
func versionOf(m *progress.Module, number int) *progress.ModuleVersion {
	for i := range m.Versions {
		if m.Versions[i].Number == number {
			return &m.Versions[i]
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earlier is the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
