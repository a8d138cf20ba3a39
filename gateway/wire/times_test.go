package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// TestTimesInLowerCase: RFC 3339 allows t and z, and other languages' libraries send them.
func TestTimesInLowerCase(t *testing.T) {
	entry := func(event, received string) string {
		return `{"sequence":"1","event":{"deviceId":"2026-11-20t08:00:00z","occurred_at": ` + event + `},"receivedAt":` + received + `,
			"awards":[{"awardTime":` + event + `},{"awardTime":` + received + `}]}`
	}
	for lower, upper := range map[string]string{
		`"2026-11-20t08:00:00z"`: `"2026-11-20T08:00:00Z"`, `"2026-11-20t08:00:00.25z"`: `"2026-11-20T08:00:00.25Z"`,
		`"2026-11-20T08:00:00z"`: `"2026-11-20T08:00:00Z"`, `"2026-11-20t08:00:00+01:00"`: `"2026-11-20T08:00:00+01:00"`,
	} {
		got, want := &progressv1.LogEntry{}, &progressv1.LogEntry{}
		if err := protojson.Unmarshal([]byte(entry(upper, upper)), want); err != nil {
			t.Fatal(err)
		}
		if err := Unmarshal([]byte(entry(lower, upper)), got); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v, %v", lower, got, err)
		}
		if got.GetEvent().GetDeviceId() != "2026-11-20t08:00:00z" {
			t.Errorf("a text was changed to %q", got.GetEvent().GetDeviceId())
		}
		batch, err := ReadBatch([]byte(`{"sentAt":` + lower + `,"events":[` + strings.Replace(oneEvent, `"2026-11-20T08:00:00Z"`, lower, 1) + `]}`))
		if err != nil || len(batch.Events) != 1 || batch.SentAt == nil || batch.Events[0].GetOccurredAt() == nil {
			t.Errorf("%s in a batch: %+v, %v", lower, batch, err)
		}
		// Beside another fault, only that is named.
		found := Diagnose([]byte(`{"occurredAt":`+lower+`,"score":"x"}`), (&progressv1.ProgressEvent{}).ProtoReflect().Descriptor()).Named
		if len(found) != 1 || found[0].Field != "score" {
			t.Errorf("%s: %+v", lower, found)
		}
	}
}

func TestWhatIsNoTimeInAnyCase(t *testing.T) {
	for _, text := range []string{
		`"2026-11-20t08:00:00"`, `"2026-11-20x08:00:00z"`, `"2026-11-20 08:00:00z"`, `"2026-02-30t08:00:00z"`, `"2026-11-20t24:00:00z"`, `"z"`, `""`, `5`, `{}`,
		`["2026-11-20t08:00:00z"]`, `"2026-11-20tt8:00:00zz"`, `"2026-11-20t08:00:00.1234567891z"`,
	} {
		if err := Unmarshal([]byte(`{"occurredAt":`+text+`}`), &progressv1.ProgressEvent{}); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}

// FuzzTimes holds that raising times leaves a text as long and as valid, and what was read before as it was.
func FuzzTimes(f *testing.F) {
	for _, text := range seeds() {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"awards":[{"awardTime":"2026-11-20t08:00:00z"}],"event":{"occurredAt":"2026-11-20t08:00:00z"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) {
			return
		}
		md := (&progressv1.LogEntry{}).ProtoReflect().Descriptor()
		raised := withUpperTimes(text, md)
		if len(raised) != len(text) || !json.Valid(raised) || !bytes.EqualFold(raised, text) {
			t.Fatalf("%s became %s", text, raised)
		}
		was, is := &progressv1.LogEntry{}, &progressv1.LogEntry{}
		if protojson.Unmarshal(text, was) == nil && (protojson.Unmarshal(raised, is) != nil || !proto.Equal(was, is)) {
			t.Fatalf("%s is read otherwise", text)
		}
	})
}
