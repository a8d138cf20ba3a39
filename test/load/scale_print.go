package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
)

// measured is all that a run found.
type measured struct {
	order   []*work
	figures map[string]figure
	idle    spent
	// quiet is the parts' memory before the works, busy after them, and peak the most meanwhile, in bytes.
	quiet, busy, peak [parts]float64
	rows              map[string]float64
	streams           streams
	at                conditions
}

// publish writes the measured tables of docs/performance.md, and those of docs/scale.md that follow from them.
func (m *measured) publish(ctx context.Context, o scaleOptions) error {
	var w strings.Builder
	w.WriteString(m.at.text(ctx, fmt.Sprintf("%d learners among %d, %d rounds of %s, %d connections; medians",
		o.learners, o.learners*(1+o.neighbours), o.rounds, o.length, o.connections)))
	m.printCosts(&w)
	m.printStores(&w)
	m.printStreams(&w)
	m.printDay(&w)
	if err := publish(o.write, performanceFile, "scale", w.String()); err != nil {
		return err
	}
	one, ten := m.needs(1_000_000), m.needs(10_000_000)
	return errors.Join(publish(o.write, scaleFile, "pods", podTable(one, ten)), publish(o.write, scaleFile, "stores", storeTable(one, ten)))
}

func (m *measured) printCosts(w *strings.Builder) {
	w.WriteString("| request | gateway | progress | profile | catalog | Postgres | Redis | all | sent | received |\n")
	w.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, what := range m.order {
		f, sum := m.figures[what.name], 0.0
		fmt.Fprintf(w, "| %s |", what.name)
		for p := range parts {
			sum += f.cpu[p]
			fmt.Fprintf(w, " %.0f |", f.cpu[p]*1e6)
		}
		fmt.Fprintf(w, " **%.0f** | %.0f | %.0f |\n", sum*1e6, f.sent, f.received)
	}
	w.WriteString("\n")
}

func (m *measured) printStores(w *strings.Builder) {
	w.WriteString("| request | requests/s | commits | WAL, records | WAL, page images | pages | tables grew by | Redis commands | Redis grew by |\n")
	w.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, what := range m.order {
		f := m.figures[what.name]
		if f.commits < 0.1 && f.redisCommands < 0.5 {
			continue
		}
		fmt.Fprintf(w, "| %s | %.0f | %.2f | %.0f | %.0f | %.1f | %.0f | %.1f | %.0f |\n", what.name, f.perSecond, f.commits, f.records, f.images, f.pages, f.grown,
			f.redisCommands, f.redisBytes)
	}
	w.WriteString("\n")
	w.WriteString("| table | rows | bytes a row, with its indexes |\n")
	w.WriteString("| --- | ---: | ---: |\n")
	for _, t := range []string{"progress.learner_log", "progress.module_facts", "progress.learner_head", "progress.enrollment", "profile.learners"} {
		fmt.Fprintf(w, "| %s | %.0f | %.0f |\n", t, m.rows[t+" rows"], m.rows[t])
	}
	w.WriteString("\n")
}

func (m *measured) printStreams(w *strings.Builder) {
	w.WriteString("| part | idle: µs of processor a second | idle memory | memory after the works | at most | a stream's µs a second |\n")
	w.WriteString("| --- | ---: | ---: | ---: | ---: | ---: |\n")
	for p := range parts {
		if p == atPostgres { // many processes that share most of theirs
			fmt.Fprintf(w, "| %s | %d | | | | %.1f |\n", partName(p), m.idle[p].Microseconds(), m.streams.cpu[p]*1e6)
			continue
		}
		fmt.Fprintf(w, "| %s | %d | %.0f MB | %.0f MB | %.0f MB | %.1f |\n", partName(p), m.idle[p].Microseconds(),
			m.quiet[p]/(1<<20), m.busy[p]/(1<<20), m.peak[p]/(1<<20), m.streams.cpu[p]*1e6)
	}
	fmt.Fprintf(w, "\n%d streams; %.1f bytes a second to each while nothing happens, %.0f for an event.\n\n", m.streams.count, m.streams.received, m.streams.event)
}

// plus adds a figure's costs, times a factor.
func (f *figure) plus(other figure, times float64) {
	for p := range f.cpu {
		f.cpu[p] += times * other.cpu[p]
	}
	f.sent += times * other.sent
	f.received += times * other.received
	f.records += times * other.records
	f.images += times * other.images
	f.pages += times * other.pages
	f.commits += times * other.commits
	f.grown += times * other.grown
	f.redisBytes += times * other.redisBytes
	f.redisCommands += times * other.redisCommands
}

// session is what one session costs in all, the newcomers' share included.
func (m *measured) session() figure {
	var all figure
	for _, a := range append(opening(), between()...) {
		all.plus(m.figures[a.work], float64(a.times))
	}
	all.plus(m.post(), postsASession)
	all.plus(m.figures[workSignIn], newcomersADay/sessionsADay)
	all.plus(m.figures[workEnroll], newcomersADay/sessionsADay)
	all.plus(m.figures[workCatalog], newcomersADay/sessionsADay)
	// Progress has met the session's token when the stream was opened; the two others check it too.
	check := m.figures[workNewToken].cpu[atProgress] - m.figures[workPathSame].cpu[atProgress]
	all.cpu[atProfile] += max(0, check)
	all.cpu[atCatalog] += max(0, check)
	return all
}

// post is what sending the events of one post costs, received on a stream.
func (m *measured) post() figure {
	one := m.figures[workWatchedEvent]
	one.plus(m.event(), eventsAPost-1)
	return one
}

// event is what one event more costs in a post.
func (m *measured) event() figure {
	var one figure
	one.plus(m.figures[workBatch], 1.0/9)
	one.plus(m.figures[workSingle], -1.0/9)
	return one
}

// pod is how deploy/k8s runs a service: cores, MiB of memory, connections to Postgres, and replicas.
type pod struct {
	request, limit, memory, connections, fewest, most float64
}

func pods() map[part]pod {
	return map[part]pod{
		atGateway:  {request: 0.25, limit: 2, memory: 384, fewest: 2, most: 10},
		atProgress: {request: 0.5, limit: 2, memory: 512, connections: 16, fewest: 3, most: 10},
		atProfile:  {request: 0.1, limit: 1, memory: 256, connections: 8, fewest: 2, most: 4},
		atCatalog:  {request: 0.1, limit: 1, memory: 384, connections: 8, fewest: 2, most: 4},
	}
}

const (
	// streamsShare is the share of a container's memory that streams may have: half of what the process may have.
	streamsShare = 0.45
	// scaledAt is the share of its memory at which the autoscaler adds pods of what holds streams. Garbage comes
	// on top of what the streams hold, so it may add them before.
	scaledAt = 0.6
)

// streamBytes is what TestStreamsAreCheap measures of a stream in the gateway, and of its watch in progress: in a
// resident set, garbage hides it.
func streamBytes(p part) float64 {
	if p == atGateway {
		return 20 << 10
	}
	return 15 << 10
}

// headroom is the share of a core that the busiest minute may use.
const headroom = 0.5

// dayMost is how many milliseconds of processor time a learner's day may take.
const dayMost = 17

// printDay sums up what a session costs, and a day.
func (m *measured) printDay(w *strings.Builder) {
	session, post := m.session(), m.post()
	fmt.Fprintf(w, "A session costs %.1f ms of processor time, %.1f of them at Postgres; a post of %d events %.1f ms, %.1f at Postgres."+
		" %.0f KB go between phone and gateway.\n\n",
		total(session)*1e3, session.cpu[atPostgres]*1e3, eventsAPost, total(post)*1e3, post.cpu[atPostgres]*1e3, (session.sent+session.received)/1000)
	w.WriteString(barTable([]bar{
		{"a session, with its share of first sign-ins", "ms", total(session) * 1e3, dayMost, true},
		{workSignIn, "ms", total(m.figures[workSignIn]) * 1e3, 2, true},
		{workEnroll, "ms", total(m.figures[workEnroll]) * 1e3, 4.5, true},
	}))
}

// podTable is what the services need.
func podTable(all ...needs) string {
	var w strings.Builder
	w.WriteString("| daily learners | service | cores busy | pods by processor | by memory | pods to have | the autoscaler goes to | of at most | connections |\n")
	w.WriteString("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, n := range all {
		n.printPods(&w)
	}
	return w.String()
}

// storeTable is what the stores and the network take.
func storeTable(one, ten needs) string {
	var w strings.Builder
	w.WriteString("| in the busiest minute | 1 M | 10 M |\n| --- | ---: | ---: |\n")
	more := ten.stores()
	for i, line := range one.stores() {
		fmt.Fprintf(&w, "| %s | %s | %s |\n", line.name, line.value, more[i].value)
	}
	return w.String()
}

func total(f figure) float64 {
	sum := 0.0
	for _, c := range f.cpu {
		sum += c
	}
	return sum
}

// needs is what a number of daily learners takes.
type needs struct {
	learners int
	day      simulated
	// sessions begin in a second of the busiest minute; each costs session.
	sessions float64
	session  figure
	busy     [parts]float64
	m        *measured
}

func (m *measured) needs(learners int) needs {
	session := m.session()
	n := needs{learners: learners, day: simulate(learners, reminder{}), session: session, m: m}
	n.sessions = n.day.requests.minute / float64(count(opening())+count(between())+postsASession)
	for p := range parts {
		n.busy[p] = n.sessions*session.cpu[p] + n.day.streams*m.streams.cpu[p] + m.idle[p].Seconds()
	}
	return n
}

// printPods prints a row for each service.
func (n *needs) printPods(w *strings.Builder) {
	for _, p := range []part{atGateway, atProgress, atProfile, atCatalog} {
		shape, byMemory, scaled := pods()[p], 0.0, 0.0
		if p == atGateway || p == atProgress { // who holds streams
			held := n.day.streams * streamBytes(p)
			byMemory = math.Ceil(held / (streamsShare * shape.memory * (1 << 20)))
			scaled = math.Ceil(held / (scaledAt*shape.memory*(1<<20) - n.m.quiet[p]))
		}
		byTime := math.Ceil(n.busy[p] / headroom / shape.limit)
		have := max(shape.fewest, byTime, byMemory)
		scaled = max(shape.fewest, scaled, math.Ceil(n.busy[p]/(0.7*shape.request)))
		fmt.Fprintf(w, "| %s | %s | %.2f | %.0f | %.0f | **%.0f** | %.0f | %.0f | %.0f |\n", millions(n.learners), partName(p), n.busy[p], byTime,
			byMemory, have, scaled, shape.most, have*shape.connections)
	}
}

// need is one line of what the stores and the network take.
type need struct{ name, value string }

func (n *needs) stores() []need {
	events := float64(n.learners) * 365 * sessionsADay * postsASession * eventsAPost
	line := func(name, format string, args ...any) need { return need{name, fmt.Sprintf(format, args...)} }
	s := &n.session
	return []need{
		line("sessions begun a second", "%.0f", n.sessions),
		line("requests a second", "%.0f", n.day.requests.minute),
		line("posts a second, and events", "%.0f, %.0f", n.day.posts.minute, n.day.posts.minute*eventsAPost),
		line("open streams", "%s", thousands(n.day.streams)),
		line("Postgres: cores busy, and to have", "%.1f, %.0f", n.busy[atPostgres], math.Ceil(n.busy[atPostgres]/headroom)),
		line("Postgres: commits a second", "%.0f", n.sessions*s.commits),
		line("Postgres: WAL, pages warm to cold", "%.1f to %.1f MB/s", n.sessions*s.records/1e6, n.sessions*(s.records+s.images)/1e6),
		line("Postgres: cold pages a second", "%.0f", n.sessions*s.pages),
		line("Postgres: the log grows in a year by", "%.1f TB, %.1f G rows", events*n.m.rows["progress.learner_log"]/1e12, events/1e9),
		line("Redis: cores busy", "%.2f", n.busy[atRedis]),
		line("Redis: commands a second", "%.0f", n.sessions*s.redisCommands),
		line("Redis: the answers of an hour", "%.1f GB", n.day.posts.hour*3600*n.m.figures[workPathCold].redisBytes/1e9),
		line("between phones and gateways", "%.0f Mbit/s", n.sessions*(s.sent+s.received)*8/1e6),
	}
}
