package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// The day that capacity is computed for. docs/scale.md explains these numbers.
const (
	sessionsADay   = 1.5 // of a learner who comes that day
	sessionMinutes = 10.0
	postsASession  = 4
	eventsAPost    = 3
	newcomersADay  = 0.01 // sign-ins for the first time, a daily learner
)

// asked is how often a session makes a request, posts aside.
type asked struct {
	work  string
	times int
}

// opening is what an app asks when it is opened, within seconds.
func opening() []asked {
	return []asked{{workStream, 1}, {workProfileSame, 1}, {workHomeSame, 1}, {workPathSame, 1}, {workCatchUp, 1}, {workCatalogSame, 1}}
}

// between is what it asks later: two modules to learn from, after each post but the last the path,
// after the last the home page.
func between() []asked {
	return []asked{{workModule, 2}, {workPathCold, postsASession - 1}, {workHomeCold, 1}}
}

func count(list []asked) int {
	n := 0
	for _, a := range list {
		n += a.times
	}
	return n
}

// hours are the shares of a day's sessions that begin in each hour of a country's clock, in thousandths.
func hours() [24]int {
	return [24]int{8, 5, 3, 2, 3, 8, 22, 45, 52, 45, 42, 44, 55, 50, 42, 42, 46, 56, 66, 84, 98, 92, 60, 30}
}

// reminder is a notification that all phones show at the same moment.
type reminder struct {
	hour int
	// share are the sessions of the day that begin because of it, minutes how long it takes on
	// average until one does.
	share, minutes float64
}

// loads are the requests, posts and streams of each second of a day.
type loads struct {
	requests, posts, streams []int32
}

// daySeconds is the length of a day.
const daySeconds = 24 * 60 * 60

// draw draws a day of learners, each session by itself.
func draw(learners int, r reminder, seed uint64) loads {
	random := rand.New(rand.NewPCG(seed, 0)) // a simulation repeats itself
	l := loads{make([]int32, daySeconds), make([]int32, daySeconds), make([]int32, daySeconds+1)}
	byThousandth := make([]int, 0, 1000)
	for hour, share := range hours() {
		for range share {
			byThousandth = append(byThousandth, hour)
		}
	}
	first, later := count(opening()), count(between())
	for range int(float64(learners) * sessionsADay) {
		begin := float64(byThousandth[random.IntN(len(byThousandth))]*3600) + random.Float64()*3600
		if random.Float64() < r.share {
			begin = float64(r.hour*3600) + random.ExpFloat64()*r.minutes*60
		}
		length := random.ExpFloat64() * sessionMinutes * 60
		for range first {
			l.requests[second(begin+2*random.Float64())]++
		}
		for range postsASession {
			at := begin + length*random.Float64()
			l.posts[second(at)]++
			l.requests[second(at)]++
		}
		for range later { // a read follows its post
			l.requests[second(begin+length*random.Float64()+1)]++
		}
		l.streams[second(begin)]++
		if end := begin + length; end < daySeconds {
			l.streams[int(end)]--
		}
	}
	for i := 1; i < daySeconds; i++ {
		l.streams[i] += l.streams[i-1]
	}
	return l
}

// second is a moment's second; a session past midnight is the next morning's, as the last night's is.
func second(at float64) int { return int(at) % daySeconds }

// peaks are means a second: of the day, of its busiest hour, minute and second.
type peaks struct{ day, hour, minute, second float64 }

func peaksOf(perSecond []int32) peaks {
	busiest := func(length int) float64 {
		most, sum := 0, 0
		for i, n := range perSecond[:daySeconds] {
			if sum += int(n); i%length == length-1 {
				most, sum = max(most, sum), 0
			}
		}
		return float64(most) / float64(length)
	}
	return peaks{busiest(daySeconds), busiest(3600), busiest(60), busiest(1)}
}

// The days that are drawn.
const (
	plainDay    = "plain"
	reminderDay = "reminder at 18:00"
)

func days() map[string]reminder {
	return map[string]reminder{plainDay: {}, reminderDay: {hour: 18, share: 0.03, minutes: 3}}
}

// simulated is a day in numbers.
type simulated struct {
	requests, posts peaks
	streams         float64
}

func simulate(learners int, r reminder) simulated {
	l := draw(learners, r, 1)
	most := int32(0)
	for _, n := range l.streams[:daySeconds] {
		most = max(most, n)
	}
	return simulated{peaksOf(l.requests), peaksOf(l.posts), float64(most)}
}

// dayTable is the days of many learners.
func dayTable() string {
	var w strings.Builder
	w.WriteString("| daily learners | day | requests/s: mean | busiest hour | busiest minute | busiest second | events/s: mean | busiest minute | " +
		"most streams |\n")
	w.WriteString("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, learners := range []int{100_000, 1_000_000, 10_000_000} {
		for _, name := range []string{plainDay, reminderDay} {
			w.WriteString(dayRow(learners, name) + "\n")
		}
	}
	return w.String()
}

// dayRow is a day as a row of docs/scale.md.
func dayRow(learners int, name string) string {
	d := simulate(learners, days()[name])
	return fmt.Sprintf("| %s | %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | %s |", millions(learners), name, d.requests.day, d.requests.hour,
		d.requests.minute, d.requests.second, d.posts.day*eventsAPost, d.posts.minute*eventsAPost, thousands(d.streams))
}

func millions(n int) string {
	if n < 1_000_000 {
		return fmt.Sprintf("%d k", n/1000)
	}
	return fmt.Sprintf("%d M", n/1_000_000)
}

func thousands(n float64) string { return fmt.Sprintf("%.0f k", math.Round(n/1000)) }
