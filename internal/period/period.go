// Package period is ISO 8601 durations such as P1Y, P2W and PT15M: lengths of time in
// calendar fields, which become a moment only when added to one.
package period

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// maxYears bounds a period, by its approximate length, to a hundred years.
const maxYears = 100

const yearMonths = 12

// The nominal lengths by which periods are compared: Gregorian averages.
const (
	day      = 24 * time.Hour
	avgYear  = 365*day + 5*time.Hour + 49*time.Minute + 12*time.Second // 365.2425 days
	avgMonth = avgYear / yearMonths
	maxTotal = maxYears * avgYear
)

// Period is years and months, then days, then hours to nanoseconds: the three that a
// calendar distinguishes, for a month is no number of days and a day no number of hours.
// None is negative. The zero Period is no time at all. Periods compare with ==, in the
// sense of String: P1Y equals P12M, and P7D equals P1W.
type Period struct {
	months int
	days   int
	clock  time.Duration
}

// Parse reads an ISO 8601 duration: "P1Y2M10DT2H30M", "P2W", "PT0.5S". Designators are in
// upper case and in order, each at most once, and at least one is there; weeks may stand
// beside days. Only seconds may have a fraction, of at most nine digits. It returns
// Invalid PERIOD_INVALID for anything else, for signs, and above one hundred years.
func Parse(s string) (Period, error) {
	p, ok := parse(s)
	if !ok {
		return Period{}, errs.New(errs.Invalid, errs.ReasonPeriodInvalid,
			"%s is no ISO 8601 duration of at most %d years, such as P1Y, P2W or PT15M", quote(s), maxYears)
	}
	return p, nil
}

// quote shows what was sent, but not a megabyte of it.
func quote(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return strconv.Quote(s)
}

// part is one designator with what one of it is.
type part struct {
	letter byte
	one    Period
}

func parse(s string) (Period, bool) {
	rest, ok := strings.CutPrefix(s, "P")
	if !ok {
		return Period{}, false
	}
	date, clock, hasClock := strings.Cut(rest, "T")
	var p Period
	dateOK := p.read(date, []part{
		{'Y', Period{months: yearMonths}}, {'M', Period{months: 1}}, {'W', Period{days: 7}}, {'D', Period{days: 1}},
	})
	clockOK := p.read(clock, []part{
		{'H', Period{clock: time.Hour}}, {'M', Period{clock: time.Minute}}, {'S', Period{clock: time.Second}},
	})
	if date == "" && clock == "" || hasClock && clock == "" { // "P", "P1DT"
		return Period{}, false
	}
	return p, dateOK && clockOK
}

// read adds the amounts of s, whose designators come in the order of parts.
func (p *Period) read(s string, parts []part) bool {
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if end <= 0 {
			return false
		}
		number, letter := s[:end], s[end]
		s = s[end+1:]
		for len(parts) > 0 && parts[0].letter != letter {
			parts = parts[1:]
		}
		if len(parts) == 0 || !p.readPart(number, parts[0]) {
			return false
		}
		parts = parts[1:]
	}
	return true
}

// readPart keeps p within maxTotal at each step, so that nothing overflows.
func (p *Period) readPart(number string, at part) bool {
	whole, fraction, hasFraction := strings.Cut(number, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > int64(maxTotal/at.one.Approx()) {
		return false
	}
	sum := Period{
		months: p.months + int(n)*at.one.months,
		days:   p.days + int(n)*at.one.days,
		clock:  p.clock + time.Duration(n)*at.one.clock,
	}
	if hasFraction {
		nanos, ok := parseFraction(fraction)
		if !ok || at.letter != 'S' {
			return false
		}
		sum.clock += nanos
	}
	*p = sum
	return p.Approx() <= maxTotal
}

func parseFraction(digits string) (time.Duration, bool) {
	if len(digits) < 1 || len(digits) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits+strings.Repeat("0", 9-len(digits)), 10, 32)
	return time.Duration(n), err == nil
}

// String is the canonical text, which Parse reads back to the same Period: years and
// months below twelve, days (as weeks when they are nothing but whole weeks), hours,
// minutes and seconds below sixty. The zero Period is "PT0S".
func (p Period) String() string {
	if p.IsZero() {
		return "PT0S"
	}
	if p.months == 0 && p.clock == 0 && p.days%7 == 0 {
		return "P" + strconv.Itoa(p.days/7) + "W"
	}
	b := append(make([]byte, 0, 24), 'P')
	b = appendPart(b, int64(p.months/yearMonths), 'Y')
	b = appendPart(b, int64(p.months%yearMonths), 'M')
	b = appendPart(b, int64(p.days), 'D')
	if p.clock > 0 {
		b = append(b, 'T')
		b = appendPart(b, int64(p.clock/time.Hour), 'H')
		b = appendPart(b, int64(p.clock%time.Hour/time.Minute), 'M')
		b = appendSeconds(b, p.clock%time.Minute)
	}
	return string(b)
}

func appendPart(b []byte, n int64, letter byte) []byte {
	if n == 0 {
		return b
	}
	return append(strconv.AppendInt(b, n, 10), letter)
}

func appendSeconds(b []byte, d time.Duration) []byte {
	if d == 0 {
		return b
	}
	b = strconv.AppendInt(b, int64(d/time.Second), 10)
	if nanos := d % time.Second; nanos > 0 {
		fraction := strconv.FormatInt(int64(time.Second+nanos), 10)[1:]
		b = append(b, '.')
		b = append(b, strings.TrimRight(fraction, "0")...)
	}
	return append(b, 'S')
}

// IsZero reports whether the period is no time at all.
func (p Period) IsZero() bool { return p == Period{} }

// AddTo returns the moment one period after t, reckoned in the calendar of loc: years and
// months together, where a day that the month lacks becomes its last (31 January + P1M is
// 28 or 29 February); then days, at the same time of day; then hours to seconds, as
// elapsed time. A time of day that loc skips or repeats on that date is resolved by At.
// The result is in loc.
func (p Period) AddTo(t time.Time, loc *time.Location) time.Time {
	return p.shift(t, loc, +1)
}

// SubFrom returns the moment one period before t, in the same order of fields as AddTo. The
// two undo each other only while no day is clamped and no clock is changed.
func (p Period) SubFrom(t time.Time, loc *time.Location) time.Time {
	return p.shift(t, loc, -1)
}

func (p Period) shift(t time.Time, loc *time.Location, sign int) time.Time {
	t = t.In(loc)
	if p.months != 0 || p.days != 0 {
		year, month, dom := t.Date()
		month += time.Month(sign * p.months)
		dom = min(dom, LastDay(year, month))
		hour, minute, sec := t.Clock()
		t = At(year, month, dom+sign*p.days, hour, minute, sec, t.Nanosecond(), loc)
	}
	return t.Add(time.Duration(sign) * p.clock)
}

// LastDay returns the last day of a month, 28 to 31. month may lie outside 1 to 12.
func LastDay(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// Plus is the sum, field by field. It returns Invalid PERIOD_INVALID above one hundred years.
func (p Period) Plus(q Period) (Period, error) {
	sum := Period{months: p.months + q.months, days: p.days + q.days, clock: p.clock + q.clock}
	if sum.Approx() > maxTotal {
		return Period{}, errs.New(errs.Invalid, errs.ReasonPeriodInvalid, "%s and %s together exceed %d years", p, q, maxYears)
	}
	return sum, nil
}

// Times returns the period n times over, field by field, for the dates of a series: all of
// them are reckoned from one anchor, so that each is clamped for itself and none drifts
// (31 January + 1, 2 and 3 times P1M is 29 February, 31 March and 30 April of a leap year).
// n must not be negative. The result may exceed the hundred years of Parse; its hours to
// seconds, and its lengths, end where time.Duration does.
func (p Period) Times(n int) Period {
	clock := time.Duration(math.MaxInt64)
	if p.clock == 0 || int64(n) <= math.MaxInt64/int64(p.clock) {
		clock = time.Duration(n) * p.clock
	}
	return Period{months: p.months * n, days: p.days * n, clock: clock}
}

// WholeYears returns how many years the period is; ok is false when it is not one year or
// more without anything else. P12M is a whole year, P365D is not.
func (p Period) WholeYears() (n int, ok bool) {
	n = p.months / yearMonths
	return n, n > 0 && p == Period{months: n * yearMonths}
}

// Duration is the exact length with days of 24 hours; ok is false when the period has
// years or months, which have no exact length.
func (p Period) Duration() (d time.Duration, ok bool) {
	return time.Duration(p.days)*day + p.clock, p.months == 0
}

// Approx is a length to compare periods by, with months of 30.436875 days.
func (p Period) Approx() time.Duration {
	return time.Duration(p.months)*avgMonth + time.Duration(p.days)*day + p.clock
}

// Shortest is a length that the period has at least, whatever date it begins on: years of
// 365 days, months beyond them of 28, days of 24 hours. Changes of the clock aside.
func (p Period) Shortest() time.Duration { return p.length(365*day, 28*day) }

// Longest is a length that the period has at most, as Shortest is one that it has at least:
// years of 366 days, months of 31.
func (p Period) Longest() time.Duration { return p.length(366*day, 31*day) }

func (p Period) length(year, month time.Duration) time.Duration {
	years, months := p.months/yearMonths, p.months%yearMonths
	return time.Duration(years)*year + time.Duration(months)*month + time.Duration(p.days)*day + p.clock
}
