package progress

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/zone"
)

// Status is what became of one event.
type Status string

// The statuses.
const (
	StatusAccepted  Status = "ACCEPTED"
	StatusDuplicate Status = "DUPLICATE"
	StatusRejected  Status = "REJECTED"
	StatusRetry     Status = "RETRY"
)

// clockTolerance is how far a device's clock may be off before it is corrected, where the device says
// what it shows; and how far a time may be moved before the record says so.
const clockTolerance = 5 * time.Minute

// The longest texts of an event, in bytes.
const (
	maxIDLen     = 128
	maxReasonLen = 2000
)

// Result is the answer to one event.
type Result struct {
	EventID     string
	Status      Status
	Reason      string
	Description string
	// Sequence is the event's place in the log; 0 where it is not stored.
	Sequence int64
	// ModuleID is the module that a stored event is filed with: of a void, that of what it takes back.
	ModuleID string
	// Note is why a stored event does not count at present; nil: it does.
	Note *Note
}

// Reject returns the refusal of an event.
func Reject(e *Event, reason, format string, args ...any) *Result {
	return &Result{EventID: e.ID, Status: StatusRejected, Reason: reason, Description: fmt.Sprintf(format, args...)}
}

// Sending is who sent events, and what is known of how.
type Sending struct {
	LearnerID string
	Actor     Actor
	// Skew is how far the device's clock is behind ours; see ClockSkew.
	Skew time.Duration
}

// ClockSkew returns how far a clock that showed sent is behind ours, which showed arrived: zero where
// that is within five minutes, or where sent is zero, since the device did not say.
func ClockSkew(sent, arrived time.Time) time.Duration {
	if skew := arrived.Sub(sent); !sent.IsZero() && skew.Abs() > clockTolerance {
		return skew
	}
	return 0
}

// Judged is an event with the decision on it.
type Judged struct {
	// Record is the log entry to store. Of an event that is refused it has only what finds a copy of
	// it that was stored before, when the catalog was another one perhaps.
	Record Record
	// Refusal is why the event is not to be stored; nil where it is.
	Refusal *Result
	// Sent is the event as it was sent, by whom.
	Sent *Event
	By   *Sending
}

// Final reports whether the event is refused for what it says itself: no copy of it was ever stored.
func (j *Judged) Final() bool {
	return j.Refusal != nil && (j.Refusal.Reason == errs.ReasonMalformed || j.Refusal.Reason == errs.ReasonForbiddenVerb)
}

// Unknown reports whether the event is refused for naming what the catalog lacks: a newer one may have it.
func (j *Judged) Unknown() bool {
	return j.Refusal != nil &&
		(j.Refusal.Reason == errs.ReasonUnknownModule || j.Refusal.Reason == errs.ReasonUnknownVersion || j.Refusal.Reason == errs.ReasonUnknownUnit)
}

// Judge decides on one event by itself, its sender and the catalog: never by other events, locks or
// enrollments. received is our clock.
func Judge(c *Catalog, by *Sending, e *Event, received time.Time) Judged {
	out := Judged{Record: Record{LearnerID: by.LearnerID, Type: RecordEvent, Event: *e, PayloadHash: payloadHash(e)}, Sent: e, By: by}
	if out.Refusal = malformed(e); out.Refusal == nil {
		out.Refusal = forbidden(by.LearnerID, by.Actor, e)
	}
	if out.Refusal == nil {
		out.Refusal = out.Settle(c, received)
	}
	return out
}

// Settle gives the record the times and the version that it has when it is received then, and
// returns why it is refused; nil: it is not. What is received later than it was judged is settled
// again, so that nothing happens in our future, nor before it is stored.
func (j *Judged) Settle(c *Catalog, received time.Time) *Result {
	r, e := &j.Record, j.Sent
	effective := e.OccurredAt.Add(j.By.Skew)
	switch first := time.UnixMicro(1).UTC(); {
	case effective.After(received):
		effective = received
	case effective.Before(first): // times are positive numbers: by a correction of decades, too
		effective = first
	}
	if e.Verb != Voided {
		v, bad := resolve(c, e, effective)
		if bad != nil {
			return bad
		}
		r.Event.ModuleVersion = v.Number
		if !j.By.Actor.Admin && effective.Before(v.PublishTime) {
			effective = v.PublishTime
		}
	}
	r.ReceivedAt, r.EffectiveAt, r.ActorID = received, effective, j.By.Actor.ID
	r.Adjusted = effective.Sub(e.OccurredAt).Abs() > clockTolerance
	return nil
}

// malformed names every field of the event that cannot be right by itself.
func malformed(e *Event) *Result {
	faults := slices.Concat(malformedTexts(e), malformedValues(e), malformedTarget(e))
	if len(faults) == 0 {
		return nil
	}
	return Reject(e, errs.ReasonMalformed, "%s", strings.Join(faults, "; "))
}

func malformedTexts(e *Event) []string {
	var found errs.Violations
	for _, t := range []struct {
		name, text string
		most       int
	}{
		{"moduleId", e.ModuleID, maxIDLen},
		{"unitId", e.UnitID, maxIDLen},
		{"deviceId", e.DeviceID, maxIDLen},
		{"reason", e.Reason, maxReasonLen},
		{"voidsEventId", e.VoidsEventID, maxIDLen},
		{"timeZone", e.TimeZone, maxIDLen},
	} {
		found.Encoding(t.name, t.text)
		if len(t.text) > t.most {
			found.Addf(t.name, errs.ReasonTooLong, "must have at most %d bytes, not %d", t.most, len(t.text))
		}
	}
	faults := make([]string, len(found))
	for i, f := range found {
		faults[i] = f.Field + " " + f.Description
	}
	return faults
}

func malformedValues(e *Event) []string {
	var faults []string
	switch e.Verb {
	case Initialized, Progressed, Completed, Passed, Failed, Waived, Voided:
	default:
		faults = append(faults, "verb must be one of INITIALIZED, PROGRESSED, COMPLETED, PASSED, FAILED, WAIVED, VOIDED")
	}
	switch {
	case e.OccurredAt.IsZero():
		faults = append(faults, "occurredAt is missing: send the device's clock as an RFC 3339 time")
	case !e.OccurredAt.After(time.Unix(0, 0)) || e.OccurredAt.Year() > 9999:
		faults = append(faults, "occurredAt must be after 1970-01-01T00:00:00Z and before the year 10000")
	}
	if e.TimeZone != "" && !zone.Known(e.TimeZone) {
		faults = append(faults, "timeZone must be an IANA name such as Europe/Berlin")
	}
	if e.ModuleVersion < 0 {
		faults = append(faults, "moduleVersion must be 1 or more, or absent")
	}
	if !isShare(e.Score) {
		faults = append(faults, "score must be a number from 0 to 1")
	}
	if !isShare(e.Progress) {
		faults = append(faults, "progress must be a number from 0 to 1")
	}
	return faults
}

// malformedTarget checks what an event is about: an event to void, or a module and unit.
func malformedTarget(e *Event) []string {
	var faults []string
	if e.Verb == Voided {
		if _, err := uuid.Parse(e.VoidsEventID); err != nil {
			faults = append(faults, "voidsEventId must be the UUID of the event to void")
		}
		return faults
	}
	if e.VoidsEventID != "" {
		faults = append(faults, "voidsEventId goes with verb VOIDED only")
	}
	if e.ModuleID == "" {
		faults = append(faults, "moduleId is missing")
	}
	if e.UnitID == "" && e.Verb != Waived {
		faults = append(faults, "unitId is missing: only WAIVED may be about a whole module")
	}
	return faults
}

func isShare(f *float64) bool {
	return f == nil || (!math.IsNaN(*f) && *f >= 0 && *f <= 1)
}

// forbidden applies the rule of who may send what.
func forbidden(learnerID string, actor Actor, e *Event) *Result {
	own := actor.LearnerID == learnerID
	if own && e.Verb != Waived && e.Verb != Voided {
		return nil
	}
	switch {
	case own:
		return Reject(e, errs.ReasonForbiddenVerb, "nobody may send %s about themselves: ask an admin", e.Verb)
	case !actor.Admin:
		return Reject(e, errs.ReasonForbiddenVerb, "only an admin may send events about somebody else")
	case strings.TrimSpace(e.Reason) == "":
		return Reject(e, errs.ReasonForbiddenVerb, "an admin's event needs a reason")
	}
	return nil
}

// resolve finds the version that the event is about, resolving an absent one, and checks unit and score.
func resolve(c *Catalog, e *Event, at time.Time) (*ModuleVersion, *Result) {
	m := c.Modules[e.ModuleID]
	if m == nil {
		return nil, Reject(e, errs.ReasonUnknownModule, "there is no module %q", e.ModuleID)
	}
	v := m.Version(e.ModuleVersion)
	switch {
	case e.ModuleVersion == 0:
		if v = m.versionAt(at, e.UnitID); v == nil {
			return nil, Reject(e, errs.ReasonUnknownUnit, "module %s has no unit %q in any version", m.ID, e.UnitID)
		}
	case v == nil:
		return nil, Reject(e, errs.ReasonUnknownVersion, "module %s has no version %d; its newest is %d", m.ID, e.ModuleVersion, m.Newest().Number)
	case e.UnitID != "" && v.Unit(e.UnitID) == nil:
		return nil, Reject(e, errs.ReasonUnknownUnit, "module %s has no unit %q in version %d", m.ID, e.UnitID, v.Number)
	}
	if bad := contradictory(e, v); bad != nil {
		return nil, bad
	}
	return v, nil
}

// contradictory refuses a result whose score says the opposite. Without a score, the verb is believed.
func contradictory(e *Event, v *ModuleVersion) *Result {
	if e.Score == nil || (e.Verb != Passed && e.Verb != Failed) {
		return nil
	}
	u := v.Unit(e.UnitID)
	switch {
	case u.MasteryScore == nil:
	case e.Verb == Passed && *e.Score < *u.MasteryScore:
		return Reject(e, errs.ReasonBelowMasteryScore, "PASSED with score %v, but unit %s of version %d asks for %v: send FAILED",
			*e.Score, u.ID, v.Number, *u.MasteryScore)
	case e.Verb == Failed && *e.Score >= *u.MasteryScore:
		return Reject(e, errs.ReasonMasteryScoreReached, "FAILED with score %v, but unit %s of version %d is passed from %v: send PASSED",
			*e.Score, u.ID, v.Number, *u.MasteryScore)
	}
	return nil
}

// payloadHash is the SHA-256 of the event as it was sent, before anything was resolved.
func payloadHash(e *Event) [32]byte {
	b := make([]byte, 0, 256)
	for _, s := range []string{e.ModuleID, e.UnitID, string(e.Verb), e.DeviceID, e.Reason, e.VoidsEventID} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendVarint(b, int64(e.ModuleVersion))
	b = binary.AppendVarint(b, e.OccurredAt.UnixMicro())
	b = appendShare(appendShare(b, e.Score), e.Progress)
	if e.TimeZone != "" { // what was stored before events could say it has the same hash as ever
		b = append(append(b, 2), e.TimeZone...)
	}
	return sha256.Sum256(b)
}

func appendShare(b []byte, f *float64) []byte {
	if f == nil {
		return append(b, 0)
	}
	return binary.BigEndian.AppendUint64(append(b, 1), math.Float64bits(*f))
}
