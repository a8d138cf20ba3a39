// Package progress records what each learner does, and computes how far they have
// come.
//
// Every learner has one append-only log. Events are judged one by one
// (accept.go), written in groups (engine/committer.go) and folded, module by module, in
// the order of their effective times (fold.go), so that the order of arrival
// never matters. What a reader sees is computed from the folded facts, the
// catalog and the clock (module_state.go, path_state.go); reads never write.
//
// This package has the words and the rules. What runs stands in engine, report and replay, which
// apply them to what a store has; grpcapi and clients translate, sqlstore stores.
package progress

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// Verb is what a learner did, in the words of xAPI and cmi5.
type Verb string

// The verbs.
const (
	Initialized Verb = "INITIALIZED"
	Progressed  Verb = "PROGRESSED"
	Completed   Verb = "COMPLETED"
	Passed      Verb = "PASSED"
	Failed      Verb = "FAILED"
	Waived      Verb = "WAIVED"
	Voided      Verb = "VOIDED"
)

// Event is one thing that a learner did, as a client sent it.
type Event struct {
	// ID is a UUID in lower case, unique for the learner.
	ID       string
	ModuleID string
	// ModuleVersion is 0 where the client named none; the log has the resolved one.
	ModuleVersion int
	UnitID        string
	Verb          Verb
	// Score and Progress are 0..1, nil where not said.
	Score    *float64
	Progress *float64
	// OccurredAt is by the device's clock, in microseconds.
	OccurredAt   time.Time
	DeviceID     string
	Reason       string
	VoidsEventID string
	// TimeZone is the IANA name of the zone that the device was in; "" where it does not say.
	TimeZone string
}

// Actor is the sender of something.
type Actor struct {
	// ID is the learner id of a person, else the subject of an identity.
	ID string
	// LearnerID is the actor's own learner id.
	LearnerID string
	// Admin reports whether the actor holds role admin.
	Admin bool
}

// RecordType is what kind of record a log entry is.
type RecordType string

// The record types.
const (
	RecordEvent             RecordType = "EVENT"
	RecordEnrolled          RecordType = "ENROLLED"
	RecordEnrollmentChanged RecordType = "ENROLLMENT_CHANGED"
	RecordUpgraded          RecordType = "UPGRADED"
	// RecordAwarded is milestones that the catalog, not an event, let the learner reach.
	RecordAwarded RecordType = "AWARDED"
	// RecordRevoked is an award that an admin took back, RecordReinstated one that an admin gave back.
	RecordRevoked    RecordType = "REVOKED"
	RecordReinstated RecordType = "REINSTATED"
)

// SystemActor is the actor of what no person asked for.
const SystemActor = "system"

// Record is one entry of a learner's log.
type Record struct {
	LearnerID string
	// Sequence is 1, 2, 3, … without gaps.
	Sequence int64
	Type     RecordType
	// Event is the event with its version resolved; zero for other types.
	Event Event
	// PayloadHash is the SHA-256 of the event as it was sent, by which a repeated one is known.
	PayloadHash [32]byte
	// ReceivedAt is our clock, EffectiveAt the time that every rule uses.
	ReceivedAt  time.Time
	EffectiveAt time.Time
	// Adjusted reports whether EffectiveAt is more than five minutes from what the device said.
	Adjusted bool
	// Zone is the IANA zone that the learner was in at EffectiveAt, as known when the record was
	// made; "" is UTC. Every calendar day that follows from the record is a day there.
	Zone    string
	ActorID string
	// Reason is why a command was given; an event's own is in the event.
	Reason string
	// Effects are what the record did that folding the log does not give; nil for none.
	Effects *Effects
}

// Effects are what a record did to a learner beside the facts of its module: with them the log
// alone gives again all that is stored.
type Effects struct {
	// Enrollments and Awards are as the record left them; of an enrollment's own record, that one comes first.
	Enrollments []Enrollment
	Awards      []Award
	// PercentBefore is the module's percent before a void; nil where there was none.
	PercentBefore *int
}

// lateAfter is how much later than it happened something may be reported and still not be late.
const lateAfter = 7 * 24 * time.Hour

// LateBy returns how much later than it happened the record was received, where that is more than
// seven days; else 0. What is reported late rests on a device's clock alone.
func (r *Record) LateBy() time.Duration {
	if by := r.ReceivedAt.Sub(r.EffectiveAt); by > lateAfter {
		return by
	}
	return 0
}

// Enrollment is the enrollment that the record is about, or nil.
func (r *Record) Enrollment() *Enrollment {
	switch r.Type {
	case RecordEnrolled, RecordEnrollmentChanged, RecordUpgraded:
		if r.Effects != nil && len(r.Effects.Enrollments) > 0 {
			return &r.Effects.Enrollments[0]
		}
	case RecordEvent, RecordAwarded, RecordRevoked, RecordReinstated:
	}
	return nil
}

// Earned are the awards that were made by the record's delivery, of which it is the last.
func (r *Record) Earned() []Award {
	if r.Effects == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Effects.Awards), func(a Award) bool { return a.ToSequence != r.Sequence })
}

// EnrollmentState is where an enrollment stands.
type EnrollmentState string

// The enrollment states. EnrollmentCompleted and EnrollmentNotApplicable, of which nothing is
// required, are derived, never stored.
const (
	EnrollmentActive        EnrollmentState = "ACTIVE"
	EnrollmentPaused        EnrollmentState = "PAUSED"
	EnrollmentWithdrawn     EnrollmentState = "WITHDRAWN"
	EnrollmentCompleted     EnrollmentState = "COMPLETED"
	EnrollmentNotApplicable EnrollmentState = "NOT_APPLICABLE"
)

// ChangeCode is why a percent fell.
type ChangeCode string

// The codes.
const (
	ChangeVoided   ChangeCode = "VOIDED"
	ChangeUpgraded ChangeCode = "UPGRADED"
	ChangeMandated ChangeCode = "MANDATED"
	ChangeMaterial ChangeCode = "MATERIAL"
	ChangeRestored ChangeCode = "RESTORED"
	ChangeBegun    ChangeCode = "BEGUN_BEFORE_ARCHIVE"
	ChangeRules    ChangeCode = "RULES_CHANGED"
)

// PercentChange is why a percent fell, as a code with what it is about; zeros: it does not apply.
type PercentChange struct {
	Code ChangeCode `json:"code"`
	// PathVersion is the one that the enrollment moved to.
	PathVersion int `json:"pathVersion,omitempty"`
	// ModuleID is the module that asks for something again; ModuleVersion the version that does.
	ModuleID      string `json:"moduleId,omitempty"`
	ModuleVersion int    `json:"moduleVersion,omitempty"`
}

// Enrollment is a learner's choice of a path, pinned to one version of it.
type Enrollment struct {
	ID          string          `json:"id"`
	LearnerID   string          `json:"-"`
	PathID      string          `json:"pathId"`
	PathVersion int             `json:"pathVersion"`
	State       EnrollmentState `json:"state"`
	EnrollTime  time.Time       `json:"enrollTime"`
	UpdateTime  time.Time       `json:"updateTime"`
	// PreviousPercent is the path's percent before something that is on record lowered it; nil where
	// nothing did. PercentChange is what it was.
	PreviousPercent *int           `json:"previousPercent,omitempty"`
	PercentChange   *PercentChange `json:"percentChange,omitempty"`
}

// EnrollmentPlace is a place in the list of a learner's enrollments, oldest first; zero: its beginning.
type EnrollmentPlace struct {
	EnrollTime time.Time
	ID         string
}

// Place is where the enrollment is in the list.
func (e *Enrollment) Place() EnrollmentPlace { return EnrollmentPlace{e.EnrollTime, e.ID} }

// ETag is opaque, and changes with every change of the enrollment.
func (e *Enrollment) ETag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", e.ID, e.UpdateTime.UnixMicro()))
	return hex.EncodeToString(sum[:8])
}

// Completion is a completed module that an award rests on.
type Completion struct {
	ModuleID string `json:"moduleId"`
	// Version and Cycle are 0 where the learner's own events did not complete it.
	Version      int       `json:"version"`
	Cycle        int       `json:"cycle"`
	CompleteTime time.Time `json:"completeTime"`
}

// Award is a milestone reached. Once latched it stays.
type Award struct {
	// ID is the UUIDv5 of learner, path, milestone and the revocations before it; see AwardID.
	ID string `json:"id"`
	// Number is 1, and for one that was earned anew one more than there were revocations before.
	Number      int          `json:"number"`
	LearnerID   string       `json:"-"`
	PathID      string       `json:"pathId"`
	PathVersion int          `json:"pathVersion"`
	MilestoneID string       `json:"milestoneId"`
	Title       string       `json:"title"`
	AwardTime   time.Time    `json:"awardTime"`
	Completions []Completion `json:"completions"`
	// Rule is the milestone as it was when the award was last judged, for those who must prove it.
	Rule Milestone `json:"rule"`
	// FromSequence and ToSequence are the log entries of the delivery that earned it.
	FromSequence int64 `json:"from"`
	ToSequence   int64 `json:"to"`
	// RevokeTime is when an admin took it back, with RevokeReason; zero: it is not revoked.
	RevokeTime   time.Time `json:"revokeTime,omitzero"`
	RevokeReason string    `json:"revokeReason,omitempty"`
	// Revocations is how often it was taken back, RevokedAt the sequence of the last time.
	Revocations int   `json:"revocations,omitempty"`
	RevokedAt   int64 `json:"revokedAt,omitempty"`
	// Rules is the RulesVersion by which it was last judged.
	Rules int `json:"rules"`
	// Provisional reports whether it is only derived, by a read, and may still go away.
	Provisional bool `json:"provisional,omitempty"`
}

// Revoked reports whether an admin took the award back.
func (a *Award) Revoked() bool { return !a.RevokeTime.IsZero() }

// Head is where a learner's log stands.
type Head struct {
	LearnerID string
	// Sequence is the last entry's number.
	Sequence int64
	// Version rises with every transaction that changes what the learner can read.
	Version int64
	// Known reports whether the learner is known here: profile told of them, or their token did.
	Known bool
	// TimeZone is the IANA zone that the learner is in since ZoneSince; "" is UTC. Profile sets it.
	// A zero ZoneSince is of the first zone that is known: as if they had always been in it.
	TimeZone  string
	ZoneSince time.Time
	// Rules is the RulesVersion that all that is stored of the learner was last brought to.
	Rules int
	// Timeline is the line of the database's history that this was read from. Another one may give
	// the same Version to something else. "" where nobody asked for it.
	Timeline string
	// Catalog is the stored catalog's revision, where Head or Load answered this: some replica has
	// acted on that one, perhaps for this learner.
	Catalog int64
}

// LearnerZone is a learner's time zone as profile last said it.
type LearnerZone struct {
	LearnerID, TimeZone string
	// Since is when the time zone was set: days before it are of the zone before. Zero: not said.
	Since time.Time
}

// AuditEntry is an admin command, for the chain of those.
type AuditEntry struct {
	Time   time.Time
	Actor  string
	Action string
	// Resource is what it was done to: "learners/{learner}/events/{event}".
	Resource string
	Reason   string
}

// The audited actions.
const (
	ActionVoided      = "EVENT_VOIDED"
	ActionWaived      = "EVENT_WAIVED"
	ActionRecordedFor = "EVENT_RECORDED_FOR_LEARNER"
	ActionRevoked     = "AWARD_REVOKED"
	ActionReinstated  = "AWARD_REINSTATED"
)

// Learner is what is stored of one learner and may change, read in one snapshot.
type Learner struct {
	Head  Head
	Facts map[string]*Facts
	// Enrollments are those that are not withdrawn.
	Enrollments []Enrollment
	Awards      []Award
}

// FactsKey names one learner's facts of one module.
type FactsKey struct{ LearnerID, ModuleID string }

// KnownEvent is an event that is in the log already.
type KnownEvent struct {
	LearnerID   string
	EventID     string
	Sequence    int64
	PayloadHash [32]byte
	// ModuleID, ModuleVersion, UnitID and EffectiveAt are as stored.
	ModuleID      string
	ModuleVersion int
	UnitID        string
	EffectiveAt   time.Time
}

// EventKey names one event of one learner.
type EventKey struct{ LearnerID, EventID string }

// Link ties an identity to a learner, so that known learners are served while profile is down.
type Link struct {
	LearnerID, TimeZone string
	// Since is when the time zone was set, as in LearnerZone.
	Since time.Time
}

// WatchTicket admits one watch of a learner's log, in the name of who got it.
type WatchTicket struct {
	// Hash is the SHA-256 of the ticket, which is stored nowhere.
	Hash [32]byte
	// LearnerID is whose log it is.
	LearnerID string
	// Issuer and Subject name who got the ticket; Command is set for a command of the program.
	Issuer, Subject string
	Command         bool
	// Roles are those of the token that the ticket was got with, and TokenExpires is when that does.
	Roles        []string
	TokenExpires time.Time
	// Expires is until when the ticket is accepted.
	Expires time.Time
}

// MaxWatchTickets is how many tickets for the log of one learner are neither used nor expired.
const MaxWatchTickets = 20

// Sweep is how far the learners that the catalog touches have been looked at; see sweep.go.
type Sweep struct {
	// Revision and At are what the last finished sweep looked at.
	Revision int64
	At       time.Time
	// ToRevision and ToAt are what the running one looks at; zero: none is running.
	ToRevision int64
	ToAt       time.Time
	// Cursor is the last learner that the running one has done.
	Cursor string
	// Owner holds the sweep until LeaseUntil.
	Owner      string
	LeaseUntil time.Time
}

// Rebuild is how far the rebuild of all learners is; see rebuild.go.
type Rebuild struct {
	// StartedAt is when it began, by order of ActorID; zero: none is begun and not finished.
	StartedAt time.Time
	ActorID   string
	// Cursor is the last learner of whom, and of all before whom, the work is done.
	Cursor string
	// Done, Total, Entries and Drifted are as in ReplayStatus.
	Done, Total, Entries, Drifted int64
	// Owner holds the rebuild until LeaseUntil.
	Owner      string
	LeaseUntil time.Time
}

// StoredFacts are the stored facts of one module, as they are.
type StoredFacts struct {
	FactsKey

	// State is what AppendFacts wrote, if nothing has harmed it.
	State string
	// Summary is what stands beside the state for previews and reports.
	Summary Summary
}
