package rigtest

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// World is a random catalog with a learner's random events.
type World struct {
	Modules []progress.Module
	Paths   []progress.Path
	Zone    string
	Events  []progress.Event
	Actors  []progress.Actor
}

// ZoneNames have summer times on both sides of the equator, odd offsets, and a day that never was.
var ZoneNames = []string{"", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"}

func drawUnit(t *rapid.T, i, n int) progress.Unit {
	u := Unit(fmt.Sprintf("u%d", i))
	u.MoveOn = rapid.SampledFrom([]progress.MoveOn{
		progress.MoveOnCompleted, progress.MoveOnPassed, progress.MoveOnCompletedAndPassed, progress.MoveOnCompletedOrPassed,
	}).Draw(t, "moveOn")
	u.Weight = float64(rapid.IntRange(1, 3).Draw(t, "weight"))
	u.Required = i == 0 || rapid.Bool().Draw(t, "required")
	u.Changed = n == 1 || rapid.Bool().Draw(t, "changed")
	return u
}

func drawPolicy(t *rapid.T) *progress.CurrencyPolicy {
	period := func(label string, texts ...string) string { return rapid.SampledFrom(texts).Draw(t, label) }
	return &progress.CurrencyPolicy{
		Period: MustPeriod(period("period", "P1M", "P20D", "P1M", "P1Y")),
		Window: MustPeriod(period("window", "P10D", "P0D", "P5D")),
		Grace:  MustPeriod(period("grace", "P5D", "P0D", "P1M")),
		Basis: rapid.SampledFrom([]progress.Basis{progress.BasisCompletion, progress.BasisPriorExpiry, progress.BasisFixedDate}).
			Draw(t, "basis"),
		FixedMonth: time.Month(rapid.IntRange(1, 4).Draw(t, "month")), FixedDay: rapid.IntRange(1, 28).Draw(t, "day"),
	}
}

// DrawVersion draws the module's next version, published on a day.
func DrawVersion(t *rapid.T, n, published int, earlier []string) progress.ModuleVersion {
	v := Version(n, Day(published))
	for i := range rapid.IntRange(1, 3).Draw(t, "units") {
		v.Units = append(v.Units, drawUnit(t, i, n))
	}
	if n > 1 && rapid.Bool().Draw(t, "material") {
		v.Material, v.RetakeAll = true, rapid.Bool().Draw(t, "retakeAll")
		v.EffectiveTime = v.PublishTime.AddDate(0, 0, rapid.IntRange(0, 10).Draw(t, "effective"))
	}
	if rapid.Bool().Draw(t, "currency") {
		v.Currency = drawPolicy(t)
	}
	if len(earlier) > 0 && rapid.Bool().Draw(t, "credits") {
		v.Credits = [][]string{{rapid.SampledFrom(earlier).Draw(t, "credit")}}
	}
	if len(earlier) > 0 && rapid.Bool().Draw(t, "prerequisite") {
		v.Prerequisites = earlier[:1]
	}
	return v
}

// DrawModule draws a module, which may build on earlier ones.
func DrawModule(t *rapid.T, id string, earlier []string) progress.Module {
	m := progress.Module{ID: id, State: progress.ModuleActive}
	for n := 1; n <= rapid.IntRange(1, 3).Draw(t, "versions"); n++ {
		m.Versions = append(m.Versions, DrawVersion(t, n, 20*(n-1), earlier))
	}
	if rapid.IntRange(0, 3).Draw(t, "archived") == 0 {
		p := progress.ArchivePeriod{ArchiveTime: Day(rapid.IntRange(5, 40).Draw(t, "archive"))}
		if rapid.Bool().Draw(t, "sunset") {
			p.SunsetTime = p.ArchiveTime.AddDate(0, 0, 10)
		}
		if rapid.Bool().Draw(t, "restored") {
			p.RestoreTime = p.ArchiveTime.AddDate(0, 0, 15)
		} else {
			m.State = progress.ModuleArchived
		}
		m.Archives = []progress.ArchivePeriod{p}
	}
	return m
}

// ModuleIDs are the modules of every world.
var ModuleIDs = []string{"a", "b", "c"}

// DrawWorld draws a catalog and a learner's events.
func DrawWorld(t *rapid.T, learner string) World {
	w := World{Zone: rapid.SampledFrom(ZoneNames).Draw(t, "zone")}
	for i, id := range ModuleIDs {
		w.Modules = append(w.Modules, DrawModule(t, id, ModuleIDs[:i]))
	}
	w.Paths = []progress.Path{Path("p", Milestone("m1", All("a")), Milestone("m2", KOf(1, "b", "c"), All("a")))}
	for i := range rapid.IntRange(1, 25).Draw(t, "events") {
		e, actor := DrawEvent(t, w.Modules, learner, i)
		w.Events, w.Actors = append(w.Events, e), append(w.Actors, actor)
	}
	return w
}

// DrawEvent draws something that a learner's device, or an admin, may send.
func DrawEvent(t *rapid.T, modules []progress.Module, learner string, i int) (progress.Event, progress.Actor) {
	m := rapid.SampledFrom(modules).Draw(t, "module")
	v := rapid.SampledFrom(m.Versions).Draw(t, "version")
	e := progress.Event{
		// Ids in no order of time: ties in effective time fall to them.
		ID:       uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s-%d-%d", learner, i, rapid.IntRange(0, 1000).Draw(t, "id"))).String(),
		ModuleID: m.ID, ModuleVersion: v.Number, UnitID: rapid.SampledFrom(v.Units).Draw(t, "unit").ID,
		Verb: rapid.SampledFrom([]progress.Verb{
			progress.Initialized, progress.Progressed, progress.Completed, progress.Completed,
			progress.Passed, progress.Passed, progress.Failed, progress.Waived,
		}).Draw(t, "verb"),
		OccurredAt: Day0.Add(time.Duration(rapid.IntRange(-24, 24*75).Draw(t, "hour")) * time.Hour),
		DeviceID:   rapid.SampledFrom([]string{"", "phone", "tablet"}).Draw(t, "device"),
		Reason:     "r",
	}
	if rapid.IntRange(0, 9).Draw(t, "clock is off") == 0 {
		e.OccurredAt = e.OccurredAt.AddDate(rapid.IntRange(-30, 30).Draw(t, "years"), 0, 0)
	}
	if rapid.IntRange(0, 4).Draw(t, "unsaid") == 0 {
		e.ModuleVersion = 0
	}
	if rapid.Bool().Draw(t, "scored") {
		e.Score = new(float64(rapid.IntRange(0, 10).Draw(t, "score")) / 10)
		e.Progress = new(float64(rapid.IntRange(0, 10).Draw(t, "progress")) / 10)
	}
	if e.Verb != progress.Waived {
		return e, Self(learner)
	}
	if rapid.Bool().Draw(t, "whole") {
		e.UnitID = ""
	}
	return e, Admin()
}
