package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// full is a registry with all that it can hold.
func full() *Registry {
	r := New("v1")
	r.Calls()("/preceptor.progress.v1.ProgressService/GetProgress", "OK", time.Millisecond)
	observe := r.Requests()
	observe("/v1/topics", "GET", 200, time.Millisecond)
	observe("/v1/topics", "GET", 503, -1)
	observe("", "OTHER", 0, time.Millisecond)
	r.Commits()(2, 3, time.Millisecond, time.Millisecond, true)
	r.Breaker("redis", func() BreakerState { return BreakerOpen })
	r.Counter("preceptor_x_total", "X.", Labels{"a": "b"}, func() float64 { return 7 })
	r.GaugeWhile("preceptor_shown", "X.", Labels{"a": "b"}, func() (float64, bool) { return 8, true })
	r.GaugeWhile("preceptor_hidden", "X.", nil, func() (float64, bool) { return 9, false })
	r.Health([]string{"database", "redis"}, func() (bool, []string) { return true, []string{"redis", "redis", "toy"} })
	return r
}

func TestNamesFollowTheConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(full().prom)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestPage(t *testing.T) {
	page := httptest.NewRecorder()
	full().Handler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, line := range []string{
		`preceptor_build_info{version="v1"} 1`,
		`preceptor_rpc_requests_total{code="OK",method="/preceptor.progress.v1.ProgressService/GetProgress"} 1`,
		`preceptor_http_requests_total{method="GET",route="/v1/topics",status="2xx"} 1`,
		`preceptor_http_requests_total{method="GET",route="/v1/topics",status="5xx"} 1`,
		`preceptor_http_requests_total{method="OTHER",route="none",status="none"} 1`,
		`preceptor_http_request_duration_seconds_count{method="GET",route="/v1/topics"} 1`,
		`preceptor_commit_events_sum 3`,
		`preceptor_commit_failures_total 1`,
		`preceptor_breaker_state{dependency="redis"} 2`,
		`preceptor_x_total{a="b"} 7`,
		`preceptor_shown{a="b"} 8`,
		`preceptor_ready 1`,
		`preceptor_degraded_dependencies{dependency="database"} 0`,
		`preceptor_degraded_dependencies{dependency="redis"} 1`,
		`preceptor_degraded_dependencies{dependency="toy"} 1`,
		"go_goroutines ",
	} {
		if !strings.Contains(page.Body.String(), "\n"+line) {
			t.Errorf("no %s", line)
		}
	}
	if strings.Contains(page.Body.String(), "preceptor_hidden") {
		t.Error("what is hidden is shown")
	}
}

func TestOffKeepsNothing(t *testing.T) {
	var off *Registry
	off.Gauge("x", "", nil, nil)
	off.Counter("x", "", nil, nil)
	off.Breaker("x", nil)
	off.Health(nil, nil)
	off.GaugeWhile("x", "", nil, nil)
	if off.Calls() != nil || off.Requests() != nil || off.Commits() != nil {
		t.Error("something is stored")
	}
}
