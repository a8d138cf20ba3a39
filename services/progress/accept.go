package progress

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/errs"
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

// maxAhead is how far a device's clock may run ahead before our own is taken instead.
const maxAhead = 5 * time.Minute

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
}

// Reject returns the refusal of an event.
func Reject(e *Event, reason, format string, args ...any) *Result {
	return &Result{EventID: e.ID, Status: StatusRejected, Reason: reason, Description: fmt.Sprintf(format, args...)}
}

// Judged is an event with the decision on it.
type Judged struct {
	// Record is the log entry to store. Of an event that is refused it has only what finds a copy of
	// it that was stored before, when the catalog was another one perhaps.
	Record Record
	// Refusal is why the event is not to be stored; nil where it is.
	Refusal *Result
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
// enrollments.
func Judge(c *Catalog, learnerID string, actor Actor, e *Event, received time.Time) Judged {
	r := Record{LearnerID: learnerID, Type: RecordEvent, Event: *e, PayloadHash: payloadHash(e)}
	if bad := malformed(e); bad != nil {
		return Judged{Record: r, Refusal: bad}
	}
	if bad := forbidden(learnerID, actor, e); bad != nil {
		return Judged{Record: r, Refusal: bad}
	}
	effective := e.OccurredAt
	if e.OccurredAt.After(received.Add(maxAhead)) {
		effective = received
	}
	if e.Verb != Voided {
		v, bad := resolve(c, e, effective)
		if bad != nil {
			return Judged{Record: r, Refusal: bad}
		}
		r.Event.ModuleVersion = v.Number
		if !actor.Admin && effective.Before(v.PublishTime) {
			effective = v.PublishTime
		}
	}
	r.ReceivedAt, r.EffectiveAt, r.Adjusted, r.ActorID = received, effective, !effective.Equal(e.OccurredAt), actor.ID
	return Judged{Record: r}
}

// malformed names the first field of the event that cannot be right by itself.
func malformed(e *Event) *Result {
	bad := func(format string, args ...any) *Result { return Reject(e, errs.ReasonMalformed, format, args...) }
	texts := []struct {
		name, text string
		most       int
	}{
		{"moduleId", e.ModuleID, maxIDLen},
		{"unitId", e.UnitID, maxIDLen},
		{"deviceId", e.DeviceID, maxIDLen},
		{"reason", e.Reason, maxReasonLen},
		{"voidsEventId", e.VoidsEventID, maxIDLen},
	}
	for _, t := range texts {
		if len(t.text) > t.most {
			return bad("%s is longer than %d bytes", t.name, t.most)
		}
		if !utf8.ValidString(t.text) || hasNUL(t.text) {
			return bad("%s holds a NUL or is not UTF-8", t.name)
		}
	}
	switch e.Verb {
	case Initialized, Progressed, Completed, Passed, Failed, Waived, Voided:
	default:
		return bad("verb must be one of INITIALIZED, PROGRESSED, COMPLETED, PASSED, FAILED, WAIVED, VOIDED")
	}
	if e.OccurredAt.IsZero() {
		return bad("occurredAt is missing: send the device's clock as an RFC 3339 time")
	}
	if !e.OccurredAt.After(time.Unix(0, 0)) || e.OccurredAt.Year() > 9999 {
		return bad("occurredAt must be after 1970-01-01T00:00:00Z and before the year 10000")
	}
	if e.ModuleVersion < 0 {
		return bad("moduleVersion must be 1 or more, or absent")
	}
	if !isShare(e.Score) {
		return bad("score must be a number from 0 to 1")
	}
	if !isShare(e.Progress) {
		return bad("progress must be a number from 0 to 1")
	}
	return malformedTarget(e)
}

// malformedTarget checks what an event is about: an event to void, or a module and unit.
func malformedTarget(e *Event) *Result {
	if e.Verb == Voided {
		if _, err := uuid.Parse(e.VoidsEventID); err != nil {
			return Reject(e, errs.ReasonMalformed, "voidsEventId must be the UUID of the event to void")
		}
		return nil
	}
	if e.VoidsEventID != "" {
		return Reject(e, errs.ReasonMalformed, "voidsEventId goes with verb VOIDED only")
	}
	if e.ModuleID == "" {
		return Reject(e, errs.ReasonMalformed, "moduleId is missing")
	}
	if e.UnitID == "" && e.Verb != Waived {
		return Reject(e, errs.ReasonMalformed, "unitId is missing: only WAIVED may be about a whole module")
	}
	return nil
}

func isShare(f *float64) bool {
	return f == nil || (!math.IsNaN(*f) && *f >= 0 && *f <= 1)
}

func hasNUL(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return true
		}
	}
	return false
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
	return sha256.Sum256(b)
}

func appendShare(b []byte, f *float64) []byte {
	if f == nil {
		return append(b, 0)
	}
	return binary.BigEndian.AppendUint64(append(b, 1), math.Float64bits(*f))
}
