package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// maxEvents is the largest number of events in a batch.
const maxEvents = 500

// errTruncated is the error of a body that is not JSON. encoding/json then says what is
// wrong with it.
var errTruncated = errors.New("wire: not JSON")

// Batch is a body of events: those that can be read, and the results of the others by
// their index in the request.
type Batch struct {
	// Events are those that can be read.
	Events []*progressv1.ProgressEvent
	// SentAt is the device's clock when it sent them; nil where it does not say.
	SentAt *timestamppb.Timestamp
	// Include is what the answer is to have beside the results.
	Include progressv1.BatchRecordEventsRequest_Include

	size     int
	rejected map[int]*progressv1.EventResult
}

// Merge adds the results of events that cannot be read to the service's, in the order
// of the request.
func (b *Batch) Merge(resp *progressv1.BatchRecordEventsResponse) error {
	if len(resp.GetResults()) != len(b.Events) {
		return errs.New(errs.Internal, errs.ReasonInternal, "%d results for %d events", len(resp.GetResults()), len(b.Events))
	}
	if len(b.rejected) == 0 {
		return nil
	}
	merged, rest := make([]*progressv1.EventResult, 0, b.size), resp.GetResults()
	for i := range b.size {
		if result, ok := b.rejected[i]; ok {
			merged = append(merged, result)
			continue
		}
		merged, rest = append(merged, rest[0]), rest[1:]
	}
	resp.Results = merged
	return nil
}

// ReadBatch reads {"events": […], "sentAt": "…", "include": "…"}. It fails when the whole request is at fault:
// bad JSON, an unknown field, a sentAt that is no time, an include that there is not, too many events, an event without a UUID as its id.
func ReadBatch(body []byte) (*Batch, error) {
	b := &batchReader{scanner: scanner{data: body}}
	if b.done() {
		return &b.Batch, nil
	}
	if !utf8.Valid(body) || b.read() != nil || !b.done() {
		if v := CheckJSON(body); v != nil {
			return nil, errs.InvalidFields([]errs.Violation{*v})
		}
		return nil, errs.InvalidFields([]errs.Violation{{Field: BodyField, Reason: errs.ReasonInvalidType, Description: "must be an object"}})
	}
	if len(b.violations) > 0 {
		return nil, errs.InvalidFields(b.violations)
	}
	return &b.Batch, nil
}

// batchReader reads a body in one pass.
type batchReader struct {
	scanner
	Batch

	violations []errs.Violation
	given      bool // "events" was there
	sent       bool // "sentAt" was there
	included   bool // "include" was there
}

func (b *batchReader) violation(field, reason, description string) {
	b.violations = append(b.violations, errs.Violation{Field: field, Reason: reason, Description: description})
}

// read returns errTruncated if the text is not JSON, or not an object.
func (b *batchReader) read() error {
	if !b.take('{') {
		return errTruncated
	}
	if b.take('}') {
		return nil
	}
	for {
		if b.space() != '"' {
			return errTruncated
		}
		name := b.skip()
		if !json.Valid(name) || !b.take(':') {
			return errTruncated
		}
		if err := b.member(unquote(name)); err != nil {
			return err
		}
		if b.take('}') {
			return nil
		}
		if !b.take(',') {
			return errTruncated
		}
	}
}

func (b *batchReader) member(name string) error {
	if name == "events" && !b.given && b.space() == '[' {
		b.given = true
		return b.list()
	}
	value := b.skip()
	switch {
	case !json.Valid(value):
		return errTruncated
	case name == "sentAt" || name == "sent_at":
		b.sentAt(value)
	case name == "include":
		b.include(value)
	case name != "events":
		b.violation(joinPath("", name), errs.ReasonUnknownField, unknownField(name, []string{"events", "sentAt", "include"}))
	case b.given:
		b.violation("events", errs.ReasonDuplicateField, "is given more than once")
	case string(value) != "null":
		b.violation("events", errs.ReasonInvalidType, "must be a list")
	}
	b.given = b.given || name == "events"
	return nil
}

func (b *batchReader) sentAt(value []byte) {
	at := &timestamppb.Timestamp{}
	switch {
	case b.sent:
		b.violation("sentAt", errs.ReasonDuplicateField, "is given more than once")
	case string(value) == "null":
	case unmarshal(value, at) != nil:
		b.violation("sentAt", wrong(fieldOf("sent_at"), value, ""), expectedTime)
	default:
		b.SentAt = at
	}
	b.sent = true
}

func fieldOf(name protoreflect.Name) protoreflect.FieldDescriptor {
	return new(progressv1.BatchRecordEventsRequest).ProtoReflect().Descriptor().Fields().ByName(name)
}

// include reads the name of what to include, as any other enum is read.
func (b *batchReader) include(value []byte) {
	var req progressv1.BatchRecordEventsRequest
	switch {
	case b.included:
		b.violation("include", errs.ReasonDuplicateField, "is given more than once")
	case unmarshal(fmt.Appendf(nil, `{"include":%s}`, value), &req) != nil:
		field := fieldOf("include")
		b.violation("include", wrong(field, value, ""), Expected(field))
	default:
		b.Include = req.GetInclude()
	}
	b.included = true
}

func (b *batchReader) list() error {
	b.take('[')
	if b.take(']') {
		return nil
	}
	for {
		if err := b.element(); err != nil {
			return err
		}
		b.size++
		if b.take(']') {
			break
		}
		if !b.take(',') {
			return errTruncated
		}
	}
	if b.size > maxEvents {
		b.violation("events", errs.ReasonTooMany, fmt.Sprintf("must have at most %d items, not %d", maxEvents, b.size))
	}
	return nil
}

// element reads one event.
func (b *batchReader) element() error {
	text := b.skip()
	if !json.Valid(text) {
		return errTruncated
	}
	if b.size >= maxEvents {
		return nil // the whole batch is refused
	}
	event, faults := readEvent(text)
	if faults == nil {
		b.accept(event)
		return nil
	}
	if (&scanner{data: text}).space() != '{' {
		b.violation(fmt.Sprintf("events[%d]", b.size), errs.ReasonInvalidType, "must be an object")
		return nil
	}
	id := eventID(text)
	if !isUUID(id) {
		b.noID()
		return nil
	}
	if b.rejected == nil {
		b.rejected = map[int]*progressv1.EventResult{}
	}
	b.rejected[b.size] = &progressv1.EventResult{
		EventId:     id,
		Status:      progressv1.EventResult_REJECTED,
		Reason:      new(errs.ReasonMalformed),
		Description: new(strings.Join(faults, "; ")),
	}
	return nil
}

func (b *batchReader) accept(event *progressv1.ProgressEvent) {
	if !isUUID(event.GetEventId()) {
		b.noID()
		return
	}
	b.Events = append(b.Events, event)
}

func (b *batchReader) noID() {
	b.violation(fmt.Sprintf("events[%d].eventId", b.size), errs.ReasonInvalidUUID, "must be a UUID: it distinguishes a new event from one sent again")
}

// readEvent reads an event from valid JSON, or returns what is wrong with it, field by
// field.
func readEvent(text []byte) (*progressv1.ProgressEvent, []string) {
	event := &progressv1.ProgressEvent{}
	err := Unmarshal(text, event)
	if err == nil {
		if event.GetVerb().Descriptor().Values().ByNumber(event.GetVerb().Number()) != nil {
			return event, nil
		}
		return nil, []string{"verb: must be one of " + rpc.EnumNames(event.GetVerb().Descriptor())}
	}
	var faults []string
	for _, v := range Diagnose(text, event.ProtoReflect().Descriptor()).Named {
		faults = append(faults, v.Field+": "+v.Description)
	}
	if faults == nil {
		faults = []string{PlainText(err.Error())}
	}
	return nil, faults
}

// eventID returns the id of an event that cannot be read, or "".
func eventID(object []byte) string {
	for name, value := range Members(object) {
		if name == "eventId" || name == "event_id" {
			return unquote(value)
		}
	}
	return ""
}

// isUUID reports whether s is a UUID in its usual form, in either case.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}
