package gateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/health"
)

// readyFor is how long what Config.Ready returned is given out: anybody may ask, as often as they like.
const readyFor = time.Second

// readiness is what Config.Ready returned last.
type readiness struct {
	asking sync.Mutex
	last   atomic.Pointer[lastReady]
}

type lastReady struct {
	at    time.Time
	ready bool
}

// holds reports whether it may be given out at a time. The clock may have been set back since.
func (l *lastReady) holds(now time.Time) bool {
	age := now.Sub(l.at)
	return age >= 0 && age < readyFor
}

// healthz reports that the process is alive, and nothing of what it needs.
func (g *Gateway) healthz(w http.ResponseWriter, r *http.Request) {
	if g.onlyGet(w, r) {
		health.WriteAlive(w, g.config.Version)
	}
}

// readyz reports whether to send requests here, and to a program on the same machine what is missing, as the
// health pages of the process do. To others that would be news of our insides.
func (g *Gateway) readyz(w http.ResponseWriter, r *http.Request) {
	switch {
	case !g.onlyGet(w, r):
	case g.config.State != nil && fromHere(r):
		g.config.State(r.Context()).Write(w)
	default:
		health.WriteReady(w, g.ready(r.Context()))
	}
}

// ready reports whether requests can be served. A drain is known at once, all else within readyFor.
func (g *Gateway) ready(ctx context.Context) bool {
	if g.streams.Closed() || g.config.Draining != nil && g.config.Draining() {
		return false
	}
	if g.config.Ready == nil {
		return true
	}
	last := g.readiness.last.Load()
	if last != nil && last.holds(g.config.Now()) {
		return last.ready
	}
	if last == nil {
		g.readiness.asking.Lock()
	} else if !g.readiness.asking.TryLock() { // another request finds out
		return last.ready
	}
	defer g.readiness.asking.Unlock()
	now := g.config.Now()
	if last = g.readiness.last.Load(); last == nil || !last.holds(now) {
		// It is not this request's alone, so it does not end with it.
		last = &lastReady{at: now, ready: g.config.Ready(context.WithoutCancel(ctx))}
		g.readiness.last.Store(last)
	}
	return last.ready
}

// onlyGet reports whether the request is a GET, and refuses any other.
func (g *Gateway) onlyGet(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet {
		return true
	}
	g.fail(w, r, noRoute(r, notFound{allow: []string{http.MethodGet, http.MethodHead}}))
	return false
}
