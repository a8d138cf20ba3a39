package server

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/metrics"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// lastTraces is how long a stop waits for the collector to take what is left.
const lastTraces = 3 * time.Second

// openTelemetry begins to measure and to trace, where the settings say so. It is first to
// open and last to close, so that starts and stops are seen too.
func (p *process) openTelemetry(ctx context.Context) error {
	if p.cfg.OTLPEndpoint != "" {
		name := "preceptor"
		if p.cfg.Only != "" {
			name += "-" + p.cfg.Only
		}
		tracer, err := tracing.Open(ctx, tracing.Options{
			Endpoint: p.cfg.OTLPEndpoint, Service: name, Version: p.version, Logger: p.log,
			Sample: p.cfg.TraceSample, ForeignSampler: os.Getenv("OTEL_TRACES_SAMPLER") != "",
		})
		if err != nil {
			return Usagef("--otlp-endpoint: %s", err)
		}
		p.tracer = tracer
		p.log = slog.New(tracing.LogHandler(p.log.Handler()))
		p.onStop(func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, lastTraces)
			defer cancel()
			_ = tracer.Close(ctx) // what the collector does not take by then is lost, and no fault of the stop
			return nil
		})
	}
	if p.cfg.MetricsAddr == "" {
		return nil
	}
	lis, err := p.listen(ctx, p.cfg.MetricsAddr, "--metrics-addr")
	if err != nil {
		return err
	}
	p.at.Metrics, p.metrics = lis.Addr(), metrics.New(p.version)
	p.calls = p.metrics.Calls()
	p.measureState(ctx)
	pages := http.NewServeMux()
	pages.Handle("GET /metrics", p.metrics.Handler())
	p.servePages(lis, pages, "metrics")
	return nil
}

// measureState shows what /readyz reports, from the beginning of the start.
func (p *process) measureState(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	p.metrics.Health(slices.Concat(health.Dependencies(), p.table.Names()), func() (ready bool, missing []string) {
		ctx, cancel := context.WithTimeout(ctx, peerTimeout)
		defer cancel()
		state := p.state(ctx)
		for _, m := range state.Degraded {
			if m.Dependency != "" {
				missing = append(missing, m.Dependency)
			}
		}
		return state.Ready, missing
	})
}

// measureIdentity shows when the certificate and its authority end.
func (p *process) measureIdentity() {
	for of, ends := range map[string]func() time.Time{"own": p.identity.Expires, "authority": p.identity.AuthorityExpires} {
		p.metrics.Gauge("preceptor_certificate_expiry_timestamp_seconds",
			"When the certificate that this process shows ends, or the authority that signed it, in unix time.",
			metrics.Labels{"of": of, "source": string(p.identity.Source())}, func() float64 { return float64(ends().Unix()) })
	}
}

// measureDB shows a database's pools.
func (p *process) measureDB(name string, db *sqldb.DB) {
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
		p.metrics.Gauge("preceptor_db_connections", open, labels("in_use"), func() float64 { return float64(now().InUse) })
		p.metrics.Gauge("preceptor_db_connections", open, labels("idle"), func() float64 { return float64(now().Idle) })
		p.metrics.Gauge("preceptor_db_connections_max", "Connections that a pool may have.", labels(),
			func() float64 { return float64(now().MaxOpenConnections) })
		p.metrics.Counter("preceptor_db_waits_total", "How often a call waited for a connection of the pool.", labels(),
			func() float64 { return float64(now().WaitCount) })
		p.metrics.Counter("preceptor_db_wait_seconds_total", "How long they waited in sum.", labels(),
			func() float64 { return now().WaitDuration.Seconds() })
	}
}
