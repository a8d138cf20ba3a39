package catalog

import (
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
				way := g.way(next, id)
				if g.closes(id, next) != (way != nil) {
					r.Fatalf("%s → %s closes a circle: %t, by %v", id, next, g.closes(id, next), way)
				}
			}
			round := g.roundFrom([]string{id})
			if leads := leadsIntoCircle(g, id); leads != (round != nil) || leads && round[0] != round[len(round)-1] {
				r.Fatalf("from %s: %v", id, round)
			}
		}
	})
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
