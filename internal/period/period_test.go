package period_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // The zones that the tables name, wherever the test runs.

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/period"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, canonical string }{
		{"P1Y2M10DT2H30M", "P1Y2M10DT2H30M"},
		{"P2W", "P2W"},
		{"P14D", "P2W"},
		{"P1W1D", "P8D"},
		{"PT15M", "PT15M"},
		{"PT90M", "PT1H30M"},
		{"PT36H", "PT36H"}, // A day is no 24 hours in a calendar.
		{"PT0.5S", "PT0.5S"},
		{"PT1.000000001S", "PT1.000000001S"},
		{"PT1.500S", "PT1.5S"},
		{"P12M", "P1Y"},
		{"P18M", "P1Y6M"},
		{"P1Y", "P1Y"},
		{"P1YT1S", "P1YT1S"},
		{"P007D", "P1W"},
		{"P0D", "PT0S"},
		{"PT0S", "PT0S"},
		{"P100Y", "P100Y"},
		{"P5200W", "P5200W"},
		{"PT876000H", "PT876000H"},
	} {
		p, err := period.Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		if got := p.String(); got != c.canonical {
			t.Errorf("Parse(%q).String() = %q, want %q", c.in, got, c.canonical)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{
		"", "P", "PT", "T1H", "1Y", "P1", "P1YT", "P1H", "PT1D", "PT1Y", "P1M1Y", "P1D1W", "PT1M1H", "P1Y1Y", "PT1S1S",
		"p1y", "P1y", "-P1D", "P-1D", "+P1D", "P+1D", " P1D", "P1D ", "P1 D", "P1.5D", "PT1.5H", "PT1.5M", "PT.5S", "PT1.S", "PT1.2.3S",
		"PT0.1234567890S", "PT1,5S", "P1D\x00", "P１D", "PY", "PTS", "P1DT1H1D", "PT1HT1M", "P1DP1D",
		"P101Y", "P1201M", "P100Y1M", "P100YT0.000000001S", "P99Y13M", "P36525D", "P5218W", "PT876583H",
		"P99999999999999999999Y", "P9223372036854775807Y", "PT9223372036854775807S", "P99Y1200M5000W36000DT800000H", "P" + strings.Repeat("9", 1<<16) + "Y",
	} {
		p, err := period.Parse(in)
		if err == nil {
			t.Errorf("Parse(%.60q) = %v, want an error", in, p)
			continue
		}
		if errs.KindOf(err) != errs.Invalid || errs.ReasonOf(err) != "PERIOD_INVALID" || len(err.Error()) > 200 {
			t.Errorf("Parse(%.60q): kind %v, reason %s, %d bytes", in, errs.KindOf(err), errs.ReasonOf(err), len(err.Error()))
		}
	}
}

func TestAddToAndSubFrom(t *testing.T) {
	for _, c := range []struct{ zone, from, period, want string }{
		{"UTC", "2025-01-31T08:00:00Z", "P1M", "2025-02-28T08:00:00Z"},
		{"UTC", "2024-01-31T08:00:00Z", "P1M", "2024-02-29T08:00:00Z"},
		{"UTC", "2024-02-29T00:00:00Z", "P1Y", "2025-02-28T00:00:00Z"},
		{"UTC", "2024-02-29T00:00:00Z", "P4Y", "2028-02-29T00:00:00Z"},
		{"UTC", "2025-08-31T00:00:00Z", "P6M", "2026-02-28T00:00:00Z"},
		{"UTC", "2024-01-31T00:00:00Z", "P1Y1M", "2025-02-28T00:00:00Z"}, // together, not by way of 2025-01-31 or 2024-02-29
		{"UTC", "2025-01-31T00:00:00Z", "P1M1D", "2025-03-01T00:00:00Z"}, // clamped before the day is added
		{"UTC", "2025-12-31T23:59:59.999999Z", "P2M", "2026-02-28T23:59:59.999999Z"},
		{"UTC", "2025-11-30T00:00:00Z", "P15M", "2027-02-28T00:00:00Z"},
		{"UTC", "2025-01-01T00:00:00Z", "P2W", "2025-01-15T00:00:00Z"},
		{"UTC", "2025-01-01T00:00:00Z", "PT0.5S", "2025-01-01T00:00:00.5Z"},
		{"UTC", "2025-01-01T00:00:00+05:00", "PT0S", "2024-12-31T19:00:00Z"},
		// Clocks go forward on 30 March 2025: a day is 23 hours, 24 hours are more than a day.
		{"Europe/Berlin", "2025-03-29T12:00:00+01:00", "P1D", "2025-03-30T12:00:00+02:00"},
		{"Europe/Berlin", "2025-03-29T12:00:00+01:00", "PT24H", "2025-03-30T13:00:00+02:00"},
		{"Europe/Berlin", "2025-03-29T12:00:00+01:00", "P1DT1H", "2025-03-30T13:00:00+02:00"},
		// 02:30 is skipped on 9 March 2025, and 01:30 comes twice on 2 November 2025.
		{"America/New_York", "2024-03-09T07:30:00Z", "P1Y", "2025-03-09T03:00:00-04:00"},
		{"America/New_York", "2024-03-09T07:30:00Z", "P1YT1H", "2025-03-09T04:00:00-04:00"},
		{"America/New_York", "2024-11-02T01:30:00-04:00", "P1Y", "2025-11-02T01:30:00-04:00"},
		{"America/New_York", "2025-11-01T01:30:00-04:00", "P1DT1H", "2025-11-02T01:30:00-05:00"},
		{"America/New_York", "2025-11-02T01:30:00-05:00", "PT0S", "2025-11-02T01:30:00-05:00"}, // no date, so nothing to resolve
		// Samoa had no 30 December 2011.
		{"Pacific/Apia", "2011-11-30T12:00:00-10:00", "P1M", "2011-12-31T00:00:00+14:00"},
		{"Pacific/Apia", "2011-12-29T12:00:00-10:00", "P2D", "2011-12-31T12:00:00+14:00"},
		// The zone, not UTC, decides which day of the month it is.
		{"Asia/Tokyo", "2025-01-30T20:00:00Z", "P1M", "2025-02-28T05:00:00+09:00"},
		{"America/Los_Angeles", "2025-03-01T02:00:00Z", "P1M", "2025-03-28T18:00:00-07:00"},
	} {
		got := mustParse(t, c.period).AddTo(mustTime(t, c.from), mustZone(t, c.zone))
		if text := got.Format(time.RFC3339Nano); text != c.want {
			t.Errorf("%s + %s in %s = %s, want %s", c.from, c.period, c.zone, text, c.want)
		}
	}
	if got := mustParse(t, "P1Y").SubFrom(mustTime(t, "2026-03-09T06:30:00Z"), mustZone(t, "America/New_York")); !got.Equal(mustTime(t, "2025-03-09T07:00:00Z")) {
		t.Errorf("a year before 02:30 is %s, want the end of the gap", got)
	}
	for _, c := range []struct{ from, period, want string }{
		{"2025-03-31T08:00:00Z", "P1M", "2025-02-28T08:00:00Z"},
		{"2025-02-28T08:00:00Z", "P1M", "2025-01-28T08:00:00Z"},
		{"2024-02-29T08:00:00Z", "P1Y", "2023-02-28T08:00:00Z"},
		{"2025-01-15T00:00:00Z", "P13M", "2023-12-15T00:00:00Z"},
		{"2025-03-31T00:00:00Z", "P1M1D", "2025-02-27T00:00:00Z"},
		{"2025-01-01T00:00:00Z", "P2WT1S", "2024-12-17T23:59:59Z"},
	} {
		got := mustParse(t, c.period).SubFrom(mustTime(t, c.from), time.UTC)
		if text := got.Format(time.RFC3339Nano); text != c.want {
			t.Errorf("%s - %s = %s, want %s", c.from, c.period, text, c.want)
		}
	}
}

func TestDurationAndApprox(t *testing.T) {
	if d, ok := mustParse(t, "P1W2DT3H").Duration(); !ok || d != 9*24*time.Hour+3*time.Hour {
		t.Errorf("P1W2DT3H is %v, %v", d, ok)
	}
	if _, ok := mustParse(t, "P1M").Duration(); ok {
		t.Error("P1M has an exact length")
	}
	rising := []string{"PT0S", "PT0.5S", "PT1H", "P1D", "P4W", "P1M", "P31D", "P365D", "P1Y", "P366D", "P100Y"}
	for i := 1; i < len(rising); i++ {
		if mustParse(t, rising[i-1]).Approx() >= mustParse(t, rising[i]).Approx() {
			t.Errorf("%s is not shorter than %s", rising[i-1], rising[i])
		}
	}
	if !mustParse(t, "P0D").IsZero() || mustParse(t, "PT0.000000001S").IsZero() {
		t.Error("IsZero")
	}
}

func TestShortestAndLongest(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		period            string
		shortest, longest time.Duration
	}{
		{"PT0S", 0, 0},
		{"P1M", 28 * day, 31 * day},
		{"P11M", 308 * day, 341 * day},
		{"P12M", 365 * day, 366 * day},
		{"P14M", (365 + 56) * day, (366 + 62) * day},
		{"P2Y", 730 * day, 732 * day},
		{"P1M2W3DT4H5M6.5S", 45*day + 4*time.Hour + 5*time.Minute + 6500*time.Millisecond, 48*day + 4*time.Hour + 5*time.Minute + 6500*time.Millisecond},
		{"P100Y", 36500 * day, 36600 * day},
	} {
		p := mustParse(t, c.period)
		if p.Shortest() != c.shortest || p.Longest() != c.longest {
			t.Errorf("%s is %v to %v, want %v to %v", c.period, p.Shortest(), p.Longest(), c.shortest, c.longest)
		}
	}
}

func TestWholeYears(t *testing.T) {
	for _, c := range []struct {
		period string
		n      int
		ok     bool
	}{
		{"P1Y", 1, true},
		{"P12M", 1, true},
		{"P1Y24M", 3, true},
		{"P100Y", 100, true},
		{"PT0S", 0, false},
		{"P11M", 0, false},
		{"P13M", 1, false},
		{"P1Y1D", 1, false},
		{"P1YT1S", 1, false},
		{"P365D", 0, false},
		{"P52W", 0, false},
	} {
		if n, ok := mustParse(t, c.period).WholeYears(); ok != c.ok || ok && n != c.n {
			t.Errorf("%s is %d whole years, %v, want %d, %v", c.period, n, ok, c.n, c.ok)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		from, period string
		n            int
		want         string
	}{
		{"2024-01-31T08:00:00Z", "P1M", 0, "2024-01-31T08:00:00Z"},
		{"2024-01-31T08:00:00Z", "P1M", 1, "2024-02-29T08:00:00Z"},
		{"2024-01-31T08:00:00Z", "P1M", 2, "2024-03-31T08:00:00Z"},
		{"2024-01-31T08:00:00Z", "P1M", 3, "2024-04-30T08:00:00Z"},
		{"2020-02-29T00:00:00Z", "P1Y", 1, "2021-02-28T00:00:00Z"},
		{"2020-02-29T00:00:00Z", "P1Y", 4, "2024-02-29T00:00:00Z"},
		{"2020-02-29T00:00:00Z", "P12M", 4, "2024-02-29T00:00:00Z"},
		{"2024-01-30T00:00:00Z", "P1M1DT12H", 2, "2024-04-02T00:00:00Z"}, // 30 March, two days, a day of hours
		{"2024-01-01T00:00:00Z", "P2W", 3, "2024-02-12T00:00:00Z"},
	} {
		got := mustParse(t, c.period).Times(c.n).AddTo(mustTime(t, c.from), time.UTC)
		if text := got.Format(time.RFC3339Nano); text != c.want {
			t.Errorf("%s + %d times %s = %s, want %s", c.from, c.n, c.period, text, c.want)
		}
	}
	if p := mustParse(t, "PT876000H"); p.Times(5).AddTo(mustTime(t, "2024-01-01T00:00:00Z"), time.UTC).Year() < 2300 {
		t.Errorf("5 times %v is %v", p, p.Times(5))
	}
}

func TestTimesIsRepeatedAddition(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p, n := mustParse(r, texts(r)), rapid.IntRange(0, 5).Draw(r, "n")
		var sum period.Period
		for range n {
			next, err := sum.Plus(p)
			if err != nil {
				return // More than a hundred years.
			}
			sum = next
		}
		if got := p.Times(n); got != sum {
			r.Fatalf("%d times %v is %v, want %v", n, p, got, sum)
		}
		if years, ok := p.WholeYears(); ok {
			if got, stays := p.Times(n).WholeYears(); n > 0 && (!stays || got != n*years) {
				r.Fatalf("%d times %v is %v", n, p, p.Times(n))
			}
		}
	})
}

func TestPlus(t *testing.T) {
	sum, err := mustParse(t, "P1M20DT40M").Plus(mustParse(t, "P11M20DT30M"))
	if err != nil || sum != mustParse(t, "P1Y40DT1H10M") {
		t.Errorf("sum %v, %v", sum, err)
	}
	if _, err := mustParse(t, "P60Y").Plus(mustParse(t, "PT400000H")); errs.KindOf(err) != errs.Invalid || err == nil {
		t.Errorf("more than a hundred years: %v", err)
	}
}

func TestJSON(t *testing.T) {
	type policy struct{ Period, Window period.Period }
	var got policy
	if err := json.Unmarshal([]byte(`{"Period":"P12M","Window":"PT36H"}`), &got); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil || string(text) != `{"Period":"P1Y","Window":"PT36H"}` {
		t.Errorf("%s, %v", text, err)
	}
	before := got
	if err := got.Period.UnmarshalText([]byte("soon")); errs.KindOf(err) != errs.Invalid || err == nil || got != before {
		t.Errorf("%v, %v", got, err)
	}
}

// texts draws a text that Parse takes.
func texts(r *rapid.T) string {
	amount := func(letter string, most int) string {
		if !rapid.Bool().Draw(r, letter) {
			return ""
		}
		return rapid.StringMatching(`0{0,2}`).Draw(r, "zeros") + strconv.Itoa(rapid.IntRange(0, most).Draw(r, "n")) + letter
	}
	date := amount("Y", 20) + amount("M", 200) + amount("W", 500) + amount("D", 5000)
	clock := amount("H", 50000) + amount("M", 50000)
	if rapid.Bool().Draw(r, "fraction") {
		clock += strconv.Itoa(rapid.IntRange(0, 50000).Draw(r, "n")) + "." + rapid.StringMatching(`[0-9]{1,9}`).Draw(r, "digits") + "S"
	}
	if clock != "" {
		clock = "T" + clock
	}
	if date+clock == "" {
		return "P0D"
	}
	return "P" + date + clock
}

func TestProperties(t *testing.T) {
	berlin := mustZone(t, "Europe/Berlin")
	rapid.Check(t, func(r *rapid.T) {
		p := mustParse(r, texts(r))
		if again := mustParse(r, p.String()); again != p || again.String() != p.String() {
			r.Fatalf("%v reads back as %v", p, again)
		}
		start := time.Unix(rapid.Int64Range(0, 4e9).Draw(r, "start"), 0).UTC()
		// By whole days: on the last of a short month the 30th at noon and the 31st at
		// eight meet, each with its own time of day.
		today := start.Truncate(24 * time.Hour)
		later := today.AddDate(0, 0, rapid.IntRange(0, 90).Draw(r, "later"))
		if p.AddTo(later, time.UTC).Before(p.AddTo(today, time.UTC)) {
			r.Fatalf("%v + %v comes after %v + the same", today, p, later)
		}
		if end := p.AddTo(start, berlin); end.Before(start.Add(-2 * time.Hour)) {
			r.Fatalf("%v + %v goes back to %v", start, p, end)
		}
		// Clamping takes at most three days, and a calendar differs from its average by
		// less than two days over any span.
		if off := p.AddTo(start, time.UTC).Sub(start) - p.Approx(); off.Abs() > 5*24*time.Hour {
			r.Fatalf("%v + %v is %v off", start, p, off)
		}
		if length := p.AddTo(start, time.UTC).Sub(start); length < p.Shortest() || length > p.Longest() {
			r.Fatalf("%v + %v is %v, not between %v and %v", start, p, length, p.Shortest(), p.Longest())
		}
		if d, exact := p.Duration(); exact && !p.AddTo(start, time.UTC).Equal(start.Add(d)) {
			r.Fatalf("%v is not %v", p, d)
		}
	})
}

func TestSubFromUndoesAddToOnEarlyDays(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		// Days up to the 28th exist in each month, so nothing is clamped.
		months := mustParse(r, "P"+strconv.Itoa(rapid.IntRange(0, 1200).Draw(r, "months"))+"M")
		start := time.Date(rapid.IntRange(1900, 2100).Draw(r, "y"), time.Month(rapid.IntRange(1, 12).Draw(r, "m")),
			rapid.IntRange(1, 28).Draw(r, "d"), rapid.IntRange(0, 23).Draw(r, "h"), 0, 0, 0, time.UTC)
		if back := months.SubFrom(months.AddTo(start, time.UTC), time.UTC); !back.Equal(start) {
			r.Fatalf("%v + %v - the same = %v", start, months, back)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"P1Y2M10DT2H30M", "P2W", "PT15M", "PT0.5S", "P", "PT", "-P1D", "P1YT", "P100Y", "PT9223372036854775807S"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := period.Parse(s)
		if err != nil {
			return
		}
		if again := mustParse(t, p.String()); again != p {
			t.Fatalf("%q is %v and reads back as %v", s, p, again)
		}
		if a := p.Approx(); a < 0 || a > 100*366*24*time.Hour {
			t.Fatalf("%q is out of bounds: %v", s, a)
		}
		start := time.Date(2000, 1, 31, 0, 0, 0, 0, time.UTC)
		if p.AddTo(start, time.UTC).Before(start) || p.SubFrom(start, time.UTC).After(start) {
			t.Fatalf("%q is negative", s)
		}
	})
}

type failer interface {
	Helper()
	Fatal(args ...any)
}

func mustParse(t failer, s string) period.Period {
	t.Helper()
	p, err := period.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustZone(t failer, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func mustTime(t failer, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
