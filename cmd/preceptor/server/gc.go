package server

import (
	"context"
	"io/fs"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
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
// when the heap has grown, and so not while nothing happens. What is spare is given up first. It keeps the
// ceiling above what is live.
func returnMemory(ctx context.Context, c ceiling, s *spare) {
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
			if idle.quiet == quietLooks { // and not again and again in slow and steady use
				s.giveUp(ctx)
			}
			runtime.GC() // what a sync.Pool holds survives one collection
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

// next takes a look, and reports whether memory should be given back: when it has been quiet for long enough,
// and again as often as it is quiet for so long and holds much all the same.
func (h *idleHeap) next(look heapLook) bool {
	quiet := look.allocated-h.last <= quietBytes
	h.last = look.allocated
	if !quiet {
		h.quiet = 0
		return false
	}
	h.quiet++
	return h.quiet == quietLooks || h.quiet%quietLooks == 0 && look.held >= look.live+worthReturning
}

// spare is what a process keeps to be fast, and can do without while nothing happens.
type spare struct {
	mu    sync.Mutex
	parts []func(context.Context)
}

// add adds what gives up a part of it.
func (s *spare) add(part func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, part)
}

func (s *spare) giveUp(ctx context.Context) {
	s.mu.Lock()
	parts := slices.Clone(s.parts)
	s.mu.Unlock()
	for _, part := range parts {
		part(ctx)
	}
}

// keeps is how many bytes a process keeps at most: of learners as it last read or wrote them, of answers as
// they were computed, and of answers as the gateway wrote them.
type keeps struct{ learners, computed, written int64 }

// keepsIn is what is kept with a memory limit. Where everything is in one process, the three share what each has
// alone elsewhere; the gateway beside it asks for few of the answers that were computed again.
func keepsIn(limit int64, everything bool) keeps {
	most := min(32<<20, limit/8)
	if everything {
		return keeps{learners: most / 8 * 5, computed: most / 8, written: most / 4}
	}
	return keeps{most, most, most}
}
