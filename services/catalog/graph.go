package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// mostSpelled is how many modules of a ring or of a chain a message names.
const mostSpelled = 10

// graph is the modules as they would be, and whether their prerequisites run in circles.
// Making one takes time and memory by the number of modules and prerequisites, and so does
// asking about all of them.
type graph struct {
	nodes map[string]Node
	// part numbers the strongly connected components from 1; modules of one circle have
	// the same number.
	part map[string]int
	// rings are the components that are circles, by number, with how many modules they have.
	rings map[int]int
	// ahead is, of a component, a ring that it leads into, or is itself; 0 for none.
	ahead []int
	// told are the rings that were reported: each is once.
	told map[int]bool
}

func newGraph(nodes map[string]Node) *graph {
	g := &graph{nodes: nodes, part: make(map[string]int, len(nodes)), rings: map[int]int{}, ahead: []int{0}, told: map[int]bool{}}
	s := search{graph: g, seen: make(map[string]reach, len(nodes))}
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		if s.seen[id].order == 0 {
			s.visit(id)
		}
	}
	return g
}

// search is Tarjan's: one walk finds all components. It keeps its own stack of calls, since a
// chain of prerequisites may be as long as there are modules.
type search struct {
	*graph
	seen  map[string]reach
	calls []call
	// open are the modules whose component is not complete.
	open []string
}

// reach is when a module was met, from 1, and the first one that it reaches.
type reach struct{ order, low int }

// call is a module whose prerequisites are being visited.
type call struct {
	id   string
	next int
}

func (s *search) visit(id string) {
	s.enter(id)
	for len(s.calls) > 0 {
		top := &s.calls[len(s.calls)-1]
		prerequisites := s.nodes[top.id].Prerequisites
		if top.next == len(prerequisites) {
			s.leave(top.id)
			continue
		}
		next := prerequisites[top.next]
		top.next++
		if _, known := s.nodes[next]; !known {
			continue
		}
		if s.seen[next].order == 0 {
			s.enter(next)
		} else if s.part[next] == 0 {
			s.lower(top.id, s.seen[next].order)
		}
	}
}

func (s *search) enter(id string) {
	order := len(s.seen) + 1
	s.seen[id] = reach{order, order}
	s.open = append(s.open, id)
	s.calls = append(s.calls, call{id: id})
}

func (s *search) lower(id string, low int) {
	r := s.seen[id]
	r.low = min(r.low, low)
	s.seen[id] = r
}

// leave ends the visit of a module, and makes its component if it was the first of it.
func (s *search) leave(id string) {
	s.calls = s.calls[:len(s.calls)-1]
	r := s.seen[id]
	if len(s.calls) > 0 {
		s.lower(s.calls[len(s.calls)-1].id, r.low)
	}
	if r.low != r.order {
		return
	}
	first := s.place(r.order)
	members := s.open[first:]
	s.open = s.open[:first]
	number := len(s.ahead)
	for _, member := range members {
		s.part[member] = number
	}
	s.ahead = append(s.ahead, s.leadsTo(members, number))
}

// place is where among the open modules, which are in the order in which they were met, one is.
func (s *search) place(order int) int {
	at, _ := slices.BinarySearchFunc(s.open, order, func(open string, order int) int { return s.seen[open].order - order })
	return at
}

// leadsTo is the ring that a complete component is or leads into; 0 for none.
func (s *search) leadsTo(members []string, number int) int {
	ring := 0
	for _, member := range members {
		for _, next := range s.nodes[member].Prerequisites {
			other := s.part[next] // 0 for a module that there is not
			if other == number {
				s.rings[number] = len(members)
				return number
			}
			ring = max(ring, s.ahead[other])
		}
	}
	return ring
}

// closes reports whether the prerequisite leads back to the module that names it.
func (g *graph) closes(id, prerequisite string) bool {
	return id == prerequisite || g.part[id] != 0 && g.part[id] == g.part[prerequisite]
}

// tell notes that a ring is reported, and reports whether it was not before.
func (g *graph) tell(ring int) bool {
	first := !g.told[ring]
	g.told[ring] = true
	return first
}

// way is a shortest way from a module to another of its ring, both included.
func (g *graph) way(from, to string) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		id := queue[0]
		if id == to {
			var way []string
			for ; id != ""; id = before[id] {
				way = append(way, id)
			}
			slices.Reverse(way)
			return way
		}
		for _, next := range g.nodes[id].Prerequisites {
			if _, seen := before[next]; !seen && g.closes(from, next) {
				before[next] = id
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// round spells the way from a module by its prerequisite back to itself, and says how many
// modules the ring has beside.
func (g *graph) round(id, prerequisite string) string {
	way := append([]string{id}, g.way(prerequisite, id)...)
	text := spell(way)
	if beside := g.rings[g.part[id]] - (len(way) - 1); beside > 0 {
		text += fmt.Sprintf(" (and %d more modules are in circles with these)", beside)
	}
	return text
}

// spell names the modules of a way; of a long one the first and the last.
func spell(way []string) string {
	if len(way) > mostSpelled+1 {
		left := fmt.Sprintf("… %d more …", len(way)-mostSpelled)
		way = slices.Concat(way[:mostSpelled-1], []string{left}, way[len(way)-1:])
	}
	return strings.Join(way, " → ")
}

// ringFrom returns the number of a ring that the modules lead into; 0 for none.
func (g *graph) ringFrom(ids []string) int {
	ring := 0
	if len(g.rings) > 0 {
		for _, id := range ids {
			ring = max(ring, g.ahead[g.part[id]])
		}
	}
	return ring
}

// edgeIn is the first module of a ring, by id, with a prerequisite in it.
func (g *graph) edgeIn(ring int) (id, prerequisite string) {
	for member, number := range g.part {
		if number == ring && (id == "" || member < id) {
			id = member
		}
	}
	prerequisites := g.nodes[id].Prerequisites
	return id, prerequisites[slices.IndexFunc(prerequisites, func(next string) bool { return g.part[next] == ring })]
}
