package e2e

import (
	"net/http"
	"testing"
)

// TestStreamsAreBounded has a gateway refuse a stream beyond --max-streams, whoever asks, and serve everything else.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	refused(t, 2, []string{"serve", "--data", t.TempDir(), "--max-streams", "-1"}, "--max-streams must not be negative")
	w := oneProcess(t, "--max-streams", "2")
	ada, bob := w.as(t, "ada"), w.as(t, "bob")
	for _, c := range []*client{ada, bob} {
		c.id()
		c.watch()
	}
	full := bob.get("/v1/learners/me/progress:watch", "Accept", "text/event-stream")
	full.problem(http.StatusServiceUnavailable, "OVERLOADED")
	if got := full.header.Get("Retry-After"); got != "5" {
		t.Errorf("Retry-After: %q", got)
	}
	bob.get("/v1/learners/me/progress").want(http.StatusOK)
}
