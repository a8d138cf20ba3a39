package e2e

import (
	"cmp"
	"net/http"
	"slices"
	"testing"
	"time"
)

// deviceCourse is what the learners with devices learn: a path with a quiz, a module that gained a
// unit, one with a currency policy, and a choice. It is data, for the model to read.
type deviceCourse struct {
	path       string
	modules    []*courseModule
	milestones []courseMilestone
	// documents are the paths of all progress documents that say as of which sequence they are.
	documents []string
	// wire is the network without faults.
	wire http.RoundTripper
}

type courseModule struct {
	id, needs string
	expires   bool
	versions  []*courseVersion
}

type courseVersion struct {
	units     []courseUnit
	published time.Time
}

// courseUnit is a unit; mastery is 0 where none is asked for.
type courseUnit struct {
	id, moveOn string
	weight     int
	mastery    float64
	optional   bool
}

type courseMilestone struct {
	id     string
	groups []courseGroup
}

// courseGroup asks for count of its modules; 0: for all.
type courseGroup struct {
	modules []string
	count   int
}

const (
	whenCompleted = "COMPLETED"
	whenPassed    = "PASSED"
	whenBoth      = "COMPLETED_AND_PASSED"
	whenEither    = "COMPLETED_OR_PASSED"
)

func newDeviceCourse() *deviceCourse {
	one := func(units ...courseUnit) []*courseVersion { return []*courseVersion{{units: units}} }
	c := &deviceCourse{
		path: "phones-path",
		modules: []*courseModule{
			{id: "phones-quiz", versions: one(
				courseUnit{id: "read", moveOn: whenCompleted, weight: 1},
				courseUnit{id: "quiz", moveOn: whenPassed, weight: 3, mastery: 0.8},
				courseUnit{id: "both", moveOn: whenBoth, weight: 2, mastery: 0.5},
				courseUnit{id: "either", moveOn: whenEither, weight: 1, mastery: 0.6, optional: true},
			)},
			{id: "phones-minor", versions: []*courseVersion{{units: []courseUnit{
				{id: "kept", moveOn: whenCompleted, weight: 1},
				{id: "harder", moveOn: whenCompleted, weight: 1},
				{id: "gone", moveOn: whenCompleted, weight: 1, optional: true},
			}}, {units: []courseUnit{
				{id: "kept", moveOn: whenCompleted, weight: 2},
				{id: "harder", moveOn: whenBoth, weight: 1, mastery: 0.5},
				{id: "added", moveOn: whenEither, weight: 3, mastery: 0.7},
			}}}},
			{id: "phones-current", expires: true, versions: one(
				courseUnit{id: "rules", moveOn: whenCompleted, weight: 3},
				courseUnit{id: "check", moveOn: whenPassed, weight: 1, mastery: 0.9},
				courseUnit{id: "extra", moveOn: whenCompleted, weight: 1, optional: true},
			)},
			{id: "phones-first", needs: "phones-quiz", versions: one(courseUnit{id: "only", moveOn: whenCompleted, weight: 1})},
			{id: "phones-second", versions: one(courseUnit{id: "half", moveOn: whenCompleted, weight: 1}, courseUnit{id: "rest", moveOn: whenEither, weight: 2, mastery: 0.4})},
			{id: "phones-third", needs: "phones-minor", versions: one(courseUnit{id: "test", moveOn: whenPassed, weight: 1, mastery: 0.7})},
		},
		milestones: []courseMilestone{
			{id: "begin", groups: []courseGroup{{modules: []string{"phones-quiz", "phones-minor"}}}},
			// The quiz is in a choice as well: it counts once for the path, and for each milestone.
			{id: "finish", groups: []courseGroup{
				{modules: []string{"phones-current"}},
				{modules: []string{"phones-first", "phones-second", "phones-third", "phones-quiz"}, count: 2},
			}},
		},
		wire: recordingLoosely(&http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}),
	}
	c.documents = []string{"/v1/learners/me/progress", "/v1/learners/me/paths/" + c.path + "/progress"}
	for _, m := range c.modules {
		c.documents = append(c.documents, "/v1/learners/me/modules/"+m.id+"/progress")
	}
	return c
}

// publishDeviceCourse publishes everything, and notes when.
func publishDeviceCourse(t *testing.T, author *client) *deviceCourse {
	t.Helper()
	c := newDeviceCourse()
	for _, m := range c.modules {
		content := map[string]any{"topic": "hipaa", "title": "Phones"}
		if m.needs != "" {
			content["prerequisites"] = []string{m.needs}
		}
		if m.expires {
			content["currencyPolicy"] = map[string]any{"period": "P1Y", "window": "P30D", "grace": "P14D"}
		}
		for i, v := range m.versions {
			content["units"] = v.contents()
			change := map[string]any{}
			if i == 0 {
				author.post("/v1/modules?moduleId="+m.id, content).want(http.StatusCreated)
			} else {
				author.patch("/v1/modules/"+m.id, map[string]any{"units": content["units"]}).want(http.StatusOK)
				change["changeClass"] = "MINOR"
			}
			at := author.post("/v1/modules/"+m.id+":publish", change).want(http.StatusOK).text("version.publishTime")
			var err error
			if v.published, err = time.Parse(time.RFC3339Nano, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	var milestones []any
	for _, ms := range c.milestones {
		var groups []any
		for _, g := range ms.groups {
			group := map[string]any{"moduleIds": g.modules}
			if g.count > 0 {
				group["requiredCount"] = g.count
			}
			groups = append(groups, group)
		}
		milestones = append(milestones, map[string]any{"id": ms.id, "title": "Milestone", "groups": groups})
	}
	author.post("/v1/paths?pathId="+c.path, map[string]any{"title": "Phones", "milestones": milestones}).want(http.StatusCreated)
	author.post("/v1/paths/"+c.path+":publish", map[string]any{}).want(http.StatusOK)
	return c
}

func (v *courseVersion) contents() []any {
	var out []any
	for _, u := range v.units {
		unit := map[string]any{"id": u.id, "title": "Unit", "kind": "READING", "moveOn": u.moveOn, "weight": u.weight, "required": !u.optional}
		if u.mastery > 0 {
			unit["kind"], unit["masteryScore"] = "QUIZ", u.mastery
		}
		out = append(out, unit)
	}
	return out
}

func (v *courseVersion) unit(id string) *courseUnit {
	i := slices.IndexFunc(v.units, func(u courseUnit) bool { return u.id == id })
	if i < 0 {
		return nil
	}
	return &v.units[i]
}

func (c *deviceCourse) module(id string) *courseModule {
	i := slices.IndexFunc(c.modules, func(m *courseModule) bool { return m.id == id })
	if i < 0 {
		return nil
	}
	return c.modules[i]
}

// resolve returns the version that an event is about: the one that it names, else the newest one
// published by then that has the unit, else the oldest that has it.
func (c *deviceCourse) resolve(e *sentEvent) int {
	if e.version != 0 {
		return e.version
	}
	oldest, newest := 0, 0
	for i, v := range c.module(e.module).versions {
		if e.unit != "" && v.unit(e.unit) == nil {
			continue
		}
		if oldest == 0 {
			oldest = i + 1
		}
		if !v.published.After(e.occurred) {
			newest = i + 1
		}
	}
	return cmp.Or(newest, oldest)
}

// modelEvent is an event that is stored and that no void takes back, with the time that counts.
type modelEvent struct {
	*sentEvent

	version int
	// effective and occurred are by the log.
	effective, occurred time.Time
}

// modelUnit is what a learner did in a unit.
type modelUnit struct {
	completed, passed, waived bool
	attempts                  int
	score, progress           float64 // -1: none
	versions                  []int
}

// modelModule is how far a learner is in a module.
type modelModule struct {
	state            string
	version, percent int
	units            map[string]*modelUnit
	waived           bool
	module           *courseModule
	// cycles is how many there are; learned reports whether one was completed by what was learned alone.
	cycles  int
	learned bool
}

// summary returns the state of a module after some events by the rules, in the order in which they
// count. It is written from docs and shares nothing with the server.
func (m *courseModule) summary(events []modelEvent) *modelModule {
	cycles := m.cycles(events)
	out := m.inCycle(cycles[len(cycles)-1])
	for i, cycle := range cycles {
		done := m.inCycle(cycle)
		out.learned = out.learned || done.learned
		if i == 0 {
			out.state = done.state // that stays while it is renewed
		}
	}
	if len(events) > 0 {
		out.cycles = len(cycles)
	}
	return out
}

// cycles are the events of each cycle; of an event that counts in none yet there is none. What is done
// on a later day than the module was completed, where that expires, is a cycle when it is all of it.
func (m *courseModule) cycles(events []modelEvent) [][]modelEvent {
	cycles, aside := [][]modelEvent{nil}, []modelEvent(nil)
	var day time.Time // on which the last cycle was completed
	for _, e := range events {
		last := &cycles[len(cycles)-1]
		on := e.effective.UTC().Truncate(24 * time.Hour)
		if m.expires && !day.IsZero() && on.After(day) {
			if aside = append(aside, e); m.inCycle(aside).state == "COMPLETED" {
				cycles, aside, day = append(cycles, aside), nil, on
			}
			continue
		}
		if *last = append(*last, e); day.IsZero() && m.inCycle(*last).state == "COMPLETED" {
			day = on
		}
	}
	return cycles
}

// inCycle is summary of the events of one cycle, whatever their order.
func (m *courseModule) inCycle(events []modelEvent) *modelModule {
	out := &modelModule{state: "AVAILABLE", version: len(m.versions), units: map[string]*modelUnit{}, module: m}
	var versions []int
	for _, e := range events {
		out.state = "IN_PROGRESS"
		versions = append(versions, e.version)
		if e.unit == "" {
			out.waived = true
			continue
		}
		u := out.units[e.unit]
		if u == nil {
			u = &modelUnit{score: -1, progress: -1}
			out.units[e.unit] = u
		}
		u.take(e)
	}
	slices.Sort(versions)
	best := -1
	for _, n := range versions { // ascending, so that the newest of equals wins
		if percent := out.percentOn(n); percent >= best {
			best, out.version, out.percent = percent, n, percent
		}
	}
	if out.percent == 100 {
		out.state = "COMPLETED"
	}
	out.learned = slices.ContainsFunc(versions, out.learnedOn)
	return out
}

// learnedOn reports whether all that the version requires is done without a waiver.
func (m *modelModule) learnedOn(version int) bool {
	return !slices.ContainsFunc(m.module.versions[version-1].units, func(u courseUnit) bool { return !u.optional && !m.learnedUnit(version, u.id) })
}

func (u *modelUnit) take(e modelEvent) {
	u.versions = append(u.versions, e.version)
	if e.score != nil {
		u.score = max(u.score, *e.score)
	}
	if e.progress != nil {
		u.progress = max(u.progress, *e.progress)
	}
	switch e.verb {
	case "COMPLETED":
		u.completed = true
	case "PASSED":
		u.passed = true
		u.attempts++
	case "FAILED":
		u.attempts++
	case "WAIVED":
		u.waived = true
	}
}

// done reports whether a unit is done by the rule of the version, or by that of one that it was learned in.
func (m *modelModule) done(version int, id string) bool {
	u := m.units[id]
	return m.waived || u != nil && u.waived || m.learnedUnit(version, id)
}

// learnedUnit is done without waivers.
func (m *modelModule) learnedUnit(version int, id string) bool {
	u := m.units[id]
	return u != nil && slices.ContainsFunc(append([]int{version}, u.versions...), func(n int) bool {
		rule := m.module.versions[n-1].unit(id)
		return rule != nil && u.satisfies(rule.moveOn)
	})
}

func (u *modelUnit) satisfies(moveOn string) bool {
	switch moveOn {
	case whenPassed:
		return u.passed
	case whenBoth:
		return u.passed && u.completed
	case whenEither:
		return u.passed || u.completed
	}
	return u.completed
}

func (m *modelModule) percentOn(version int) int {
	total, done := 0, 0
	for _, u := range m.module.versions[version-1].units {
		if !u.optional {
			total += u.weight
			if m.done(version, u.id) {
				done += u.weight
			}
		}
	}
	return 100 * done / total
}

// tally is the percent rule: with F the modules that groups ask for in full, each is worth one; and
// a choice is worth what it asks for beside those of F.
func tally(groups []courseGroup, done func(string) bool) (completed, required int) {
	full := map[string]bool{}
	for _, g := range groups {
		for _, id := range g.modules {
			if g.count == 0 {
				full[id] = true
			}
		}
	}
	for id := range full {
		required++
		if done(id) {
			completed++
		}
	}
	for _, g := range groups {
		ask, have := g.count, 0
		for _, id := range g.modules {
			switch {
			case full[id]:
				ask--
			case done(id):
				have++
			}
		}
		if g.count > 0 && ask > 0 {
			required += ask
			completed += min(ask, have)
		}
	}
	return completed, required
}
