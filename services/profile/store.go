package profile

import (
	"context"
	"time"

	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/page"
)

// Store is all that a Service needs of its storage. Times are stored to the microsecond;
// texts as given.
type Store interface {
	Learners
	Directory
	Changes
	Cohorts
	Editor
}

// Learners reads learners one by one, and makes those who sign in for the first time.
type Learners interface {
	// BySubject returns the learner that the identity belongs to, by one indexed read.
	// Returns NotFound SUBJECT_UNKNOWN when it belongs to no learner.
	BySubject(ctx context.Context, subject Subject) (Resolved, error)

	// Learner returns the learner with its subjects, as one commit left them.
	// Returns NotFound LEARNER_NOT_FOUND when no learner has the id.
	Learner(ctx context.Context, id string) (Learner, error)

	// SignIn stores a learner who signed in, with all that an Arrival has, and returns the feed's revision with it. It
	// reports false, and stores nothing, where the rules have another version. Returns AlreadyExists
	// SUBJECT_TAKEN when the subject belongs to another learner.
	SignIn(ctx context.Context, arrival Arrival) (revision int64, current bool, err error)
}

// Arrival is a learner of one subject who signed in for the first time.
type Arrival struct {
	Learner Learner
	// Joined are what the rules, of a version, make of them, and Changes what the feed is to have.
	Joined  []Standing
	Changes []Change
	Rules   int64
}

// Directory searches learners.
type Directory interface {
	// List returns at most limit learners whose display name, email or attributes hold each of the words,
	// which are folded, in the order of the ListOrders, that come after the place in it. Texts
	// are in byte order, names by their NameKey. Equals are by id, in the same direction.
	List(ctx context.Context, words []string, order page.Order, after Place, limit int) ([]Learner, error)

	// Count returns how many learners List would find without limit.
	Count(ctx context.Context, words []string) (int, error)

	// EachFacts calls f for every learner, in the order of ids, until it fails.
	EachFacts(ctx context.Context, f func(id string, facts Facts) error) error

	// Names returns the display names of learners; those that do not exist are absent.
	Names(ctx context.Context, ids []string) (map[string]string, error)
}

// Changes reads the feed of changes.
type Changes interface {
	// Changes returns at most limit changes after the revision, oldest first, and the newest revision of all,
	// 0 when there is none; both as one commit left them. Revisions are 1, 2, 3, … in the order of commits, so
	// that a reader of all up to the newest one has missed nothing.
	Changes(ctx context.Context, after int64, limit int) (changes []Change, newest int64, err error)
}

// Cohorts reads cohorts and their members. Nobody is a member of a cohort that was deleted.
type Cohorts interface {
	// Cohort returns a cohort that was not deleted. Returns NotFound COHORT_NOT_FOUND.
	Cohort(ctx context.Context, id string) (Cohort, error)

	// ListCohorts returns at most limit cohorts that match and were not deleted, by id, after an id.
	ListCohorts(ctx context.Context, filter CohortFilter, after string, limit int) ([]Cohort, error)

	// Members returns at most limit members of a cohort, by learner id, after one.
	Members(ctx context.Context, cohortID, after string, limit int) ([]Member, error)

	// Spans returns the times of a learner in a cohort, oldest first, and why the rule cannot be evaluated for
	// them; "" where it can.
	Spans(ctx context.Context, cohortID, learnerID string) (spans []Span, ruleError string, err error)

	// Rules returns the rules of all cohorts, as one commit left them.
	Rules(ctx context.Context) (RuleSet, error)

	// Evaluating returns the ids of the cohorts whose rule has not looked at all learners yet.
	Evaluating(ctx context.Context) ([]string, error)

	// ManagesLearner reports whether a learner who is ACTIVE manages a cohort of which another is a member.
	ManagesLearner(ctx context.Context, managerID, learnerID string) (bool, error)

	// ManagesCohort reports whether a learner who is ACTIVE manages a cohort that was not deleted.
	ManagesCohort(ctx context.Context, managerID, cohortID string) (bool, error)
}

// CohortFilter is which cohorts; an empty field matches all.
type CohortFilter struct {
	// Words must each be in the title, in any case; they are folded.
	Words []string
	// ManagerID is a learner who is ACTIVE and manages them.
	ManagerID string
}

// Editor changes what is stored.
type Editor interface {
	// Edit runs f in one transaction, and commits what it did when it returns nil; else it changes
	// nothing, and returns f's error. F may run more than once.
	Edit(ctx context.Context, f func(ctx context.Context, tx Tx) error) error
}

// Tx is a transaction inside of Edit: what it writes it also reads. To exclude deadlocks it locks cohorts first, then
// learners in the order of ids, and Head last.
type Tx interface {
	LearnersTx
	CohortsTx

	// Head returns the head, and locks it until the transaction ends. All transactions that announce wait for
	// each other here, and none may wait for anything else meanwhile.
	Head(ctx context.Context) (Head, error)

	// Announce gives changes the next revisions, in their order, and returns the last one. It is the newest
	// revision of the learner, unless learnerID is "".
	Announce(ctx context.Context, learnerID string, changes []Change) (revision int64, err error)

	// RaiseRules gives the rules the next version.
	RaiseRules(ctx context.Context) error

	// Audit appends entries to the chain of admin commands.
	Audit(ctx context.Context, entries []AuditEntry) error

	// FindResponse and SaveResponse are FindIdempotent and SaveIdempotent of sqldb.
	FindResponse(ctx context.Context, key idem.Key, now time.Time) (response []byte, found bool, err error)
	SaveResponse(ctx context.Context, key idem.Key, response []byte, now time.Time) error
}

// LearnersTx reads and writes learners inside of Edit.
type LearnersTx interface {
	// LockLearner returns the learner, whom no other transaction changes until this one ends.
	// Returns NotFound LEARNER_NOT_FOUND when no learner has the id.
	LockLearner(ctx context.Context, id string) (Learner, error)

	// InsertLearner stores a new learner with its subjects. Returns AlreadyExists SUBJECT_TAKEN, with a
	// violation for each subject that belongs to another learner.
	InsertLearner(ctx context.Context, learner Learner) error

	// PutLearner stores the learner as it is now, with its subjects. Returns AlreadyExists as InsertLearner does.
	PutLearner(ctx context.Context, before, after Learner) error

	// Unknown returns which of the ids no learner has, in their order.
	Unknown(ctx context.Context, ids []string) ([]string, error)

	// FactsAfter returns the facts of at most limit learners after an id, by id.
	FactsAfter(ctx context.Context, after string, limit int) ([]LearnerFacts, error)

	// LockFacts returns the facts of learners, which come in order, as LockLearner returns learners.
	LockFacts(ctx context.Context, ids []string) ([]LearnerFacts, error)
}

// LearnerFacts are the facts of a learner.
type LearnerFacts struct {
	ID    string
	Facts Facts
}

// CohortsTx reads and writes cohorts and memberships inside of Edit.
type CohortsTx interface {
	// LockCohort returns a cohort that was not deleted, without its Counts, which no other transaction changes
	// until this one ends. Returns NotFound COHORT_NOT_FOUND.
	LockCohort(ctx context.Context, id string) (Cohort, error)

	// InsertCohort stores a new cohort. Returns AlreadyExists COHORT_EXISTS when one has the id, or had it.
	InsertCohort(ctx context.Context, cohort Cohort) error

	// PutCohort stores the cohort as it is now.
	PutCohort(ctx context.Context, cohort Cohort) error

	// StandingsOf returns what a learner is in each cohort, by the cohort's id; those that they have never been
	// in, and that have no rule that cannot be evaluated for them, are absent.
	StandingsOf(ctx context.Context, learnerID string) (map[string]Standing, error)

	// StandingsIn is the same for learners in one cohort, by the learner's id.
	StandingsIn(ctx context.Context, cohortID string, learnerIDs []string) (map[string]Standing, error)

	// SaveStandings stores what learners are in cohorts.
	SaveStandings(ctx context.Context, standings []Standing) error
}

// Head is where the feed and the rules are.
type Head struct {
	// Revision is the newest one of the feed, Rules the version of the RuleSet.
	Revision, Rules int64
}

// AuditEntry is an admin command, for the chain of those.
type AuditEntry struct {
	Time                            time.Time
	Actor, Action, Resource, Reason string
}
