package rpc

import (
	"context"

	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// healthServer is gRPC's health service, whose unknown names are the caller's fault and no fault of the
// server, and whose watches end when the server drains.
type healthServer struct {
	*health.Server
	drain context.Context //nolint:containedctx // it lives as long as the server
}

// Check returns the status of a name, and NotFound where there is none.
func (h healthServer) Check(ctx context.Context, r *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	resp, err := h.Server.Check(ctx, r)
	if err != nil { // it has no other
		return nil, errs.New(errs.NotFound, errs.ReasonRouteNotFound,
			"there is no health of that name here; the names are the empty one, %s and those of the services", HealthWhole)
	}
	return resp, nil
}

// Watch sends the status of a name whenever it changes. At the drain it returns Unavailable: the last status
// is that nothing serves here, and the drain waits for every stream.
func (h healthServer) Watch(r *healthv1.HealthCheckRequest, stream healthv1.Health_WatchServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(h.drain, cancel)()
	err := h.Server.Watch(r, watchedHealth{stream, ctx})
	if h.drain.Err() != nil {
		return errs.New(errs.Unavailable, errs.ReasonShuttingDown, "the server is stopping; try again")
	}
	return err
}

// watchedHealth is a watch with another context.
type watchedHealth struct {
	healthv1.Health_WatchServer

	ctx context.Context //nolint:containedctx // a stream returns its context
}

func (w watchedHealth) Context() context.Context { return w.ctx }
