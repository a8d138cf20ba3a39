package naivetest

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/internal/period"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// ZoneNames have summer times on both sides of the equator, odd offsets, clocks that are changed at
// midnight, and a day that never was.
var ZoneNames = []string{
	"", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Asia/Tokyo", "Asia/Kathmandu", "Australia/Lord_Howe",
	"Africa/Cairo", "America/Santiago", "Asia/Beirut", "America/Asuncion", "Pacific/Apia",
}

// periodsOf are the policies that worlds have: the window is shorter than the period, always.
var periodsOf = []struct {
	period string
	window []string
	grace  []string
	years  bool
}{
	{"P1Y", []string{"P30D", "P0D", "P1M", "P11M"}, []string{"P0D", "P10D", "P1M", "P1Y"}, true},
	{"P1M", []string{"P7D", "P0D", "P27D"}, []string{"P0D", "P5D", "P1M"}, false},
	{"P2Y", []string{"P60D", "P0D", "P1Y"}, []string{"P0D", "P1M"}, true},
	{"P3Y", []string{"P30D", "P6M"}, []string{"P0D", "P1M"}, true},
	{"P30D", []string{"P5D", "P0D", "P29D"}, []string{"P0D", "P5D"}, false},
	{"P18M", []string{"P1M", "P0D"}, []string{"P0D", "P1M"}, false},
	{"P1M1D", []string{"P7D", "P0D"}, []string{"P0D", "P1D"}, false},
	{"PT36H", []string{"PT12H", "P0D", "PT35H"}, []string{"P0D", "PT12H"}, false},
	{"P1DT12H", []string{"PT12H", "P0D"}, []string{"P0D", "PT12H"}, false},
}

// fixedDates are ends of months, 29 February, and days on whose midnight some clocks are changed.
var fixedDates = []struct {
	month time.Month
	day   int
}{{1, 31}, {2, 29}, {1, 1}, {12, 31}, {3, 31}, {9, 8}, {10, 1}, {4, 26}, {6, 30}}

func mustPeriod(s string) period.Period {
	p, err := period.Parse(s)
	if err != nil {
		panic(err) // a constant of this file
	}
	return p
}

// DrawPolicy draws a policy that an author could publish.
func DrawPolicy(t *rapid.T) *progress.CurrencyPolicy {
	p := &progress.CurrencyPolicy{
		Basis: rapid.SampledFrom([]progress.Basis{progress.BasisCompletion, progress.BasisPriorExpiry, progress.BasisFixedDate}).Draw(t, "basis"),
	}
	of := rapid.SampledFrom(periodsOf).Filter(func(s struct {
		period string
		window []string
		grace  []string
		years  bool
	},
	) bool {
		return s.years || p.Basis != progress.BasisFixedDate
	}).Draw(t, "period")
	p.Period = mustPeriod(of.period)
	p.Window = mustPeriod(rapid.SampledFrom(of.window).Draw(t, "window"))
	p.Grace = mustPeriod(rapid.SampledFrom(of.grace).Draw(t, "grace"))
	if p.Basis == progress.BasisFixedDate {
		d := rapid.SampledFrom(fixedDates).Draw(t, "date")
		p.FixedMonth, p.FixedDay = d.month, d.day
	}
	return p
}

// content is what a version is to be, before it is known which one it will be of which module.
type content struct {
	units       []progress.Unit
	class       string
	effective   time.Duration
	policy      *progress.CurrencyPolicy
	credits     [][]int
	prerequires []int
}

// The change classes.
const (
	editorial       = "EDITORIAL"
	minor           = "MINOR"
	materialChanged = "MATERIAL, changed units"
	materialAll     = "MATERIAL, all units"
)

func drawContent(t *rapid.T) content {
	c := content{class: rapid.SampledFrom([]string{minor, materialChanged, materialAll, editorial}).Draw(t, "class")}
	for i := range 4 {
		if i > 0 && !rapid.Bool().Draw(t, "has unit") {
			continue
		}
		c.units = append(c.units, progress.Unit{
			ID: fmt.Sprintf("u%d", i), Title: "Unit", Required: i == 0 || rapid.IntRange(0, 3).Draw(t, "required") > 0,
			Weight: rapid.SampledFrom([]float64{1, 2, 3, 0.5, 0.333333}).Draw(t, "weight"),
			MoveOn: rapid.SampledFrom([]progress.MoveOn{
				progress.MoveOnCompleted, progress.MoveOnPassed, progress.MoveOnCompletedAndPassed, progress.MoveOnCompletedOrPassed,
			}).Draw(t, "moveOn"),
			Changed: rapid.Bool().Draw(t, "changed"),
		})
	}
	c.effective = rapid.SampledFrom([]time.Duration{0, 30 * time.Minute, 24 * time.Hour, 10 * 24 * time.Hour, 90 * 24 * time.Hour}).Draw(t, "effective")
	if rapid.IntRange(0, 3).Draw(t, "currency") > 0 {
		c.policy = DrawPolicy(t)
	}
	indices := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 2)
	if rapid.IntRange(0, 2).Draw(t, "credits") == 0 {
		c.credits = rapid.SliceOfN(indices, 1, 2).Draw(t, "groups")
	}
	if rapid.IntRange(0, 3).Draw(t, "prerequisites") == 0 {
		c.prerequires = indices.Draw(t, "prerequisite")
	}
	return c
}

// shape is what a path version is to be: the modules of each group of each milestone, by index.
type shape [][]struct {
	modules []int
	k       int // 0: all
}

func drawShape(t *rapid.T) shape {
	var s shape
	for range rapid.IntRange(1, 3).Draw(t, "milestones") {
		var groups []struct {
			modules []int
			k       int
		}
		for range rapid.IntRange(1, 2).Draw(t, "groups") {
			groups = append(groups, struct {
				modules []int
				k       int
			}{rapid.SliceOfN(rapid.IntRange(0, 4), 1, 3).Draw(t, "modules"), rapid.IntRange(0, 2).Draw(t, "k")})
		}
		s = append(s, groups)
	}
	return s
}

// act is a step before it is known what it will meet: every number stands for one of what there is
// then. So rapid can leave any of them out, and the rest still means something.
type act struct {
	kind         string
	module, path int
	content      content
	shape        shape
	// when is a time near one of those that matter to the module, wait how long after it the step comes.
	when   when
	wait   time.Duration
	sunset time.Duration
	zone   string
	device int
	events []eventAct
	state  progress.EnrollmentState
	number int
}

// when is a time: one of those that matter, and how far from it. Where that lies ahead, the service's
// clock moves there, unless the device only claims so.
type when struct {
	anchor int
	off    time.Duration
	claims bool
}

// eventAct is an event, or a whole course of them.
type eventAct struct {
	verb            progress.Verb
	course, waiver  bool
	version, unit   int
	when            when
	zone            string
	score, progress *float64
	tie             int
}

var offsets = []time.Duration{
	0, -time.Microsecond, time.Microsecond, time.Second, 3 * time.Minute, -3 * time.Minute, time.Hour, -time.Hour,
	24 * time.Hour, -24 * time.Hour, 48 * time.Hour, 10 * 24 * time.Hour, -10 * 24 * time.Hour, 45 * 24 * time.Hour, -45 * 24 * time.Hour,
}

func drawWhen(t *rapid.T) when {
	return when{
		anchor: rapid.IntRange(0, 1000).Draw(t, "anchor"),
		off:    rapid.SampledFrom(offsets).Draw(t, "off"),
		claims: rapid.IntRange(0, 9).Draw(t, "claims") == 9,
	}
}

func drawEvent(t *rapid.T) eventAct {
	e := eventAct{
		verb: rapid.SampledFrom([]progress.Verb{
			progress.Completed, progress.Passed, progress.Initialized, progress.Progressed, progress.Failed, progress.Waived,
		}).Draw(t, "verb"),
		course: rapid.Bool().Draw(t, "course"), waiver: rapid.Bool().Draw(t, "whole"),
		version: rapid.IntRange(0, 5).Draw(t, "version"), unit: rapid.IntRange(0, 3).Draw(t, "unit"),
		when: drawWhen(t), tie: rapid.IntRange(0, 99).Draw(t, "tie"),
	}
	if rapid.IntRange(0, 4).Draw(t, "says zone") == 0 {
		e.zone = rapid.SampledFrom(ZoneNames).Draw(t, "event zone")
	}
	if rapid.Bool().Draw(t, "scored") {
		e.score = new(float64(rapid.IntRange(0, 10).Draw(t, "score")) / 10)
		e.progress = new(float64(rapid.IntRange(0, 10).Draw(t, "progress")) / 10)
	}
	return e
}

// maxActs bounds what happens in a world.
const maxActs = 40

// kinds are how often each kind of step comes.
var kinds = []string{
	"send", "send", "send", "send", "send", "send", "send", "send", "send", "send", "wait", "wait", "wait", "publish", "publish", "publish",
	"archive", "archive", "archive", "path", "path", "mandate", "mandate", "mandate", "enroll", "enroll", "enroll", "state", "upgrade", "move", "move",
	"void", "void", "void", "revoke", "revoke", "revoke", "revoke", "reinstate", "reinstate", "again",
}

func drawAct(t *rapid.T) act {
	a := act{
		kind:   rapid.SampledFrom(kinds).Draw(t, "kind"),
		module: rapid.IntRange(0, 4).Draw(t, "module"),
		path:   rapid.IntRange(0, 1).Draw(t, "path"),
	}
	switch a.kind {
	case "send":
		a.device = rapid.IntRange(0, 2).Draw(t, "device")
		a.events = rapid.SliceOfN(rapid.Custom(drawEvent), 1, 3).Draw(t, "events")
	case "publish":
		a.content = drawContent(t)
	case "path":
		a.shape = drawShape(t)
	case "archive", "mandate":
		a.sunset = rapid.SampledFrom([]time.Duration{0, 30 * time.Minute, 72 * time.Hour, 200 * 24 * time.Hour}).Draw(t, "sunset")
	case "move":
		a.zone = rapid.SampledFrom(ZoneNames).Draw(t, "zone")
	case "state":
		a.state = rapid.SampledFrom([]progress.EnrollmentState{
			progress.EnrollmentPaused, progress.EnrollmentActive, progress.EnrollmentWithdrawn,
		}).Draw(t, "state")
	case "wait":
		a.when = drawWhen(t)
	}
	a.number = rapid.IntRange(0, 1000).Draw(t, "number")
	a.wait = rapid.SampledFrom([]time.Duration{
		0, time.Microsecond, 10 * time.Minute, 59 * time.Minute, time.Hour, 2 * time.Hour, 20 * 24 * time.Hour, 300 * 24 * time.Hour,
	}).Draw(t, "wait")
	return a
}

// DrawWorld draws a catalog and what happens to a learner in it, at random.
func DrawWorld(t *rapid.T, learner string) World {
	w := newWriter(learner)
	w.world.Zone = rapid.SampledFrom(ZoneNames).Draw(t, "zone")
	w.zones = []Moved{{Zone: w.world.Zone}}
	for i := range rapid.IntRange(2, 5).Draw(t, "modules") {
		w.addModule(i, rapid.SliceOfN(rapid.Custom(drawContent), 1, 3).Draw(t, "versions"), rapid.IntRange(0, 5).Draw(t, "history"))
	}
	for i := range rapid.IntRange(1, 2).Draw(t, "paths") {
		w.addPath(i, rapid.Custom(drawShape).Draw(t, "path"))
	}
	for range 3 {
		w.devices = append(w.devices, device{
			fast: rapid.SampledFrom([]time.Duration{
				0, 3 * time.Minute, -3 * time.Minute, 6 * time.Minute, 24 * time.Hour, -24 * time.Hour, 40 * 24 * time.Hour, -400 * 24 * time.Hour,
			}).Draw(t, "fast"),
			says: rapid.Bool().Draw(t, "says"),
		})
	}
	w.world.Catalog = w.stage
	least := rapid.IntRange(1, maxActs/2).Draw(t, "least")
	for _, a := range rapid.SliceOfN(rapid.Custom(drawAct), least, maxActs).Draw(t, "acts") {
		w.write(a)
	}
	return w.world
}
