package naivetest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/naivetest"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// life is a world that happens to a learner of the service.
type life struct {
	*rigtest.Rig

	t       rapid.TB
	learner string
	world   naivetest.World
	stage   naivetest.Stage
	now     time.Time
	moves   []naivetest.Moved
	// sent are the events by their ids, with the batch and the time of their first delivery.
	sent  map[string]delivery
	ids   []string
	asked int
	// kept are answers that a caller has kept, by route and name.
	kept map[string]map[string][]string
}

type delivery struct {
	naivetest.Sent

	sentAt, arrived time.Time
	// module and moves are as they were known then.
	module *progress.Module
	moves  []naivetest.Moved
}

func beginLife(t rapid.TB, r *rigtest.Rig, w naivetest.World) *life {
	learner := rigtest.NewLearner()
	w.LearnerID = learner
	l := &life{Rig: r, t: t, learner: learner, world: w, stage: w.Catalog, now: w.Start, sent: map[string]delivery{}}
	r.Clock.Set(w.Start)
	r.Catalog.Publish(w.Catalog.Modules, w.Catalog.Paths)
	r.Refresh()
	r.SetZone(learner, w.Zone)
	l.moves = []naivetest.Moved{{Zone: w.Zone}}
	return l
}

// do has a step happen to the service.
func (l *life) do(step naivetest.Step) {
	l.now = step.At
	l.Clock.Set(step.At)
	var modules []progress.Module
	var paths []progress.Path
	l.stage, modules, paths = l.stage.After(step)
	if len(modules)+len(paths) > 0 {
		l.Catalog.Publish(modules, paths)
		l.Refresh()
	}
	if batch, ok := step.Do.(naivetest.Send); ok {
		l.send(batch)
		return
	}
	was := l.input()
	l.command(step)
	l.latched(was)
}

// command has something happen that is no batch.
func (l *life) command(step naivetest.Step) {
	var err error
	switch do := step.Do.(type) {
	case naivetest.Enroll:
		_, err = l.TryEnroll(l.learner, do.PathID, idem.Key{})
	case naivetest.ChangeState:
		err = l.update(do.PathID, engine.EnrollmentChange{State: &do.State})
	case naivetest.Upgrade:
		err = l.update(do.PathID, engine.EnrollmentChange{PathVersion: new(len(l.stage.Path(do.PathID).Versions))})
	case naivetest.Move:
		l.SetZone(l.learner, do.Zone)
		l.moves = append(l.moves, naivetest.Moved{At: step.At, Zone: do.Zone})
	case naivetest.Void:
		l.Record(l.learner, rigtest.Admin(), progress.Event{
			ID: do.ID, Verb: progress.Voided, VoidsEventID: do.EventID, Reason: "reason", OccurredAt: step.At,
		})
	case naivetest.Revoke:
		if a := l.award(do.PathID, do.MilestoneID, false); a != nil {
			_, err = l.Service.Revoke(l.Ctx, l.learner, a.ID, rigtest.Admin(), "reason")
		}
	case naivetest.Reinstate:
		if a := l.award(do.PathID, do.MilestoneID, true); a != nil && l.award(do.PathID, do.MilestoneID, false) == nil {
			_, err = l.Service.Reinstate(l.Ctx, l.learner, a.ID, rigtest.Admin(), "reason")
		}
	}
	switch errs.KindOf(err) {
	case errs.AlreadyExists, errs.FailedPrecondition, errs.Invalid:
	default:
		if err != nil {
			l.t.Fatalf("%+v: %v", step, err)
		}
	}
}

// latched compares the awards that a commit stored with those that the naive rules find at the moment.
func (l *life) latched(was naivetest.Input) {
	in := l.input()
	was.Now, was.Catalog, was.Latching, in.Latching = in.Now, in.Catalog, true, true
	held := map[string]bool{}
	for _, e := range naivetest.Judge(was).Enrollments {
		for _, m := range e.Milestones {
			held[e.PathID+"/"+m.ID] = m.RuleHolds
		}
	}
	judged := naivetest.Judge(in)
	for _, a := range in.Awards {
		if slices.ContainsFunc(was.Awards, func(b progress.Award) bool { return a.ID == b.ID }) {
			continue
		}
		ok := false
		for _, e := range judged.Enrollments {
			for _, m := range e.Milestones {
				ok = ok || e.PathID == a.PathID && m.ID == a.MilestoneID && m.RuleHolds
			}
		}
		if !ok {
			l.t.Fatalf("stored too early: %+v\n%s", a, l.story(&in))
		}
	}
	for _, e := range judged.Enrollments {
		for _, m := range e.Milestones {
			if m.Provisional && !held[e.PathID+"/"+m.ID] && len(in.Log) > len(was.Log) {
				l.t.Fatalf("at %s not stored: %+v\n%s", l.now, m, l.story(&in))
			}
		}
	}
}

// send sends a batch, the learner's own events and an admin's apart.
func (l *life) send(batch naivetest.Send) {
	for len(batch.Events) > 0 {
		n := 1
		for n < len(batch.Events) && batch.Events[n].Admin == batch.Events[0].Admin {
			n++
		}
		actor := rigtest.Self(l.learner)
		if batch.Events[0].Admin {
			actor = rigtest.Admin()
		}
		var events []progress.Event
		for _, s := range batch.Events[:n] {
			e := s.Event
			e.TimeZone = s.TimeZone
			events = append(events, e)
			if _, again := l.sent[e.ID]; !again {
				l.sent[e.ID] = delivery{Sent: s, sentAt: batch.SentAt, arrived: l.now, module: l.stage.Module(e.ModuleID), moves: slices.Clone(l.moves)}
				l.ids = append(l.ids, e.ID)
			}
		}
		was := l.input()
		out := l.RecordSent(l.learner, actor, batch.SentAt, events...)
		l.latched(was)
		for _, res := range out.Results {
			if res.Status != progress.StatusAccepted && res.Status != progress.StatusDuplicate {
				l.t.Fatalf("%+v", res)
			}
		}
		batch.Events = batch.Events[n:]
	}
}

func (l *life) update(path string, change engine.EnrollmentChange) error {
	for _, e := range l.stored().Enrollments {
		if e.PathID == path {
			_, err := l.Service.UpdateEnrollment(l.Ctx, l.learner, e.ID, rigtest.Self(l.learner), change)
			return err
		}
	}
	return nil
}

func (l *life) stored() *progress.Learner {
	out, err := l.Store.Load(l.Ctx, l.learner)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// award finds the stored award of a milestone that is revoked, the newest, or that is not.
func (l *life) award(path, milestone string, revoked bool) *progress.Award {
	var found *progress.Award
	awards := l.stored().Awards
	for i := range awards {
		if a := &awards[i]; a.PathID == path && a.MilestoneID == milestone && a.RevokeTime.IsZero() != revoked {
			if found == nil || a.Number > found.Number {
				found = a
			}
		}
	}
	return found
}

// input is what the naive rules are to judge: what is stored, and the catalog.
func (l *life) input() naivetest.Input {
	learner := l.stored()
	log, _, err := l.Store.Log(l.Ctx, l.learner, 0, 10000)
	if err != nil {
		l.t.Fatal(err)
	}
	in := naivetest.Input{
		LearnerID: l.learner, Catalog: l.stage.Snapshot(), Enrollments: learner.Enrollments, Awards: learner.Awards,
		Zone: learner.Head.TimeZone, Now: l.now,
	}
	in.Log = log
	return in
}

// accepted compares the times, versions and zones of what was accepted.
func (l *life) accepted(in *naivetest.Input) {
	for _, e := range in.Log {
		d, ok := l.sent[e.Event.ID]
		if e.Type != progress.RecordEvent || !ok {
			continue
		}
		want := naivetest.Accept(naivetest.Sending{
			OccurredAt: d.Event.OccurredAt, SentAt: d.sentAt, ArrivedAt: d.arrived, ReceivedAt: e.ReceivedAt, Admin: d.Admin,
			Module: d.module, Version: d.Event.ModuleVersion, UnitID: d.Event.UnitID,
		})
		got := naivetest.Accepted{EffectiveAt: e.EffectiveAt.UTC(), Version: e.Event.ModuleVersion, Adjusted: e.Adjusted}
		if !got.EffectiveAt.Equal(want.EffectiveAt) || got.Version != want.Version || got.Adjusted != want.Adjusted {
			l.t.Fatalf("event %+v of batch %s at %s: %+v, want %+v", d.Event, d.sentAt, d.arrived, got, want)
		}
		zone := d.TimeZone
		if zone == "" {
			zone = naivetest.ZoneIn(d.moves, e.EffectiveAt)
		}
		if e.Zone != zone {
			l.t.Fatalf("event %+v effective %s arrived %s: zone %q, want %q of %+v\n%s", d.Event, e.EffectiveAt, d.arrived, e.Zone, zone, l.moves, l.story(in))
		}
	}
}

// agree compares all that the service says with what the naive rules give.
func (l *life) agree(notes bool) {
	l.Clock.Set(l.now)
	in := l.input()
	l.accepted(&in)
	want := naivetest.Judge(in)
	got := l.answers(&in, notes)
	for id, e := range want.Events {
		if !notes {
			delete(want.Events, id)
			continue
		}
		e.Cycle = 0 // which the service does not answer
		want.Events[id] = e
	}
	for id, m := range want.Modules {
		if m.Currency != nil {
			m.Currency.SupersedeTime = time.Time{}
		}
		want.Modules[id] = m
	}
	if g, w := lines(got), lines(want); !slices.Equal(g, w) {
		l.t.Fatalf("at %s, got - and want +:\n%s\n%s", l.now.Format(time.RFC3339Nano), difference(g, w), l.story(&in))
	}
}

// answers is what the service says, in the form of the naive rules.
func (l *life) answers(in *naivetest.Input, notes bool) naivetest.Result {
	out := naivetest.Result{Modules: map[string]naivetest.Module{}, Events: map[string]naivetest.Event{}}
	for id := range in.Catalog.Modules {
		out.Modules[id] = moduleOf(ask(l, "module/"+id, func(w *progress.View) (*progress.ModuleDetail, error) { return w.Module(id) }))
	}
	overview := ask(l, "overview", func(w *progress.View) (*progress.Overview, error) { return w.Overview() })
	out.Streak = naivetest.Streak{Current: overview.Streak.CurrentDays, Longest: overview.Streak.LongestDays, Last: overview.Streak.LastActiveDate}
	for _, d := range overview.Due {
		if in.Catalog.Modules[d.ModuleID] != nil {
			out.Due = append(out.Due, d.ModuleID)
		}
	}
	slices.Sort(out.Due)
	for i := range in.Enrollments {
		id := in.Enrollments[i].PathID
		p := ask(l, "path/"+id, func(w *progress.View) (*progress.PathProgress, error) { return w.Path(id) })
		out.Enrollments = append(out.Enrollments, enrollmentOf(p))
	}
	if notes {
		l.notes(&out)
	}
	return out
}

// ask asks the service twice: once as everybody does, who may get an answer that was computed before,
// and once for one that is computed now. Both must be the same.
func ask[T any](l *life, route string, compute func(*progress.View) (T, error)) T {
	l.asked++
	var out T
	cached, _ := rigtest.Read(l.Rig, l.learner, route, compute)
	fresh, _ := rigtest.Read(l.Rig, l.learner, fmt.Sprintf("%s#%d", route, l.asked), func(w *progress.View) (T, error) {
		v, err := compute(w)
		out = v
		return v, err
	})
	if a, b := lines(cached), lines(fresh); !slices.Equal(a, b) {
		l.t.Fatalf("%s at %s, cached - and fresh +:\n%s", route, l.now, difference(a, b))
	}
	keep(l, route, lines(fresh), compute)
	return out
}

// keep asks whether an answer still holds that a caller has kept: of all that were ever given, only the one that
// would be given now may. It keeps what is given instead.
func keep[T any](l *life, route string, fresh []string, compute func(*progress.View) (T, error)) {
	names := slices.Sorted(maps.Keys(l.kept[route]))
	a, err := l.Service.Read(l.Ctx, l.learner, route, engine.AtLeast{Answers: names}, func(w *progress.View) ([]byte, error) {
		v, err := compute(w)
		if err != nil {
			return nil, err
		}
		return json.Marshal(v)
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if a.Unchanged != "" {
		if was := l.kept[route][a.Unchanged]; !slices.Equal(was, fresh) {
			l.t.Fatalf("%s at %s, kept as %s - and fresh +:\n%s", route, l.now, a.Unchanged, difference(was, fresh))
		}
		return
	}
	if l.kept == nil {
		l.kept = map[string]map[string][]string{}
	}
	if l.kept[route] == nil {
		l.kept[route] = map[string][]string{}
	}
	l.kept[route][a.Validator], l.kept[route][strings.Trim(a.ETag, `"`)] = fresh, fresh
}

// notes sends all events again, which are duplicates, for what they count now.
func (l *life) notes(out *naivetest.Result) {
	for _, id := range l.ids {
		d := l.sent[id]
		actor := rigtest.Self(l.learner)
		if d.Admin {
			actor = rigtest.Admin()
		}
		e := d.Event
		e.TimeZone = d.TimeZone
		res := l.RecordSent(l.learner, actor, d.sentAt, e).Results[0]
		if res.Status != progress.StatusDuplicate {
			l.t.Fatalf("sent again: %+v", res)
		}
		out.Events[id] = naivetest.Event{}
		if res.Note != nil {
			out.Events[id] = naivetest.Event{Note: string(res.Note.Code), NoteTime: res.Note.Time.UTC()}
		}
	}
}

func moduleOf(m *progress.ModuleDetail) naivetest.Module {
	out := naivetest.Module{
		State: string(m.State), Percent: m.Percent, Version: m.Version, Credit: string(m.Credit), CompleteTime: m.CompleteTime.UTC(),
		BlockedBy: m.BlockedBy,
	}
	for _, r := range m.RestsOn {
		out.RestsOn = append(out.RestsOn, naivetest.Rest{ModuleID: r.ModuleID, Cycle: r.Cycle})
	}
	slices.SortFunc(out.RestsOn, func(a, b naivetest.Rest) int { return strings.Compare(a.ModuleID, b.ModuleID) })
	if c := m.Currency; c != nil {
		out.Currency = &naivetest.Currency{
			State: string(c.State), ExpireTime: c.ExpireTime.UTC(), WindowOpenTime: c.WindowOpenTime.UTC(), GraceEndTime: c.GraceEndTime.UTC(),
		}
	}
	if e := m.Excused; e != nil {
		out.Excused = &naivetest.Excuse{Since: e.Since.UTC(), Reason: string(e.Reason)}
	}
	for _, c := range m.Cycles {
		cycle := naivetest.Cycle{
			Number: c.Number, Opening: string(c.Opening), BeginTime: c.BeginTime.UTC(), CompleteTime: c.CompleteTime.UTC(), Version: c.Version,
			ExpireTime: c.ExpireTime.UTC(), WindowOpenTime: c.WindowOpenTime.UTC(), Percent: c.Percent,
		}
		for _, u := range c.Units {
			if u.Unit.Required && !u.DoneTime.IsZero() {
				cycle.UnitsDone = append(cycle.UnitsDone, u.Unit.ID)
			}
		}
		out.Cycles = append(out.Cycles, cycle)
	}
	return out
}

func enrollmentOf(p *progress.PathProgress) naivetest.Enrollment {
	out := naivetest.Enrollment{
		ID: p.Enrollment.ID, PathID: p.Enrollment.PathID, PathVersion: p.Enrollment.PathVersion, State: string(p.State),
		Percent: p.Percent(), Completed: p.Completed, Required: p.Required, PreviousPercent: p.PreviousPercent,
	}
	if p.PercentChange != nil {
		out.PercentReason = string(p.PercentChange.Code)
	}
	for _, m := range p.Milestones {
		ms := naivetest.Milestone{ID: m.ID, Percent: m.Percent(), Completed: m.Completed, Required: m.Required}
		ms.RuleHolds = m.Required > 0 && m.Completed == m.Required
		if a := m.Award; a != nil {
			ms.AwardNumber, ms.AwardTime, ms.Provisional = a.Number, a.AwardTime.UTC(), a.Provisional
			if !a.Provisional {
				ms.AwardID = a.ID
			}
			for _, c := range a.Completions {
				ms.Completions = append(ms.Completions, naivetest.Completion{ModuleID: c.ModuleID, Version: c.Version, Cycle: c.Cycle, Time: c.CompleteTime.UTC()})
			}
			naivetest.SortCompletions(ms.Completions)
		}
		out.Milestones = append(out.Milestones, ms)
	}
	return out
}

// ∀ The service says what the naive rules give, at any moment of any world.
func TestNaiveModelAgreesWithTheService(t *testing.T) {
	r := rigtest.NewRig(t, nil, nil)
	// No sweep stores an award between a look at what is stored and the answers: this test has the lease.
	if w, err := r.Store.LeaseSweep(r.Ctx, t.Name(), at("2020-01-01"), at("2999-01-01")); err != nil || w == nil {
		t.Fatalf("%+v %v", w, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		l := beginLife(t, r, naivetest.DrawWorld(t, ""))
		for i, step := range l.world.Steps {
			l.do(step)
			l.agree(i == len(l.world.Steps)-1)
		}
		if drift, err := l.Service.Verify(l.Ctx, l.learner); err != nil || len(drift) > 0 {
			in := l.input()
			t.Fatalf("%+v %v\n%s", drift, err, l.story(&in))
		}
		for _, wait := range []time.Duration{time.Hour, 20 * 24 * time.Hour, 300 * 24 * time.Hour, 900 * 24 * time.Hour} {
			l.now = l.now.Add(wait)
			l.agree(false)
		}
	})
}
