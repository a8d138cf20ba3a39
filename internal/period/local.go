package period

import "time"

// farthest is more than any zone's distance from UTC: RFC 8536 ends at 25:59:59.
const farthest = 26 * time.Hour

// At returns the moment at which the clocks of loc show a date and time of day, as time.Date
// does, but by a rule for the two kinds of local time that are no single moment. One that
// occurs twice, because clocks are set back, is the earlier moment. One that never occurs,
// because clocks are set forward, is the first moment after the gap: in New York, 02:30 on the
// day on which summer time begins is 03:00; a midnight that a zone skips is the beginning of
// its day; a time on a day that a zone skips is the beginning of the next one. So a later local
// time is never an earlier moment. Fields outside their ranges are normalized as time.Date does.
// The result is in loc.
func At(year int, month time.Month, dom, hour, minute, sec, nsec int, loc *time.Location) time.Time {
	wall := time.Date(year, month, dom, hour, minute, sec, nsec, time.UTC)
	// Offset by offset in the order of time: the first that comes to the local time decides.
	for t := wall.Add(-farthest).In(loc); ; {
		_, offset := t.Zone()
		at := wall.Add(-time.Duration(offset) * time.Second).In(loc)
		if at.Before(t) {
			return t // The clocks go forward at t, past the local time.
		}
		next := nextOffset(t)
		if next.IsZero() || at.Before(next) {
			return at
		}
		t = next
	}
}

// nextOffset returns a moment after t up to which the offset of t holds; zero: for ever.
func nextOffset(t time.Time) time.Time {
	_, end := t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		// Where a zone changes its clocks by a yearly rule, ZoneBounds ends each year after 365
		// days, although a leap year's last day is still to come.
		return t.Truncate(day).Add(day)
	}
	return end
}
