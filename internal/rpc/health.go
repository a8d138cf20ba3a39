package rpc

import (
	"context"

	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// healthServer is gRPC's health service, whose unknown names are the caller's fault and no fault of the server.
type healthServer struct{ *health.Server }

// Check returns the status of a name, and NotFound where there is none.
func (h healthServer) Check(ctx context.Context, r *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	resp, err := h.Server.Check(ctx, r)
	if err != nil { // it has no other
		return nil, errs.New(errs.NotFound, errs.ReasonRouteNotFound,
			"there is no health of that name here; the names are the empty one, %s and those of the services", HealthWhole)
	}
	return resp, nil
}
