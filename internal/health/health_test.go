package health_test

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/health"
)

func TestPages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state  health.State
		status int
		body   string
	}{
		"ready":    {health.State{Ready: true}, 200, `{"status":"ready","degraded":[]}`},
		"degraded": {health.State{Ready: true, Degraded: []health.Missing{{Text: "redis"}}}, 200, `{"status":"degraded","degraded":["redis"]}`},
		"unready":  {health.State{Reason: "draining", Degraded: []health.Missing{{Text: "redis"}}}, 503, `{"status":"unready","reason":"draining","degraded":["redis"]}`},
		"both": {
			health.State{Ready: true, Degraded: []health.Missing{{Text: "a"}}}.And(health.State{Reason: "starting", Degraded: []health.Missing{{Text: "b"}}}).And(health.State{Reason: "later"}),
			503, `{"status":"unready","reason":"starting","degraded":["a","b"]}`,
		},
	} {
		w := httptest.NewRecorder()
		c.state.Write(w)
		if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s %v", name, w.Code, w.Body, w.Header())
		}
	}
	for ready, want := range map[bool]string{true: `200 {"status":"ready"}`, false: `503 {"status":"unready"}`} {
		w := httptest.NewRecorder()
		health.WriteReady(w, ready)
		if got := fmt.Sprintf("%d %s", w.Code, w.Body); got != want || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s, want %s", got, want)
		}
	}
	w := httptest.NewRecorder()
	health.WriteAlive(w, "1.2.3")
	if w.Code != 200 || w.Body.String() != `{"status":"alive","version":"1.2.3"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
