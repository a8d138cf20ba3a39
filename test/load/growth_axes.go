package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The requests of one measurement. They are counted and not timed, so that logs grow by little while they are measured:
// by two events a learner and round.
const (
	growthWrites = 2 * growthMeasured
	growthSame   = 5 * growthMeasured
	lateEvents   = 500
)

// lateLearners are those of the axis of late events, and lateModule what their late events are about.
const (
	lateLearners = 100
	lateModule   = "hipaa-foundations"
)

// served calls f with a server on the folder, and with learners, the first of whom is not measured.
func (g *growth) served(ctx context.Context, data string, learners int, f func(*class) error) error {
	ports := &scope{dir: g.dir}
	defer ports.end()
	addresses, err := ports.addresses(1)
	if err != nil {
		return err
	}
	s, err := startOne(ctx, addresses[0], g.bin, data)
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := newClass(ctx, s, data, learners)
	if err != nil {
		return err
	}
	return f(c)
}

// folder is one for an axis, without what an earlier axis left.
func folder(work, name string) (string, func()) {
	dir := filepath.Join(work, name)
	return dir, func() { _ = os.RemoveAll(dir) }
}

// alongLearners has each learner send ten events, measures, and copies them, again and again.
func (g *growth) alongLearners(ctx context.Context, work string) error {
	if !g.missing(axisLearners, g.learners) {
		return nil
	}
	data, remove := folder(work, "learners")
	defer remove()
	err := g.served(ctx, data, growthMeasured, func(c *class) error {
		if err := c.enroll(ctx, c.pupils); err != nil {
			return err
		}
		return c.send(ctx, c.pupils, 10)
	})
	if err != nil {
		return err
	}
	have := growthMeasured
	for _, n := range g.learners {
		if n > have {
			say(fmt.Sprintf("%d learners …", n))
			if err := copyLearners(ctx, data, twins(n/have-1)); err != nil {
				return err
			}
			have = n
		}
		if err := g.usual(ctx, data, axisLearners, n); err != nil {
			return err
		}
	}
	return nil
}

// alongEvents has one learner send the events, gives them to all others, and measures. All events are about the same
// few modules, so that logs grow and not what else is known of a learner.
func (g *growth) alongEvents(ctx context.Context, work string) error {
	if !g.missing(axisEvents, g.events) {
		return nil
	}
	data, remove := folder(work, "events")
	defer remove()
	have := 0
	for _, n := range g.events {
		err := g.served(ctx, data, growthMeasured, func(c *class) error {
			if have == 0 {
				if err := c.enroll(ctx, c.pupils); err != nil {
					return err
				}
			}
			c.targets = c.few()
			c.pupils[0].sent.Store(int64(have))
			return c.send(ctx, c.pupils[:1], n-have)
		})
		if err != nil {
			return err
		}
		have = n
		if g.has(axisEvents, n) {
			continue
		}
		if err := copyLearners(ctx, data, othersAsTemplate); err != nil {
			return err
		}
		if err := g.usual(ctx, data, axisEvents, n); err != nil {
			return err
		}
	}
	return nil
}

// few are the first units of five modules, which ten events begin and complete.
func (c *class) few() []target {
	var out []target
	for _, t := range c.outline.units() {
		if len(out) < 5 && !slices.ContainsFunc(out, func(o target) bool { return o.module == t.module }) {
			out = append(out, t)
		}
	}
	return out
}

// usual measures writes and reads on a folder.
func (g *growth) usual(ctx context.Context, data, axis string, at int) error {
	if g.has(axis, at) {
		return nil
	}
	return g.served(ctx, data, growthMeasured, func(c *class) error {
		if axis == axisEvents {
			c.targets = c.few()
		}
		learners := c.pupils[1:] // the first is the template
		write := func(n int) request { return c.post(learners[n%len(learners)], 1) }
		read := func(n int) request {
			return deviceRequest(http.MethodGet, pathProgress, learners[n%len(learners)].token, "")
		}
		if err := c.each(ctx, "the first read of each", learners, func(p *pupil) request {
			return deviceRequest(http.MethodGet, pathProgress, p.token, "")
		}); err != nil {
			return err
		}
		costs := map[string][]float64{}
		for range g.rounds {
			if err := c.cost(ctx, costs, costWrite, growthWrites, write); err != nil {
				return err
			}
			if err := c.cost(ctx, costs, costRead, len(learners), read); err != nil {
				return err
			}
			tags, err := c.etags(ctx, learners, pathProgress)
			if err != nil {
				return err
			}
			if err := c.cost(ctx, costs, costReadSame, growthSame, func(n int) request {
				return deviceRequest(http.MethodGet, pathProgress, learners[n%len(learners)].token, "", "If-None-Match", tags[n%len(tags)])
			}); err != nil {
				return err
			}
		}
		return g.save(point{axis, at, medians(costs)})
	})
}

// cost adds the processor time of one of the requests, in microseconds.
func (c *class) cost(ctx context.Context, to map[string][]float64, name string, requests int, next func(n int) request) error {
	j := &job{name: name, address: c.server.address, connections: 8, next: func(n int) request {
		if n >= requests {
			return nil
		}
		return next(n)
	}}
	of := []process{c.server.process(name)}
	was, err := usage(of)
	if err != nil {
		return err
	}
	t, err := j.closed(ctx, time.Hour)
	if err != nil {
		return err
	}
	now, err := usage(of)
	to[name] = append(to[name], float64((now[name]-was[name]).Microseconds())/float64(t.requests()))
	return err
}

func medians(of map[string][]float64) map[string]float64 {
	out := map[string]float64{}
	for name, values := range of {
		out[name] = math.Round(median(values))
	}
	return out
}

// alongLate measures late events in logs of which the module has its share, and in logs of it alone.
func (g *growth) alongLate(ctx context.Context, work string) error {
	for _, n := range g.late {
		if g.has(axisLate, n) {
			continue
		}
		costs := map[string][]float64{}
		for _, alone := range []bool{false, true} {
			if err := g.lateIn(ctx, work, n, alone, costs); err != nil {
				return err
			}
		}
		if err := g.save(point{axisLate, n, medians(costs)}); err != nil {
			return err
		}
	}
	return nil
}

// lateIn makes logs, publishes a MATERIAL version of the module, and measures what comes late to it.
func (g *growth) lateIn(ctx context.Context, work string, events int, alone bool, costs map[string][]float64) error {
	say(fmt.Sprintf("late events in logs of %d, of one module alone: %t …", events, alone))
	data, remove := folder(work, "late")
	defer remove()
	err := g.served(ctx, data, lateLearners+1, func(c *class) error {
		if err := c.enroll(ctx, c.pupils); err != nil {
			return err
		}
		if alone {
			c.targets = c.of(lateModule)
		}
		return c.send(ctx, c.pupils[:1], events)
	})
	if err != nil {
		return err
	}
	middle := time.Now().Add(-eventsSpread / 2) // of the log, since each hundred events reach that far back
	if err := copyLearners(ctx, data, othersAsTemplate); err != nil {
		return err
	}
	return g.served(ctx, data, lateLearners+1, func(c *class) error {
		if err := c.revise(ctx, lateModule); err != nil {
			return err
		}
		learners, module := c.pupils[1:], c.of(lateModule)
		late := func(n int) request {
			e := event(uuid.NewString(), module[n%len(module)], `"PROGRESSED","progress":0.5`, middle)
			return deviceRequest(http.MethodPost, sendEvents, learners[n%len(learners)].token, `{"events":[`+e+`]}`)
		}
		name := costLate
		if alone {
			name = costLateAll
		}
		for range g.rounds {
			if !alone {
				if err := c.cost(ctx, costs, costWrite, lateEvents, func(n int) request { return c.post(learners[n%len(learners)], 1) }); err != nil {
					return err
				}
			}
			if err := c.cost(ctx, costs, name, lateEvents, late); err != nil {
				return err
			}
		}
		return nil
	})
}

// of are the units of a module.
func (c *class) of(module string) []target {
	var out []target
	for _, t := range c.outline.units() {
		if t.module == module {
			out = append(out, t)
		}
	}
	return out
}

// revise publishes a MATERIAL version of a module, and waits until nothing is left to do after it.
func (c *class) revise(ctx context.Context, module string) error {
	author, err := c.author()
	if err != nil {
		return err
	}
	var current struct {
		Version struct {
			Units []map[string]any `json:"units"`
		} `json:"version"`
	}
	if err := get(ctx, c.server, "/v1/modules/"+module, author, &current); err != nil {
		return err
	}
	units := current.Version.Units
	units[0]["title"] = "By the new rules"
	draft, err := json.Marshal(map[string]any{"units": units})
	if err != nil {
		return err
	}
	if _, err := call(ctx, c.server, http.MethodPatch, "/v1/modules/"+module, author, string(draft)); err != nil {
		return err
	}
	if _, err := call(ctx, c.server, http.MethodPost, "/v1/modules/"+module+":publish", author, `{"changeClass":"MATERIAL","retake":"ALL_UNITS"}`); err != nil {
		return err
	}
	return c.server.settle(ctx)
}

// settle waits until a server has used next to no processor time for three seconds.
func (s *server) settle(ctx context.Context) error {
	say("waiting until the server has nothing to do …")
	of := []process{s.process("")}
	for quiet := 0; quiet < 3; quiet++ {
		was, err := usage(of)
		if err != nil {
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		now, err := usage(of)
		if err != nil {
			return err
		}
		if now[""]-was[""] > 5*tick {
			quiet = -1
		}
	}
	return nil
}
