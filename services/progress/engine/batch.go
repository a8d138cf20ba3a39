package engine

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// batch is one transaction's work in memory: what is believed of the learners, what changes, what is to
// be written.
type batch struct {
	from    progress.Reader
	catalog *progress.Catalog
	now     time.Time
	// unsure is set where an earlier run may have been written, for all that is known.
	unsure bool

	// base is what is believed of each learner, nil of one without a head; heads are as this batch leaves them.
	base  map[string]*recalled
	heads map[string]*progress.Head
	// missing are the learners who must be read whole before the batch can be done.
	missing map[string]bool

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
	answers  []progress.KeyedAnswer
	touched  map[string]bool
}

func newBatch(from progress.Reader, catalog *progress.Catalog, now time.Time, base map[string]*recalled) *batch {
	b := &batch{
		from: from, catalog: catalog, now: now, base: base, heads: make(map[string]*progress.Head, len(base)), missing: map[string]bool{},
		known: map[progress.EventKey]progress.KnownEvent{}, facts: map[progress.FactsKey]*progress.Facts{}, changed: map[progress.FactsKey]bool{},
		was: map[progress.FactsKey]progress.FirstCompletion{}, stale: map[progress.FactsKey]bool{}, voided: map[progress.FactsKey]bool{},
		learners:    map[string]*progress.Learner{},
		enrollments: map[string]progress.Enrollment{}, awards: map[string]progress.Award{}, touched: map[string]bool{},
	}
	for id, r := range base {
		if r == nil {
			continue
		}
		b.heads[id] = new(r.head)
		for _, k := range r.events {
			b.known[progress.EventKey{LearnerID: id, EventID: k.EventID}] = k
		}
	}
	return b
}

// errNotWhole ends a job for which a learner must be read whole. The batch is run again then.
var errNotWhole = errs.New(errs.Internal, errs.ReasonInternal, "a learner is to be read whole")

// whole returns what is believed of a learner, all of it.
func (b *batch) whole(learnerID string) (*recalled, error) {
	r := b.base[learnerID]
	if !r.whole {
		b.missing[learnerID] = true
		return nil, errNotWhole
	}
	return r, nil
}

// factsOf returns the facts of a module as this batch has them so far; nil where there are none.
func (b *batch) factsOf(ctx context.Context, key progress.FactsKey) (*progress.Facts, error) {
	if f, ok := b.facts[key]; ok {
		return f, nil
	}
	r := b.base[key.LearnerID]
	if f, ok := r.facts[key.ModuleID]; ok || r.whole {
		return f, nil
	}
	read, err := b.from.Facts(ctx, []progress.FactsKey{key})
	if err != nil {
		return nil, err
	}
	b.facts[key] = read[key]
	return read[key], nil
}

// find returns an event of the log. Of one that is not remembered only the log itself knows.
func (b *batch) find(ctx context.Context, key progress.EventKey) (progress.KnownEvent, bool, error) {
	if k, ok := b.known[key]; ok {
		return k, true, nil
	}
	if err := b.findAll(ctx, []progress.EventKey{key}); err != nil {
		return progress.KnownEvent{}, false, err
	}
	k, ok := b.known[key]
	return k, ok, nil
}

// findAll looks events up in the log.
func (b *batch) findAll(ctx context.Context, keys []progress.EventKey) error {
	found, err := b.from.KnownEvents(ctx, keys)
	if err != nil {
		return err
	}
	for _, k := range found {
		b.known[progress.EventKey{LearnerID: k.LearnerID, EventID: k.EventID}] = k
	}
	return nil
}

// expect takes up the facts that the jobs' events will be folded into.
func (b *batch) expect(jobs []*job) {
	for _, j := range jobs {
		r := b.base[j.learnerID]
		for _, e := range j.work.judged() {
			if key, folds := foldedInto(e); folds && r != nil {
				b.facts[key] = r.facts[key.ModuleID]
			}
		}
	}
}

// runAll does the jobs, as far as that can be done with what is known.
func (b *batch) runAll(ctx context.Context, jobs []*job) error {
	for _, j := range jobs {
		if err := b.run(ctx, j); err != nil && !errors.Is(err, errNotWhole) {
			return err
		}
	}
	return nil
}

// locate gives a record the time zone that the learner was in: the one that the event names, else by
// their history as it is known now.
func (b *batch) locate(ctx context.Context, r *progress.Record) error {
	head := b.heads[r.LearnerID]
	switch {
	case r.Event.TimeZone != "":
		r.Zone = r.Event.TimeZone
	case !r.EffectiveAt.Before(head.ZoneSince):
		r.Zone = head.TimeZone
	default:
		history, err := b.from.ZoneHistory(ctx, r.LearnerID)
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
	head := b.heads[j.learnerID]
	if head == nil {
		j.err = errs.New(errs.NotFound, errs.ReasonLearnerNotFound, "there is no learner %s", j.learnerID)
		return nil
	}
	var fault error
	j.err, fault = j.work.run(ctx, b, j.learnerID)
	b.logEffects(j.learnerID)
	j.sequence, j.timeline = head.Sequence, head.Timeline
	return fault
}

// append gives the record the learner's next sequence.
func (b *batch) append(r *progress.Record) {
	head := b.heads[r.LearnerID]
	if r.Type != progress.RecordEvent && head.TimeZone != "UTC" {
		r.Zone = head.TimeZone
	}
	head.Sequence++
	r.Sequence = head.Sequence
	b.touched[r.LearnerID] = true
	b.appended = append(b.appended, *r)
}

// moduleLog is the log of a module as it is believed to be stored, with what this batch adds to it.
func (b *batch) moduleLog(ctx context.Context, key progress.FactsKey) ([]progress.Record, error) {
	log, err := b.from.ModuleLog(ctx, key.LearnerID, key.ModuleID)
	if err != nil {
		return nil, err
	}
	log = upTo(log, b.base[key.LearnerID].head.Sequence)
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
	f, err := b.factsOf(ctx, key)
	if err != nil {
		return err
	}
	if _, noted := b.was[key]; !noted {
		b.was[key] = f.AsOf(m, b.now).FirstCompletion()
	}
	switch {
	case f == nil && r.Event.Verb != progress.Voided:
		f = progress.NewFacts(m)
	case f != nil && !b.changed[key]:
		f = f.Clone() // what is remembered stays as it is
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
		l.Head = *b.heads[id]
		return l, nil
	}
	r, err := b.whole(id)
	if err != nil {
		return nil, err
	}
	l := r.learner()
	for key, f := range b.facts {
		if key.LearnerID == id && f != nil {
			l.Facts[key.ModuleID] = f
		}
	}
	l.Head = *b.heads[id]
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
	l.Head = *b.heads[id]
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

// set is all that the batch is to write, with the version of every learner touched raised. It has all the
// learners, also those of whom nothing is written: what their callers are told rests on what is believed, too.
func (b *batch) set() *progress.WriteSet {
	s := &progress.WriteSet{
		Catalog: b.catalog.Revision, Records: b.appended, Audit: b.audit, Answers: b.answers,
		Enrollments: sortedValues(b.enrollments), Awards: sortedValues(b.awards), Heads: make([]progress.HeadChange, 0, len(b.heads)),
	}
	for id, head := range b.heads {
		if b.touched[id] {
			head.Version++
		}
		s.Heads = append(s.Heads, progress.HeadChange{Was: b.base[id].head, Is: *head})
	}
	slices.SortFunc(s.Heads, func(a, b progress.HeadChange) int { return cmp.Compare(a.Was.LearnerID, b.Was.LearnerID) })
	for key := range b.changed {
		s.Facts = append(s.Facts, progress.FactsChange{FactsKey: key, Was: b.base[key.LearnerID].facts[key.ModuleID], Is: b.facts[key]})
	}
	slices.SortFunc(s.Facts, func(a, b progress.FactsChange) int {
		return cmp.Or(cmp.Compare(a.LearnerID, b.LearnerID), cmp.Compare(a.ModuleID, b.ModuleID))
	})
	return s
}

// lessons are what is to be remembered of each learner once the set is written.
func (b *batch) lessons(s *progress.WriteSet) map[string]*lesson {
	out := make(map[string]*lesson, len(s.Heads))
	for i := range s.Heads {
		h := &s.Heads[i]
		l := &lesson{head: h.Is}
		if w := b.learners[h.Is.LearnerID]; w != nil {
			l.loaded, l.enrollments, l.awards = true, w.Enrollments, w.Awards
		}
		out[h.Is.LearnerID] = l
	}
	for key, f := range b.facts {
		l := out[key.LearnerID]
		if l.facts == nil {
			l.facts = map[string]*progress.Facts{}
		}
		l.facts[key.ModuleID] = f
	}
	for i := range s.Records {
		if r := &s.Records[i]; r.Type == progress.RecordEvent {
			out[r.LearnerID].events = append(out[r.LearnerID].events, b.known[progress.EventKey{LearnerID: r.LearnerID, EventID: r.Event.ID}])
		}
	}
	return out
}

// upTo returns the entries of a log up to a sequence: those written since are no part of it.
func upTo(log []progress.Record, sequence int64) []progress.Record {
	for len(log) > 0 && log[len(log)-1].Sequence > sequence {
		log = log[:len(log)-1]
	}
	return log
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
