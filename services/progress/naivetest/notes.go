package naivetest

import (
	"maps"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// events are what each event of the log counts for, voided ones for nothing.
func (j *judge) events() map[string]Event {
	out := map[string]Event{}
	for i := range j.Log {
		if e := &j.Log[i]; e.Type == progress.RecordEvent && e.Event.Verb != progress.Voided {
			out[e.Event.ID] = Event{}
		}
	}
	for _, f := range j.modules {
		maps.Copy(out, f.refused)
		for _, c := range f.cycles {
			for _, e := range c.carried {
				if out[e.Event.ID].Cycle == 0 { // gathered aside, and taken along
					out[e.Event.ID] = f.note(c, e, j.Now)
				}
			}
			for _, e := range c.events {
				out[e.Event.ID] = f.note(c, e, j.Now)
			}
		}
		if f.aside != nil {
			maps.Copy(out, f.early(j.Now))
		}
	}
	return out
}

// early are what the events count for that are gathered aside: toward the renewal, once its window is open.
func (f *folded) early(now time.Time) map[string]Event {
	out := map[string]Event{}
	for _, e := range f.aside.events {
		if out[e.Event.ID] = f.note(f.aside, e, now); now.Before(f.last().window) {
			out[e.Event.ID] = Event{Note: RenewalEarly, NoteTime: f.last().window.UTC()}
		}
	}
	return out
}

// note is what an event of a cycle counts for. An event of the current cycle has a note when a MATERIAL
// version in effect has put its unit out of date, the oldest of several. What completed a cycle, or came
// before the current one, has none; what came after the completion only when the version was in effect then.
func (f *folded) note(c *cycle, e *progress.Record, now time.Time) Event {
	out := Event{Cycle: c.number}
	if c != f.aside && (c != f.last() || e.EffectiveAt.Before(c.begin) || c.done() && !e.EffectiveAt.After(c.complete)) {
		return out
	}
	for i := range f.module.Versions {
		v := &f.module.Versions[i]
		if v.Number <= e.Event.ModuleVersion || v.Number == 1 || v.EffectiveTime.After(now) || !changes(v, e.Event.UnitID) || e.Event.UnitID == "" {
			continue
		}
		later := c.done() && e.EffectiveAt.Before(v.EffectiveTime)
		if !later && out.Note == "" {
			out.Note, out.NoteTime = SupersededVersion, v.EffectiveTime.UTC()
		}
	}
	return out
}
