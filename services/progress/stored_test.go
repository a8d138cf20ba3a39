package progress_test

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/tagged"
	"github.com/preceptor-dev/preceptor/services/progress"
)

const (
	storedLearner = "0199a1b2-8d4e-7f50-9b6c-0123456789af"
	storedEvent   = "0199a1b2-8d4e-4f50-9b6c-aaaaaaaaaaaa"
)

// storedAt is when all that is stored here happened, about.
var storedAt = time.Date(2026, 11, 20, 8, 30, 15, 123456000, time.UTC)

// midwayFacts are facts as they mostly are: some units of a module are done.
func midwayFacts() *progress.Facts {
	at := storedAt.UnixMicro()
	f := &progress.Facts{
		Key: "r2;", LastAt: at, LastOccurred: at - 2_345_678, LastID: storedEvent, Zone: "Europe/Berlin", FirstAt: at - 86_400_000_000, Days: []int{20_776, 20_777},
		Resume: &progress.Resume{UnitID: "minimum-necessary", OccurredAt: at - 2_345_678, At: at, EventID: storedEvent},
		Cycles: []progress.CycleFacts{{Number: 1, Opening: progress.OpenedFirst, BeginAt: at - 86_400_000_000, Versions: []int{1}}},
	}
	for i, id := range []string{"phi", "privacy-rule", "minimum-necessary", "check"} {
		f.Cycles[0].Units = append(f.Cycles[0].Units, progress.UnitFacts{UnitID: id, CompletedAt: at - int64(4-i)*3_600_123_456, Versions: []int{1}})
	}
	f.Cycles[0].Units[3].Score, f.Cycles[0].Units[3].Attempts = new(0.85), 2
	return f
}

// fullFacts have every field.
func fullFacts() *progress.Facts {
	f := midwayFacts()
	c := &f.Cycles[0]
	c.CompleteAt, c.CompleteVersion, c.Zone, c.ExpireAt, c.WindowAt = f.LastAt, 2, "Asia/Tokyo", f.LastAt+9, f.LastAt+8
	c.Chain, c.WaivedAt, c.FellFrom, c.FellTo, c.FirstVersion = &progress.Chain{At: 7, Zone: "UTC"}, 5, 80, 2, 2
	c.Units[0] = progress.UnitFacts{
		UnitID: "u", Era: 3, CompletedAt: 1, PassedAt: 2, WaivedAt: 3, Score: new(0.0), Progress: new(1.0), Attempts: 1, Versions: []int{1, 2, 9},
	}
	f.Cycles = append(f.Cycles, progress.CycleFacts{Number: 2, Opening: progress.OpenedMaterial}, progress.CycleFacts{Number: 3, Opening: "010609415454454d505445441a08414e5357455245443e0673797374656d4a00"})
	f.Aside = &progress.CycleFacts{Number: 4, Opening: progress.OpenedRenewal, BeginAt: -1, Units: []progress.UnitFacts{{}}}
	f.Resume.Progress, f.VoidedFrom = new(0.25), new(0)
	return f
}

// liveEvent is a record as they mostly are.
func liveEvent() progress.Record {
	return progress.Record{
		LearnerID: storedLearner, Sequence: 7, Type: progress.RecordEvent, PayloadHash: [32]byte{0: 1, 31: 2}, ReceivedAt: storedAt, EffectiveAt: storedAt.Add(-time.Second),
		ActorID: storedLearner, Zone: "Europe/Berlin",
		Event: progress.Event{
			ID: storedEvent, ModuleID: "hipaa-privacy-basics", ModuleVersion: 3, UnitID: "phi", Verb: progress.Completed, OccurredAt: storedAt.Add(-2 * time.Second),
			DeviceID: "phone-1",
		},
	}
}

// fullEvent has every field of an event's record.
func fullEvent() progress.Record {
	r := liveEvent()
	r.Adjusted, r.ActorID, r.Reason = true, "somebody", "why"
	r.EffectiveAt, r.Event.OccurredAt = time.UnixMicro(0).UTC(), time.UnixMicro(0).UTC()
	e := &r.Event
	e.Verb, e.Score, e.Progress, e.TimeZone, e.Reason, e.VoidsEventID = progress.Voided, new(0.1), new(0.0), "UTC", "it's 100 %", storedLearner
	r.Effects = &progress.Effects{
		Enrollments: []progress.Enrollment{
			{
				ID: storedEvent, LearnerID: storedLearner, PathID: "p", PathVersion: 2, State: progress.EnrollmentPaused, EnrollTime: storedAt, UpdateTime: storedAt.Add(1000),
				PreviousPercent: new(0), PercentChange: &progress.PercentChange{Code: progress.ChangeMaterial, PathVersion: 1, ModuleID: "m", ModuleVersion: 2},
			},
			{LearnerID: storedLearner},
		},
		Awards: []progress.Award{
			{
				ID: storedEvent, Number: 2, LearnerID: storedLearner, PathID: "p", PathVersion: 3, MilestoneID: "m", Title: "T", AwardTime: storedAt,
				Completions: []progress.Completion{{ModuleID: "a", Version: 1, Cycle: 2, CompleteTime: storedAt}, {}},
				Rule: progress.Milestone{
					ID: "m", Title: "T", Groups: []progress.Group{{ModuleIDs: []string{"a", "b"}, RequiredCount: new(0)}, {}},
				},
				FromSequence: 1, ToSequence: 7, RevokeTime: storedAt, RevokeReason: "forged", Revocations: 1, RevokedAt: 6, Rules: 2,
			},
			{LearnerID: storedLearner},
		},
		PercentBefore: new(0),
	}
	return r
}

// laterRecord is of a type and a verb that nothing here knows.
func laterRecord() progress.Record {
	return progress.Record{
		LearnerID: storedLearner, Type: "ATTEMPTED", ReceivedAt: storedAt, EffectiveAt: storedAt, ActorID: progress.SystemActor, Event: progress.Event{Verb: "ANSWERED"},
		Effects: &progress.Effects{},
	}
}

// columnsOf is a record as its columns have it, without what is in its entry.
func columnsOf(r *progress.Record) progress.Record {
	return progress.Record{
		LearnerID: r.LearnerID, Sequence: r.Sequence, ReceivedAt: r.ReceivedAt,
		Event: progress.Event{ID: r.Event.ID, ModuleID: r.Event.ModuleID, VoidsEventID: r.Event.VoidsEventID},
	}
}

func TestEntriesComeBack(t *testing.T) {
	t.Parallel()
	records := []progress.Record{liveEvent(), fullEvent(), laterRecord()}
	for _, kind := range []progress.RecordType{
		progress.RecordEnrolled, progress.RecordEnrollmentChanged, progress.RecordUpgraded, progress.RecordAwarded, progress.RecordRevoked, progress.RecordReinstated,
	} {
		r := laterRecord()
		r.Type, r.Event.Verb = kind, ""
		records = append(records, r)
	}
	for _, verb := range []progress.Verb{progress.Initialized, progress.Progressed, progress.Passed, progress.Failed, progress.Waived} {
		r := liveEvent()
		r.Event.Verb = verb
		records = append(records, r)
	}
	for _, want := range records {
		got := columnsOf(&want)
		if err := progress.DecodeEntry(string(progress.AppendEntry(nil, &want)), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
}

func TestFactsComeBack(t *testing.T) {
	t.Parallel()
	for _, want := range []*progress.Facts{{}, midwayFacts(), fullFacts()} {
		got, err := progress.DecodeFacts(string(progress.AppendFacts(nil, want)))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
}

// The bytes of format 1 are in databases: they are read for ever, and what reads them writes the same.
func TestStoredBytes(t *testing.T) {
	t.Parallel()
	event, later := liveEvent(), laterRecord()
	for name, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"facts": {progress.AppendFacts(nil, midwayFacts()), "01060372323b0880d8e0daa1acb0060c9bab9e02130199a1b28d4e4f509b6caaaaaaaaaaaa160d4575726f70652f4265726c696e18ffffbadd83051e7704020a01460cffffbadd83052e01" +
			"02320f06037068690c809c8ab898042601023218060c707269766163792d72756c650c80b5b6a1b304260102321d06116d696e696d756d2d6e65636573736172790c80cee28ace04260102" +
			"321c0605636865636b0c80e78ef4e80419333333333333eb3f2004260102262b06116d696e696d756d2d6e65636573736172790c9bab9e021000170199a1b28d4e4f509b6caaaaaaaaaaaa" +
			"2a04d0c40202"},
		"event": {progress.AppendEntry(nil, &event), "010880897a0e200100000000000000000000000000000000000000000000000000000000000002100616037068691a01432480897a2e0d4575726f70652f4265726c696e320770686f6e65" +
			"2d313802"},
		"later": {progress.AppendEntry(nil, &later), "010609415454454d505445441a08414e5357455245443e0673797374656d4a00"},
	} {
		if got := hex.EncodeToString(c.bytes); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// What a later program adds, this one passes over.
func TestLaterFieldsArePassedOver(t *testing.T) {
	t.Parallel()
	f, want := progress.AppendFacts(nil, midwayFacts()), liveEvent()
	got, err := progress.DecodeFacts(string(tagged.Text(f, 90, "later")))
	if err != nil || !reflect.DeepEqual(got, midwayFacts()) {
		t.Errorf("facts: %+v, %v", got, err)
	}
	record := columnsOf(&want)
	if err := progress.DecodeEntry(string(tagged.ID(progress.AppendEntry(nil, &want), 90, storedEvent)), &record); err != nil || !reflect.DeepEqual(record, want) {
		t.Errorf("entry: %+v, %v", record, err)
	}
}

func TestOtherFormatsAreRefused(t *testing.T) {
	t.Parallel()
	r := fullEvent()
	entry, facts := string(progress.AppendEntry(nil, &r)), string(progress.AppendFacts(nil, fullFacts()))
	for _, change := range []func(string) string{
		func(string) string { return "" },
		func(whole string) string { return "\x02" + whole[1:] },
		func(whole string) string { return whole[:len(whole)-1] },
		func(whole string) string { return whole + "\x04" },
		func(whole string) string { return strings.Repeat("{", len(whole)) },
	} {
		if got, err := progress.DecodeFacts(change(facts)); err == nil {
			t.Errorf("facts: %+v", got)
		}
		got := columnsOf(&r)
		if err := progress.DecodeEntry(change(entry), &got); err == nil {
			t.Errorf("entry: %+v", got)
		}
	}
}

// What is stored is small, and reading it takes few allocations.
func TestStoredSize(t *testing.T) {
	f, r := midwayFacts(), liveEvent()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	state, entry := progress.AppendFacts(nil, f), progress.AppendEntry(nil, &r)
	if len(state) > 250 || len(text) < 600 || len(entry) > 90 {
		t.Errorf("facts of %d bytes, %d as JSON; an entry of %d", len(state), len(text), len(entry))
	}
	room := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { progress.AppendEntry(progress.AppendFacts(room, f), &r) }); n != 0 {
		t.Errorf("%v allocations to append", n)
	}
	stored := string(entry)
	if n := testing.AllocsPerRun(100, func() {
		got := columnsOf(&r)
		_ = progress.DecodeEntry(stored, &got)
	}); n > 1 {
		t.Errorf("%v allocations to decode an entry", n)
	}
}

func FuzzFacts(f *testing.F) {
	for _, facts := range []*progress.Facts{{}, midwayFacts(), fullFacts()} {
		f.Add(string(progress.AppendFacts(nil, facts)))
	}
	f.Fuzz(func(t *testing.T, stored string) {
		facts, err := progress.DecodeFacts(stored)
		if err != nil {
			return
		}
		once := progress.AppendFacts(nil, facts)
		again, err := progress.DecodeFacts(string(once))
		if err != nil || !slices.Equal(progress.AppendFacts(nil, again), once) || !reflect.DeepEqual(facts, again) {
			t.Errorf("%x reads as %+v, which comes back as %+v, %v", stored, facts, again, err)
		}
	})
}

func FuzzEntry(f *testing.F) {
	for _, r := range []progress.Record{liveEvent(), fullEvent(), laterRecord()} {
		f.Add(string(progress.AppendEntry(nil, &r)))
	}
	f.Fuzz(func(t *testing.T, stored string) {
		columns := liveEvent()
		r, again := columnsOf(&columns), columnsOf(&columns)
		if progress.DecodeEntry(stored, &r) != nil {
			return
		}
		once := progress.AppendEntry(nil, &r)
		err := progress.DecodeEntry(string(once), &again)
		if err != nil || !slices.Equal(progress.AppendEntry(nil, &again), once) || !reflect.DeepEqual(r, again) {
			t.Errorf("%x reads as %+v, which comes back as %+v, %v", stored, r, again, err)
		}
	})
}

func BenchmarkDecodeFacts(b *testing.B) {
	stored := string(progress.AppendFacts(nil, midwayFacts()))
	text, err := json.Marshal(midwayFacts())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("stored", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := progress.DecodeFacts(stored); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := json.Unmarshal(text, new(progress.Facts)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecodeEntry(b *testing.B) {
	r := liveEvent()
	stored := string(progress.AppendEntry(nil, &r))
	b.ReportAllocs()
	for b.Loop() {
		got := columnsOf(&r)
		if err := progress.DecodeEntry(stored, &got); err != nil {
			b.Fatal(err)
		}
	}
}
