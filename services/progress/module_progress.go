package progress

import (
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// UnitProgress is how far a learner is in one unit, in one cycle.
type UnitProgress struct {
	Unit Unit
	// DoneTime is zero until the unit is done.
	DoneTime time.Time
	Waived   bool
	Progress *float64
	Score    *float64
	Attempts int
	// Results are those attempts in the order of their effective times, the newest maxResults.
	Results []Attempt
}

// Attempt is one result of a unit, PASSED or FAILED.
type Attempt struct {
	EventID       string
	Verb          Verb
	Score         *float64
	ModuleVersion int
	DeviceID      string
	// OccurredAt is by the device's clock; EffectiveAt is the time that every rule uses.
	OccurredAt, EffectiveAt time.Time
}

func attemptOf(r *Record) Attempt {
	e := &r.Event
	return Attempt{e.ID, e.Verb, e.Score, e.ModuleVersion, e.DeviceID, e.OccurredAt, r.EffectiveAt}
}

// maxResults is how many results of a unit an answer holds at most.
const maxResults = 100

// CycleProgress is one round of completing a module. Zero times: not yet, or never.
type CycleProgress struct {
	Number                                              int
	Opening                                             CycleOpening
	BeginTime, CompleteTime, ExpireTime, WindowOpenTime time.Time
	// Version is the one that it was completed on; 0: not yet.
	Version int
	Waived  bool
	Percent *int
	Units   []UnitProgress
}

// ModuleDetail is how far a learner is in one module, unit by unit.
type ModuleDetail struct {
	ModuleProgress
	Units  []UnitProgress
	Cycles []CycleProgress
	// Resume is nil while nothing has counted.
	Resume *Resume
}

// Module returns how far the learner is in a module. NotFound when there is no such module.
func (w *View) Module(moduleID string) (*ModuleDetail, error) {
	m := w.catalog.Modules[moduleID]
	if m == nil {
		return nil, errs.New(errs.NotFound, errs.ReasonModuleNotFound, "there is no module %s", moduleID)
	}
	out := &ModuleDetail{ModuleProgress: w.module(m)}
	on := m.Version(out.Version)
	f := w.learner.Facts[moduleID]
	if f == nil || len(f.Cycles) == 0 {
		out.Units = unitsProgress(m, on, nil, nil)
		return out, nil
	}
	results, err := w.results(m)
	if err != nil {
		return nil, err
	}
	out.Resume = f.Resume
	for i := range f.Cycles {
		c := &f.Cycles[i]
		out.Cycles = append(out.Cycles, w.cycle(m, c, on, results[c.Number]))
	}
	last := &f.Cycles[len(f.Cycles)-1]
	out.Units = unitsProgress(m, on, last, results[last.Number])
	return out, nil
}

// results returns the learner's results of the module by cycle, in the order of folding. A cycle
// that a MATERIAL version opened keeps unit facts of the one before, and so its results.
func (w *View) results(m *Module) (map[int][]*Record, error) {
	log, err := w.moduleLog(m.ID)
	if err != nil {
		return nil, err
	}
	out := map[int][]*Record{}
	traceLog(m, log, func(r *Record, cycle int) {
		if r.Event.Verb == Passed || r.Event.Verb == Failed {
			out[cycle] = append(out[cycle], r)
		}
	})
	for i := range w.learner.Facts[m.ID].Cycles {
		if c := &w.learner.Facts[m.ID].Cycles[i]; c.Opening == OpenedMaterial {
			out[c.Number] = slices.Concat(out[c.Number-1], out[c.Number])
		}
	}
	return out, nil
}

// cycle returns one cycle; on is the version that the learner is on, for one that is not complete.
func (w *View) cycle(m *Module, c *CycleFacts, on *ModuleVersion, results []*Record) CycleProgress {
	out := CycleProgress{
		Number:         c.Number,
		Opening:        c.Opening,
		BeginTime:      timeOf(c.BeginAt),
		CompleteTime:   timeOf(c.CompleteAt),
		ExpireTime:     timeOf(c.ExpireAt),
		WindowOpenTime: timeOf(c.WindowAt),
		Version:        c.CompleteVersion,
		Waived:         c.WaivedAt != 0,
	}
	percent, _, required := c.percentIn(m, w.now)
	if c.CompleteAt != 0 {
		percent, required = 100, true
		if v := m.Version(c.CompleteVersion); v != nil {
			on = v
		}
	}
	if required {
		out.Percent = &percent
	}
	out.Units = unitsProgress(m, on, c, results)
	return out
}

// unitsProgress returns every unit of the version in a cycle; nil: nothing has counted.
func unitsProgress(m *Module, v *ModuleVersion, c *CycleFacts, results []*Record) []UnitProgress {
	out := make([]UnitProgress, 0, len(v.Units))
	for i := range v.Units {
		u := unitProgress(m, v, &v.Units[i], c)
		for _, r := range results {
			if r.Event.UnitID == u.Unit.ID && m.era(u.Unit.ID, r.Event.ModuleVersion) == m.era(u.Unit.ID, v.Number) {
				u.Results = append(u.Results, attemptOf(r))
			}
		}
		u.Results = u.Results[max(0, len(u.Results)-maxResults):]
		out = append(out, u)
	}
	return out
}

func unitProgress(m *Module, v *ModuleVersion, u *Unit, c *CycleFacts) UnitProgress {
	out := UnitProgress{Unit: *u}
	if c == nil {
		return out
	}
	out.DoneTime = timeOf(c.doneAt(m, v, u))
	out.Waived = c.WaivedAt != 0
	if i, found := c.find(u.ID, m.era(u.ID, v.Number)); found {
		f := &c.Units[i]
		out.Progress, out.Score, out.Attempts = f.Progress, f.Score, f.Attempts
		out.Waived = out.Waived || f.WaivedAt != 0
	}
	return out
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
