package replay

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// DriftKind is what of a learner's differs.
type DriftKind string

// The kinds of drift.
const (
	DriftFacts      DriftKind = "FACTS"
	DriftEnrollment DriftKind = "ENROLLMENT"
	DriftAward      DriftKind = "AWARD"
)

// Drift is something stored that is not what the log gives.
type Drift struct {
	LearnerID string
	Kind      DriftKind
	// ID is the module's, the enrollment's or the award's.
	ID string
	// Stored and Replayed are it as JSON; "null": there is none.
	Stored, Replayed string
}

// nothing is what a Drift says where there is none.
const nothing = "null"

// entry is what folding needs of an event that counts, in little room: however long a learner's
// log is, it is held as these until it ends.
type entry struct {
	at, occurredAt  int64
	id, unitID      string
	zone            string
	verb            progress.Verb
	version         int
	score, progress *float64
	own             bool // the learner sent it themself
}

// into makes the entry a record again.
func (e *entry) into(r *progress.Record) {
	r.ActorID = ""
	if e.own {
		r.ActorID = r.LearnerID
	}
	r.EffectiveAt, r.Zone = time.UnixMicro(e.at).UTC(), e.zone
	r.Event.ID, r.Event.ModuleVersion, r.Event.UnitID, r.Event.Verb = e.id, e.version, e.unitID, e.verb
	r.Event.Score, r.Event.Progress, r.Event.OccurredAt = e.score, e.progress, time.UnixMicro(e.occurredAt).UTC()
}

// moduleEntries are a learner's events of one module, in log order.
type moduleEntries struct {
	entries []entry
	voids   []progress.Record
}

// fold is foldLog.
func (l *moduleEntries) fold(m *progress.Module, learnerID string) *progress.Facts {
	f := progress.NewFacts(m)
	if len(l.voids) > 0 {
		voided := make(map[string]bool, len(l.voids))
		for i := range l.voids {
			voided[l.voids[i].Event.VoidsEventID] = true
			f.NoteVoid(&l.voids[i])
		}
		l.entries = slices.DeleteFunc(l.entries, func(e entry) bool { return voided[e.id] })
	}
	slices.SortFunc(l.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.occurredAt, b.occurredAt), cmp.Compare(a.id, b.id))
	})
	r := progress.Record{LearnerID: learnerID, Type: progress.RecordEvent, Event: progress.Event{ModuleID: m.ID}}
	for i := range l.entries {
		l.entries[i].into(&r)
		f.Step(m, &r)
	}
	return f
}

// replaying is one learner's log, as far as it has been read.
type replaying struct {
	modules     map[string]*moduleEntries
	enrollments map[string]progress.Enrollment
	awards      map[string]progress.Award
	// spare are emptied moduleEntries, for the next learner; names holds one string of each unit and verb.
	spare []*moduleEntries
	names map[string]string
}

func newReplaying() *replaying {
	return &replaying{
		modules: map[string]*moduleEntries{}, enrollments: map[string]progress.Enrollment{}, awards: map[string]progress.Award{}, names: map[string]string{},
	}
}

// reset forgets the learner.
func (p *replaying) reset() {
	for _, l := range p.modules {
		clear(l.entries)
		if l.entries, l.voids = l.entries[:0], nil; cap(l.entries) <= spareEntries {
			p.spare = append(p.spare, l)
		}
	}
	clear(p.modules)
	clear(p.enrollments)
	clear(p.awards)
}

// spareEntries is how much room for entries is reused for the next learner.
const spareEntries = 1024

// add takes the next entry of the log.
func (p *replaying) add(r *progress.Record) {
	if r.Type == progress.RecordEvent {
		l := p.module(r.Event.ModuleID)
		if r.Event.Verb == progress.Voided {
			l.voids = append(l.voids, *r)
		} else {
			l.entries = append(l.entries, entry{
				at: r.EffectiveAt.UnixMicro(), occurredAt: r.Event.OccurredAt.UnixMicro(), id: r.Event.ID, unitID: p.name(r.Event.UnitID), zone: p.name(r.Zone),
				verb: progress.Verb(p.name(string(r.Event.Verb))), version: r.Event.ModuleVersion, score: r.Event.Score, progress: r.Event.Progress,
				own: r.ActorID == r.LearnerID,
			})
		}
	}
	if r.Effects == nil {
		return
	}
	for _, e := range r.Effects.Enrollments {
		p.enrollments[e.ID] = e
	}
	for _, a := range r.Effects.Awards {
		p.awards[a.ID] = a
	}
}

func (p *replaying) module(id string) *moduleEntries {
	l := p.modules[id]
	if l == nil {
		if n := len(p.spare); n > 0 {
			l, p.spare = p.spare[n-1], p.spare[:n-1]
		} else {
			l = new(moduleEntries)
		}
		p.modules[id] = l
	}
	return l
}

func (p *replaying) name(s string) string {
	name, ok := p.names[s]
	if !ok {
		name = strings.Clone(s) // of a whole entry, which goes
		p.names[name] = name
	}
	return name
}

// stored is what is stored of one learner.
type stored struct {
	head        progress.Head
	facts       map[string]progress.StoredFacts
	enrollments map[string]progress.Enrollment
	awards      map[string]progress.Award
}

func newStored(h progress.Head) *stored {
	return &stored{head: h, facts: map[string]progress.StoredFacts{}, enrollments: map[string]progress.Enrollment{}, awards: map[string]progress.Award{}}
}

// repair is what must be written so that what is stored of a learner is what their log gives.
type repair struct {
	head   progress.Head
	drifts []Drift
	// facts that are nil are to be taken away.
	facts       map[string]*progress.Facts
	enrollments []progress.Enrollment
	awards      []progress.Award
	// older reports whether the learner was last brought to older rules; fallen are the enrollments
	// whose percent is lower by these.
	older  bool
	fallen []progress.Enrollment
}

func (m *repair) empty() bool {
	return !m.older && len(m.facts) == 0 && len(m.enrollments) == 0 && len(m.awards) == 0
}

// compare returns how what is stored of a learner differs from what their whole log gives.
//
// Facts that the catalog has made stale are no drift: readers fold them again. What other rules make
// of the log is one: it is what an operator wants to see before the learners do.
// Nor is what time alone did, which a sweep may have stored: both sides are taken as of now. Modules
// that the catalog lacks, since it was restored from an older backup, are left alone. An enrollment
// or award that is in no log entry is a drift, but nothing repairs it: a learner may rely on it.
func (p *replaying) compare(c *progress.Catalog, s *stored, now time.Time) (*repair, error) {
	out := &repair{head: s.head, facts: map[string]*progress.Facts{}, older: s.head.Rules < progress.RulesVersion}
	folded := map[string]*progress.Facts{}
	for id, l := range p.modules {
		if m := c.Modules[id]; m != nil {
			folded[id] = l.fold(m, s.head.LearnerID)
			if err := out.compareFacts(m, s, folded[id], now); err != nil {
				return nil, err
			}
		}
	}
	for id, f := range s.facts {
		if c.Modules[id] != nil && p.modules[id] == nil {
			out.facts[id] = nil
			out.drift(DriftFacts, id, stateText(f.State), nothing)
		}
	}
	e := comparison[progress.Enrollment]{kind: DriftEnrollment, stored: s.enrollments, replayed: p.enrollments}
	a := comparison[progress.Award]{kind: DriftAward, stored: s.awards, replayed: p.awards}
	if err := e.run(out); err != nil {
		return nil, err
	}
	if err := a.run(out); err != nil {
		return nil, err
	}
	out.enrollments, out.awards = storable(e.differ, s.enrollments, p.enrollments), a.differ
	if out.older {
		if err := out.compareRules(c, s, folded, now); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out.drifts, func(a, b Drift) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

func (m *repair) drift(kind DriftKind, id, stored, replayed string) {
	m.drifts = append(m.drifts, Drift{LearnerID: m.head.LearnerID, Kind: kind, ID: id, Stored: stored, Replayed: replayed})
}

// compareFacts compares a module's stored facts with those that its log gives.
func (m *repair) compareFacts(module *progress.Module, s *stored, f *progress.Facts, now time.Time) error {
	var room [1024]byte
	state := progress.AppendFacts(room[:0], f)
	was, found := s.facts[module.ID]
	same := found && was.State == string(state)
	if same && was.Summary == f.Summary() {
		return nil
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	old, harmed := progress.DecodeFacts(was.State)
	switch {
	case !found:
		m.drift(DriftFacts, module.ID, nothing, string(text))
	case same:
		m.driftSummary(module.ID, was.Summary, f.Summary())
	case harmed != nil:
		m.drift(DriftFacts, module.ID, stateText(was.State), string(text))
	case old.ByOtherRules() && !old.SameCompletions(f):
		m.drift(DriftFacts, module.ID, old.CompletionsText(), f.CompletionsText())
	case old.Stale(module):
		// It is written, so that readers are spared from folding it, and is no drift.
	default:
		before, err1 := json.Marshal(old.AsOf(module, now))
		after, err2 := json.Marshal(f.AsOf(module, now))
		switch {
		case err1 != nil || err2 != nil:
			return cmp.Or(err1, err2)
		case string(before) != string(after):
			m.drift(DriftFacts, module.ID, string(before), string(after))
		case was.Summary != old.Summary():
			m.driftSummary(module.ID, was.Summary, old.Summary())
		default:
			return nil
		}
	}
	m.facts[module.ID] = f
	return nil
}

// compareRules notes the enrollments whose percent is lower by these rules than by those before.
func (m *repair) compareRules(c *progress.Catalog, s *stored, folded map[string]*progress.Facts, now time.Time) error {
	was := &progress.Learner{Head: s.head, Facts: map[string]*progress.Facts{}}
	for id, f := range s.facts {
		if old, err := progress.DecodeFacts(f.State); err == nil && c.Modules[id] != nil {
			was.Facts[id] = old
		}
	}
	for _, e := range s.enrollments {
		if e.State != progress.EnrollmentWithdrawn {
			was.Enrollments = append(was.Enrollments, e)
		}
	}
	slices.SortFunc(was.Enrollments, func(a, b progress.Enrollment) int { return cmp.Compare(a.ID, b.ID) })
	is := *was
	is.Facts = folded
	for id, f := range folded {
		folded[id] = f.AsOf(c.Modules[id], now)
	}
	m.fallen = progress.FallenByRules(c, was, &is, now)
	for i := range m.fallen {
		before, err1 := json.Marshal(s.enrollments[m.fallen[i].ID])
		after, err2 := json.Marshal(m.fallen[i])
		if err := cmp.Or(err1, err2); err != nil {
			return err
		}
		m.drift(DriftEnrollment, m.fallen[i].ID, string(before), string(after))
	}
	return nil
}

// driftSummary notes a summary that is not what the facts beside it say.
func (m *repair) driftSummary(id string, was, is progress.Summary) {
	text := func(s progress.Summary) string {
		b, _ := json.Marshal(map[string]any{"summary": s}) //nolint:errchkjson // numbers and texts always can be
		return string(b)
	}
	m.drift(DriftFacts, id, text(was), text(is))
}

// stateText is stored facts as JSON; of what is harmed, its bytes as a hexadecimal string.
func stateText(state string) string {
	var out any = hex.EncodeToString([]byte(state))
	if f, err := progress.DecodeFacts(state); err == nil {
		out = f
	}
	b, _ := json.Marshal(out) //nolint:errchkjson // a string always can be, and so can facts without NaN
	return string(b)
}

// comparison compares what is stored of one kind with what the log gives, as JSON.
type comparison[T any] struct {
	kind             DriftKind
	stored, replayed map[string]T
	// differ are those of the log that are not stored so.
	differ []T
}

func (c *comparison[T]) run(m *repair) error {
	for id, is := range c.replayed {
		after, err := json.Marshal(is)
		if err != nil {
			return err
		}
		before := []byte(nothing)
		if was, ok := c.stored[id]; ok {
			if before, err = json.Marshal(was); err != nil {
				return err
			}
		}
		if string(before) != string(after) {
			m.drift(c.kind, id, string(before), string(after))
			c.differ = append(c.differ, is)
		}
	}
	for id, was := range c.stored {
		if _, ok := c.replayed[id]; !ok {
			before, err := json.Marshal(was)
			if err != nil {
				return err
			}
			m.drift(c.kind, id, string(before), nothing)
		}
	}
	return nil
}

// storable are the enrollments that can be written beside those that stay: withdrawn ones first, to
// make room, and none of a path that a stored one without a log entry holds.
func storable(differ []progress.Enrollment, stored, replayed map[string]progress.Enrollment) []progress.Enrollment {
	held := map[string]bool{}
	for id, e := range stored {
		if _, logged := replayed[id]; !logged && e.State != progress.EnrollmentWithdrawn {
			held[e.PathID] = true
		}
	}
	out := slices.DeleteFunc(differ, func(e progress.Enrollment) bool { return e.State != progress.EnrollmentWithdrawn && held[e.PathID] })
	slices.SortFunc(out, func(a, b progress.Enrollment) int {
		if (a.State == progress.EnrollmentWithdrawn) != (b.State == progress.EnrollmentWithdrawn) {
			if a.State == progress.EnrollmentWithdrawn {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return out
}
