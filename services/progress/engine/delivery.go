package engine

import (
	"context"
	"slices"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// delivery is the work of storing events that a caller sent of one learner.
type delivery struct {
	events []*progress.Judged

	// results are in the order of the events; awards are those that they earned, now or when they were first stored.
	results []progress.Result
	awards  []progress.Award
	// fall is nil where nothing that may lower a percent was sent.
	fall *fall
}

func (d *delivery) judged() []*progress.Judged { return d.events }

// run stores the events, and does what follows from them.
func (d *delivery) run(ctx context.Context, b *batch, learnerID string) (refused, fault error) {
	d.results, d.awards, d.fall = nil, nil, nil
	return nil, d.store(ctx, b, learnerID)
}

func (d *delivery) store(ctx context.Context, b *batch, learnerID string) error {
	head := b.heads[learnerID]
	from := head.Sequence + 1
	for _, e := range d.events {
		change := b.mayLower(e)
		if change == nil || d.fall != nil {
			continue
		}
		before, err := b.percents(ctx, learnerID)
		if err != nil {
			return err
		}
		d.fall = &fall{before, *change}
	}
	for _, e := range d.events {
		if err := d.record(ctx, b, learnerID, e); err != nil {
			return err
		}
	}
	turned, err := b.foldStale(ctx)
	if err != nil {
		return err
	}
	if err := d.notes(ctx, b, learnerID); err != nil {
		return err
	}
	if head.Sequence < from {
		return nil // nothing was stored, so nothing may follow from it: all that is stored must follow from the log
	}
	if turned || d.fall != nil {
		if _, err := b.learner(ctx, learnerID); err != nil {
			return err // it may write an entry, for an upgrade that became mandatory
		}
		latched, err := b.judgeAwards(ctx, learnerID, from, head.Sequence)
		if err != nil {
			return err
		}
		d.awards = append(d.awards, latched...)
	}
	if d.fall != nil {
		return b.noteFall(ctx, learnerID, d.fall.before, d.fall.why)
	}
	return nil
}

// fall is the percents before what may lower them, and why it does.
type fall struct {
	before map[string]*int
	why    progress.PercentChange
}

// mayLower returns why an event that is not known yet may lower a percent; nil: no event of its kind
// does. A void may, and one that shows that a module was begun before it was archived.
func (b *batch) mayLower(e *progress.Judged) *progress.PercentChange {
	r := &e.Record
	if _, known := b.known[progress.EventKey{LearnerID: r.LearnerID, EventID: r.Event.ID}]; known || e.Refusal != nil {
		return nil
	}
	if r.Event.Verb == progress.Voided {
		return &progress.PercentChange{Code: progress.ChangeVoided}
	}
	m := b.catalog.Modules[r.Event.ModuleID]
	if m != nil && b.facts[progress.FactsKey{LearnerID: r.LearnerID, ModuleID: m.ID}].BeginsBeforeArchive(m, r.EffectiveAt, b.now) {
		return &progress.PercentChange{Code: progress.ChangeBegun, ModuleID: m.ID}
	}
	return nil
}

// notes sets why each stored event does not count, as things are after all of them.
func (d *delivery) notes(ctx context.Context, b *batch, learnerID string) error {
	fresh := map[string]*progress.Facts{}
	for i := range d.results {
		r := &d.results[i]
		stored := r.Status == progress.StatusAccepted || r.Status == progress.StatusDuplicate
		if !stored || d.events[i].Record.Event.Verb == progress.Voided {
			continue
		}
		k := b.known[progress.EventKey{LearnerID: learnerID, EventID: r.EventID}]
		m := b.catalog.Modules[k.ModuleID]
		if m == nil {
			continue // a catalog restored from an older backup lacks it
		}
		f, ok := fresh[m.ID]
		if !ok {
			var err error
			if f, err = b.fresh(ctx, progress.FactsKey{LearnerID: learnerID, ModuleID: m.ID}, m); err != nil {
				return err
			}
			fresh[m.ID] = f
		}
		note := f.Note(m, &k, b.now)
		if note != nil && r.Status == progress.StatusDuplicate {
			voided, err := b.isVoided(ctx, learnerID, r.EventID)
			if err != nil {
				return err
			}
			if voided {
				note = nil // it counts for nothing, whatever the time
			}
		}
		r.Note = note
	}
	return nil
}

// fresh returns the facts of a module as they are now; nothing of them is to be written.
func (b *batch) fresh(ctx context.Context, key progress.FactsKey, m *progress.Module) (*progress.Facts, error) {
	f, err := b.factsOf(ctx, key)
	if err != nil {
		return nil, err
	}
	if f == nil || f.Stale(m) {
		log, err := b.moduleLog(ctx, key)
		if err != nil {
			return nil, err
		}
		f = progress.FoldLog(m, log)
	}
	return f.AsOf(m, b.now), nil
}

// record stores one event, unless it is known or cannot be, and folds it.
func (d *delivery) record(ctx context.Context, b *batch, learnerID string, e *progress.Judged) error {
	key := progress.EventKey{LearnerID: learnerID, EventID: e.Record.Event.ID}
	if k, ok := b.known[key]; ok {
		return d.again(b, e, k)
	}
	rec, bad, err := b.settle(ctx, e)
	if err != nil {
		return err
	}
	if bad != nil {
		// An event that is to be stored, and is in the log, meets the log's index. One that is not goes by
		// what the log says of it.
		k, ok, err := b.find(ctx, key)
		switch {
		case err != nil:
			return err
		case ok:
			return d.again(b, e, k)
		}
		d.results = append(d.results, *bad)
		return nil
	}
	if rec.Event.Verb == progress.Voided {
		if rec.Effects, err = b.beforeVoid(ctx, &rec); err != nil {
			return err
		}
	}
	b.append(&rec)
	b.auditEvent(&rec)
	b.known[key] = progress.KnownEvent{
		LearnerID: learnerID, EventID: rec.Event.ID, Sequence: rec.Sequence, PayloadHash: rec.PayloadHash,
		ModuleID: rec.Event.ModuleID, ModuleVersion: rec.Event.ModuleVersion, UnitID: rec.Event.UnitID, EffectiveAt: rec.EffectiveAt,
	}
	d.results = append(d.results, progress.Result{
		EventID: rec.Event.ID, Status: progress.StatusAccepted, Sequence: rec.Sequence, ModuleID: rec.Event.ModuleID,
	})
	return b.fold(ctx, &rec)
}

// settle returns the record of an event that is not known, or why it is not to be stored.
func (b *batch) settle(ctx context.Context, e *progress.Judged) (rec progress.Record, bad *progress.Result, err error) {
	if e.Refusal != nil {
		return rec, e.Refusal, nil
	}
	again := *e // a batch may be run again, at another time
	if bad := again.Settle(b.catalog, b.now); bad != nil {
		return rec, bad, nil
	}
	rec = again.Record
	if err := b.locate(ctx, &rec); err != nil || rec.Event.Verb != progress.Voided {
		return rec, nil, err
	}
	bad, err = b.aimVoid(ctx, rec.LearnerID, &rec)
	return rec, bad, err
}

// again adds the result of an event that is in the log, or was sent under the id of one that is.
func (d *delivery) again(b *batch, e *progress.Judged, k progress.KnownEvent) error {
	r := &e.Record
	if k.PayloadHash != r.PayloadHash {
		d.results = append(
			d.results,
			*progress.Reject(&r.Event, errs.ReasonEventIDReused, "this eventId was sent before with other content; give each event an id of its own"),
		)
		return nil
	}
	d.results = append(d.results, progress.Result{EventID: r.Event.ID, Status: progress.StatusDuplicate, Sequence: k.Sequence, ModuleID: k.ModuleID})
	return d.earnedBy(b, r.LearnerID, k.Sequence)
}

// auditEvent notes what an admin did to a learner's log.
func (b *batch) auditEvent(r *progress.Record) {
	e := progress.AuditEntry{
		Time: b.now, Actor: r.ActorID, Action: progress.ActionRecordedFor, Reason: r.Event.Reason,
		Resource: "learners/" + r.LearnerID + "/events/" + r.Event.ID,
	}
	switch {
	case r.Event.Verb == progress.Voided:
		e.Action = progress.ActionVoided
	case r.Event.Verb == progress.Waived:
		e.Action = progress.ActionWaived
	case r.ActorID == r.LearnerID:
		return
	}
	b.audit = append(b.audit, e)
}

// beforeVoid returns, to go with a void, the percent of its module before it. The first of several voids in
// a row says it for all: what they take is taken from that, and each would cost a look at the whole log.
func (b *batch) beforeVoid(ctx context.Context, r *progress.Record) (*progress.Effects, error) {
	if b.voided[progress.FactsKey{LearnerID: r.LearnerID, ModuleID: r.Event.ModuleID}] {
		return nil, nil //nolint:nilnil // no percent, and no fault
	}
	if _, err := b.foldStale(ctx); err != nil {
		return nil, err
	}
	l, err := b.learner(ctx, r.LearnerID)
	if err != nil {
		return nil, err
	}
	m := b.catalog.Modules[r.Event.ModuleID]
	if m == nil {
		return nil, nil //nolint:nilnil // a catalog restored from an older backup lacks it: no percent, and no fault
	}
	return &progress.Effects{PercentBefore: b.view(ctx, l).ModulePercent(m)}, nil
}

// aimVoid finds the event to void. A void needs its target, is final, and is not voidable.
func (b *batch) aimVoid(ctx context.Context, learnerID string, r *progress.Record) (*progress.Result, error) {
	i := slices.IndexFunc(b.appended, func(p progress.Record) bool {
		return p.LearnerID == learnerID && p.Type == progress.RecordEvent && p.Event.ID == r.Event.VoidsEventID
	})
	var target progress.Record
	if i >= 0 {
		target = b.appended[i]
	} else {
		var err error
		if target, err = b.from.EventByID(ctx, learnerID, r.Event.VoidsEventID); errs.KindOf(err) == errs.NotFound {
			return progress.Reject(&r.Event, errs.ReasonVoidTargetUnknown, "the log has no event %s to void", r.Event.VoidsEventID), nil
		} else if err != nil {
			return nil, err
		}
	}
	if target.Event.Verb == progress.Voided {
		return progress.Reject(&r.Event, errs.ReasonNotVoidable, "event %s is itself a void, and a void is final", r.Event.VoidsEventID), nil
	}
	voided, err := b.isVoided(ctx, learnerID, r.Event.VoidsEventID)
	if err != nil {
		return nil, err
	}
	if voided {
		return progress.Reject(&r.Event, errs.ReasonAlreadyVoided, "event %s is voided already", r.Event.VoidsEventID), nil
	}
	// The void is filed with what it takes back, so that the module's log is whole.
	r.Event.ModuleID, r.Event.ModuleVersion, r.Event.UnitID = target.Event.ModuleID, target.Event.ModuleVersion, target.Event.UnitID
	return nil, nil //nolint:nilnil // no verdict against it, and no fault
}

// isVoided reports whether an event of the learner's is voided, in the log or by this batch.
func (b *batch) isVoided(ctx context.Context, learnerID, eventID string) (bool, error) {
	voids := func(p progress.Record) bool { return p.LearnerID == learnerID && p.Event.VoidsEventID == eventID }
	if slices.ContainsFunc(b.appended, voids) {
		return true, nil
	}
	return b.from.IsVoided(ctx, learnerID, eventID)
}

// earnedBy adds the awards that the delivery of a known event earned.
func (d *delivery) earnedBy(b *batch, learnerID string, sequence int64) error {
	r, err := b.whole(learnerID)
	if err != nil {
		return err
	}
	awards := r.awards
	if l := b.learners[learnerID]; l != nil {
		awards = l.Awards
	}
	for _, a := range awards {
		had := slices.ContainsFunc(d.awards, func(o progress.Award) bool { return o.ID == a.ID })
		if a.FromSequence <= sequence && sequence <= a.ToSequence && !had {
			d.awards = append(d.awards, a)
		}
	}
	return nil
}
