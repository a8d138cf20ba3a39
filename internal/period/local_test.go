package period_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/period"
)

// at resolves a local time that is written without an offset.
func at(t failer, local string, loc *time.Location) time.Time {
	t.Helper()
	return atWall(mustTime(t, local+"Z"), loc)
}

// atWall resolves the date and time of day that wall has in its own zone.
func atWall(wall time.Time, loc *time.Location) time.Time {
	year, month, dom := wall.Date()
	hour, minute, sec := wall.Clock()
	return period.At(year, month, dom, hour, minute, sec, wall.Nanosecond(), loc)
}

func TestAt(t *testing.T) {
	for _, c := range []struct{ zone, local, want string }{
		{"UTC", "2025-03-09T02:30:00", "2025-03-09T02:30:00Z"},
		{"America/New_York", "2025-03-08T02:30:00", "2025-03-08T07:30:00Z"},
		// Clocks go forward: 02:00 is 03:00.
		{"America/New_York", "2025-03-09T01:59:59.999999", "2025-03-09T06:59:59.999999Z"},
		{"America/New_York", "2025-03-09T02:00:00", "2025-03-09T07:00:00Z"},
		{"America/New_York", "2025-03-09T02:59:59.999999", "2025-03-09T07:00:00Z"},
		{"America/New_York", "2025-03-09T03:00:00", "2025-03-09T07:00:00Z"},
		{"America/New_York", "2025-03-09T03:30:00", "2025-03-09T07:30:00Z"},
		// Clocks go back: 02:00 is 01:00 once more.
		{"America/New_York", "2025-11-02T00:59:59", "2025-11-02T04:59:59Z"},
		{"America/New_York", "2025-11-02T01:00:00", "2025-11-02T05:00:00Z"},
		{"America/New_York", "2025-11-02T01:59:59", "2025-11-02T05:59:59Z"},
		{"America/New_York", "2025-11-02T02:00:00", "2025-11-02T07:00:00Z"},
		// The last day of leap years, and the first after it, where clocks change by a yearly rule.
		{"America/New_York", "2028-12-31T12:00:00", "2028-12-31T17:00:00Z"},
		{"Australia/Sydney", "2028-12-31T12:00:00", "2028-12-31T01:00:00Z"},
		{"Australia/Sydney", "2029-01-01T00:00:00", "2028-12-31T13:00:00Z"},
		// East of UTC, by half an hour, by two.
		{"Europe/Berlin", "2025-03-30T02:30:00", "2025-03-30T01:00:00Z"},
		{"Europe/Berlin", "2025-10-26T02:30:00", "2025-10-26T00:30:00Z"},
		{"Australia/Lord_Howe", "2024-10-06T02:15:00", "2024-10-05T15:30:00Z"},
		{"Australia/Lord_Howe", "2024-04-07T01:45:00", "2024-04-06T14:45:00Z"},
		{"Antarctica/Troll", "2024-03-31T02:59:59", "2024-03-31T01:00:00Z"},
		{"Antarctica/Troll", "2024-10-27T01:30:00", "2024-10-26T23:30:00Z"},
		// Zones that skip or repeat midnight.
		{"America/Santiago", "2024-09-08T00:00:00", "2024-09-08T04:00:00Z"},
		{"America/Santiago", "2024-09-08T00:59:59", "2024-09-08T04:00:00Z"},
		{"America/Santiago", "2024-04-06T23:30:00", "2024-04-07T02:30:00Z"},
		{"Asia/Beirut", "2024-03-31T00:00:00", "2024-03-30T22:00:00Z"},
		{"America/Havana", "2025-03-09T00:00:00", "2025-03-09T05:00:00Z"},
		{"America/Havana", "2024-11-03T00:30:00", "2024-11-03T04:30:00Z"},
		// Days that a zone never had, and one that it had twice.
		{"Pacific/Apia", "2011-12-29T23:59:59", "2011-12-30T09:59:59Z"},
		{"Pacific/Apia", "2011-12-30T00:00:00", "2011-12-30T10:00:00Z"},
		{"Pacific/Apia", "2011-12-30T23:59:59", "2011-12-30T10:00:00Z"},
		{"Pacific/Apia", "2011-12-31T00:00:00", "2011-12-30T10:00:00Z"},
		{"Pacific/Kwajalein", "1993-08-21T12:00:00", "1993-08-21T12:00:00Z"},
		{"America/Juneau", "1867-10-18T23:00:00", "1867-10-18T07:57:41Z"},
		// Other offsets for good: Venezuela and North Korea forward, North Korea back.
		{"America/Caracas", "2016-05-01T02:45:00", "2016-05-01T07:00:00Z"},
		{"Asia/Pyongyang", "2018-05-04T23:45:00", "2018-05-04T15:00:00Z"},
		{"Asia/Pyongyang", "2015-08-14T23:45:00", "2015-08-14T14:45:00Z"},
		{"Asia/Kathmandu", "1986-01-01T00:10:00", "1985-12-31T18:30:00Z"},
	} {
		if got := at(t, c.local, mustZone(t, c.zone)).UTC().Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%s in %s is %s, want %s", c.local, c.zone, got, c.want)
		}
	}
}

func TestAtNormalizesAndKeepsTheZone(t *testing.T) {
	loc := mustZone(t, "America/New_York")
	got := period.At(2025, 14, -1, 24, 61, 61, -1, loc)
	if want := time.Date(2025, 14, -1, 24, 61, 61, -1, loc); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	for _, offset := range []int{0, 14 * 3600, -(25*3600 + 59*60 + 59), 25*3600 + 59*60 + 59} {
		loc := time.FixedZone("", offset)
		if got, want := at(t, "2025-01-01T00:00:00", loc), time.Date(2025, 1, 1, 0, 0, 0, 0, loc); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// TestAtWhereClocksChangeOften is about zones that no country has had so far: clocks that
// change twice in an hour.
func TestAtWhereClocksChangeOften(t *testing.T) {
	start := mustTime(t, "2025-01-01T00:00:00Z")
	// 00:00 is 01:00, 01:30 is 02:30.
	twice := zoneOf(t, start, map[time.Duration]time.Duration{0: time.Hour, 30 * time.Minute: 2 * time.Hour})
	// 00:00 is 03:00, 03:30 is 00:30: the local time 01:00 was skipped, then comes once.
	forthAndBack := zoneOf(t, start, map[time.Duration]time.Duration{0: 3 * time.Hour, 30 * time.Minute: 0})
	for _, c := range []struct {
		loc         *time.Location
		local, want string
	}{
		{twice, "2024-12-31T23:59:59", "2024-12-31T23:59:59Z"},
		{twice, "2025-01-01T00:30:00", "2025-01-01T00:00:00Z"},
		{twice, "2025-01-01T01:00:00", "2025-01-01T00:00:00Z"},
		{twice, "2025-01-01T01:29:59", "2025-01-01T00:29:59Z"},
		{twice, "2025-01-01T01:30:00", "2025-01-01T00:30:00Z"},
		{twice, "2025-01-01T02:29:59", "2025-01-01T00:30:00Z"},
		{twice, "2025-01-01T02:30:00", "2025-01-01T00:30:00Z"},
		{forthAndBack, "2024-12-31T23:59:59", "2024-12-31T23:59:59Z"},
		{forthAndBack, "2025-01-01T00:15:00", "2025-01-01T00:00:00Z"},
		{forthAndBack, "2025-01-01T03:15:00", "2025-01-01T00:15:00Z"},
		{forthAndBack, "2025-01-01T04:00:00", "2025-01-01T04:00:00Z"},
	} {
		if got := at(t, c.local, c.loc).UTC().Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%s is %s, want %s", c.local, got, c.want)
		}
	}
}

// zoneOf makes a zone that is UTC until start and has the given offsets from so long after it on.
func zoneOf(t *testing.T, start time.Time, offsets map[time.Duration]time.Duration) *time.Location {
	t.Helper()
	type change struct {
		at     int32
		offset int32
	}
	changes := []change{{at: int32(start.Unix()) - 1}}
	for _, after := range []time.Duration{0, 30 * time.Minute} {
		changes = append(changes, change{int32(start.Add(after).Unix()), int32(offsets[after] / time.Second)})
	}
	// RFC 8536, version 1.
	var file bytes.Buffer
	n := uint32(len(changes))
	file.WriteString("TZif")
	file.Write(make([]byte, 16))
	write := func(v any) {
		if err := binary.Write(&file, binary.BigEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	write([]uint32{0, 0, 0, n, n, 4}) // Nothing of UT, standard time, leap seconds; times; types; letters of names.
	for _, c := range changes {
		write(c.at)
	}
	for i := range changes {
		write(uint8(i))
	}
	for _, c := range changes {
		write(c.offset)
		write([]uint8{0, 0})
	}
	file.WriteString("XYZ\x00")
	loc, err := time.LoadLocationFromTZData("Test/Zone", file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// zones draws zones of many kinds.
func zones(r *rapid.T) *time.Location {
	return mustZone(r, rapid.SampledFrom([]string{
		"UTC", "America/New_York", "Europe/Berlin", "Europe/Dublin", "Europe/Lisbon", "Asia/Kathmandu", "Asia/Tehran",
		"America/Santiago", "America/Havana", "America/Caracas", "America/Juneau", "Asia/Beirut", "Asia/Gaza", "Asia/Manila",
		"Asia/Pyongyang", "Africa/Casablanca", "Antarctica/Troll", "Antarctica/Casey", "Australia/Lord_Howe", "Pacific/Apia",
		"Pacific/Kwajalein", "Pacific/Kiritimati",
	}).Draw(r, "zone"))
}

// moments draws moments of three centuries, half of them within hours of a change of the clock.
func moments(r *rapid.T, label string, loc *time.Location) time.Time {
	t := time.Unix(rapid.Int64Range(-4e9, 4e9).Draw(r, label), 0).In(loc)
	if _, end := t.ZoneBounds(); !end.IsZero() && rapid.Bool().Draw(r, "near") {
		t = end.Add(time.Duration(rapid.Int64Range(-5*3600, 5*3600).Draw(r, "off")) * time.Second)
	}
	return t
}

func TestAtProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		loc := zones(r)
		// A local time that a moment has is that moment, or an earlier one of the same local time.
		here := moments(r, "moment", loc)
		first := atWall(here, loc)
		if first.After(here) || first.Format(time.DateTime) != here.Format(time.DateTime) {
			r.Fatalf("%v is resolved as %v", here, first)
		}
		// Any local time: no moment before the resolved one has come to it, and the order stays.
		wall, later := wallOf(moments(r, "one", loc)), wallOf(moments(r, "other", loc))
		if later.Before(wall) {
			wall, later = later, wall
		}
		found := atWall(wall, loc)
		if wallOf(found).Before(wall) || !wallOf(found.Add(-1)).Before(wall) {
			r.Fatalf("%v is resolved as %v", wall, found)
		}
		last := atWall(later, loc)
		if last.Before(found) {
			r.Fatalf("%v is resolved as %v, and %v as %v", wall, found, later, last)
		}
		// A period keeps the order too, where no month clamps it.
		p := mustParse(r, texts(r))
		if found.Day() <= 28 && last.Day() <= 28 && p.AddTo(last, loc).Before(p.AddTo(found, loc)) {
			r.Fatalf("%v + %v is later than %v + the same", found, p, last)
		}
	})
}

// wallOf returns a moment's date and time of day as a moment of UTC.
func wallOf(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}
