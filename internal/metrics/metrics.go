// Package metrics counts and measures for Prometheus: one registry a process, passed to
// where it is needed, and a page to read it. A nil *Registry is metrics turned off: it takes
// everything and stores nothing.
//
// Names begin with preceptor_, use base units, and end in _total where they only rise.
// Labels have few values: routes and methods of the API, services, states. No label holds an
// id, a name, or anything that a caller chose. docs/operations.md lists all of them.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Registry holds the metrics of one process.
type Registry struct{ prom *prometheus.Registry }

// Labels distinguish metrics of one name. Those of one name must have the same keys.
type Labels = prometheus.Labels

// New makes a registry, with what the Go runtime and the system report of the process.
func New(version string) *Registry {
	r := &Registry{prom: prometheus.NewRegistry()}
	r.prom.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.Gauge("preceptor_build_info", "Always 1; the label is the version.", Labels{"version": version}, func() float64 { return 1 })
	return r
}

// Handler is the page that Prometheus reads.
func (r *Registry) Handler() http.Handler {
	return promhttp.HandlerFor(r.prom, promhttp.HandlerOpts{})
}

// Gauge shows a value that is asked for whenever the page is read. A name and labels that
// are registered twice are a mistake of the program, and panic.
func (r *Registry) Gauge(name, help string, labels Labels, read func() float64) {
	if r != nil {
		r.prom.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read))
	}
}

// Counter is Gauge for a value that only rises.
func (r *Registry) Counter(name, help string, labels Labels, read func() float64) {
	if r != nil {
		r.prom.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, read))
	}
}

// BreakerState is how a circuit breaker treats the calls to a dependency.
type BreakerState int

// The states, as they are shown.
const (
	// BreakerClosed lets all calls pass.
	BreakerClosed BreakerState = iota
	// BreakerHalfOpen tries one.
	BreakerHalfOpen
	// BreakerOpen lets none pass.
	BreakerOpen
)

// Breaker shows the state of a dependency's breaker.
func (r *Registry) Breaker(dependency string, state func() BreakerState) {
	r.Gauge("preceptor_breaker_state", "Whether calls to a dependency are let through: 0 all, 1 one to try, 2 none.",
		Labels{"dependency": dependency}, func() float64 { return float64(state()) })
}

// quick are buckets from half a millisecond to ten seconds.
func quick() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

// Calls counts the calls that servers answered. It is called once; nil when metrics are off.
func (r *Registry) Calls() func(method, code string, took time.Duration) {
	if r == nil {
		return nil
	}
	count := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "preceptor_rpc_requests_total", Help: "RPCs answered, by method and code.",
	}, []string{"method", "code"})
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "preceptor_rpc_duration_seconds", Help: "How long RPCs took; streams not counted.", Buckets: quick(),
	}, []string{"method"})
	r.prom.MustRegister(count, took)
	return func(method, code string, d time.Duration) {
		count.WithLabelValues(method, code).Inc()
		if d >= 0 {
			took.WithLabelValues(method).Observe(d.Seconds())
		}
	}
}

// Routed counts the calls to the replicas of a service that go by what they are about, and reports whether their
// replica was the one that is meant for it. It is called once for a service; nil when metrics are off.
func (r *Registry) Routed(service string) func(own bool) {
	if r == nil {
		return nil
	}
	count := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "preceptor_rpc_routed_total", ConstLabels: Labels{"service": service},
		Help: "Calls about a learner, by whether they went to the learner's own replica of the service, or to another in its place.",
	}, []string{"to"})
	r.prom.MustRegister(count)
	mine, others := count.WithLabelValues("own"), count.WithLabelValues("other")
	return func(own bool) {
		if own {
			mine.Inc()
		} else {
			others.Inc()
		}
	}
}

// Requests counts the requests that the gateway answered. It is called once; nil when
// metrics are off.
func (r *Registry) Requests() func(route, method string, status int, took time.Duration) {
	if r == nil {
		return nil
	}
	count := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "preceptor_http_requests_total", Help: "HTTP requests answered, by route, method and the status's class.",
	}, []string{"route", "method", "status"})
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "preceptor_http_request_duration_seconds", Help: "How long HTTP requests took, by route; streams not counted.", Buckets: quick(),
	}, []string{"route", "method"})
	r.prom.MustRegister(count, took)
	return func(route, method string, status int, d time.Duration) {
		if route == "" {
			route = "none"
		}
		count.WithLabelValues(route, method, statusName(status)).Inc()
		if d >= 0 {
			took.WithLabelValues(route, method).Observe(d.Seconds())
		}
	}
}

// statusName is the status's class, except for those that mean something by themselves.
func statusName(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "429"
	case status < 100 || status > 599:
		return "none" // the client went away
	default:
		return string([]byte{byte('0' + status/100), 'x', 'x'})
	}
}

// Commits measures progress's transactions. It is called once; nil when metrics are off.
func (r *Registry) Commits() func(jobs, events int, waited, took time.Duration, failed bool) {
	if r == nil {
		return nil
	}
	sizes := prometheus.ExponentialBuckets(1, 2, 9)
	jobs := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "preceptor_commit_jobs", Help: "Callers' writes in one transaction.", Buckets: sizes,
	})
	events := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "preceptor_commit_events", Help: "Events in one transaction.", Buckets: append([]float64{0}, sizes...),
	})
	waited := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "preceptor_commit_wait_seconds", Help: "How long a transaction's first write was queued.", Buckets: quick(),
	})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "preceptor_commit_duration_seconds", Help: "How long transactions took.", Buckets: quick(),
	})
	failures := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "preceptor_commit_failures_total", Help: "Transactions that failed.",
	})
	r.prom.MustRegister(jobs, events, waited, took, failures)
	return func(j, e int, w, t time.Duration, failed bool) {
		jobs.Observe(float64(j))
		events.Observe(float64(e))
		waited.Observe(w.Seconds())
		took.Observe(t.Seconds())
		if failed {
			failures.Inc()
		}
	}
}
