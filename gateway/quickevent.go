package gateway

import (
	"encoding/json"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

func isJSON(text []byte) bool { return len(text) > 0 && json.Valid(text) }

// The members of an event, as bits of those seen.
const (
	seenEventID = 1 << iota
	seenModuleID
	seenModuleVersion
	seenUnitID
	seenVerb
	seenScore
	seenProgress
	seenOccurredAt
	seenDeviceID
	seenReason
	seenVoidsEventID
)

// quickEvent reads an event as clients write it: members by their JSON names, each
// once, strings without escapes, numbers as numbers. Anything else gives nil and
// leaves the scanner anywhere, for a slower reader to begin anew. What it does
// read, it reads as protojson would.
func (b *batchReader) quickEvent() *progressv1.ProgressEvent {
	if !b.take('{') {
		return nil
	}
	event := &progressv1.ProgressEvent{}
	for seen := 0; ; {
		name, ok := b.quickString()
		if !ok || !b.take(':') {
			return nil
		}
		bit, ok := b.quickMember(event, name)
		if !ok || seen&bit != 0 {
			return nil
		}
		seen |= bit
		if b.take('}') {
			return event
		}
		if !b.take(',') {
			return nil
		}
	}
}

func (b *batchReader) quickMember(event *progressv1.ProgressEvent, name []byte) (bit int, ok bool) {
	switch string(name) { // compiled without a copy
	case "eventId":
		return seenEventID, b.quickText(&event.EventId)
	case "moduleId":
		return seenModuleID, b.quickText(&event.ModuleId)
	case "moduleVersion":
		return seenModuleVersion, b.quickInt(&event.ModuleVersion)
	case "unitId":
		return seenUnitID, b.quickText(&event.UnitId)
	case "verb":
		return seenVerb, b.quickVerb(&event.Verb)
	case "score":
		return seenScore, b.quickNumber(&event.Score)
	case "progress":
		return seenProgress, b.quickNumber(&event.Progress)
	case "occurredAt":
		return seenOccurredAt, b.quickTime(&event.OccurredAt)
	case "deviceId":
		return seenDeviceID, b.quickText(&event.DeviceId)
	case "reason":
		return seenReason, b.quickText(&event.Reason)
	case "voidsEventId":
		return seenVoidsEventID, b.quickText(&event.VoidsEventId)
	}
	return 0, false
}

// quickString reads a string that is written as it is meant. The body is known to
// be UTF-8.
func (b *batchReader) quickString() ([]byte, bool) {
	if !b.take('"') {
		return nil, false
	}
	start := b.pos
	for b.pos < len(b.data) {
		switch c := b.data[b.pos]; {
		case c == '"':
			b.pos++
			return b.data[start : b.pos-1], true
		case c < ' ' || c == '\\':
			return nil, false
		}
		b.pos++
	}
	return nil, false
}

func (b *batchReader) quickText(into *string) bool {
	text, ok := b.quickString()
	*into = string(text)
	return ok
}

func (b *batchReader) quickVerb(into *progressv1.ProgressEvent_Verb) bool {
	text, ok := b.quickString()
	if !ok {
		return false
	}
	number, ok := progressv1.ProgressEvent_Verb_value[string(text)]
	*into = progressv1.ProgressEvent_Verb(number)
	return ok
}

// quickInt reads a whole number of at most nine digits.
func (b *batchReader) quickInt(into *int32) bool {
	text := b.quickDigits()
	if len(text) == 0 || len(text) > 9 || text[0] == '0' && len(text) > 1 {
		return false
	}
	for _, c := range text {
		*into = *into*10 + int32(c-'0')
	}
	return b.ends()
}

func (b *batchReader) quickDigits() []byte {
	b.space()
	start := b.pos
	for b.pos < len(b.data) && '0' <= b.data[b.pos] && b.data[b.pos] <= '9' {
		b.pos++
	}
	return b.data[start:b.pos]
}

// ends tells whether the value just read is all of it.
func (b *batchReader) ends() bool {
	c := b.space()
	return c == ',' || c == '}'
}

// quickNumber reads a number that is not negative and has no exponent.
func (b *batchReader) quickNumber(into **float64) bool {
	whole := b.quickDigits()
	start := b.pos - len(whole)
	if len(whole) == 0 || whole[0] == '0' && len(whole) > 1 {
		return false
	}
	if b.pos < len(b.data) && b.data[b.pos] == '.' {
		b.pos++
		before := b.pos
		if b.pos < len(b.data) && b.data[b.pos] > ' ' {
			b.quickDigits()
		}
		if b.pos == before {
			return false
		}
	}
	f, err := strconv.ParseFloat(string(b.data[start:b.pos]), 64)
	*into = &f
	return err == nil && b.ends()
}

// quickTime reads RFC 3339 as protojson does: at most nine digits of a second, and
// any offset.
func (b *batchReader) quickTime(into **timestamppb.Timestamp) bool {
	text, ok := b.quickString()
	const shortest, longest = len("2006-01-02T15:04:05Z"), len("2006-01-02T15:04:05.999999999Z")
	if !ok || len(text) < shortest || len(text) > longest || text[len(text)-1] != 'Z' || text[shortest-1] != 'Z' && text[shortest-1] != '.' {
		return false // another form, or an offset: for protojson
	}
	t, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil || t.Year() < 1 {
		return false
	}
	*into = &timestamppb.Timestamp{Seconds: t.Unix(), Nanos: int32(t.Nanosecond())}
	return true
}
