package server

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestCeiling(t *testing.T) {
	t.Parallel()
	if got := ceilingIn(fstest.MapFS{}); got != (ceiling{96 << 20, math.MaxInt64}) {
		t.Errorf("without a control group: %v", got)
	}
	for text, want := range map[string]ceiling{
		"134217728\n": {64 << 20, 134217728 / 10 * 9}, "402653184\n": {96 << 20, 402653184 / 10 * 9}, "8589934592\n": {96 << 20, 8589934592 / 10 * 9}, "max\n": {96 << 20, math.MaxInt64},
	} {
		got := ceilingIn(fstest.MapFS{
			"proc/self/cgroup": {Data: []byte("0::/\n")}, "sys/fs/cgroup/memory.max": {Data: []byte(text)},
		})
		if got != want {
			t.Errorf("of %q: %v, want %v", text, got, want)
		}
	}
	for live, want := range map[uint64]int64{0: 100, 50: 100, 80: 160, 150: 180} {
		if got := (ceiling{100, 180}).roomFor(live); got != want {
			t.Errorf("%d are live: %d, want %d", live, got, want)
		}
	}
}

// TestTuning leaves to the operator what the operator has set.
func TestTuning(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	for _, c := range []struct {
		percent, limit string
		wantPercent    int
		limited        bool
	}{{"", "", collectAt, true}, {"50", "", 100, true}, {"", "345MiB", collectAt, false}, {"50", "345MiB", 100, false}} {
		t.Setenv("GOGC", c.percent)
		t.Setenv("GOMEMLIMIT", c.limit)
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(1 << 40)
		got, now := tuneGC(), debug.SetMemoryLimit(-1)
		if percent := debug.SetGCPercent(100); percent != c.wantPercent {
			t.Errorf("%+v: %d per cent", c, percent)
		}
		if (got.usual > 0) != c.limited || c.limited && now != got.usual || !c.limited && now != 1<<40 {
			t.Errorf("%+v: a ceiling of %v, a limit of %d", c, got, now)
		}
	}
}

// TestStreamsIn bounds streams by what there is for them.
func TestStreamsIn(t *testing.T) {
	container := fstest.MapFS{"proc/self/cgroup": {Data: []byte("0::/\n")}, "sys/fs/cgroup/memory.max": {Data: []byte("402653184\n")}}
	t.Setenv("GOMEMLIMIT", "")
	for _, c := range []struct {
		name string
		root fstest.MapFS
		want int
	}{{"a container of 384 MiB", container, 8847}, {"a machine", fstest.MapFS{}, 0}} {
		if got := streamsIn(memoryLimit(c.root)); got != c.want {
			t.Errorf("%s: %d streams, want %d", c.name, got, c.want)
		}
	}
	before := debug.SetMemoryLimit(100 << 20)
	defer debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "100MiB")
	if got := streamsIn(memoryLimit(container)); got != 2560 {
		t.Errorf("with the operator's 100 MiB: %d streams", got)
	}
}

// TestIdleHeap gives back what a heap holds once it has been quiet, and not while it is busy or small.
func TestIdleHeap(t *testing.T) {
	t.Parallel()
	var idle idleHeap
	look := heapLook{held: 200 << 20, live: 20 << 20}
	for range 10 {
		look.allocated += 100 << 20
		if idle.next(look) {
			t.Fatal("a busy heap")
		}
	}
	for i := range quietLooks {
		look.allocated += 1 << 20
		if got, want := idle.next(look), i == quietLooks-1; got != want {
			t.Errorf("quiet look %d: %v", i, got)
		}
	}
	for i := range 2 * quietLooks { // as much is held again and again
		if got, want := idle.next(look), (i+1)%quietLooks == 0; got != want {
			t.Errorf("quiet look %d after that: %v", i, got)
		}
	}
	look.held = 30 << 20
	for range 2 * quietLooks {
		if idle.next(look) {
			t.Error("a heap that holds little")
		}
	}
}

// TestKeepsIn bounds what is kept by the memory that there is, and by what else is in the process.
func TestKeepsIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit      int64
		everything bool
		want       keeps
	}{
		{math.MaxInt64, false, keeps{32 << 20, 32 << 20, 32 << 20}},
		{64 << 20, false, keeps{8 << 20, 8 << 20, 8 << 20}},
		{math.MaxInt64, true, keeps{20 << 20, 4 << 20, 8 << 20}},
		{128 << 20, true, keeps{10 << 20, 2 << 20, 4 << 20}},
	} {
		if got := keepsIn(c.limit, c.everything); got != c.want {
			t.Errorf("with %d, everything in one: %t: %v, want %v", c.limit, c.everything, got, c.want)
		}
	}
}

var kept [][]byte

// TestMemoryIsReturned has a heap that was large, and whose garbage no collection has found, small again.
func TestMemoryIsReturned(t *testing.T) {
	percent := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(percent)
	for range 64 {
		kept = append(kept, make([]byte, 1<<20))
	}
	kept = nil
	before := lookAtHeap()
	idle := idleHeap{last: before.allocated, quiet: quietLooks - 1}
	runtime.GC() // so that live is known
	if !idle.next(lookAtHeap()) {
		t.Fatalf("%+v is not worth returning", lookAtHeap())
	}
	debug.FreeOSMemory()
	if after := lookAtHeap(); after.held > before.held-(48<<20) {
		t.Errorf("%d bytes were held, and are %d", before.held, after.held)
	}
}
