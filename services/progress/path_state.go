package progress

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// awardSpace is the UUIDv5 namespace of award ids.
//
//nolint:gochecknoglobals // a constant that Go has no constant form for
var awardSpace = uuid.MustParse("5b0a6f0e-64c5-5f0c-9a43-6a3c1f1f5e2b")

// AwardID is the id of a learner's award for a milestone of a path.
func AwardID(learnerID, pathID, milestoneID string) string {
	return uuid.NewSHA1(awardSpace, []byte(learnerID+"/"+pathID+"/"+milestoneID)).String()
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
	// State is the enrollment's, or COMPLETED when everything required is done.
	State EnrollmentState
	Tally
	Milestones []MilestoneProgress
	Next       []NextStep
	Upgrade    *Upgrade
	// PreviousPercent is the percent before it fell; nil once it is regained.
	PreviousPercent     *int
	PercentChangeReason string
	AsOfSequence        int64
}

// pathModules computes every module of the path version once, in order.
func (w *View) pathModules(v *PathVersion, since time.Time) map[string]ModuleProgress {
	out := make(map[string]ModuleProgress)
	for _, id := range v.ModuleIDs() {
		if m := w.catalog.Modules[id]; m != nil {
			out[id] = w.module(m, since)
		}
	}
	return out
}

// path computes an enrollment's progress. It returns nil where the catalog has no such version.
func (w *View) path(e Enrollment) *PathProgress {
	p := w.catalog.Paths[e.PathID]
	if p == nil || p.Version(e.PathVersion) == nil {
		return nil
	}
	v := p.Version(e.PathVersion)
	modules := w.pathModules(v, e.EnrollTime)
	done := func(id string) bool { m, ok := modules[id]; return ok && m.done() }
	out := &PathProgress{Enrollment: e, Title: v.Title, State: e.State, AsOfSequence: w.learner.Head.Sequence}
	var groups []Group
	for i := range v.Milestones {
		ms := &v.Milestones[i]
		groups = append(groups, ms.Groups...)
		mp := MilestoneProgress{ID: ms.ID, Title: ms.Title, Tally: tally(ms.Groups, done), Award: w.award(e, ms, modules)}
		for _, id := range ms.moduleIDs() {
			if m, ok := modules[id]; ok {
				mp.Modules = append(mp.Modules, m)
			}
		}
		out.Milestones = append(out.Milestones, mp)
	}
	out.Tally = tally(groups, done)
	if out.Tally.done() && e.State != EnrollmentWithdrawn {
		out.State = EnrollmentCompleted
	}
	if now := out.Percent(); now != nil && e.PreviousPercent != nil && *now < *e.PreviousPercent {
		out.PreviousPercent, out.PercentChangeReason = e.PreviousPercent, e.PercentChangeReason
	}
	out.Next = w.next(v, modules, done)
	out.Upgrade = upgradeOf(p, v)
	return out
}

// mandate moves the enrollment to the newest version whose upgrade is mandatory by now, and
// reports whether it did. What it leaves is the same whenever it is done, but for a percent that fell.
func (w *View) mandate(e *Enrollment) bool {
	p := w.catalog.Paths[e.PathID]
	if e.State == EnrollmentWithdrawn || p == nil {
		return false
	}
	to, since := p.Mandated(e.PathVersion, w.now)
	w.until(p.nextMandate(to, w.now))
	if to == e.PathVersion {
		return false
	}
	before := w.percentOf(*e)
	e.PathVersion = to
	if e.UpdateTime = e.UpdateTime.Add(time.Microsecond); since.After(e.UpdateTime) {
		e.UpdateTime = since
	}
	e.NoteFall(before, w.percentOf(*e), fmt.Sprintf("Version %d of the path became mandatory.", to))
	return true
}

// percentOf is the enrollment's percent, or nil.
func (w *View) percentOf(e Enrollment) *int {
	if p := w.path(e); p != nil {
		return p.Percent()
	}
	return nil
}

// NoteFall notes what the percent was before it fell, and why. An earlier, higher one that has
// not been regained stays.
func (e *Enrollment) NoteFall(before, after *int, why string) bool {
	if before == nil || (after != nil && *after >= *before) {
		return false
	}
	if e.PreviousPercent == nil || *e.PreviousPercent < *before {
		e.PreviousPercent = before
	}
	e.PercentChangeReason = why
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

// Earned returns the awards of all milestones whose rule holds now, without the sequences that
// earned them. It does not look at the awards that are stored.
func (w *View) Earned() []Award {
	var out []Award
	for _, e := range w.learner.Enrollments {
		p := w.catalog.Paths[e.PathID]
		if e.State == EnrollmentWithdrawn || p == nil || p.Version(e.PathVersion) == nil {
			continue
		}
		v := p.Version(e.PathVersion)
		modules := w.pathModules(v, e.EnrollTime)
		for i := range v.Milestones {
			if a := w.earned(e, &v.Milestones[i], modules); a != nil {
				out = append(out, *a)
			}
		}
	}
	return out
}

// award returns the milestone's award. While its rule holds, its time and completions are
// derived; otherwise they stay as they were last stored.
func (w *View) award(e Enrollment, ms *Milestone, modules map[string]ModuleProgress) *Award {
	id := AwardID(w.learner.Head.LearnerID, e.PathID, ms.ID)
	i := slices.IndexFunc(w.learner.Awards, func(a Award) bool { return a.ID == id })
	if i < 0 || w.learner.Awards[i].Revoked() {
		return nil
	}
	stored := w.learner.Awards[i]
	if now := w.earned(e, ms, modules); now != nil {
		now.FromSequence, now.ToSequence = stored.FromSequence, stored.ToSequence
		return now
	}
	return &stored
}

// earned returns the award that the milestone's rule gives now, or nil while it does not hold.
func (w *View) earned(e Enrollment, ms *Milestone, modules map[string]ModuleProgress) *Award {
	done := func(id string) bool { m, ok := modules[id]; return ok && m.done() }
	if !tally(ms.Groups, done).done() {
		return nil
	}
	a := &Award{
		ID: AwardID(w.learner.Head.LearnerID, e.PathID, ms.ID), LearnerID: w.learner.Head.LearnerID, PathID: e.PathID,
		PathVersion: e.PathVersion, MilestoneID: ms.ID, Title: ms.Title, Rule: *ms,
	}
	for _, id := range contributing(ms.Groups, modules) {
		m := modules[id]
		a.Completions = append(a.Completions, Completion{ModuleID: id, Version: m.cycleVersion, Cycle: m.cycle, CompleteTime: m.CompleteTime})
		if m.CompleteTime.After(a.AwardTime) {
			a.AwardTime = m.CompleteTime
		}
	}
	return a
}

// contributing returns the modules that the milestone rests on: all of the "all" groups, and of
// each k-of-n group the first completed that it still needs beside those.
func contributing(groups []Group, modules map[string]ModuleProgress) []string {
	var ids []string
	for _, g := range groups {
		if g.RequiredCount == nil {
			for _, id := range g.ModuleIDs {
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
		}
	}
	all := slices.Clone(ids)
	for _, g := range groups {
		if g.RequiredCount == nil {
			continue
		}
		need := *g.RequiredCount
		var rest []string
		for _, id := range g.ModuleIDs {
			if slices.Contains(all, id) {
				need--
			} else if m, ok := modules[id]; ok && m.done() {
				rest = append(rest, id)
			}
		}
		slices.SortStableFunc(rest, func(a, b string) int {
			return cmp.Or(modules[a].CompleteTime.Compare(modules[b].CompleteTime), cmp.Compare(a, b))
		})
		for _, id := range rest[:max(0, min(need, len(rest)))] {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// next returns what to go on with: what is begun, then what wants renewing, then what is open
// and still needed, each in the path's order.
func (w *View) next(v *PathVersion, modules map[string]ModuleProgress, done func(string) bool) []NextStep {
	var goOn, renew, start []NextStep
	seen := map[string]bool{}
	for i := range v.Milestones {
		for _, g := range v.Milestones[i].Groups {
			satisfied := tally([]Group{g}, done).done()
			for _, id := range g.ModuleIDs {
				m, ok := modules[id]
				if !ok || seen[id] {
					continue
				}
				switch {
				case m.State == StateInProgress && !satisfied:
					goOn = w.appendStep(goOn, &m, StepContinue)
				case wantsRenewal(m.Currency) && w.catalog.Modules[id].State == ModuleActive:
					renew = w.appendStep(renew, &m, StepRenew)
				case m.State == StateAvailable && !satisfied && w.catalog.Modules[id].State == ModuleActive:
					start = w.appendStep(start, &m, StepStart)
				default:
					continue
				}
				seen[id] = true
			}
		}
	}
	steps := slices.Concat(goOn, renew, start)
	return steps[:min(len(steps), maxNext)]
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
		if last := &f.Cycles[len(f.Cycles)-1]; last.CompleteAt == 0 {
			c = last
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
