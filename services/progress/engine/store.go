package engine

import (
	"context"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// Store is what the engine needs of a store. Errors are *errs.Error: Unavailable when the database
// cannot be reached.
type Store interface {
	LearnerStore
	CatalogStore
	SweepStore
	ZoneStore
	LinkStore
	TicketStore
}

// LearnerStore has the learners' logs and what is folded from them.
type LearnerStore interface {
	progress.Reader
	// Incarnation names the database's line of history, as Timeline in a Head: it changes when the database
	// is a copy of what it was before, or goes on from an earlier state. It begins with a UUID.
	Incarnation(ctx context.Context) (string, error)
	// Head returns a learner's head; the zero Head with the learner's id where there is no log yet.
	Head(ctx context.Context, learnerID string) (progress.Head, error)
	// Sequences returns the sequences of many learners' heads, in few queries; those without a log are absent.
	Sequences(ctx context.Context, learnerIDs []string) (map[string]int64, error)
	// Load returns what is stored of a learner and may change, from one snapshot.
	Load(ctx context.Context, learnerID string) (*progress.Learner, error)
	// Enrollments returns at most limit of a learner's enrollments after a place, oldest first, withdrawn
	// ones too.
	Enrollments(ctx context.Context, learnerID string, after progress.EnrollmentPlace, limit int) ([]progress.Enrollment, error)
	// ModuleLogs returns a learner's events of modules, with the voids that name them, by module and sequence;
	// modules without any are absent.
	ModuleLogs(ctx context.Context, learnerID string, moduleIDs []string) (map[string][]progress.Record, error)
	// ModulesAfter returns the modules that a learner has events of after a sequence, by id.
	ModulesAfter(ctx context.Context, learnerID string, after int64) ([]string, error)
	// Log returns at most limit entries after a sequence, by sequence, with the head of the same snapshot.
	Log(ctx context.Context, learnerID string, after int64, limit int) ([]progress.Record, progress.Head, error)
	// Write applies a set, in one transaction of its own. It returns a *progress.StaleError where
	// something is not as the set believes, and Unavailable with ReasonCommitOutcomeUnknown when it may or
	// may not have been written.
	Write(ctx context.Context, set *progress.WriteSet) error
	// Commit runs fn in one write transaction with the heads of the learners locked, in id order. It may
	// run fn again after a conflict; nothing of a failed run stays. It
	// returns Unavailable with ReasonCommitOutcomeUnknown when the transaction may or may not have been written.
	Commit(ctx context.Context, learnerIDs []string, fn func(context.Context, progress.Tx) error) error
}

// CatalogStore has the catalog as it was last read.
type CatalogStore interface {
	// LoadCatalog returns the stored catalog: its revision and every entity.
	LoadCatalog(ctx context.Context) (progress.CatalogDelta, error)
	// SaveCatalog merges a delta, in one transaction. A delta older than what is stored changes nothing.
	SaveCatalog(ctx context.Context, delta progress.CatalogDelta) error
}

// SweepStore has the place of the sweep, and finds the learners that it is to look at.
type SweepStore interface {
	// LeaseSweep returns the sweep, leased to owner until a time, or nil while another's lease holds at now.
	LeaseSweep(ctx context.Context, owner string, now, until time.Time) (*progress.Sweep, error)
	// SaveSweep stores the sweep. It returns Aborted when its owner holds the lease no more.
	SaveSweep(ctx context.Context, sweep progress.Sweep) error
	// FreeSweep ends the lease of an owner, if it is theirs.
	FreeSweep(ctx context.Context, owner string) error
	// Enrolled returns at most limit learners after one, in order, with an enrollment in one of
	// the paths that is not withdrawn.
	Enrolled(ctx context.Context, pathIDs []string, after string, limit int) ([]string, error)
	// Outdated returns at most limit learners after one, in order, with facts of one of the modules
	// whose summary is not as that module's Freshness says.
	Outdated(ctx context.Context, modules []progress.Freshness, after string, limit int) ([]string, error)
}

// ZoneStore has what profile says of learners and cohorts, as it was last read.
type ZoneStore interface {
	// ZoneRevision returns profile's revision that the learners' time zones are known up to.
	ZoneRevision(ctx context.Context) (int64, error)
	// SaveProfile stores what happened in profile, up to a revision, and the revision, in one transaction: it makes
	// learners known and sets their time zones, since when they have them, raises the head's version of each whose
	// zone changes, and adds to what is known of people and cohorts, stored at a time. A revision older than what is
	// stored changes nothing.
	SaveProfile(ctx context.Context, revision int64, stored time.Time, changes []progress.ProfileChange) error
	// ManagesLearner reports whether a learner who is active manages a cohort of which another is a member, as far as
	// profile's changes are stored.
	ManagesLearner(ctx context.Context, managerID, learnerID string) (bool, error)
	// ManagesCohort reports the same of a cohort.
	ManagesCohort(ctx context.Context, managerID, cohortID string) (bool, error)
}

// LinkStore has the learners of identities.
type LinkStore interface {
	// FindLink returns the learner of an identity. It returns NotFound when that is not stored.
	FindLink(ctx context.Context, issuer, subject string) (progress.Link, error)
	// SaveLink stores an identity's learner, replacing what was, makes the learner known, and sets
	// their time zone where it is not "".
	SaveLink(ctx context.Context, issuer, subject string, link progress.Link) error
}

// TicketStore has the tickets that are neither used nor expired.
type TicketStore interface {
	// AddTicket stores a ticket, and removes some of those that have expired at now. While the learner
	// has progress.MaxWatchTickets that have not, it stores none, and returns when the first of them
	// expires; the zero time otherwise.
	AddTicket(ctx context.Context, ticket progress.WatchTicket, now time.Time) (free time.Time, err error)
	// TakeTicket removes a ticket and returns it, expired or not. Of several calls at once, in several
	// processes, one gets it; the others, and those after, get NotFound.
	TakeTicket(ctx context.Context, hash [32]byte) (progress.WatchTicket, error)
}
