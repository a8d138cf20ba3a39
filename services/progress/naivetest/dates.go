package naivetest

import (
	"strconv"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/period"
)

// span is a period in the three kinds of fields that a calendar distinguishes.
type span struct {
	months, days int
	clock        time.Duration
}

// spanOf reads a period's text, as P1Y2M10DT2H30M0.5S.
func spanOf(p period.Period) span {
	date, clock, _ := strings.Cut(strings.TrimPrefix(p.String(), "P"), "T")
	var s span
	for _, f := range fields(date) {
		n, err := strconv.Atoi(f.number)
		if err != nil {
			panic(err) // a period writes whole years to days
		}
		switch f.letter {
		case 'Y':
			s.months += 12 * n
		case 'M':
			s.months += n
		case 'W':
			s.days += 7 * n
		case 'D':
			s.days += n
		}
	}
	for _, f := range fields(clock) {
		d, err := time.ParseDuration(f.number + strings.ToLower(string(f.letter)))
		if err != nil {
			panic(err) // hours, minutes and seconds are called the same there
		}
		s.clock += d
	}
	return s
}

type field struct {
	number string
	letter rune
}

// fields cuts a text such as 1Y2M.
func fields(s string) []field {
	var out []field
	number := ""
	for _, r := range s {
		if r == '.' || r >= '0' && r <= '9' {
			number += string(r)
			continue
		}
		out, number = append(out, field{number, r}), ""
	}
	return out
}

// zoneOf loads a time zone; "" is UTC.
func zoneOf(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		panic(err) // the caller names a zone that does not exist
	}
	return loc
}

// add is t and i times the period, for i below zero t less so much: first all years and months at
// once, where a day that the month lacks becomes its last, then all days, at the same local time, and
// then the hours to seconds as time that passes.
func add(t time.Time, p period.Period, i int, zone string) time.Time {
	s := spanOf(p)
	months, days, clock := i*s.months, i*s.days, time.Duration(i)*s.clock
	if months == 0 && days == 0 {
		return t.Add(clock)
	}
	local := t.In(zoneOf(zone))
	month := time.Date(local.Year(), local.Month()+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
	dayOfMonth := local.Day()
	for dayOfMonth > 28 && month.AddDate(0, 0, dayOfMonth-1).Month() != month.Month() {
		dayOfMonth--
	}
	date := month.AddDate(0, 0, dayOfMonth-1+days)
	return moment(time.Date(date.Year(), date.Month(), date.Day(),
		local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), time.UTC), zone).Add(clock)
}

// wall is what the clocks of a zone show at t, written as if it were UTC.
func wall(t time.Time, loc *time.Location) time.Time {
	l := t.In(loc)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
}

// moment is when the clocks of a zone show a local time, which is written as if it were UTC: the
// earlier of two such moments, or the first one after the gap that skips it. Unless clocks are
// changed near it, it looks at the clocks of each minute around.
func moment(local time.Time, zone string) time.Time {
	const near = 30 * time.Hour // further than any zone is from UTC, and than any has jumped beyond that
	loc := zoneOf(zone)
	from, to := local.Add(-near), local.Add(near)
	before, after := wall(from, loc).Sub(from), wall(to, loc).Sub(to)
	if before == after {
		return local.Add(-before).UTC()
	}
	for t := from; t.Before(to); t = t.Add(time.Minute) {
		if wall(t, loc).Equal(local) {
			return t.UTC()
		}
	}
	t := from.Truncate(time.Minute)
	for !wall(t, loc).After(local) {
		t = t.Add(time.Minute)
	}
	return t.UTC()
}

// dayOf is the local calendar day of a moment, as a number that is one more the next day.
func dayOf(t time.Time, zone string) int {
	l := t.In(zoneOf(zone))
	return int(time.Date(l.Year(), l.Month(), l.Day(), 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
}

// dateOf is the day as YYYY-MM-DD.
func dateOf(day int) string {
	return time.Unix(int64(day)*24*60*60, 0).UTC().Format(time.DateOnly)
}
