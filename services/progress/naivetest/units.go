package naivetest

import (
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// unitOf finds a unit of a version, or returns nil.
func unitOf(v *progress.ModuleVersion, id string) *progress.Unit {
	for i := range v.Units {
		if v.Units[i].ID == id {
			return &v.Units[i]
		}
	}
	return nil
}

// invalidated reports whether learning a unit on one version is out of date on another, on either side:
// a MATERIAL version between them changed the unit, or asks for everything again.
func invalidated(m *progress.Module, unitID string, a, b int) bool {
	for i := range m.Versions {
		v := &m.Versions[i]
		if v.Number > 1 && v.Number > min(a, b) && v.Number <= max(a, b) && changes(v, unitID) {
			return true
		}
	}
	return false
}

// changes reports whether a version makes earlier learning of a unit out of date.
func changes(v *progress.ModuleVersion, unitID string) bool {
	u := unitOf(v, unitID)
	return v.Material && (v.RetakeAll || u != nil && u.Changed)
}

// floor is the newest MATERIAL version in effect at t, or 0: what is not done by then can be done on
// that one and on newer ones only.
func floor(m *progress.Module, t time.Time) int {
	number := 0
	for i := range m.Versions {
		if v := &m.Versions[i]; v.Number > 1 && v.Material && !v.EffectiveTime.After(t) {
			number = v.Number
		}
	}
	return number
}

// credits are learned and waived units: events that are applied to a cycle.
type credits struct {
	module  *progress.Module
	entries []*progress.Record
	// expires returns when the credit of an event ends, or is nil where it never does.
	expires func(time.Time) time.Time
}

// has reports whether some event of the verb gives credit at t for a unit of a version.
func (c *credits) has(version int, unitID string, verb progress.Verb, t time.Time) bool {
	for _, e := range c.entries {
		if e.Event.Verb != verb || e.Event.UnitID != unitID || invalidated(c.module, unitID, e.Event.ModuleVersion, version) {
			continue
		}
		if c.expires == nil || c.expires(e.EffectiveAt).After(t) {
			return true
		}
	}
	return false
}

// unit reports whether a unit is done at t. A waiver of the unit will do, and so does a waiver of
// everything, unless only real learning is asked for. Else what was done satisfies the moveOn rule of
// the version, or of another one on which the unit was learned: credit that it gave there is kept.
func (c *credits) unit(version int, u *progress.Unit, t time.Time, learnedOnly bool) bool {
	if !learnedOnly && (c.has(version, u.ID, progress.Waived, t) || c.waived()) {
		return true
	}
	completed, passed := c.has(version, u.ID, progress.Completed, t), c.has(version, u.ID, progress.Passed, t)
	if satisfied(u.MoveOn, completed, passed) {
		return true
	}
	for _, e := range c.entries {
		if e.Event.UnitID != u.ID || invalidated(c.module, u.ID, e.Event.ModuleVersion, version) {
			continue
		}
		if there := unitOf(versionOf(c.module, e.Event.ModuleVersion), u.ID); there != nil && satisfied(there.MoveOn, completed, passed) {
			return true
		}
	}
	return false
}

func satisfied(rule progress.MoveOn, completed, passed bool) bool {
	switch rule {
	case progress.MoveOnCompleted:
		return completed
	case progress.MoveOnPassed:
		return passed
	case progress.MoveOnCompletedAndPassed:
		return completed && passed
	case progress.MoveOnCompletedOrPassed:
		return completed || passed
	case progress.MoveOnNotApplicable:
	}
	return false
}

// waived reports whether the whole module was waived.
func (c *credits) waived() bool {
	for _, e := range c.entries {
		if e.Event.Verb == progress.Waived && e.Event.UnitID == "" {
			return true
		}
	}
	return false
}

// percent is the weight of the required units that are done, of that of all required ones, rounded
// down; nil where none is required.
func (c *credits) percent(version int, t time.Time) *int {
	done, required := int64(0), int64(0)
	v := versionOf(c.module, version)
	for i := range v.Units {
		u := &v.Units[i]
		if !u.Required {
			continue
		}
		millionths := int64(u.Weight*1e6 + 0.5)
		required += millionths
		if c.unit(version, u, t, false) {
			done += millionths
		}
	}
	if required == 0 {
		return nil
	}
	return new(int(100 * done / required))
}

// done reports whether all that a version requires is done at t: something must be.
func (c *credits) done(version int, t time.Time, learnedOnly bool) bool {
	required := 0
	v := versionOf(c.module, version)
	for i := range v.Units {
		if u := &v.Units[i]; u.Required {
			if required++; !c.unit(version, u, t, learnedOnly) {
				return false
			}
		}
	}
	return required > 0
}

// unitsDone are the required units of a version that are done at t.
func (c *credits) unitsDone(version int, t time.Time) []string {
	var ids []string
	v := versionOf(c.module, version)
	for i := range v.Units {
		if u := &v.Units[i]; u.Required && c.unit(version, u, t, false) {
			ids = append(ids, u.ID)
		}
	}
	return ids
}
