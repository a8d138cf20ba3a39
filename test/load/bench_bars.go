package main

// bars are those of bench, of what took part.
func (r *results) bars() []bar {
	bars := r.barsOfOne()
	if r.measured(fourProcesses) {
		bars = append(bars, r.barsOfFour()...)
	}
	for _, who := range []string{oneProcess, fourProcesses} {
		if r.measured(who) {
			bars = append(bars,
				bar{who + ": p99 of writes at half the rate", "ms", r.late(askWrite, who), 20, true},
				bar{who + ": p99 of reads at half the rate", "ms", r.late(askRead, who), 10, true})
		}
	}
	return bars
}

// late is the 99th percentile at half the rate, in milliseconds.
func (r *results) late(ask, who string) float64 {
	return medianOf(r.open[ask][who], func(f *figures) float64 { return f.p99.Seconds() * 1000 })
}

func (r *results) barsOfOne() []bar {
	most := 0.0
	for _, by := range r.closed {
		for _, f := range by[oneProcess] {
			most = max(most, f.memory)
		}
	}
	bars := []bar{
		{"one process / bare handler: writes", "×", r.ratio(askWrite, oneProcess, askWrite, bareHandlers, perSecond), 2.5, false},
		{"one process / bare handler: reads", "×", r.ratio(askRead, oneProcess, askRead, bareHandlers, perSecond), 1, false},
		{"one process: " + askReadSame, "µs", r.median(askReadSame, oneProcess, processor), 150, true},
		{"one process: events/s in batches of 50", "", r.median(askMany, oneProcess, perSecond), 20_000, false},
		{"one process: memory before the first request", "MB", r.field.idle, 50, true},
		{"one process: memory under load", "MB", most, 160, true},
	}
	if r.measured(pocketBase) {
		bars = append(bars,
			bar{"one process / PocketBase: writes", "×", r.ratio(askWrite, oneProcess, askWrite, pocketBase, perSecond), 5, false},
			bar{"one process / PocketBase: reads", "×", r.ratio(askRead, oneProcess, askRead, pocketBase, perSecond), 6, false})
	}
	return bars
}

// budget is the processor time that a request may take, in microseconds, in all and of some processes.
type budget struct {
	ask   string
	total float64
	of    map[string]float64
}

func budgets() []budget {
	return []budget{
		{askWrite, 360, map[string]float64{"Postgres": 110, "progress": 115, "gateway": 115, "Redis": 20}},
		{askRead, 400, map[string]float64{"gateway": 150, "progress": 130}},
		{askReadSame, 180, nil},
		{askListSame, 160, nil},
	}
}

func (r *results) barsOfFour() []bar {
	bars := []bar{
		{"four processes / bare pair: writes", "×", r.ratio(askWrite, fourProcesses, askWrite, barePair, perSecond), 1, false},
		{"four processes / bare pair: reads", "×", r.ratio(askRead, fourProcesses, askRead, barePair, perSecond), 1, false},
		{"four processes / bare pair: processor time of a write", "×", r.ratio(askWrite, fourProcesses, askWrite, barePair, processor), 1, true},
		{"four processes / bare pair: processor time of a read", "×", r.ratio(askRead, fourProcesses, askRead, barePair, processor), 1, true},
	}
	for _, b := range budgets() {
		bars = append(bars, bar{"four processes: " + b.ask, "µs", r.median(b.ask, fourProcesses, processor), b.total, true})
		for _, name := range []string{"gateway", "progress", "Postgres", "Redis"} {
			if limit, ok := b.of[name]; ok {
				used := r.median(b.ask, fourProcesses, func(f *figures) float64 { return f.cpu[name] })
				bars = append(bars, bar{"four processes: " + b.ask + ", " + name, "µs", used, limit, true})
			}
		}
	}
	return bars
}
