package server

import (
	"context"

	"github.com/preceptor-dev/preceptor/gateway"
	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	"github.com/preceptor-dev/preceptor/internal/audit"
)

// openGateway makes the REST face. state tells what it does without at the moment.
func (h *house) openGateway(_ context.Context, w ways, state func(context.Context) (ready bool, degraded []string)) (*gateway.Gateway, error) {
	face, err := gateway.New(gateway.Config{ //nolint:contextcheck // it lives until the stop, not as long as the start
		Profile:        w.profile,
		Catalog:        w.catalog,
		Progress:       w.progress,
		Logger:         h.log,
		AllowedOrigins: h.cfg.CORSOrigins,
		Version:        h.version,
		RateLimit:      gateway.RateLimit{PerSecond: h.cfg.RateLimit, Burst: h.cfg.RateBurst},
		Now:            h.now,
		Tracer:         h.tracer,
		Observe:        h.metrics.Requests(),
		Ready: func(ctx context.Context) gateway.Readiness {
			if h.draining.Load() {
				return gateway.Readiness{Reason: "draining"}
			}
			ready, degraded := state(ctx)
			if !ready {
				return gateway.Readiness{Reason: "the catalog was never seen", Degraded: degraded}
			}
			return gateway.Readiness{Ready: true, Degraded: degraded}
		},
	})
	if err != nil {
		return nil, err
	}
	h.metrics.Gauge("preceptor_gateway_streams", "Streams of server-sent events that are open.", nil, func() float64 { return float64(face.Streams()) })
	return face, nil
}

// offerGRPC answers the API by gRPC on one address: the services with a server in front
// of them that knows learners as profile does. Whoever calls is a person with a token.
func (h *house) offerGRPC(ctx context.Context, r rooms) error {
	lis, err := h.listen(ctx, h.cfg.GRPC, "--grpc")
	if err != nil {
		return err
	}
	face, err := h.newServer(ctx, r.profile.resolver, catalogMaxRecv)
	if err != nil {
		return err
	}
	for _, s := range []*service{r.profile, r.catalog, r.progress} {
		s.register(face, face.Draining())
	}
	auditv1.RegisterAuditServiceServer(face, audit.Join(r.catalog.audit, r.progress.audit))
	h.serveRPC(lis, face)
	return nil
}
