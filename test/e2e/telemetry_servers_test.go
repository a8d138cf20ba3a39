//go:build realservers

package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestTracesOnServers follows a learner's requests as they are in use, from the caller's own span
// through the gateway and progress into Postgres and Redis: one trace, and no gap in it.
func TestTracesOnServers(t *testing.T) {
	t.Parallel()
	c, r := newCollector(t), migrated(t)
	tracing := []string{"--otlp-endpoint", c.addr}
	own := map[string][]string{"gateway": tracing}
	for _, service := range storeServices() {
		own[service] = append([]string{"--database-url", r.urls[service]}, tracing...)
	}
	own["progress"] = append(own["progress"], "--redis-url", "redis://"+testenv.Redis(t))
	// By default a trace in a hundred is recorded, and all that such a proxy records.
	w := fourProcessesOn(t, t.TempDir(), own, "--trusted-proxies", "127.0.0.1", "--continue-traces")
	course := publishCourse(t, w.as(t, "author", "author"), "traced")
	me := w.as(t, "traced-learner")
	id := me.id()
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": course.path}).want(http.StatusCreated)

	const caller = "00f067aa0ba902b7"
	writing, reading := wayOf("POST /v1/learners/{learner_id}/events:batch", "BatchRecordEvents"),
		wayOf("GET /v1/learners/{learner_id}/paths/{path_id}/progress", "GetPathProgress")
	complete := [][]string{
		append(writing, "preceptor-progress sql transaction", "preceptor-progress sql INSERT"),
		append(slices.Clone(reading), "preceptor-progress sql SELECT"),
		append(slices.Clone(reading), "preceptor-progress redis get"),
		append(slices.Clone(reading), "preceptor-progress redis set"),
	}
	var traces []string
	// Several, for Redis is left alone for a second when it was late once.
	eventually(t, "a trace with everything", func() bool {
		trace := make([]byte, 16)
		_, _ = rand.Read(trace) // it never fails
		traces = append(traces, fmt.Sprintf("%x", trace))
		header := []string{"traceparent", fmt.Sprintf("00-%x-%s-01", trace, caller)}
		me.post("/v1/learners/me/events:batch", map[string]any{"events": course.basicsDone()}, header...).want(http.StatusOK)
		me.get("/v1/learners/me/paths/"+course.path+"/progress", header...).want(http.StatusOK)
		return slices.ContainsFunc(traces, func(trace string) bool {
			return !slices.ContainsFunc(complete, func(way []string) bool { return !c.leads(trace, caller, way) })
		})
	})
	c.keepsQuiet(t, id, "traced-learner", me.token, "secret-")
}

// wayOf is how a request comes to progress.
func wayOf(route, rpc string) []string {
	rpc = "preceptor.progress.v1.ProgressService/" + rpc
	return []string{"preceptor-gateway " + route, "preceptor-gateway " + rpc, "preceptor-progress " + rpc}
}

// leads finds the steps in one trace: each span is the child of the one before, and the first the
// caller's own.
func (c *collector) leads(trace, caller string, steps []string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	parents := []string{caller}
	for _, step := range steps {
		var found []string
		for _, s := range c.spans {
			if s.trace == trace && s.service+" "+s.name == step && slices.Contains(parents, s.parent) {
				found = append(found, s.id)
			}
		}
		parents = found
	}
	return len(parents) > 0
}
