package naivetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// worldStart is when a world's service begins.
var worldStart = time.Date(2020, 3, 1, 9, 0, 0, 0, time.UTC)

// lastYear is where time stops in a world.
const lastYear = 2034

// writer makes steps of acts: it knows what there is at each of them, and what the naive rules make of it.
type writer struct {
	world   World
	stage   Stage
	now     time.Time
	log     []progress.Record
	sent    []Sent
	zones   []Moved
	devices []device
	names   int
}

// device is a device whose clock is fast, by less than nothing if it is slow, and which may say what
// time it has when it sends.
type device struct {
	fast time.Duration
	says bool
}

// Moved is the learner's time zone since a time.
type Moved struct {
	At   time.Time
	Zone string
}

// ZoneIn is the zone in force at a time, by a history of moves; before the first it is the first.
func ZoneIn(history []Moved, t time.Time) string {
	for len(history) > 1 && history[0].Zone == "" { // nobody has said anything yet
		history = history[1:]
	}
	zone := history[0].Zone
	for _, z := range history {
		if !z.At.After(t) {
			zone = z.Zone
		}
	}
	return zone
}

func newWriter(learner string) *writer {
	w := &writer{now: worldStart}
	w.world = World{LearnerID: learner, Start: worldStart}
	return w
}

func moduleName(i int) string { return string(rune('a' + i)) } //nolint:gosec // a world has fewer modules than there are letters

// addModule adds a module with versions of the years before the start, and perhaps an old stay in the archive.
func (w *writer) addModule(i int, contents []content, history int) {
	m := progress.Module{ID: moduleName(i), State: progress.ModuleActive}
	w.stage.Modules = append(w.stage.Modules, m)
	for n, c := range contents {
		published := worldStart.AddDate(-2, 5*n, 3*i)
		w.stage.Modules[i].Versions = append(w.stage.Modules[i].Versions, w.version(m.ID, c, published))
	}
	if history == 1 {
		from := worldStart.AddDate(-1, -6, 0)
		w.stage.Modules[i].Archives = []progress.ArchivePeriod{{ArchiveTime: from, SunsetTime: from.AddDate(0, 0, 10), RestoreTime: from.AddDate(0, 2, 0)}}
	}
}

// version makes a module's next version of a content.
func (w *writer) version(id string, c content, published time.Time) progress.ModuleVersion {
	m := w.stage.Module(id)
	v := progress.ModuleVersion{
		Number: len(m.Versions) + 1, Title: "Version", Units: slices.Clone(c.units), Currency: c.policy,
		PublishTime: published, EffectiveTime: published.Add(c.effective),
	}
	if len(m.Versions) == 0 {
		v.EffectiveTime = published
	} else {
		v.Material, v.RetakeAll = c.class == materialChanged || c.class == materialAll, c.class == materialAll
		if c.class == editorial {
			v.Units = slices.Clone(m.Versions[len(m.Versions)-1].Units)
		}
	}
	for _, before := range m.Versions { // the rules are silent on effects out of order
		v.EffectiveTime = later(v.EffectiveTime, before.EffectiveTime)
	}
	for i := range v.Units {
		v.Units[i].Changed = w.changed(m, &v.Units[i], c.class)
	}
	for _, group := range c.credits {
		if ids := w.others(id, group); len(ids) > 0 {
			v.Credits = append(v.Credits, ids)
		}
	}
	v.Prerequisites = w.others(id, c.prerequires)
	return v
}

// changed reports whether a unit is new, or differs from the one of the version before. That its
// content does is drawn with it.
func (w *writer) changed(m *progress.Module, u *progress.Unit, class string) bool {
	if len(m.Versions) == 0 {
		return true
	}
	if class == editorial {
		return false
	}
	was := unitOf(&m.Versions[len(m.Versions)-1], u.ID)
	return was == nil || u.Changed || was.MoveOn != u.MoveOn || was.Weight != u.Weight || was.Required != u.Required
}

// others are modules that exist, are not archived, and stand before the given one: so nothing is circular.
func (w *writer) others(id string, indices []int) []string {
	var ids []string
	for _, i := range indices {
		name := moduleName(i)
		m := w.stage.Module(name)
		if m == nil || name >= id || m.State != progress.ModuleActive || slices.Contains(ids, name) {
			continue
		}
		ids = append(ids, name)
	}
	return ids
}

func (w *writer) addPath(i int, s shape) {
	p := progress.Path{ID: fmt.Sprintf("p%d", i), State: progress.ModuleActive}
	w.stage.Paths = append(w.stage.Paths, p)
	v, ok := w.pathVersion(p.ID, s)
	if !ok {
		v.Milestones = []progress.Milestone{{ID: "m0", Title: "Milestone", Groups: []progress.Group{{ModuleIDs: []string{"a"}}}}}
	}
	v.PublishTime = worldStart.AddDate(-1, 0, i)
	w.stage.Paths[i].Versions = []progress.PathVersion{v}
}

// pathVersion makes a path's next version; false if nothing of the shape is left.
func (w *writer) pathVersion(id string, s shape) (progress.PathVersion, bool) {
	v := progress.PathVersion{Number: len(w.stage.Path(id).Versions) + 1, Title: "Path"}
	var chosen []string // a module is in one choice of a path at most
	for i, groups := range s {
		m := progress.Milestone{ID: fmt.Sprintf("m%d", i), Title: "Milestone"}
		for _, g := range groups {
			ids := w.others("z", g.modules)
			if g.k > 0 {
				ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(chosen, id) })
				chosen = append(chosen, ids...)
			}
			if len(ids) == 0 {
				continue
			}
			group := progress.Group{ModuleIDs: ids}
			if g.k > 0 {
				group.RequiredCount = new(min(g.k, len(ids)))
			}
			m.Groups = append(m.Groups, group)
		}
		if len(m.Groups) > 0 {
			v.Milestones = append(v.Milestones, m)
		}
	}
	return v, len(v.Milestones) > 0
}

// anchors are the times that matter to a module, in order.
func (w *writer) anchors(id string) []time.Time {
	m := w.stage.Module(id)
	times := []time.Time{w.now}
	for i := range m.Versions {
		times = append(times, m.Versions[i].PublishTime, m.Versions[i].EffectiveTime)
	}
	for _, stay := range m.Archives {
		times = append(times, stay.ArchiveTime, stay.SunsetTime, stay.RestoreTime)
	}
	f := fold(m, w.log, w.now)
	for _, c := range f.cycles {
		times = append(times, c.begin, c.complete, c.window, c.expire, c.graceEnd)
		if c.done() {
			day := c.complete.In(zoneOf(c.zone))
			times = append(times, moment(time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, time.UTC), c.zone))
		}
	}
	local := w.now.In(zoneOf(w.zones[len(w.zones)-1].Zone))
	if _, change := local.ZoneBounds(); !change.IsZero() {
		times = append(times, change)
	}
	times = append(times, time.Date(local.Year(), local.Month()+1, 0, 12, 0, 0, 0, time.UTC), time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC))
	times = slices.DeleteFunc(times, time.Time.IsZero)
	for i := range times {
		times[i] = times[i].UTC().Truncate(time.Microsecond)
	}
	slices.SortFunc(times, time.Time.Compare)
	return slices.CompactFunc(times, time.Time.Equal)
}

// time finds a time, and moves the clock there where it lies ahead and is no mere claim.
func (w *writer) time(id string, at when) time.Time {
	anchors := w.anchors(id)
	t := anchors[at.anchor%len(anchors)].Add(at.off)
	switch {
	case !t.After(w.now):
	case t.Year() > lastYear:
		t = w.now
	case !at.claims:
		w.now = t
	}
	return t
}

// write makes a step of an act, or none where it means nothing.
func (w *writer) write(a act) {
	if later := w.now.Add(a.wait); later.Year() <= lastYear {
		w.now = later
	}
	m := &w.stage.Modules[a.module%len(w.stage.Modules)]
	p := &w.stage.Paths[a.path%len(w.stage.Paths)]
	var do any
	switch a.kind {
	case "send":
		do = w.batch(a, m)
	case "again":
		if len(w.sent) > 0 {
			do = Send{Events: w.sent[a.number%len(w.sent):][:1]}
		}
	case "wait":
		w.time(m.ID, a.when)
		do = Wait{}
	case "move":
		w.zones = append(w.zones, Moved{w.now, a.zone})
		do = Move{a.zone}
	case "enroll":
		do = Enroll{p.ID}
	case "state":
		do = ChangeState{p.ID, a.state}
	case "upgrade":
		do = Upgrade{p.ID}
	case "void":
		do = w.void(a)
	case "revoke", "reinstate":
		v := p.Versions[len(p.Versions)-1]
		milestone := v.Milestones[a.number%len(v.Milestones)].ID
		if do = any(Revoke{p.ID, milestone}); a.kind == "reinstate" {
			do = Reinstate{p.ID, milestone}
		}
	default:
		do = w.change(a, m, p)
	}
	if do == nil {
		return
	}
	step := Step{At: w.now, Do: do}
	w.stage, _, _ = w.stage.After(step)
	w.world.Steps = append(w.world.Steps, step)
}

// change makes a change of the catalog, or none that would be refused.
func (w *writer) change(a act, m *progress.Module, p *progress.Path) any {
	archived := m.State == progress.ModuleArchived
	switch {
	case a.kind == "publish" && !archived && len(m.Versions) < 5:
		return PublishModule{m.ID, w.version(m.ID, a.content, w.now)}
	case a.kind == "archive" && !archived:
		do := Archive{ModuleID: m.ID}
		if a.sunset > 0 {
			do.Sunset = w.now.Add(a.sunset)
		}
		return do
	case a.kind == "archive":
		return Restore{m.ID}
	case a.kind == "path" && len(p.Versions) < 5:
		if v, ok := w.pathVersion(p.ID, a.shape); ok {
			v.PublishTime = w.now
			return PublishPath{p.ID, v}
		}
	case a.kind == "mandate":
		v := p.Versions[len(p.Versions)-1]
		switch {
		case v.Number > 1 && v.MandateTime.IsZero():
			return Mandate{p.ID, v.Number, w.now.Add(a.sunset)}
		case !v.MandateTime.IsZero() && w.now.Before(v.MandateTime.Add(regretted)):
			return WithdrawMandate{p.ID, v.Number}
		}
	}
	return nil
}

// batch makes a batch, and notes what will be in the log by it.
func (w *writer) batch(a act, m *progress.Module) any {
	d := w.devices[a.device]
	var events []Sent
	var times []time.Time
	for _, e := range a.events {
		v := m.Versions[e.version%len(m.Versions)]
		admin := e.verb == progress.Waived
		t := w.time(m.ID, e.when)
		for i, s := range w.parts(e, &v) {
			s.ModuleID, s.DeviceID = m.ID, fmt.Sprintf("device%d", a.device)
			if e.version > 0 {
				s.ModuleVersion = v.Number
			}
			if admin {
				s.Reason = "reason"
			}
			w.names++
			s.ID = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%d-%d", w.names, e.tie)).String()
			events = append(events, Sent{Event: s, Admin: admin, TimeZone: e.zone})
			times = append(times, t.Add(time.Duration(i)*time.Second))
		}
	}
	do := Send{Events: events}
	if d.says {
		do.SentAt = w.now.Add(d.fast)
	}
	for i := range events {
		events[i].Event.OccurredAt = times[i].Add(d.fast)
		w.note(do, &events[i])
	}
	w.sent = append(w.sent, events...)
	return do
}

// parts are the events of an act: a course is all that a version requires, in one sitting.
func (w *writer) parts(e eventAct, v *progress.ModuleVersion) []progress.Event {
	one := progress.Event{UnitID: v.Units[e.unit%len(v.Units)].ID, Verb: e.verb, Score: e.score, Progress: e.progress}
	if e.verb == progress.Waived {
		if e.waiver {
			one.UnitID = ""
		}
		one.Score, one.Progress = nil, nil
		return []progress.Event{one}
	}
	if !e.course {
		return []progress.Event{one}
	}
	var all []progress.Event
	for _, u := range v.Units {
		if !u.Required {
			continue
		}
		if u.MoveOn != progress.MoveOnPassed {
			all = append(all, progress.Event{UnitID: u.ID, Verb: progress.Completed})
		}
		if u.MoveOn != progress.MoveOnCompleted {
			all = append(all, progress.Event{UnitID: u.ID, Verb: progress.Passed, Score: e.score})
		}
	}
	return all
}

// note puts an event into the log that the writer reckons with.
func (w *writer) note(batch Send, s *Sent) {
	in := &Input{LearnerID: w.world.LearnerID, Now: w.now, Log: w.log}
	if e := accepted(in, &w.stage, w.zones, batch, *s); e != nil {
		w.log = append(w.log, *e)
	}
}

// void makes a void of some event that was sent.
func (w *writer) void(a act) any {
	var ids []string
	for i := range w.log {
		if w.log[i].Event.Verb != progress.Voided {
			ids = append(ids, w.log[i].Event.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	w.names++
	id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%d", w.names)).String()
	target := ids[a.number%len(ids)]
	w.log = append(w.log, progress.Record{
		Sequence: int64(len(w.log) + 1), Type: progress.RecordEvent, EffectiveAt: w.now, ReceivedAt: w.now,
		Event: progress.Event{ID: id, Verb: progress.Voided, VoidsEventID: target},
	})
	return Void{ID: id, EventID: target}
}
