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
			for _, e := range f.aside.events {
				if out[e.Event.ID] = f.note(f.aside, e, j.Now); j.Now.Before(f.last().window) {
					out[e.Event.ID] = Event{Note: RenewalEarly, NoteTime: f.last().window.UTC()}
				}
			}
		}
	}
	return out
}

// note is what an event of a cycle counts for. It has a note when a MATERIAL version in effect has put
// its unit out of date, unless it is part of what had been completed before.
func (f *folded) note(c *cycle, e *Entry, now time.Time) Event {
	out := Event{Cycle: c.number}
	for i := range f.module.Versions {
		v := &f.module.Versions[i]
		if v.Number <= e.Event.ModuleVersion || v.Number == 1 || v.EffectiveTime.After(now) || !changes(v, e.Event.UnitID) || e.Event.UnitID == "" {
			continue
		}
		before := c.done() && c.complete.Before(v.EffectiveTime) && e.EffectiveAt.Before(v.EffectiveTime)
		if at := v.EffectiveTime.UTC(); !before && (out.Note == "" || at.Before(out.NoteTime)) {
			out.Note, out.NoteTime = SupersededVersion, at
		}
	}
	return out
}
