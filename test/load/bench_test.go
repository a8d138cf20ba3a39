package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// someResults has two contestants with three rounds each.
func someResults() *results {
	rounds := func(perSecond ...float64) (out []figures) {
		for _, n := range perSecond {
			out = append(out, figures{n, time.Millisecond, 2 * time.Millisecond, 70, map[string]float64{"gateway": 1e6 / n, "progress": 100}})
		}
		return out
	}
	one := &contestant{name: oneProcess}
	bare := &contestant{name: bareHandlers}
	return &results{
		field: &field{all: []*contestant{one, bare}, idle: 40, startup: 30 * time.Millisecond},
		closed: map[string]map[string][]figures{
			askWrite:    {oneProcess: rounds(400, 200, 600), bareHandlers: rounds(100, 100, 100)},
			askRead:     {oneProcess: rounds(500, 500, 500), bareHandlers: rounds(1000, 1000, 1000)},
			askReadSame: {oneProcess: rounds(1500, 1500, 1500)},
			askMany:     {oneProcess: rounds(25_000)},
		},
		open: map[string]map[string][]figures{askWrite: {oneProcess: rounds(200)}, askRead: {oneProcess: rounds(250)}},
	}
}

// TestRatiosAreOfRounds compares what was measured in the same round.
func TestRatiosAreOfRounds(t *testing.T) {
	r := someResults()
	if got := r.ratio(askWrite, oneProcess, askWrite, bareHandlers, perSecond); got != 4 {
		t.Errorf("writes are %g times as many, want 4", got)
	}
	if got := r.ratio(askReadSame, oneProcess, askRead, oneProcess, perSecond); got != 3 {
		t.Errorf("a 304 is %g times as fast, want 3", got)
	}
	if got := r.ratio(askWrite, oneProcess, askWrite, pocketBase, perSecond); got != 0 {
		t.Errorf("a contestant that took no part gives %g", got)
	}
}

// TestBenchSaysWhichBarsAreMet prints all tables, and only the bars of who took part.
func TestBenchSaysWhichBarsAreMet(t *testing.T) {
	text := someResults().text()
	for _, row := range []string{
		"| record one event | one process | 400 | 1.00 ms | 2.00 ms | 70 MB | **2600** | gateway 2500, progress 100 |",
		"|  | bare handler | 100 |",
		"| one process / bare handler | record one event | **4.00** |",
		"| one process / bare handler: writes | ≥ 2.50 × | 4 × | met |",
		"| one process / bare handler: reads | ≥ 1 × | 0.50 × | **missed** |",
		"| one process: events/s in batches of 50 | ≥ 20000 | 25000 | met |",
		"| one process: p99 of reads at half the rate | ≤ 10 ms | 2 ms | met |",
	} {
		if !strings.Contains(text, row) {
			t.Errorf("lacks %q:\n%s", row, text)
		}
	}
	if strings.Contains(text, fourProcesses) || strings.Contains(text, pocketBase) {
		t.Errorf("names who took no part:\n%s", text)
	}
}

// TestGrowthIsHeldToItsFirstPoint reports the steepest axis, whatever order the points were measured in.
func TestGrowthIsHeldToItsFirstPoint(t *testing.T) {
	g := &growth{dir: t.TempDir()}
	for _, at := range []int{1000, 10_000} {
		for _, axis := range []string{axisLearners, axisEvents} {
			g.points = append(g.points, point{axis, at, map[string]float64{costWrite: 400, costRead: 500 + float64(at)/100, costReadSame: 200}})
		}
		g.points = append(g.points, point{axisLate, at, map[string]float64{costWrite: 400, costLate: 800, costLateAll: float64(at)}})
	}
	bars := g.bars()
	missed := slices.DeleteFunc(slices.Clone(bars), bar.met)
	if len(bars) != 8 || len(missed) != 1 || missed[0].name != "longest log: "+costLateAll+" / write" || missed[0].measured != 25 {
		t.Errorf("missed are %+v of %d", missed, len(bars))
	}
	if err := g.draw(g.dir); err != nil {
		t.Fatal(err)
	}
	if text := g.text(); !strings.Contains(text, "| 10000 | 400 | 600 | 200 |\n") {
		t.Errorf("the tables are\n%s", text)
	}
}

// TestPairedRows has the median of each turn's ratio, of all processes or one.
func TestPairedRows(t *testing.T) {
	turns := func(gateway ...float64) (out []figures) {
		for _, us := range gateway {
			out = append(out, figures{cpu: map[string]float64{"gateway": us, "progress": 100}})
		}
		return out
	}
	old, other := turns(100, 200, 300), turns(50, 200, 150)
	if got, want := pairedRow(old, other, "gateway"), "200.0 | 150.0 | **0.500** | 0.500, 1.000"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := pairedRow(old, other, ""), "300.0 | 250.0 | **0.750** | 0.625, 1.000"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
