package main

import (
	"fmt"
	"math"
	"runtime"
)

// measured is all that a run found.
type measured struct {
	order   []*work
	figures map[string]figure
	idle    spent
	// busy is the parts' memory after the works, in bytes.
	busy    [parts]float64
	rows    map[string]float64
	streams streams
	load    string
}

// print prints the tables of docs/scale.md.
func (m *measured) print(o scaleOptions) error {
	fmt.Printf("%d cores, load %s before and %s after; %d learners among %d, %d rounds of %s, %d connections; medians.\n\n",
		runtime.NumCPU(), m.load, load(), o.learners, o.learners*(1+o.neighbours), o.rounds, o.length, o.connections)
	m.printCosts()
	m.printStores()
	m.printStreams()
	return m.printNeeds()
}

func (m *measured) printCosts() {
	fmt.Println("| request | gateway | progress | profile | catalog | Postgres | Redis | all | sent | received |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, w := range m.order {
		f, sum := m.figures[w.name], 0.0
		fmt.Printf("| %s |", w.name)
		for p := range parts {
			sum += f.cpu[p]
			fmt.Printf(" %.0f |", f.cpu[p]*1e6)
		}
		fmt.Printf(" **%.0f** | %.0f | %.0f |\n", sum*1e6, f.sent, f.received)
	}
	fmt.Println()
}

func (m *measured) printStores() {
	fmt.Println("| request | requests/s | commits | WAL, records | WAL, pages | tables grew by | Redis commands | Redis grew by |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, w := range m.order {
		f := m.figures[w.name]
		if f.commits < 0.01 && f.redisCommands < 0.5 {
			continue
		}
		fmt.Printf("| %s | %.0f | %.2f | %.0f | %.0f | %.0f | %.1f | %.0f |\n", w.name, f.perSecond, f.commits, f.records, f.pages, f.progress+f.profile,
			f.redisCommands, f.redisBytes)
	}
	fmt.Println()
	fmt.Println("| table | rows | bytes a row, with its indexes |")
	fmt.Println("| --- | ---: | ---: |")
	for _, t := range []string{"progress.learner_log", "progress.module_facts", "progress.learner_head", "progress.enrollment", "profile.learners"} {
		fmt.Printf("| %s | %.0f | %.0f |\n", t, m.rows[t+" rows"], m.rows[t])
	}
	fmt.Println()
}

func (m *measured) printStreams() {
	fmt.Println("| part | idle: µs of processor a second | memory after the works | a stream's memory | a stream's µs a second |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: |")
	for p := range parts {
		fmt.Printf("| %s | %d | %.0f MB | %.1f KB | %.1f |\n", partName(p), m.idle[p].Microseconds(), m.busy[p]/(1<<20), m.streams.memory[p]/1024, m.streams.cpu[p]*1e6)
	}
	fmt.Printf("\n%d streams; %.1f bytes a second to each while nothing happens.\n\n", m.streams.count, m.streams.received)
}

// plus adds a figure's costs, times a factor.
func (f *figure) plus(other figure, times float64) {
	for p := range f.cpu {
		f.cpu[p] += times * other.cpu[p]
	}
	f.sent += times * other.sent
	f.received += times * other.received
	f.records += times * other.records
	f.pages += times * other.pages
	f.commits += times * other.commits
	f.log += times * other.log
	f.progress += times * other.progress
	f.profile += times * other.profile
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

// post is what sending the events of one post costs, heard of on a stream.
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

// pod is how deploy/k8s runs a service.
type pod struct {
	request, limit, memory, connections, fewest, most float64
}

func pods() map[part]pod {
	return map[part]pod{
		atGateway:  {request: 0.25, limit: 2, memory: 345, fewest: 2, most: 10},
		atProgress: {request: 0.5, limit: 2, memory: 460, connections: 16, fewest: 3, most: 10},
		atProfile:  {request: 0.1, limit: 1, memory: 230, connections: 8, fewest: 2, most: 4},
		atCatalog:  {request: 0.1, limit: 1, memory: 345, connections: 8, fewest: 2, most: 4},
	}
}

// headroom is the share of a core that the busiest minute may use.
const headroom = 0.5

// printNeeds reckons from the day and the costs.
func (m *measured) printNeeds() error {
	session := m.session()
	fmt.Printf("A session costs %.1f ms of processor time in all, a post of %d events %.0f µs at Postgres and %.0f µs elsewhere; %.0f KB go between phone and gateway.\n\n",
		total(session)*1e3, eventsAPost, m.post().cpu[atPostgres]*1e6, (total(m.post())-m.post().cpu[atPostgres])*1e6, (session.sent+session.received)/1000)
	fmt.Println("| busiest minute | 1 M | 10 M |")
	fmt.Println("| --- | ---: | ---: |")
	var lists [2][]string
	var names []string
	for i, learners := range []int{1_000_000, 10_000_000} {
		names, lists[i] = m.needs(learners, session)
	}
	for i, name := range names {
		fmt.Printf("| %s | %s | %s |\n", name, lists[0][i], lists[1][i])
	}
	return nil
}

func total(f figure) float64 {
	sum := 0.0
	for _, c := range f.cpu {
		sum += c
	}
	return sum
}

// needs are the lines of the table for a number of daily learners.
func (m *measured) needs(learners int, session figure) (names, values []string) {
	line := func(name, format string, args ...any) {
		names, values = append(names, name), append(values, fmt.Sprintf(format, args...))
	}
	day := simulate(learners, reminder{})
	perSecond := day.requests.minute / float64(count(opening())+count(between())+postsASession)
	line("sessions begun a second", "%.0f", perSecond)
	line("requests a second", "%.0f", day.requests.minute)
	line("events a second", "%.0f", day.posts.minute*eventsAPost)
	line("open streams", "%s", thousands(day.streams))
	var busy [parts]float64
	for p := range parts {
		busy[p] = perSecond*session.cpu[p] + day.streams*m.streams.cpu[p] + m.idle[p].Seconds()
	}
	connections := 0.0
	for _, p := range []part{atGateway, atProgress, atProfile, atCatalog} {
		shape := pods()[p]
		byTime := math.Ceil(busy[p] / headroom / shape.limit)
		byMemory := 0.0
		if p == atGateway || p == atProgress { // who holds streams
			byMemory = math.Ceil(day.streams * m.streams.memory[p] / (0.8*shape.memory*(1<<20) - m.busy[p]))
		}
		scaled := max(shape.fewest, math.Ceil(busy[p]/(0.7*shape.request)))
		n := max(shape.fewest, byTime, byMemory)
		connections += n * shape.connections
		line(partName(p), "%.1f cores busy: %.0f pods (%.0f by processor, %.0f by memory; the autoscaler wants %.0f of at most %.0f)",
			busy[p], n, byTime, byMemory, scaled, shape.most)
	}
	posts := day.posts.minute
	line("Postgres", "%.1f cores busy, %.0f to have", busy[atPostgres], math.Ceil(busy[atPostgres]/headroom))
	line("Postgres, commits a second at most", "%.0f", perSecond*session.commits)
	line("Postgres, WAL", "%.1f to %.1f MB/s", perSecond*session.records/1e6, perSecond*(session.records+session.pages)/1e6)
	line("Postgres, log a year", "%.1f TB, %.1f G rows", float64(learners)*365*sessionsADay*postsASession*eventsAPost*m.rows["progress.learner_log"]/1e12,
		float64(learners)*365*sessionsADay*postsASession*eventsAPost/1e9)
	line("connections of these pods", "%.0f", connections)
	line("Redis", "%.2f cores busy, %.0f commands a second", busy[atRedis], perSecond*session.redisCommands)
	line("Redis, answers of an hour", "%.1f GB", day.posts.hour*3600*m.figures[workPathCold].redisBytes/1e9)
	line("between phones and gateways", "%.0f Mbit/s", perSecond*(session.sent+session.received)*8/1e6)
	line("posts a second", "%.0f", posts)
	return names, values
}
