package progress

import (
	"time"
)

// ProfileChange is something that happened in profile, as far as progress depends on it. One of Learner, Cohort and
// Membership is set.
type ProfileChange struct {
	// Revision is its number in profile's feed, and Time when it happened by profile's clock.
	Revision   int64
	Time       time.Time
	Learner    *PersonRecord
	Cohort     *CohortRecord
	Membership *MembershipRecord
}

// PersonRecord is what progress knows of a learner from profile.
type PersonRecord struct {
	Zone LearnerZone
	// Suspended is set for a learner who left the organization.
	Suspended bool
	// HireDate is a date, "2026-03-01"; "" where it is not known.
	HireDate string
}

// CohortRecord is what progress knows of a cohort.
type CohortRecord struct {
	ID, Title  string
	ManagerIDs []string
	// Deleted is set once the cohort was deleted: it has no members from then on.
	Deleted bool
}

// MembershipRecord is a learner's membership in a cohort.
type MembershipRecord struct {
	CohortID, LearnerID string
	Member              bool
	// JoinTime is since when periods after joining count.
	JoinTime time.Time
}
