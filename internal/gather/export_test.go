package gather

import (
	"runtime"
	"time"
)

// SetPatience sets how long callers wait for a fetch to start.
func SetPatience[K comparable, V any](g *Gatherer[K, V], d time.Duration) { g.patience = d }

// Await returns once the next fetch has as many callers.
func Await[K comparable, V any](g *Gatherer[K, V], calls int) {
	for {
		g.mu.Lock()
		n := 0
		if g.next != nil {
			n = g.next.calls
		}
		g.mu.Unlock()
		if n >= calls {
			return
		}
		runtime.Gosched()
	}
}
