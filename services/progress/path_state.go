package progress

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// awardSpace is the UUIDv5 namespace of award ids.
//
//nolint:gochecknoglobals // a constant that Go has no constant form for
var awardSpace = uuid.MustParse("5b0a6f0e-64c5-5f0c-9a43-6a3c1f1f5e2b")

// AwardID is the id of a learner's award for a milestone of a path that was revoked so many times
// before.
func AwardID(learnerID, pathID, milestoneID string, revocations int) string {
	name := learnerID + "/" + pathID + "/" + milestoneID
	if revocations > 0 {
		name += "/" + strconv.Itoa(revocations)
	}
	return uuid.NewSHA1(awardSpace, []byte(name)).String()
}

// MilestoneProgress is how far a learner is in one milestone.
type MilestoneProgress struct {
	ID, Title string
	Tally
	Modules []ModuleProgress
	// Award is nil until earned.
	Award *Award
}

// Upgrade is what moving to the newest path version would change.
type Upgrade struct {
	Version          int
	AddedModuleIDs   []string
	RemovedModuleIDs []string
	// MandateTime is from when an upgrade happens by itself; zero: never.
	MandateTime time.Time
}

// StepReason is why a unit is suggested.
type StepReason string

// The step reasons.
const (
	StepContinue StepReason = "CONTINUE"
	StepStart    StepReason = "START"
	StepRenew    StepReason = "RENEW"
	// StepPrerequisite is of a module that the path does not ask for, and without which one in it stays
	// locked: it is outside of the path, or in a group that has enough without it.
	StepPrerequisite StepReason = "PREREQUISITE"
)

// NextStep is a unit to go on with.
type NextStep struct {
	ModuleID, UnitID, Title string
	Reason                  StepReason
}

// maxNext is how many next steps an answer names at most.
const maxNext = 5

// PathProgress is how far a learner is on one path.
type PathProgress struct {
	Enrollment Enrollment
	Title      string
	// State is the enrollment's, or COMPLETED when everything required is done, or NOT_APPLICABLE
	// when nothing is required.
	State EnrollmentState
	Tally
	Milestones []MilestoneProgress
	Next       []NextStep
	Upgrade    *Upgrade
	// PreviousPercent is the percent before it fell; nil once it is regained.
	PreviousPercent *int
	PercentChange   *PercentChange
	AsOfSequence    int64
}

// modulesOf is the progress of modules, by id.
type modulesOf map[string]ModuleProgress

func (ms modulesOf) done(id string) bool { m, ok := ms[id]; return ok && m.done() }

func (ms modulesOf) excused(id string) bool { return ms[id].Excused != nil }

func (ms modulesOf) tally(groups []Group) Tally { return tally(groups, ms.done, ms.excused) }

// pinned returns the path version that an enrollment is on, or nil where the catalog has no such.
func (w *View) pinned(e *Enrollment) *PathVersion {
	if p := w.catalog.Paths[e.PathID]; p != nil {
		return p.Version(e.PathVersion)
	}
	return nil
}

// pathModules computes every module of the path version once.
func (w *View) pathModules(v *PathVersion) modulesOf {
	out := make(modulesOf)
	for _, id := range v.ModuleIDs() {
		if m := w.catalog.Modules[id]; m != nil {
			out[id] = w.module(m)
		}
	}
	return out
}

// path computes an enrollment's progress. It returns nil where the catalog has no such version.
func (w *View) path(e Enrollment) *PathProgress {
	v := w.pinned(&e)
	if v == nil {
		return nil
	}
	modules := w.pathModules(v)
	out := &PathProgress{Enrollment: e, Title: v.Title, State: e.State, AsOfSequence: w.learner.Head.Sequence}
	for i := range v.Milestones {
		ms := &v.Milestones[i]
		mp := MilestoneProgress{ID: ms.ID, Title: ms.Title, Tally: modules.tally(ms.Groups), Award: w.award(e, ms, modules)}
		for _, id := range ms.moduleIDs() {
			if m, ok := modules[id]; ok {
				mp.Modules = append(mp.Modules, m)
			}
		}
		out.Milestones = append(out.Milestones, mp)
	}
	out.Tally = modules.tally(v.groups())
	switch {
	case e.State == EnrollmentWithdrawn:
	case out.Required == 0:
		out.State = EnrollmentNotApplicable
	case out.Tally.done():
		out.State = EnrollmentCompleted
	}
	out.PreviousPercent, out.PercentChange = w.fallOf(&e, v, modules, out.Tally)
	out.Next = w.next(v, modules)
	out.Upgrade = upgradeOf(w.catalog.Paths[e.PathID], v)
	return out
}

// fallOf returns the highest percent that the enrollment had before it fell to the present one, and
// why; nil where it did not fall, or was regained.
func (w *View) fallOf(e *Enrollment, v *PathVersion, modules modulesOf, is Tally) (*int, *PercentChange) {
	now := is.Percent()
	if now == nil {
		return nil, nil
	}
	from, why := *now, (*PercentChange)(nil)
	if e.PreviousPercent != nil && *e.PreviousPercent > from {
		from, why = *e.PreviousPercent, e.PercentChange
	}
	for _, id := range v.ModuleIDs() {
		m := w.catalog.Modules[id]
		if m == nil {
			continue
		}
		for i := range m.Archives {
			p := &m.Archives[i]
			if p.slip() || p.RestoreTime.IsZero() || p.RestoreTime.After(w.now) || !e.EnrollTime.Before(p.RestoreTime) {
				continue
			}
			if before := w.percentBefore(v, modules, p.RestoreTime); before != nil && *before > from {
				from, why = *before, &PercentChange{Code: ChangeRestored, ModuleID: id}
			}
		}
	}
	if why == nil {
		return nil, nil
	}
	return &from, why
}

// percentBefore is the percent just before a time, by what was done by then and excused then; or nil.
func (w *View) percentBefore(v *PathVersion, modules modulesOf, t time.Time) *int {
	done := func(id string) bool { return modules.done(id) && modules[id].CompleteTime.Before(t) }
	excused := func(id string) bool {
		m := w.catalog.Modules[id]
		return m != nil && !done(id) && w.excusedAt(m, t.Add(-time.Microsecond)) != nil
	}
	return tally(v.groups(), done, excused).Percent()
}

// mandate moves the enrollment to the newest version whose upgrade is mandatory by now, through those
// that were before it, and reports whether it did. What it leaves is the same whenever it is done, but for a percent that fell.
func (w *View) mandate(e *Enrollment) bool {
	p := w.catalog.Paths[e.PathID]
	if e.State == EnrollmentWithdrawn || p == nil {
		return false
	}
	pinned := e.PathVersion
	for v := p.mandatedAfter(pinned, w.settled); v != nil; v = p.mandatedAfter(e.PathVersion, w.settled) {
		before := w.percentOf(*e)
		e.PathVersion = v.Number
		if e.UpdateTime = e.UpdateTime.Add(time.Microsecond); v.MandateTime.After(e.UpdateTime) {
			e.UpdateTime = v.MandateTime
		}
		e.NoteFall(before, w.percentOf(*e), PercentChange{Code: ChangeMandated, PathVersion: v.Number})
	}
	w.until(p.nextMandate(e.PathVersion, w.now))
	return e.PathVersion != pinned
}

// percentOf is the enrollment's percent, or nil.
func (w *View) percentOf(e Enrollment) *int {
	v := w.pinned(&e)
	if v == nil {
		return nil
	}
	return w.pathModules(v).tally(v.groups()).Percent()
}

// NoteFall notes what the percent was before it fell, and why. An earlier, higher one that has
// not been regained stays.
func (e *Enrollment) NoteFall(before, after *int, why PercentChange) bool {
	if before == nil || (after != nil && *after >= *before) {
		return false
	}
	if e.PreviousPercent == nil || *e.PreviousPercent < *before {
		e.PreviousPercent = before
	}
	e.PercentChange = &why
	return true
}

// Percents returns the percent of each enrollment that is not withdrawn, by enrollment id.
func (w *View) Percents() map[string]*int {
	out := map[string]*int{}
	for _, e := range w.learner.Enrollments {
		if e.State != EnrollmentWithdrawn {
			out[e.ID] = w.percentOf(e)
		}
	}
	return out
}

// contributing returns the modules that the milestone rests on: all of the "all" groups, and of
// each k-of-n group the first completed that it still needs beside those; none that is excused.
func contributing(groups []Group, modules modulesOf) []string {
	var all []string
	for _, g := range groups {
		if g.RequiredCount == nil {
			all = appendNew(all, slices.DeleteFunc(slices.Clone(g.ModuleIDs), modules.excused))
		}
	}
	ids := slices.Clone(all)
	for _, g := range groups {
		if g.RequiredCount != nil {
			ids = appendNew(ids, chosen(g, all, modules))
		}
	}
	return ids
}

// chosen returns the modules of a k-of-n group that it needs beside those of the "all" groups: the first completed.
func chosen(g Group, all []string, modules modulesOf) []string {
	need := *g.RequiredCount
	var rest []string
	for _, id := range g.ModuleIDs {
		if slices.Contains(all, id) {
			need--
		} else if modules.done(id) {
			rest = append(rest, id)
		}
	}
	slices.SortStableFunc(rest, func(a, b string) int {
		return cmp.Or(modules[a].CompleteTime.Compare(modules[b].CompleteTime), cmp.Compare(a, b))
	})
	return rest[:max(0, min(need, len(rest)))]
}

// appendNew appends the ids that are not there yet.
func appendNew(ids, more []string) []string {
	for _, id := range more {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// next returns what to go on with: what is begun, then what wants renewing, then what is open
// and still needed, then what else opens what is locked; each in the path's order.
func (w *View) next(v *PathVersion, modules modulesOf) []NextStep {
	var goOn, renew, start []NextStep
	var blockedBy []string
	seen := map[string]bool{}
	for i := range v.Milestones {
		for _, g := range v.Milestones[i].Groups {
			satisfied := modules.tally([]Group{g}).done()
			for _, id := range g.ModuleIDs {
				m, ok := modules[id]
				if !ok || seen[id] || modules.excused(id) {
					continue
				}
				active := w.catalog.Modules[id].State == ModuleActive
				switch {
				case m.State == StateInProgress && !satisfied:
					goOn = w.appendStep(goOn, &m, StepContinue)
				case wantsRenewal(m.Currency) && active:
					renew = w.appendStep(renew, &m, StepRenew)
				case m.State == StateAvailable && !satisfied && active:
					start = w.appendStep(start, &m, StepStart)
				case m.State == StateLocked && !satisfied:
					blockedBy = append(blockedBy, m.BlockedBy...)
				default:
					continue
				}
				seen[id] = true
			}
		}
	}
	steps := slices.Concat(goOn, renew, start, w.appendOpening(nil, blockedBy, seen))
	return steps[:min(len(steps), maxNext)]
}

// appendOpening adds the modules that locked ones wait for, or that those wait for. What was seen has a
// place of its own.
func (w *View) appendOpening(steps []NextStep, blockedBy []string, seen map[string]bool) []NextStep {
	for _, id := range blockedBy {
		if seen[id] {
			continue
		}
		seen[id] = true
		m := w.module(w.catalog.Modules[id])
		if m.State == StateLocked {
			steps = w.appendOpening(steps, m.BlockedBy, seen)
			continue
		}
		steps = w.appendStep(steps, &m, StepPrerequisite)
	}
	return steps
}

func wantsRenewal(c *Currency) bool { return c != nil && c.State != CurrencyCurrent }

// appendStep adds the first unit of the module that is required and not done.
func (w *View) appendStep(steps []NextStep, p *ModuleProgress, reason StepReason) []NextStep {
	m := w.catalog.Modules[p.ModuleID]
	v := m.Version(p.Version)
	var c *CycleFacts
	if reason == StepRenew {
		v = m.Newest()
	}
	if f := w.learner.Facts[p.ModuleID]; f != nil && len(f.Cycles) > 0 {
		switch last := &f.Cycles[len(f.Cycles)-1]; {
		case last.CompleteAt == 0:
			c = last
		case reason == StepRenew:
			c = f.Aside
		}
	}
	for i := range v.Units {
		u := &v.Units[i]
		if u.Required && (c == nil || c.doneAt(m, v, u) == 0) {
			return append(steps, NextStep{ModuleID: p.ModuleID, UnitID: u.ID, Title: u.Title, Reason: reason})
		}
	}
	return steps
}

// upgradeOf returns what the newest version would change, or nil where the pinned one is it.
func upgradeOf(p *Path, pinned *PathVersion) *Upgrade {
	newest := p.Newest()
	if newest.Number <= pinned.Number || p.State != ModuleActive {
		return nil
	}
	was, is := pinned.ModuleIDs(), newest.ModuleIDs()
	return &Upgrade{
		Version: newest.Number, AddedModuleIDs: minus(is, was), RemovedModuleIDs: minus(was, is),
		MandateTime: p.nextMandate(pinned.Number, time.Time{}),
	}
}

func minus(a, b []string) []string {
	var out []string
	for _, id := range a {
		if !slices.Contains(b, id) {
			out = append(out, id)
		}
	}
	return out
}
