package app

import (
	"context"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/gateway"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// openGateway makes the REST face. state tells what it does without at the moment.
func (h *house) openGateway(w ways, state func(context.Context) (ready bool, degraded []string)) (*gateway.Gateway, error) {
	return gateway.New(gateway.Config{
		Profile:        w.profile,
		Catalog:        w.catalog,
		Progress:       w.progress,
		Logger:         h.log,
		AllowedOrigins: h.cfg.CORSOrigins,
		Version:        h.version,
		Now:            h.now,
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
}

// offerGRPC answers the API by gRPC on one address: the services with a server in front
// of them that knows learners as profile does. Whoever calls is a person with a token.
func (h *house) offerGRPC(ctx context.Context, profile *service, others ...*service) error {
	lis, err := h.listen(ctx, h.cfg.GRPC, "--grpc")
	if err != nil {
		return err
	}
	face, err := h.newServer(profile.resolver, 0)
	if err != nil {
		return err
	}
	offer(face, append(others, profile))
	h.serveRPC(lis, face)
	return nil
}

func offer(face *rpc.Server, services []*service) {
	for _, s := range services {
		s.register(grpc.ServiceRegistrar(face), face.Draining())
	}
}
