package wire

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

const oneEvent = `{"eventId":"0190a1b2-0000-7000-8000-000000000001","moduleId":"hipaa-foundations","moduleVersion":2,"unitId":"phi",` +
	`"verb":"COMPLETED","score":0.9,"occurredAt":"2026-11-20T08:00:00Z","deviceId":"phone-1"}`

// seeds are events written in all kinds of ways.
func seeds() []string {
	with := func(member string) string {
		return `{"eventId":"0190a1b2-0000-7000-8000-000000000001",` + member + `}`
	}
	return []string{
		oneEvent, `{}`, `null`, `5`, with(`"score":0`), with(`"score":-0.0`), with(`"score":1e-3`), with(`"score":00`), with(`"score":1.`), with(`"score": 1 `),
		with(`"score":"0.5"`), with(`"score":null`), with(`"score":0.30000000000000004`), with(`"moduleVersion":0`), with(`"moduleVersion":"3"`),
		with(`"moduleVersion":2147483648`), with(`"moduleVersion":3.0`), with(`"verb":3`), with(`"verb":"VERB_UNSPECIFIED"`), with(`"unit_id":"x"`),
		with(`"unitId":"a\tb\u00fc"`), with(`"unitId":"ü"`), with("\"unitId\":\"a\tb\""), with(`"occurredAt":"2026-11-20T08:00:00,5Z"`),
		with(`"occurredAt":"2026-11-20T08:00:00.123456789Z"`), with(`"occurredAt":"2026-11-20T24:00:00Z"`), with(`"occurredAt":"0000-12-31T23:59:59Z"`),
		with(`"occurredAt":"2026-11-20T08:00:00-23:59"`), with(`"occurredAt":"2026-02-30T08:00:00Z"`), with(`"occurredAt":"2026-11-20t08:00:00z"`),
		with(`"eventId":"twice"`), with(`"timeZone":"Europe/Berlin"`), with(`"reason":"NaN"`), ` { "eventId" : "x" , "verb" : "PASSED" } `, `{"eventId":"x"`, `{"eventId"}`, `{"eventId":"x",}`,
	}
}

// TestEventsAreReadAsProtojsonReadsThem checks that an event is read as protojson reads it.
func TestEventsAreReadAsProtojsonReadsThem(t *testing.T) {
	for _, text := range seeds() {
		compareReaders(t, []byte(text))
	}
}

func FuzzEvent(f *testing.F) {
	for _, text := range seeds() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { compareReaders(t, text) })
}

// compareReaders reads an event both ways. readEvent also refuses what protojson takes and no
// database does, and unknown verbs.
func compareReaders(t *testing.T, text []byte) {
	t.Helper()
	if !validText(text) || !json.Valid(text) {
		return
	}
	want := &progressv1.ProgressEvent{}
	wantErr := byProtojson(text, want)
	got, faults := readEvent(text)
	switch {
	case wantErr != nil && faults == nil:
		t.Fatalf("%s\nread as %v, protojson: %v", text, got, wantErr)
	case faults == nil && !proto.Equal(got, want):
		t.Fatalf("%s\nread as %v, protojson %v", text, got, want)
	case wantErr == nil && faults != nil && sound(want.ProtoReflect()) && progressv1.ProgressEvent_Verb_name[int32(want.GetVerb())] != "":
		t.Fatalf("%s\n%q, protojson reads it", text, faults)
	}
}

// byProtojson reads a text with protojson, and if need be with times in upper case.
func byProtojson(text []byte, into proto.Message) error {
	err := protojson.Unmarshal(text, into)
	if err != nil && json.Valid(text) {
		return protojson.Unmarshal(withUpperTimes(text, into.ProtoReflect().Descriptor()), into)
	}
	return err
}

func validText(text []byte) bool { return strings.ToValidUTF8(string(text), "") == string(text) }

// FuzzBatch holds the reader of a body to encoding/json: it takes what is JSON of
// the right shape, and finds the same elements in it.
func FuzzBatch(f *testing.F) {
	for _, text := range seeds() {
		f.Add([]byte(`{"events":[` + text + `]}`))
		f.Add([]byte(`{"events":[` + text + `,` + oneEvent + `]}`))
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"events":null}`))
	f.Add([]byte("\x00"))
	f.Add([]byte("{}\x00"))
	f.Add([]byte(`{"events":[[],{},"]",{"a":"}"}]} `))
	f.Add([]byte(`{"ev\u0065nts":[]}`))
	f.Add([]byte(`{"sentAt":"2026-11-20T09:00:00Z","events":[` + oneEvent + `]}`))
	f.Add([]byte(`{"events":[],"sent_at":"x","sentAt":{}}`))
	f.Add([]byte(`{"include":"PROGRESS","events":[` + oneEvent + `]}`))
	f.Add([]byte(`{"include":{"events":[]},"events":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := ReadBatch(body)
		var shape struct {
			Events []json.RawMessage `json:"events"`
		}
		jsonErr := json.Unmarshal(body, &shape)
		if err != nil {
			return
		}
		if len(strings.TrimSpace(string(body))) == 0 {
			return
		}
		if jsonErr != nil || !validText(body) {
			t.Fatalf("%q was taken; encoding/json: %v", body, jsonErr)
		}
		if got.size != len(shape.Events) || got.size != len(got.Events)+len(got.rejected) {
			t.Fatalf("%q: size %d, %d read, %d rejected; encoding/json has %d", body, got.size, len(got.Events), len(got.rejected), len(shape.Events))
		}
		next := 0
		for i, raw := range shape.Events {
			want := &progressv1.ProgressEvent{}
			err := byProtojson(raw, want)
			if got.rejected[i] != nil {
				continue
			}
			if err != nil || !proto.Equal(got.Events[next], want) {
				t.Fatalf("%s\nread as %v, protojson %v %v", raw, got.Events[next], want, err)
			}
			next++
		}
	})
}

// FuzzDiagnose looks for bodies that protojson refuses and nothing is found wrong
// with, and for panics.
func FuzzDiagnose(f *testing.F) {
	for _, text := range seeds() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		event := &progressv1.ProgressEvent{}
		found := Diagnose(text, event.ProtoReflect().Descriptor())
		if err := Unmarshal(text, event); (err == nil) != (found.Len() == 0) {
			t.Fatalf("%q: %v, but %v", text, err, found)
		}
	})
}
