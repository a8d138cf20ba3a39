package catalog

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestGraph holds the components to what a plain walk finds, on any graph.
func TestGraph(t *testing.T) {
	ids := []string{"a", "b", "c", "d", "e", "f"}
	rapid.Check(t, func(r *rapid.T) {
		nodes := map[string]Node{}
		for _, id := range ids {
			known := append([]string{"nobody"}, ids...)
			nodes[id] = Node{State: StateActive, Prerequisites: rapid.SliceOfN(rapid.SampledFrom(known), 0, 2).Draw(r, id)}
		}
		g := newGraph(nodes)
		for _, id := range ids {
			for _, next := range nodes[id].Prerequisites {
				leads := nodes[next].State != "" && reaches(g, next, id)
				way := g.way(next, id)
				if g.closes(id, next) != leads || (way != nil) != leads {
					r.Fatalf("%s → %s closes a circle: %t, by %v, want %t", id, next, g.closes(id, next), way, leads)
				}
			}
			ring := g.ringFrom([]string{id})
			if leads := leadsIntoCircle(g, id); leads != (ring != 0) {
				r.Fatalf("from %s: %d, want %t", id, ring, leads)
			}
			if ring == 0 {
				continue
			}
			first, next := g.edgeIn(ring)
			if !g.closes(first, next) || !slices.Contains(nodes[first].Prerequisites, next) || !reaches(g, id, first) {
				r.Fatalf("from %s: %s → %s", id, first, next)
			}
		}
	})
}

// reaches reports whether one module leads to another, or is it.
func reaches(g *graph, from, to string) bool {
	at := map[string]bool{from: true}
	for range len(g.nodes) {
		for _, id := range slices.Collect(maps.Keys(at)) {
			for _, p := range g.nodes[id].Prerequisites {
				at[p] = true
			}
		}
	}
	return at[to]
}

// leadsIntoCircle walks until a way is longer than there are modules.
func leadsIntoCircle(g *graph, id string) bool {
	at := map[string]bool{id: true}
	for range len(g.nodes) + 1 {
		next := map[string]bool{}
		for id := range at {
			for _, p := range g.nodes[id].Prerequisites {
				next[p] = true
			}
		}
		at = next
	}
	return len(at) > 0
}
