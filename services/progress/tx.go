package progress

import (
	"context"
	"time"

	"github.com/preceptor-dev/preceptor/internal/idem"
)

// Reader reads what is stored of learners before something is written of them: from the newest commit, or
// within a transaction.
type Reader interface {
	LearnerReader
	EventIndex
	// Facts returns the stored facts of the keys; those without any are absent.
	Facts(ctx context.Context, keys []FactsKey) (map[FactsKey]*Facts, error)
	// FindIdempotent returns the stored answer of a create. It returns FailedPrecondition
	// IDEMPOTENCY_KEY_REUSED when the key came with another request.
	FindIdempotent(ctx context.Context, key idem.Key, now time.Time) (answer []byte, found bool, err error)
}

// Tx is a write transaction that holds the heads of learners locked. Only they may be touched.
type Tx interface {
	Reader
	LockedHeads
	LearnerWriter
	FactsTable
	CommandLog
	// Write applies a set, as a part of the transaction.
	Write(ctx context.Context, set *WriteSet) error
}

// LockedHeads are what a transaction holds still.
type LockedHeads interface {
	// Head returns a locked head; changes to it are stored when the transaction commits. Nil where the
	// learner has none.
	Head(learnerID string) *Head
	// Snapshot returns what is stored of one learner, as this transaction sees it.
	Snapshot(learnerID string) Snapshot
}

// LearnerReader reads what is stored of learners. Heads come first: what is read of a learner after
// their head is no older than that.
type LearnerReader interface {
	// HeadsOf returns the heads of learners by id; those without one are absent.
	HeadsOf(ctx context.Context, learnerIDs []string) (map[string]Head, error)
	// Complete returns what else is stored of the learners of the heads and may change, by id, in few
	// statements for all of them.
	Complete(ctx context.Context, heads []Head) (map[string]*Learner, error)
	// Enrollment returns one of a learner's enrollments, a withdrawn one too. It returns NotFound
	// ENROLLMENT_NOT_FOUND where there is none.
	Enrollment(ctx context.Context, learnerID, enrollmentID string) (Enrollment, error)
	// ZoneHistory returns the learner's time zones, oldest first; the first is as if it had always been.
	ZoneHistory(ctx context.Context, learnerID string) ([]LearnerZone, error)
	// ModuleLog returns a learner's events of one module, with the voids that name them, by sequence.
	ModuleLog(ctx context.Context, learnerID, moduleID string) ([]Record, error)
}

// LearnerWriter writes what is stored of learners.
type LearnerWriter interface {
	// Append writes log entries.
	Append(ctx context.Context, records []Record) error
	// PutEnrollments writes enrollments by id. It returns AlreadyExists when the learner has one of
	// the same path that is not withdrawn.
	PutEnrollments(ctx context.Context, enrollments []Enrollment) error
	// PutAwards writes awards by id.
	PutAwards(ctx context.Context, awards []Award) error
}

// EventIndex finds single events of the log.
type EventIndex interface {
	// KnownEvents returns which of the events are in the log.
	KnownEvents(ctx context.Context, keys []EventKey) ([]KnownEvent, error)
	// EventByID returns one stored event. It returns NotFound when that is not in the log.
	EventByID(ctx context.Context, learnerID, eventID string) (Record, error)
	// IsVoided reports whether the log has a void of the event.
	IsVoided(ctx context.Context, learnerID, eventID string) (bool, error)
}

// FactsTable is the stored facts by learner and module.
type FactsTable interface {
	// PutFacts writes facts; at most one for each key.
	PutFacts(ctx context.Context, facts map[FactsKey]*Facts) error
	// DropFacts deletes stored facts.
	DropFacts(ctx context.Context, keys []FactsKey) error
}

// CommandLog is what a store has beside progress itself of the commands that it was given.
type CommandLog interface {
	// Audit appends entries to the chain of admin commands.
	Audit(ctx context.Context, entries []AuditEntry) error
	// SaveIdempotent stores the answer of a create.
	SaveIdempotent(ctx context.Context, key idem.Key, answer []byte, now time.Time) error
}

// Snapshot is what is stored of the learners in a range of ids at one moment.
type Snapshot interface {
	// Revision is the stored catalog's: nothing that is stored was folded under a newer one.
	Revision(ctx context.Context) (int64, error)
	// Heads returns the learners' heads, by id.
	Heads(ctx context.Context) ([]Head, error)
	// Facts passes the stored facts to visit, by learner.
	Facts(ctx context.Context, visit func(StoredFacts)) error
	// Enrollments and Awards answer those of all the learners. What cannot be read of an award is left out of it.
	Enrollments(ctx context.Context) ([]Enrollment, error)
	Awards(ctx context.Context) ([]Award, error)
	// Entries passes the log entries to visit, by learner and sequence. A record is only valid until visit returns.
	Entries(ctx context.Context, visit func(*Record) error) error
}
