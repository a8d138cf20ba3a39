package progress

import (
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/period"
	"github.com/preceptor-dev/preceptor/internal/zone"
)

// Streak is on how many days in a row a learner learned something, by their own calendar. It is
// for encouragement, and never has a part in what is completed.
type Streak struct {
	// CurrentDays are the days in a row up to today, or up to yesterday while today has none.
	CurrentDays int
	// LongestDays are the most days in a row that there ever were.
	LongestDays int
	// LastActiveDate is the newest such day, YYYY-MM-DD; "" for none.
	LastActiveDate string
	// TimeZone is the IANA name of the calendar.
	TimeZone string
}

// streak returns the learner's streak. Its days are settled, each in the zone that the learner was in
// then; today is by the zone that they are in now, but never before the last settled day: whoever
// flies westward has that day twice, and loses nothing by it.
func (w *View) streak() Streak {
	out := Streak{TimeZone: w.learner.Head.TimeZone}
	if out.TimeZone == "" {
		out.TimeZone = "UTC"
	}
	run, last := 0, 0
	for i, d := range w.activeDays() {
		if run++; i > 0 && d != last+1 {
			run = 1
		}
		last, out.LongestDays = d, max(out.LongestDays, run)
	}
	if run == 0 {
		return out
	}
	out.LastActiveDate = startOf(last, time.UTC).Format(time.DateOnly)
	loc := zone.Of(w.learner.Head.TimeZone)
	if today := max(dayOf(w.now, loc), last); last >= today-1 {
		out.CurrentDays = run
		w.until(startOf(last+2, loc)) // unless the day between has something, it is broken then
	}
	return out
}

// activeDays are the days on which the learner did something in any module, ascending, each once.
func (w *View) activeDays() []int {
	var days []int
	for _, f := range w.learner.Facts {
		days = append(days, f.Days...)
	}
	slices.Sort(days)
	return slices.Compact(days)
}

// dayOf numbers the local days: those of one month and the next differ by one too.
func dayOf(t time.Time, loc *time.Location) int {
	y, m, d := t.In(loc).Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / int64(24*time.Hour/time.Second))
}

// startOf is the beginning of a day that dayOf numbered.
func startOf(day int, loc *time.Location) time.Time {
	y, m, d := time.Unix(int64(day)*int64(24*time.Hour/time.Second), 0).UTC().Date()
	return period.At(y, m, d, 0, 0, 0, 0, loc)
}
