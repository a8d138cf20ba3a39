package engine

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// batch is one transaction's work in memory: what was read, what changes, what is to be written.
type batch struct {
	tx      progress.Tx
	catalog *progress.Catalog
	now     time.Time

	known   map[progress.EventKey]progress.KnownEvent
	facts   map[progress.FactsKey]*progress.Facts
	changed map[progress.FactsKey]bool
	// was is the completion of each module before the current job touched it; stale are the
	// facts whose log is to be folded again.
	was   map[progress.FactsKey]progress.FirstCompletion
	stale map[progress.FactsKey]bool
	// voided are the modules whose last event in the current job is a void.
	voided      map[progress.FactsKey]bool
	appended    []progress.Record
	learners    map[string]*progress.Learner
	enrollments map[string]progress.Enrollment
	awards      map[string]progress.Award
	// unlogged are the enrollments and awards that the current job changed and no record of its says yet.
	unlogged progress.Effects
	audit    []progress.AuditEntry
	touched  map[string]bool
}

func newBatch(tx progress.Tx, catalog *progress.Catalog, now time.Time) *batch {
	return &batch{
		tx: tx, catalog: catalog, now: now,
		known: map[progress.EventKey]progress.KnownEvent{}, facts: map[progress.FactsKey]*progress.Facts{}, changed: map[progress.FactsKey]bool{},
		was: map[progress.FactsKey]progress.FirstCompletion{}, stale: map[progress.FactsKey]bool{}, voided: map[progress.FactsKey]bool{},
		learners:    map[string]*progress.Learner{},
		enrollments: map[string]progress.Enrollment{}, awards: map[string]progress.Award{}, touched: map[string]bool{},
	}
}

// prefetch reads in two queries what almost every event needs.
func (b *batch) prefetch(ctx context.Context, jobs []*job) error {
	var events []progress.EventKey
	var keys []progress.FactsKey
	asked := map[progress.FactsKey]bool{}
	for _, j := range jobs {
		for _, e := range j.work.judged() {
			r := &e.Record
			events = append(events, progress.EventKey{LearnerID: j.learnerID, EventID: r.Event.ID})
			if key := (progress.FactsKey{LearnerID: j.learnerID, ModuleID: r.Event.ModuleID}); r.Event.Verb != progress.Voided && e.Refusal == nil && !asked[key] {
				asked[key] = true
				keys = append(keys, key)
			}
		}
	}
	if len(events) == 0 {
		return nil
	}
	known, err := b.tx.KnownEvents(ctx, events)
	if err != nil {
		return err
	}
	for _, k := range known {
		b.known[progress.EventKey{LearnerID: k.LearnerID, EventID: k.EventID}] = k
	}
	if len(keys) == 0 {
		return nil
	}
	facts, err := b.tx.Facts(ctx, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		b.facts[key] = facts[key]
	}
	return nil
}

// locate gives a record the time zone that the learner was in: the one that the event names, else by
// their history as it is known now.
func (b *batch) locate(ctx context.Context, r *progress.Record) error {
	head := b.tx.Head(r.LearnerID)
	switch {
	case r.Event.TimeZone != "":
		r.Zone = r.Event.TimeZone
	case !r.EffectiveAt.Before(head.ZoneSince):
		r.Zone = head.TimeZone
	default:
		history, err := b.tx.ZoneHistory(ctx, r.LearnerID)
		if err != nil {
			return err
		}
		for _, z := range history {
			if !z.Since.After(r.EffectiveAt) {
				r.Zone = z.TimeZone
			}
		}
	}
	if r.Zone == "UTC" {
		r.Zone = ""
	}
	return nil
}

// run does one job. An error that concerns only this job goes into it; one that is returned
// fails the transaction.
func (b *batch) run(ctx context.Context, j *job) error {
	clear(b.was)
	clear(b.voided)
	var fault error
	j.err, fault = j.work.run(ctx, b, j.learnerID)
	b.logEffects(j.learnerID)
	head := b.tx.Head(j.learnerID)
	j.sequence, j.timeline = head.Sequence, head.Timeline
	return fault
}

// append gives the record the learner's next sequence.
func (b *batch) append(r *progress.Record) {
	head := b.tx.Head(r.LearnerID)
	if r.Type != progress.RecordEvent && head.TimeZone != "UTC" {
		r.Zone = head.TimeZone
	}
	head.Sequence++
	r.Sequence = head.Sequence
	b.touched[r.LearnerID] = true
	b.appended = append(b.appended, *r)
}

// moduleLog is the stored log of a module with what this batch adds to it.
func (b *batch) moduleLog(ctx context.Context, key progress.FactsKey) ([]progress.Record, error) {
	log, err := b.tx.ModuleLog(ctx, key.LearnerID, key.ModuleID)
	if err != nil {
		return nil, err
	}
	for i := range b.appended {
		if r := &b.appended[i]; r.LearnerID == key.LearnerID && r.Type == progress.RecordEvent && r.Event.ModuleID == key.ModuleID {
			log = append(log, *r)
		}
	}
	return log, nil
}

// fold brings the module's facts up to the record, in one step where the order of folding lets
// it; else it notes that the log must be folded again, which is done once for all of a job.
func (b *batch) fold(ctx context.Context, r *progress.Record) error {
	key := progress.FactsKey{LearnerID: r.LearnerID, ModuleID: r.Event.ModuleID}
	m := b.catalog.Modules[key.ModuleID]
	if m == nil {
		return errs.New(errs.Internal, errs.ReasonInternal, "folding an event of unknown module %s", key.ModuleID)
	}
	f, read := b.facts[key]
	if !read {
		facts, err := b.tx.Facts(ctx, []progress.FactsKey{key})
		if err != nil {
			return err
		}
		f = facts[key]
	}
	if _, noted := b.was[key]; !noted {
		b.was[key] = f.AsOf(m, b.now).FirstCompletion()
	}
	if f == nil && r.Event.Verb != progress.Voided {
		f = progress.NewFacts(m)
	}
	if f == nil || b.stale[key] || r.Event.Verb == progress.Voided || !f.Add(m, r) {
		b.stale[key] = true
	}
	b.facts[key], b.changed[key], b.voided[key] = f, true, r.Event.Verb == progress.Voided
	return nil
}

// foldStale folds the logs again that fold noted, and returns whether the first completion of
// some module came, went or moved in this job.
func (b *batch) foldStale(ctx context.Context) (bool, error) {
	turned := false
	for key, was := range b.was {
		m := b.catalog.Modules[key.ModuleID]
		if b.stale[key] {
			log, err := b.moduleLog(ctx, key)
			if err != nil {
				return false, err
			}
			b.facts[key] = progress.FoldLog(m, log)
			delete(b.stale, key)
		}
		facts := b.facts[key].AsOf(m, b.now)
		if l := b.learners[key.LearnerID]; l != nil {
			l.Facts[key.ModuleID] = facts
		}
		turned = turned || facts.FirstCompletion() != was
	}
	return turned, nil
}

// learner returns all of a learner as this batch leaves it.
func (b *batch) learner(ctx context.Context, id string) (*progress.Learner, error) {
	if l := b.learners[id]; l != nil {
		l.Head = *b.tx.Head(id)
		return l, nil
	}
	l, err := b.tx.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	for key, f := range b.facts {
		if key.LearnerID == id && f != nil {
			l.Facts[key.ModuleID] = f
		}
	}
	l.Head = *b.tx.Head(id)
	for moduleID, f := range l.Facts {
		if m := b.catalog.Modules[moduleID]; m != nil && f.Stale(m) {
			log, err := b.moduleLog(ctx, progress.FactsKey{LearnerID: id, ModuleID: moduleID})
			if err != nil {
				return nil, err
			}
			l.Facts[moduleID] = progress.FoldLog(m, log)
		}
	}
	b.learners[id] = l
	for _, e := range b.settled(ctx, l).Advance() {
		why := progress.PercentChange{Code: progress.ChangeMandated, PathVersion: e.PathVersion}
		b.logEnrollment(progress.RecordUpgraded, progress.SystemActor, why.Text(), e)
	}
	l.Head = *b.tx.Head(id)
	return l, nil
}

// view is the learner as a reader sees them.
func (b *batch) view(ctx context.Context, l *progress.Learner) *progress.View {
	return progress.NewView(b.catalog, l, b.now, b.logOf(ctx, l))
}

// settled is the learner by what may be latched.
func (b *batch) settled(ctx context.Context, l *progress.Learner) *progress.View {
	return progress.NewSettledView(b.catalog, l, b.now, b.logOf(ctx, l))
}

func (b *batch) logOf(ctx context.Context, l *progress.Learner) func(moduleID string) ([]progress.Record, error) {
	return func(moduleID string) ([]progress.Record, error) {
		return b.moduleLog(ctx, progress.FactsKey{LearnerID: l.Head.LearnerID, ModuleID: moduleID})
	}
}

// judgeAwards latches the milestones whose rule holds and that have no award yet, and brings
// the awards whose rule still holds up to date. The rest stay as they were last stored.
// It returns those that it latched.
func (b *batch) judgeAwards(ctx context.Context, learnerID string, from, to int64) (latched []progress.Award, err error) {
	l, err := b.learner(ctx, learnerID)
	if err != nil {
		return nil, err
	}
	due, err := b.settled(ctx, l).AwardsDue()
	if err != nil {
		return nil, err
	}
	for _, a := range due {
		if a.Provisional {
			a.Provisional, a.FromSequence, a.ToSequence = false, from, to
			latched = append(latched, a)
			b.putAward(l, a)
			continue
		}
		k := slices.IndexFunc(l.Awards, func(s progress.Award) bool { return s.ID == a.ID })
		if k < 0 || !reflect.DeepEqual(a, l.Awards[k]) {
			b.putAward(l, a)
		}
	}
	return latched, nil
}

// putAward stores an award of the learner, new or in place of what was.
func (b *batch) putAward(l *progress.Learner, a progress.Award) {
	b.awards[a.ID] = a
	b.touched[a.LearnerID] = true
	l.Awards = put(l.Awards, a, func(o progress.Award) bool { return o.ID == a.ID })
	b.unlogged.Awards = put(b.unlogged.Awards, a, func(o progress.Award) bool { return o.ID == a.ID })
}

// put replaces what is the same, or adds v.
func put[T any](in []T, v T, same func(T) bool) []T {
	if i := slices.IndexFunc(in, same); i >= 0 {
		in[i] = v
		return in
	}
	return append(in, v)
}

// percents returns the percent of each of the learner's enrollments, by enrollment id.
func (b *batch) percents(ctx context.Context, learnerID string) (map[string]*int, error) {
	if _, err := b.foldStale(ctx); err != nil {
		return nil, err
	}
	l, err := b.learner(ctx, learnerID)
	if err != nil {
		return nil, err
	}
	return b.view(ctx, l).Percents(), nil
}

// noteFall notes, with each enrollment whose percent fell, what it was before and why. One
// that has not been regained since an earlier fall stays.
func (b *batch) noteFall(ctx context.Context, learnerID string, before map[string]*int, why progress.PercentChange) error {
	after, err := b.percents(ctx, learnerID)
	if err != nil {
		return err
	}
	l, err := b.learner(ctx, learnerID)
	if err != nil {
		return err
	}
	for i := range l.Enrollments {
		e := &l.Enrollments[i]
		if e.NoteFall(before[e.ID], after[e.ID], why) {
			b.putEnrollment(*e)
		}
	}
	return nil
}

func (b *batch) putEnrollment(e progress.Enrollment) {
	same := func(o progress.Enrollment) bool { return o.ID == e.ID }
	b.enrollments[e.ID] = e
	b.touched[e.LearnerID] = true
	b.unlogged.Enrollments = put(b.unlogged.Enrollments, e, same)
	if l := b.learners[e.LearnerID]; l != nil {
		if l.Enrollments = put(l.Enrollments, e, same); e.State == progress.EnrollmentWithdrawn {
			l.Enrollments = slices.DeleteFunc(l.Enrollments, same)
		}
	}
}

// logEnrollment stores an enrollment with a log entry of its own.
func (b *batch) logEnrollment(kind progress.RecordType, actor, reason string, e progress.Enrollment) {
	b.append(&progress.Record{
		LearnerID: e.LearnerID, Type: kind, ReceivedAt: b.now, EffectiveAt: b.now, ActorID: actor, Reason: reason,
		Effects: &progress.Effects{Enrollments: []progress.Enrollment{e}},
	})
	b.putEnrollment(e)
	b.unlogged.Enrollments = slices.DeleteFunc(b.unlogged.Enrollments, func(o progress.Enrollment) bool { return o.ID == e.ID })
}

// logEffects has the learner's newest record of this batch say what their job did that no record says yet.
func (b *batch) logEffects(learnerID string) {
	did := b.unlogged
	b.unlogged = progress.Effects{}
	if len(did.Enrollments) == 0 && len(did.Awards) == 0 {
		return
	}
	for i := range slices.Backward(b.appended) {
		r := &b.appended[i]
		if r.LearnerID != learnerID {
			continue
		}
		if r.Effects == nil {
			r.Effects = new(progress.Effects)
		}
		for _, e := range did.Enrollments {
			r.Effects.Enrollments = put(r.Effects.Enrollments, e, func(o progress.Enrollment) bool { return o.ID == e.ID })
		}
		r.Effects.Awards = append(r.Effects.Awards, did.Awards...)
		return
	}
}

// flush writes everything, and raises the version of every learner touched.
func (b *batch) flush(ctx context.Context) error {
	for id := range b.touched {
		b.tx.Head(id).Version++
	}
	if len(b.appended) > 0 {
		if err := b.tx.Append(ctx, b.appended); err != nil {
			return err
		}
	}
	if len(b.changed) > 0 {
		facts := make(map[progress.FactsKey]*progress.Facts, len(b.changed))
		for key := range b.changed {
			facts[key] = b.facts[key]
		}
		if err := b.tx.PutFacts(ctx, facts); err != nil {
			return err
		}
	}
	if len(b.enrollments) > 0 {
		if err := b.tx.PutEnrollments(ctx, sortedValues(b.enrollments)); err != nil {
			return err
		}
	}
	if len(b.awards) > 0 {
		if err := b.tx.PutAwards(ctx, sortedValues(b.awards)); err != nil {
			return err
		}
	}
	if len(b.audit) > 0 {
		return b.tx.Audit(ctx, b.audit)
	}
	return nil
}

// sortedValues returns the values in order of their keys, so that two transactions write rows in one order.
func sortedValues[V any](m map[string]V) []V {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]V, 0, len(m))
	for _, k := range keys {
		out = append(out, m[k])
	}
	return out
}
