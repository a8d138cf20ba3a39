package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/metrics"
	"github.com/preceptor-dev/preceptor/internal/redis"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/tracing"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// lastTraces is how long a stop waits for the collector to take what is left.
const lastTraces = 3 * time.Second

// openTelemetry begins to measure and to trace, where that was asked for. It is first to
// open and last to close, so that starts and stops are seen too.
func (h *house) openTelemetry(ctx context.Context) error {
	if h.cfg.OTLPEndpoint != "" {
		name := "preceptor"
		if h.cfg.Only != "" {
			name += "-" + h.cfg.Only
		}
		tracer, err := tracing.Open(ctx, tracing.Options{Endpoint: h.cfg.OTLPEndpoint, Service: name, Version: h.version, Logger: h.log})
		if err != nil {
			return Usagef("--otlp-endpoint: %s", err)
		}
		h.tracer = tracer
		h.log = slog.New(tracing.LogHandler(h.log.Handler()))
		h.onStop(func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, lastTraces)
			defer cancel()
			_ = tracer.Close(ctx) // what the collector does not take by then is lost, and no fault of the stop
			return nil
		})
	}
	if h.cfg.MetricsAddr == "" {
		return nil
	}
	lis, err := h.listen(ctx, h.cfg.MetricsAddr, "--metrics-addr")
	if err != nil {
		return err
	}
	h.measured, h.metrics = lis.Addr(), metrics.New(h.version)
	h.calls = h.metrics.Calls()
	pages := http.NewServeMux()
	pages.Handle("GET /metrics", h.metrics.Handler())
	server := newHTTPServer(pages, h.log)
	h.onStop(func(context.Context) error { return server.Close() })
	h.run(func() error {
		if err := server.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving metrics on %s: %w", lis.Addr(), err)
		}
		return nil
	})
	return nil
}

// measureState shows what /readyz says.
func (h *house) measureState(ctx context.Context, state func(context.Context) (bool, []string)) {
	ask := func() (bool, []string) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), peerTimeout)
		defer cancel()
		ready, degraded := state(ctx)
		return ready && !h.draining.Load(), degraded
	}
	h.metrics.Gauge("preceptor_ready", "Whether /readyz sends requests here: 1 or 0.", nil, func() float64 {
		if ready, _ := ask(); ready {
			return 1
		}
		return 0
	})
	h.metrics.Gauge("preceptor_degraded_dependencies", "How many dependencies /readyz names as missed and done without.", nil, func() float64 {
		_, degraded := ask()
		return float64(len(degraded))
	})
}

// measureIdentity shows when the certificate ends.
func (h *house) measureIdentity() {
	h.metrics.Gauge("preceptor_certificate_expiry_timestamp_seconds", "When the certificate that this process shows ends, in unix time.", nil,
		func() float64 { return float64(h.identity.Expires().Unix()) })
}

// measureDB shows a database's pools.
func (h *house) measureDB(name string, db *sqldb.DB) {
	for i, pool := range db.Pools() {
		now := func() sqldb.Pool { return db.Pools()[i] }
		labels := func(more ...string) metrics.Labels {
			l := metrics.Labels{"database": name, "pool": pool.Name}
			if len(more) > 0 {
				l["state"] = more[0]
			}
			return l
		}
		const open = "Connections of a pool to a database, by state."
		h.metrics.Gauge("preceptor_db_connections", open, labels("in_use"), func() float64 { return float64(now().InUse) })
		h.metrics.Gauge("preceptor_db_connections", open, labels("idle"), func() float64 { return float64(now().Idle) })
		h.metrics.Gauge("preceptor_db_connections_max", "Connections that a pool may have.", labels(),
			func() float64 { return float64(now().MaxOpenConnections) })
		h.metrics.Counter("preceptor_db_waits_total", "How often somebody waited for a connection of the pool.", labels(),
			func() float64 { return float64(now().WaitCount) })
		h.metrics.Counter("preceptor_db_wait_seconds_total", "How long they waited in sum.", labels(),
			func() float64 { return now().WaitDuration.Seconds() })
	}
}

// measureCommits shows progress's transactions; nil while nobody measures.
func (h *house) measureCommits() func(engine.Commit) {
	observe := h.metrics.Commits()
	if observe == nil {
		return nil
	}
	return func(c engine.Commit) { observe(c.Jobs, c.Events, c.Waited, c.Took, c.Failed) }
}

// measureProgress shows what progress is about.
func (h *house) measureProgress(stats func() engine.Stats) {
	for source, followed := range map[string]func() engine.Followed{
		CatalogName: func() engine.Followed { return stats().Catalog },
		ProfileName: func() engine.Followed { return stats().Zones },
	} {
		labels := metrics.Labels{"source": source}
		h.metrics.Gauge("preceptor_snapshot_age_seconds", "How long ago another service confirmed what progress knows of it.", labels,
			func() float64 { return followed().Age.Seconds() })
		h.metrics.Gauge("preceptor_snapshot_revision", "The revision of another service that progress knows.", labels,
			func() float64 { return float64(followed().Revision) })
	}
	for lane := range stats().Queues {
		h.metrics.Gauge("preceptor_commit_queue_jobs", "Writes that wait for a transaction, by lane.", metrics.Labels{"lane": strconv.Itoa(lane)},
			func() float64 { return float64(stats().Queues[lane]) })
	}
	h.metrics.Gauge("preceptor_watchers", "Watches of a learner's log that are open.", nil, func() float64 { return float64(stats().Watchers) })
	h.metrics.Gauge("preceptor_sweep_unswept_revisions", "Revisions of the catalog that the sweep has not looked at.", nil,
		func() float64 { return float64(stats().Unswept) })
	h.metrics.Gauge("preceptor_sweep_age_seconds", "How long ago the sweep was seen to be done, or in another replica's hands.", nil,
		func() float64 { return stats().SweepAge.Seconds() })
}

// measureCache shows the cache of computed answers.
func (h *house) measureCache(stats func() cache.Stats) {
	const asked = "How often the cache was asked, by what it had."
	h.metrics.Counter("preceptor_cache_requests_total", asked, metrics.Labels{"result": "hit"}, func() float64 { return float64(stats().Hits) })
	h.metrics.Counter("preceptor_cache_requests_total", asked, metrics.Labels{"result": "miss"}, func() float64 { return float64(stats().Misses) })
	h.metrics.Counter("preceptor_cache_evictions_total", "Answers that had to make room.", nil, func() float64 { return float64(stats().Evictions) })
	h.metrics.Gauge("preceptor_cache_entries", "Answers in the cache.", nil, func() float64 { return float64(stats().Entries) })
	h.metrics.Gauge("preceptor_cache_bytes", "What they take.", nil, func() float64 { return float64(stats().Bytes) })
}

// measureRedis shows whether Redis is asked at present, and how often it failed.
func (h *house) measureRedis(client *redis.Client) {
	h.metrics.Breaker("redis", func() metrics.BreakerState {
		switch client.Stats().State {
		case "open":
			return metrics.BreakerOpen
		case "half-open":
			return metrics.BreakerHalfOpen
		default:
			return metrics.BreakerClosed
		}
	})
	h.metrics.Counter("preceptor_redis_failures_total", "Commands that Redis did not answer in time, or with an error.", nil,
		func() float64 { return float64(client.Stats().Failures) })
}
