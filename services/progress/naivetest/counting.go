package naivetest

import (
	"cmp"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// counting is a module's events in the order in which they fold, and which of them count.
type counting struct {
	counted []*progress.Record
	// refused are the notes of those that do not count, by event id.
	refused map[string]Event
	// begun is the time of the first counted event; zero while there is none.
	begun time.Time
}

// eventsOf returns the events of a module that nobody voided, in the order of effective time, then of
// the device's time, then of their ids: not in the order in which they arrived.
func eventsOf(moduleID string, log []progress.Record) []*progress.Record {
	voided := map[string]bool{}
	for i := range log {
		if e := &log[i]; e.Type == progress.RecordEvent && e.Event.Verb == progress.Voided {
			voided[e.Event.VoidsEventID] = true
		}
	}
	var events []*progress.Record
	for i := range log {
		e := &log[i]
		if e.Type == progress.RecordEvent && e.Event.Verb != progress.Voided && e.Event.ModuleID == moduleID && !voided[e.Event.ID] {
			events = append(events, e)
		}
	}
	slices.SortFunc(events, inOrder)
	return events
}

func inOrder(a, b *progress.Record) int {
	return cmp.Or(a.EffectiveAt.Compare(b.EffectiveAt), a.Event.OccurredAt.Compare(b.Event.OccurredAt), cmp.Compare(a.Event.ID, b.Event.ID))
}

// count decides which events count. While a module is in the archive only those learners go on who had
// begun it before, and only until the sunset. A stay in the archive that was taken back within the
// hour was none.
func count(m *progress.Module, log []progress.Record) counting {
	c := counting{refused: map[string]Event{}}
	for _, e := range eventsOf(m.ID, log) {
		stay := stayAt(m, e.EffectiveAt)
		switch {
		case stay == nil:
			c.add(e)
		case c.begun.IsZero() || !c.begun.Before(stay.ArchiveTime):
			c.refused[e.Event.ID] = Event{Note: Archived, NoteTime: stay.ArchiveTime.UTC()}
		case !stay.SunsetTime.IsZero() && !e.EffectiveAt.Before(stay.SunsetTime):
			c.refused[e.Event.ID] = Event{Note: AfterSunset, NoteTime: stay.SunsetTime.UTC()}
		default:
			c.add(e)
		}
	}
	return c
}

func (c *counting) add(e *progress.Record) {
	if len(c.counted) == 0 {
		c.begun = e.EffectiveAt
	}
	c.counted = append(c.counted, e)
}

// stayAt returns the stay in the archive that contains t, or nil.
func stayAt(m *progress.Module, t time.Time) *progress.ArchivePeriod {
	for i := range m.Archives {
		stay := &m.Archives[i]
		restored := !stay.RestoreTime.IsZero()
		if restored && stay.RestoreTime.Sub(stay.ArchiveTime) < regretted {
			continue
		}
		if !t.Before(stay.ArchiveTime) && (!restored || t.Before(stay.RestoreTime)) {
			return stay
		}
	}
	return nil
}

// inArchive reports whether nobody can begin the module at t.
func inArchive(m *progress.Module, t time.Time) bool { return stayAt(m, t) != nil }
