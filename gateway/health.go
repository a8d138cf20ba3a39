package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/preceptor-dev/preceptor/gateway/wire"
)

// Readiness is whether requests can be served.
type Readiness struct {
	// Ready is false only while draining, unmigrated, or without a catalog ever seen:
	// what is worth sending requests elsewhere for.
	Ready bool
	// Reason says why not.
	Reason string
	// Degraded names dependencies that are missed and done without: "redis".
	Degraded []string
}

// readinessBody is Readiness as it is answered.
type readinessBody struct {
	Status   string   `json:"status"`
	Reason   string   `json:"reason,omitempty"`
	Degraded []string `json:"degraded"`
}

// healthz says that the process is alive, and nothing about what it needs.
func (g *Gateway) healthz(w http.ResponseWriter, r *http.Request) {
	g.writeHealth(w, r, http.StatusOK, map[string]string{"status": "alive", "version": g.config.Version})
}

// readyz says whether to send requests here.
func (g *Gateway) readyz(w http.ResponseWriter, r *http.Request) {
	ready := Readiness{Ready: true}
	if g.config.Ready != nil {
		ready = g.config.Ready(r.Context())
	}
	if g.streams.Closed() {
		ready.Ready, ready.Reason = false, "draining"
	}
	body := readinessBody{Status: "ready", Reason: ready.Reason, Degraded: append([]string{}, ready.Degraded...)}
	status := http.StatusOK
	switch {
	case !ready.Ready:
		body.Status, status = "unready", http.StatusServiceUnavailable
	case len(ready.Degraded) > 0:
		body.Status = "degraded"
	}
	g.writeHealth(w, r, status, body)
}

func (g *Gateway) writeHealth(w http.ResponseWriter, r *http.Request, status int, body any) {
	if r.Method != http.MethodGet {
		g.fail(w, r, noRoute(r, []string{http.MethodGet, http.MethodHead}))
		return
	}
	text, err := json.Marshal(body)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", wire.ContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
