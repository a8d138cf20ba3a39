package server

import (
	"os"
	"runtime/debug"
)

// collectAt is the garbage collector's percentage: it runs when the heap has grown to five
// times what is live. Little is live here (some 10 MB) and requests leave much behind, so the
// default would collect dozens of times a second under load; this saves a sixth of all
// processor time for some 40 MB. docs/benchmarks.md has the figures.
const collectAt = 400

// tuneGC sets the collector's pace, unless the operator has.
func tuneGC() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(collectAt)
	}
}
