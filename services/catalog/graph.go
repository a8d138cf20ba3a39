package catalog

import (
	"maps"
	"slices"
)

// graph is the modules as they would be, and whether their prerequisites run in circles.
type graph struct {
	nodes map[string]Node
	// circle numbers the strongly connected components; modules of one circle have the
	// same number.
	circle map[string]int
}

func newGraph(nodes map[string]Node) *graph {
	g := &graph{nodes: nodes, circle: make(map[string]int, len(nodes))}
	s := search{graph: g, order: make(map[string]int, len(nodes)), low: make(map[string]int, len(nodes))}
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		if s.order[id] == 0 {
			s.visit(id)
		}
	}
	return g
}

// search is Tarjan's: one walk finds all components.
type search struct {
	*graph
	order, low map[string]int
	stack      []string
}

func (s *search) visit(id string) {
	s.order[id] = len(s.order) + 1
	s.low[id] = s.order[id]
	s.stack = append(s.stack, id)
	for _, next := range s.nodes[id].Prerequisites {
		if _, known := s.nodes[next]; !known {
			continue
		}
		if s.order[next] == 0 {
			s.visit(next)
			s.low[id] = min(s.low[id], s.low[next])
		} else if s.circle[next] == 0 { // still on the stack
			s.low[id] = min(s.low[id], s.order[next])
		}
	}
	if s.low[id] != s.order[id] {
		return
	}
	for {
		last := s.stack[len(s.stack)-1]
		s.stack = s.stack[:len(s.stack)-1]
		s.circle[last] = s.order[id]
		if last == id {
			return
		}
	}
}

// closes reports whether the prerequisite leads back to the module that names it.
func (g *graph) closes(id, prerequisite string) bool {
	return id == prerequisite || g.circle[id] != 0 && g.circle[id] == g.circle[prerequisite]
}

// way is one way from a module to another over prerequisites, both included; nil for none.
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
			if _, seen := before[next]; !seen {
				before[next] = id
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// roundFrom is a circle that the modules lead into; nil for none.
func (g *graph) roundFrom(ids []string) []string {
	seen := map[string]bool{}
	for queue := slices.Clone(ids); len(queue) > 0; queue = queue[1:] {
		id := queue[0]
		if seen[id] {
			continue
		}
		seen[id] = true
		for _, next := range g.nodes[id].Prerequisites {
			if g.closes(id, next) {
				return append([]string{id}, g.way(next, id)...)
			}
			queue = append(queue, next)
		}
	}
	return nil
}
