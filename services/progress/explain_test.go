package progress_test

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// An explanation is never another truth: whatever learners, admins, authors and clocks did, it
// agrees with what the other questions answer, with the log, and with its own sentences.
func TestExplanationsAgree(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, nil)
	rapid.Check(t, func(rt *rapid.T) {
		l := &life{Rig: r, Learner: newLearner(), At: day(0)}
		l.World = drawWorld(rt, l.Learner)
		l.World.Events = nil
		r.Catalog.Publish(l.World.Modules, l.World.Paths)
		r.Clock.Set(day(0))
		r.Refresh()
		r.Enroll(l.Learner, "p")
		rt.Repeat(map[string]func(*rapid.T){
			"record": l.Record, "record more": l.Record, "void": l.Void, "revoke": l.Revoke, "reinstate": l.Reinstate, "change": l.Change, "publish module": l.PublishModule,
			"publish path": l.PublishPath, "archive": l.Archive, "zone": l.Zone, "time": l.PassTime,
			"": func(t *rapid.T) { explained(t, l) },
		})
	})
}

// explained checks the explanation of the path as it stands.
func explained(t *rapid.T, l *life) {
	l.Clock.Set(l.At)
	l.Refresh()
	if l.Enrollment() == nil {
		return
	}
	x, p, details := ask(t, l)
	for x.GetAsOfSequence() != p.GetAsOfSequence() {
		x, p, details = ask(t, l) // the sweep wrote in between
	}
	c := &explanationCheck{fatal: t.Fatalf, log: map[string]progress.Record{}, voided: map[string]bool{}}
	for _, e := range historyOf(l.Rig, l.Learner) {
		c.log[e.Event.ID] = e
		c.voided[e.Event.VoidsEventID] = true
	}
	c.path(x, p)
	for _, d := range details {
		if m := c.modules[d.GetModuleId()]; m != nil {
			c.module(m, d)
		}
	}
}

// ask asks for the explanation, and for what it must agree with; for the path last, so that nothing was
// written in between if both are as of one sequence.
func ask(t *rapid.T, l *life) (*progressv1.PathExplanation, *progressv1.PathProgress, []*progressv1.ModuleProgressDetail) {
	ctx := grpc.NewContextWithServerTransportStream(l.Ctx, headers{})
	server := l.Service.Server()
	x, err := server.ExplainPathProgress(ctx, &progressv1.ExplainPathProgressRequest{LearnerId: l.Learner, PathId: "p"})
	if err != nil {
		t.Fatal(err)
	}
	var details []*progressv1.ModuleProgressDetail
	for _, id := range moduleIDs {
		d, err := server.GetModuleProgress(ctx, &progressv1.GetModuleProgressRequest{LearnerId: l.Learner, ModuleId: id})
		if err != nil {
			t.Fatal(err)
		}
		details = append(details, d.GetProgress())
	}
	p, err := server.GetPathProgress(ctx, &progressv1.GetPathProgressRequest{LearnerId: l.Learner, PathId: "p"})
	if err != nil {
		t.Fatal(err)
	}
	return x.GetExplanation(), p.GetProgress(), details
}

// explanationCheck compares an explanation with other responses and with the log.
type explanationCheck struct {
	fatal   func(format string, args ...any)
	log     map[string]progress.Record
	voided  map[string]bool
	modules map[string]*progressv1.ModuleExplanation
}

// equal fails unless two values are the same.
func (c *explanationCheck) equal(what string, got, want any) {
	g, gotProto := got.(proto.Message)
	w, wantProto := want.(proto.Message)
	if gotProto && wantProto {
		if !proto.Equal(g, w) {
			c.fatal("%s: %v, want %v", what, got, want)
		}
		return
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		c.fatal("%s: %v, want %v", what, got, want)
	}
}

func shown(percent *int32) string {
	if percent == nil {
		return "none"
	}
	return strconv.Itoa(int(*percent))
}

func (c *explanationCheck) path(x *progressv1.PathExplanation, p *progressv1.PathProgress) {
	c.equal("percent", shown(x.Percent), shown(p.Percent))
	c.equal("counts", [2]int32{x.GetCompletedCount(), x.GetRequiredCount()}, [2]int32{p.GetCompletedCount(), p.GetRequiredCount()})
	c.equal("fall", shown(x.PreviousPercent)+x.GetPercentChangeReason().GetCode().String(), shown(p.PreviousPercent)+p.GetPercentChangeReason().GetCode().String())
	c.equal("version and sequence", [2]int64{int64(x.GetPathVersion()), x.GetAsOfSequence()}, [2]int64{int64(p.GetPathVersion()), p.GetAsOfSequence()})
	c.sum(x.GetSummary(), "module", x.GetCompletedCount(), x.GetRequiredCount(), x.Percent)
	c.modules = map[string]*progressv1.ModuleExplanation{}
	for i, ms := range x.GetMilestones() {
		want := p.GetMilestones()[i]
		c.equal("milestone", ms.GetId()+shown(ms.Percent), want.GetId()+shown(want.Percent))
		c.equal("milestone counts", [2]int32{ms.GetCompletedCount(), ms.GetRequiredCount()}, [2]int32{want.GetCompletedCount(), want.GetRequiredCount()})
		c.sum(ms.GetSummary(), "module", ms.GetCompletedCount(), ms.GetRequiredCount(), ms.Percent)
		if a := ms.GetAward(); a.GetRevokeTime() == nil {
			c.equal("award", a.GetId(), want.GetAward().GetId())
		} else if want.GetAward() != nil {
			c.fatal("a revoked award is shown")
		}
		for _, g := range ms.GetGroups() {
			for _, m := range g.GetModules() {
				k := slices.IndexFunc(want.GetModules(), func(w *progressv1.ModuleProgress) bool { return w.GetModuleId() == m.GetModuleId() })
				c.same(m, want.GetModules()[k])
				c.modules[m.GetModuleId()] = m
			}
		}
	}
}

// same compares a module with the path's progress.
func (c *explanationCheck) same(x *progressv1.ModuleExplanation, p *progressv1.ModuleProgress) {
	c.equal("state", x.GetState(), p.GetState())
	c.equal("module percent", shown(x.Percent), shown(p.Percent))
	c.equal("version", x.GetVersion(), p.GetVersion())
	c.equal("credit", x.GetCredit(), p.GetCredit())
	c.equal("complete time", x.GetCompleteTime().AsTime(), p.GetCompleteTime().AsTime())
	c.equal("currency", x.GetCurrency(), p.GetCurrency())
	if x.GetRule() == "MODULE_LOCKED" {
		c.equal("blocked by", x.GetModuleIds(), p.GetBlockedBy())
	}
	if x.GetSummary() == "" {
		c.fatal("nothing is said of module %s", x.GetModuleId())
	}
}

// module compares a module's units with the module's own progress and with the log.
func (c *explanationCheck) module(x *progressv1.ModuleExplanation, p *progressv1.ModuleProgressDetail) {
	c.equal("units", len(x.GetUnits()), len(p.GetUnits()))
	if n := len(p.GetCycles()); n > 0 {
		c.equal("cycle", x.GetCycle(), p.GetCycles()[n-1].GetNumber())
	}
	counted := map[string]bool{}
	var done, required int32
	var doneWeight, weight float64
	for i, u := range x.GetUnits() {
		want := p.GetUnits()[i]
		c.equal("unit", u.GetUnitId()+u.GetTitle(), want.GetUnitId()+want.GetTitle())
		c.equal("unit done", u.GetDone(), want.GetDone())
		c.equal("unit done time", u.GetDoneTime().AsTime(), want.GetDoneTime().AsTime())
		c.equal("unit weight", []any{u.GetRequired(), u.GetWeight()}, []any{want.GetRequired(), want.GetWeight()})
		c.unit(x, u)
		for _, e := range u.GetEvents() {
			counted[e.GetEventId()] = true
		}
		if !u.GetRequired() {
			continue
		}
		required, weight = required+1, weight+u.GetWeight()
		if u.GetDone() {
			done, doneWeight = done+1, doneWeight+u.GetWeight()
		}
	}
	if x.GetCycle() > 0 && required > 0 {
		percent := int32(math.Floor(100 * doneWeight / weight)) // the worlds' weights are whole
		c.sum(x.GetSummary(), "unit", done, required, &percent)
		if said := unitWeights.FindStringSubmatch(x.GetSummary()); said != nil {
			c.equal("weights", said[1:], []float64{doneWeight, weight})
		}
		if x.GetState() == progressv1.ModuleProgress_IN_PROGRESS {
			c.equal("the sentence's percent", percent, x.GetPercent())
		}
	}
	c.uncounted(x, counted)
}

// unit holds what a unit says it was done by to the log.
func (c *explanationCheck) unit(m *progressv1.ModuleExplanation, u *progressv1.UnitExplanation) {
	var last time.Time
	for _, e := range u.GetEvents() {
		r, known := c.log[e.GetEventId()]
		if !known || c.voided[r.Event.ID] || r.Event.ModuleID != m.GetModuleId() || (r.Event.UnitID != "" && r.Event.UnitID != u.GetUnitId()) {
			c.fatal("unit %s rests on event %+v", u.GetUnitId(), e)
		}
		c.equal("event", []any{e.GetSequence(), e.GetVerb(), e.GetModuleVersion(), e.GetEffectiveAt().AsTime(), e.GetReason()},
			[]any{r.Sequence, r.Event.Verb, r.Event.ModuleVersion, r.EffectiveAt.UTC(), ""})
		if last = r.EffectiveAt; e.GetSummary() == "" {
			c.fatal("nothing is said of event %+v", e)
		}
	}
	if u.GetDone() {
		// The event that came last made it done.
		c.equal("done by an event of its time", u.GetDoneTime().AsTime(), last.UTC())
	}
	if u.GetSummary() == "" {
		c.fatal("nothing is said of unit %s", u.GetUnitId())
	}
}

// uncounted holds the events that do not count to the log, and to those that do.
func (c *explanationCheck) uncounted(x *progressv1.ModuleExplanation, counted map[string]bool) {
	named := map[string]bool{}
	for _, e := range x.GetUncounted() {
		if named[e.GetEventId()] = true; counted[e.GetEventId()] || e.GetReason() == "" || e.GetSummary() == "" {
			c.fatal("module %s: event %+v", x.GetModuleId(), e)
		}
		c.equal("voided", e.GetReason() == "VOIDED", c.voided[e.GetEventId()])
	}
	if len(x.GetUncounted()) == 50 {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(c.log)) {
		if r := c.log[id]; r.Event.ModuleID == x.GetModuleId() && c.voided[id] && !named[id] {
			c.fatal("module %s says nothing of the voided event %s", x.GetModuleId(), id)
		}
	}
}

var (
	moduleSum   = regexp.MustCompile(`(\d+) of (\d+) required modules? (?:is|are) done: (\d+) %(, rounded down)?\.`)
	unitSum     = regexp.MustCompile(`(\d+) of (\d+) required units? (?:is|are) done(?:, with weight \d+ of \d+)?: (\d+) %(, rounded down)?\.`)
	unitWeights = regexp.MustCompile(`with weight (\d+) of (\d+):`)
)

// sum holds a sentence's arithmetic to the numbers.
func (c *explanationCheck) sum(sentence, of string, done, required int32, percent *int32) {
	shape := map[string]*regexp.Regexp{"module": moduleSum, "unit": unitSum}[of]
	said := shape.FindStringSubmatch(sentence)
	switch {
	case required == 0 && said == nil:
		return
	case said == nil:
		c.fatal("no sum in %q", sentence)
	}
	c.equal("the sum in "+sentence, said[1:4], []string{strconv.Itoa(int(done)), strconv.Itoa(int(required)), shown(percent)})
	if of == "module" {
		c.equal("rounded in "+sentence, said[4] != "", 100*done%required != 0)
	}
}

// The groups of a milestone add up to its counts, whatever they share.
func TestExplainedGroupsAddUp(t *testing.T) {
	t.Parallel()
	var modules []progress.Module
	ids := []string{"a", "b", "c", "d"}
	for _, id := range ids {
		modules = append(modules, module1(id, unit("u")))
	}
	r := newRig(t, modules, nil)
	rapid.Check(t, func(rt *rapid.T) {
		var groups []progress.Group
		for range rapid.IntRange(1, 4).Draw(rt, "groups") {
			g := all(rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 1, 4, rapid.ID[string]).Draw(rt, "modules")...)
			if rapid.Bool().Draw(rt, "choice") {
				g.RequiredCount = new(rapid.IntRange(1, len(g.ModuleIDs)).Draw(rt, "k"))
			}
			groups = append(groups, g)
		}
		r.Catalog.Publish(nil, []progress.Path{path1("p", milestone("m", groups...))})
		r.Refresh()
		learner := newLearner()
		r.Enroll(learner, "p")
		for _, id := range rapid.SliceOfDistinct(rapid.SampledFrom(ids), rapid.ID[string]).Draw(rt, "done") {
			r.Accept(learner, self(learner), event(id, "u", progress.Completed, day0))
		}
		m := explanationOf(r, learner, "p").Milestones[0]
		var sum progress.Tally
		for _, g := range m.Groups {
			sum.Completed += g.Share.Completed
			sum.Required += g.Share.Required
		}
		if sum != m.Progress.Tally {
			rt.Fatalf("%+v, but the groups add up to %+v", m.Progress.Tally, sum)
		}
	})
}

func explanationOf(r *rig, learner, path string) *progress.PathExplanation {
	r.T.Helper()
	x, _ := rigtest.Read(r, learner, "explain/"+path, func(w *progress.View) (*progress.PathExplanation, error) { return w.Explain(path) })
	return x
}

// An answer names at most so many events: the newest.
func TestExplanationsAreBounded(t *testing.T) {
	t.Parallel()
	quiz := unit("q")
	quiz.MoveOn = progress.MoveOnPassed
	r := newRig(t, []progress.Module{module1("a", quiz)}, []progress.Path{path1("p", milestone("m", all("a")))})
	learner := newLearner()
	r.Enroll(learner, "p")
	var last progress.Event
	for i := range 60 {
		last = event("a", "q", progress.Failed, day0.Add(time.Duration(i)*time.Minute))
		r.Accept(learner, self(learner), last)
	}
	u := explanationOf(r, learner, "p").Milestones[0].Groups[0].Modules[0].Units[0]
	if n := len(u.Events); n != 10 || u.Events[9].Record.Event.ID != last.ID || u.Progress.Attempts != 60 {
		t.Errorf("%d events, the last %+v, %d attempts", n, u.Events[n-1].Record.Event, u.Progress.Attempts)
	}
	for _, e := range historyOf(r, learner) {
		if e.Event.Verb == progress.Failed {
			void(r, learner, e.Event.ID, "r")
		}
	}
	m := explanationOf(r, learner, "p").Milestones[0].Groups[0].Modules[0]
	if n := len(m.Uncounted); n != 50 || m.Uncounted[49].Record.Event.ID != last.ID || m.Uncounted[49].Reason != progress.UncountedVoided {
		t.Errorf("%d uncounted", n)
	}
}

func historyOf(r *rig, learner string) []progress.Record {
	r.T.Helper()
	records, _, err := r.Service.History(r.Ctx, learner, 0, 500)
	if err != nil {
		r.T.Fatal(err)
	}
	return records
}

func void(r *rig, learner, id, reason string) {
	r.T.Helper()
	r.Accept(learner, admin(), progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: id, Reason: reason, OccurredAt: r.Clock.Now()})
}
