package server

import (
	"context"
	"math"
	"os"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/gateway"
	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/logs"
	"github.com/preceptor-dev/preceptor/internal/metrics"
)

// openGateway makes the REST API.
func (p *process) openGateway(_ context.Context, conns map[string]grpc.ClientConnInterface) (*gateway.Gateway, error) {
	trusted, err := p.cfg.trustedProxies()
	if err != nil {
		return nil, err
	}
	most := p.cfg.MaxStreams
	if most == 0 {
		most = streamsIn(memoryLimit(os.DirFS("/")))
	}
	g, err := gateway.New(gateway.Config{ //nolint:contextcheck // it lives until the stop, not as long as the start
		Conns:          conns,
		Verifier:       p.verifier,
		Logger:         p.log,
		Callers:        p.callers,
		Sample:         logs.NewSampler(p.cfg.LogSample),
		AllowedOrigins: p.cfg.CORSOrigins,
		Version:        p.version,
		Limiter:        p.openLimiter(),
		MaxStreams:     most,
		Kept:           p.keeps.written,
		TrustedProxies: trusted,
		Now:            p.now,
		Tracer:         p.tracer,
		ContinueTraces: p.cfg.ContinueTraces,
		Observe:        p.metrics.Requests(),
		Ready:          p.ready,
		State:          p.state,
		Draining:       p.draining.Load,
	})
	if err != nil {
		return nil, err
	}
	p.metrics.Gauge("preceptor_gateway_streams", "Streams of server-sent events that are open.", nil, func() float64 { return float64(g.Streams()) })
	p.metrics.Gauge("preceptor_gateway_streams_limit", "How many may be open at once; +Inf for any number.", nil, func() float64 {
		if most == 0 {
			return math.Inf(1)
		}
		return float64(most)
	})
	measureKept(p.metrics, g.Kept)
	p.spare.add(func(context.Context) { g.Forget() })
	p.metrics.Counter("preceptor_gateway_slow_readers_total", "Responses that were cut off, since their clients did not read.", nil,
		func() float64 { return float64(g.SlowReaders()) })
	return g, nil
}

// measureKept counts the answers that the gateway keeps.
func measureKept(m *metrics.Registry, stats func() cache.Stats) {
	measureLookups(m, "preceptor_gateway_kept_requests_total",
		"Requests for answers that may be kept, by whether the gateway had one to ask the service about.",
		func() (hits, misses uint64) { s := stats(); return s.Hits, s.Misses })
	m.Gauge("preceptor_gateway_kept_bytes", "Memory that the kept answers take.", nil, func() float64 { return float64(stats().Bytes) })
}

// openLimiter returns the limiter that REST and gRPC share.
func (p *process) openLimiter() *bounds.Limiter {
	if p.limiter == nil {
		p.limiter = bounds.NewLimiter(bounds.RateLimit{PerSecond: p.cfg.RateLimit, Burst: p.cfg.RateBurst})
	}
	return p.limiter
}

// offerGRPC serves the gRPC API of all services on one address. Its callers are people with tokens:
// which learner a token's subject is, the first service that knows decides.
func (p *process) offerGRPC(ctx context.Context) error {
	lis, err := p.listen(ctx, p.cfg.GRPC, "--grpc")
	if err != nil {
		return err
	}
	var (
		who     Opened
		maxRecv int
		audits  []*audit.Server
	)
	for _, row := range p.table {
		s := p.find(row.Name)
		maxRecv = max(maxRecv, row.MaxRecv)
		if who.Resolver == nil {
			who.Resolver = s.Resolver
		}
		if who.Tickets == nil {
			who.Tickets = s.Tickets
		}
		if s.audit != nil {
			audits = append(audits, s.audit)
		}
	}
	p.openLimiter()
	server, err := p.newServer(ctx, who, maxRecv)
	if err != nil {
		return err
	}
	for _, s := range p.opened {
		s.Register(server, server.Draining())
	}
	auditv1.RegisterAuditServiceServer(server, audit.Join(audits...))
	p.offerHealth(ctx, server)
	p.serveRPC(lis, server)
	return nil
}
