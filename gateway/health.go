package gateway

import (
	"net/http"

	"github.com/preceptor-dev/preceptor/internal/health"
)

// healthz reports that the process is alive, and nothing of what it needs.
func (g *Gateway) healthz(w http.ResponseWriter, r *http.Request) {
	if g.onlyGet(w, r) {
		health.WriteAlive(w, g.config.Version)
	}
}

// readyz reports whether to send requests here.
func (g *Gateway) readyz(w http.ResponseWriter, r *http.Request) {
	if !g.onlyGet(w, r) {
		return
	}
	state := health.State{Ready: true}
	if g.config.Ready != nil {
		state = g.config.Ready(r.Context())
	}
	if g.streams.Closed() {
		state.Ready, state.Reason = false, "draining"
	}
	state.Write(w)
}

// onlyGet reports whether the request is a GET, and refuses any other.
func (g *Gateway) onlyGet(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet {
		return true
	}
	g.fail(w, r, noRoute(r, notFound{allow: []string{http.MethodGet, http.MethodHead}}))
	return false
}
