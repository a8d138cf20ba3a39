package server

import (
	"context"
	"io/fs"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/preceptor-dev/preceptor/internal/memlimit"
)

const (
	// collectAt is the garbage collector's percentage: it runs when the heap has grown to five
	// times what is live. Little is live here (some 10 MB) and requests leave much behind, so the
	// default would collect dozens of times a second under load; this saves a sixth of all
	// processor time. docs/performance.md has the figures.
	collectAt = 400
	// memoryCeiling is where the collector runs more often than that, in bytes.
	memoryCeiling = 96 << 20
)

// ceiling is a memory limit that may rise to most with what is live; zero where it is the operator's.
type ceiling struct{ usual, most int64 }

// tuneGC sets the collector's pace and its memory limit, each unless the operator has, and returns the limit.
func tuneGC() ceiling {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return ceiling{}
	}
	c := ceilingIn(os.DirFS("/"))
	debug.SetMemoryLimit(c.usual)
	return c
}

// ceilingIn returns the smaller of memoryCeiling and half of what the control group may have, and at most nine
// tenths of that: beyond, it would end the process.
func ceilingIn(root fs.FS) ceiling {
	if limit, ok := memlimit.Cgroup(root); ok {
		return ceiling{usual: min(memoryCeiling, limit/2), most: limit / 10 * 9}
	}
	return ceiling{usual: memoryCeiling, most: math.MaxInt64}
}

// memoryLimit is what this process may have in bytes, by its operator or by its control group; math.MaxInt64
// where neither says.
func memoryLimit(root fs.FS) int64 {
	if os.Getenv("GOMEMLIMIT") != "" {
		return debug.SetMemoryLimit(-1)
	}
	return ceilingIn(root).most
}

// streamCost is what an open stream costs a gateway in bytes, which TestStreamsAreCheap holds it to.
const streamCost = 20 << 10

// streamsIn is how many streams there may be with a memory limit, 0 for any number. They may take half of it:
// as much again is garbage before the collector comes.
func streamsIn(limit int64) int {
	if limit == math.MaxInt64 {
		return 0
	}
	return int(max(1, limit/2/streamCost))
}

const (
	// lookEvery is how often the heap is looked at. It is quiet when it was for quietLooks in a row.
	lookEvery  = 5 * time.Second
	quietLooks = 4
	// quietBytes is what a quiet heap allocates at most between two looks.
	quietBytes = 10 << 20
	// worthReturning is what the heap must hold beyond what is live, so that a collection is worth it.
	worthReturning = 16 << 20
)

// returnMemory gives memory back to the system when load is over, until ctx ends: the collector itself comes
// when the heap has grown, and so not while nothing happens. It keeps the ceiling above what is live.
func returnMemory(ctx context.Context, c ceiling) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var idle idleHeap
	at := c.usual
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		look := lookAtHeap()
		if idle.next(look) {
			debug.FreeOSMemory()
		}
		if c.usual > 0 {
			if needed := c.roomFor(look.live); needed != at {
				at = needed
				debug.SetMemoryLimit(at)
			}
		}
	}
}

// roomFor is the memory limit with so many live bytes. A limit that is near them would have the collector
// run without a pause: ten thousand open streams are no garbage.
func (c ceiling) roomFor(live uint64) int64 {
	return max(c.usual, min(c.most, int64(min(live, math.MaxInt64/2))*2))
}

// heapLook is what the heap holds in bytes, of them those that were live after the last collection, and what it
// has ever allocated.
type heapLook struct{ held, live, allocated uint64 }

func lookAtHeap() heapLook {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	return heapLook{held: value(0) + value(1) + value(2), live: value(3), allocated: value(4)}
}

// idleHeap finds when a heap that was busy is quiet.
type idleHeap struct {
	last  uint64 // allocated, at the last look
	quiet int    // looks in a row
}

// next takes a look, and reports whether memory should be given back: once when it has been quiet for
// long enough, and holds much.
func (h *idleHeap) next(look heapLook) bool {
	quiet := look.allocated-h.last <= quietBytes
	h.last = look.allocated
	if !quiet {
		h.quiet = 0
		return false
	}
	if h.quiet++; h.quiet < quietLooks || look.held < look.live+worthReturning {
		return false
	}
	h.quiet = 0
	return true
}
