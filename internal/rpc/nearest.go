package rpc

import (
	"slices"
	"strings"
)

// Instead returns what to add to the words about an unknown name: the known name that is nearest to it,
// or all of them where none is near.
func Instead(name string, known []string) string {
	if len(known) == 0 {
		return "; there are none here"
	}
	best, least := "", len(name)/2+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return "; did you mean " + best + "?"
	}
	return "; there are " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

// maxCompared bounds the bytes of a client's name that are compared.
const maxCompared = 64

// distance is how many bytes must be changed, added or left out to make one text of the other; two
// that are swapped count as one.
func distance(a, b string) int {
	if len(a) > maxCompared || len(b) > maxCompared {
		return max(len(a), len(b))
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	var earlier []int
	for i := 1; i <= len(a); i++ {
		earlier, before, row = before, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(before[j]+1, row[j-1]+1, before[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], earlier[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
