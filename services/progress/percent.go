package progress

import (
	"slices"
	"time"
)

// Tally counts how much of what is required is done; modules have weight 1.
type Tally struct{ Completed, Required int }

// Percent is floor(100 × completed / required): 100 only when everything is done, nil where
// nothing is required, since empty is never complete.
func (t Tally) Percent() *int {
	if t.Required == 0 {
		return nil
	}
	p := 100 * t.Completed / t.Required
	return &p
}

func (t Tally) done() bool { return t.Required > 0 && t.Completed == t.Required }

// tally applies the percent rule to a set of groups: with F the distinct modules of the "all"
// groups, required = |F| + Σ over k-of-n groups of max(0, k − |F∩g|), and each of those terms
// is met by the modules of g outside F that are done. Excused modules leave every group, and k falls
// where fewer are left.
func tally(groups []Group, done, excused func(moduleID string) bool) Tally {
	all := map[string]bool{}
	var t Tally
	for _, g := range groups {
		if g.RequiredCount != nil {
			continue
		}
		for _, id := range g.ModuleIDs {
			if !all[id] && !excused(id) {
				all[id] = true
				t.Required++
				if done(id) {
					t.Completed++
				}
			}
		}
	}
	for _, g := range groups {
		if g.RequiredCount == nil {
			continue
		}
		left, held, have := 0, 0, 0
		for _, id := range g.ModuleIDs {
			switch {
			case excused(id):
				continue
			case all[id]:
				held++
			case done(id):
				have++
			}
			left++
		}
		if term := min(*g.RequiredCount, left) - held; term > 0 {
			t.Required += term
			t.Completed += min(term, have)
		}
	}
	return t
}

// percentIn is the module's percent in the cycle at t, with the version that gives it: the
// highest over the candidates, the newest of equals. required is false where nothing is required.
func (c *CycleFacts) percentIn(m *Module, t time.Time) (percent int, version *ModuleVersion, required bool) {
	for _, n := range slices.Backward(c.candidates(m, t)) {
		v := m.Version(n)
		p, ok := c.percentOn(m, v)
		if version == nil || (ok && (!required || p > percent)) {
			percent, version, required = p, v, ok
		}
	}
	return percent, version, required
}

// percentOn is floor(100 × done weight / required weight), 100 only when everything is done.
func (c *CycleFacts) percentOn(m *Module, v *ModuleVersion) (percent int, required bool) {
	var total, done int64
	all := true
	for i := range v.Units {
		u := &v.Units[i]
		if !u.Required {
			continue
		}
		total += u.micros()
		if c.doneAt(m, v, u) != 0 {
			done += u.micros()
		} else {
			all = false
		}
	}
	switch {
	case total == 0:
		return 0, false
	case all:
		return 100, true
	default:
		return min(int(100*done/total), 99), true
	}
}
