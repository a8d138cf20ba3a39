package progress

import (
	"cmp"
	"slices"
)

// milestoneAwards returns the learner's awards of a milestone, by number.
func (w *View) milestoneAwards(pathID, milestoneID string) []Award {
	var out []Award
	for i := range w.learner.Awards {
		if a := &w.learner.Awards[i]; a.PathID == pathID && a.MilestoneID == milestoneID {
			out = append(out, *a)
		}
	}
	slices.SortFunc(out, func(a, b Award) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// award returns the milestone's award as a reader sees it; nil: none, or it is revoked. While its rule
// holds, its time and completions are derived; otherwise they stay as they were last stored.
func (w *View) award(e Enrollment, ms *Milestone, modules modulesOf) *Award {
	had := w.milestoneAwards(e.PathID, ms.ID)
	if now := w.due(e, ms, modules, had); now != nil {
		return now
	}
	if last := lastOf(had); last != nil && !last.Revoked() {
		return last
	}
	return nil
}

// lastOf is that of a milestone's awards which says how things stand: the one that is not revoked, which
// need not be the newest, since revoking can be taken back; else the one that was revoked last; nil: none.
func lastOf(had []Award) *Award {
	var last *Award
	for i := range had {
		a := &had[i]
		if !a.Revoked() {
			return a
		}
		if last == nil || a.RevokedAt > last.RevokedAt {
			last = a
		}
	}
	return last
}

// due returns the award that the milestone's rule gives now beside those that the learner had: the one
// that is not revoked brought up to date, or a new one, which is provisional. It returns nil while the rule does
// not hold, and where it holds only by what was on record when the last award was revoked.
func (w *View) due(e Enrollment, ms *Milestone, modules modulesOf, had []Award) *Award {
	now := w.earned(e, ms, modules)
	if now == nil {
		return nil
	}
	last := lastOf(had)
	switch {
	case last == nil:
		now.Provisional = true
	case !last.Revoked():
		now.ID, now.Number, now.FromSequence, now.ToSequence = last.ID, last.Number, last.FromSequence, last.ToSequence
		now.Revocations, now.RevokedAt = last.Revocations, last.RevokedAt
	case w.heldAt(last.RevokedAt, e, ms):
		return nil
	default:
		revocations := 0
		for i := range had {
			revocations += had[i].Revocations
		}
		now.Number, now.ID = revocations+1, AwardID(now.LearnerID, e.PathID, ms.ID, revocations)
		now.Provisional = true
	}
	return now
}

// heldAt reports whether the milestone's rule holds by the records up to a sequence, less what was
// voided since.
func (w *View) heldAt(sequence int64, e Enrollment, ms *Milestone) bool {
	then := *w
	learner := *w.learner
	learner.Facts = map[string]*Facts{}
	then.learner = &learner
	for id, m := range w.mayRestOn(ms) {
		if w.learner.Facts[id] == nil {
			continue
		}
		log, err := w.moduleLog(id)
		if err != nil {
			w.fault = cmp.Or(w.fault, err)
			return true
		}
		log = slices.DeleteFunc(slices.Clone(log), func(r Record) bool { return r.Sequence > sequence && r.Event.Verb != Voided })
		learner.Facts[id] = FoldLog(m, log).AsOf(m, w.now)
	}
	modules := make(modulesOf)
	for _, id := range ms.moduleIDs() {
		if m := w.catalog.Modules[id]; m != nil {
			modules[id] = then.module(m)
		}
	}
	return then.earned(e, ms, modules) != nil
}

// mayRestOn is the modules that the milestone's rule looks at: its own, and those that stand for them.
func (w *View) mayRestOn(ms *Milestone) map[string]*Module {
	out := map[string]*Module{}
	add := func(id string) {
		if m := w.catalog.Modules[id]; m != nil {
			out[id] = m
		}
	}
	for _, id := range ms.moduleIDs() {
		add(id)
		if m := w.catalog.Modules[id]; m != nil {
			m.grants(func(_ *ModuleVersion, group []string) {
				for _, part := range group {
					add(part)
				}
			})
		}
	}
	return out
}

// earned returns the award that the milestone's rule gives now, as a first one, or nil while it does
// not hold. It is as old as the last completion that it rests on, but not older than the milestone.
func (w *View) earned(e Enrollment, ms *Milestone, modules modulesOf) *Award {
	if !modules.tally(ms.Groups).done() {
		return nil
	}
	learner := w.learner.Head.LearnerID
	a := &Award{
		ID: AwardID(learner, e.PathID, ms.ID, 0), Number: 1, LearnerID: learner, PathID: e.PathID,
		PathVersion: e.PathVersion, MilestoneID: ms.ID, Title: ms.Title, Rule: *ms, Rules: RulesVersion,
		AwardTime: w.catalog.Paths[e.PathID].milestoneSince(ms.ID).UTC(),
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

// AwardsDue returns the award of each milestone whose rule holds now, as it is to be stored; those that
// the learner does not have yet are Provisional.
func (w *View) AwardsDue() ([]Award, error) {
	var out []Award
	for _, e := range w.learner.Enrollments {
		v := w.pinned(&e)
		if v == nil {
			continue
		}
		modules := w.pathModules(v)
		for i := range v.Milestones {
			ms := &v.Milestones[i]
			if a := w.due(e, ms, modules, w.milestoneAwards(e.PathID, ms.ID)); a != nil {
				out = append(out, *a)
			}
		}
	}
	return out, w.fault
}

// Awards returns the awards that are stored, oldest first, revoked ones too, each as it stands now.
func (w *View) Awards() ([]Award, error) {
	out := slices.Clone(w.learner.Awards)
	for i := range out {
		a := &out[i]
		e := w.enrollment(a.PathID)
		if e == nil || a.Revoked() {
			continue
		}
		v := w.pinned(e)
		if v == nil {
			continue
		}
		k := slices.IndexFunc(v.Milestones, func(m Milestone) bool { return m.ID == a.MilestoneID })
		if k < 0 {
			continue
		}
		if now := w.award(*e, &v.Milestones[k], w.pathModules(v)); now != nil && now.ID == a.ID {
			*a = *now
		}
	}
	slices.SortStableFunc(out, func(a, b Award) int {
		return cmp.Or(a.AwardTime.Compare(b.AwardTime), cmp.Compare(a.FromSequence, b.FromSequence), cmp.Compare(a.ID, b.ID))
	})
	return out, w.fault
}
