package progress

import (
	"fmt"
	"time"

	"github.com/preceptor-dev/preceptor/internal/idem"
)

// WriteSet is what is to be written of some learners in one transaction, and what it rests on: all of it is
// written, or, where something is not as believed, nothing.
//
// Everything that changes what a learner can read raises the version of their head in the same
// transaction, or only stores what every reader works out already. So where a head is as believed, all
// that was read of the learner after it is the newest.
type WriteSet struct {
	// Catalog is the revision of the catalog that was folded under: the stored one is no newer.
	Catalog int64
	// Heads are those of all learners of the set, in the order of their ids, also those that stay.
	Heads       []HeadChange
	Records     []Record
	Facts       []FactsChange
	Enrollments []Enrollment
	Awards      []Award
	Audit       []AuditEntry
	Answers     []KeyedAnswer
}

// HeadChange is a head as it was read, on whichever line of history, and as it is to be. What it may change
// is the sequence and the version.
type HeadChange struct{ Was, Is Head }

// FactsChange is facts as they are stored, nil where there are none or that is not known, and as they are to be.
type FactsChange struct {
	FactsKey

	Was, Is *Facts
}

// KeyedAnswer is the answer of a create, to be found by its key until it expires.
type KeyedAnswer struct {
	Key  idem.Key
	Body []byte
	Time time.Time
}

// HasRare reports whether the set has more than what events bring: heads, log entries and facts.
func (s *WriteSet) HasRare() bool {
	return len(s.Enrollments)+len(s.Awards)+len(s.Audit)+len(s.Answers) > 0
}

// Learners returns the ids of the set's learners.
func (s *WriteSet) Learners() []string {
	ids := make([]string, len(s.Heads))
	for i := range s.Heads {
		ids[i] = s.Heads[i].Was.LearnerID
	}
	return ids
}

// StaleError is why nothing of a WriteSet was written: it rests on what is no longer so. One of its fields
// says what.
type StaleError struct {
	// Learners are those whose heads are not as believed, all of them.
	Learners []string
	// Catalog is the stored catalog's revision, which is newer than the set's.
	Catalog int64
	// Events is set where an event of the set is in the log already.
	Events bool
}

func (e *StaleError) Error() string {
	switch {
	case e.Catalog > 0:
		return fmt.Sprintf("the catalog is stored at revision %d", e.Catalog)
	case e.Events:
		return "an event is stored already"
	default:
		return fmt.Sprintf("%d learners are not as they were read", len(e.Learners))
	}
}
