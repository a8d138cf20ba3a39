// Package health is what a process reports of itself over HTTP to an orchestrator or a load
// balancer: GET /healthz, whether it is alive, and GET /readyz, whether to send it requests. The
// second has two forms: the whole for operators, and one word for anybody.
package health

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// State is whether a process can do its work.
type State struct {
	// Ready is false only where it is worth sending requests elsewhere: while the process starts
	// or drains, or before a service has what it cannot work without.
	Ready bool
	// Reason is why Ready is false.
	Reason string
	// Degraded are the dependencies that are missing and done without.
	Degraded []Missing
}

// Missing is a dependency that is missing.
type Missing struct {
	// Dependency is which of Dependencies it is, for who counts them; "" where the dependency's own
	// process counts what is wrong.
	Dependency string
	// Text is for a person: "redis is not reachable".
	Text string
}

// What a process can depend on, besides other services by their names.
const (
	Database = "database"
	// DatabaseWrites is a database that can be reached and refuses writes.
	DatabaseWrites = "database_writes"
	// Schema is a database that can be reached and has not the tables that the program needs.
	Schema = "schema"
	Issuer = "issuer"
	Redis  = "redis"
)

// Dependencies returns what a process can depend on, besides other services.
func Dependencies() []string { return []string{Database, DatabaseWrites, Issuer, Redis, Schema} }

// Texts are the dependencies that are missing, for people.
func (s State) Texts() []string {
	texts := make([]string, len(s.Degraded))
	for i, m := range s.Degraded {
		texts[i] = m.Text
	}
	return texts
}

// And is the state of a process that consists of both.
func (s State) And(other State) State {
	all := State{Ready: s.Ready && other.Ready, Reason: s.Reason, Degraded: append(slices.Clip(s.Degraded), other.Degraded...)}
	if s.Ready {
		all.Reason = other.Reason
	}
	return all
}

// body is the body of both pages.
type body struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	// Degraded is on every whole page of /readyz, and on no other.
	Degraded []string `json:"degraded,omitzero"`
	Version  string   `json:"version,omitempty"`
}

// WriteAlive writes the page /healthz. It reports nothing of what the process needs.
func WriteAlive(w http.ResponseWriter, version string) {
	write(w, http.StatusOK, body{Status: "alive", Version: version})
}

// Write writes the page /readyz for operators: 200 with the status "ready" or "degraded", or 503 with "unready".
func (s State) Write(w http.ResponseWriter) {
	b := body{Status: "ready", Degraded: s.Texts()}
	status := http.StatusOK
	switch {
	case !s.Ready:
		b.Status, b.Reason, status = "unready", s.Reason, http.StatusServiceUnavailable
	case len(s.Degraded) > 0:
		b.Status = "degraded"
	}
	write(w, status, b)
}

// WriteReady writes the page /readyz for anybody: 200 with the status "ready", or 503 with "unready",
// and no word on why.
func WriteReady(w http.ResponseWriter, ready bool) {
	if ready {
		write(w, http.StatusOK, body{Status: "ready"})
		return
	}
	write(w, http.StatusServiceUnavailable, body{Status: "unready"})
}

func write(w http.ResponseWriter, status int, b body) {
	text, err := json.Marshal(b)
	if err != nil {
		http.Error(w, "the state cannot be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that has gone away needs no answer
}
